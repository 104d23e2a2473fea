/**
 * Values on a terminal. A server does not know what a value's bytes mean, so a person is shown the
 * first of these that fits: JSON, text, msgpack, and a hexadecimal dump.
 */
import { inspect } from 'node:util'
import { codecOf } from '../cache/codec.js'
import { plain } from './plain.js'

const TEXT = new TextDecoder('utf-8', { fatal: true })
const DUMP_BYTES_MAX = 4_096

/** What `bytes` probably are, as a value; bytes themselves where nothing fits. */
export function guess(bytes: Uint8Array): unknown {
  const text = textOf(bytes)
  if (text !== undefined) {
    try {
      return JSON.parse(text) as unknown
    } catch {
      return text
    }
  }
  try {
    return codecOf<unknown>('msgpack').decode(bytes)
  } catch {
    return bytes
  }
}

/** Undefined unless the bytes are UTF-8 without control characters. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = TEXT.decode(bytes)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what text has not
    return /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text) ? undefined : text
  } catch {
    return undefined
  }
}

/** For a terminal: several lines where the value has parts. */
export function pretty(value: unknown, colours: boolean): string {
  if (typeof value === 'string') return plain(value)
  if (value instanceof Uint8Array) return dump(value)
  return inspect(value, { colors: colours, depth: 12, maxStringLength: 10_000, breakLength: 90 })
}

/** For one line of JSON: bytes as base64 text. */
export function jsonable(value: unknown): unknown {
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value
}

function dump(bytes: Uint8Array): string {
  const lines: string[] = []
  const shown = Math.min(bytes.length, DUMP_BYTES_MAX)
  for (let at = 0; at < shown; at += 16) {
    const row = Buffer.from(bytes.subarray(at, Math.min(at + 16, shown)))
    const hex = row.toString('hex').replace(/(..)(?=.)/g, '$1 ')
    const ascii = row.toString('latin1').replace(/[^\x20-\x7e]/g, '.')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${ascii}`)
  }
  if (bytes.length > shown) lines.push(`... ${bytes.length - shown} bytes more`)
  return lines.join('\n')
}
