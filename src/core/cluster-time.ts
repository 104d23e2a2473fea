/**
 * Cluster time: stamped by the master, never falls, follows monotonic time and is slewed towards
 * the wall clock by at most 10 %. A slave keeps the last time it heard plus what passed since, so
 * its drift is bounded by one heartbeat and a failover neither kills nor revives a record.
 */

const SLEW = 0.1

export class ClusterTime {
  /** Milliseconds since 1970, more or less. 0: none yet. */
  time = 0
  /** What was last heard, plus what passed since. */
  #base = 0
  #now: number | undefined

  /** Lets monotonic time pass to `now`. `wall`: given only on a master, which alone slews. */
  pass(now: number, wall: number | undefined): void {
    const passed = Math.max(0, now - (this.#now ?? now))
    this.#now = now
    if (this.time === 0) return
    if (wall === undefined) {
      this.#base += passed
      this.time = Math.max(this.time, this.#base)
      return
    }
    const error = wall - this.time - passed
    this.time += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, error))
    this.#base = this.time
  }

  /** At least `time`: a batch was stamped with it. */
  raise(time: number): void {
    if (time > this.time) this.time = time
    if (time > this.#base) this.#base = time
  }

  /** The followed master says that it is `time` now. */
  follow(time: number): void {
    this.#base = time
    if (time > this.time) this.time = time
  }

  /** The data was replaced by that of another history, with a time of its own: may fall. */
  replace(time: number): void {
    this.time = time
    this.#base = time
  }
}
