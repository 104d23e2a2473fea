/**
 * Strategy broadcast: every node accepts writes and tells all others. Each is master of its own log
 * and applies everybody's to one store, where the later write of a key stays. This file routes
 * inputs to the concern that owns them; each concern has a file of its own.
 */
import { BROADCAST } from '../../src/config.js'
import { JOIN_GROUP } from '../../src/contracts/stamped.js'
import type {
  Input,
  Place,
  ReplicationStrategy,
  StrategyEnv,
  StrategyFactory,
} from '../../src/contracts/strategy.js'
import type { GroupId, Position } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { firstStampOf, stampMs } from '../../src/core/hybrid-clock.js'
import { originOfLife } from '../../src/core/version-vector.js'
import { forget, isOutdated, mustBeginAnew } from './horizon.js'
import { messageCodec } from './message-codec.js'
import type { Heartbeat, Message } from './messages.js'
import { type BroadcastOptions, checkMembers, type Settings, settingsOf } from './options.js'
import {
  dropRounds,
  onAsk,
  onDiffer,
  onLeaves,
  onNodes,
  onRecords,
  onSnapshot,
  resumeRounds,
  tickRepair,
} from './repair.js'
import { aheadMsOf, isAhead, judgeOwn, mayRestart, measure, stampMax } from './skew.js'
import { BroadcastState, OWN, type Peer, type Sink } from './state.js'
import { statusOf } from './status.js'
import { catchUp, compareVectors, onAck, onEntries, onGone, onPull, propose } from './streams.js'

export type { Message as BroadcastMessage } from './messages.js'
export type { BroadcastOptions } from './options.js'

/**
 * Every node accepts writes, settles them in its own memory and tells the others. Of two concurrent
 * writes to one key one is lost, and counted: use it for what may be written anywhere, at any time.
 * Throws CONFIG for an option that is unknown or out of range; the factory that it returns throws
 * CONFIG where the members cannot do what the options ask.
 */
export function broadcast(options: BroadcastOptions = {}): StrategyFactory<Message> {
  const settings = settingsOf(options)
  const factory = (env: StrategyEnv) => {
    checkMembers(settings, env.members)
    return new Broadcast(env, settings)
  }
  const records = settings.carry === 'values' ? 'stamped' : 'apart'
  return Object.assign(factory, { records } as const)
}

class Broadcast implements ReplicationStrategy<Message> {
  readonly name = 'broadcast'
  readonly codec = messageCodec()
  readonly keyed = false
  readonly everybodyServes = true
  readonly defaultAck
  readonly neverMerges = 'two writes of a key are one conflict here, and onConflict decides it'
  readonly #s: BroadcastState

  constructor(env: StrategyEnv, settings: Settings) {
    this.#s = new BroadcastState(env, settings)
    this.defaultAck = settings.ack
  }

  time(): number {
    return this.#s.clock.ms
  }

  /** What was written through another node is here once that one's entries are. */
  place(_group: GroupId, { epoch, offset }: Position): Place {
    const s = this.#s
    const known = s.vector.get(originOfLife(epoch))
    if (known === undefined || compareEpochs(known.life, epoch) < 0) return 'ahead'
    // A life that is over: what of it is here, nobody knows any more.
    if (compareEpochs(known.life, epoch) > 0) return 'lost'
    return offset < known.next ? 'applied' : 'ahead'
  }

