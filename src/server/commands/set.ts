/** `gcache set`: one value from the command line or from stdin, with its life and its condition. */
import type { Command } from 'commander'
import { LIMITS } from '../../config.js'
import type { SetOptions, WriteReceipt } from '../../contracts/cache.js'
import { GcacheError } from '../../errors.js'
import { addDataOptions, codecOption, type DataOptions, run, writeOptions } from '../data.js'
import { parseCount, parseDuration } from '../parse.js'
import { EXIT, subcommand, withClient } from '../run.js'

interface SetCommandOptions extends DataOptions {
  ttl?: string
  idle?: string
  ifVersion?: string
  ifAbsent?: boolean
  ack?: string
  codec: 'msgpack' | 'json' | 'bytes'
  json?: boolean
}

export function setCommand(): Command {
  return addDataOptions(subcommand('set', 'set KEY to VALUE, or to what stdin holds'))
    .argument('<key>')
    .argument('[value]', "'-', or nothing where piped: read stdin")
    .option('--ttl <duration>', 'absolute life: 500ms, 30s, 30m, 12h, 7d; 0: none')
    .option('--idle <duration>', 'life without a set or touch')
    .option('--if-version <n>', 'only if the record has this version')
    .option('--if-absent', 'only if there is no record')
    .option('--ack <level>', 'wait for none, master, slaves:N, majority, insync or all')
    .addOption(codecOption('how VALUE becomes bytes').default('bytes'))
    .option('--json', 'print the whole receipt as one line of JSON')
    .addHelpText(
      'after',
      `
With the codec bytes, VALUE is stored as it is. With json or msgpack, VALUE is read as JSON and
stored in that encoding: what an application's cache with that codec reads (its default is msgpack).
Prints the record's new version. Exit: 0 done, 1 the condition was not met, 2 trouble.`,
    )
    .action((key: string, value: string | undefined, options: SetCommandOptions) =>
      run(() => set(key, value, options)),
    )
}

async function set(
  key: string,
  text: string | undefined,
  options: SetCommandOptions,
): Promise<number> {
  const fields = setOptions(options)
  const value = await valueFrom(text, options.codec)
  const receipt = await withClient(options, client =>
    client.cache<unknown>(options.cache, { codec: options.codec }).set(key, value, fields),
  )
  process.stdout.write(shown(receipt, options))
  return EXIT.ok
}

function shown(receipt: WriteReceipt, options: SetCommandOptions): string {
  if (options.json) return `${JSON.stringify(receipt)}\n`
  if (!process.stdout.isTTY) return `${receipt.version}\n`
  const copies = `${receipt.copies} ${receipt.copies === 1 ? 'copy' : 'copies'}`
  return `version ${receipt.version}, ${copies}, epoch ${receipt.epoch}\n`
}

function setOptions(options: SetCommandOptions): SetOptions {
  const fields: SetOptions = writeOptions(options)
  if (options.ttl !== undefined) fields.ttlMs = parseDuration(options.ttl, '--ttl')
  if (options.idle !== undefined) fields.idleMs = parseDuration(options.idle, '--idle')
  if (options.ifVersion !== undefined)
    fields.ifVersion = parseCount(options.ifVersion, '--if-version')
  if (options.ifAbsent) fields.ifAbsent = true
  return fields
}

async function valueFrom(text: string | undefined, codec: string): Promise<unknown> {
  const bytes = text === undefined || text === '-' ? await stdin() : Buffer.from(text)
  if (codec === 'bytes') return bytes
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    throw new GcacheError(
      'CONFIG',
      `with --codec ${codec} the value must be JSON: a text needs its quotes, '"like this"'`,
    )
  }
}

/** All of stdin, at most a value's bytes. */
async function stdin(): Promise<Buffer> {
  if (process.stdin.isTTY)
    throw new GcacheError('CONFIG', 'no value: give it after the key, or pipe it in')
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > LIMITS.valueBytesCeiling)
      throw new GcacheError(
        'LIMIT',
        `the value on stdin exceeds ${LIMITS.valueBytesCeiling} bytes, which no server takes`,
      )
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
