/**
 * What was done to whom and when: the injected faults as intervals. The oracle of acknowledged
 * writes excuses a loss only with these, so a fault that is not written down here excuses nothing.
 *
 *   cut, clog, reset, loss   between two nodes: neither can be counted on to hear the other
 *   stop                     a pause, stall or start of one node: the same with everybody
 */
import type { PeerId } from '../contracts/types.js'

interface Interval {
  readonly from: number
  to: number
}

/** After a link's fault ends: a dial lost in it (2 s), the longest redial pause (1 s), the hello. */
export const LINK_RECOVERY_MS = 3_500
/** After a process ran again: its backlog of frames is worked off and its links are looked at. */
export const STOP_RECOVERY_MS = 1_500
/** Waiting shorter than this fits into the 150 ms in which a candidate collects promises. */
export const HARMLESS_STOP_MS = 100

/** A zero-length fault with its recovery is no separation. */
const SEPARATION_MS = LINK_RECOVERY_MS + 300

export class Disturbances {
  readonly #byPair = new Map<string, Interval[]>()
  readonly #byNode = new Map<PeerId, Interval[]>()
  /** The medium itself is bad (loss, high latency): nothing between nodes can be counted on. */
  everywhere = false

  /** Begins a fault between `a` and `b`; call the result with the time at which it ended. */
  between(a: PeerId, b: PeerId, now: number): (end: number) => void {
    return open(this.#byPair, pairOf(a, b), now, LINK_RECOVERY_MS)
  }

  at(node: PeerId, now: number): (end: number) => void {
    return open(this.#byNode, node, now, STOP_RECOVERY_MS)
  }

  /** True if nodes were kept apart or stopped for longer than a moment within [from, to], so that
   *  two of them may have led at once. Starts do not count. */
  separated(from: number, to: number): boolean {
    if (this.everywhere) return true
    for (const list of [...this.#byPair.values(), ...this.#byNode.values()])
      for (const { from: begin, to: end } of list)
        if (begin <= to && end >= from && Math.min(end, to) - begin > SEPARATION_MS) return true
    return false
  }

  /** True if `node` was stopped at some time in [from, to]. */
  stopped(node: PeerId, from: number, to: number): boolean {
    return overlaps(this.#byNode.get(node), from, to)
  }

  /** True if `a` and `b` could not count on each other at some time in [from, to]. */
  disturbed(a: PeerId, b: PeerId, from: number, to: number): boolean {
    if (a === b) return false
    return (
      this.everywhere ||
      overlaps(this.#byPair.get(pairOf(a, b)), from, to) ||
      overlaps(this.#byNode.get(a), from, to) ||
      overlaps(this.#byNode.get(b), from, to)
    )
  }
}

function pairOf(a: PeerId, b: PeerId): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`
}

function open(
  map: Map<string, Interval[]>,
  key: string,
  now: number,
  recoveryMs: number,
): (end: number) => void {
  const interval: Interval = { from: now, to: Number.POSITIVE_INFINITY }
  const list = map.get(key)
  if (list === undefined) map.set(key, [interval])
  else list.push(interval)
  return end => {
    interval.to = end + recoveryMs
  }
}

function overlaps(list: readonly Interval[] | undefined, from: number, to: number): boolean {
  if (list === undefined) return false
  for (const interval of list) if (interval.from <= to && interval.to >= from) return true
  return false
}
