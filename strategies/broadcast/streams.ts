/**
 * Entries on their way: this node's own to everybody, at once; those of others in, in order,
 * without a gap. What is missing is pulled, from its origin if it can be, else from whoever holds
 * it.
 *
 *   propose -> decided -> own log, applied, settled -> all linked peers      (no answer is awaited)
 *   entries -> continue the log of their origin? -> appended, applied
 *                 | a gap -----> pull -> entries | gone -> compare
 */
import { BROADCAST, LIMITS } from '../../src/config.js'
import { JOIN_GROUP } from '../../src/contracts/stamped.js'
import type { Proposal } from '../../src/contracts/strategy.js'
import type { Ack, Batch } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { firstStampOf } from '../../src/core/hybrid-clock.js'
import { copiesWanted } from '../../src/core/majority.js'
import { type Known, newLife, originOfLife } from '../../src/core/version-vector.js'
import {
  BATCH_HEAD_BYTES,
  continuesChain,
  encodeBatch,
  entryBytesMax,
} from '../../src/wire/batch.js'
import { isOutdated } from './horizon.js'
import { type Decided, Judge } from './judge.js'
import type { Ack as Acked, Entries, Gone, Pull } from './messages.js'
import { startRound } from './repair.js'
import { isAhead, isRefused, measure, stampMax } from './skew.js'
import { type BroadcastState, OWN, type Peer, type Sink } from './state.js'

/** What a message costs besides the batches in it. */
const MESSAGE_BYTES = 64

export function propose(s: BroadcastState, effects: Sink, proposals: readonly Proposal[]): void {
  const refusal = refusalOfAll(s)
  // Compared records are met, too: what replaces one is stamped above it.
  s.clock.hear(s.stamped.newestJoined)
  const judge = new Judge(s)
  for (const proposal of proposals) {
    const code = refusal ?? refusalOf(s, proposal) ?? judge.decide(proposal)
    if (code !== undefined) effects.reject(proposal.id, code, true)
  }
  const decided = judge.decided()
  const bytesMax = Math.min(LIMITS.batchBytes, s.env.frameBytesMax - MESSAGE_BYTES)
  let from = 0
  while (from < decided.length) {
    let to = from
    let bytes = BATCH_HEAD_BYTES
    while (to < decided.length && to - from < 65_535) {
      bytes += entryBytesMax(decided[to])
      if (bytes > bytesMax && to > from) break
      to++
    }
    place(s, effects, decided, from, to)
    from = to
  }
  const { ownSlice } = judge
  if (ownSlice !== undefined) effects.install(JOIN_GROUP, Number.MAX_SAFE_INTEGER, ownSlice)
}

function refusalOfAll(s: BroadcastState): string | undefined {
  if (!s.serving) return 'NOT_READY'
  if (isRefused(s)) return 'CLOCK_SKEW'
  return s.clock.aheadMs > BROADCAST.aheadMsMax ? 'BUSY' : undefined
}

function refusalOf(s: BroadcastState, proposal: Proposal): string | undefined {
  if (entryBytesMax(proposal) + BATCH_HEAD_BYTES + MESSAGE_BYTES > s.env.frameBytesMax)
    return 'LIMIT'
  const copies = wantedOf(s, proposal.ack)
  if (copies === 1) return undefined
  let linked = 1
  for (const _peer of s.linked()) linked++
  if (copies > linked) return 'NOT_ENOUGH_COPIES'
  return s.waiting.hasRoom(proposal.end - proposal.start) ? undefined : 'BUSY'
}

/** 0: all members that are linked and serve. */
function wantedOf(s: BroadcastState, ack: Ack): number {
  return copiesWanted(ack, s.peers.size + 1)
}

