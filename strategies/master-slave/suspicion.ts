/**
 * When a slave believes that its master is dead. Evidence comes from its own link (refused,
 * silent); before any epoch changes all peers are asked whether they hear the master, and one yes
 * cancels.
 *
 *   fine --refused or silent--> probe --all say no--> wait 75 ms a lower ordinal --> promotion
 *    ^                            |
 *    +------ one says yes --------+  (again in 100 ms)
 */
import { TIMES } from '../../src/config.js'
import { isChartered } from './admission.js'
import type { Message } from './messages.js'
import { startPromotion } from './promotion.js'
import { counts, promisesWanted } from './quorum.js'
import type { GroupState, Peer, Sink } from './state.js'
import { isReplaced, tellView } from './views.js'

export interface Hunt {
  phase: 'probe' | 'wait'
  nonce: number
  asked: Set<string>
  until: number
}

const PROBE_WAIT_MS = 100
const PROBE_AGAIN_MS = 100
/** A master that hears no majority, though it is heard: acks are lost one way. */
const OUT_OF_TOUCH_MS = 300
const HINT_EVERY_MS = 200
const HUNT_AGAIN_MS = 1_000
/** Own delay stretches the limit, at most to so many times (Lifeguard, arXiv 1707.00788). */
const STRETCH_MAX = 8

/** Every turn whose clock moved, on a slave that holds data. */
export function watchMaster(s: GroupState, effects: Sink): void {
  if (!isSuspicious(s)) {
    s.hunt = undefined
    return
  }
  const hunt = s.hunt
  if (hunt === undefined) {
    if (s.now >= s.probeAfter && s.now >= s.candidateAfter) probe(s, effects)
  } else if (s.now >= hunt.until) {
    if (hunt.phase === 'probe') pass(s, effects, hunt)
    else {
      startPromotion(s, effects)
      // Another holds the lease: what was asked then may be otherwise by now.
      if (s.hunt === hunt && s.now - hunt.until >= HUNT_AGAIN_MS) s.hunt = undefined
    }
  }
}

/** The master is unknown, surely dead, or silent for too long. */
export function isSuspicious(s: GroupState): boolean {
  const peer = s.master === undefined ? undefined : s.peers.get(s.master)
  if (peer?.gone && peer.session === 0) return true
  if (isJustAwake(s)) return false
  if (peer === undefined) return true
  if (s.outOfTouchAt > 0 && s.now - s.outOfTouchAt > OUT_OF_TOUCH_MS) return true
  return s.now - s.masterHeardAt > silenceLimit(s)
}

/**
 * This process was stopped, and since it woke the others had less time to be heard than any master
 * has. Silence until then was its own, and what lay in its sockets is old: of two nodes the slave
 * that woke after 9 s or more suspected in its first turn, its promise fenced the master that was
 * heard in the next one, and where that one was busy for 150 ms the slave led, a minute behind. A
 * dial that is refused needs no time.
 */
function isJustAwake(s: GroupState): boolean {
  return s.now - s.wokeAt <= s.settings.suspectAfterMs
}

/** Silence that is suspicious: the setting, or less by hints, stretched by the node's own delay. */
function silenceLimit(s: GroupState): number {
  const { suspectAfterMs } = s.settings
  let late = 0
  for (const [, lateMs] of s.late) late = Math.max(late, lateMs)
  const limit = Math.min(suspectAfterMs, s.hints.shortenedTo)
  return Math.min(limit * STRETCH_MAX, limit + late)
}

function probe(s: GroupState, effects: Sink): void {
  const asked = new Set<string>()
  s.probes++
  const nonce = s.probes
  for (const peer of s.linked()) {
    if (peer.id === s.master) continue
    asked.add(peer.id)
    effects.send(peer.id, { type: 'probe', epoch: s.epoch, nonce })
  }
  s.hunt = { phase: 'probe', nonce, asked, until: s.now + PROBE_WAIT_MS }
  if (asked.size === 0) pass(s, effects, s.hunt)
}

export function onProbe(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Extract<Message, { type: 'probe' }>,
): void {
  const { epoch, nonce } = m
  const hears = hearsMaster(s, peer)
  effects.send(peer.id, { type: 'probe-reply', epoch, nonce, hears })
  // In profile ordinal it may be of the other side, and look in vain: the master's members are not
  // its own (seed 390 of style membership).
  if (hears && !s.commitsLate) tellView(s, effects, peer)
}

