/**
 * The master at work: a turn's proposals become one batch, go to every slave that is up to date,
 * and are answered when their ack level is met. Laggards are fed from the backlog.
 */
import { LIMITS, TIMES } from '../../src/config.js'
import type { Proposal } from '../../src/contracts/strategy.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { BATCH_HEAD_BYTES, batchEnd, encodeBatch, entryBytesMax } from '../../src/wire/batch.js'
import { admitReady, isAsked } from './admission.js'
import { advanceCopy, stopCopy } from './copy.js'
import { catchUp, feedWitnesses, replicate } from './feed.js'
import { endForced } from './force.js'
import { maintainInSync, noteAck } from './in-sync.js'
import { holdsLease } from './lease.js'
import { refuseAsked, settleView } from './membership.js'
import { tickMerges } from './merge.js'
import { type Message, NO_COPY } from './messages.js'
import {
  advanceCommit,
  copiesOf,
  countersHeard,
  counts,
  ownEpochCommitted,
  promisesWanted,
} from './quorum.js'
import { endReads, noteEcho, readMarks, tickReads } from './reads.js'
import { GROUP, type GroupState, type Peer, type Sink } from './state.js'
import { noteStated } from './stated.js'
import { remembers } from './views.js'

/** A master that heard no majority for so long answers nobody. PROTOCOL 9. */
const TOUCH_MS = 800
/** ... or for so much of the time after which the others follow another. */
const TOUCH_SHARE = 0.8

export function propose(s: GroupState, effects: Sink, proposals: readonly Proposal[]): void {
  if (s.role !== 'master' || !s.serving) {
    const code = s.outOfTouch ? 'NO_MAJORITY' : 'NOT_MASTER'
    for (const { id } of proposals) effects.reject(id, code, true)
    return
  }
  const admitted = admit(s, effects, proposals)
  const bytesMax = s.blockBytes(LIMITS.batchBytes)
  let from = 0
  while (from < admitted.length) {
    const to = batchEnd(admitted, from, bytesMax)
    const batch = encodeBatch(s.epoch, s.next, s.clock.time, s.crc, admitted, from, to)
    s.append(effects, batch)
    replicate(s, effects, batch)
    s.showAppended(effects)
    for (let i = from; i < to; i++) answerLater(s, effects, admitted[i], batch.first + i - from)
    from = to
  }
  feedWitnesses(s, effects)
  // Nobody will ack what only this log has to hold.
  if (s.commitsLate || !hasInSync(s)) settle(s, effects)
}

/** Refuses what cannot be placed: an ack level that is out of reach, or too much unacknowledged. */
function admit(s: GroupState, effects: Sink, proposals: readonly Proposal[]): readonly Proposal[] {
  const live = liveSlaves(s)
  const waiting = s.waiting
  if (waiting === undefined) return []
  let refused: Proposal[] | undefined
  for (const proposal of proposals) {
    const code = refusal(s, proposal, live)
    if (code === undefined) continue
    effects.reject(proposal.id, code, true)
    refused ??= []
    refused.push(proposal)
  }
  return refused === undefined ? proposals : proposals.filter(p => !refused.includes(p))
}

function refusal(s: GroupState, proposal: Proposal, live: number): string | undefined {
  if (entryBytesMax(proposal) + BATCH_HEAD_BYTES > s.blockBytes(s.env.frameBytesMax)) return 'LIMIT'
  // The engine's own entries (expiry, eviction) need no ack and free memory: always placed.
  if (proposal.client === null && proposal.ack === 'none') return undefined
  if (live < s.slavesToWriteMin) return 'NOT_ENOUGH_COPIES'
  if (s.commitsLate && countersHeard(s, s.settings.suspectAfterMs) + 1 < s.quorum.copies)
    return 'NOT_ENOUGH_COPIES'
  if (proposal.ack === 'insync') {
    if (liveInSync(s) < s.inSyncMin) return 'NOT_ENOUGH_COPIES'
  } else if (copiesOf(s, proposal.ack) > live + 1) return 'NOT_ENOUGH_COPIES'
  if (!s.waiting?.hasRoom(proposal.end - proposal.start)) return 'BUSY'
  return undefined
}

/** Slaves that follow this master and were heard within the time of suspicion. */
export function liveSlaves(s: GroupState): number {
  let live = 0
  for (const peer of s.peers.values())
    if (peer.progress === undefined || !counts(s, peer)) continue
    else if (s.now - peer.heardAt <= s.settings.suspectAfterMs) live++
  return live
}

function hasInSync(s: GroupState): boolean {
  for (const { progress } of s.peers.values()) if (progress?.inSync) return true
  return false
}

/** In-sync logs of which nothing says that they are dead. */
function liveInSync(s: GroupState): number {
  let count = 1
  for (const peer of s.peers.values())
    if (peer.progress?.inSync && !peer.gone && counts(s, peer))
      if (s.now - peer.heardAt <= s.settings.suspectAfterMs) count++
  return count
}

function answerLater(s: GroupState, effects: Sink, proposal: Proposal, offset: number): void {
  const copies = copiesOf(s, proposal.ack)
  // What waits for its commit anyway is answered then; the engine's own entries have no answer.
  const atOnce = !s.commitsLate || (proposal.client === null && proposal.ack === 'none')
  if (copies === 1 && atOnce) {
    const durableCopies = s.env.durability === 'memory' ? 0 : 1
    effects.settle(proposal.id, { group: GROUP, epoch: s.epoch, offset, copies: 1, durableCopies })
  } else s.waiting?.add(copies, proposal.id, offset, proposal.end - proposal.start, s.now)
}

