/**
 * What a node of strategy broadcast knows: its own log, what it holds of each other origin, and
 * what the others say. Every concern works on it from a file of its own.
 */
import type { StampedState } from '../../src/contracts/stamped.js'
import type { Effects, StrategyEnv } from '../../src/contracts/strategy.js'
import type { Batch, Epoch, GroupId, Member, PeerId, Session } from '../../src/contracts/types.js'
import { assert } from '../../src/core/assert.js'
import { firstStampOf, HybridClock, ordinalBits } from '../../src/core/hybrid-clock.js'
import { type Known, newLife, originOfLife } from '../../src/core/version-vector.js'
import type { Message } from './messages.js'
import type { Settings } from './options.js'
import type { Answering, Asking } from './repair.js'
import { Measured } from './skew.js'
import { Waiting } from './waiting.js'

export type Sink = Effects<Message>

/** This node's own log. */
export const OWN = 0

export interface Peer {
  readonly id: PeerId
  readonly ordinal: number
  readonly address: string
  /** 0: no link. */
  session: Session
  congested: boolean
  /** When the link came up. */
  linkedAt: number
  /** The next own entry to send to it. */
  next: number
  heardAt: number
  /** It has spoken on this link. */
  spoke: boolean
  serving: boolean
  /** What it said that it holds, by origin. */
  vector: Map<number, Known>
  /** Its clock less the monotonic one here, ms, as far as frames prove; and by how much the clock
   *  of this node is ahead of its, as it says. */
  readonly clock: Measured
  toldAhead: Measured
  /** Its dial was refused, or reset: nobody is there. */
  gone: boolean
  /** Records were compared with it on this link. */
  compared: boolean
  alarmedAt: number
  answering: Answering | undefined
}

export class BroadcastState {
  readonly env: StrategyEnv
  readonly settings: Settings
  readonly stamped: StampedState
  readonly self: Member
  readonly clock: HybridClock
  epoch: Epoch
  readonly peers = new Map<PeerId, Peer>()
  /** By ordinal, this node's own included. */
  readonly vector = new Map<number, Known>()
  readonly waiting = new Waiting()
  now = 0
  wall = 0
  startedAt = -1
  /** When this life began: that of the process, or of its data. */
  bornAt = 0
  heartbeatAt = Number.NEGATIVE_INFINITY
  comparedAt = 0
  serving = false
  /** Records of a member were joined since this process, or its data, began. */
  copied = false
  /** What ended records up to this stamp was forgotten, though a member may not have met it. */
  horizon = 0
  /** This node's clock is surely too far ahead of the others. */
  skewed = false
  /** Its stamps surely are, though its clock may be right by now. */
  early = false
  /** When its clock was last set by more than clocks may be apart. */
  jumpedAt = Number.NEGATIVE_INFINITY
  skewAlarmedAt = Number.NEGATIVE_INFINITY
  /** The round that this node asked for. */
  asking: Asking | undefined
  rounds = 0
  /** Pulls under way, by origin: asked at. */
  readonly pulls = new Map<number, number>()
  /** Since when an origin's entries are missed, by ordinal. */
  readonly missing = new Map<number, number>()
  /** Who is not the first to evict: since when each cache is too large. */
  readonly evicting = new Map<string, { since: number; last: number }>()

  constructor(env: StrategyEnv, settings: Settings) {
    const self = env.members.find(member => member.id === env.self)
    assert(self !== undefined, `members lack ${env.self}`)
    assert(env.stamped !== undefined, 'strategy broadcast needs a store of stamped records')
    this.env = env
    this.settings = settings
    this.stamped = env.stamped
    this.self = self
    const highest = Math.max(...env.members.map(member => member.ordinal))
    this.clock = new HybridClock(self.ordinal, ordinalBits(highest))
    this.epoch = { number: 0, incarnation: env.incarnation }
    for (const { id, ordinal, address } of env.members)
      if (id !== env.self) this.peers.set(id, newPeer(id, ordinal, address))
  }

  /** Each node has records of its own: only what ends them travels. */
  get apart(): boolean {
    return this.settings.carry === 'invalidations'
  }

  /** What two nodes compare: nothing, where their records differ anyway. */
  leaves(): Uint8Array {
    return this.apart ? NO_LEAVES : this.stamped.leaves()
  }

  get stampStep(): number {
    return this.clock.step
  }

  /** What this node holds of its own log: all of it. */
  get own(): Known {
    return this.vector.get(this.self.ordinal) as Known
  }

  /** The first tick: this life begins. */
  beBorn(): void {
    const { ordinal } = this.self
    const { incarnation } = this.env
    this.bornAt = this.now
    this.epoch = { number: Math.floor(this.clock.ms) * 256 + ordinal, incarnation }
    this.vector.set(ordinal, newLife(this.epoch, firstStampOf(this.clock.ms)))
  }

  groupOf(ordinal: number): GroupId {
    return ordinal === this.self.ordinal ? OWN : ordinal + 1
  }

  peerOf(ordinal: number): Peer | undefined {
    for (const peer of this.peers.values()) if (peer.ordinal === ordinal) return peer
    return undefined
  }

  *linked(): Iterable<Peer> {
    for (const peer of this.peers.values()) if (peer.session !== 0) yield peer
  }

  get vectorList(): Known[] {
    return [...this.vector.values()]
  }

  /** `batch` continues what is held of its origin: it is kept and applied. */
  append(effects: Sink, batch: Batch): void {
    const ordinal = originOfLife(batch.epoch)
    const known = this.vector.get(ordinal) as Known
    const last = batch.time + (batch.next - batch.first - 1) * this.stampStep
    const upto = Math.max(known.upto, last)
    this.vector.set(ordinal, { ...known, next: batch.next, upto, crc: batch.crc })
    effects.append(this.groupOf(ordinal), batch)
    effects.commit(this.groupOf(ordinal), batch.next)
  }

  announce(effects: Sink): void {
    const { epoch, serving } = this
    effects.become(OWN, { role: 'master', epoch, master: this.env.self, serving })
  }
}

const NO_LEAVES = new Uint8Array(8_192)

function newPeer(id: PeerId, ordinal: number, address: string): Peer {
  return {
    ...{
      id,
      ordinal,
      address,
      session: 0,
      congested: false,
      linkedAt: 0,
      next: 1,
      heardAt: 0,
      spoke: false,
    },
    ...{ serving: false, vector: new Map(), clock: new Measured(), toldAhead: new Measured() },
    ...{ gone: false, compared: false, alarmedAt: Number.NEGATIVE_INFINITY, answering: undefined },
  }
}
