/** Copies share a budget of bytes: the next slice of any is read once there is some again. */
import type { Effects } from '../../src/contracts/strategy.js'
import type { GroupId } from '../../src/contracts/types.js'

interface Wanted {
  readonly group: GroupId
  readonly id: number
  readonly bytesMax: number
}

/** What may be copied at once after a rest, ms of the rate: a tick and its delay. */
const BURST_MS = 50

export class Copies {
  readonly #bytesPerSec: number
  #bytes: number
  #at = 0
  #waiting: Wanted[] = []

  constructor(bytesPerSec: number) {
    this.#bytesPerSec = bytesPerSec
    this.#bytes = (bytesPerSec * BURST_MS) / 1_000
  }

  /** False: it waits, and is asked for by a later tick. */
  may(wanted: Wanted): boolean {
    if (this.#bytes > 0) return true
    this.#waiting.push(wanted)
    return false
  }

  /** A slice came; it may overdraw. */
  took(bytes: number): void {
    this.#bytes -= bytes
  }

  tick<M>(now: number, effects: Effects<M>): void {
    const most = (this.#bytesPerSec * BURST_MS) / 1_000
    const more = ((now - this.#at) * this.#bytesPerSec) / 1_000
    this.#bytes = Math.min(most, this.#bytes + more)
    this.#at = now
    if (this.#bytes <= 0 || this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    // One that ended meanwhile answers with a slice that its group passes over.
    for (const { group, id, bytesMax } of waiting) effects.readSnapshot(group, id, bytesMax)
  }

  forget(group: GroupId): void {
    this.#waiting = this.#waiting.filter(one => one.group !== group)
  }
}