/** What has its copies by now is committed and answered. */
export function settle(s: GroupState, effects: Sink): void {
  if (!holdsLease(s)) return
  if (s.commitsLate) advanceCommit(s, effects)
  else settleView(s, effects)
  s.waiting?.settle(s, effects)
}

export function onAck(s: GroupState, effects: Sink, peer: Peer, message: AckMessage): void {
  const progress = peer.progress
  if (s.role !== 'master' || compareEpochs(message.epoch, s.epoch) !== 0) return
  if (s.doubtAt > 0) endDoubt(s, peer, message.echo)
  noteEcho(s, effects, peer, message)
  if (peer.witness) {
    peer.headed = Math.max(peer.headed, Math.min(message.next, s.next))
    noteStated(peer, message.epoch, message.next)
    settle(s, effects)
    admitReady(s, effects)
    if (!s.serving) serveIfReady(s, effects)
    return
  }
  if (progress === undefined) return
  const isPresent = message.feed === progress.feed
  if (isPresent) progress.heard = true
  if (progress.state === 'copy') return advanceCopy(s, effects, peer)
  // Said before the slave dropped its data for a copy, it would count data that is no more.
  if (progress.state !== 'stream' || !isPresent) return
  if (message.next > progress.next || message.next < progress.acked) return
  noteAck(s, effects, peer, progress, message.next, message.durable)
  settle(s, effects)
  if (!remembers(s, peer) || isAsked(s)) admitReady(s, effects)
  if (progress.next < s.next) catchUp(s, effects, peer)
  if (!s.serving) serveIfReady(s, effects)
}
/**
 * A word of those who could depose this master, said after it woke: they had not. Where entries
 * count late that takes P - 1 of those that vote; a process without memory knows nothing of it.
 */
function endDoubt(s: GroupState, peer: Peer, echo: number): void {
  peer.echo = Math.max(peer.echo, echo)
  let answered = 0
  for (const other of s.peers.values())
    if (counts(s, other) && other.echo >= s.doubtTime) answered++
  if (answered >= Math.max(1, s.quorum.promises - 1)) s.doubtAt = 0
}

type AckMessage = Extract<Message, { type: 'append-ack' }>

/** Every turn whose clock moved: heartbeats, lag, timeouts. */
export function tickMaster(s: GroupState, effects: Sink): void {
  if (s.serving) s.ruledAt = s.now
  maintainInSync(s, effects)
  s.waiting?.expire(s, effects)
  tickReads(s, effects)
  if (s.now - s.heartbeatAt >= s.settings.heartbeatMs) {
    heartbeat(s, effects)
    admitReady(s, effects)
    feedWitnesses(s, effects)
    for (const peer of s.linked()) {
      catchUp(s, effects, peer)
      advanceCopy(s, effects, peer)
    }
  }
  if (s.doubtAt > 0 && s.now - s.doubtAt > TIMES.doubtMs) s.doubtAt = 0
  serveIfReady(s, effects)
  tickMerges(s, effects)
}

/**
 * A new master serves once every linked member with data follows it, or after a short grace: so
 * its first writes find the copies they ask for. One that was stopped waits for a word of a slave.
 */
export function serveIfReady(s: GroupState, effects: Sink): void {
  if (s.role !== 'master') return
  const settled = s.serving || s.now >= s.graceUntil || allFollow(s)
  const touchMs = Math.min(TOUCH_MS, TOUCH_SHARE * s.settings.suspectAfterMs)
  const inTouch = !s.commitsLate || countersHeard(s, touchMs) + 1 >= promisesWanted(s)
  const sure = s.doubtAt === 0 && holdsLease(s)
  const serving = settled && sure && inTouch && ownEpochCommitted(s)
  if (serving === s.serving && s.outOfTouch === !inTouch) return
  s.serving = serving
  s.outOfTouch = !inTouch
  s.announce(effects)
}

function allFollow(s: GroupState): boolean {
  for (const peer of s.peers.values()) {
    // One that is linked but silent (a stopped process) is not waited for.
    if (peer.session === 0 || peer.witness || peer.learner || peer.left) continue
    if (s.now - peer.heardAt > s.settings.heardWithinMs) continue
    if (peer.progress === undefined) return false
    if (peer.progress.state !== 'copy' && !peer.progress.inSync) return false
  }
  return true
}

/** Tells every linked member who leads, how far the log goes and what time it is. */
export function heartbeat(s: GroupState, effects: Sink): void {
  s.heartbeatAt = s.now
  const { epoch, next, commit } = s
  // In profile ordinal, too: one whom nobody answers cannot write, though it may be heard.
  const inTouch = !s.outOfTouch && (s.commitsLate || liveSlaves(s) >= s.slavesToWriteMin)
  for (const { id, progress } of s.linked()) {
    const feed = progress?.feed ?? 0
    const sent = progress?.next ?? 0
    const slices = progress?.state === 'copy' ? progress.slices : NO_COPY
    const { time } = s.clock
    const marks = { feed, sent, slices, inTouch, ...readMarks(s, id) }
    effects.send(id, { type: 'heartbeat', epoch, next, commit, time, ...marks })
  }
}

/** Master no longer: what waits is rejected, copies stop. The caller says whom to follow. */
export function stepDown(s: GroupState, effects: Sink): void {
  if (s.role !== 'master') return
  s.role = 'slave'
  s.serving = false
  s.doubtAt = 0
  s.outOfTouch = false
  s.handover = undefined
  s.waiting?.rejectAll(effects)
  refuseAsked(s, effects)
  endReads(s, effects)
  s.waiting = undefined
  endForced(s)
  s.merges.clear()
  for (const peer of s.peers.values()) {
    stopCopy(s, effects, peer)
    peer.progress = undefined
  }
}
