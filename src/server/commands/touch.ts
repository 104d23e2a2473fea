/** `gcache touch`: prolongs a record's life without its value. */
import type { Command } from 'commander'
import type { TouchOptions } from '../../contracts/cache.js'
import { addDataOptions, type DataOptions, run, writeOptions } from '../data.js'
import { parseDuration } from '../parse.js'
import { EXIT, subcommand, withClient } from '../run.js'

interface TouchCommandOptions extends DataOptions {
  ttl?: string
  ack?: string
}

export function touchCommand(): Command {
  return addDataOptions(subcommand('touch', "prolong KEY's life"))
    .argument('<key>')
    .option(
      '--ttl <duration>',
      'a new absolute life from now on; without it the idle time restarts',
    )
    .option('--ack <level>', 'wait for none, master, slaves:N, majority, insync or all')
    .addHelpText('after', '\nExit: 0 done, 1 not found, 2 trouble.')
    .action((key: string, options: TouchCommandOptions) => run(() => touch(key, options)))
}

async function touch(key: string, options: TouchCommandOptions): Promise<number> {
  const fields: TouchOptions = writeOptions(options)
  if (options.ttl !== undefined) fields.ttlMs = parseDuration(options.ttl, '--ttl')
  const found = await withClient(options, client =>
    client.cache(options.cache, { codec: 'bytes' }).touch(key, fields),
  )
  return found ? EXIT.ok : EXIT.no
}
