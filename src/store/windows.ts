/**
 * Idempotency windows: what each writer's latest writes came to, so that a retry after a failover
 * gets the first answer and has no second effect (PROTOCOL 10 of the design). They are state: every
 * node holds the same ones.
 */
import { LIMITS } from '../config.js'
import type { Outcome } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'

/** Outcomes as bytes: the index plus one, because 0 says that nothing is known. */
export const OUTCOMES: readonly Outcome[] = [
  'ok',
  'exists',
  'version',
  'missing',
  'full',
  'expired',
]

/** What a window knows of a sequence number, besides a recorded outcome's code. */
export const FRESH = 0
export const OUTSIDE = 255

/** A window that was this large stays so: bursts would make it grow again at once. */
const PLACES_KEPT = 256
const PLACES_MIN = 8

/**
 * Results of `[lowest, highest)`, at most 1,024, in a ring that grows and shrinks with what is in
 * flight: ten thousand idle windows cost little. `lowest` never falls.
 */
export class Window {
  readonly id: string
  lowest: number
  /** One past the largest sequence number recorded. */
  highest: number
  /** The last entry that named this window, and its cluster time in ms. */
  used: Offset
  usedAt: number
  #codes = new Uint8Array(PLACES_MIN)
  #versions = new Float64Array(PLACES_MIN)

  constructor(id: string, lowest: number, used: Offset, usedAt: number) {
    this.id = id
    this.lowest = lowest
    this.highest = lowest
    this.used = used
    this.usedAt = usedAt
  }

  /** An entry of this writer arrived, and it has received all results below `lowest`. */
  use(lowest: number, offset: Offset, time: number): void {
    this.used = offset
    this.usedAt = time
    if (lowest > this.lowest) this.#raise(lowest)
  }

  /**
   * FRESH; the code of the recorded outcome; or OUTSIDE: a late duplicate whose result was received
   * long ago, or a number too far ahead. Neither may execute.
   */
  look(seq: number): number {
    if (seq < this.lowest || seq >= this.lowest + LIMITS.windowWritesMax) return OUTSIDE
    return seq >= this.highest ? FRESH : this.#codes[seq % this.#codes.length]
  }

  /** The version reported with a recorded outcome. */
  version(seq: number): Offset {
    return this.#versions[seq % this.#codes.length]
  }

  /** `look(seq)` was FRESH; `code` is an outcome's. */
  record(seq: number, code: number, version: Offset): void {
    let places = this.#codes.length
    while (seq - this.lowest >= places) places *= 2
    if (places > this.#codes.length) this.#resize(places)
    const at = seq % places
    this.#codes[at] = code
    this.#versions[at] = version
    if (seq >= this.highest) this.highest = seq + 1
  }

  #raise(lowest: number): void {
    const places = this.#codes.length
    if (lowest >= this.lowest + places) this.#codes.fill(0)
    else for (let seq = this.lowest; seq < lowest; seq++) this.#codes[seq % places] = 0
    this.lowest = lowest
    if (this.highest < lowest) this.highest = lowest
    if (places > PLACES_KEPT && (this.highest - lowest) * 16 <= places) this.#resize(PLACES_MIN)
  }

  #resize(placesMin: number): void {
    const codes = this.#codes
    const versions = this.#versions
    let places = placesMin
    while (places < this.highest - this.lowest) places *= 2
    this.#codes = new Uint8Array(places)
    this.#versions = new Float64Array(places)
    for (let seq = this.lowest; seq < this.highest; seq++) {
      this.#codes[seq % places] = codes[seq % codes.length]
      this.#versions[seq % places] = versions[seq % codes.length]
    }
  }
}
