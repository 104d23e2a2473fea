/** What the commands on keys share: their options, their codec, and what their failures mean. */
import { type Command, Option } from 'commander'
import type { WriteOptions } from '../contracts/cache.js'
import { parseAck } from './parse.js'
import { addServerOptions, runCommand, type ServerOptions } from './run.js'

export interface DataOptions extends ServerOptions {
  cache: string
}

/** --cache beside --server, --cluster and --timeout. */
export function addDataOptions(command: Command): Command {
  return addServerOptions(command).requiredOption('--cache <name>', 'name of the cache')
}

export function codecOption(summary: string): Option {
  return new Option('--codec <codec>', summary).choices(['msgpack', 'json', 'bytes'])
}

/** --ack as an option of a write. */
export function writeOptions(options: { ack?: string }): WriteOptions {
  return options.ack === undefined ? {} : { ack: parseAck(options.ack) }
}

const CONDITION_CODES = new Set(['VERSION_MISMATCH', 'ALREADY_EXISTS', 'NOT_FOUND'])

/** Runs a command on keys. A condition that was not met is no trouble: exit 1, and one line. */
export function run(work: () => Promise<number>): Promise<void> {
  return runCommand(work, CONDITION_CODES)
}
