/**
 * Outgoing buffers, lent from link to link: a link holds one only while it has bytes to write, so
 * that ten thousand idle links hold none.
 */

/** A turn's frames are written at once up to this many bytes. */
export const OUT_BUFFER_BYTES = 65_536
const SPARE_MAX = 16

export class OutBuffers {
  readonly #spare: Buffer[] = []

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(OUT_BUFFER_BYTES)
  }

  give(buffer: Buffer): void {
    if (this.#spare.length < SPARE_MAX) this.#spare.push(buffer)
  }
}
