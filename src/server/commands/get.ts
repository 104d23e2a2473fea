/** `gcache get`: one value, its bytes as they are where piped, readable on a terminal. */
import { type Command, Option } from 'commander'
import type { CodecChoice, Entry, ReadMode } from '../../contracts/cache.js'
import { addDataOptions, codecOption, type DataOptions, run } from '../data.js'
import { guess, jsonable, pretty } from '../print-value.js'
import { EXIT, subcommand, withClient } from '../run.js'

interface GetOptions extends DataOptions {
  codec?: 'msgpack' | 'json' | 'bytes'
  json?: boolean
  read?: ReadMode
}

export function getCommand(): Command {
  return addDataOptions(subcommand('get', 'print the value of KEY'))
    .argument('<key>')
    .addOption(codecOption('decode with this instead: the value is printed as JSON'))
    .addOption(
      new Option('--read <mode>', 'who answers: local asks a slave near by').choices([
        'master',
        'local',
        'linearizable',
      ]),
    )
    .option('--json', 'one line of JSON: {key, value, version, expiresAt}')
    .addHelpText(
      'after',
      `
Piped, the value's bytes are written as they are. On a terminal they are shown as JSON, text,
msgpack or a dump, whichever fits first. With --json, bytes that are none of these are {base64}.
Exit: 0 found, 1 not found, 2 trouble.`,
    )
    .action((key: string, options: GetOptions) => run(() => get(key, options)))
}

async function get(key: string, options: GetOptions): Promise<number> {
  const codec: CodecChoice<unknown> = options.codec ?? 'bytes'
  const { read = 'master' } = options
  const entry = await withClient(options, client =>
    client.cache<unknown>(options.cache, { codec }).getEntry(key, { read }),
  )
  if (entry === undefined) return EXIT.no
  process.stdout.write(shown(key, entry, options))
  return EXIT.ok
}

function shown(key: string, entry: Entry<unknown>, options: GetOptions): string | Uint8Array {
  const { value, version, expiresAt } = entry
  const decoded = value instanceof Uint8Array && options.codec === undefined ? guess(value) : value
  if (options.json)
    return `${JSON.stringify({ key, value: jsonable(decoded), version, expiresAt })}\n`
  if (process.stdout.isTTY) return `${pretty(decoded, !process.env.NO_COLOR)}\n`
  if (value instanceof Uint8Array) return value
  return `${JSON.stringify(value)}\n`
}
