/**
 * The master's side of a resync: finds the common point, continues from the backlog if it can, else
 * copies the whole state in slices while writes go on. A slice is read at applied offset `next`;
 * entries below `next` follow it and never precede it, so that a record about to change goes first.
 */
import { LIMITS } from '../../src/config.js'
import type { Input } from '../../src/contracts/strategy.js'
import type { Batch, Offset } from '../../src/contracts/types.js'
import { commonPoint, compareEpochs } from '../../src/core/epochs.js'
import { encodeView } from '../../src/wire/view.js'
import { charterFor, isChartered } from './admission.js'
import { appendOf, catchUp } from './feed.js'
import { mergeFirst } from './merge.js'
import type { Message } from './messages.js'
import { votesHere } from './quorum.js'
import {
  GROUP,
  type GroupState,
  newProgress,
  type Peer,
  type Progress,
  type Sink,
} from './state.js'
import { committedView, isReplaced } from './views.js'

/** A copy that failed is tried again after it, doubled each time up to 16 times as long. */
const COPY_AGAIN_MS = 500
/**
 * A failed copy is begun again after twice the pause of the one before, at most 2 s: with 8 s one
 * whose copies a bad network had broken held up writes for longer than the 5 s after which a whole
 * one must take them (I18; ordinal, seed 2930).
 */
const COPY_PAUSES_MAX = 2
/**
 * Entries of at most so many bytes are followed by the next slice in the same step: both fit into a
 * link that is not congested. A round trip a slice would let a short backlog run away.
 */
const FOLLOWED_BYTES_MAX = 64 * 1_024
/** Entries that follow a slice go in pieces of it. */
const ENTRIES_BYTES = 256 * 1_024

export function onSync(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Extract<Message, { type: 'sync' }>,
): void {
  if (s.role !== 'master' || compareEpochs(m.epoch, s.epoch) !== 0 || isRepeated(peer, m)) return
  peer.process = m.incarnation
  peer.voter = votesHere(s, peer, m)
  if (peer.progress?.state === 'copy') peer.copiesFailed++
  stopCopy(s, effects, peer)
  const common = commonWith(s, m)
  // Where entries count late, what the slave must drop was never applied: no copy is needed.
  const reaches = common === m.next || (s.commitsLate && (common ?? 0) >= m.commit)
  if (common !== undefined && reaches && s.log.read(common, 1) !== undefined) {
    // A merge of the log that its last process had would end in a copy, over what this one acks.
    s.merges.delete(peer.id)
    const feed = ++s.feeds
    peer.progress = newProgress('stream', common, common, s.now, feed, s.next)
    const { epoch, history, next } = s
    const voter = (peer.voter && !isReplaced(s, peer)) || isChartered(s, peer)
    const reply = { epoch, feed, history, from: common, next, voter, ...s.lineage }
    effects.send(peer.id, { type: 'sync-reply', ...reply, ...charterFor(s, peer) })
    catchUp(s, effects, peer)
    return
  }
  peer.progress = undefined
  if (mergeFirst(s, effects, peer, m, common)) return
  copyTo(s, effects, peer, common === undefined ? 0 : m.next - common)
}

/**
 * It says less than the same process has acked since, so the network has said it twice: a feed
 * before the one that its acks name, or fewer entries. A copy in answer to it would drop what was
 * counted: while the other slave was copied, too, the master alone was left with what it had
 * acknowledged (majority, seeds 58 and 76 of style everything; 1322 of echoes, an empty sync).
 */
function isRepeated(peer: Peer, m: Extract<Message, { type: 'sync' }>): boolean {
  const { progress } = peer
  if (progress === undefined || progress.state === 'lost') return false
  if (peer.process !== m.incarnation) return false
  if (progress.heard && m.feed < progress.feed) return true
  // Half a copy is nothing, and may be told so after an ack (strict, seed 5781).
  const isWhole = progress.state === 'stream' && m.data === 'ready' && !m.distrust
  return isWhole && m.next < progress.acked
}

function commonWith(s: GroupState, m: Extract<Message, { type: 'sync' }>): Offset | undefined {
  if (m.data === 'copying' || m.distrust) return undefined
  if (m.data === 'empty' || m.next === 1) return 1
  if (m.history !== s.history) return undefined
  return commonPoint(s.starts, s.next, m.starts, m.next)
}

/** Begins a full copy, or puts it off after failures. `diverged`: entries the slave will lose. */
export function copyTo(s: GroupState, effects: Sink, peer: Peer, diverged: number): void {
  if (peer.session === 0 || s.now < peer.copyAfter) return
  if (peer.copiesFailed > 0) putOffCopy(s, peer)
  const copy = ++s.feeds
  // The state holds what is committed; the entries behind it follow as if made during the copy.
  const at = s.commit
  const crc = at === s.next ? s.crc : s.log.crcBefore(at)
  const behind = s.log.read(at, Number.POSITIVE_INFINITY)
  if (crc === undefined || behind === undefined) return
  peer.progress = newProgress('copy', at, 1, s.now, copy, s.next)
  for (const batch of at === s.next ? [] : behind) keepForCopy(s, effects, peer, batch)
  if (peer.progress === undefined) return
  effects.openSnapshot(GROUP, copy)
  const { epoch, history } = s
  const starts = s.starts.filter(start => start.first < at)
  const view = encodeView(committedView(s))
  const begin = { copy, at, crc, time: s.clock.time, diverged, starts, view, ...s.lineage }
  effects.send(peer.id, { type: 'copy-begin', epoch, history, ...begin })
  effects.readSnapshot(GROUP, copy, s.blockBytes(LIMITS.snapshotSliceBytes))
}

