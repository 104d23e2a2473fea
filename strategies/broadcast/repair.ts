/**
 * Two nodes compare their records and exchange those that differ: on link-up, every 10 s with one
 * random member, and where entries are missing that no log holds any more. A node that begins
 * copies everything this way: to it, all differ.
 *
 *   asks                              answers
 *   ask (root) ---------------------> the same? ends; else
 *   <------------------------- nodes  32 of them, and what it holds of each origin
 *   leaves (of those that differ) --> compared with its own
 *   <------------------------ differ  which leaves do
 *   records ------------------------> both join what they get, and hold
 *   <----------------------- records  what the other one held before
 */
import { BROADCAST, LIMITS } from '../../src/config.js'
import { JOIN_GROUP } from '../../src/contracts/stamped.js'
import type { Input } from '../../src/contracts/strategy.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { stampMs } from '../../src/core/hybrid-clock.js'
import { joined, type Known, originOfLife } from '../../src/core/version-vector.js'
import { Writer } from '../../src/wire/bytes.js'
import { isOutdated } from './horizon.js'
import type { Ask, Differ, LeavesSaid, Message, Nodes, RecordsSaid } from './messages.js'
import { isAhead, stampMax } from './skew.js'
import type { BroadcastState, Peer, Sink } from './state.js'
import { setKnown } from './streams.js'
import { bitmapOf, differing, equal, LEAVES_OF_NODE_BYTES, nodesOf, rootOf } from './tree.js'

/** One direction of records. */
interface Sending {
  readonly round: number
  readonly asker: boolean
  /** Of the walk in the store. */
  readonly walk: number
  index: number
  /** A slice that found no room, sent again when there is some. */
  held: RecordsSaid | undefined
  reading: boolean
}

/** What the answering side knows of a round. */
export interface Answering {
  readonly round: number
  vector: readonly Known[]
  /** Slices joined so far. */
  slices: number
  /** The lowest limit that any of them met: stamps above it may have been left out. */
  stampMax: number
  sending: Sending | undefined
}

/** What the asking side knows of its round. */
export interface Asking extends Answering {
  readonly peer: string
  progressAt: number
  received: boolean
}

function begun(s: BroadcastState, round: number): Answering {
  return { round, vector: [], slices: 0, stampMax: stampMax(s), sending: undefined }
}

/** Compares with `peer`, unless a round is under way. */
export function startRound(s: BroadcastState, effects: Sink, peer: Peer): void {
  if (s.asking !== undefined || peer.session === 0 || !peer.spoke || isOutdated(s, peer)) return
  const round = ++s.rounds
  s.comparedAt = s.now
  s.asking = { ...begun(s, round), peer: peer.id, progressAt: s.now, received: false }
  const root = rootOf(s.leaves())
  effects.send(peer.id, { type: 'ask', round, vector: s.vectorList, root })
}

/** Every heartbeat: the round that is due, and an end to one that stands still. */
export function tickRepair(s: BroadcastState, effects: Sink): void {
  const { asking } = s
  if (asking !== undefined && s.now - asking.progressAt > BROADCAST.roundMs) endRound(s, effects)
  if (s.asking !== undefined) return
  // Who does not serve has nothing yet: who copied that would serve without what others hold.
  const candidates = [...s.linked()].filter(
    peer => peer.spoke && peer.serving && !isOutdated(s, peer) && !isAhead(s, effects, peer),
  )
  // Of two that serve, the one of lower ordinal asks.
  const asks = (peer: Peer) => !s.copied || s.self.ordinal < peer.ordinal
  const fresh = candidates.find(peer => !peer.compared && asks(peer))
  // What a log still holds is pulled before: its entries tell more than records do.
  if (fresh !== undefined && s.copied && s.now - fresh.linkedAt < BROADCAST.pullFirstMs) return
  if (fresh !== undefined) return startRound(s, effects, fresh)
  if (s.now - s.comparedAt < s.settings.compareEveryMs || candidates.length === 0) return
  startRound(s, effects, candidates[Math.floor(s.env.random.next() * candidates.length)])
}

/** The link is gone, and with it both sides of a round. */
export function dropRounds(s: BroadcastState, effects: Sink, peer: Peer): void {
  if (s.asking?.peer === peer.id) endRound(s, effects)
  stopSending(effects, peer.answering?.sending)
  peer.answering = undefined
}

