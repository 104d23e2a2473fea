/**
 * createNode: from a configuration to a running node. It picks the plug-ins, makes the store and
 * the log, starts the engine, and gives the application one face: caches, status, events.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'eventemitter3'
import { authenticated, type NodeAuthenticator, nodeAuthenticator } from './auth.js'
import { createCache } from './cache/cache.js'
import { checkOptions, KNOWN } from './cache/options.js'
import type { AdminOptions, ForceOptions, HandoverOptions } from './client/admin.js'
import { makeTransport } from './client/transport.js'
import { offerConflicts } from './conflicts.js'
import type { Cache, CachePort, CodecChoice } from './contracts/cache.js'
import type { Logger } from './contracts/environment.js'
import type { Standing, StrategyFactory, StrategyStatus } from './contracts/strategy.js'
import type { TransportFactory } from './contracts/transport.js'
import type { Member, PeerId } from './contracts/types.js'
import { SILENCE } from './core/silence.js'
import { systemWorld } from './defaults.js'
import { COMMAND_MS } from './engine/admin.js'
import { Engine } from './engine/engine.js'
import type { CommandEnd } from './engine/reported-command.js'
import { systemClock } from './engine/system-clock.js'
import { GcacheError } from './errors.js'
import type { Formation } from './formation.js'
import { NodeCalls } from './node-calls.js'
import { formationOf, startingStrategy } from './node-formation.js'
import { portOf } from './node-port.js'
import { isReady, notReady } from './node-readiness.js'
import { openNotes } from './notes.js'
import {
  type FullNodeOptions,
  type NodeOptions,
  parseMemberId,
  parseNewMember,
  parseNodeOptions,
} from './options.js'
import { polled } from './polling.js'
import { strategyByName, transportByAddress, transportByName } from './registry.js'
import { AUTHORITY } from './security/roles.js'
import { statesOf } from './states.js'
import type { Given } from './strategy-made.js'
import { checkStatus } from './strategy-status.js'
import {
  bareMember,
  checkPartition,
  type ForceResult,
  type HandoverResult,
  type MembersResult,
  type ResetResult,
} from './wire/admin.js'

export type { NodeOptions } from './options.js'

/** What node.status() tells: the strategy's view of the cluster, and the cluster's name. */
export interface NodeStatus extends StrategyStatus {
  readonly cluster: string
  /** It listens beyond loopback without authentication or encryption, because it was told to. */
  readonly insecure: boolean
}

/** What 'role' tells. `serving`: this node answers reads and writes as master. */
export interface RoleEvent {
  readonly role: 'master' | 'slave'
  readonly epoch: number
  readonly master: PeerId | undefined
  readonly serving: boolean
}

/**
 * 'error' comes once, when the node stops because an invariant broke (INTERNAL), or because no
 * cluster will have it (ID_TAKEN, CONFIG, FORBIDDEN: discovery only); nothing throws if nobody
 * listens. 'failover', 'handover', 'divergence', 'lag' and others are the strategy's reports, with
 * its fields.
 */
export interface NodeEvents {
  role: [event: RoleEvent]
  error: [error: GcacheError]
  failover: [fields: Record<string, unknown>]
  /** `state`: on the old master 'begun', 'sent', 'refused' or 'failed', on the new one 'done'. */
  handover: [fields: Record<string, unknown>]
  /** A change of the members that this master was asked for: `state` 'done' or 'refused'. */
  members: [fields: Record<string, unknown>]
  /** This node was forced to begin: `state` 'done' or 'refused'. */
  'force-bootstrap': [fields: Record<string, unknown>]
  divergence: [fields: Record<string, unknown>]
  lag: [fields: Record<string, unknown>]
  /** Strategy broadcast: a clock is more than 2 s ahead, that of `node`. `code`: CLOCK_SKEW. */
  'clock-skew': [fields: Record<string, unknown>]
  /** Strategy broadcast: a write of this node was replaced by a concurrent one: `cache`, `key`,
   *  `mineVersion`, `theirsVersion`, and whether onConflict gave a `merged` value. */
  conflict: [fields: Record<string, unknown>]
  /** Strategy broadcast: this node was away for so long that it begins anew, as if just started. */
  resync: [fields: Record<string, unknown>]
}

