/**
 * From suspicion to mastership: a new epoch, a promise from everybody reachable, the best log
 * pulled, a first entry of the own epoch (Viewstamped Replication's view change; PROTOCOL 8).
 * P = 1 in profile ordinal: a candidate that reaches nobody may lead alone.
 */
import { TIMES } from '../../src/config.js'
import type { Epoch, Offset, PeerId } from '../../src/contracts/types.js'
import { commonPoint, compareEpochs, isBetterLog } from '../../src/core/epochs.js'
import { continuesChain } from '../../src/wire/batch.js'
import { Waiting } from './acks.js'
import { isChartered, writeCharter } from './admission.js'
import { appendNoop, feedWitnesses } from './feed.js'
import { yieldsTo } from './force.js'
import { hasPromiseOfOld, isHandedOver, promiseWaitMs } from './handover.js'
import { letGo, mayPromote, ownEpoch } from './lease.js'
import { serveIfReady, settle, stepDown } from './master.js'
import type { Message } from './messages.js'
import { isOfHistory, votesFor } from './owed.js'
import { mayStand, promisesWanted, votesHere } from './quorum.js'
import { isForeign, isOlderHistory, orphan } from './slave.js'
import type { GroupState, Peer, Sink } from './state.js'
import { hasForgotten, noteStated } from './stated.js'
import { hearsMaster, mayVouchForStranger } from './suspicion.js'
import { dropTold, isReplaced, remembers } from './views.js'

type Of<T extends Message['type']> = Extract<Message, { type: T }>

export interface Candidacy {
  readonly epoch: Epoch
  readonly since: number
  readonly from: PeerId | undefined
  /** The epoch whose master gives its place to this node. */
  readonly handover: Epoch | undefined
  /** Linked and perhaps stopped: not waited for like a busy slave. */
  readonly doubted: PeerId | undefined
  phase: 'prepare' | 'pull'
  asked: Set<PeerId>
  promises: Map<PeerId, Of<'promise'>>
  until: number
  best: PeerId
  bestNext: Offset
}

const PULL_WAIT_MS = 1_000
const PULL_BYTES = 1_024 * 1_024
/** Seeded, so that two candidates do not meet again. PROTOCOL 8 step 7. */
const BACK_OFF_MS = { min: 50, max: 300 }
/** Who promised another gives it so long before trying by itself. */
export const PROMISED_WAIT_MS = 1_000
/** A new master waits so long for its slaves before it serves. */
const GRACE_MS = 300

/** `handover`: that epoch's master gives its place away. `doubted`: who may be stopped, if it is
 *  not the master followed so far. */
export interface Purpose {
  readonly handover?: Epoch
  readonly doubted?: PeerId
}

export function startPromotion(s: GroupState, effects: Sink, purpose: Purpose = {}): void {
  if (!mayPromote(s, effects, purpose)) return
  const { handover, doubted } = purpose
  const from = s.master
  stepDown(s, effects)
  orphan(s, effects)
  s.hunt = undefined
  const epoch = ownEpoch(s)
  s.promise(effects, epoch)
  s.role = 'candidate'
  const asked = new Set<PeerId>()
  for (const peer of s.linked()) {
    if (peer.learner || peer.left) continue
    asked.add(peer.id)
    const planned = handover === undefined ? {} : { handover }
    effects.send(peer.id, { type: 'prepare', epoch, ...s.facts(), ...planned })
  }
  s.candidacy = {
    epoch,
    since: s.now,
    from,
    handover,
    doubted: doubted ?? from,
    phase: 'prepare',
    asked,
    promises: new Map(),
    until: s.now + promiseWaitMs(s, handover),
    best: s.env.self,
    bestNext: s.next,
  }
  if (asked.size === 0) decide(s, effects, s.candidacy)
}

export function tickCandidate(s: GroupState, effects: Sink): void {
  const candidacy = s.candidacy
  if (candidacy === undefined) return
  if (s.now < candidacy.until && !waitsForOldMasterOnly(s, candidacy))
    if (!hasPromiseOfOld(s, candidacy)) return
  if (candidacy.phase === 'prepare') decide(s, effects, candidacy)
  else giveUp(s)
}