function endRound(s: BroadcastState, effects: Sink): void {
  stopSending(effects, s.asking?.sending)
  s.asking = undefined
}

function stopSending(effects: Sink, sending: Sending | undefined): void {
  if (sending !== undefined) effects.closeSnapshot(JOIN_GROUP, sending.walk)
}

export function onAsk(s: BroadcastState, effects: Sink, peer: Peer, m: Ask): void {
  stopSending(effects, peer.answering?.sending)
  const vector = s.vectorList
  peer.answering = begun(s, m.round)
  const leaves = s.leaves()
  const isSame = equal(rootOf(leaves), m.root) && sameVectors(s, m.vector)
  const nodes = isSame ? new Uint8Array(0) : nodesOf(leaves)
  if (isSame) peer.compared = true
  effects.send(peer.id, { type: 'nodes', round: m.round, vector, nodes })
}

export function onNodes(s: BroadcastState, effects: Sink, peer: Peer, m: Nodes): void {
  const { asking } = s
  if (asking?.peer !== peer.id || asking.round !== m.round) return
  asking.progressAt = s.now
  asking.vector = m.vector
  if (m.nodes.length === 0) return finish(s, effects, peer, asking)
  const leaves = s.leaves()
  const own = nodesOf(leaves)
  let differ = 0
  for (let node = 0; node < 32; node++)
    if (!equal(own.subarray(node * 8, node * 8 + 8), m.nodes.subarray(node * 8, node * 8 + 8)))
      differ = (differ | (1 << node)) >>> 0
  const said = new Uint8Array(countBits(differ) * LEAVES_OF_NODE_BYTES)
  let at = 0
  for (let node = 0; node < 32; node++) {
    if ((differ & (1 << node)) === 0) continue
    const start = node * LEAVES_OF_NODE_BYTES
    said.set(leaves.subarray(start, start + LEAVES_OF_NODE_BYTES), at)
    at += LEAVES_OF_NODE_BYTES
  }
  const vector = s.vectorList
  effects.send(peer.id, { type: 'leaves', round: m.round, vector, differ, leaves: said })
}

export function onLeaves(s: BroadcastState, effects: Sink, peer: Peer, m: LeavesSaid): void {
  const { answering } = peer
  if (answering?.round !== m.round || answering.sending !== undefined) return
  answering.vector = m.vector
  const bitmap = bitmapOf(differing(s.leaves(), m.differ, m.leaves))
  effects.send(peer.id, { type: 'differ', round: m.round, leaves: bitmap })
  answering.sending = beginSending(
    s,
    effects,
    peer,
    { round: m.round, asker: false },
    bitmap,
    m.vector,
  )
}

export function onDiffer(s: BroadcastState, effects: Sink, peer: Peer, m: Differ): void {
  const { asking } = s
  if (asking?.peer !== peer.id || asking.round !== m.round || asking.sending !== undefined) return
  asking.progressAt = s.now
  asking.sending = beginSending(
    s,
    effects,
    peer,
    { round: m.round, asker: true },
    m.leaves,
    asking.vector,
  )
}

function beginSending(
  s: BroadcastState,
  effects: Sink,
  peer: Peer,
  { round, asker }: Pick<Sending, 'round' | 'asker'>,
  bitmap: Uint8Array,
  theirs: readonly Known[],
): Sending {
  const walk = ++s.rounds
  effects.openSnapshot(JOIN_GROUP, walk, whatOf(s, peer, bitmap, theirs))
  effects.readSnapshot(JOIN_GROUP, walk, LIMITS.snapshotSliceBytes)
  return { round, asker, walk, index: 0, held: undefined, reading: true }
}

type Snapshot = Extract<Input<Message>, { kind: 'snapshot' }>

/** A slice of this node's records was read. */
export function onSnapshot(s: BroadcastState, effects: Sink, input: Snapshot): void {
  for (const peer of s.linked()) {
    const asking = s.asking?.peer === peer.id ? s.asking.sending : undefined
    for (const sending of [asking, peer.answering?.sending]) {
      if (sending?.walk !== input.id) continue
      sending.reading = false
      if (s.asking !== undefined && sending === asking) s.asking.progressAt = s.now
      const { round, asker, index } = sending
      const last = input.state !== 'more'
      const { slice } = input
      sending.held = { type: 'records', round, asker, index, last, slice }
      return sendOn(s, effects, peer, sending)
    }
  }
  effects.closeSnapshot(JOIN_GROUP, input.id)
}