/** `decided[from, to)` becomes the next batch of this node's log. */
function place(
  s: BroadcastState,
  effects: Sink,
  decided: readonly Decided[],
  from: number,
  to: number,
): void {
  const { next, crc } = s.own
  const batch = encodeBatch(s.epoch, next, decided[from].stamp, crc, decided, from, to)
  s.append(effects, batch)
  let waits = false
  for (let i = from; i < to; i++) {
    const { id, ack, start, end } = decided[i]
    const offset = batch.first + i - from
    const copies = wantedOf(s, ack)
    if (copies === 1) {
      effects.settle(id, { group: OWN, epoch: s.epoch, offset, copies: 1, durableCopies: 0 })
      continue
    }
    waits = true
    s.waiting.add({ id, offset, copies, bytes: end - start, at: s.now })
  }
  replicate(s, effects, batch, waits)
}

/** One message object for all peers at that position: it is encoded once. */
function replicate(s: BroadcastState, effects: Sink, batch: Batch, ack: boolean): void {
  const message: Entries = { type: 'entries', wall: s.wall, ack, batches: [batch] }
  for (const peer of s.linked()) {
    if (peer.congested || peer.next !== batch.first) continue
    peer.next = batch.next
    effects.send(peer.id, message)
  }
}

/** Feeds a peer whose link was full from the log; what that has lost already, it compares. */
export function catchUp(s: BroadcastState, effects: Sink, peer: Peer): void {
  const log = s.env.log(OWN)
  if (peer.session === 0 || peer.congested || peer.next >= log.next) return
  const batches = log.read(peer.next, BROADCAST.pullBytes)
  if (batches === undefined || batches.length === 0) {
    peer.next = s.own.next
    return
  }
  peer.next = batches[batches.length - 1].next
  effects.send(peer.id, { type: 'entries', wall: s.wall, ack: !s.waiting.isEmpty, batches })
}

export function onEntries(s: BroadcastState, effects: Sink, peer: Peer, m: Entries): void {
  measure(s, peer, m.wall)
  if (isAhead(s, effects, peer) || isOutdated(s, peer)) return
  const max = stampMax(s)
  const origins = new Set<number>()
  for (const batch of m.batches) {
    const ordinal = originOfLife(batch.epoch)
    if (ordinal === s.self.ordinal || s.peerOf(ordinal) === undefined) continue
    const known = lifeOf(s, effects, peer, batch.epoch)
    if (known === undefined || batch.next <= known.next) continue
    if (batch.first !== known.next) {
      pull(s, effects, peer, known)
      continue
    }
    // Its stamps name their origin, or they are none of that origin.
    if (s.clock.originOf(batch.time) !== ordinal)
      return effects.disconnect(peer.id, 'PROTOCOL_ERROR')
    // What ended it may be forgotten here: its record comes, if it is there yet.
    if (batch.time <= s.horizon) {
      startRound(s, effects, peer)
      continue
    }
    const last = batch.time + (batch.next - batch.first - 1) * s.stampStep
    if (last > max) {
      effects.report('clock-skew', { code: 'CLOCK_SKEW', node: peer.id, stamp: last }, 'warn')
      return
    }
    if (!continuesChain(batch, known.crc)) return startRound(s, effects, peer)
    s.clock.hear(last)
    s.append(effects, batch)
    s.pulls.delete(ordinal)
    s.missing.delete(ordinal)
    origins.add(ordinal)
  }
  for (const ordinal of origins) answer(s, effects, peer, ordinal, m.ack)
}

/** Says what is held by now; and asks for more of what was pulled, and is not all. */
function answer(s: BroadcastState, effects: Sink, peer: Peer, ordinal: number, ack: boolean): void {
  const known = s.vector.get(ordinal) as Known
  if (ack && peer.ordinal === ordinal)
    effects.send(peer.id, { type: 'ack', life: known.life, next: known.next })
  const theirs = peer.vector.get(ordinal)
  if (peer.ordinal === ordinal || theirs === undefined) return
  if (compareEpochs(theirs.life, known.life) === 0 && theirs.next > known.next)
    pull(s, effects, peer, known)
}

/**
 * What is held of that life, which may just have begun; undefined: it is over, or not known yet. An
 * origin itself is believed which life it lives; of others only a later one is.
 */
