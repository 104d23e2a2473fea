/**
 * A witness: the third voter of two data nodes. It stores a few bytes durably (what it promised,
 * and the last entry it acked), holds no data and never leads. It promises only to a candidate
 * whose log is at or above its own last entry, so a slave that lacks what master and witness
 * committed cannot take over: unavailable, not wrong (PROTOCOL 6).
 */
import type {
  AdminCommand,
  Input,
  ReplicationStrategy,
  StrategyEnv,
} from '../../src/contracts/strategy.js'
import type { Member, PeerId, Session } from '../../src/contracts/types.js'
import { compareEpochs, isBetterLog } from '../../src/core/epochs.js'
import { decodeView } from '../../src/wire/view.js'
import { refuseWitness } from './force.js'
import { messageCodec } from './message-codec.js'
import type { Message, StateMessage } from './messages.js'
import { MixedPeers } from './mixed.js'
import type { Settings } from './options.js'
import { GROUP, type Sink } from './state.js'
import { WitnessMemory } from './witness-memory.js'

interface Other extends Member {
  session: Session
  heardAt: number
  /** What it said last, on this session. */
  said: StateMessage | undefined
}

/**
 * Until it votes it says what it is again and again: without its word nobody begins. So it does
 * while its master is out of touch, which may be for want of that word (majority, seed 1433).
 */
const TELL_AGAIN_MS = 500

type Of<T extends Message['type']> = Extract<Message, { type: T }>

/** All that a witness knows. */
export class WitnessState {
  readonly others = new Map<PeerId, Other>()
  readonly memory: WitnessMemory
  /** No other profile has witnesses. */
  readonly mixed: MixedPeers
  self: Member
  now = 0
  toldAt = 0
  /** Of reads, as the followed master last said. */
  round = 0
  master: PeerId | undefined
  heardAt = Number.NEGATIVE_INFINITY
  /** Its master last said that it has its voters. */
  ruledAt = Number.NEGATIVE_INFINITY
  inTouch = true
  /** Number of the newest view that a member told. */
  view = 0

  constructor(readonly env: StrategyEnv) {
    this.self = { id: env.self, ordinal: 255, address: '', witness: true }
    this.memory = new WitnessMemory(env)
    this.mixed = new MixedPeers(env.self, 'majority')
  }
}

export class Witness implements ReplicationStrategy<Message> {
  readonly name = 'master-slave'
  readonly codec = messageCodec()
  readonly keyed = false
  readonly commands: readonly AdminCommand[] = ['force-bootstrap']
  readonly defaultAck
  readonly #settings: Settings
  readonly #s: WitnessState

  /** `state`: one that goes on from where another stood; it becomes this one's own. */
  constructor(env: StrategyEnv, settings: Settings, state = new WitnessState(env)) {
    this.#settings = settings
    this.defaultAck = settings.ack
    this.#s = state
  }

  time(): number {
    return 0
  }