/** Its link has room: sends the slice that is held, and reads the next one. */
function sendOn(s: BroadcastState, effects: Sink, peer: Peer, sending: Sending): void {
  const { held } = sending
  if (held === undefined || peer.congested) return
  sending.held = undefined
  sending.index++
  effects.send(peer.id, held)
  if (!held.last) {
    sending.reading = true
    effects.readSnapshot(JOIN_GROUP, sending.walk, LIMITS.snapshotSliceBytes)
    return
  }
  effects.closeSnapshot(JOIN_GROUP, sending.walk)
  if (s.asking?.sending === sending && s.asking.received) endRound(s, effects)
}

export function resumeRounds(s: BroadcastState, effects: Sink, peer: Peer): void {
  if (s.asking?.peer === peer.id && s.asking.sending !== undefined)
    sendOn(s, effects, peer, s.asking.sending)
  if (peer.answering?.sending !== undefined) sendOn(s, effects, peer, peer.answering.sending)
}

export function onRecords(s: BroadcastState, effects: Sink, peer: Peer, m: RecordsSaid): void {
  const round = m.asker ? peer.answering : s.asking?.peer === peer.id ? s.asking : undefined
  if (round?.round !== m.round) return
  // One was lost below the law of the transport: the next round tells.
  if (round.slices !== m.index) return
  // What is not joined is not counted: all that follows is left out, too, and so is its word.
  if (isAhead(s, effects, peer) || isOutdated(s, peer)) return
  // Who does not serve holds nothing but copies, of who knows what age.
  if (!peer.serving && s.serving) return
  round.slices++
  if (!m.asker && s.asking !== undefined) s.asking.progressAt = s.now
  const max = stampMax(s)
  round.stampMax = Math.min(round.stampMax, max)
  effects.install(JOIN_GROUP, max, m.slice)
  if (!m.last) return
  if (m.asker) {
    joinVector(s, effects, round)
    peer.compared = true
  } else if (s.asking !== undefined) finish(s, effects, peer, s.asking)
}

/** All that the other side held when it began is held here now. */
function finish(s: BroadcastState, effects: Sink, peer: Peer, asking: Asking): void {
  joinVector(s, effects, asking)
  asking.received = true
  peer.compared = true
  // An earlier life, whose clock was ahead, may have stamped above the birth of this one: who says
  // that it has met all since its birth would be taken at its word for those, too.
  if (!s.copied) s.beBorn()
  s.copied = true
  const { sending } = asking
  if (sending === undefined || (!sending.reading && sending.held === undefined))
    endRound(s, effects)
}

function joinVector(s: BroadcastState, effects: Sink, { vector, stampMax: max }: Answering): void {
  for (const theirs of vector) {
    const ordinal = originOfLife(theirs.life)
    if (theirs.upto > max) continue
    if (ordinal === s.self.ordinal) s.clock.hearTime(stampMs(theirs.upto) + 1)
    if (s.peerOf(ordinal) === undefined) continue
    const mine = s.vector.get(ordinal)
    const both = joined(mine, theirs)
    if (both === mine) continue
    s.clock.hear(both.upto)
    const same = mine !== undefined && compareEpochs(mine.life, both.life) === 0
    if (same && mine.next === both.next) s.vector.set(ordinal, both)
    else setKnown(s, effects, ordinal, both)
  }
}

/** What the store is asked for: these leaves, and what ended records as far as the other side has
 *  not met it. */
function whatOf(
  s: BroadcastState,
  peer: Peer,
  bitmap: Uint8Array,
  theirs: readonly Known[],
): Uint8Array {
  const out = new Writer(bitmap.length + 8 + theirs.length * 17)
  out.bytes(bitmap)
  out.f64(s.vector.get(peer.ordinal)?.upto ?? 0)
  for (const { life, from, upto } of theirs) {
    out.u8(originOfLife(life))
    out.f64(from)
    out.f64(upto)
  }
  return out.copy()
}

function sameVectors(s: BroadcastState, theirs: readonly Known[]): boolean {
  if (theirs.length !== s.vector.size) return false
  return theirs.every(known => {
    const mine = s.vector.get(originOfLife(known.life))
    return mine !== undefined && mine.next === known.next && mine.crc === known.crc
  })
}

function countBits(mask: number): number {
  let bits = 0
  for (let rest = mask; rest !== 0; rest >>>= 1) bits += rest & 1
  return bits
}
