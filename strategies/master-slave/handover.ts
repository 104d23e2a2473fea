/**
 * A planned change of the master (PROTOCOL 14): the master asks whether the target answers, holds
 * new writes, waits until the target has all, and tells it to take over. Reads go on until the old
 * master promises. Once it was told, the old epoch is never resumed: if nothing comes of it, the
 * old master leads on under its own next one (aborting a Redis FAILOVER can leave two masters).
 *
 *   ask --it answers--> hold --it has all--> sent --its prepare arrives--> slave
 *    | 200 ms: another    | 1 s, link lost     | 1 s, link lost
 *    v                    v                    v
 *   refused             failed, leads on     failed, promotion under the own next epoch
 */
import { TIMES } from '../../src/config.js'
import type { Input } from '../../src/contracts/strategy.js'
import type { Epoch, PeerId, Session } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import type { ErrorCode } from '../../src/errors.js'
import { letGo } from './lease.js'
import { heartbeat, serveIfReady } from './master.js'
import type { Message } from './messages.js'
import { type Candidacy, startPromotion, votes } from './promotion.js'
import { counts, promisesWanted } from './quorum.js'
import { isCurrent } from './slave.js'
import type { GroupState, Peer, Sink } from './state.js'
import { isVoterIn, settledView } from './views.js'

type Of<T extends Message['type']> = Extract<Message, { type: T }>

export interface Handover {
  phase: 'ask' | 'hold' | 'sent'
  target: PeerId
  /** The target's link when it was asked: a new link is another order of messages. */
  session: Session
  /** An ack that echoes it or later was said after the question. */
  askedTime: number
  /** When the phase ends without a result. `late`: it has, and the frames that wait in a socket
   *  since get one more look: it may have been this node that stood still. */
  until: number
  late: boolean
  heldAt: number
  readonly named: boolean
  readonly tried: Set<PeerId>
}

/** A target that is silent for so long is not waited for: nothing is held yet. */
const ASK_MS_MAX = 200
/** New writes are held no longer than this. PROTOCOL 14 step 2. */
const HOLD_MS_MAX = 1_000
/** Writes that wait for slower slaves than the target hold it up for so long: their clients find
 *  the results with the new master. */
const SETTLE_MS_MAX = 50
const LATE_MS = 50
/** What a node that was stopped reads so soon was told to it while it slept. */
const ASLEEP_MS = 200
/** The new master waits so long for those who are neither it nor the old one. */
const OTHERS_MS_MAX = 30

/** An admin's command, answered by reports 'handover' (src/contracts/strategy.ts). */
export function onAdmin(
  s: GroupState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'admin' }>,
): void {
  if (input.command !== 'handover') return
  const named = input.peer
  if (s.role !== 'master') return refuse(effects, 'NOT_MASTER', `${s.master ?? 'nobody'} is master`)
  if (!s.serving) return refuse(effects, 'NOT_READY', `${s.env.self} does not serve yet`)
  if (s.handover !== undefined)
    return refuse(effects, 'BUSY', `a handover to ${s.handover.target} is under way`)
  if (named !== undefined && !s.peers.has(named))
    return refuse(effects, 'CONFIG', `${named} is no other member of this cluster`)
  const target = choose(s, named, new Set())
  if (target === undefined) return refuse(effects, 'HANDOVER_REFUSED', whyNobody(named))
  effects.report('handover', { state: 'begun', to: target.id })
  ask(s, effects, target, named !== undefined, new Set())
}

function whyNobody(named: PeerId | undefined): string {
  return named === undefined ? 'no slave that answers is in sync' : `${named} is not in sync`
}

function refuse(effects: Sink, code: ErrorCode, message: string): void {
  effects.report('handover', { state: 'refused', code, message })
}

/** The named slave, or the one of lowest ordinal, if it is in sync and was heard just now. */
function choose(s: GroupState, named: PeerId | undefined, tried: Set<PeerId>): Peer | undefined {
  let best: Peer | undefined
  for (const peer of s.peers.values()) {
    if (named !== undefined && peer.id !== named) continue
    if (tried.has(peer.id) || !mayTakeOver(s, peer)) continue
    if (best === undefined || peer.ordinal < best.ordinal) best = peer
  }
  return best
}

function mayTakeOver(s: GroupState, peer: Peer): boolean {
  const { progress } = peer
  // That it is ready it says once, and that word may have been lost below the law of transports:
  // who is in sync has acked all that made it so (partitioned, seed 95).
  if (peer.session === 0 || peer.congested || peer.said === undefined) return false
  // Who is made a voter by a view that may yet be truncated is none to whoever lacks that view.
  if (!counts(s, peer) || !isVoterIn(settledView(s), peer.id)) return false
  if (progress?.state !== 'stream' || !progress.inSync) return false
  return s.now - peer.heardAt <= s.settings.heardWithinMs
}

