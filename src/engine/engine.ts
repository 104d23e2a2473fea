/**
 * The engine: carries inputs from a transport, clients and the clock to a strategy, and its effects
 * to the log, the state machine and the transport. It knows no protocol: who leads and what is
 * copied is the strategy's; how bytes travel is the transport's.
 */
import { EventEmitter } from 'eventemitter3'
import { TIMES } from '../config.js'
import type { Identity } from '../contracts/authentication.js'
import type { Timer } from '../contracts/environment.js'
import type {
  GroupTable,
  Input,
  Place,
  ReplicationStrategy,
  Standing,
  StrategyStatus,
} from '../contracts/strategy.js'
import type { LinkLoss, SendResult, TransportHandler } from '../contracts/transport.js'
import type {
  Epoch,
  GroupId,
  Member,
  Offset,
  PeerId,
  Position,
  Session,
} from '../contracts/types.js'
import { stackOf } from '../core/stack.js'
import { GcacheError, REFUSALS } from '../errors.js'
import type { HandoverResult } from '../wire/admin.js'
import { decodeControl, encodeLinkEnd } from '../wire/control.js'
import { FRAME } from '../wire/requests.js'
import { Admin } from './admin.js'
import { Clients } from './clients.js'
import type { Effect } from './effect-queue.js'
import type { EngineEvents, EngineOptions } from './engine-options.js'
import type { GroupEnv } from './group.js'
import { Groups, Hosts } from './groups.js'
import { Links } from './links.js'
import { Mandate } from './mandate.js'
import { OpenCalls } from './open-calls.js'
import { Pump } from './pump.js'
import type { CommandEnd } from './reported-command.js'
import { LOCAL_PEER, Rights } from './rights.js'
import { statusFrame } from './status-frame.js'
import { statusOf } from './strategy-answers.js'
import { Watches } from './watches.js'
import { Words } from './words.js'

export class Engine<M = unknown> implements TransportHandler {
  readonly events = new EventEmitter<EngineEvents>()
  readonly lastWords = encodeLinkEnd
  /** The commands of an admin. */
  readonly admin: Admin
  readonly #options: EngineOptions<M>
  readonly #strategy: ReplicationStrategy<M>
  readonly #pump: Pump<M>
  readonly #links: Links
  readonly #calls: OpenCalls
  readonly #watches: Watches
  readonly #hosts: Hosts
  readonly #groups: Groups<M>
  readonly #clients: Clients
  /** What each link may do. */
  readonly rights: Rights
  /** Whether this node may act, and for how long it may lead. */
  readonly mandate: Mandate<M>
  readonly #sessions = new Map<PeerId, Session>()
  #timer: Timer | undefined
  #startedAt = 0
  /** Who the members are is known. */
  #met: boolean
  #stopped = false
  readonly #words: Words<M>
  #localReply: ((frame: Uint8Array) => void) | undefined

