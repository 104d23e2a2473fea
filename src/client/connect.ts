/**
 * Servers in, Client out. The light client holds no data and no protocol of its own: it dials the
 * servers it was given and those they name, follows the master, and is a port beneath `Cache`.
 */
import { EventEmitter } from 'eventemitter3'
import { type CacheFaceOptions, createCache } from '../cache/cache.js'
import { checkOptions as checkCallOptions, KNOWN, unknownOption } from '../cache/options.js'
import { LIMITS, TIMES } from '../config.js'
import type { ClientAuth } from '../contracts/authentication.js'
import type { Cache } from '../contracts/cache.js'
import type { DiscoveryFactory } from '../contracts/discovery.js'
import type { Clock, Logger, Random } from '../contracts/environment.js'
import type { TlsCredentials, TlsOptions } from '../contracts/tls.js'
import type { Transport, TransportFactory } from '../contracts/transport.js'
import type { Member, PeerId } from '../contracts/types.js'
import { SILENCE } from '../core/silence.js'
import { GcacheError } from '../errors.js'
import {
  checkId,
  checkMember,
  checkPartition,
  type ForceResult,
  type HandoverResult,
  type MembersResult,
  type ResetResult,
} from '../wire/admin.js'
import { encodeToken } from '../wire/token.js'
import type { AdminOptions, ForceOptions, HandoverOptions } from './admin.js'
import { Calls } from './calls.js'
import { Finder, makeDiscovery } from './finder.js'
import { GroupedCalls } from './grouped-calls.js'
import type { ServerLink } from './links.js'
import { type Failover, type LinkChange, Routing } from './routing.js'
import type { ClusterStatus } from './status.js'
import { makeTransport } from './transport.js'

export interface ClientOptions {
  /** The cluster's name; a node of another one refuses. */
  cluster: string
  /** Addresses such as `tcp://127.0.0.1:7400`; one that answers is enough. Not needed with
   *  `discovery`. */
  servers?: readonly string[]
  /** What multicast(), dns() or staticAddresses() return: servers are found, and found again. */
  discovery?: DiscoveryFactory
  /** Default: the built-in transport of the servers' scheme. */
  transport?: TransportFactory
  /** How to prove who we are, where the servers ask for it; then they must prove it as well. */
  auth?: ClientAuth
  /** Of the built-in transport; one that is given above has its own. `{}`: as Node.js trusts. */
  tls?: TlsOptions | TlsCredentials
  /** Of connect() and of every call that names none, ms. Default 5,000. */
  timeoutMs?: number
  clock?: Clock
  /** Uniform and unguessable: names of clients and windows come from it. */
  random?: Random
  logger?: Logger
}

/** The world that the roof supplies where the options do not. */
export interface ClientWorld {
  readonly clock: Clock
  readonly random: Random
  /** What signs the announcements of the cluster, where `auth` has its secret. */
  readonly sign?: ((bytes: Uint8Array) => Uint8Array) | undefined
}

export interface ClientEvents {
  /** Calls go to another node now. */
  failover: [failover: Failover]
  link: [change: LinkChange]
}

const OPTION_NAMES = [
  ...['cluster', 'servers', 'discovery', 'transport', 'auth', 'tls', 'timeoutMs'],
  ...['clock', 'random', 'logger'],
]
const STATUS_MS_MAX = 1_000

/**
 * Resolves once a serving master is routed. Rejects with CONFIG, ADDRESS_INVALID, REFUSED as soon
 * as all servers refuse, AUTH_FAILED if all of them for want of a proof; by its deadline
 * UNREACHABLE if none answered, PREAUTH_LIMIT if too many were knocking at each until then,
 * NOT_READY if none serves.
 */
export async function connectWith(
  transport: TransportFactory,
  options: ClientOptions,
  world: ClientWorld,
): Promise<Client> {
  checkOptions(options)
  const client = new Client({ ...world, ...defined(options), transport })
  try {
    await client.open()
  } catch (error) {
    await client.close()
    throw error
  }
  return client
}

type WholeOptions = ClientOptions & ClientWorld & { readonly transport: TransportFactory }

export class Client {
  /** This client's name on the servers, `~` and 16 hex digits; new for each. */
  readonly id: PeerId
  readonly #options: WholeOptions
  readonly #events = new EventEmitter<ClientEvents>()
  readonly #transport: Transport
  readonly #calls: Calls
  readonly #routing: Routing
  readonly #timeoutMs: number
  readonly #finder: Finder | undefined
  #onOpen: ((error?: GcacheError) => void) | undefined
  #closed = false