export interface Node {
  readonly id: PeerId
  readonly cluster: string
  /** What peers and clients dial, the real port included. */
  readonly address: string
  /**
   * Resolves once this node has joined: it serves as master, or is a slave that has caught up.
   * Rejects with NOT_READY after `timeoutMs` (default 30,000), with CLOSED, with CONFIG or LIMIT
   * for wrong options, and with what the event 'error' said.
   */
  ready(options?: { timeoutMs?: number }): Promise<void>
  /** The cache `name`: the same face as a Client's. Default codec 'msgpack'. */
  cache<V = unknown>(name: string, options?: { codec?: CodecChoice<V> }): Cache<V>
  /**
   * What was written and read through this node's caches so far, as some 40 characters that may
   * travel in a cookie (no secret inside): `{ after: token }` makes a read elsewhere include it.
   */
  token(): string
  status(): NodeStatus
  on<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this
  off<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this
  /**
   * Gives mastership to `to`, or to the in-sync slave of lowest ordinal; asked of a slave, it asks
   * the master. No call fails by it: writes wait for some ms. Resolves once the former master
   * knows the new one. Rejects with CONFIG (no such member), HANDOVER_REFUSED (nobody, or not
   * `to`, is in sync and answers), BUSY, HANDOVER_FAILED (the former master leads on), and by its
   * deadline (`timeoutMs`) with NOT_READY, NOT_MASTER or TIMEOUT.
   */
  handover(options?: HandoverOptions): Promise<HandoverResult>
  /**
   * Adds a member; any node may be asked, the master does it. Resolves with the new list once the
   * change is committed. The newcomer copies first, as a learner, and votes by itself once it has
   * caught up. Rejects with CONFIG (id or ordinal taken, a field is wrong, the sum of the profile
   * does not work out), BUSY (another change is under way), UNREACHABLE (the master was lost
   * meanwhile: status() tells whether it is done), CLOSED, and by its deadline (`timeoutMs`,
   * default 5,000) with NOT_READY, NOT_MASTER or TIMEOUT.
   */
  join(member: Member, options?: AdminOptions): Promise<MembersResult>
  /**
   * Takes the member `id` out, this node or another. Resolves with the new list once the change is
   * committed, or this node has heard that it is out itself. A master hands over first, within the
   * same deadline, which may reject as handover() does. Rejects with NOT_A_MEMBER, MEMBER_LEADS (no
   * time was left to hand over), and as join().
   */
  leave(id: PeerId, options?: AdminOptions): Promise<MembersResult>
  /**
   * The last resort, where more memories were lost than the profile survives and nobody is elected
   * any more: this very node takes its log for the truth and leads a new history from there. What
   * others hold beyond it is lost; they say so by 'divergence' when they are copied. A node that is
   * empty, or was half copied, begins with nothing, and no node with data follows it before it is
   * started anew: NODE_EMPTY while one is heard, unless `empty` is said. Rejects with HEALTHY (a
   * master serves), CONFIG (a witness), BUSY, TIMEOUT or CLOSED, too.
   */
  forceBootstrap(options?: ForceOptions): Promise<ForceResult>
  /** Client.resetPartition(), asked through this node. */
  resetPartition(partition: number, options?: AdminOptions): Promise<ResetResult>
  /**
   * Reads `auth.usersFile` again. New users may come in at once; links of those who are gone, or
   * whose line changed, end with AUTH_FAILED before this returns. CONFIG, and nothing changes, if
   * there is no such file or anything is wrong with it.
   */
  reloadUsers(): UsersResult
  /**
   * A master hands over first, within 2 s, unless `handover` is false; where no slave is in sync it
   * closes at once. Then ends links and pending calls (CLOSED); resolves when nothing is open.
   * Idempotent: the first call decides.
   */
  close(options?: CloseOptions): Promise<void>
}

