/**
 * Outgoing frames, one behind the other in a large buffer that is never written twice: a frame
 * stays as it is for as long as anybody holds it, without a copy and without knowing when the turn
 * ends.
 */
import { Writer } from './bytes.js'

/** A frame larger than it grows the slab for that one frame. */
const SLAB_BYTES = 65_536

export class FrameSlab {
  readonly #bytes: number
  #out: Writer
  #start = 0

  constructor(bytes = SLAB_BYTES) {
    this.#bytes = bytes
    this.#out = new Writer(bytes)
  }

  /** Begins a frame; write it into what this returns. */
  begin(): Writer {
    if (this.#out.length * 2 > this.#bytes) this.#out = new Writer(this.#bytes)
    this.#start = this.#out.length
    return this.#out
  }

  /** Bytes of the frame so far. */
  get frameBytes(): number {
    return this.#out.length - this.#start
  }

  /** Ends the frame and lends it; nobody writes to it again. */
  end(): Uint8Array {
    return this.#out.viewFrom(this.#start)
  }

  /** Takes back the frame that was begun. */
  cancel(): void {
    this.#out.length = this.#start
  }
}
