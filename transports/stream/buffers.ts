/**
 * Outgoing buffers, lent from link to link: a link holds one only while it has bytes to write, so
 * that ten thousand idle links hold none.
 */

/** A turn's frames are written at once up to this many bytes. */
export const OUT_BUFFER_BYTES = 65_536
const SPARE_MAX = 16
/** A large frame's buffer is kept for the next one up to this many bytes: a snapshot slice. */
const LARGE_BYTES_KEPT = 524_288

export class OutBuffers {
  readonly #spare: Buffer[] = []
  #large: Buffer | undefined

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(OUT_BUFFER_BYTES)
  }

  give(buffer: Buffer): void {
    if (this.#spare.length < SPARE_MAX) this.#spare.push(buffer)
  }

  /** For a frame that fits no buffer: at least `size` bytes. */
  takeLarge(size: number): Buffer {
    const large = this.#large
    if (large === undefined || large.length < size) return Buffer.allocUnsafeSlow(size)
    this.#large = undefined
    return large
  }

  giveLarge(buffer: Buffer): void {
    if (buffer.length <= LARGE_BYTES_KEPT) this.#large = buffer
  }
}
