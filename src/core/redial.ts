/**
 * How long to wait before a peer is dialled again. At once if the session that ended had lasted: a
 * refusal is the fast evidence of a death. One that the other side ends soon, because it refuses
 * what it hears, is no better than a failed dial: both back off, or two that refuse one another
 * would dial as fast as they can.
 */
import { TIMES } from '../config.js'
import type { Random } from '../contracts/environment.js'

/** From then on the wait grows no more. */
const FAILURES_MAX = 10

export class Redial {
  /** Dials that failed since a session began. */
  #failures = 0
  /** Sessions in a row that did not last. */
  #brief = 0
  #upAt = 0

  /** A session began at `now`, ms. */
  up(now: number): void {
    this.#failures = 0
    this.#upAt = now
  }

  /** The session ended at `now`: ms to wait. */
  afterLoss(now: number, random: Random): number {
    const lasted = now - this.#upAt >= TIMES.redialMsMax
    if (lasted) this.#brief = 0
    return lasted ? 0 : backOff(this.#brief++, random)
  }

  /** A dial failed: ms to wait. */
  afterFailure(random: Random): number {
    return backOff(this.#brief + this.#failures++, random)
  }

  /** The next session will be ended, too: ms to wait, which is as long as it gets. */
  whenUnwanted(random: Random): number {
    this.#failures = FAILURES_MAX
    return this.afterFailure(random)
  }
}

function backOff(failures: number, random: Random): number {
  const doubled = TIMES.redialMsMin * 2 ** Math.min(failures, FAILURES_MAX)
  return Math.min(TIMES.redialMsMax, doubled) * (0.5 + random.next() / 2)
}
