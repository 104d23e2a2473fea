/**
 * Frames on a byte stream: u32 little-endian length, then so many bytes. A declared length is
 * judged before a byte is buffered (law T13), and what a frame needs is held in one growing buffer,
 * never in a list of pieces, so that a dribbling sender costs no more than a quick one
 * (SECURITY 6, 10).
 */
import { GcacheError } from '../errors.js'

/** Bytes before each frame. */
export const FRAME_HEAD_BYTES = 4

/** A buffer above this is given back as soon as its frame was delivered: idle links hold little. */
const HELD_BYTES_KEPT = 16_384
const HELD_BYTES_MIN = 256
/** A frame that arrives slowly holds at most so many times its bytes. */
const GROWTH = 4

export interface FrameSink {
  /** `frame` is borrowed for the call. */
  onFrame(frame: Uint8Array): void
}

/** Writes the length prefix of a frame of `length` bytes at `at`. */
export function writeFrameHead(target: Uint8Array, at: number, length: number): void {
  target[at] = length
  target[at + 1] = length >>> 8
  target[at + 2] = length >>> 16
  target[at + 3] = length >>> 24
}

/** The frame with its prefix, as the caller's own bytes: for rare frames. */
export function framed(frame: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(FRAME_HEAD_BYTES + frame.length)
  writeFrameHead(bytes, 0, frame.length)
  bytes.set(frame, FRAME_HEAD_BYTES)
  return bytes
}

/** Cuts a stream into frames, fed with chunks of any size. */
export class FrameDecoder {
  /** The largest frame let through, bytes; may change between frames. */
  frameBytesMax: number
  /** Told of every frame; may change between frames. */
  sink: FrameSink
  #held: Buffer | undefined
  /** Bytes of an unfinished frame in `#held`, its head included. */
  #filled = 0
  #stopped = false
  /** Frames that had to be held, this one included: tells one from the next. */
  begun = 0
  /** Where in the stream the frame begins that push() has thrown for. */
  failedAt = 0
  /** Bytes of the stream before the current chunk. */
  #passed = 0

  constructor(frameBytesMax: number, sink: FrameSink) {
    this.frameBytesMax = frameBytesMax
    this.sink = sink
  }

  /** Bytes held for an unfinished frame. */
  get heldBytes(): number {
    return this.#filled
  }

  /** No frame is delivered any more, not even the rest of the current chunk. */
  stop(): void {
    this.#stopped = true
    this.#held = undefined
    this.#filled = 0
  }

  /**
   * Delivers every frame that ends in `chunk`, in order: as a view into it where the whole frame
   * lies there. Throws FRAME_TOO_BIG for a length over the limit, PROTOCOL_ERROR for one of 0, and
   * whatever the sink throws; after a throw nothing is delivered any more.
   */
  push(chunk: Uint8Array): void {
    if (this.#stopped) return
    const end = chunk.length
    let at = 0
    let whole = Number.POSITIVE_INFINITY
    let done = false
    const before = this.#filled
    try {
      if (this.#filled > 0) at = this.#complete(chunk)
      while (end - at >= FRAME_HEAD_BYTES && !this.#stopped) {
        const next = at + FRAME_HEAD_BYTES + this.#judged(chunk, at)
        if (next > end) {
          whole = next - at
          break
        }
        this.sink.onFrame(chunk.subarray(at + FRAME_HEAD_BYTES, next))
        at = next
      }
      if (at < end && !this.#stopped) this.#hold(chunk, at, end, whole)
      done = true
      this.#passed += end
    } finally {
      if (!done) {
        // In #complete() `at` is still 0, and the frame began in an earlier chunk.
        this.failedAt = this.#passed + (at === 0 ? -before : at)
        this.stop()
      }
    }
  }

  /** The declared length at `at`, if it may be. */
  #judged(bytes: Uint8Array, at: number): number {
    const length =
      (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
    if (length > this.frameBytesMax)
      throw new GcacheError(
        'FRAME_TOO_BIG',
        `frame of ${length} bytes exceeds frameBytesMax ${this.frameBytesMax}: raise it everywhere`,
      )
    if (length === 0) throw new GcacheError('PROTOCOL_ERROR', 'frame of 0 bytes')
    return length
  }

  /** Goes on with the held frame; returns how far `chunk` was used up. */
  #complete(chunk: Uint8Array): number {
    let at = 0
    if (this.#filled < FRAME_HEAD_BYTES) {
      at = Math.min(FRAME_HEAD_BYTES - this.#filled, chunk.length)
      this.#hold(chunk, 0, at, HELD_BYTES_MIN)
      if (this.#filled < FRAME_HEAD_BYTES) return at
    }
    const held = this.#held as Buffer
    const whole = FRAME_HEAD_BYTES + this.#judged(held, 0)
    const taken = Math.min(whole - this.#filled, chunk.length - at)
    this.#hold(chunk, at, at + taken, whole)
    if (this.#filled < whole) return at + taken
    const full = this.#held as Buffer
    this.#filled = 0
    if (full.length > HELD_BYTES_KEPT) this.#held = undefined
    this.sink.onFrame(full.subarray(FRAME_HEAD_BYTES, whole))
    return at + taken
  }

  /** Appends `chunk[from, to)` to the held bytes, which grow fourfold when full, up to `whole`. */
  #hold(chunk: Uint8Array, from: number, to: number, whole: number): void {
    if (this.#filled === 0) this.begun++
    const needed = this.#filled + to - from
    let held = this.#held
    if (held === undefined || held.length < needed) {
      const grown = Math.max(HELD_BYTES_MIN, GROWTH * needed)
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(grown, whole)))
      held?.copy(larger, 0, 0, this.#filled)
      held = larger
      this.#held = larger
    }
    held.set(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to), this.#filled)
    this.#filled = needed
  }
}
