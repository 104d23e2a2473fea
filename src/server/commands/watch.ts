/** `gcache watch`: every change of a cache as it happens, until it is interrupted. */
import type { Command } from 'commander'
import type { ChangeEvent } from '../../contracts/cache.js'
import { addDataOptions, type DataOptions, run } from '../data.js'
import { paintFor } from '../paint.js'
import { parseCount } from '../parse.js'
import { guess, jsonable, pretty } from '../print-value.js'
import { EXIT, subcommand, withClient } from '../run.js'

interface WatchCommandOptions extends DataOptions {
  count?: string
}

export function watchCommand(): Command {
  return addDataOptions(subcommand('watch', 'print changes of keys that begin with PREFIX'))
    .argument('[prefix]', 'all keys without it', '')
    .option('--count <n>', 'stop after so many changes')
    .addHelpText(
      'after',
      `
Piped, each change is a line of JSON: {kind, key, version, value}. Kind 'gap' says that changes may
be missing from there (a failover, a lost link). Ends by Ctrl-C, exit 0; 2 trouble.`,
    )
    .action((prefix: string, options: WatchCommandOptions) => run(() => watch(prefix, options)))
}

async function watch(prefix: string, options: WatchCommandOptions): Promise<number> {
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
  let left =
    options.count === undefined ? Number.POSITIVE_INFINITY : parseCount(options.count, '--count', 1)
  try {
    await withClient(options, async client => {
      const cache = client.cache<Uint8Array>(options.cache, { codec: 'bytes' })
      for await (const event of cache.watch({ prefix, signal: stop.signal })) {
        process.stdout.write(line(event))
        left--
        if (left <= 0) break
      }
    })
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
  return EXIT.ok
}

function line(event: ChangeEvent<Uint8Array>): string {
  const { kind, key, version } = event
  const value = event.value === undefined ? undefined : guess(event.value)
  if (!process.stdout.isTTY)
    return `${JSON.stringify({ kind, key, version, value: jsonable(value) })}\n`
  const paint = paintFor(process.stdout)
  const word = kind === 'gap' ? paint.red(kind) : paint.bold(kind)
  const tail = value === undefined ? '' : `  ${pretty(value, !process.env.NO_COLOR)}`
  return `${word.padEnd(6)}  ${key}  ${paint.dim(`version ${version}`)}${tail}\n`
}
