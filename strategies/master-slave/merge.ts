/**
 * Heal in profile ordinal: what the losing side of a network split wrote goes into the winner's log
 * before the copy that replaces it (PROTOCOL 9 of the design). The master asks for one piece after
 * the other; the engine decides it key by key; the decisions are entries like any others.
 *
 *   sync with a log that      piece asked --> held --> decided --> proposed -+
 *   diverged ------------------^     ^                                      | more
 *                                    +--------------------------------------+
 *   last one proposed --> in-sync slaves hold it --> copy
 *
 * A slave that waits says `sync` every 500 ms, which drives whatever was lost: no timer runs for
 * one that is silent, so a stopped slave keeps what it has until it wakes.
 */
import { LIMITS } from '../../src/config.js'
import type { MergeCounts } from '../../src/contracts/merge.js'
import type { Input, Proposal } from '../../src/contracts/strategy.js'
import type { Epoch, Offset } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { BATCH_HEAD_BYTES, entryBytesMax } from '../../src/wire/batch.js'
import { copyTo } from './copy.js'
import { propose } from './master.js'
import type { Message } from './messages.js'
import { isCurrent } from './slave.js'
import { GROUP, type GroupState, type Peer, type Sink } from './state.js'

type Of<T extends Message['type']> = Extract<Message, { type: T }>

/** A piece that did not come is asked for again after it. */
const ASK_AGAIN_MS = 500
/**
 * So often in a row, then the merge is given up: the slave lives and says `sync`, so 5 s of it are
 * no accident. With 30 % of frames lost it happens once in a thousand pieces.
 */
const ASKED_MAX = 10
/** A copy begins although a slave in sync has not acked the merged entries for so long. */
const ACKED_WAIT_MS = 1_000

/** The master's side, one a slave; kept until the slave's log is another one. */
export interface Merge {
  readonly id: number
  readonly history: string
  readonly lastEpoch: Epoch
  /** The slave's entries `[from, next)` are not in the master's log. */
  readonly from: Offset
  readonly next: Offset
  state: 'asked' | 'held' | 'deciding' | 'proposed' | 'over'
  /** The piece asked for, or held, or decided. */
  index: number
  piece: { readonly bytes: Uint8Array; readonly last: boolean } | undefined
  /** The last piece came, or was asked for, at. */
  at: number
  asked: number
  /** Entries below it hold what was merged. */
  until: Offset
  readonly counts: MergeCounts
}

/** The losing side's: the last piece given is kept until the next one is asked for. */
export interface Giving {
  readonly epoch: Epoch
  readonly merge: number
  readonly collect: number
  readonly from: Offset
  index: number
  piece: { readonly bytes: Uint8Array; readonly last: boolean } | undefined
}

/**
 * The slave's log ends with entries that this one lacks: asks for them first. `common`: up to where
 * both are equal, undefined if nothing is known to be. False: nothing is left to merge, copy it.
 */
export function mergeFirst(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Of<'sync'>,
  common: Offset | undefined,
): boolean {
  const from = common ?? 1
  if (s.settings.profile !== 'ordinal') return false
  if (m.data !== 'ready' || m.distrust || from >= m.next) {
    s.merges.delete(peer.id)
    return false
  }
  const known = s.merges.get(peer.id)
  if (known === undefined || !isOf(known, m, from)) return begin(s, effects, peer, m, from)
  if (known.state === 'over') return false
  if (known.state !== 'asked' || s.now - known.at < ASK_AGAIN_MS) return true
  if (known.asked >= ASKED_MAX) return giveUp(s, effects, peer, known, 'unanswered')
  ask(s, effects, peer, known)
  return true
}

function isOf(merge: Merge, m: Of<'sync'>, from: Offset): boolean {
  const { history, lastEpoch, next } = merge
  const same = history === m.history && next === m.next && merge.from === from
  return same && compareEpochs(lastEpoch, m.lastEpoch) === 0
}

function begin(s: GroupState, effects: Sink, peer: Peer, m: Of<'sync'>, from: Offset): boolean {
  const { history, lastEpoch, next } = m
  const merge: Merge = {
    id: ++s.feeds,
    ...{ history, lastEpoch, from, next },
    ...{ state: 'asked', index: 0, piece: undefined, at: s.now, asked: 0, until: 0 },
    counts: {
      ...{ records: 0, merged: 0, discarded: 0, conflicts: 0, clears: 0 },
      removalsKnown: true,
    },
  }
  s.merges.set(peer.id, merge)
  if (s.settings.merge === 'discard') return giveUp(s, effects, peer, merge, 'discard')
  ask(s, effects, peer, merge)
  return true
}

function ask(s: GroupState, effects: Sink, peer: Peer, merge: Merge): void {
  merge.state = 'asked'
  merge.piece = undefined
  merge.at = s.now
  merge.asked++
  const { id, from, index } = merge
  effects.send(peer.id, { type: 'merge-ask', epoch: s.epoch, merge: id, from, index })
}

/** Whatever is not merged by now is lost with the copy, and said to be. Always false. */
function giveUp(s: GroupState, effects: Sink, peer: Peer, merge: Merge, reason: string): boolean {
  merge.state = 'over'
  merge.piece = undefined
  const entries = merge.next - merge.from
  report(s, effects, peer, merge, { lost: entries, reason })
  return false
}

function report(_s: GroupState, effects: Sink, peer: Peer, merge: Merge, more: object): void {
  const { history, from, next, counts } = merge
  const entries = next - from
  effects.report('divergence', { peer: peer.id, history, entries, ...counts, ...more })
}

