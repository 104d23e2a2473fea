/**
 * The slave at work: follows the master of the highest epoch it met, appends what continues its
 * log, answers with how far it is. Whatever carries a lower epoch is fenced and changes nothing.
 */
import type { Epoch, Offset } from '../../src/contracts/types.js'
import { commonPoint, compareEpochs } from '../../src/core/epochs.js'
import { continuesChain } from '../../src/wire/batch.js'
import { decodeView } from '../../src/wire/view.js'
import { becomeVoter, learnCharter } from './admission.js'
import { adopt, noteMaster, yieldsTo } from './force.js'
import { letGo } from './lease.js'
import { stepDown } from './master.js'
import { type DataState, type Message, NO_COPY } from './messages.js'
import { isOfHistory, oweLog } from './owed.js'
import { learnCommit } from './quorum.js'
import { echoMarks, hearRound } from './reads.js'
import { GROUP, type GroupState, type Peer, type Sink } from './state.js'
import { dropTold, isReplaced } from './views.js'

type Of<T extends Message['type']> = Extract<Message, { type: T }>

/** A sync without an answer is said again after it. */
const SYNC_AGAIN_MS = 500
/** After a gap was seen, the next one is believed only after it: repeats must not multiply. */
const GAP_AGAIN_MS = 200

/** True if `epoch` is the one followed, from its master; answers `fenced` to a lower one. */
export function isCurrent(s: GroupState, effects: Sink, peer: Peer, epoch: Epoch): boolean {
  if (isFenced(s, effects, peer, epoch)) return false
  return s.role === 'slave' && s.master === peer.id && compareEpochs(epoch, s.epoch) === 0
}

export function isFenced(s: GroupState, effects: Sink, peer: Peer, epoch: Epoch): boolean {
  if (compareEpochs(epoch, s.promised) >= 0) return false
  const { promised } = s
  effects.send(peer.id, { type: 'fenced', epoch, promised, master: s.master ?? '' })
  return true
}

/** `peer` says that it is master of `epoch`. Follows it if nothing higher was promised. */
export function hearMaster(s: GroupState, effects: Sink, peer: Peer, epoch: Epoch): void {
  s.see(epoch)
  if (isFenced(s, effects, peer, epoch)) return
  if (s.master === peer.id && compareEpochs(epoch, s.epoch) === 0 && s.role === 'slave') {
    s.heard(0)
    return
  }
  if (isForeign(s, peer) || isNoVoter(s, peer)) return
  if (isOlderHistory(s, peer)) {
    // Its data is younger than ours and must not replace it: the older history leads, above it.
    if (s.role === 'slave') s.candidateAfter = Math.min(s.candidateAfter, s.now)
    return
  }
  stepDown(s, effects)
  s.role = 'slave'
  s.candidacy = undefined
  s.hunt = undefined
  s.copying = undefined
  letGo(s, effects)
  s.promise(effects, epoch)
  s.promisedTo = undefined
  // A master that is met again goes on counting its feeds: what was told of them is known.
  if (compareEpochs(epoch, s.epoch) !== 0) {
    s.feed = 0
    s.acked = 1
  }
  s.epoch = epoch
  s.master = peer.id
  s.candidateAfter = 0
  s.outOfTouchAt = 0
  s.heard(0)
  s.echo = 0
  s.announce(effects)
  requestSync(s, effects)
}

/**
 * Where W + P > N two histories cannot both be right, and nobody may choose for the operator:
 * neither follows the other, unless that one was forced from this one's.
 */
export function isForeign(s: GroupState, peer: Peer): boolean {
  const other = peer.said?.history ?? ''
  if (!s.commitsLate || !isOfHistory(s) || other === '' || other === s.history) return false
  return !yieldsTo(s, peer)
}

/**
 * Where one vote is enough to lead, one whose view is older or newer than ours may lead alone; who
 * is no voter here lacks what all voters hold, or never was made one, so nobody follows it.
 */
function isNoVoter(s: GroupState, peer: Peer): boolean {
  if (!s.commitsLate || s.quorum.promises > 1) return false
  return s.data === 'ready' && s.voter && (peer.learner || peer.left || isReplaced(s, peer))
}

/** True if this node holds data of a history that began before that of `peer`. */
export function isOlderHistory(s: GroupState, peer: Peer): boolean {
  const other = peer.said
  if (s.data !== 'ready' || other === undefined || other.history === '') return false
  if (s.commitsLate) return false
  return s.history < other.history
}