export interface UsersResult {
  readonly users: number
  /** Links that were ended. */
  readonly ended: number
}

export interface CloseOptions {
  /** Default true. */
  handover?: boolean
}

const READY_MS = 30_000
const READY_STEP_MS = 20
/** A closing master gives its place away within it. */
const HANDOVER_MS_MAX = 2_000
/** Then its own calls, asked again of the new master, may end within it. */
const DRAIN_MS_MAX = 500
const DRAIN_STEP_MS = 2

/**
 * Starts a node. Resolves once peers and clients can reach it; wait for `ready()` before the first
 * call. Rejects with CONFIG (a wrong option or strategy, by name), INSECURE, ADDRESS_IN_USE or
 * ADDRESS_INVALID, and with INTERNAL where the strategy breaks at its first inputs.
 */
export async function createNode(options: NodeOptions): Promise<Node> {
  const full = parseNodeOptions(options)
  const [transport, strategy, authenticator] = await Promise.all([
    transportOf(full),
    strategyOf(full),
    authenticatorOf(full),
  ])
  const node = new EngineNode(
    full,
    authenticated(transport, authenticator),
    strategy,
    authenticator,
  )
  await node.start()
  return node
}

async function transportOf(options: FullNodeOptions): Promise<TransportFactory> {
  const { transport, tls } = options
  if (typeof transport === 'function') return transport
  if (transport !== undefined) return await transportByName(transport, tls)
  return await transportByAddress(options.listen, tls)
}

async function strategyOf(options: FullNodeOptions): Promise<StrategyFactory> {
  const { strategy } = options
  return typeof strategy === 'function' ? strategy : await strategyByName(strategy)
}

async function authenticatorOf(options: FullNodeOptions): Promise<NodeAuthenticator | undefined> {
  const { auth, cluster, logger = SILENCE } = options
  if (auth === undefined) return undefined
  return await nodeAuthenticator(auth, cluster, { clock: systemClock, logger })
}

class EngineNode implements Node {
  readonly id: PeerId
  readonly cluster: string
  readonly #insecure: boolean
  readonly #authenticator: NodeAuthenticator | undefined
  readonly #engine: Engine
  readonly #formation: Formation | undefined
  #failure: GcacheError | undefined
  readonly #calls: NodeCalls
  readonly #port: CachePort & { close(): void }
  readonly #logger: Logger
  readonly #given: Given
  readonly #events = new EventEmitter<NodeEvents>()
  #closed: Promise<void> | undefined
  #address = ''

