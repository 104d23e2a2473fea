/** Entries on their way: the newest batch to all who wait for it, the backlog to laggards. */
import type { Proposal } from '../../src/contracts/strategy.js'
import type { Batch, Epoch, Offset } from '../../src/contracts/types.js'
import { NO_EPOCH } from '../../src/core/epochs.js'
import { encodeBatch } from '../../src/wire/batch.js'
import { noopProposal, ownProposal } from '../../src/wire/own-entries.js'
import { copyTo, keepForCopy } from './copy.js'
import type { Message } from './messages.js'
import { counts } from './quorum.js'
import type { GroupState, Peer, Sink } from './state.js'
import { isVoterIn, openView, quorumIn, remembers, viewReplacedBy } from './views.js'

/** Sent to a laggard at once; its ack asks for more. */
const CATCH_UP_BYTES = 256 * 1_024

/** An entry that changes nothing: whoever acks it acks it under this epoch, and from now on. */
export function appendNoop(s: GroupState, effects: Sink): void {
  appendEntry(s, effects, noopProposal())
}

/** An entry of the master's own, in a batch of its own. */
export function appendOwn(s: GroupState, effects: Sink, bytes: Uint8Array): void {
  appendEntry(s, effects, ownProposal(bytes))
}

function appendEntry(s: GroupState, effects: Sink, entry: Proposal): void {
  const batch = encodeBatch(s.epoch, s.next, s.clock.time, s.crc, [entry])
  s.append(effects, batch)
  replicate(s, effects, batch)
  s.showAppended(effects)
}

/** One message object for all slaves at that position: it is encoded once. */
export function replicate(s: GroupState, effects: Sink, batch: Batch): void {
  let message: Message | undefined
  for (const peer of s.peers.values()) {
    const progress = peer.progress
    if (progress?.state === 'copy') keepForCopy(s, effects, peer, batch)
    if (progress === undefined || progress.state !== 'stream') continue
    if (progress.next !== batch.first || peer.congested || peer.session === 0) continue
    message ??= appendOf(s, [batch])
    progress.next = batch.next
    effects.send(peer.id, message)
  }
}

export function appendOf(s: GroupState, batches: readonly Batch[]): Message {
  const previous = previousOf(s, batches[0].first)
  const { epoch } = s
  const commit = s.commitsLate ? s.commit : s.settled
  return { type: 'append', epoch, previous, time: s.clock.time, commit, batches }
}

/**
 * Tells witnesses how far the log goes, but only while too few slaves are in sync to commit without
 * them: what only the master and a witness hold is lost with the master's memory.
 */
export function feedWitnesses(s: GroupState, effects: Sink): void {
  if (s.quorum.voters === s.dataNodes) return
  if (copiedEnough(s)) return
  // A slave that answers will hold a new master's first entries as soon; what only this node and a
  // witness hold would keep that slave from leading if this node died now.
  if (s.now < s.graceUntil && someAnswers(s)) return
  const { epoch, lastEpoch, next } = s
  for (const peer of s.linked())
    if (peer.witness && peer.headed < next)
      effects.send(peer.id, { type: 'header', epoch, lastEpoch, next })
}

/** Slaves in sync make up W. While a view is open it commits by one set of voters and what follows
 *  it by another: they do in both. */
function copiedEnough(s: GroupState): boolean {
  const enough = (copies: number, isVoter: (peer: Peer) => boolean) => {
    let voters = 1
    for (const peer of s.peers.values())
      if (!peer.witness && peer.progress?.inSync && isVoter(peer)) voters++
    return voters >= copies
  }
  if (!enough(s.quorum.copies, peer => counts(s, peer))) return false
  const open = openView(s)
  if (open === undefined) return true
  const before = viewReplacedBy(s, open)
  const votes = (peer: Peer) => isVoterIn(before, peer.id) && remembers(s, peer)
  return enough(quorumIn(s, before).copies, votes)
}

/** The epoch of the entry before `first`; the log may not hold it any more. */
function previousOf(s: GroupState, first: Offset): Epoch {
  for (let i = s.starts.length - 1; i >= 0; i--)
    if (s.starts[i].first < first) return s.starts[i].epoch
  return NO_EPOCH
}

/** Feeds a slave that is behind from the backlog; without one that reaches back, copies anew. */
export function catchUp(s: GroupState, effects: Sink, peer: Peer): void {
  const progress = peer.progress
  if (progress?.state !== 'stream' || peer.congested || peer.session === 0) return
  // Entries of this very step are not in the log yet; the next input feeds them.
  if (progress.next >= s.log.next) return
  const batches = s.log.read(progress.next, s.blockBytes(CATCH_UP_BYTES))
  if (batches === undefined) {
    effects.report('lag', { peer: peer.id, behind: s.next - progress.next, copy: true })
    peer.progress = undefined
    copyTo(s, effects, peer, 0)
    return
  }
  if (batches.length === 0) return
  progress.next = batches[batches.length - 1].next
  effects.send(peer.id, appendOf(s, batches))
}

/**
 * The link refused `lost`: entries are fed again once it is writable. Anything else was part of an
 * order of messages that a refusal breaks, so the session ends and begins anew.
 */
export function takeBack(effects: Sink, peer: Peer, lost: Message): void {
  const { progress } = peer
  if (lost.type === 'copy-slice' && progress?.copy === lost.copy) {
    progress.held.unshift({ slice: lost.slice, next: lost.next, last: progress.sliceLast })
    progress.slices = lost.index
    progress.sliceNext = progress.next
    progress.sliceLast = false
    return
  }
  if (lost.type !== 'append' || progress === undefined || progress.state === 'lost') {
    if (lost.type !== 'heartbeat') effects.disconnect(peer.id, 'BUSY')
    return
  }
  progress.next = Math.min(progress.next, lost.batches[0].first)
  if (progress.state !== 'copy') return
  progress.entries.unshift(...lost.batches)
  for (const batch of lost.batches) progress.entriesBytes += batch.bytes.length
}

function someAnswers(s: GroupState): boolean {
  for (const peer of s.peers.values()) {
    if (peer.witness || peer.session === 0 || !counts(s, peer)) continue
    if (s.now - peer.heardAt <= s.settings.heardWithinMs) return true
  }
  return false
}