/** The followed master is no master any more, or nobody knows one. */
export function orphan(s: GroupState, effects: Sink): void {
  if (s.master === undefined) return
  s.master = undefined
  s.orphanAt = s.now
  s.synced = false
  s.announce(effects)
}

export function requestSync(s: GroupState, effects: Sink): void {
  if (s.master === undefined || s.role !== 'slave') return
  s.synced = false
  s.syncSentAt = s.now
  const { epoch, distrust, feed } = s
  effects.send(s.master, { type: 'sync', epoch, distrust, feed, ...s.facts() })
}

/** What this node holds changed: the others go by it. */
function hold(s: GroupState, effects: Sink, data: DataState): void {
  if (s.data === data) return
  s.data = data
  s.tell(effects)
}

export function onSyncReply(s: GroupState, effects: Sink, peer: Peer, m: Of<'sync-reply'>): void {
  // While a copy is under way a reply is a repeat: half a copy must not become data by it.
  if (!isCurrent(s, effects, peer, m.epoch) || s.copying !== undefined) return
  // One to a sync that was repeated: the heartbeat's feed asks anew, if there is need to.
  if (m.feed <= s.feed || s.synced) return
  s.heard(0)
  s.feed = m.feed
  // Batches end alike in all logs: whoever names a point inside one holds another log or lies.
  // What was acked to this master is in its log: a reply that says less was on its way since before
  // (strict, seed 60069: 12 entries that counted were dropped, and every later sync was a repeat).
  if (m.from < s.next && s.commitsLate && m.from >= Math.max(s.commit, s.acked)) {
    if (s.log.crcBefore(m.from) === undefined) return effects.disconnect(peer.id, 'PROTOCOL_ERROR')
    dropSuffix(s, effects, m.from)
  }
  if (m.from !== s.next) return requestSync(s, effects)
  adopt(s, m)
  learnCharter(s, m)
  s.synced = true
  s.syncTarget = m.next
  // One that was empty may not lead before it has what the master had when it joined.
  if (m.voter) becomeVoter(s, effects)
  // Where entries count late a voter's log is worth something at any length.
  const whole = s.commitsLate || s.next >= m.next
  if (s.data !== 'ready') hold(s, effects, whole ? 'ready' : 'copying')
  acknowledge(s, effects)
}

/** Entries of a deposed master that nobody committed: not even this node has applied them. */
function dropSuffix(s: GroupState, effects: Sink, from: Offset): void {
  effects.report('truncated', { entries: s.next - from, from })
  s.truncate(effects, from)
}

export function onAppend(s: GroupState, effects: Sink, peer: Peer, m: Of<'append'>): void {
  if (!isCurrent(s, effects, peer, m.epoch)) return
  s.heard(m.time)
  if (!s.synced) return
  if (!takeBatches(s, effects, m)) {
    s.showAppended(effects)
    return requestSync(s, effects)
  }
  s.settled = Math.max(s.settled, Math.min(m.commit, s.next))
  if (s.data === 'copying' && s.copying === undefined && s.next >= s.syncTarget)
    hold(s, effects, 'ready')
  // Before what takes time: the master waits for this, and nobody for what a slave shows.
  acknowledge(s, effects)
  learnCommit(s, effects, m.commit)
  s.showAppended(effects)
}

/** False: what they follow, or one of them, is not what this log can go on with. */
function takeBatches(s: GroupState, effects: Sink, m: Of<'append'>): boolean {
  const batches = m.batches.filter(batch => batch.first >= s.next)
  if (batches.length > 0 && batches[0].first === m.batches[0].first)
    if (batches[0].first > s.next || compareEpochs(m.previous, s.lastEpoch) !== 0) return false
  for (const batch of batches) {
    const tooFar = s.copying !== undefined && batch.next > s.copying.until
    if (batch.first !== s.next || tooFar) return false
    if (!continuesChain(batch, s.crc)) {
      s.distrust = true
      return false
    }
    s.append(effects, batch)
  }
  return true
}