  constructor(
    options: FullNodeOptions,
    transport: TransportFactory,
    strategy: StrategyFactory,
    authenticator: NodeAuthenticator | undefined,
  ) {
    const { id, cluster, members, caches, autoCaches, valueBytesMax } = options
    this.id = id
    this.cluster = cluster
    this.#authenticator = authenticator
    this.#insecure = options.lacking.length > 0
    this.#logger = options.logger ?? SILENCE
    this.#given = options
    const logger = this.#logger
    const states = statesOf(strategy, { self: id, cluster, members })
    const incarnation = randomBytes(8).toString('hex')
    const listensAt = () => this.#address
    const world = { ...systemWorld, logger }
    const engine: Engine = new Engine({
      ...{ ...world, self: id, cluster },
      ...{ incarnation, members, late: options.discovery !== undefined },
      transport: makeTransport(polled(transport, options.pollUs), {
        ...{ ...world, self: id, cluster },
        listen: options.listen,
        admit: peer => this.#engine.refusalOf(peer),
        strategy: () => this.#engine.mandate.strategyName,
        valueBytesMax,
      }),
      strategy: startingStrategy(options, strategy, listensAt),
      ...states,
      durability: options.durability,
      ...(options.dataDir === undefined ? {} : { notes: openNotes(options.dataDir, cluster, id) }),
      caches,
      autoCaches,
      valueBytesMax,
      authority: options.auth === undefined ? undefined : AUTHORITY,
      facts: () => ({
        ...(this.#insecure ? { insecure: true } : {}),
        authFailures: authenticator?.failed ?? 0,
        ...this.#formation?.facts,
      }),
      isCurrent: identity => authenticator?.isCurrent(identity) ?? true,
      onMerge: options.onMerge,
      onClientFrame: (peer, _session, frame) => this.#calls.onFrame(peer, frame),
    })
    this.#engine = engine
    this.#formation = formationOf(options, {
      ...{ ...world, transport, process: incarnation, engine, listensAt },
      fail: error => this.#stopFor(error),
    })
    engine.events.on('members', (now, view) => {
      if (!now.some(member => member.id === id))
        this.#calls.onLeft({ view, members: now.map(bareMember) })
    })
    this.#calls = new NodeCalls({ ...world, self: id, cluster, valueBytesMax, engine })
    offerConflicts(states.stamped, {
      ...{ ...world, onConflict: options.onConflict, port: this.#calls.port },
      time: () => engine.time(),
      tell: fields => this.#emit('conflict', fields),
    })
    this.#port = portOf(this.#calls, {
      ...{ engine, store: states.store, clock: systemClock, cluster },
      caches: autoCaches ? undefined : new Set(Object.keys(caches)),
    })
  }

  get address(): string {
    return this.#address
  }

  async start(): Promise<void> {
    const { events } = this.#engine
    events.on('standing', standing => this.#onStanding(standing))
    events.on('report', (event, fields) => this.#emit(event as 'failover', fields))
    events.on('table', table => this.#calls.onTable(table))
    events.on('link-up', peer => this.#calls.onLinkUp(peer))
    events.on('link-down', peer => this.#calls.onLinkDown(peer))
    events.on('writable', peer => this.#calls.onWritable(peer))
    events.on('fatal', error => this.#onFatal(error))
    try {
      await this.#engine.start()
      // Nobody could listen for the event yet.
      if (this.#failure !== undefined) throw this.#failure
      checkStatus(this.#given, () => this.#engine.status())
      this.#address = this.#engine.address
      await this.#formation?.start()
    } catch (error) {
      await this.close({ handover: false })
      throw this.#failure ?? error
    }
    if (this.#insecure)
      this.#logger.warn({ node: this.id, address: this.#address }, 'insecure, as it was told')
  }

  async ready(options: { timeoutMs?: number } = {}): Promise<void> {
    checkOptions(options, KNOWN.call)
    const timeoutMs = options.timeoutMs ?? READY_MS
    const until = systemClock.now() + timeoutMs
    while (!isReady(this.id, this.#engine)) {
      if (this.#failure !== undefined) throw this.#failure
      this.#assertOpen()
      const leftMs = until - systemClock.now()
      if (leftMs <= 0) {
        const why = this.#formation?.why ?? this.#engine.mandate.why
        throw notReady(this.id, this.#engine, timeoutMs, why)
      }
      await new Promise<void>(resolve => {
        systemClock.after(Math.min(READY_STEP_MS, leftMs), resolve)
      })
    }
    this.#assertOpen()
  }

  cache<V = unknown>(name: string, options: { codec?: CodecChoice<V> } = {}): Cache<V> {
    this.#assertOpen()
    return createCache<V>(this.#port, name, options)
  }

  token(): string {
    return this.#calls.token(this.cluster)
  }

  status(): NodeStatus {
    return { cluster: this.cluster, insecure: this.#insecure, ...this.#engine.status() }
  }

  on<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this {
    this.#events.on(event, listener as never)
    return this
  }

  off<E extends keyof NodeEvents>(event: E, listener: (...args: NodeEvents[E]) => void): this {
    this.#events.off(event, listener as never)
    return this
  }

  async handover(options: HandoverOptions = {}): Promise<HandoverResult> {
    this.#assertOpen()
    checkOptions(options, KNOWN.handover)
    return await this.#calls.handover(options)
  }

  async join(member: Member, options: AdminOptions = {}): Promise<MembersResult> {
    this.#assertOpen()
    checkOptions(options, KNOWN.call)
    return await this.#calls.join(parseNewMember(member), options)
  }

  async leave(id: PeerId, options: AdminOptions = {}): Promise<MembersResult> {
    this.#assertOpen()
    checkOptions(options, KNOWN.call)
    return await this.#calls.leave(parseMemberId(id), options)
  }

  async forceBootstrap(options: ForceOptions = {}): Promise<ForceResult> {
    this.#assertOpen()
    checkOptions(options, KNOWN.force)
    const { timeoutMs = COMMAND_MS, empty } = options
    const { admin } = this.#engine
    return await new Promise((resolve, reject) => {
      const end: CommandEnd<ForceResult> = (error, result) => {
        if (result === undefined) reject(error)
        else resolve(result)
      }
      admin.forceBootstrap(timeoutMs, end, empty)
    })
  }

  async resetPartition(partition: number, options: AdminOptions = {}): Promise<ResetResult> {
    this.#assertOpen()
    checkOptions(options, KNOWN.call)
    return await this.#calls.resetPartition(checkPartition(partition), options)
  }

  reloadUsers(): UsersResult {
    this.#assertOpen()
    if (this.#authenticator === undefined)
      throw new GcacheError('CONFIG', 'option auth is missing: there are no users to read again')
    const users = this.#authenticator.reload()
    return { users, ended: this.#engine.rights.endStale() }
  }

  async close(options: CloseOptions = {}): Promise<void> {
    checkOptions(options, KNOWN.close)
    this.#closed ??= this.#close(options.handover ?? true)
    await this.#closed
  }

  async #close(handover: boolean): Promise<void> {
    if (handover && (await this.#handOver())) await this.#drain()
    this.#engine.farewell()
    this.#port.close()
    this.#calls.close()
    await Promise.all([this.#formation?.stop(), this.#engine.stop()])
  }

  /** True if another node leads now. */
  #handOver(): Promise<boolean> {
    const { role, serving } = this.#engine.standing
    if (role !== 'master' || !serving) return Promise.resolve(false)
    return new Promise(resolve => {
      this.#engine.handover(undefined, HANDOVER_MS_MAX, error => resolve(error === undefined))
    })
  }

  /** New calls are refused; those under way end with the new master. */
  async #drain(): Promise<void> {
    const until = systemClock.now() + DRAIN_MS_MAX
    this.#calls.refuseNew()
    while (this.#calls.pending > 0 && systemClock.now() < until)
      await new Promise<void>(resolve => systemClock.after(DRAIN_STEP_MS, resolve))
  }

  #assertOpen(): void {
    if (this.#closed !== undefined)
      throw new GcacheError('CLOSED', `node ${this.id} is closed`, { outcome: 'rejected' })
  }

  #onStanding(standing: Standing): void {
    this.#calls.onStanding(standing)
    const { role, epoch, master, serving } = standing
    this.#emit('role', { role, epoch: epoch.number, master, serving })
  }

  #onFatal(cause: unknown): void {
    const text = cause instanceof Error ? cause.message : String(cause)
    // A strategy that learns its members late judges late what it was configured with.
    const judged = cause instanceof GcacheError && cause.code === 'CONFIG'
    const error = new GcacheError('INTERNAL', `node ${this.id} stopped: ${text}`, { cause })
    this.#stopFor(judged ? cause : error)
  }

  #stopFor(error: GcacheError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    void this.close({ handover: false })
    this.#emit('error', error)
  }

  /** A listener's own error must not reach the engine, whose step it would break. */
  #emit<E extends keyof NodeEvents>(event: E, ...args: NodeEvents[E]): void {
    try {
      this.#events.emit(event, ...(args as never))
    } catch (error) {
      this.#logger.error({ event, error: String(error) }, 'a listener threw')
    }
  }
}
