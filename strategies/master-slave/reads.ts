/**
 * What reads need of the strategy: proof that this master still is one (linearizable), how old a
 * slave's state may be (local), and where the entry of a reader's token stands (PROTOCOL 11).
 *
 *   read -> waits -> round: readIndex noted, heartbeats marked with its number
 *                      -> a majority echoed it under this epoch ------> served
 *                      -> late: NO_MAJORITY; deposed: NOT_MASTER
 *
 * Reads that come while a round is under way wait for the next one: it must begin after them.
 */
import type { Input, Place } from '../../src/contracts/strategy.js'
import type { Epoch, Offset, PeerId, Position, Session } from '../../src/contracts/types.js'
import { compareEpochs, NO_EPOCH } from '../../src/core/epochs.js'
import { heartbeat } from './master.js'
import type { Message } from './messages.js'
import { counts, ownEpochCommitted } from './quorum.js'
import { GROUP, type GroupState, type Peer, type Sink } from './state.js'

type Of<T extends Message['type']> = Extract<Message, { type: T }>
type ReadInput = Extract<Input<Message>, { kind: 'read' }>

interface WaitingRead {
  readonly id: number
  readonly at: number
}

interface Round {
  readonly next: Offset
  readonly reads: WaitingRead[]
}

/** The newest word of a slave, in one session: another process has another clock. */
interface Echo {
  readonly session: Session
  readonly round: number
  readonly stamp: number
}

export class ReadState {
  // A master's.
  /** Number of the newest round; grows for as long as the process lives. */
  round = 0
  running: Round | undefined
  /** For the next round. The engine bounds them. */
  waiting: WaitingRead[] = []
  readonly echoes = new Map<PeerId, Echo>()

  // A slave's.
  heard: { readonly epoch: Epoch; readonly round: number } = { epoch: NO_EPOCH, round: 0 }
  freshAt = Number.NEGATIVE_INFINITY
  /** Once everything below `next` of this epoch's log is applied, the state is as fresh as `at`. */
  coming: { readonly at: number; readonly next: Offset; readonly epoch: Epoch } | undefined
}

/** Only where W + P > N: a majority that follows this epoch says nothing elsewhere. */
export function offersLinearizable(s: GroupState): boolean {
  return s.settings.profile === 'majority'
}

/** Every write acknowledged so far stands below it. */
export function readIndex(s: GroupState): Offset {
  return s.commit
}

export function onRead(s: GroupState, effects: Sink, input: ReadInput): void {
  const { id, mode } = input
  if (mode !== 'linearizable' || !offersLinearizable(s)) effects.reject(id, 'READ_MODE', true)
  else if (s.role !== 'master') effects.reject(id, 'NOT_MASTER', true)
  else {
    s.reads.waiting.push({ id, at: s.now })
    beginRound(s, effects)
  }
}

/** If reads wait, no round is under way and one could end. */
function beginRound(s: GroupState, effects: Sink): void {
  const { reads } = s
  if (reads.running !== undefined || reads.waiting.length === 0) return
  // Before an entry of its own is committed it does not know what is (planted bug 29).
  if (!ownEpochCommitted(s)) return
  reads.round++
  reads.running = { next: readIndex(s), reads: reads.waiting }
  reads.waiting = []
  heartbeat(s, effects)
  endRound(s, effects)
}

/** Serves the reads of the round if a majority, this node included, has echoed it. */
function endRound(s: GroupState, effects: Sink): void {
  const { reads } = s
  const { running } = reads
  if (running === undefined) return
  let echoed = 1
  for (const peer of s.peers.values()) if (hasEchoed(s, peer)) echoed++
  if (echoed < s.quorum.promises) return
  reads.running = undefined
  for (const { id } of running.reads) effects.serve(id, GROUP, running.next)
  beginRound(s, effects)
}

/**
 * One that has not all of its data (yet, or any more) votes for nobody. Its acks say so, too, where
 * its word that it is ready was lost: no round ended while that link lasted (partitioned, 40418).
 */
function hasEchoed(s: GroupState, peer: Peer): boolean {
  if (!counts(s, peer)) return false
  const { progress, said } = peer
  const holdsAll = progress?.state === 'stream' && (said?.data === 'ready' || progress.inSync)
  if (!peer.witness && !holdsAll) return false
  const echo = s.reads.echoes.get(peer.id)
  return echo !== undefined && echo.session === peer.session && echo.round >= s.reads.round
}

/** An ack of this epoch, from a slave that follows it. */
export function noteEcho(s: GroupState, effects: Sink, peer: Peer, m: Of<'append-ack'>): void {
  const { session } = peer
  const before = s.reads.echoes.get(peer.id)
  const known = before?.session === session ? before : undefined
  const round = Math.max(m.round, known?.round ?? 0)
  const stamp = Math.max(m.stamp, known?.stamp ?? -1)
  s.reads.echoes.set(peer.id, { session, round, stamp })
  endRound(s, effects)
}

