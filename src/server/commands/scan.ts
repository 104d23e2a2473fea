/** `gcache scan`: the keys of a cache, with their values if wanted, page by page. */
import { once } from 'node:events'
import type { Command } from 'commander'
import { addDataOptions, type DataOptions, run } from '../data.js'
import { parseCount } from '../parse.js'
import { plain } from '../plain.js'
import { guess, jsonable, pretty } from '../print-value.js'
import { EXIT, subcommand, withClient } from '../run.js'

interface ScanOptions extends DataOptions {
  values?: boolean
  json?: boolean
  limit?: string
}

export function scanCommand(): Command {
  return addDataOptions(subcommand('scan', 'list the keys that begin with PREFIX'))
    .argument('[prefix]', 'all keys without it', '')
    .option('--values', 'the values as well')
    .option('--json', 'a line of JSON a record: {key} or {key, value}')
    .option('--limit <n>', 'stop after so many')
    .addHelpText('after', '\nIn no order. Exit: 0 found any, 1 found none, 2 trouble.')
    .action((prefix: string, options: ScanOptions) => run(() => scan(prefix, options)))
}

async function scan(prefix: string, options: ScanOptions): Promise<number> {
  const limit =
    options.limit === undefined ? Number.POSITIVE_INFINITY : parseCount(options.limit, '--limit', 1)
  let count = 0
  await withClient(options, async client => {
    const cache = client.cache<Uint8Array>(options.cache, { codec: 'bytes' })
    for await (const [key, value] of cache.entries({ prefix })) {
      if (!process.stdout.write(line(key, value, options))) await once(process.stdout, 'drain')
      count++
      if (count >= limit) break
    }
  })
  return count > 0 ? EXIT.ok : EXIT.no
}

function line(key: string, value: Uint8Array, options: ScanOptions): string {
  if (options.json)
    return `${JSON.stringify(options.values ? { key, value: jsonable(guess(value)) } : { key })}\n`
  const name = process.stdout.isTTY ? plain(key) : key
  if (!options.values) return `${name}\n`
  return `${name}\t${pretty(guess(value), false).replace(/\s*\n\s*/g, ' ')}\n`
}
