/**
 * A password or key that cannot slip into a log line: as text, JSON or in inspect() it is
 * `[redacted]`, and its bytes are handed out only by name. Strings it was made from stay with the
 * garbage collector; the bytes held here are zeroed when it is dropped.
 */
import { inspect } from 'node:util'
import { GcacheError } from '../errors.js'
import { saslprep } from './saslprep.js'

const REDACTED = '[redacted]'

export class Secret {
  #bytes: Buffer

  /** Copies `value`: bytes as they are, text in the form of RFC 4013. CONFIG for text that has
   *  none. */
  constructor(value: string | Uint8Array) {
    this.#bytes = typeof value === 'string' ? textOf(value) : Buffer.from(value)
  }

  get length(): number {
    return this.#bytes.length
  }

  /** The bytes themselves, borrowed for the call: not to be kept, changed or printed. */
  expose<T>(use: (bytes: Uint8Array) => T): T {
    return use(this.#bytes)
  }

  /** Zeroes the bytes; what is exposed later is empty. */
  drop(): void {
    this.#bytes.fill(0)
    this.#bytes = Buffer.alloc(0)
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}

function textOf(value: string): Buffer {
  const text = saslprep(value)
  if (text !== undefined) return Buffer.from(text)
  throw new GcacheError('CONFIG', 'a secret or password holds control or format characters')
}

/**
 * The first line's worth of `bytes`: one line break at the end is cut off, `bytes` is zeroed.
 * CONFIG, naming `whose`, if it is empty, has a second line, is no UTF-8, holds what RFC 4013
 * prohibits, or less than `bytesMin`.
 */
export function secretFrom(bytes: Buffer, whose: string, bytesMin = 1): Secret {
  let end = bytes.length
  if (end > 0 && bytes[end - 1] === 10) end--
  if (end > 0 && bytes[end - 1] === 13) end--
  const line = bytes.subarray(0, end)
  const control = line.some(byte => byte < 32 || byte === 127)
  const written = control ? '' : line.toString('utf8')
  const faithful = Buffer.from(written).equals(line)
  const text = faithful ? saslprep(written) : undefined
  bytes.fill(0)
  if (control) throw new GcacheError('CONFIG', `${whose} holds control characters: one line only`)
  // Bytes that are no text would all be read as one and the same sign.
  if (!faithful) throw new GcacheError('CONFIG', `${whose} is not UTF-8: write it as text`)
  if (text === undefined)
    throw new GcacheError('CONFIG', `${whose} holds signs that no password may hold (RFC 4013)`)
  const secret = new Secret(text)
  if (secret.length >= bytesMin) return secret
  const fact = `${whose} has ${secret.length} bytes, at least ${bytesMin} are needed`
  secret.drop()
  throw new GcacheError('CONFIG', fact)
}
