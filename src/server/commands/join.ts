/** `gcache join`: one more member, while the cluster serves. */
import type { Command } from 'commander'
import type { Member } from '../../contracts/types.js'
import { checkAddress } from '../../registry.js'
import { parseMember, withScheme } from '../parse.js'
import {
  addServerOptions,
  EXIT,
  runAdmin,
  type ServerOptions,
  subcommand,
  withClient,
} from '../run.js'
import { viewLine } from '../view-line.js'

interface JoinOptions extends ServerOptions {
  witness?: boolean
}

export function joinCommand(): Command {
  return addServerOptions(subcommand('join', 'add a member to a running cluster'))
    .argument('<member>', 'who joins, ID=ORDINAL@ADDRESS')
    .option('--witness', 'it votes and holds no data (profile majority)')
    .addHelpText('after', HELP)
    .action((text: string, options: JoinOptions) => runAdmin(() => join(text, options)))
}

async function join(text: string, options: JoinOptions): Promise<number> {
  const member = newMember(text, options.witness === true)
  const result = await withClient(options, client => client.join(member))
  process.stdout.write(viewLine(result))
  return EXIT.ok
}

function newMember(text: string, witness: boolean): Member {
  const { id, ordinal, address } = parseMember(text, '')
  const dialled = withScheme(address)
  checkAddress(dialled)
  return witness ? { id, ordinal, address: dialled, witness } : { id, ordinal, address: dialled }
}

const HELP = `
  gcache join d=3@tcp://127.0.0.1:7403
Start it as well, with gcache serve and all members, itself included. It copies first, as a learner,
and votes by itself once it has caught up.
Exit: 0 done, 1 refused for now, 2 trouble, such as an id that is taken.`
