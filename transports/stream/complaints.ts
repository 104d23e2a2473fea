/**
 * Log lines about strangers and bad input: counted always, written at most at a rate, so that
 * nobody from outside can fill a disk. A line says how many were left out before it.
 */
import type { Clock, Logger } from '../../src/contracts/environment.js'

/** Lines that may come at once; then so many a second. */
const BURST = 20
const PER_SEC = 1

export class Complaints {
  readonly #logger: Logger
  readonly #clock: Clock
  #allowed = BURST
  #at: number
  #omitted = 0
  /** Everything that was complained of. */
  count = 0

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
    this.#at = clock.now()
  }

  warn(fields: Record<string, unknown>, text: string): void {
    this.count++
    const now = this.#clock.now()
    this.#allowed = Math.min(BURST, this.#allowed + ((now - this.#at) / 1_000) * PER_SEC)
    this.#at = now
    if (this.#allowed < 1) {
      this.#omitted++
      return
    }
    this.#allowed--
    const omitted = this.#omitted
    this.#omitted = 0
    this.#logger.warn(omitted === 0 ? fields : { ...fields, omitted }, text)
  }
}