/** On the losing side. */
export function onMergeAsk(s: GroupState, effects: Sink, peer: Peer, m: Of<'merge-ask'>): void {
  if (!isCurrent(s, effects, peer, m.epoch)) return
  s.heard(0)
  // An answer to the last sync: the next one is due only if nothing else comes.
  s.syncSentAt = s.now
  if (s.data !== 'ready' || s.synced || s.distrust || m.from >= s.next || m.from < 1) return
  const { giving } = s
  if (giving?.merge === m.merge && compareEpochs(giving.epoch, m.epoch) === 0) {
    const { piece } = giving
    if (piece === undefined) return
    if (m.index === giving.index) return give(s, effects, giving)
    if (m.index !== giving.index + 1 || piece.last) return
    giving.index++
    giving.piece = undefined
  } else if (m.index === 0) {
    const { epoch, merge, from } = m
    s.giving = { epoch, merge, collect: ++s.collects, from, index: 0, piece: undefined }
  } else return
  collect(s, effects)
}

function collect(s: GroupState, effects: Sink): void {
  if (s.giving === undefined) return
  const { collect: id, from } = s.giving
  effects.collect(GROUP, id, from, s.blockBytes(LIMITS.mergePieceBytes))
}

export function onCollected(
  s: GroupState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'collected' }>,
): void {
  const { giving } = s
  if (giving?.collect !== input.id || giving.piece !== undefined) return
  giving.piece = { bytes: input.records, last: input.last }
  give(s, effects, giving)
}

function give(s: GroupState, effects: Sink, giving: Giving): void {
  if (giving.piece === undefined || s.master === undefined || s.role !== 'slave') return
  if (compareEpochs(giving.epoch, s.epoch) !== 0) return
  const { epoch, merge, index, piece } = giving
  const { bytes, last } = piece
  effects.send(s.master, { type: 'merge-records', epoch, merge, index, last, bytes })
}

/** On the master. */
export function onMergeRecords(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Of<'merge-records'>,
): void {
  if (s.role !== 'master' || compareEpochs(m.epoch, s.epoch) !== 0) return
  const merge = s.merges.get(peer.id)
  if (merge?.id !== m.merge || merge.state !== 'asked' || merge.index !== m.index) return
  merge.state = 'held'
  merge.piece = { bytes: m.bytes, last: m.last }
  merge.at = s.now
  merge.asked = 0
  decide(s, effects, merge)
}

/** Only a serving master may propose. */
function decide(s: GroupState, effects: Sink, merge: Merge): void {
  if (!s.serving || merge.piece === undefined) return
  merge.state = 'deciding'
  effects.merge(GROUP, merge.id, merge.from, merge.piece.bytes, merge.piece.last)
}

export function onMerged(
  s: GroupState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'merged' }>,
): void {
  const [id, merge] = [...s.merges].find(([, one]) => one.id === input.id) ?? []
  const peer = id === undefined ? undefined : s.peers.get(id)
  if (s.role !== 'master' || peer === undefined || merge?.piece === undefined) return
  if (merge.state !== 'deciding') return
  if (input.counts === undefined) {
    giveUp(s, effects, peer, merge, 'unreadable')
    return copyTo(s, effects, peer, merge.next - merge.from)
  }
  if (!s.serving) {
    merge.state = 'held'
    return
  }
  const proposals = input.commands.map(proposalOf)
  const fitting = proposals.filter(one => fits(s, one))
  count(merge.counts, input.counts, proposals.length - fitting.length)
  if (fitting.length > 0) propose(s, effects, fitting)
  const { last } = merge.piece
  merge.piece = undefined
  merge.at = s.now
  if (last) {
    merge.state = 'proposed'
    merge.until = s.next
    return finish(s, effects, peer, merge)
  }
  merge.index++
  ask(s, effects, peer, merge)
}

function proposalOf(bytes: Uint8Array): Proposal {
  return { id: -1, ack: 'none', client: null, seq: 0, bytes, start: 0, end: bytes.length }
}

/** propose() refuses what no frame can carry; an entry is larger than the one it repeats. */
function fits(s: GroupState, proposal: Proposal): boolean {
  return entryBytesMax(proposal) + BATCH_HEAD_BYTES <= s.blockBytes(s.env.frameBytesMax)
}

function count(sum: MergeCounts, more: MergeCounts, tooLarge: number): void {
  sum.records += more.records
  sum.merged += more.merged - tooLarge
  sum.discarded += more.discarded + tooLarge
  sum.conflicts += more.conflicts
  // Said again with each piece.
  sum.clears = more.clears
  sum.removalsKnown &&= more.removalsKnown
}

/** Every turn whose clock moved, on a master: what waits for it to serve, or for acks. */
export function tickMerges(s: GroupState, effects: Sink): void {
  for (const [id, merge] of s.merges) {
    const peer = s.peers.get(id) as Peer
    if (merge.state === 'held') decide(s, effects, merge)
    else if (merge.state === 'proposed') finish(s, effects, peer, merge)
  }
}

/** The copy destroys the other holder of what was merged: not before it has as many as a write. */
function finish(s: GroupState, effects: Sink, peer: Peer, merge: Merge): void {
  if (s.now - merge.at < ACKED_WAIT_MS)
    for (const { progress } of s.peers.values())
      if (progress?.inSync && progress.acked < merge.until) return
  merge.state = 'over'
  report(s, effects, peer, merge, {})
  copyTo(s, effects, peer, merge.next - merge.from)
}