export function onHeartbeat(s: GroupState, effects: Sink, peer: Peer, m: Of<'heartbeat'>): void {
  noteMaster(s, peer, m.inTouch)
  hearMaster(s, effects, peer, m.epoch)
  if (!isCurrent(s, effects, peer, m.epoch)) return
  s.heard(m.time)
  s.masterNext = m.next
  if (m.inTouch) s.outOfTouchAt = 0
  else if (s.outOfTouchAt === 0) s.outOfTouchAt = s.now
  hearRound(s, m)
  const asked = s.now - s.syncSentAt
  if (s.synced ? isBehindSent(s, m) && asked > GAP_AGAIN_MS : asked > SYNC_AGAIN_MS)
    requestSync(s, effects)
  else if (s.synced) {
    learnCommit(s, effects, m.commit)
    if (s.data === 'ready' && s.next >= m.next) dropTold(s, effects)
    acknowledge(s, effects)
  }
}

/**
 * Frames of a link arrive in order, so what the master had sent when it sent this heartbeat should
 * be here. If not, something was lost below the law of the transport, and nobody else would tell.
 */
function isBehindSent(s: GroupState, m: Of<'heartbeat'>): boolean {
  if (m.feed !== s.feed) return true
  if (s.copying !== undefined) return m.slices !== s.copying.slices
  return m.sent > s.next || m.slices !== NO_COPY
}

/** Cumulative: everything below `next` is in this log. */
export function acknowledge(s: GroupState, effects: Sink): void {
  if (s.master === undefined) return
  const durable = s.env.durability === 'memory' ? s.next : s.log.durable
  const { epoch, feed, echo } = s
  // Half a copy is no copy: its ack only asks for more.
  const next = s.copying === undefined ? s.next : 1
  if (s.synced) s.acked = Math.max(s.acked, next)
  const marks = echoMarks(s)
  effects.send(s.master, { type: 'append-ack', epoch, feed, next, durable, echo, ...marks })
}

/** A copy begins: the old state goes, and until the end this node neither counts nor leads. */
export function onCopyBegin(s: GroupState, effects: Sink, peer: Peer, m: Of<'copy-begin'>): void {
  if (!isCurrent(s, effects, peer, m.epoch) || m.copy <= s.feed) return
  reportLoss(s, effects, peer, m)
  oweLog(s)
  if (s.history !== '' && s.history !== m.history) s.clock.replace(m.time)
  s.distrust = false
  s.giving = undefined
  adopt(s, m)
  hold(s, effects, 'copying')
  s.copying = { copy: m.copy, slices: 0, until: m.at }
  s.half = true
  s.feed = m.copy
  s.acked = 1
  s.synced = true
  s.heard(m.time)
  const epoch = m.starts.at(-1)?.epoch
  s.rebase(effects, m.at, m.starts, { epoch, crc: m.crc }, decodeView(m.view))
}

/** Says what of this log is not in the one that replaces it; the master has merged it, or told. */
function reportLoss(s: GroupState, effects: Sink, peer: Peer, m: Of<'copy-begin'>): void {
  if (s.data !== 'ready') return
  const { history, starts, next } = s
  // The master's own entries are never foreign to it, wherever it was when it said so. A copy that
  // crossed a sync comes twice, and the second one takes nothing away.
  const same = history === m.history || m.forcedFrom?.includes(history) === true
  const common = same ? commonPoint(m.starts, Number.MAX_SAFE_INTEGER, starts, next) : 1
  const entries = next - (common ?? 1)
  if (entries > 0)
    effects.report('divergence', { entries, history, into: m.history, master: peer.id })
}

export function onCopySlice(s: GroupState, effects: Sink, peer: Peer, m: Of<'copy-slice'>): void {
  if (!isCurrent(s, effects, peer, m.epoch)) return
  s.heard(0)
  if (s.copying?.copy !== m.copy) return
  // The slice was read when all entries below `until` were applied: they must be here by now.
  if (s.copying.slices !== m.index || s.next !== s.copying.until) return requestSync(s, effects)
  s.copying.slices++
  s.copying.until = m.next
  if (m.slice.length > 0) effects.install(GROUP, s.next, m.slice)
}

export function onCopyEnd(s: GroupState, effects: Sink, peer: Peer, m: Of<'copy-end'>): void {
  if (!isCurrent(s, effects, peer, m.epoch)) return
  s.heard(0)
  if (s.copying?.copy !== m.copy) return
  if (s.copying.slices !== m.slices || s.next < m.next) return requestSync(s, effects)
  s.copying = undefined
  // All that it acked and a master counted is in this log: that of a later master (I4).
  s.owed = undefined
  s.half = false
  hold(s, effects, 'ready')
  acknowledge(s, effects)
}