/** True if a master other than `asker` is linked and was heard lately, or is this very node. */
export function hearsMaster(s: GroupState, asker: Peer): boolean {
  if (s.role === 'master') return s.doubtAt === 0 && !s.outOfTouch
  if (s.master === undefined || s.master === asker.id) return false
  const peer = s.peers.get(s.master)
  if (peer === undefined || peer.session === 0) return false
  return s.outOfTouchAt === 0 && s.now - s.masterHeardAt <= s.settings.heardWithinMs
}

export function onProbeReply(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Extract<Message, { type: 'probe-reply' }>,
): void {
  // Nonce 0 is news: that peer has lost the master too, so asking again is worth it now.
  if (m.nonce === 0) {
    if (!m.hears) s.probeAfter = s.now
    return
  }
  const hunt = s.hunt
  if (hunt?.phase !== 'probe' || hunt.nonce !== m.nonce) return
  if (m.hears && !mayVouchForStranger(s, peer)) {
    s.hunt = undefined
    s.probeAfter = s.now + PROBE_AGAIN_MS
    return
  }
  hunt.asked.delete(peer.id)
  if (hunt.asked.size === 0) pass(s, effects, hunt)
}

/**
 * Where one vote is enough to lead, who knows another view may follow one that has left by ours, or
 * is no voter yet; nobody here follows that one, so a word for it must not keep this node back
 * (strict, seed 73). A learner may have been won over by one that was let go unawares; no master
 * that lacks this node's acks needs its word (strict, seed 399 of style membership).
 */
export function mayVouchForStranger(s: GroupState, by: Peer): boolean {
  if (!s.commitsLate || s.quorum.promises > 1) return false
  if (by.learner) return true
  for (const peer of s.peers.values())
    if (peer.left || ((peer.learner || isReplaced(s, peer)) && peer.said?.role === 'master'))
      return true
  return false
}

/** Nobody hears the master: wait for those of lower ordinal, then try. */
function pass(s: GroupState, effects: Sink, hunt: Hunt): void {
  if (isCutOff(s)) {
    s.hunt = undefined
    s.probeAfter = s.now + PROBE_AGAIN_MS
    return
  }
  let lower = 0
  for (const peer of s.linked())
    if (peer.ordinal < s.self.ordinal && peer.id !== s.master && mayLead(s, peer)) lower++
  hunt.phase = 'wait'
  hunt.until = s.now + lower * s.settings.ordinalStepMs
  if (lower === 0) startPromotion(s, effects)
}

function mayLead(s: GroupState, peer: Peer): boolean {
  return !peer.witness && peer.said?.data === 'ready' && counts(s, peer)
}

function isVoter(peer: Peer): boolean {
  return !peer.learner && !peer.left
}

/** Others that may vote and answered; one whose statement was lost may, too. */
function votersHeard(s: GroupState): number {
  let heard = 0
  for (const peer of s.peers.values()) {
    if (peer.session === 0 || s.now - peer.heardAt > 2 * PROBE_WAIT_MS) continue
    const unknown = peer.said === undefined || isChartered(s, peer)
    if (counts(s, peer) || (unknown && isVoter(peer))) heard++
  }
  return heard
}

/**
 * Fewer answer than a master needs to write, and not all others are proved dead: whoever they
 * follow may go on acknowledging. Leading here could acknowledge nothing, and its higher epoch
 * would replace all that they wrote at heal.
 */
function isCutOff(s: GroupState): boolean {
  if (s.commitsLate) return votersHeard(s) + 1 < promisesWanted(s)
  let answering = 0
  let unknown = 0
  for (const peer of s.peers.values()) {
    if (!isVoter(peer)) continue
    if (peer.session !== 0 && s.now - peer.heardAt <= 2 * PROBE_WAIT_MS) answering++
    else if (!(peer.gone && peer.session === 0)) unknown++
  }
  return unknown > 0 && answering < s.slavesToWriteMin
}

/**
 * A client does not hear the master: halves what is left to wait, never below 700 ms of silence.
 */
export function onHint(s: GroupState): void {
  if (s.role !== 'slave' || s.master === undefined) return
  const silence = s.now - s.masterHeardAt
  if (silence < 2 * s.settings.heartbeatMs || s.now - s.hints.at < HINT_EVERY_MS) return
  s.hints.at = s.now
  const limit = Math.min(s.settings.suspectAfterMs, s.hints.shortenedTo)
  const half = silence + (limit - silence) / 2
  s.hints.shortenedTo = Math.min(limit, Math.max(TIMES.hintSilenceMsMin, half))
}

/** The link with the followed master is down: others may be asking whether we hear it. */
export function tellLoss(s: GroupState, effects: Sink): void {
  const { epoch } = s
  for (const peer of s.linked())
    effects.send(peer.id, { type: 'probe-reply', epoch, nonce: 0, hears: false })
}
