/**
 * Whose clock is wrong. A frame that says "it is t here" and arrives at t' proves that the sender's
 * clock is ahead by at least t - t', however late it came: late is not skewed. So of all that came
 * lately the highest counts, and nothing proves that a clock is behind but the other side's word.
 *
 *   surely ahead of this node   more than 2 s, by its own frames       its entries are refused
 *   this node is ahead          more than 2 s, by the others' words    its writes are (CLOCK_SKEW)
 *   its stamps are              more than 4 s, by the others' words    so are they
 *
 * The stamps of a clock that began wrong stay ahead when it is set right, and come back by a tenth
 * of what passes: others would drop, and after an hour take, what was written meanwhile. Who has
 * stamped nothing yet need not wait for that.
 *
 * Of three clocks that disagree the odd one is wrong: who is surely behind more than half of all
 * members goes by the middle one, never by the highest, and who is ahead of half of those that are
 * linked is ahead.
 */
import { BROADCAST } from '../../src/config.js'
import { firstStampOf } from '../../src/core/hybrid-clock.js'
import type { BroadcastState, Peer, Sink } from './state.js'

/** The highest of what was measured within the last second or two. */
export class Measured {
  #now = Number.NEGATIVE_INFINITY
  #before = Number.NEGATIVE_INFINITY
  #since = Number.NEGATIVE_INFINITY

  note(value: number, now: number): void {
    this.#turn(now)
    this.#now = Math.max(this.#now, value)
  }

  /** -Infinity: nothing was measured lately. */
  at(now: number): number {
    this.#turn(now)
    return Math.max(this.#now, this.#before)
  }

  #turn(now: number): void {
    if (now - this.#since < BROADCAST.measuredMs) return
    const fresh = now - this.#since < 2 * BROADCAST.measuredMs
    this.#before = fresh ? this.#now : Number.NEGATIVE_INFINITY
    this.#now = Number.NEGATIVE_INFINITY
    this.#since = now
  }
}

/** A frame of `peer` came now, and its clock says `wall`. */
export function measure(s: BroadcastState, peer: Peer, wall: number): void {
  peer.clock.note(wall - s.now, s.now)
}

/** By how much its clock is surely ahead of this node's, ms: as that one stands now, if somebody
 *  has set it since a frame came. -Infinity: nothing is sure. */
export function aheadMsOf(s: BroadcastState, peer: Peer): number {
  return peer.clock.at(s.now) - (s.wall - s.now)
}

/** True if nothing that `peer` stamps may enter: its clock is ahead, and not this one behind. */
export function isAhead(s: BroadcastState, effects: Sink, peer: Peer): boolean {
  const aheadMs = aheadMsOf(s, peer)
  if (aheadMs <= BROADCAST.skewMs || aheadMs - behindMs(s) <= BROADCAST.skewMs) return false
  if (s.now - peer.alarmedAt >= BROADCAST.alarmEveryMs) {
    peer.alarmedAt = s.now
    alarm(effects, peer.id, aheadMs)
  }
  return true
}

/** The highest stamp that is let in: honest clocks may be 2 s apart, and a third one 2 s more. */
export function stampMax(s: BroadcastState): number {
  return firstStampOf(s.wall + behindMs(s) + 2 * BROADCAST.skewMs)
}

/** Every tick: whether this node's own clock is the one that is ahead, or its stamps are. */
export function judgeOwn(s: BroadcastState, effects: Sink): void {
  let heard = 1
  let behind = 0
  let refusing = 0
  let aheadMs = 0
  const leadMs = s.clock.ms - s.wall
  for (const peer of s.linked()) {
    const told = peer.toldAhead.at(s.now)
    if (told === Number.NEGATIVE_INFINITY) continue
    heard++
    if (told > BROADCAST.skewMs) behind++
    // Its clock is no later than that: what is stamped here now, it surely does not let in.
    if (told + leadMs > 2 * BROADCAST.skewMs) refusing++
    aheadMs = Math.max(aheadMs, told, told + leadMs)
  }
  s.skewed = behind > 0 && behind * 2 >= heard
  if (!isUnsure(s)) s.early = refusing > 0 && refusing * 2 >= heard
  if (!isRefused(s) || s.now - s.skewAlarmedAt < BROADCAST.alarmEveryMs) return
  s.skewAlarmedAt = s.now
  alarm(effects, s.env.self, aheadMs)
}

/** True if others would not let in what this node stamps now. */
export function isRefused(s: BroadcastState): boolean {
  return s.skewed || s.early
}

/** True if this node, which has stamped nothing yet, may set its time down to its clock, which is
 *  right by now, and copy once more what it has let expire too soon. */
export function mayRestart(s: BroadcastState): boolean {
  if (!s.early || s.skewed || !s.clock.isUnused || isUnsure(s)) return false
  for (const peer of s.linked()) if (peer.serving) return true
  return false
}

/** The clock of this node was set lately: what others say of it may be of before. */
function isUnsure(s: BroadcastState): boolean {
  return s.now - s.jumpedAt < BROADCAST.sureAfterMs
}

/** By how much this clock is behind, ms: the middle one of all members' is surely so far ahead. 0:
 *  it is not, or by no more than clocks may be. Of members that say nothing, nothing is sure. */
function behindMs(s: BroadcastState): number {
  const members = s.peers.size + 1
  const leads: number[] = []
  for (const peer of s.linked()) {
    const lead = aheadMsOf(s, peer)
    if (lead > BROADCAST.skewMs) leads.push(lead)
  }
  if (leads.length * 2 <= members) return 0
  // Those that are not ahead are the lower ones.
  return leads.sort((a, b) => a - b)[((members - 1) >> 1) - (members - leads.length)]
}

function alarm(effects: Sink, node: string, aheadMs: number): void {
  effects.report('clock-skew', { code: 'CLOCK_SKEW', node, aheadMs: Math.round(aheadMs) }, 'warn')
}