  step(input: Input<Message>, effects: Sink): void {
    switch (input.kind) {
      case 'tick':
        this.#s.now = input.now
        if (this.#mayBeUnknown && this.#s.now - this.#s.toldAt >= TELL_AGAIN_MS) this.#tell(effects)
        return
      case 'view':
        // Its master may not have had time to say that it rules.
        this.#s.ruledAt = this.#s.now
        return this.#meet(input.members)
      case 'link-up':
        return this.#onLinkUp(effects, input.peer, input.session)
      case 'link-down': {
        this.#s.mixed.onLinkDown(input.peer, input.session)
        const other = this.#s.others.get(input.peer)
        if (other !== undefined && other.session === input.session) other.session = 0
        return
      }
      case 'message': {
        const { peer, session, message } = input
        if (this.#s.mixed.has(peer)) {
          if (!this.#s.mixed.mends(effects, input)) return
          this.#onLinkUp(effects, peer, session)
        }
        const other = this.#s.others.get(peer)
        if (other === undefined || other.session !== session) return
        other.heardAt = this.#s.now
        return this.#onMessage(effects, other, message)
      }
      case 'admin':
        return refuseWitness(effects, input)
      case 'propose':
        for (const { id } of input.proposals) effects.reject(id, 'NOT_MASTER', true)
        return
      case 'read':
        return effects.reject(input.id, 'NOT_MASTER', true)
      default:
        return
    }
  }

  get #mayBeUnknown(): boolean {
    return !this.#s.memory.voter || !this.#s.inTouch
  }

  #onLinkUp(effects: Sink, peer: PeerId, session: Session): void {
    const other = this.#s.others.get(peer)
    if (other === undefined) return
    if (this.#s.mixed.onLinkUp(peer, session)) return effects.send(peer, this.#statement())
    other.session = session
    other.said = undefined
    effects.send(peer, this.#statement())
  }

  #onMessage(effects: Sink, other: Other, m: Message): void {
    switch (m.type) {
      case 'state':
        if (this.#s.mixed.refuses(effects, other.id, m.profile)) {
          other.session = 0
          return
        }
        other.said = m
        if (m.role === 'master') this.#hear(effects, other, m)
        return
      case 'heartbeat':
        if (!this.#hear(effects, other, m)) return
        this.#s.inTouch = m.inTouch
        if (m.inTouch) this.#s.ruledAt = this.#s.now
        this.#s.round = m.round
        return this.#acknowledge(effects, other, m.time)
      case 'header':
        if (this.#hear(effects, other, m)) this.#onHeader(effects, other, m)
        return
      case 'admit':
        if (this.#hear(effects, other, m)) this.#onAdmit(effects, m)
        return
      case 'members':
        return this.#onMembers(effects, m)
      case 'probe': {
        const { epoch, nonce } = m
        const hears = this.#hears(other)
        return effects.send(other.id, { type: 'probe-reply', epoch, nonce, hears })
      }
      case 'prepare':
        return this.#onPrepare(effects, other, m)
      case 'forgotten':
        return this.#onForgotten(effects, other, m)
      default:
        return
    }
  }

  /** True if `m` comes from the master of the highest epoch promised; fences a lower one. */
  #hear(effects: Sink, other: Other, m: { epoch: Message['epoch']; history?: string }): boolean {
    const memory = this.#s.memory
    if (!memory.isOf(m.history ?? other.said?.history ?? '')) {
      if (!this.#yieldsTo(other)) return false
      memory.forsake()
      this.#tell(effects)
    }
    const order = compareEpochs(m.epoch, memory.promised)
    if (order < 0) {
      const { epoch } = m
      const master = this.#s.master ?? ''
      effects.send(other.id, { type: 'fenced', epoch, promised: memory.promised, master })
      return false
    }
    this.#s.heardAt = this.#s.now
    if (order === 0 && this.#s.master === other.id) return true
    this.#s.master = other.id
    this.#s.inTouch = true
    this.#s.round = 0
    memory.promise(effects, m.epoch)
    const standing = { role: 'slave', epoch: m.epoch, master: other.id, serving: false } as const
    effects.become(GROUP, standing)
    return true
  }

  /** As a data node does (force.ts). */
  #yieldsTo(other: Other): boolean {
    const { memory, master, now, ruledAt } = this.#s
    if (!other.said?.forcedFrom?.includes(memory.history)) return false
    return master === other.id || now - ruledAt >= this.#settings.bootstrapWaitMs
  }

  /** Only links depend on it: whose promise counts, the candidate judges. */
  #onMembers(effects: Sink, m: Of<'members'>): void {
    const { number, members } = decodeView(m.view)
    if (!this.#s.memory.isOf(m.history) || number <= this.#s.view) return
    this.#s.view = number
    this.#meet(members)
    effects.view(GROUP, number, members)
    this.#tell(effects)
  }

  #meet(members: readonly Member[]): void {
    const { others } = this.#s
    for (const id of others.keys()) if (!members.some(member => member.id === id)) others.delete(id)
    for (const member of members)
      if (member.id === this.#s.env.self) this.#s.self = member
      else {
        const { session = 0, heardAt = 0, said } = others.get(member.id) ?? {}
        others.set(member.id, { ...member, session, heardAt, said })
      }
  }

  #onHeader(effects: Sink, other: Other, m: Of<'header'>): void {
    const memory = this.#s.memory
    if (!memory.voter) return
    if (isBetterLog(m.lastEpoch, m.next, memory.lastEpoch, memory.next)) memory.note(effects, m)
    this.#acknowledge(effects, other, 0)
  }

  /** Under the epoch that it follows it holds what it noted of that epoch, nothing older. */
  #acknowledge(effects: Sink, other: Other, echo: number): void {
    const { promised: epoch, lastEpoch, voter } = this.#s.memory
    const current = voter && compareEpochs(lastEpoch, epoch) === 0
    const next = current ? this.#s.memory.next : 1
    const marks = { round: this.#s.round, stamp: this.#s.now }
    const ack = { epoch, feed: 0, next, durable: next, echo, ...marks }
    effects.send(other.id, { type: 'append-ack', ...ack })
  }

  #onAdmit(effects: Sink, m: Of<'admit'>): void {
    this.#s.memory.admit(effects, m)
    this.#tell(effects)
  }

  /** The note is an older one than this node has written: somebody has put it back. */
  #onForgotten(effects: Sink, other: Other, m: Of<'forgotten'>): void {
    const { epoch: promised, lastEpoch, next } = m
    if (this.#s.memory.forget(effects, { promised, lastEpoch, next })) this.#tell(effects)
    else effects.send(other.id, this.#statement())
  }

  #tell(effects: Sink): void {
    this.#s.toldAt = this.#s.now
    for (const other of this.#s.others.values())
      if (other.session !== 0) effects.send(other.id, this.#statement())
  }

  #hears(asker: Other): boolean {
    if (this.#s.master === undefined || this.#s.master === asker.id || !this.#s.inTouch)
      return false
    if (this.#s.others.get(this.#s.master)?.session === 0) return false
    return this.#s.now - this.#s.heardAt <= this.#settings.heardWithinMs
  }

  #onPrepare(effects: Sink, other: Other, m: Of<'prepare'>): void {
    const memory = this.#s.memory
    const { handover } = m
    const given = handover !== undefined && compareEpochs(handover, memory.promised) === 0
    const hears = this.#hears(other) && !given
    const stale = isBetterLog(memory.lastEpoch, memory.next, m.lastEpoch, m.next)
    const foreign = !memory.isOf(m.history)
    if (hears || stale || foreign || compareEpochs(m.epoch, memory.promised) <= 0) {
      const { promised } = memory
      return effects.send(other.id, { type: 'refuse', epoch: m.epoch, promised, hears })
    }
    this.#s.master = undefined
    memory.promise(effects, m.epoch)
    effects.send(other.id, { type: 'promise', epoch: m.epoch, ...memory.facts() })
  }

  #statement(): Message {
    const { promised, lastEpoch, next, voter, history, incarnation } = this.#s.memory
    const data = history === '' ? 'empty' : 'ready'
    const facts = { promised, lastEpoch, next, voter, history, incarnation, data } as const
    const { master = '', view } = this.#s
    const { profile } = this.#settings
    return { type: 'state', role: 'slave', epoch: promised, master, view, profile, ...facts }
  }

  status() {
    const { promised, history, voter, next } = this.#s.memory
    const { profile } = this.#settings
    const { id, ordinal, address } = this.#s.self
    const state = voter ? 'online' : 'learner'
    const self = { id, ordinal, role: 'witness', state, offset: next - 1, lag: 0, address } as const
    const members = [...this.#s.others.values()].map(other => ({
      id: other.id,
      ordinal: other.ordinal,
      role: other.id === this.#s.master ? ('master' as const) : ('slave' as const),
      state: other.session === 0 ? 'down' : 'online',
      offset: 0,
      lag: 0,
      address: other.address,
    }))
    return {
      strategy: 'master-slave',
      profile,
      guarantee: 'a witness: votes, holds no data, never leads',
      epoch: promised.number,
      history,
      master: this.#s.master,
      self,
      members: [...members, self].sort((a, b) => a.ordinal - b.ordinal),
    }
  }
}