  constructor(options: EngineOptions<M>) {
    this.#options = options
    const { self, incarnation, random, transport, durability, clock } = options
    const { valueBytesMax, logger } = options
    this.#hosts = new Hosts(options)
    this.#strategy = options.strategy({
      self,
      incarnation,
      random,
      frameBytesMax: transport.traits.frameBytesMax,
      durability,
      members: options.members,
      note: options.notes?.last,
      stamped: options.stamped,
      log: group => this.#hosts.log(group),
      read: (...asked) => this.#hosts.read(...asked),
    })
    this.#hosts.partitions = this.table?.partitions ?? 1
    this.mandate = new Mandate(this.#strategy, options, () => {
      this.#clients.tell()
      this.events.emit('standing', this.standing)
    })
    this.#pump = new Pump<M>({
      clock,
      strategy: this.#strategy,
      tickMs: TIMES.tickMs,
      execute: effect => this.#execute(effect),
      finish: () => this.#finish(),
      onTrace: options.onTrace,
    })
    this.#words = new Words(transport, this.#strategy.codec)
    const others = options.members.filter(member => member.id !== self)
    this.#met = options.late !== true
    this.#links = new Links({ transport, clock, random }, this.#met ? others : [])
    const send = (peer: PeerId, frame: Uint8Array) => this.#sendClient(peer, frame)
    const flush = (peer: PeerId) => transport.flush?.(peer)
    const disconnect = (peer: PeerId, cause: GcacheError) => transport.disconnect(peer, cause)
    const { authority, isCurrent } = options
    this.rights = new Rights({ authority, isCurrent, clock, logger, send, flush, disconnect })
    this.#calls = new OpenCalls({
      ...{ send, flush, disconnect },
      hold: (peer, onHold) => transport.hold?.(peer, onHold),
      access: peer => this.rights.of(peer),
    })
    this.#groups = this.#makeGroups()
    const standing = () => this.standing
    const acts = () => this.mandate.acts
    const all = { self, acts, everybody: this.#strategy.everybodyServes, table: () => this.table }
    this.#clients = new Clients({ ...all, standing, valueBytesMax, send, flush }, options.members)
    this.#watches = new Watches({ store: this.#groups, send })
    this.admin = this.#makeAdmin()
  }

  #makeGroups(): Groups<M> {
    const { clock, logger, caches, onMerge, valueBytesMax, autoCaches } = this.#options
    const strategy = this.#strategy
    const { defaultAck, keyed, table } = strategy
    const env: GroupEnv<M> = {
      ...{ strategy, mandate: this.mandate, calls: this.#calls },
      ...{ clock, logger, caches, onMerge, valueBytesMax },
      rules: {
        ...{ defaultAck, keyed, autoCaches, valueBytesMax },
        caches: new Map(Object.entries(caches)),
        now: () => clock.now(),
        forbid: (...asked) => this.rights.refuseOperation(...asked),
        table: table?.bind(strategy),
      },
      feed: input => this.feed(input),
      fail: error => this.#fail(error),
    }
    return new Groups<M>(env, this.#hosts)
  }

  #makeAdmin(): Admin {
    const { self, clock } = this.#options
    return new Admin({
      ...{ self, clock, commands: this.#strategy.commands ?? [] },
      standing: () => this.standing,
      status: () => this.status(),
      give: input => this.feed(input),
      send: (peer, frame) => {
        this.#sendClient(peer, frame)
        this.flush(peer)
      },
    })
  }

  /** Resolves once peers can reach it; rejects with ADDRESS_IN_USE or ADDRESS_INVALID, stopped. */
  async start(): Promise<void> {
    this.#startedAt = this.#options.clock.now()
    // start() binds before it returns: dialling already is harmless, and a simulation never waits
    // for a promise.
    const started = this.#options.transport.start(this)
    this.mandate.start(input => this.feed(input))
    if (this.#met) this.feed({ kind: 'view', view: 1, members: this.#options.members })
    this.#tick()
    this.#links.start()
    await started.catch(async error => {
      await this.stop()
      throw error
    })
  }

  /** Once, where the members came late: this node included, dialled from now on. */
  meet(members: readonly Member[]): void {
    this.#met = true
    this.#view(members, 0)
    this.feed({ kind: 'view', view: 1, members })
  }

  /** Discovery has seen `peer` there; its member's address is tried in turn with it. */
  sight(peer: PeerId, address: string): void {
    this.#links.sight(peer, address)
  }

  /** Ends all links and timers; resolves when nothing of it is open. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    this.admin.stop()
    this.#groups.stop()
    this.#links.stop()
    await Promise.all([this.#options.transport.stop(), this.mandate.stop()])
  }

  /** Undefined where there is only one group. */
  get table(): GroupTable | undefined {
    return this.#strategy.table?.()
  }

  /** What the strategy said last of group 0, as far as it lasts. */
  get standing(): Standing {
    return this.#groups.first.standing
  }

  get address(): string {
    return this.#options.transport.address
  }

  /** Why `peer` may not link; undefined: it may. Clients may, and of the others members. */
  refusalOf(peer: PeerId): string | undefined {
    if (peer === LOCAL_PEER) return `no link is called ${peer}`
    if (peer.startsWith('~') || this.#links.isMember(peer)) return undefined
    if (!this.#met) return `${this.#options.self} looks for its cluster`
    if (this.#strategy.welcomesStrangers?.()) return undefined
    return `${peer} is no member of this cluster`
  }

  status(): StrategyStatus {
    return this.mandate.told(statusOf(this.#strategy))
  }

  /** Cluster time in ms. */
  time(): number {
    return this.#groups.first.time()
  }

  /** Own monotonic ms at which what is applied here was surely what a master had applied. */
  freshness(): number {
    return this.#groups.first.freshness()
  }

  place(position: Position): Place {
    return this.#groups.first.place(position)
  }

  /** Entries `[1, next)` are in the store; the last one is of `epoch`. The object is reused. */
  applied(): { readonly epoch: Epoch; readonly next: Offset } {
    return this.#groups.first.applied()
  }

  /** To `to`, or to whom the strategy chooses; `end` comes once, perhaps before this returns. */
  handover(to: PeerId | undefined, timeoutMs: number, end: CommandEnd<HandoverResult>): void {
    this.admin.handovers.begin(to, timeoutMs, end)
  }

  /** Tells the clients to go elsewhere: this node is about to stop. */
  farewell(): void {
    this.#clients.farewell()
  }

  feed(input: Input<M>): void {
    if (this.#stopped) return
    try {
      this.#pump.feed(input)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** A frame of an in-process client. Replies come by `reply`, also from inside this call; their
   *  frame is lent for the call. */
  request(frame: Uint8Array, reply: (frame: Uint8Array) => void): void {
    this.#localReply = reply
    if (this.#pump.running) {
      const own = Uint8Array.prototype.slice.call(frame)
      this.#options.clock.after(0, () => this.onFrame(LOCAL_PEER, 1, own))
    } else this.onFrame(LOCAL_PEER, 1, frame)
  }

  /** A frame of this node's own calls, to a member. */
  sendTo(peer: PeerId, frame: Uint8Array): SendResult {
    return this.#links.isLinked(peer) ? this.#options.transport.send(peer, frame) : 'dropped'
  }

  flush(peer: PeerId): void {
    this.#options.transport.flush?.(peer)
  }

  onLinkUp(peer: PeerId, session: Session, identity?: Identity): void {
    if (this.#stopped || !this.rights.onUp(peer, session, identity)) return
    this.#sessions.set(peer, session)
    if (!peer.startsWith('~') && this.#strategy.welcomesStrangers?.()) this.#links.meet(peer)
    if (this.#links.isMember(peer)) {
      this.#links.onUp(peer, session)
      this.mandate.agree()
      this.feed({ kind: 'link-up', peer, session })
    } else {
      this.#clients.onUp(peer, session)
    }
    this.events.emit('link-up', peer)
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void {
    if (this.#stopped) return
    if (session !== 0 && this.#sessions.get(peer) === session) this.#sessions.delete(peer)
    this.rights.onDown(peer, session)
    this.#calls.onLinkDown(peer, session)
    this.#watches.onLinkDown(peer, session)
    this.#clients.onDown(peer, session)
    if (!this.#links.isMember(peer)) return
    // A handshake that was answered with a reason came from a living process: no evidence.
    const differs = session === 0 && this.mandate.differs(cause)
    const refusedByName = differs || (cause instanceof GcacheError && REFUSALS.has(cause.code))
    // Nor is what was found, or not found, where discovery had seen it.
    const found = session === 0 && this.#links.isMoved(peer) ? 'unreachable' : loss
    const seen = refusedByName ? 'protocol' : found
    if (refusedByName) this.#options.logger.warn({ peer, reason: cause.message }, 'refused')
    this.#links.onDown(peer, session)
    this.feed({ kind: 'link-down', peer, session, loss: seen })
    if (session !== 0) this.events.emit('link-down', peer, loss)
  }

  onFrame(peer: PeerId, session: Session, frame: Uint8Array): void {
    if (this.#stopped) return
    const kind = frame[0]
    if (kind >= FRAME.strategyFirst) {
      if (!this.#links.isMember(peer)) {
        // A member a moment ago, which does not know that it has left.
        if (!peer.startsWith('~')) return this.#options.transport.disconnect(peer)
        return this.rights.intrude(peer, kind)
      }
      const message = this.#strategy.codec.decode(frame)
      this.feed({ kind: 'message', peer, session, message })
    } else if (kind === FRAME.request) {
      // Lets time in first: a node that was stopped must know before it answers.
      this.#guard(() => this.#pump.tick())
      this.#groups.requestsFor(frame).onFrame(peer, session, frame)
    } else if (kind === FRAME.control) this.#onControl(peer, session, frame)
    else if (this.#links.isMember(peer)) this.#options.onClientFrame?.(peer, session, frame)
    else this.rights.intrude(peer, kind)
  }

  onWritable(peer: PeerId, session: Session): void {
    if (this.#stopped) return
    if (this.#links.isMember(peer)) this.feed({ kind: 'writable', peer, session })
    this.#calls.replies.onWritable(peer, session)
    this.#watches.onWritable(peer, session)
    this.events.emit('writable', peer)
  }

  #onControl(peer: PeerId, session: Session, frame: Uint8Array): void {
    const message = decodeControl(frame)
    if (message.type === 'refused') return this.rights.onRefused(peer, message)
    if (!this.rights.admits(peer, message)) return
    switch (message.type) {
      case 'status': {
        const counts = { clients: this.#clients.count, forbidden: this.rights.refused }
        const told = { ...counts, startedAt: this.#startedAt, stores: this.#groups.stats() }
        const frame = statusFrame(message.id, this.#options, { ...this.status(), ...told })
        return void this.#sendClient(peer, frame)
      }
      case 'watch':
      case 'unwatch':
        return this.#watches.onControl(peer, session, message)
      case 'hint':
        if (this.rights.hears(peer)) this.feed({ kind: 'hint', identity: peer })
        return
      case 'admin':
        return this.admin.onControl(peer, message)
      default:
        if (!this.#links.isMember(peer))
          throw new GcacheError('PROTOCOL_ERROR', `a client sent ${message.type}`)
        this.#options.onClientFrame?.(peer, session, frame)
    }
  }

  #tick(): void {
    if (this.#stopped) return
    this.#guard(() => this.#pump.tick())
    this.#timer = this.#options.clock.after(TIMES.tickMs, () => this.#tick())
  }

  #guard(task: () => void): void {
    try {
      task()
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    this.#options.logger.error({ error: String(error), stack: stackOf(error) }, 'the engine stops')
    this.stop().catch(() => undefined)
    this.events.emit('fatal', error)
  }

  /** After a run: what it earned goes out, and what the master owes its store is proposed. */
  #finish(): void {
    this.#words.end()
    this.#calls.finish()
    this.#watches.finish()
    this.#groups.keepHouse()
    const { table } = this
    if (table !== undefined && this.#clients.tellTable(table)) this.events.emit('table', table)
  }

  #execute(effect: Effect<M>): void {
    switch (effect.kind) {
      case 'append':
        return this.#groups.of(effect.group).append(effect.batch)
      case 'commit':
        this.#words.beforeApply(effect.next - this.#groups.of(effect.group).applied().next)
        return this.#groups.of(effect.group).commit(effect.next)
      case 'send':
        return this.#send(effect.peer, effect.message)
      case 'settle':
        if (this.mandate.lasts(effect.receipt.group))
          return this.#calls.settle(effect.id, effect.receipt)
        return this.#calls.reject(effect.id, 'NOT_MASTER', false)
      case 'reject':
        return this.#calls.reject(effect.id, effect.code, effect.surely)
      case 'broadcast':
        this.#links.broadcast(this.#strategy.codec.encode(effect.message))
        return
      case 'truncate':
      case 'openSnapshot':
      case 'readSnapshot':
      case 'closeSnapshot':
      case 'collect':
      case 'merge':
        return this.#groups.of(effect.group).execute(effect)
      case 'persist': // Memory forgets its promises with its data; a note outlives the process.
        if (effect.note !== undefined) this.#options.notes?.save(effect.note)
        return
      case 'install':
        return this.#install(effect)
      case 'become':
        return this.#become(effect.group, effect.standing)
      case 'report':
        this.#options.logger[effect.level ?? 'info'](effect.fields, effect.event)
        this.admin.onReport(effect.event, effect.fields)
        this.events.emit('report', effect.event, effect.fields)
        return
      case 'disconnect':
        return this.#links.disconnect(effect.peer, effect.code, effect.message)
      case 'lease':
        return this.mandate.want(effect.above, effect.heirs)
      case 'serve':
        return this.#groups.known(effect.group)?.requests.serve(effect.id, effect.next)
      case 'drop':
        return this.#groups.drop(effect.group)
      case 'view':
        return this.#view(effect.members, effect.number)
    }
  }

  #install({ group, at, slice, base }: Extract<Effect<M>, { kind: 'install' }>): void {
    if (base !== undefined) this.#watches.gap()
    const { master } = this.#groups.of(group).standing
    const broken = this.#groups.of(group).install(at, slice, base)
    // Half a copy is no data: the link ends, and the strategy asks for another copy.
    if (broken !== undefined && master !== undefined)
      this.#options.transport.disconnect(master, broken)
  }

  #send(peer: PeerId, message: M): void {
    if (!this.#links.isLinked(peer)) return
    const result = this.#words.send(peer, message)
    if (result === 'sent') return
    const session = this.#sessions.get(peer) ?? 0
    if (result === 'congested') this.#pump.feed({ kind: 'congested', peer, session })
    else this.#pump.feed({ kind: 'congested', peer, session, lost: message })
  }

  #sendClient(peer: PeerId, frame: Uint8Array): SendResult {
    if (peer !== LOCAL_PEER) return this.#options.transport.send(peer, frame)
    this.#localReply?.(frame)
    return 'sent'
  }

  #view(members: readonly Member[], view: number): void {
    const { self } = this.#options
    const isMember = members.some(({ id }) => id === self)
    // Who has left keeps its links until the others end them: what says so may yet be truncated.
    if (isMember) this.#links.update(members.filter(({ id }) => id !== self))
    this.#clients.meet(members)
    this.events.emit('members', members, view)
  }

  #become(group: GroupId, standing: Standing): void {
    if (group !== 0) {
      if (this.#groups.become(group, standing)) this.#watches.gapLater()
      this.events.emit('group-standing', group, standing)
      return
    }
    const before = this.#groups.first.become(standing)
    this.#clients.tell()
    this.admin.onStanding(before, standing)
    this.events.emit('standing', this.standing)
  }
}
