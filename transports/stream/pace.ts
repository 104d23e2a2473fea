/**
 * Links that hold something up: a frame that has begun and does not go on (SECURITY 10), bytes for
 * a client that it does not take (SECURITY 12). One timer for all of them, and none while there are
 * none. Time is counted in checks that came about, so a process that slept blames nobody for it.
 */
import { LIMITS } from '../../src/config.js'
import type { Clock, Timer } from '../../src/contracts/environment.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import { GcacheError } from '../../src/errors.js'

/** A link, as it is judged. */
export interface Paced {
  readonly over: boolean
  /** In the list of those that are judged. */
  watched: boolean
  readonly name: string
  /** Bytes of a frame that has begun, and which one it is. */
  readonly heldBytes: number
  readonly begun: number
  /** We read from it. */
  readonly reading: boolean
  readonly unsentBytes: number
  /** Changes whenever some of them leave. */
  readonly departure: number
  /** The unsent ones are a client's to take. */
  readonly mustTake: boolean
  lost(loss: LinkLoss, cause: GcacheError): void
}

export interface PaceLimits {
  readonly frameGraceMs: number
  readonly stalledMs: number
}

interface Judged {
  readonly link: Paced
  begun: number
  slowMs: number
  departure: number
  stalledMs: number
}

/** Checks in the shorter of the two times: as fine as a bound needs to be. */
const CHECKS = 5

export class Pace {
  readonly #clock: Clock
  readonly #limits: PaceLimits
  readonly #everyMs: number
  #judged: Judged[] = []
  #timer: Timer | undefined
  #stopped = false

  constructor(clock: Clock, limits: PaceLimits) {
    this.#clock = clock
    this.#limits = limits
    this.#everyMs = Math.min(limits.frameGraceMs, limits.stalledMs) / CHECKS
  }

  /** Links that are judged now. */
  get size(): number {
    return this.#judged.length
  }

  /** Judges `link` until it holds nothing up any more. */
  watch(link: Paced): void {
    if (this.#stopped) return
    link.watched = true
    const { begun, departure } = link
    this.#judged.push({ link, begun, slowMs: 0, departure, stalledMs: 0 })
    this.#timer ??= this.#clock.after(this.#everyMs, this.#check)
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#judged = []
  }

  readonly #check = (): void => {
    const judged = this.#judged
    this.#judged = []
    this.#timer = undefined
    for (const one of judged) {
      const { link } = one
      if (!link.over) this.#judge(one)
      if (this.#stopped) return
      if (!link.over && (link.heldBytes > 0 || (link.mustTake && link.unsentBytes > 0)))
        this.#judged.push(one)
      else link.watched = false
    }
    if (this.#judged.length > 0) this.#timer ??= this.#clock.after(this.#everyMs, this.#check)
  }

  #judge(one: Judged): void {
    const { link } = one
    const { frameGraceMs, stalledMs } = this.#limits
    if (link.begun !== one.begun || link.heldBytes === 0) {
      one.begun = link.begun
      one.slowMs = 0
    } else if (link.reading) one.slowMs += this.#everyMs
    if (link.departure !== one.departure || link.unsentBytes === 0 || !link.mustTake) {
      one.departure = link.departure
      one.stalledMs = 0
    } else one.stalledMs += this.#everyMs
    const earnedMs = (link.heldBytes / LIMITS.frameBytesPerSecMin) * 1_000
    if (one.slowMs >= frameGraceMs + earnedMs) {
      const text = `a frame of ${link.name} came to ${link.heldBytes} bytes in ${one.slowMs} ms`
      link.lost('timeout', new GcacheError('TIMEOUT', text))
    } else if (one.stalledMs >= stalledMs) {
      const text = `${link.name} takes none of the ${link.unsentBytes} bytes that wait for it`
      link.lost('local', new GcacheError('SLOW_CONSUMER', text))
    }
  }
}
