/**
 * Whose clock is wrong. A frame that says "it is t here" and arrives at t' proves that the sender's
 * clock is ahead by at least t - t', however late it came: late is not skewed. So of all that came
 * lately the highest counts, and nothing proves that a clock is behind but the other side's word.
 *
 *   surely ahead of this node   more than 2 s, by its own frames       its entries are refused
 *   this node is ahead          more than 2 s, by the others' words    its writes are (CLOCK_SKEW)
 *
 * Of three clocks that disagree the odd one is wrong: who is behind half of the others believes
 * them, and who is ahead of half of all members is ahead.
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
  peer.ahead.note(wall - s.wall, s.now)
}

/** True if nothing that `peer` stamps may enter: its clock is ahead, and not this one behind. */
export function isAhead(s: BroadcastState, effects: Sink, peer: Peer): boolean {
  const aheadMs = peer.ahead.at(s.now)
  if (aheadMs <= BROADCAST.skewMs || isBehind(s)) return false
  if (s.now - peer.alarmedAt >= BROADCAST.alarmEveryMs) {
    peer.alarmedAt = s.now
    alarm(effects, peer.id, aheadMs)
  }
  return true
}

/** The highest stamp that is let in: honest clocks may be 2 s apart, and a third one 2 s more. */
export function stampMax(s: BroadcastState): number {
  const base = isBehind(s) ? Math.max(s.wall, s.clock.ms, leadOf(s)) : s.wall
  return firstStampOf(base + 2 * BROADCAST.skewMs)
}

/** Every tick: whether this node's own clock is the one that is ahead. */
export function judgeOwn(s: BroadcastState, effects: Sink): void {
  let heard = 1
  let behind = 0
  let aheadMs = 0
  for (const peer of s.linked()) {
    const told = peer.toldAhead.at(s.now)
    if (told === Number.NEGATIVE_INFINITY) continue
    heard++
    if (told <= BROADCAST.skewMs) continue
    behind++
    aheadMs = Math.max(aheadMs, told)
  }
  s.skewed = behind > 0 && behind * 2 >= heard
  if (!s.skewed || s.now - s.skewAlarmedAt < BROADCAST.alarmEveryMs) return
  s.skewAlarmedAt = s.now
  alarm(effects, s.env.self, aheadMs)
}

/** More than half of all members are surely ahead of this one. */
function isBehind(s: BroadcastState): boolean {
  let heard = 1
  let ahead = 0
  for (const peer of s.linked()) {
    heard++
    if (peer.ahead.at(s.now) > BROADCAST.skewMs) ahead++
  }
  return ahead * 2 > heard
}

/** The highest clock of the others, ms. */
function leadOf(s: BroadcastState): number {
  let lead = s.wall
  for (const peer of s.linked()) lead = Math.max(lead, s.wall + peer.ahead.at(s.now))
  return lead
}

function alarm(effects: Sink, node: string, aheadMs: number): void {
  effects.report('clock-skew', { code: 'CLOCK_SKEW', node, aheadMs: Math.round(aheadMs) }, 'warn')
}