export function onSnapshot(
  s: GroupState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'snapshot' }>,
): void {
  const peer = [...s.peers.values()].find(p => p.progress?.copy === input.id)
  const progress = peer?.progress
  if (peer === undefined || progress?.state !== 'copy') {
    effects.closeSnapshot(GROUP, input.id)
    return
  }
  if (input.state === 'overflow') return failCopy(s, effects, peer, 'overflow')
  const { next, slice, state } = input
  progress.reading = false
  progress.held.push({ slice, next, last: state === 'done' })
  advanceCopy(s, effects, peer)
}

/**
 * The next piece of a copy, unless its link is congested: entries up to where the last slice was
 * read, then the next slice, or the end. One large piece a step, because a link that refuses it
 * must not take the one behind it. Called again by slices, acks, `writable` and heartbeats.
 */
export function advanceCopy(s: GroupState, effects: Sink, peer: Peer): void {
  const progress = peer.progress
  if (progress?.state !== 'copy' || peer.congested) return
  if (progress.next < progress.sliceNext && progress.entries.length > 0) {
    const batches = takeEntries(progress)
    effects.send(peer.id, appendOf(s, batches))
    progress.next = batches[batches.length - 1].next
    const more = progress.entries.length > 0 && progress.next < progress.sliceNext
    if (more || sizeOf(batches) > FOLLOWED_BYTES_MAX) return
  }
  const { copy } = progress
  const held = progress.held.shift()
  if (held !== undefined) {
    const index = progress.slices++
    // Behind the last slice entries are free to follow, as far as there are any.
    progress.sliceNext = held.last ? Number.MAX_SAFE_INTEGER : held.next
    progress.sliceLast = held.last
    const { slice } = held
    effects.send(peer.id, {
      type: 'copy-slice',
      epoch: s.epoch,
      copy,
      index,
      next: progress.sliceNext,
      slice,
    })
    const small = slice.length <= FOLLOWED_BYTES_MAX
    if (held.last && small && progress.entries.length === 0) endCopy(s, effects, peer, progress)
  } else if (progress.sliceLast) endCopy(s, effects, peer, progress)
  if (progress.sliceLast || progress.reading || progress.held.length > 0) return
  progress.reading = true
  effects.readSnapshot(GROUP, copy, s.blockBytes(LIMITS.snapshotSliceBytes))
}

/** All slices and all entries made meanwhile are sent: from here on the slave is fed like any. */
function endCopy(s: GroupState, effects: Sink, peer: Peer, progress: Progress): void {
  const { copy, slices, next } = progress
  effects.closeSnapshot(GROUP, copy)
  progress.state = 'stream'
  progress.copy = 0
  effects.send(peer.id, { type: 'copy-end', epoch: s.epoch, copy, slices, next })
}

/** The next of the entries that may follow the last slice: at most 256 KiB, or one batch. */
function takeEntries(progress: Progress): Batch[] {
  const { entries, sliceNext } = progress
  let count = 0
  let bytes = 0
  while (count < entries.length && entries[count].next <= sliceNext) {
    bytes += entries[count].bytes.length
    if (count > 0 && bytes > ENTRIES_BYTES) break
    count++
  }
  const taken = entries.splice(0, count)
  progress.entriesBytes -= sizeOf(taken)
  return taken
}

/** Entries made while `peer` is copied wait for their slice, up to a bound; beyond, it fails. */
export function keepForCopy(s: GroupState, effects: Sink, peer: Peer, batch: Batch): void {
  const { progress } = peer
  if (progress === undefined) return
  progress.entries.push(batch)
  progress.entriesBytes += batch.bytes.length
  if (progress.entriesBytes > LIMITS.snapshotPendingBytesMax) failCopy(s, effects, peer, 'backlog')
}

function sizeOf(batches: readonly Batch[]): number {
  return batches.reduce((bytes, batch) => bytes + batch.bytes.length, 0)
}

function failCopy(s: GroupState, effects: Sink, peer: Peer, reason: string): void {
  effects.report('lag', { peer: peer.id, copy: false, reason })
  peer.copiesFailed++
  stopCopy(s, effects, peer)
  peer.progress = undefined
  putOffCopy(s, peer)
  // The slave asks again by itself: it has no end of copy and hears heartbeats.
  effects.disconnect(peer.id, 'NOT_READY')
}

function putOffCopy(s: GroupState, peer: Peer): void {
  peer.copyAfter = s.now + COPY_AGAIN_MS * 2 ** Math.min(peer.copiesFailed, COPY_PAUSES_MAX)
}

export function stopCopy(_s: GroupState, effects: Sink, peer: Peer): void {
  if (peer.progress?.state === 'copy') effects.closeSnapshot(GROUP, peer.progress.copy)
}
