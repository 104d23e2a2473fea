/**
 * A hybrid logical clock (Kulkarni et al., 2014): stamps that order all writes of a cluster, near
 * real time and never behind anything that was heard. A stamp is one whole number below 2^53,
 *
 *   ms since 2020 * 2^13 | counter * 2^bits | ordinal        2^bits > every ordinal of the cluster
 *
 * so no two nodes mint the same one, ties are decided by the ordinal, and a stamp names its origin.
 */
import { assert } from './assert.js'
import { ClusterTime } from './cluster-time.js'

/** 2020-01-01T00:00:00Z: 40 bits of ms last until 2054. */
const FIRST_MS = 1_577_836_800_000
/** Stamps of one ms, those of all origins together. */
const SLOTS = 2 ** 13

/** Bits that hold every ordinal up to `highest`. */
export function ordinalBits(highest: number): number {
  let bits = 0
  while (2 ** bits <= highest) bits++
  return bits
}

/** Milliseconds since 1970 in which `stamp` was minted. */
export function stampMs(stamp: number): number {
  return FIRST_MS + Math.floor(stamp / SLOTS)
}

/** The lowest stamp of that millisecond; 0 before 2020. */
export function firstStampOf(ms: number): number {
  return Math.max(0, Math.floor(ms) - FIRST_MS) * SLOTS
}

export class HybridClock {
  readonly #time = new ClusterTime()
  readonly #ordinal: number
  /** From one stamp of this node to its next. */
  readonly step: number
  /** The last stamp minted or heard; the next one of this node is above it. */
  #last = 0
  /** It has minted no stamp. */
  isUnused = true

  constructor(ordinal: number, bits: number) {
    assert(ordinal < 2 ** bits && bits <= 8, `ordinal ${ordinal} needs more than ${bits} bits`)
    this.#ordinal = ordinal
    this.step = 2 ** bits
  }

  /** Milliseconds since 1970, on all nodes the same but for a frame's way: falls by restart(). */
  get ms(): number {
    return this.#time.time
  }

  /** How far the stamps have run ahead of the time, by many writes in a ms. */
  get aheadMs(): number {
    return Math.max(0, stampMs(this.#last) - this.ms)
  }

  /** The ordinal of the node that minted `stamp`. */
  originOf(stamp: number): number {
    return stamp % this.step
  }

  /** Monotonic time passes to `now`, slewed towards `wall` by at most 10 %, so that a wall clock
   *  that jumps is noticed before it does harm; undefined: that is not to be trusted. */
  pass(now: number, wall: number | undefined): void {
    this.#time.pass(now, wall)
    if (this.#time.time === 0 && wall !== undefined) this.#time.raise(Math.max(wall, FIRST_MS))
  }

  /** The stamp that take() would return. */
  get next(): number {
    const floor = Math.max(firstStampOf(this.ms), this.#last + 1)
    return Math.ceil((floor - this.#ordinal) / this.step) * this.step + this.#ordinal
  }

  /** A stamp of this node, above all that were minted or heard here; `step` above the last one as
   *  long as no time passes and nothing is heard. */
  take(): number {
    const stamp = this.next
    assert(Number.isSafeInteger(stamp), `stamp ${stamp} is no safe integer`)
    this.#last = stamp
    this.isUnused = false
    return stamp
  }

  /** A stamp that was accepted: what follows here is above it, and the time is not before it. */
  hear(stamp: number): void {
    if (stamp <= this.#last) return
    this.#last = stamp
    this.#time.raise(stampMs(stamp))
  }

  /** The wall clock by which this one began was wrong: it begins once more. */
  restart(wall: number): void {
    assert(this.isUnused, 'stamps that were minted might be minted again')
    this.#last = 0
    this.#time.replace(Math.max(wall, FIRST_MS))
  }

  /** Another node's time, which was accepted. */
  hearTime(ms: number): void {
    this.#time.raise(ms)
  }
}
