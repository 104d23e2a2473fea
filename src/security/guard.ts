/**
 * What failed attempts cost: each makes the next reply from the same host to the same user later,
 * and after a few there are so many a minute, right or wrong (KIP-306). Hosts are counted apart, so
 * that nobody locks a user out for others. Known and unknown users are counted alike.
 */
import { AUTH } from '../config.js'
import type { Clock, Logger } from '../contracts/environment.js'
import { Debts } from '../core/debts.js'

export class Guard {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #failures = new Debts({
    faultsMax: AUTH.failuresBurst,
    forgivenPerMinute: AUTH.failuresPerMinute,
    keysMax: AUTH.allowancesMax,
  })
  #loggedMs = Number.NEGATIVE_INFINITY
  #unlogged = 0
  /** Failed attempts so far. */
  failed = 0

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** False: too many have failed, this one fails as well, whatever it brings. */
  allows(host: string, user: string): boolean {
    return this.#failures.of(keyOf(host, user), this.#clock.now()) <= AUTH.failuresBurst - 1
  }

  /** Counts a failure; returns after how many ms the other side may hear of it. */
  failure(host: string, user: string, facts: Record<string, unknown>): number {
    const failures = this.#failures.add(keyOf(host, user), this.#clock.now())
    this.failed++
    this.#log({ ...facts, host, user: user.slice(0, 80) })
    return Math.min(AUTH.delayMsMax, AUTH.delayMs * 2 ** Math.ceil(failures))
  }

  success(host: string, user: string): void {
    this.#failures.forget(keyOf(host, user))
  }

  #log(facts: Record<string, unknown>): void {
    const now = this.#clock.now()
    if (now - this.#loggedMs < AUTH.logEveryMs) {
      this.#unlogged++
      return
    }
    this.#loggedMs = now
    const more = this.#unlogged
    this.#unlogged = 0
    this.#logger.warn({ ...facts, more }, 'an arriving link did not prove who it is')
  }
}

/** JSON, because a stranger's name may hold anything. */
function keyOf(host: string, user: string): string {
  return JSON.stringify([host, user.slice(0, 200)])
}