/** A stopped master keeps its link and never answers: it is not waited for like a busy slave. */
function waitsForOldMasterOnly(s: GroupState, candidacy: Candidacy): boolean {
  const { phase, asked, doubted, since } = candidacy
  if (phase !== 'prepare' || s.now - since < TIMES.oldMasterWaitMs) return false
  return doubted !== undefined && asked.size === 1 && asked.has(doubted)
}

/** Another node wants to lead. */
export function onPrepare(s: GroupState, effects: Sink, peer: Peer, m: Of<'prepare'>): void {
  s.see(m.epoch)
  peer.process = m.incarnation
  if (peer.said !== undefined && peer.said.history !== m.history) {
    peer.said.history = m.history
    delete peer.said.forcedFrom
  }
  const older = !s.commitsLate && m.data === 'ready' && m.history < s.history
  const hears = hearsMaster(s, peer) && !older && !isHandedOver(s, m)
  const other = s.commitsLate && isOfHistory(s) && m.history !== s.history
  const foreign = other && !yieldsTo(s, peer)
  if (
    hears ||
    foreign ||
    isImpostor(s, peer, m) ||
    isOlderHistory(s, peer) ||
    compareEpochs(m.epoch, s.promised) <= 0
  ) {
    const { promised } = s
    effects.send(peer.id, { type: 'refuse', epoch: m.epoch, promised, hears })
    if (isOlderHistory(s, peer) && s.role === 'slave') s.candidateAfter = s.now
    return
  }
  stepDown(s, effects)
  orphan(s, effects)
  s.role = 'slave'
  s.candidacy = undefined
  s.hunt = undefined
  s.candidateAfter = s.now + PROMISED_WAIT_MS
  letGo(s, effects)
  s.promise(effects, m.epoch, peer)
  const voter = votesFor(s, m)
  effects.send(peer.id, { type: 'promise', epoch: m.epoch, ...s.facts(), voter })
}

/** The process of a node that another one has replaced wants to lead. A better log than this one
 *  may know a newer view, which names it. */
function isImpostor(s: GroupState, peer: Peer, m: Of<'prepare'>): boolean {
  if (!isReplaced(s, peer)) return false
  return isBetterLog(s.lastEpoch, s.next, m.lastEpoch, m.next)
}

export function onPromise(s: GroupState, effects: Sink, peer: Peer, m: Of<'promise'>): void {
  const candidacy = s.candidacy
  if (candidacy?.phase !== 'prepare' || compareEpochs(m.epoch, candidacy.epoch) !== 0) return
  peer.process = m.incarnation
  const { epoch: promised, lastEpoch, next, voter } = m
  const forgotten = hasForgotten(effects, peer, { promised, lastEpoch, next, voter })
  // One that is copied says only whether it votes for this log.
  if (m.data !== 'copying') peer.voter = votesHere(s, peer, m) && !forgotten
  candidacy.promises.set(peer.id, forgotten ? { ...m, voter: false } : m)
  candidacy.asked.delete(peer.id)
  if (candidacy.asked.size === 0) decide(s, effects, candidacy)
}

export function onRefuse(s: GroupState, effects: Sink, peer: Peer, m: Of<'refuse'>): void {
  s.see(m.promised)
  noteStated(peer, m.promised, 1)
  const { candidacy } = s
  if (candidacy === undefined || compareEpochs(m.epoch, candidacy.epoch) !== 0) return
  const lower = compareEpochs(m.promised, candidacy.epoch) < 0
  const vouches = m.hears && mayVouchForStranger(s, peer)
  const stranger = isForeign(s, peer) || isReplaced(s, peer) || vouches
  if (!stranger && (!peer.witness || m.hears || !lower)) {
    giveUp(s)
    // It had promised, and now a higher one: that candidate gets its time, as from all who promise.
    if (candidacy.promises.has(peer.id)) s.candidateAfter = s.now + PROMISED_WAIT_MS
    return
  }
  // One of another history has no vote in this one. To the witness this log is too old: one vote
  // less. Who holds the better one may have promised, is put off by that, and would be for ever if
  // this were the end (majority, seed 2104).
  candidacy.asked.delete(peer.id)
  if (candidacy.phase === 'prepare' && candidacy.asked.size === 0) decide(s, effects, candidacy)
}

