/**
 * `gcache witness`: the third vote of two data nodes. About 200 bytes on disk, no data, never
 * master; any third machine will do, even a small one.
 */
import { type Command, Option } from 'commander'
import { addNodeAuth } from '../auth-flags.js'
import { EXIT, failure, subcommand } from '../run.js'
import { LOG_LEVELS, type ServeOptions, witnessOptions } from '../serve-options.js'
import { addNodeTls } from '../tls-flags.js'
import { repeated, serve } from './serve.js'

export function witnessCommand(): Command {
  return addNodeTls(addNodeAuth(subcommand('witness', 'vote beside two data nodes, without data')))
    .option('--id <id>', "the witness's id, as the nodes name it with --witness")
    .option('--listen <address>', 'where to listen (default: tcp://127.0.0.1:7400)')
    .option('--advertise <address>', 'what others dial, if not the listen address')
    .option('--member <member>', 'a data node, ID=ORDINAL@ADDRESS; repeat for each', repeated)
    .option('--cluster <name>', 'name of the cluster (default: gcache)')
    .option('--data-dir <dir>', 'where its few bytes live; without it a restart forgets its vote')
    .option('--insecure', 'allow to listen beyond loopback without authentication or encryption')
    .addOption(
      new Option('--log-level <level>', 'what goes to stderr').choices(LOG_LEVELS).default('info'),
    )
    .addOption(new Option('--until-stdin-ends', 'close when stdin ends').hideHelp())
    .addHelpText('after', HELP)
    .action(async (flags: ServeOptions) => {
      try {
        await serve(() => witnessOptions(flags), flags)
      } catch (error) {
        process.exitCode = failure(error, EXIT.no)
      }
    })
}

const HELP = `
Two nodes and a witness:
  gcache serve --id a --ordinal 0 --listen tcp://127.0.0.1:7400 --profile majority \\
    --member b=1@tcp://127.0.0.1:7401 --witness w@tcp://127.0.0.1:7409
  ... the same for b, and on a third machine
  gcache witness --id w --listen tcp://127.0.0.1:7409 --data-dir ./witness \\
    --member a=0@tcp://127.0.0.1:7400 --member b=1@tcp://127.0.0.1:7401
Exit: 0 closed by a signal, 1 trouble such as a port in use, 2 wrong options.`
