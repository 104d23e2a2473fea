/**
 * Cluster time: stamped by the master, never falls, follows monotonic time and is slewed towards
 * the wall clock by at most 10 %. A new master continues the last one heard, so that a failover
 * neither kills nor revives a record.
 */

const SLEW = 0.1

export class ClusterTime {
  /** Milliseconds since 1970, more or less. */
  time = 0
  #now = 0

  /** Lets monotonic time pass to `now`. `wall`: given only on a master, which alone slews. */
  pass(now: number, wall: number | undefined): void {
    const passed = Math.max(0, now - this.#now)
    this.#now = now
    if (this.time === 0) return
    const error = wall === undefined ? 0 : wall - this.time - passed
    this.time += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, error))
  }

  /** Takes over a later time that was heard. */
  hear(time: number): void {
    if (time > this.time) this.time = time
  }
}