/** All who can be reached have answered: the best log leads, here or there. */
function decide(s: GroupState, effects: Sink, candidacy: Candidacy): void {
  let bestEpoch = s.lastEpoch
  let best: Of<'promise'> | undefined
  for (const [id, promise] of candidacy.promises) {
    if (promise.data !== 'ready' || promise.history !== s.history) continue
    const peer = s.peers.get(id)
    if (peer === undefined || peer.witness || isReplaced(s, peer)) continue
    if (!isBetterLog(promise.lastEpoch, promise.next, bestEpoch, candidacy.bestNext)) continue
    bestEpoch = promise.lastEpoch
    candidacy.best = id
    candidacy.bestNext = promise.next
    best = promise
  }
  // Too few for this log, but perhaps not for a better one.
  if (votes(s, candidacy) < promisesWanted(s))
    return best?.voter ? nominate(s, effects, candidacy) : giveUp(s)
  if (best === undefined) return becomeMaster(s, effects, candidacy)
  const common = commonPoint(s.starts, s.next, best.starts, best.next)
  if (common !== s.next) {
    if (!s.commitsLate || common === undefined || common < s.commit)
      return nominate(s, effects, candidacy)
    // Batches end alike in all logs: this promise is of none of them.
    if (s.log.crcBefore(common) === undefined) return giveUp(s)
    s.truncate(effects, common)
  }
  candidacy.phase = 'pull'
  pull(s, effects, candidacy)
}

/** Promises that count, its own included. A process without memory has none. */
export function votes(s: GroupState, candidacy: Candidacy): number {
  let votes = mayStand(s) && (!s.commitsLate || votesFor(s, s)) ? 1 : 0
  for (const [id, promise] of candidacy.promises) {
    const peer = s.peers.get(id)
    // The log that was pulled may have brought another view.
    if (peer === undefined || peer.learner || peer.left || isReplaced(s, peer)) continue
    const knows = promise.voter || (promise.data === 'ready' && remembers(s, peer))
    if (knows && promise.history === s.history) votes++
    else if (promise.history === '' && isChartered(s, peer)) votes++
  }
  return votes
}

function pull(s: GroupState, effects: Sink, candidacy: Candidacy): void {
  candidacy.until = s.now + PULL_WAIT_MS
  effects.send(candidacy.best, { type: 'pull', epoch: candidacy.epoch, from: s.next })
}

export function onPull(s: GroupState, effects: Sink, peer: Peer, m: Of<'pull'>): void {
  if (compareEpochs(m.epoch, s.promised) !== 0) return
  const batches = s.log.read(m.from, s.blockBytes(PULL_BYTES)) ?? []
  effects.send(peer.id, { type: 'pull-reply', epoch: m.epoch, batches })
}

export function onPullReply(s: GroupState, effects: Sink, peer: Peer, m: Of<'pull-reply'>): void {
  const candidacy = s.candidacy
  if (candidacy?.phase !== 'pull' || compareEpochs(m.epoch, candidacy.epoch) !== 0) return
  if (peer.id !== candidacy.best) return
  const before = s.next
  for (const batch of m.batches) {
    if (batch.first !== s.next || !continuesChain(batch, s.crc)) continue
    s.append(effects, batch)
    s.showAppended(effects)
  }
  if (s.next >= candidacy.bestNext) {
    // A view that came with it may count others, and one of those a better log (majority, seed 901
    // with a process that woke): who leads holds the best of all that it counts.
    candidacy.best = s.env.self
    candidacy.bestNext = s.next
    if (mayStand(s)) decide(s, effects, candidacy)
    else giveUp(s)
  } else if (s.next > before) pull(s, effects, candidacy)
  // Its backlog does not reach back to us: only a full copy would do, so it leads.
  else nominate(s, effects, candidacy)
}

