/**
 * What all clients together have not taken. Each queue has a bound of its own, but ten thousand of
 * them have none; when the sum is too large, those who are furthest behind are cut off first, and
 * whoever reads hears nothing of it (SECURITY 12).
 */
import { GcacheError } from '../../src/errors.js'

/** A link with a client, as far as it is behind. */
export interface Reader {
  readonly name: string
  readonly unsentBytes: number
}

/** So much of the bound is free after a cut: laggards are put in order once for many of them. */
const FREED = 1 / 8

export class Unread<R extends Reader> {
  readonly #bytesMax: number
  readonly #cut: (reader: R, cause: GcacheError) => void
  /** Whoever has anything unread, and how much was counted of it. */
  readonly #counted = new Map<R, number>()
  #bytes = 0

  /** `cut` ends a reader's link and calls forget(). */
  constructor(bytesMax: number, cut: (reader: R, cause: GcacheError) => void) {
    this.#bytesMax = bytesMax
    this.#cut = cut
  }

  get bytes(): number {
    return this.#bytes
  }

  /** `reader` may have more unread than before, or less. */
  count(reader: R): void {
    const now = reader.unsentBytes
    const before = this.#counted.get(reader) ?? 0
    if (now === before) return
    if (now === 0) this.#counted.delete(reader)
    else this.#counted.set(reader, now)
    this.#bytes += now - before
    if (this.#bytes > this.#bytesMax) this.#relieve()
  }

  /** Its link is over. */
  forget(reader: R): void {
    this.#bytes -= this.#counted.get(reader) ?? 0
    this.#counted.delete(reader)
  }

  #relieve(): void {
    const laggards = [...this.#counted].sort(([, one], [, other]) => other - one)
    const goal = this.#bytesMax * (1 - FREED)
    for (const [reader, bytes] of laggards) {
      if (this.#bytes <= goal) return
      const text =
        `${reader.name} has ${bytes} bytes unread, and all clients together more than ` +
        `${this.#bytesMax}`
      this.#cut(reader, new GcacheError('SLOW_CONSUMER', text))
    }
  }
}