/** What a heartbeat to `id` carries. */
export function readMarks(s: GroupState, id: PeerId): { round: number; stamp: number } {
  const echo = s.reads.echoes.get(id)
  const current = echo !== undefined && echo.session === s.peers.get(id)?.session
  return { round: s.reads.round, stamp: current ? echo.stamp : -1 }
}

/** Every turn of a master whose clock moved. */
export function tickReads(s: GroupState, effects: Sink): void {
  const { reads } = s
  if (reads.running === undefined && reads.waiting.length === 0) return
  const since = s.now - s.settings.ackTimeoutMs
  const isLate = ({ id, at }: WaitingRead): boolean => {
    if (at > since) return false
    effects.reject(id, 'NO_MAJORITY', true)
    return true
  }
  reads.waiting = reads.waiting.filter(read => !isLate(read))
  if (reads.running !== undefined) {
    const left = reads.running.reads.filter(read => !isLate(read))
    reads.running = left.length === 0 ? undefined : { next: reads.running.next, reads: left }
  }
  beginRound(s, effects)
}

/** Master no longer: nobody here can vouch for anything. */
export function endReads(s: GroupState, effects: Sink): void {
  const { reads } = s
  for (const { id } of reads.running?.reads ?? []) effects.reject(id, 'NOT_MASTER', true)
  for (const { id } of reads.waiting) effects.reject(id, 'NOT_MASTER', true)
  reads.running = undefined
  reads.waiting = []
  reads.echoes.clear()
  // What it holds may be a branch that others will replace: fresh only by a new master's word.
  reads.freshAt = Number.NEGATIVE_INFINITY
  reads.coming = undefined
}

/**
 * A heartbeat of the followed master. The stamp that it returns was this node's clock before the
 * master sent it, so a state that holds all below `next` was the master's at the stamp or later,
 * however long the heartbeat was on its way and whoever was stopped meanwhile.
 */
export function hearRound(s: GroupState, m: Of<'heartbeat'>): void {
  const { reads } = s
  const { epoch } = s
  const isOther = compareEpochs(reads.heard.epoch, epoch) !== 0
  if (isOther) reads.coming = undefined
  if (isOther || m.round > reads.heard.round) reads.heard = { epoch, round: m.round }
  if (!followsWhole(s)) return
  reads.freshAt = freshness(s)
  // One that is still awaited stays: under load a newer one would always be further ahead.
  if (reads.coming !== undefined && s.log.applied < reads.coming.next) return
  reads.coming = m.stamp < 0 || m.stamp > s.now ? undefined : { at: m.stamp, next: m.commit, epoch }
  reads.freshAt = freshness(s)
}

/** What an ack carries. */
export function echoMarks(s: GroupState): { round: number; stamp: number } {
  const { epoch, round } = s.reads.heard
  return { round: compareEpochs(epoch, s.epoch) === 0 ? round : 0, stamp: s.now }
}

/** This node's log continues its master's, and holds all of its history. */
function followsWhole(s: GroupState): boolean {
  return s.role === 'slave' && s.data === 'ready' && s.copying === undefined && s.synced
}

/** As the contract says. A slave that lost its master keeps what it knew: it only grows older. */
export function freshness(s: GroupState): number {
  if (s.data !== 'ready') return Number.NEGATIVE_INFINITY
  if (s.role === 'master' && s.serving) return s.now
  const { freshAt, coming } = s.reads
  if (coming === undefined || !followsWhole(s) || s.log.applied < coming.next) return freshAt
  return compareEpochs(coming.epoch, s.epoch) === 0 ? Math.max(freshAt, coming.at) : freshAt
}

/** By the epoch starts: an epoch has one master, so within it equal offsets are equal entries. */
export function placeOf(s: GroupState, { epoch, offset }: Position): Place {
  if (s.data !== 'ready') return 'ahead'
  for (let i = s.starts.length - 1; i >= 0; i--) {
    const start = s.starts[i]
    const order = compareEpochs(start.epoch, epoch)
    const newest = i === s.starts.length - 1
    if (order < 0) return newest ? 'ahead' : 'lost'
    if (order > 0) continue
    const end = newest ? s.next : s.starts[i + 1].first
    if (offset >= end) return newest ? 'ahead' : 'lost'
    return offset >= start.first ? 'here' : 'lost'
  }
  // Below all that are known: another branch, or more than 64 epochs ago.
  return s.starts.length === 0 ? 'ahead' : 'lost'
}
