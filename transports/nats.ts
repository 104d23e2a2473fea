/**
 * NATS, a transport over a broker that hides who is where: a StreamLayer whose connections are
 * virtual, two subjects and numbers (nats/stream.ts), because the broker delivers at most once and
 * tells nobody what was lost. Everything above bytes stands in stream/. Addresses are
 * `nats://host:port/<name>`, or `nats:///<name>` for the broker in `servers` or `connection`.
 */
import { type ConnectionOptions, connect } from 'nats'
import { BROKER } from '../src/config.js'
import type { Transport, TransportEnv, TransportFactory } from '../src/contracts/transport.js'
import { GcacheError } from '../src/errors.js'
import { parseNatsAddress } from './nats/address.js'
import type { BrokerConnection } from './nats/broker.js'
import { Hub } from './nats/hub.js'
import { checkPrefix } from './nats/subjects.js'
import type { StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
import { type StreamOptions, streamLimits } from './stream/limits.js'
import { streamTransport } from './stream/transport.js'

export type { BrokerConnection } from './nats/broker.js'

export interface NatsOptions extends StreamOptions {
  /** Brokers of one NATS cluster, such as `nats://127.0.0.1:4222`; one that answers is enough.
   *  Without them each address names its own. */
  servers?: string | readonly string[]
  /** A ready connection of the `nats` package instead; it is never closed here. */
  connection?: BrokerConnection
  /** What else the `nats` package shall be told: user, pass, token, tls, authenticator ... */
  broker?: ConnectionOptions
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

function wayOf({ servers = [], connection, broker = {}, prefix = 'gc' }: NatsOptions): Way {
  const list = typeof servers === 'string' ? [servers] : servers
  if (!Array.isArray(list) || !list.every(each => typeof each === 'string' && each !== ''))
    throw new GcacheError('CONFIG', 'nats: option servers takes addresses of brokers')
  if (typeof broker !== 'object' || broker === null)
    throw new GcacheError('CONFIG', 'nats: option broker takes an object, such as { user, pass }')
  if (connection !== undefined && typeof connection?.publish !== 'function')
    throw new GcacheError('CONFIG', 'nats: option connection takes what connect() of nats returns')
  if (connection !== undefined && list.length > 0)
    throw new GcacheError('CONFIG', 'nats: option connection has its servers: leave servers out')
  return { servers: list, connection, broker, prefix: checkPrefix(prefix) }
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
    const open = connection === undefined ? () => this.#connect(from) : undefined
    const hub = new Hub(world, what, open, connection)
    this.#hubs.set(key, hub)
    return hub
  }

  #connect(servers: readonly string[]): Promise<BrokerConnection> {
    // Not noEcho: a node that dials itself shall hear so. Reconnecting is the library's for as long
    // as it tries; a stream never outlives the way that it went.
    return connect({
      name: `gcache ${this.#env.self}`,
      pingInterval: BROKER.pingMs,
      maxPingOut: 2,
      reconnectTimeWait: BROKER.retryMs,
      timeout: BROKER.attemptMs,
      noAsyncTraces: true,
      ...this.#way.broker,
      servers: [...servers],
      reconnect: true,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
    })
  }
}

const REMEDY = 'write nats://host:port/<name>, or give nats({ servers })'

/** `host:port` of what the `nats` package takes. */
function withoutSecrets(server: string): string {
  return server.replace(/^[a-z]+:\/\//, '').replace(/^.*@/, '')
}
