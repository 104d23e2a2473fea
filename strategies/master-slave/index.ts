/**
 * Strategy master-slave: one group, one master, every other member a slave with a full copy. This
 * file routes inputs to the concern that owns them; each concern has a file of its own.
 */
import { TIMES } from '../../src/config.js'
import type { ElectionFactory } from '../../src/contracts/election.js'
import type {
  AdminCommand,
  Input,
  Place,
  ReplicationStrategy,
  StrategyEnv,
  StrategyFactory,
} from '../../src/contracts/strategy.js'
import type { GroupId, Member, PeerId, Position } from '../../src/contracts/types.js'
import { unreachable } from '../../src/core/assert.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { onAdmit } from './admission.js'
import { considerBootstrap } from './bootstrap.js'
import { advanceCopy, onSnapshot, onSync, stopCopy } from './copy.js'
import { catchUp, takeBack } from './feed.js'
import { isForebear, onForce } from './force.js'
import { holdsWrites, onAdmin, onHandover, onTargetAck, tickHandover } from './handover.js'
import { onLease, tickLease } from './lease.js'
import { heartbeat, onAck, propose, serveIfReady, stepDown, tickMaster } from './master.js'
import { onJoin, onLeave, tickMembership } from './membership.js'
import { onCollected, onMergeAsk, onMerged, onMergeRecords } from './merge.js'
import { messageCodec } from './message-codec.js'
import type { Message } from './messages.js'
import {
  checkMembers,
  type MasterSlaveOptions,
  neverMerges,
  type Settings,
  settingsOf,
} from './options.js'
import {
  giveUp,
  onNominate,
  onPrepare,
  onPromise,
  onPull,
  onPullReply,
  onRefuse,
  PROMISED_WAIT_MS,
  startPromotion,
  tickCandidate,
} from './promotion.js'
import { mayStand, votesHere } from './quorum.js'
import { freshness, onRead, placeOf } from './reads.js'
import {
  hearMaster,
  isForeign,
  isOlderHistory,
  onAppend,
  onCopyBegin,
  onCopyEnd,
  onCopySlice,
  onHeartbeat,
  onSyncReply,
  orphan,
  requestSync,
} from './slave.js'
import { GroupState, type Peer, type Sink } from './state.js'
import { hasForgotten } from './stated.js'
import { type Census, censusOf, statusOf } from './status.js'
import { onHint, onProbe, onProbeReply, tellLoss, watchMaster } from './suspicion.js'
import {
  applyView,
  forgetLeft,
  forgetStranger,
  newStranger,
  onMembers,
  tellView,
  welcomesStrangers,
} from './views.js'
import { Witness } from './witness.js'

export type { Message as MasterSlaveMessage } from './messages.js'
export type { MasterSlaveOptions } from './options.js'

/** Own loop delays count for so long. PROTOCOL 7. */
const LATE_KEPT_MS = 1_000
/** The first frame of a link is here before any other, unless they overtake each other. */
const STATEMENT_MS = 500

/**
 * The default strategy. Its profile says what an acknowledgement is worth: 'ordinal' (default),
 * 'strict' or 'majority'. Throws CONFIG for an option that is unknown or out of range; the factory
 * that it returns throws CONFIG where the members cannot do what the options ask.
 */
export function masterSlave(options: MasterSlaveOptions = {}): StrategyFactory<Message> {
  const settings = settingsOf(options)
  return env => {
    checkMembers(settings, env.members)
    const self = env.members.find(member => member.id === env.self)
    return self?.witness ? new Witness(env, settings) : new MasterSlave(env, settings)
  }
}

/** Made by masterSlave(). Named for the model check, which steps states that it has copied. */
export class MasterSlave implements ReplicationStrategy<Message> {
  readonly name = 'master-slave'
  readonly codec = messageCodec()
  readonly keyed = false
  readonly commands: readonly AdminCommand[] = ['join', 'leave', 'force-bootstrap']
  readonly defaultAck
  readonly neverMerges: string | undefined
  readonly election?: ElectionFactory
  readonly actsUntil?: () => number
  readonly #s: GroupState

