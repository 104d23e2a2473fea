/**
 * The law of a link session (T3) for media that lose, repeat and reorder silently: datagrams are
 * numbered from 0, repeats are dropped, early ones wait for those before them, and a gap that does
 * not close ends the session. A medium that may lose the last datagram says from time to time how
 * many there were (`sent`, `isComplete`), or nobody would miss it.
 */

/** The numbers of one direction. */
export class SessionSender {
  /** How many datagrams were numbered: the next one's number. */
  sent = 0

  next(): number {
    return this.sent++
  }
}

export class SessionReceiver<T> {
  readonly #deliver: (item: T) => void
  readonly #heldMax: number
  readonly #early = new Map<number, T>()
  #next = 0

  /** `heldMax`: how many early datagrams wait at most. */
  constructor(heldMax: number, deliver: (item: T) => void) {
    this.#heldMax = heldMax
    this.#deliver = deliver
  }

  /** Datagrams that wait for an earlier one; `0 <= held <= heldMax`. */
  get held(): number {
    return this.#early.size
  }

  /**
   * Takes datagram `number` and delivers all that are in order now. False: the gap before it cannot
   * be waited for any more; the session must end and nothing be accepted.
   */
  accept(number: number, item: T): boolean {
    if (number < this.#next || this.#early.has(number)) return true
    if (number > this.#next) {
      if (this.#early.size >= this.#heldMax) return false
      this.#early.set(number, item)
      return true
    }
    this.#next++
    this.#deliver(item)
    while (this.#early.size > 0) {
      const early = this.#early.get(this.#next)
      if (early === undefined) break
      this.#early.delete(this.#next++)
      this.#deliver(early)
    }
    return true
  }

  /** True if all of the first `sent` datagrams have been delivered. */
  isComplete(sent: number): boolean {
    return this.#next >= sent
  }
}
