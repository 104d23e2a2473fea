/**
 * NATS, a transport over a broker that hides who is where: a StreamLayer whose connections are
 * virtual, two subjects and numbers (nats/stream.ts), because the broker delivers at most once and
 * tells nobody what was lost. Everything above bytes stands in stream/. Addresses are
 * `nats://host:port/<name>`, or `nats:///<name>` for the broker in `servers` or `connection`.
 */
import type { ConnectionOptions, NatsConnection } from 'nats'
import { LEASE } from '../src/config.js'
import type { ElectionEnv, ElectionFactory } from '../src/contracts/election.js'
import type { Transport, TransportEnv, TransportFactory } from '../src/contracts/transport.js'
import { LeaseKeeper } from '../src/core/lease.js'
import { suggestion } from '../src/core/suggest.js'
import { GcacheError } from '../src/errors.js'
import { parseNatsAddress } from './nats/address.js'
import type { BrokerConnection } from './nats/broker.js'
import { Hub } from './nats/hub.js'
import { NatsLeaseStore } from './nats/lease.js'
import { checkPrefix } from './nats/subjects.js'
import {
  type BrokerOptions,
  checkBrokers,
  checkProtected,
  openBroker,
  withoutSecrets,
} from './nats/way.js'
import type { StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
import { type StreamOptions, streamLimits } from './stream/limits.js'
import { streamTransport } from './stream/transport.js'

export type { BrokerConnection } from './nats/broker.js'

/** Without `servers` each address names its own. */
export interface NatsOptions extends StreamOptions, BrokerOptions {
  /** A ready connection of the `nats` package instead; it is never closed here. */
  connection?: BrokerConnection
  /** Begins every subject; the cluster's name follows. Default `gc`. */
  prefix?: string
}

const NAMES = ['servers', 'connection', 'broker', 'prefix']

/** `transport: nats({ servers })`. Throws CONFIG for an option that is unknown or out of range. */
export function nats(options: NatsOptions = {}): TransportFactory {
  const limits = streamLimits(options, 'nats', NAMES)
  const way = wayOf(options)
  const factory = (env: TransportEnv): Transport =>
    streamTransport(env, new NatsLayer(env, way), limits)
  const brokers = way.servers.map(server => `nats://${withoutSecrets(server)}`)
  return Object.assign(factory, {
    encrypts: typeof way.broker.tls === 'object',
    ...(brokers.length > 0 ? { brokers } : {}),
  })
}

interface Way {
  readonly servers: readonly string[]
  readonly connection: BrokerConnection | undefined
  readonly broker: ConnectionOptions
  readonly prefix: string
}

function wayOf(options: NatsOptions): Way {
  const { connection, broker = {}, prefix = 'gc' } = options
  const servers = checkBrokers('nats', options)
  return { servers, connection, broker, prefix: checkPrefix(prefix) }
}

export class NatsLayer implements StreamLayer {
  readonly scheme = 'nats'
  /** The broker says that nobody hears a pulse. */
  readonly detectsPeerLoss = true
  readonly topology = 'broker'
  /** The broker reads and writes each message once more: 1.2 to 2 times the calls a second. */
  readonly gathers = true
  readonly #env: TransportEnv
  readonly #way: Way
  /** By broker. */
  readonly #hubs = new Map<string, Hub>()
  #stopped = false

  constructor(env: TransportEnv, way: Way | NatsOptions = {}) {
    this.#env = env
    this.#way = wayOf(way as NatsOptions)
  }

  get strays(): number {
    let sum = 0
    for (const hub of this.#hubs.values()) sum += hub.garbage
    return sum
  }

  async listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    const { name } = parseNatsAddress(address)
    await this.#hub(address).listen(name, accept)
    return address
  }

  dial(address: string, events: StreamEvents): StreamConnection {
    return this.#hub(address).dial(parseNatsAddress(address).name, events)
  }

  defer(task: () => void): void {
    process.nextTick(task)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all([...this.#hubs.values()].map(hub => hub.stop()))
  }

  #hub(address: string): Hub {
    if (this.#stopped) throw new GcacheError('CLOSED', 'the transport was stopped')
    const { servers, connection, prefix } = this.#way
    const given = servers.length > 0 || connection !== undefined
    const { broker } = parseNatsAddress(address)
    if (!given && broker === '')
      throw new GcacheError('ADDRESS_INVALID', `address ${address} names no broker: ${REMEDY}`)
    const key = given ? '' : broker
    const known = this.#hubs.get(key)
    if (known !== undefined) return known
    const { self, cluster, clock, random, logger } = this.#env
    const world = { self, cluster, prefix, clock, random, logger }
    const from = given ? servers : [`nats://${broker}`]
    const what = connection === undefined ? from.map(withoutSecrets).join(', ') : 'given'
    const connect = () => openBroker(`gcache ${self}`, from, this.#way.broker)
    const open = connection === undefined ? connect : undefined
    const hub = new Hub(world, what, open, connection)
    this.#hubs.set(key, hub)
    return hub
  }
}

const REMEDY = 'write nats://host:port/<name>, or give nats({ servers })'

export interface NatsLeaseOptions extends BrokerOptions {
  /** A ready connection of the `nats` package in place of `servers`; it is never closed here. */
  connection?: NatsConnection
  /**
   * How long nobody takes the lease of a master that is silent, ms, 500 to 60,000, the same on
   * every node. Default 2,000. A failover takes up to a tenth longer; a master that is cut off
   * stops a tenth before.
   */
  ttlMs?: number
  /** The key-value store, made if there is none. Default `gcache`; a cluster is a key in it. */
  // tidy: allow bucket - the broker's own word for such a store
  bucket?: string
  /** Its copies within the NATS cluster, 1 to 5. Default 3 where the broker is one of a cluster. */
  copies?: number
  /** A broker beyond loopback need not ask who one is, nor encrypt. Default false. */
  insecure?: boolean
}

// tidy: allow bucket - the broker's own word for such a store
const LEASE_NAMES = ['servers', 'connection', 'broker', 'ttlMs', 'bucket', 'copies', 'insecure']
const STORE = /^[A-Za-z0-9_-]{1,64}$/

/**
 * `masterSlave({ election: natsLease({ servers }) })`: mastership is a lease on a NATS broker with
 * JetStream, so two data nodes need no third one: at no moment do both lead, and none does while
 * the broker's majority is away. Throws CONFIG for an option that is unknown or out of range, and
 * INSECURE for a broker beyond loopback that is given no credentials or no encryption; what is
 * wrong with the broker is told by the log, and by `ready()` with NOT_READY.
 */
export function natsLease(options: NatsLeaseOptions): ElectionFactory {
  const place = leasePlaceOf(options)
  const factory = (env: ElectionEnv) => {
    const { servers, broker, ...rest } = place
    const connect = () => openBroker(`gcache ${env.self} lease`, servers, broker)
    const open = rest.given === undefined ? connect : undefined
    const store = new NatsLeaseStore(env, { ...rest, open })
    return new LeaseKeeper(env, store, place.ttlMs)
  }
  return Object.assign(factory, { from: 'a NATS broker' })
}

function leasePlaceOf(options: NatsLeaseOptions) {
  if (typeof options !== 'object' || options === null)
    throw leaseRefusal('takes an object, such as { servers: "nats://127.0.0.1:4222" }')
  for (const name of Object.keys(options))
    if (!LEASE_NAMES.includes(name))
      throw leaseRefusal(`unknown option ${name}: ${suggestion(name, LEASE_NAMES)}`)
  const servers = checkBrokers('natsLease', options)
  const { connection: given, broker = {}, ttlMs = LEASE.ttlMs, copies, insecure } = options
  if (given === undefined && servers.length === 0)
    throw leaseRefusal('which broker? give servers, such as nats://127.0.0.1:4222')
  if (given !== undefined && typeof given.jetstream !== 'function')
    throw leaseRefusal('option connection takes what connect() of nats returns')
  const { ttlMsMin, ttlMsMax } = LEASE
  if (!Number.isInteger(ttlMs) || ttlMs < ttlMsMin || ttlMs > ttlMsMax)
    throw leaseRefusal(`option ttlMs must be a whole number within ${ttlMsMin}..${ttlMsMax}`)
  // tidy: allow bucket - the broker's own word for such a store
  const { bucket: store = 'gcache' } = options
  if (typeof store !== 'string' || !STORE.test(store))
    // tidy: allow bucket - the broker's own word for such a store
    throw leaseRefusal('option bucket must be 1..64 of A-Z a-z 0-9 _ -')
  if (copies !== undefined && !(Number.isInteger(copies) && copies >= 1 && copies <= 5))
    throw leaseRefusal('option copies must be a whole number within 1..5')
  if (insecure !== true) checkProtected('natsLease', servers, broker)
  const what = given === undefined ? servers.map(withoutSecrets).join(', ') : 'given'
  return { servers, broker, given, ttlMs, store, copies, what }
}

function leaseRefusal(text: string): GcacheError {
  return new GcacheError('CONFIG', `natsLease: ${text}`)
}