  status() {
    return statusOf(this.#s)
  }

  step(input: Input<Message>, effects: Sink): void {
    const s = this.#s
    switch (input.kind) {
      case 'tick':
        return tick(s, effects, input)
      case 'propose':
        return propose(s, effects, input.proposals)
      case 'message':
        return onMessage(s, effects, input)
      case 'link-up':
        return onLinkUp(s, effects, input.peer, input.session)
      case 'link-down':
        return onLinkDown(s, effects, input)
      case 'congested':
      case 'writable':
        return onFlow(s, effects, input)
      case 'snapshot':
        return onSnapshot(s, effects, input)
      case 'view':
        s.startedAt = s.now
        s.announce(effects)
        return serveIfReady(s, effects)
      case 'read':
        return effects.reject(input.id, 'READ_MODE', true)
      case 'admin':
        return refuse(effects, input.command)
      default:
        return
    }
  }
}

/** There is no master to hand over from. */
function refuse(effects: Sink, command: string): void {
  const message = 'strategy broadcast: every node accepts writes, and none leads'
  effects.report(command, { state: 'refused', code: 'CONFIG', message })
}

function tick(
  s: BroadcastState,
  effects: Sink,
  t: { now: number; wall: number; lateMs: number },
): void {
  const wallJumped = s.now !== 0 && Math.abs(t.wall - s.wall - (t.now - s.now)) > BROADCAST.skewMs
  s.now = t.now
  s.wall = t.wall
  if (wallJumped) s.jumpedAt = s.now
  // A clock that is wrong, or just jumped, is not followed: it would drag the stamps with it.
  const trusted = !s.skewed && !wallJumped
  s.clock.pass(t.now, trusted ? t.wall : undefined)
  if (s.vector.size === 0) s.beBorn()
  if (s.startedAt < 0) return
  judgeOwn(s, effects)
  if (mayRestart(s)) restart(s, effects)
  s.waiting.settle(s, effects)
  if (s.now - s.heartbeatAt < s.settings.heartbeatMs) return
  s.heartbeatAt = s.now
  for (const peer of s.linked()) {
    heartbeat(s, effects, peer)
    catchUp(s, effects, peer)
  }
  // A copy that took so long is made of pieces of which the oldest may be outdated.
  if (!s.copied && s.now - s.bornAt > s.settings.endsKeptMs) comeBack(s, effects)
  tickRepair(s, effects)
  serveIfReady(s, effects)
  forget(s)
}

function heartbeat(s: BroadcastState, effects: Sink, peer: Peer): void {
  const { wall, serving, apart, horizon } = s
  const measured = aheadMsOf(s, peer)
  const ahead = Number.isFinite(measured) ? measured : UNKNOWN_MS
  const time = s.clock.ms
  const said = { wall, ahead, time, serving, apart, horizon, vector: s.vectorList }
  effects.send(peer.id, { type: 'heartbeat', ...said })
}

/** Nothing was measured: no clock is so far behind. */
const UNKNOWN_MS = -(2 ** 52)

/** A node serves once it has what others have; where nobody serves, there is nothing to have. */
function serveIfReady(s: BroadcastState, effects: Sink): void {
  if (s.serving || s.vector.size === 0) return
  if (!s.copied) {
    const peers = [...s.peers.values()]
    const serving = peers.filter(peer => peer.session !== 0 && peer.serving)
    // What lies where a clock is ahead does not enter here: that node is as one out of reach.
    if (serving.some(peer => !isAhead(s, effects, peer))) return
    const spoke = peers.every(peer => peer.spoke || (peer.session === 0 && peer.gone))
    const settled = serving.length === 0 && spoke
    if (!settled && s.now - s.startedAt < s.settings.bootstrapWaitMs) return
    // As whoever has copied: above what an honest clock had stamped in an earlier life.
    s.beBorn()
    s.copied = true
  }
  s.serving = true
  s.announce(effects)
  for (const peer of s.linked()) heartbeat(s, effects, peer)
}

function onMessage(
  s: BroadcastState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'message' }>,
): void {
  const peer = s.peers.get(input.peer)
  // A frame of an earlier life of the link, or of no member, changes nothing (S4).
  if (peer === undefined || peer.session !== input.session) return
  peer.heardAt = s.now
  const m = input.message
  switch (m.type) {
    case 'entries':
      return onEntries(s, effects, peer, m)
    case 'heartbeat':
      return onHeartbeat(s, effects, peer, m)
    case 'ack':
      return onAck(s, effects, peer, m)
    case 'pull':
      return onPull(s, effects, peer, m)
    case 'gone':
      return onGone(s, effects, peer, m)
    case 'ask':
      return onAsk(s, effects, peer, m)
    case 'nodes':
      return onNodes(s, effects, peer, m)
    case 'leaves':
      return onLeaves(s, effects, peer, m)
    case 'differ':
      return onDiffer(s, effects, peer, m)
    case 'records':
      return onRecords(s, effects, peer, m)
  }
}

