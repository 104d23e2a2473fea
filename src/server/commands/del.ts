/** `gcache del`: deletes keys; says with its exit code whether all of them were there. */
import type { Command } from 'commander'
import type { DeleteOptions } from '../../contracts/cache.js'
import { addDataOptions, type DataOptions, run, writeOptions } from '../data.js'
import { parseCount } from '../parse.js'
import { EXIT, subcommand, withClient } from '../run.js'

interface DelOptions extends DataOptions {
  ifVersion?: string
  ack?: string
}

export function delCommand(): Command {
  return addDataOptions(subcommand('del', 'delete KEY'))
    .argument('<keys...>')
    .option('--if-version <n>', 'only if the record has this version')
    .option('--ack <level>', 'wait for none, master, slaves:N, majority, insync or all')
    .addHelpText(
      'after',
      '\nExit: 0 deleted, 1 a key was not there or has another version, 2 trouble.',
    )
    .action((keys: string[], options: DelOptions) => run(() => del(keys, options)))
}

async function del(keys: string[], options: DelOptions): Promise<number> {
  const fields: DeleteOptions = writeOptions(options)
  if (options.ifVersion !== undefined)
    fields.ifVersion = parseCount(options.ifVersion, '--if-version')
  const deleted = await withClient(options, client =>
    client.cache(options.cache, { codec: 'bytes' }).deleteMany(keys, fields),
  )
  return deleted.every(Boolean) ? EXIT.ok : EXIT.no
}