  /** `state`: one that goes on from where another stood; it becomes this one's own. */
  constructor(env: StrategyEnv, settings: Settings, state = new GroupState(env, settings)) {
    this.#s = state
    this.defaultAck = settings.ack
    this.neverMerges = neverMerges(settings)
    const { lease } = state
    if (settings.election === undefined || lease === undefined) return
    this.election = settings.election
    this.actsUntil = () => lease.untilMs
  }

  time(): number {
    return this.#s.clock.time
  }

  freshness(): number {
    return freshness(this.#s)
  }

  place(_group: GroupId, position: Position): Place {
    return placeOf(this.#s, position)
  }

  status() {
    return statusOf(this.#s)
  }

  census(): Census {
    return censusOf(this.#s)
  }

  welcomesStrangers(): boolean {
    return welcomesStrangers(this.#s)
  }

  step(input: Input<Message>, effects: Sink): void {
    const s = this.#s
    switch (input.kind) {
      case 'propose':
        if (!holdsWrites(s)) return propose(s, effects, input.proposals)
        for (const { id } of input.proposals) effects.reject(id, 'NOT_READY', true)
        return
      case 'message':
        return this.#onMessage(effects, input)
      case 'tick':
        return tick(s, effects, input)
      case 'link-up':
        return onLinkUp(s, effects, input.peer, input.session)
      case 'link-down':
        return onLinkDown(s, effects, input)
      case 'congested':
      case 'writable':
        return onFlow(s, effects, input)
      case 'snapshot':
        return onSnapshot(s, effects, input)
      case 'collected':
        return onCollected(s, effects, input)
      case 'merged':
        return onMerged(s, effects, input)
      case 'view':
        return onView(s, input.view, input.members)
      case 'lease':
        onLease(s, effects, input)
        return s.role === 'slave' ? tickSlave(s, effects) : undefined
      case 'hint':
        return onHint(s)
      case 'read':
        return onRead(s, effects, input)
      case 'admin':
        if (input.command === 'join') return onJoin(s, effects, input)
        if (input.command === 'leave') return onLeave(s, effects, input)
        if (input.command === 'force-bootstrap') return onForce(s, effects)
        return onAdmin(s, effects, input)
      default:
        unreachable(input)
    }
  }

  #onMessage(effects: Sink, input: Extract<Input<Message>, { kind: 'message' }>): void {
    const s = this.#s
    if (s.mixed.has(input.peer)) {
      if (!s.mixed.mends(effects, input)) return
      onLinkUp(s, effects, input.peer, input.session)
    }
    const peer = s.peers.get(input.peer)
    // A frame of an earlier life of the link, or of no member, changes nothing (S4).
    if (peer === undefined || peer.session !== input.session) return
    peer.frameAt = s.now
    peer.heardAt = s.now
    dispatch(s, effects, peer, input.message)
    if (peer.said === undefined) missStatement(s, effects, peer)
  }
}

/**
 * Who speaks and has not said who it is: that is the first frame of a link, so it was lost below
 * the law of the transport, and nobody would say it again. A new link does (strict, seed 4957: a
 * slave took the master for a process that another one had replaced, and all waited for ever). It
 * is wanted soon, so no reason is given: that is for who is not wanted.
 */
function missStatement(s: GroupState, effects: Sink, peer: Peer): void {
  if (peer.session === 0) return
  if (peer.unsaidAt === 0) peer.unsaidAt = s.now
  if (s.now - peer.unsaidAt < STATEMENT_MS) return
  effects.disconnect(peer.id, 'PROTOCOL_ERROR')
}

function dispatch(s: GroupState, effects: Sink, peer: Peer, m: Message): void {
  switch (m.type) {
    case 'append':
      return onAppend(s, effects, peer, m)
    case 'append-ack':
      onAck(s, effects, peer, m)
      return onTargetAck(s, effects, peer, m)
    case 'heartbeat':
      return onHeartbeat(s, effects, peer, m)
    case 'state':
      return onState(s, effects, peer, m)
    case 'probe':
      return onProbe(s, effects, peer, m)
    case 'probe-reply':
      return onProbeReply(s, effects, peer, m)
    case 'prepare':
      return onPrepare(s, effects, peer, m)
    case 'promise':
      return onPromise(s, effects, peer, m)
    case 'refuse':
      return onRefuse(s, effects, peer, m)
    case 'pull':
      return onPull(s, effects, peer, m)
    case 'pull-reply':
      return onPullReply(s, effects, peer, m)
    case 'nominate':
      return onNominate(s, effects, m)
    case 'sync':
      return onSync(s, effects, peer, m)
    case 'sync-reply':
      return onSyncReply(s, effects, peer, m)
    case 'merge-ask':
      return onMergeAsk(s, effects, peer, m)
    case 'merge-records':
      return onMergeRecords(s, effects, peer, m)
    case 'copy-begin':
      return onCopyBegin(s, effects, peer, m)
    case 'copy-slice':
      return onCopySlice(s, effects, peer, m)
    case 'copy-end':
      return onCopyEnd(s, effects, peer, m)
    case 'admit':
      return onAdmit(s, effects, peer, m)
    case 'header':
    case 'forgotten':
      return // for witnesses
    case 'members':
      return onMembers(s, effects, m)
    case 'fenced':
      return onFenced(s, effects, peer, m)
    case 'handover':
      return onHandover(s, effects, peer, m)
    default:
      unreachable(m)
  }
}

function tick(s: GroupState, effects: Sink, t: { now: number; wall: number; lateMs: number }) {
  const jumped = s.startedAt >= 0 && t.now - s.now > TIMES.stoppedMs
  s.now = t.now
  s.wall = t.wall
  if (jumped) {
    s.wokeAt = s.now
    // What was asked before is old: it may be past its time, and no answer to it was read.
    s.hunt = undefined
  }
  while (s.late.length > 0 && t.now - s.late[0][0] > LATE_KEPT_MS) s.late.shift()
  if (t.lateMs >= 1) s.late.push([t.now, t.lateMs])
  // What came while this process was held up is read after this turn: nobody was silent for it. Two
  // stalls of 500 ms in a row looked like a master without slaves (ordinal, seed 301). For so long
  // at most: held up again and again it would take all others for live for ever.
  if (t.lateMs >= s.settings.heartbeatMs && !jumped)
    for (const peer of s.peers.values()) {
      const latest = Math.min(t.now, peer.frameAt + s.settings.suspectAfterMs)
      peer.heardAt = Math.max(peer.heardAt, Math.min(latest, peer.heardAt + t.lateMs))
    }
  s.clock.pass(t.now, s.role === 'master' ? t.wall : undefined)
  if (s.view === 0) return
  tickLease(s, effects)
  if (s.role === 'master') {
    if (jumped && s.peers.size > 0) doubt(s, effects)
    tickMaster(s, effects)
    tickHandover(s, effects)
    tickMembership(s, effects)
  } else if (s.role === 'candidate') {
    // Promises are old by now: their givers may follow another.
    if (jumped) giveUp(s)
    else tickCandidate(s, effects)
  } else tickSlave(s, effects)
  forgetLeft(s, effects)
}

function tickSlave(s: GroupState, effects: Sink): void {
  if (s.data !== 'ready') considerBootstrap(s, effects)
  else if (mayStand(s)) watchMaster(s, effects)
}

/** The clock jumped: this process was stopped, and somebody else may lead by now. Ask first. */
function doubt(s: GroupState, effects: Sink): void {
  s.doubtAt = s.now
  s.doubtTime = s.clock.time
  serveIfReady(s, effects)
  heartbeat(s, effects)
}

function onView(s: GroupState, view: number, members: readonly Member[]): void {
  s.view = view
  s.startedAt = s.now
  s.views = [{ first: 0, view: { number: 0, members, past: [] } }]
  applyView(s)
}

function onLinkUp(s: GroupState, effects: Sink, id: PeerId, session: number): void {
  if (s.mixed.onLinkUp(id, session)) return effects.send(id, s.statement())
  if (!s.peers.has(id) && welcomesStrangers(s)) s.peers.set(id, newStranger(id))
  const peer = s.peers.get(id)
  if (peer === undefined) return
  peer.session = session
  peer.congested = false
  peer.gone = false
  peer.frameAt = s.now
  peer.heardAt = s.now
  peer.said = undefined
  peer.unsaidAt = 0
  peer.process = ''
  peer.voter = false
  peer.askFrom = 0
  peer.admitFrom = 0
  effects.send(id, s.statement())
  if (s.master === id) requestSync(s, effects)
}

function onLinkDown(
  s: GroupState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'link-down' }>,
): void {
  s.mixed.onLinkDown(input.peer, input.session)
  const peer = s.peers.get(input.peer)
  if (peer === undefined) return
  if (input.session === 0) {
    // Two nodes have nobody to ask, so only a refusal proves that no process is there.
    const dead = input.loss === 'refused' || (input.loss === 'reset' && s.peers.size > 1)
    if (dead && peer.session === 0) peer.gone = true
  } else if (input.session === peer.session) {
    peer.session = 0
    peer.congested = false
    if (peer.progress?.state === 'copy') {
      stopCopy(s, effects, peer)
      peer.copiesFailed++
      peer.progress = undefined
    } else if (peer.progress !== undefined) peer.progress.state = 'lost'
    s.candidacy?.asked.delete(input.peer)
    // Its process may be gone, and with it the memory of its promise.
    if (s.commitsLate && s.candidacy?.phase === 'prepare') s.candidacy.promises.delete(input.peer)
    s.hunt?.asked.delete(input.peer)
    if (s.master === input.peer) tellLoss(s, effects)
    // A stranger that told nothing leaves nothing behind.
    if (peer.stranger) forgetStranger(s, effects, peer)
  }
  if (s.role === 'slave' && s.data === 'ready' && mayStand(s)) watchMaster(s, effects)
  if (s.role === 'master') {
    tickMaster(s, effects)
    tickHandover(s, effects)
  }
}

function onFlow(
  s: GroupState,
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'congested' | 'writable' }>,
): void {
  const peer = s.peers.get(input.peer)
  if (peer === undefined || peer.session !== input.session) return
  peer.congested = input.kind === 'congested'
  if (input.kind === 'congested') {
    if (input.lost !== undefined) takeBack(effects, peer, input.lost)
    return
  }
  if (s.role !== 'master') return
  if (peer.progress?.state === 'copy') advanceCopy(s, effects, peer)
  else catchUp(s, effects, peer)
}

function onState(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Extract<Message, { type: 'state' }>,
): void {
  if (s.mixed.refuses(effects, peer.id, m.profile)) {
    // The rest of what it sent finds no session.
    const { id, session } = peer
    return onLinkDown(s, effects, { kind: 'link-down', peer: id, session, loss: 'local' })
  }
  peer.said = m
  peer.process = m.incarnation
  const forgotten = hasForgotten(effects, peer, m)
  peer.voter = votesHere(s, peer, m) && !forgotten
  tellView(s, effects, peer)
  s.see(m.promised)
  s.see(m.epoch)
  if (m.role === 'master') hearMaster(s, effects, peer, m.epoch)
  else if (s.master === peer.id && isDemotion(s, m)) {
    orphan(s, effects)
    // It lives and has met a higher epoch: whoever leads that one will be heard soon.
    if (m.incarnation === s.epoch.incarnation && s.lease === undefined)
      s.candidateAfter = Math.max(s.candidateAfter, s.now + PROMISED_WAIT_MS)
  }
}

/** The followed master leads no more, or its process is another one. A word from before it led says
 *  neither: it may have been overtaken. */
function isDemotion(s: GroupState, m: Extract<Message, { type: 'state' }>): boolean {
  return m.incarnation !== s.epoch.incarnation || compareEpochs(m.promised, s.epoch) >= 0
}

/** A higher epoch was promised: this node's time is over, or its older history goes above it. */
function onFenced(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Extract<Message, { type: 'fenced' }>,
): void {
  s.see(m.promised)
  if (compareEpochs(m.epoch, s.epoch) !== 0 || compareEpochs(m.promised, s.epoch) <= 0) return
  if (s.role === 'master') {
    if (isOlderHistory(s, peer) || isForebear(s, peer)) return startPromotion(s, effects)
    // Epochs of another history say nothing in this one.
    if (isForeign(s, peer)) return
    stepDown(s, effects)
    orphan(s, effects)
    s.tell(effects)
  }
}