function onHeartbeat(s: BroadcastState, effects: Sink, peer: Peer, m: Heartbeat): void {
  if (m.apart !== s.apart) {
    const [ours, theirs] = [s.apart, m.apart].map(apart => (apart ? 'invalidations' : 'values'))
    const text =
      `${peer.id} has strategy broadcast with carry: '${theirs}', and ${s.self.id} with ` +
      `carry: '${ours}': give all nodes the same`
    return effects.disconnect(peer.id, 'CONFIG', text)
  }
  measure(s, peer, m.wall)
  peer.toldAhead.note(m.ahead, s.now)
  const first = !peer.spoke
  peer.spoke = true
  peer.serving = m.serving
  peer.vector = new Map(m.vector.map(known => [originOfLife(known.life), known]))
  if (isAhead(s, effects, peer)) return
  if (firstStampOf(m.time) <= stampMax(s)) s.clock.hearTime(m.time)
  const isHonest = m.horizon <= stampMax(s)
  if (isHonest && mustBeginAnew(s, peer, m.horizon)) return comeBack(s, effects, peer)
  if (isHonest) s.horizon = Math.max(s.horizon, m.horizon)
  if (isOutdated(s, peer)) return
  compareVectors(s, effects, peer)
  s.waiting.settle(s, effects)
  if (!first) return
  tickRepair(s, effects)
  serveIfReady(s, effects)
}

/** It was away for too long. */
function comeBack(s: BroadcastState, effects: Sink, peer?: Peer): void {
  const awayMs = Math.round(s.clock.ms - stampMs(s.horizon))
  effects.report('resync', { peer: peer?.id, entries: s.own.next - 1, awayMs }, 'warn')
  beginAnew(s, effects)
}

/** Its clock was wrong until now, and it has written nothing. */
function restart(s: BroadcastState, effects: Sink): void {
  const aheadMs = Math.round(s.clock.ms - s.wall)
  effects.report('resync', { entries: 0, aheadMs }, 'warn')
  s.clock.restart(s.wall)
  s.early = false
  beginAnew(s, effects)
}

/** As if this process had just started: another life, without data. */
function beginAnew(s: BroadcastState, effects: Sink): void {
  effects.install(JOIN_GROUP, 1, NOTHING, EMPTY)
  effects.install(OWN, 1, NOTHING, EMPTY)
  s.vector.clear()
  s.beBorn()
  s.copied = false
  s.serving = false
  for (const other of s.peers.values()) {
    dropRounds(s, effects, other)
    other.compared = false
    other.next = 1
  }
  s.announce(effects)
}

const NOTHING = new Uint8Array(0)
const EMPTY = { epoch: undefined, crc: 0 }

function onLinkUp(s: BroadcastState, effects: Sink, id: string, session: number): void {
  const peer = s.peers.get(id)
  if (peer === undefined) return
  dropRounds(s, effects, peer)
  const fresh = { session, congested: false, spoke: false, serving: false, compared: false }
  Object.assign(peer, fresh, { gone: false, heardAt: s.now, linkedAt: s.now, next: s.own.next })
  heartbeat(s, effects, peer)
}

function onLinkDown(
  s: BroadcastState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'link-down' }>,
): void {
  const peer = s.peers.get(input.peer)
  if (peer === undefined) return
  if (input.session === 0) {
    if (peer.session === 0 && (input.loss === 'refused' || input.loss === 'reset')) peer.gone = true
  } else if (input.session === peer.session) {
    peer.session = 0
    peer.spoke = false
    peer.serving = false
    dropRounds(s, effects, peer)
  }
  serveIfReady(s, effects)
}

function onFlow(
  s: BroadcastState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'congested' | 'writable' }>,
): void {
  const peer = s.peers.get(input.peer)
  if (peer === undefined || peer.session !== input.session) return
  peer.congested = input.kind === 'congested'
  if (input.kind === 'congested') {
    if (input.lost?.type === 'entries') takeBack(s, peer, input.lost.batches[0])
    // Anything else is asked for again, after its time; a round begins anew.
    else if (input.lost?.type === 'records') dropRounds(s, effects, peer)
    return
  }
  catchUp(s, effects, peer)
  resumeRounds(s, effects, peer)
}

function takeBack(
  s: BroadcastState,
  peer: Peer,
  batch: { epoch: Position['epoch']; first: number },
) {
  if (compareEpochs(batch.epoch, s.epoch) === 0) peer.next = Math.min(peer.next, batch.first)
}