function ask(s: GroupState, effects: Sink, to: Peer, named: boolean, tried: Set<PeerId>): void {
  tried.add(to.id)
  const times = { askedTime: s.clock.time, until: s.now + ASK_MS_MAX, late: false, heldAt: 0 }
  s.handover = { phase: 'ask', target: to.id, session: to.session, ...times, named, tried }
  heartbeat(s, effects)
}

/** True while writes are held: they are refused for now, and come again by themselves. */
export function holdsWrites(s: GroupState): boolean {
  return s.handover !== undefined && s.handover.phase !== 'ask'
}

/** An ack of the target: it answers, or has all there is. */
export function onTargetAck(s: GroupState, effects: Sink, peer: Peer, m: Of<'append-ack'>): void {
  const handover = s.handover
  if (handover?.target !== peer.id || compareEpochs(m.epoch, s.epoch) !== 0) return
  if (handover.phase === 'ask' && m.echo >= handover.askedTime) {
    handover.phase = 'hold'
    handover.heldAt = s.now
    handover.until = s.now + HOLD_MS_MAX
  }
  advance(s, effects, handover)
}

/** Every turn whose clock moved, on a master; and when a link went down. */
export function tickHandover(s: GroupState, effects: Sink): void {
  const handover = s.handover
  if (handover === undefined) return
  const peer = s.peers.get(handover.target)
  if (peer === undefined || peer.session !== handover.session)
    return fail(s, effects, handover, 'its link was lost')
  if (s.now < handover.until) return advance(s, effects, handover)
  if (!handover.late) {
    handover.late = true
    handover.until = s.now + LATE_MS
  } else fail(s, effects, handover, 'it did not take over in time')
}

function advance(s: GroupState, effects: Sink, handover: Handover): void {
  if (handover.phase !== 'hold') return
  const peer = s.peers.get(handover.target)
  if (peer?.progress?.state !== 'stream' || peer.progress.acked !== s.next) return
  if (s.waiting?.isEmpty === false && s.now - handover.heldAt < SETTLE_MS_MAX) return
  handover.phase = 'sent'
  const { epoch, next } = s
  effects.report('handover', { state: 'sent', to: handover.target, epoch: epoch.number })
  effects.send(handover.target, { type: 'handover', epoch, next })
  if (s.lease === undefined) return
  // The target needs it before it can ask for promises.
  letGo(s, effects)
  serveIfReady(s, effects)
}

function fail(s: GroupState, effects: Sink, handover: Handover, why: string): void {
  const { phase, target, named, tried } = handover
  s.handover = undefined
  const other = phase === 'ask' && !named ? choose(s, undefined, tried) : undefined
  if (other !== undefined) return ask(s, effects, other, false, tried)
  if (phase === 'ask') return refuse(effects, 'HANDOVER_REFUSED', `${target} does not answer`)
  const message = `${target} was to take over from ${s.env.self}: ${why}`
  effects.report('handover', { state: 'failed', code: 'HANDOVER_FAILED', message })
  // It may lead by now: the old epoch is over, whatever became of the new one.
  if (phase === 'sent') startPromotion(s, effects, { doubted: target })
}

/**
 * The master gives its place to this slave, which has everything: no probe, no silence awaited. One
 * that was stopped as it was told does not: the old master leads on after 1 s, and of two nodes it
 * was deposed by this one, which led without all that had been written since if it was busy.
 */
export function onHandover(s: GroupState, effects: Sink, peer: Peer, m: Of<'handover'>): void {
  if (!isCurrent(s, effects, peer, m.epoch) || s.now - s.wokeAt < ASLEEP_MS) return
  if (s.data !== 'ready' || !s.synced || s.next !== m.next) return
  if (s.commitsLate && !s.voter) return
  startPromotion(s, effects, { handover: s.epoch })
}

/** True if the epoch that this node leads or follows gives its place to the sender: that its
 *  master is heard is no reason to refuse then. */
export function isHandedOver(s: GroupState, m: Of<'prepare'>): boolean {
  return m.handover !== undefined && compareEpochs(m.handover, s.epoch) === 0
}

/** How long a candidate waits for promises. */
export function promiseWaitMs(s: GroupState, handover: Epoch | undefined): number {
  return handover === undefined ? s.settings.promiseWaitMs : TIMES.oldMasterWaitMs
}

/** The old master has promised and nobody holds more than it had: a slave that is slow to answer
 *  need not be waited for. */
export function hasPromiseOfOld(s: GroupState, candidacy: Candidacy): boolean {
  const { handover, from, promises, phase, since } = candidacy
  if (handover === undefined || from === undefined || phase !== 'prepare') return false
  if (!promises.has(from) || s.now - since < OTHERS_MS_MAX) return false
  return votes(s, candidacy) >= promisesWanted(s)
}