/** Only a full copy would bring the best log here: its holder becomes the candidate instead. */
function nominate(s: GroupState, effects: Sink, candidacy: Candidacy): void {
  effects.send(candidacy.best, { type: 'nominate', epoch: candidacy.epoch })
  giveUp(s)
  letGo(s, effects)
  s.candidateAfter = s.now + PROMISED_WAIT_MS
}

export function onNominate(s: GroupState, effects: Sink, m: Of<'nominate'>): void {
  s.see(m.epoch)
  if (s.role !== 'slave' || s.data !== 'ready' || !mayStand(s)) return
  if (compareEpochs(m.epoch, s.promised) !== 0) return
  startPromotion(s, effects)
}

export function giveUp(s: GroupState): void {
  s.candidacy = undefined
  s.role = 'slave'
  const { min, max } = BACK_OFF_MS
  s.candidateAfter = s.now + min + s.env.random.next() * (max - min)
}

function becomeMaster(s: GroupState, effects: Sink, candidacy: Candidacy): void {
  const { from, epoch, handover } = candidacy
  s.candidacy = undefined
  s.role = 'master'
  s.epoch = epoch
  s.master = s.env.self
  s.waiting = new Waiting()
  s.doubtAt = 0
  s.serving = false
  s.graceUntil = s.now + GRACE_MS
  for (const peer of s.peers.values()) {
    peer.progress = undefined
    peer.headed = 0
    peer.echo = 0
    peer.askFrom = 0
    peer.admitFrom = 0
  }
  dropTold(s, effects)
  s.epochFirst = s.next
  // So that the epoch is in the log.
  appendNoop(s, effects)
  feedWitnesses(s, effects)
  settle(s, effects)
  s.heartbeatAt = s.now
  const planned = handover === undefined ? {} : { state: 'done' }
  const event = s.next === 2 ? 'bootstrap' : handover === undefined ? 'failover' : 'handover'
  effects.report(event, {
    ...planned,
    from: from ?? '',
    to: s.env.self,
    epoch: epoch.number,
    tookMs: s.now - candidacy.since,
  })
  s.announce(effects)
  s.tell(effects)
  serveIfReady(s, effects)
}

/** A first history, minted by a node that has no data. */
export function bootstrap(s: GroupState, effects: Sink): void {
  mintHistory(s, absent(s))
  s.data = 'ready'
  writeCharter(s)
  s.clock.raise(s.wall)
  leadAnew(s, effects)
}

/**
 * Of histories the one that began with fewer members absent sorts first, then the older one: a node
 * that restarts empty and alone must not win by a clock that is behind.
 */
export function mintHistory(s: GroupState, membersAbsent = 0): void {
  const time = Math.min(Math.max(0, Math.floor(s.wall)), 2 ** 44 - 1)
  const absent = Math.min(membersAbsent, 15).toString(16)
  s.history = absent + time.toString(16).padStart(11, '0') + s.hex(32)
  s.forcedFrom = []
}

function absent(s: GroupState): number {
  let count = 0
  for (const peer of s.peers.values())
    if (!peer.learner && !peer.left && (peer.session === 0 || peer.said === undefined)) count++
  return count
}

/** Leads what it holds, above all it has met, without asking anybody. */
export function leadAnew(s: GroupState, effects: Sink): void {
  const epoch = ownEpoch(s)
  s.promise(effects, epoch)
  becomeMaster(s, effects, {
    epoch,
    since: s.now,
    from: undefined,
    handover: undefined,
    doubted: undefined,
    phase: 'prepare',
    asked: new Set(),
    promises: new Map(),
    until: s.now,
    best: s.env.self,
    bestNext: s.next,
  })
}