export function lifeOf(
  s: BroadcastState,
  effects: Sink,
  peer: Peer,
  life: Known['life'],
): Known | undefined {
  const ordinal = originOfLife(life)
  const known = s.vector.get(ordinal)
  const order = known === undefined ? -1 : compareEpochs(known.life, life)
  if (order === 0) return known
  const byItself = peer.ordinal === ordinal
  if (!byItself && order > 0) return undefined
  // The stamps of this life begin no earlier than what was held of the one before it.
  const bornAt = firstStampOf(Math.floor(life.number / 256))
  // A life that begins in the future would outlive all others.
  if (bornAt > stampMax(s)) return undefined
  const born = newLife(life, Math.max(known?.upto ?? 0, bornAt))
  // Who has copied is born once more before it writes: no log is cut off by that.
  if (known?.next === 1) {
    s.vector.set(ordinal, born)
    return born
  }
  setKnown(s, effects, ordinal, born)
  // What the last life left behind may have reached some of us only.
  for (const other of s.peers.values()) other.compared = false
  return born
}

/** The log of that origin goes on from there, whatever was in it. */
export function setKnown(s: BroadcastState, effects: Sink, ordinal: number, known: Known): void {
  s.vector.set(ordinal, known)
  s.pulls.delete(ordinal)
  s.missing.delete(ordinal)
  const base = { epoch: known.next === 1 ? undefined : known.life, crc: known.crc }
  effects.install(s.groupOf(ordinal), known.next, NOTHING, base)
}

const NOTHING = new Uint8Array(0)

/** Asks `peer` for what follows `known`, unless that is under way. */
function pull(s: BroadcastState, effects: Sink, peer: Peer, known: Known): void {
  const ordinal = originOfLife(known.life)
  const asked = s.pulls.get(ordinal)
  if (asked !== undefined && s.now - asked < BROADCAST.pullAgainMs) return
  // Half of the data is no place to put them: they come after the rest.
  if (!s.copied) return
  s.pulls.set(ordinal, s.now)
  effects.send(peer.id, { type: 'pull', life: known.life, from: known.next })
}

export function onPull(s: BroadcastState, effects: Sink, peer: Peer, m: Pull): void {
  const ordinal = originOfLife(m.life)
  const known = s.vector.get(ordinal)
  const isHere = known !== undefined && compareEpochs(known.life, m.life) === 0
  const bytesMax = Math.min(BROADCAST.pullBytes, s.env.frameBytesMax - MESSAGE_BYTES)
  const batches = isHere ? s.env.log(s.groupOf(ordinal)).read(m.from, bytesMax) : undefined
  if (batches === undefined) effects.send(peer.id, { type: 'gone', life: m.life })
  else if (batches.length > 0)
    effects.send(peer.id, { type: 'entries', wall: s.wall, ack: false, batches })
  if (ordinal !== s.self.ordinal || batches === undefined || batches.length === 0) return
  peer.next = Math.max(peer.next, batches[batches.length - 1].next)
}

export function onGone(s: BroadcastState, effects: Sink, peer: Peer, m: Gone): void {
  s.pulls.delete(originOfLife(m.life))
  startRound(s, effects, peer)
}

export function onAck(s: BroadcastState, effects: Sink, peer: Peer, m: Acked): void {
  if (compareEpochs(m.life, s.epoch) !== 0) return
  const known = peer.vector.get(s.self.ordinal) ?? newLife(s.epoch, 0)
  const next = Math.min(m.next, s.own.next)
  if (next > known.next) peer.vector.set(s.self.ordinal, { ...known, next })
  s.waiting.settle(s, effects)
}

/** `peer` says what it holds: whatever is missed here, and does not come by itself, is pulled. */
export function compareVectors(s: BroadcastState, effects: Sink, peer: Peer): void {
  if (!s.copied || isAhead(s, effects, peer)) return
  for (const [ordinal, theirs] of peer.vector) {
    if (ordinal === s.self.ordinal || s.peerOf(ordinal) === undefined) continue
    const known = lifeOf(s, effects, peer, theirs.life)
    if (known === undefined || theirs.next <= known.next) continue
    const since = s.missing.get(ordinal)
    if (since === undefined) s.missing.set(ordinal, s.now)
    else if (s.now - since >= BROADCAST.pullAfterMs) pull(s, effects, peer, known)
  }
}
