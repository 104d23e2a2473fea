/**
 * Writer and Reader over Uint8Array: little-endian, bounds-checked, no allocation a field. Text of
 * small strings is written and read by hand, because a native call costs more than 30 bytes do.
 */
import { GcacheError } from '../errors.js'
import { BY_HAND_BYTES_MAX, copyPart, keptCopy } from './copy.js'

const UTF8 = new TextEncoder()

/** A growing buffer. `view()` lends what was written; `reset()` takes it back. */
export class Writer {
  #bytes: Buffer
  #data: DataView
  length = 0

  constructor(bytesInitial = 4_096) {
    this.#bytes = Buffer.allocUnsafeSlow(bytesInitial)
    this.#data = new DataView(this.#bytes.buffer)
  }

  reset(): void {
    this.length = 0
  }

  /** The written bytes; overwritten after the next reset(). */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }

  /** The bytes from `start` on; they stay as they are until reset(). */
  viewFrom(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.length)
  }

  /** The written bytes as the caller's own. */
  copy(): Uint8Array {
    const own = Buffer.allocUnsafeSlow(this.length)
    this.#bytes.copy(own, 0, 0, this.length)
    return own
  }

  /** As copy(), cut from a larger buffer (copy.ts). */
  keep(): Uint8Array {
    return keptCopy(this.#bytes, 0, this.length)
  }

  ensure(bytesMore: number): void {
    const needed = this.length + bytesMore
    if (needed <= this.#bytes.length) return
    let size = this.#bytes.length * 2
    while (size < needed) size *= 2
    const larger = Buffer.allocUnsafeSlow(size)
    this.#bytes.copy(larger, 0, 0, this.length)
    this.#bytes = larger
    this.#data = new DataView(larger.buffer)
  }

  u8(value: number): void {
    this.ensure(1)
    this.#bytes[this.length++] = value
  }

  u16(value: number): void {
    this.ensure(2)
    this.#data.setUint16(this.length, value, true)
    this.length += 2
  }

  u32(value: number): void {
    this.ensure(4)
    this.#data.setUint32(this.length, value, true)
    this.length += 4
  }

  /** Any whole number up to 2^53 - 1, or a time in ms: 8 bytes. */
  f64(value: number): void {
    this.ensure(8)
    this.#data.setFloat64(this.length, value, true)
    this.length += 8
  }

  /** Overwrites 4 bytes at `at`, `at + 4 <= length`. */
  patchU32(at: number, value: number): void {
    this.#data.setUint32(at, value, true)
  }

  patchF64(at: number, value: number): void {
    this.#data.setFloat64(at, value, true)
  }

  patchU16(at: number, value: number): void {
    this.#data.setUint16(at, value, true)
  }

  bytes(source: Uint8Array, start = 0, end: number = source.length): void {
    const count = end - start
    this.ensure(count)
    copyPart(source, start, end, this.#bytes, this.#data, this.length)
    this.length += count
  }

  /** One byte a char; the caller knows that no char is above 0xff. */
  latin1(text: string): void {
    const count = text.length
    this.ensure(count)
    if (count <= BY_HAND_BYTES_MAX) {
      const target = this.#bytes
      let at = this.length
      for (let i = 0; i < count; i++) target[at++] = text.charCodeAt(i)
    } else this.#bytes.latin1Write(text, this.length, count)
    this.length += count
  }

  /** UTF-8 without a length. Returns the bytes written. */
  utf8(text: string): number {
    const count = text.length
    this.ensure(count * 3)
    const start = this.length
    const target = this.#bytes
    if (count <= BY_HAND_BYTES_MAX) {
      let i = 0
      for (; i < count; i++) {
        const code = text.charCodeAt(i)
        if (code > 0x7f) break
        target[start + i] = code
      }
      if (i === count) {
        this.length = start + count
        return count
      }
    }
    const written = UTF8.encodeInto(text, target.subarray(start)).written
    this.length = start + written
    return written
  }

  /** u8 length, then UTF-8; at most 255 bytes. */
  text8(text: string): void {
    const at = this.length
    this.u8(0)
    const count = this.utf8(text)
    if (count > 255) throw new GcacheError('LIMIT', `text of ${count} bytes exceeds 255`)
    this.#bytes[at] = count
  }

  /** u16 length, then UTF-8; at most 65,535 bytes. */
  text16(text: string): void {
    const at = this.length
    this.u16(0)
    const count = this.utf8(text)
    if (count > 65_535) throw new GcacheError('LIMIT', `text of ${count} bytes exceeds 65535`)
    this.#data.setUint16(at, count, true)
  }
}

const NOTHING = Buffer.alloc(0)
const NO_DATA = new DataView(new ArrayBuffer(0))

/** Reads what a Writer wrote. Every overrun is a PROTOCOL_ERROR with the position. */
export class Reader {
  #source: Uint8Array | undefined
  #bytes: Buffer = NOTHING
  #data: DataView = NO_DATA
  at = 0
  end = 0

  constructor(source?: Uint8Array) {
    if (source) this.open(source)
  }

  /** Begins to read `source[start, end)`; positions count from the start of `source`. */
  open(source: Uint8Array, start = 0, end: number = source.length): this {
    // The entries of a batch are opened one by one in the same bytes: views are made once.
    if (source !== this.#source) {
      this.#source = source
      this.#bytes = Buffer.isBuffer(source)
        ? source
        : Buffer.from(source.buffer, source.byteOffset, source.byteLength)
      this.#data = new DataView(source.buffer, source.byteOffset, source.byteLength)
    }
    this.at = start
    this.end = end
    return this
  }

  get source(): Buffer {
    return this.#bytes
  }

  get left(): number {
    return this.end - this.at
  }

  #need(count: number): number {
    const at = this.at
    if (count > this.end - at) this.fail(`${count} bytes wanted, ${this.end - at} left`)
    this.at = at + count
    return at
  }

  fail(what: string): never {
    throw new GcacheError('PROTOCOL_ERROR', `at byte ${this.at}: ${what}`, { offset: this.at })
  }

  /** Asserts that everything was read. */
  finish(): void {
    if (this.at !== this.end) this.fail(`${this.end - this.at} bytes too many`)
  }

  u8(): number {
    return this.#bytes[this.#need(1)]
  }

  u16(): number {
    return this.#data.getUint16(this.#need(2), true)
  }

  u32(): number {
    return this.#data.getUint32(this.#need(4), true)
  }

  f64(): number {
    return this.#data.getFloat64(this.#need(8), true)
  }

  /** A whole number in [0, 2^53), else a PROTOCOL_ERROR. */
  whole(): number {
    const value = this.f64()
    if (!Number.isSafeInteger(value) || value < 0) this.fail('not a whole number')
    return value
  }

  /** Passes over `count` bytes and returns where they began. */
  skip(count: number): number {
    return this.#need(count)
  }

  /** A view into the source: borrowed. */
  view(count: number): Uint8Array {
    const at = this.#need(count)
    return this.#bytes.subarray(at, at + count)
  }

  /** The caller's own bytes. */
  copy(count: number): Uint8Array {
    const at = this.#need(count)
    const own = Buffer.allocUnsafeSlow(count)
    this.#bytes.copy(own, 0, at, at + count)
    return own
  }

  /** As copy(), cut from a larger buffer (copy.ts). */
  keep(count: number): Uint8Array {
    const at = this.#need(count)
    return keptCopy(this.#bytes, at, at + count)
  }

  latin1(count: number): string {
    const at = this.#need(count)
    return this.#bytes.latin1Slice(at, at + count)
  }

  /** UTF-8 of `count` bytes; pure ASCII, the common case, is read as latin1. */
  utf8(count: number): string {
    const at = this.#need(count)
    const end = at + count
    const bytes = this.#bytes
    for (let i = at; i < end; i++) if (bytes[i] > 0x7f) return bytes.utf8Slice(at, end)
    return bytes.latin1Slice(at, end)
  }

  text8(): string {
    return this.utf8(this.u8())
  }

  text16(): string {
    return this.utf8(this.u16())
  }
}

declare global {
  /** Node's own fast paths, which its types leave out. */
  interface Buffer {
    latin1Slice(start: number, end: number): string
    utf8Slice(start: number, end: number): string
    latin1Write(text: string, at: number, count: number): number
  }
}