  constructor(options: WholeOptions) {
    this.#options = options
    const { clock, random, cluster, logger = SILENCE } = options
    this.#timeoutMs = options.timeoutMs ?? TIMES.timeoutMs
    this.id = `~${hex(random, 16)}`
    // Frames of the largest values: which of them the servers take, they say.
    const valueBytesMax = LIMITS.valueBytesCeiling
    const env = { self: this.id, cluster, clock, random, logger, valueBytesMax }
    const transport = makeTransport(options.transport, env)
    this.#transport = transport
    this.#calls = new Calls({
      clock,
      random,
      timeoutMs: this.#timeoutMs,
      cluster,
      send: (target, frame) => transport.send(target, frame),
      flush: target => transport.flush?.(target),
      onSilence: silentMs => this.#routing.onSilence(silentMs),
      onLocalSilence: () => this.#routing.onLocalSilence(),
    })
    this.#routing = new Routing({
      transport,
      clock,
      random,
      logger,
      calls: this.#calls,
      makeGroups: table =>
        new GroupedCalls(
          {
            ...{ clock, random, timeoutMs: this.#timeoutMs, cluster },
            send: (target, frame) => transport.send(target, frame),
            flush: target => transport.flush?.(target),
          },
          table,
        ),
      onRoute: () => this.#onOpen?.(),
      onLink: change => {
        this.#emit('link', change)
        this.#judgeRefusals()
      },
      onFailover: failover => this.#emit('failover', failover),
    })
    this.#finder = this.#makeFinder(logger)
  }

  #makeFinder(logger: Logger): Finder | undefined {
    const { discovery, cluster, clock, random, sign, auth } = this.#options
    if (discovery === undefined) return undefined
    const proved = auth?.user !== undefined && sign === undefined
    const env = { cluster, clock, random, logger, sign, proved, insecure: false }
    return new Finder(makeDiscovery(discovery, env), this.#routing.links, clock)
  }

  /** The node that calls go to; undefined while no serving master is known. With partitions: the
   *  master of group 0, while each key's calls go to the owner of its partition. */
  get master(): PeerId | undefined {
    return this.#routing.master?.node
  }

  /** Calls without an answer. */
  get pending(): number {
    return this.#calls.pending + (this.#routing.groups?.pending ?? 0)
  }

  /** The named cache. Values become bytes by `codec`, which all its users must share. */
  cache<V>(name: string, options: CacheFaceOptions<V> = {}): Cache<V> {
    checkCallOptions(options, KNOWN.cache)
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs
    // A cluster has partitions for life, or none: who serves as master has said so by now.
    return createCache<V>(this.#routing.groups ?? this.#calls, name, { ...options, timeoutMs })
  }

  /**
   * What this client has written and read so far, as some 40 characters that may travel in a cookie
   * (no secret inside): `{ after: token }` makes a read elsewhere include it. With partitions it is
   * 36 characters for each that was used: too long for a cookie beyond some 100.
   */
  token(): string {
    const groups = this.#routing.groups
    if (groups !== undefined) return groups.token()
    return encodeToken(this.#options.cluster, this.#calls.seen.positions)
  }

  /** What every node says of itself; who does not answer within 1 s is 'down'. FORBIDDEN
   *  where our role may not ask, UNREACHABLE if none answers. */
  status(): Promise<ClusterStatus> {
    if (this.#closed) return Promise.reject(closed())
    const timeoutMs = Math.min(STATUS_MS_MAX, this.#timeoutMs)
    return this.#routing.asks.ask(this.#options.cluster, timeoutMs)
  }

  /**
   * Gives mastership to `to`, or to the in-sync slave of lowest ordinal; resolves once the former
   * master knows the new one. Rejects with CONFIG (no such member), HANDOVER_REFUSED (nobody, or
   * not `to`, is in sync and answers), BUSY, HANDOVER_FAILED (the former master leads on), and by
   * its deadline with NOT_READY, NOT_MASTER or TIMEOUT.
   */
  async handover(options: HandoverOptions = {}): Promise<HandoverResult> {
    this.#assertOpen()
    checkCallOptions(options, KNOWN.handover)
    return await this.#routing.admin.handover(options, () => this.#routing.route)
  }

  /**
   * Adds a member; resolves with the new list once the change is committed. The newcomer copies
   * first, as a learner, and votes by itself once it has caught up. Rejects with CONFIG (id or
   * ordinal taken or malformed, the sum of the profile does not work out), BUSY (another change is
   * under way), UNREACHABLE (the master was lost meanwhile: look at status()), and by its deadline
   * with NOT_READY, NOT_MASTER or TIMEOUT.
   */
  async join(member: Member, options: AdminOptions = {}): Promise<MembersResult> {
    this.#assertOpen()
    checkCallOptions(options, KNOWN.call)
    const { admin } = this.#routing
    return await admin.join(checkMember(member), options, () => this.#routing.route)
  }

  /**
   * Takes a member out; resolves with the new list once the change is committed. A master hands
   * over first, which may reject as handover() does. Rejects with NOT_A_MEMBER, MEMBER_LEADS (no
   * time was left to hand over), and as join() does.
   */
  async leave(id: PeerId, options: AdminOptions = {}): Promise<MembersResult> {
    this.#assertOpen()
    checkCallOptions(options, KNOWN.call)
    return await this.#routing.admin.leave(checkId(id), options, () => this.#routing.route)
  }

  /**
   * Node.forceBootstrap() of the one server that this client was given: CONFIG if there are more,
   * UNREACHABLE if it is not linked.
   */
  async forceBootstrap(options: ForceOptions = {}): Promise<ForceResult> {
    this.#assertOpen()
    checkCallOptions(options, KNOWN.force)
    const given = [...this.#routing.links].filter(link => link.given)
    if (given.length !== 1)
      throw new GcacheError('CONFIG', `one server is forced, and ${given.length} are given`)
    return await this.#routing.admin.forceBootstrap(given[0].peer, options)
  }

  /**
   * Strategy partitioned: partition `partition` (from 0 on), every copy of which is gone, begins
   * anew, empty; resolves once that is so for all nodes. Rejects with HEALTHY (it is not lost),
   * CONFIG (no such partition, or another strategy), BUSY, UNREACHABLE (the master was lost
   * meanwhile: look at status()), and by its deadline with NOT_READY, NOT_MASTER or TIMEOUT.
   */
  async resetPartition(partition: number, options: AdminOptions = {}): Promise<ResetResult> {
    this.#assertOpen()
    checkCallOptions(options, KNOWN.call)
    const { admin } = this.#routing
    return await admin.resetPartition(checkPartition(partition), options, () => this.#routing.route)
  }

  on<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this {
    this.#events.on(event, listener as never)
    return this
  }

  off<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this {
    this.#events.off(event, listener as never)
    return this
  }

  /** Pending calls reject with CLOSED; resolves when nothing of it is open. Idempotent. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      this.#onOpen?.(closed())
      this.#calls.close()
      this.#routing.groups?.close()
      this.#routing.stop()
    }
    await Promise.all([this.#finder?.stop(), this.#transport.stop()])
  }

  /** For connectWith(): dials, and waits for a route. */
  async open(): Promise<void> {
    const { clock, servers = [] } = this.#options
    await this.#transport.start(this.#routing)
    await this.#finder?.start()
    await new Promise<void>((resolve, reject) => {
      const timer = clock.after(this.#timeoutMs, () => this.#onOpen?.(this.#whyNot()))
      this.#onOpen = error => {
        this.#onOpen = undefined
        timer.cancel()
        if (error === undefined) resolve()
        else reject(error)
      }
      try {
        for (const address of new Set(servers)) this.#routing.links.add(address, true)
      } catch (error) {
        this.#onOpen(asGcacheError(error))
      }
    })
  }

  #assertOpen(): void {
    if (this.#closed) throw closed()
  }

  /** All given servers said no, or one has an address that is none: waiting helps nobody. */
  #judgeRefusals(): void {
    if (this.#onOpen === undefined) return
    const given = [...this.#routing.links].filter(link => link.given)
    const invalid = given.find(link => link.code === 'ADDRESS_INVALID')
    if (invalid !== undefined)
      this.#onOpen(new GcacheError('ADDRESS_INVALID', `option servers: ${invalid.reason}`))
    // Who answers in a moment may be found by then.
    else if (this.#finder === undefined && given.every(link => link.refused))
      this.#onOpen(this.#whyNot())
  }

  #whyNot(): GcacheError {
    const links = [...this.#routing.links]
    const given = links.filter(link => link.given)
    const texts = links.map(link => `${link.address}: ${reasonOf(link)}`)
    const each = [...texts, ...(this.#finder === undefined ? [] : [this.#finder.why])].join('; ')
    const asked = this.#finder === undefined ? given : links
    if (asked.length > 0 && asked.every(link => link.refused))
      return new GcacheError(
        asked.every(link => link.code === 'AUTH_FAILED') ? 'AUTH_FAILED' : 'REFUSED',
        `all servers refused: ${each}`,
      )
    if (asked.length > 0 && asked.every(link => link.code === 'PREAUTH_LIMIT'))
      return new GcacheError(
        'PREAUTH_LIMIT',
        `no server had room for a handshake within ${this.#timeoutMs} ms: ${each}`,
      )
    if (links.every(link => link.session === 0))
      return new GcacheError(
        'UNREACHABLE',
        `no server answered within ${this.#timeoutMs} ms: ${each}`,
      )
    return new GcacheError('NOT_READY', `no master serves after ${this.#timeoutMs} ms: ${each}`)
  }

  /** A listener that throws is the application's trouble, and ends nothing here. */
  #emit<E extends keyof ClientEvents>(event: E, ...args: ClientEvents[E]): void {
    try {
      this.#events.emit(event, ...(args as never))
    } catch (error) {
      this.#options.logger?.error({ error: String(error) }, `a listener of ${event} threw`)
    }
  }
}

/** CONFIG for the first option that is unknown, missing or of the wrong kind. */
export function checkOptions(options: ClientOptions): void {
  if (typeof options !== 'object' || options === null)
    throw new GcacheError(
      'CONFIG',
      'connect() takes { cluster, servers } or { cluster, discovery }',
    )
  for (const name of Object.keys(options))
    if (!OPTION_NAMES.includes(name)) throw unknownOption(name, OPTION_NAMES)
  const { cluster, servers } = options
  if (typeof cluster !== 'string' || cluster === '')
    throw new GcacheError('CONFIG', "option cluster is missing: the cluster's name")
  if (options.discovery !== undefined && typeof options.discovery !== 'function')
    throw new GcacheError('CONFIG', 'option discovery must be what multicast() returns')
  if (servers === undefined && options.discovery !== undefined) return checkRest(options)
  if (typeof servers === 'string')
    throw new GcacheError('CONFIG', `option servers is a list of addresses: ['${servers}']`)
  if (!Array.isArray(servers) || servers.length === 0)
    throw new GcacheError('CONFIG', 'option servers is missing: at least one address')
  for (const address of servers)
    if (typeof address !== 'string' || address === '')
      throw new GcacheError('CONFIG', 'option servers holds something that is no address')
  checkRest(options)
}

function checkRest(options: ClientOptions): void {
  const { timeoutMs } = options
  if (timeoutMs !== undefined)
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 1 && timeoutMs < 2 ** 31))
      throw new GcacheError('CONFIG', 'option timeoutMs must be a number within 1..2^31')
  if (options.transport !== undefined && typeof options.transport !== 'function')
    throw new GcacheError('CONFIG', 'option transport must be what tcp() returns')
  if (options.transport !== undefined && options.tls !== undefined)
    throw new GcacheError('CONFIG', 'option tls belongs to the transport: transport: tcp({ tls })')
  for (const [name, functions] of Object.entries(FUNCTIONS))
    checkPart(name, options[name as keyof ClientOptions], functions)
}

/** What the parts that an application may bring must be able to do. */
const FUNCTIONS = {
  clock: ['now', 'wall', 'after'],
  random: ['next'],
  logger: ['debug', 'info', 'warn', 'error'],
}

function checkPart(name: string, part: unknown, functions: readonly string[]): void {
  if (part === undefined) return
  const has = (part ?? {}) as Record<string, unknown>
  if (functions.some(each => typeof has[each] !== 'function'))
    throw new GcacheError('CONFIG', `option ${name} must have: ${functions.join(', ')}`)
}

function defined(options: ClientOptions): ClientOptions {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as unknown as ClientOptions
}

function closed(): GcacheError {
  return new GcacheError('CLOSED', 'the client was closed')
}

function reasonOf(link: ServerLink): string {
  if (link.session === 0) return link.reason
  const view = link.view
  if (view === undefined) return 'answered, but said nothing'
  return view.master === '' ? 'knows no master' : `says ${view.master} is master`
}

function asGcacheError(error: unknown): GcacheError {
  if (error instanceof GcacheError) return error
  return new GcacheError('ADDRESS_INVALID', String(error), { cause: error })
}

function hex(random: Random, digits: number): string {
  let text = ''
  for (let i = 0; i < digits; i++) text += Math.floor(random.next() * 16).toString(16)
  return text
}
