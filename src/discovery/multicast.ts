/**
 * Nodes say who they are to a multicast group of their network, again and again: the announcement
 * is the heartbeat, and silence says that a node is gone. Signed with the cluster's secret;
 * unsigned it stays on loopback, as everything that anybody could forge does (SECURITY 4, 15).
 */
import { createHmac, randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import { AUTH, DISCOVERY } from '../config.js'
import type { Redacted } from '../contracts/authentication.js'
import type {
  Announcement,
  Discovery,
  DiscoveryEnv,
  DiscoveryFactory,
  Sighting,
} from '../contracts/discovery.js'
import type { Timer } from '../contracts/environment.js'
import { suggestion } from '../core/suggest.js'
import { GcacheError } from '../errors.js'
import { HeardNodes } from './heard.js'
import { encodeRecord } from './record.js'

export interface MulticastOptions {
  /** An IPv4 group, 224.0.0.0 to 239.255.255.255. Default 239.255.71.67. */
  group?: string
  /** Default 7446. All that shall find each other have the same group and port. */
  port?: number
  /** Of announcements, 50 to 60,000 ms. Default 500. */
  intervalMs?: number
  /** How many routers an announcement may pass, 0 to 32. Default 1: none. */
  ttl?: number
  /** An IPv4 address of this host: the network that is spoken to. Default 127.0.0.1. */
  interface?: string
  /**
   * Signs announcements: at least 32 bytes, the same for all that shall find each other. Default:
   * the cluster's secret, where `auth` names it.
   */
  secret?: string | Uint8Array | Redacted
  /** Allow unsigned announcements beyond loopback, as a node's own `insecure: true` does. */
  insecure?: boolean
}

const NAMES = ['group', 'port', 'intervalMs', 'ttl', 'interface', 'secret', 'insecure'] as const
const TTL_MAX = 32

/** CONFIG for a wrong option; INSECURE, as soon as a node or client uses it, if it would speak
 *  unsigned beyond loopback. */
export function multicast(options: MulticastOptions = {}): DiscoveryFactory {
  const full = checked(options)
  return env => new Multicast(env, full)
}

interface FullOptions {
  readonly group: string
  readonly port: number
  readonly intervalMs: number
  readonly ttl: number
  readonly network: string
  readonly key: Buffer | undefined
  readonly insecure: boolean
}

class Multicast implements Discovery {
  readonly name = 'multicast'
  readonly #env: DiscoveryEnv
  readonly #options: FullOptions
  readonly #sign: ((bytes: Uint8Array) => Uint8Array) | undefined
  readonly #heard: HeardNodes
  #socket: Socket | undefined
  #changed: () => void = () => undefined
  #timer: Timer | undefined
  #sentAt = Number.NEGATIVE_INFINITY
  #loggedAt = Number.NEGATIVE_INFINITY
  #dropped = 0
  #trouble: GcacheError | undefined
  #stopping: Promise<void> | undefined

  constructor(env: DiscoveryEnv, options: FullOptions) {
    this.#env = env
    this.#options = options
    const { key } = options
    const { cluster, clock } = env
    this.#sign =
      key === undefined
        ? env.sign
        : bytes => createHmac('sha256', key).update(`${cluster}\n`).update(bytes).digest()
    const exposed = options.insecure || env.insecure
    if (this.#sign === undefined) refuseUnsigned(env, options, exposed)
    this.#heard = new HeardNodes({
      ...{ cluster, clock, sign: this.#sign, loopbackOnly: this.#sign === undefined && !exposed },
      ownProcess: () => env.self?.().process,
    })
  }

  async start(changed: () => void): Promise<void> {
    this.#changed = changed
    const { group, port, network, ttl } = this.#options
    const socket = createSocket({ type: 'udp4', reuseAddr: true })
    this.#socket = socket
    await new Promise<void>((resolve, reject) => {
      socket.once('error', cause => reject(this.#unbound(cause)))
      // Bound to the group, nothing that was sent to this host alone arrives; Windows has no such.
      const address = process.platform === 'win32' ? undefined : group
      socket.bind({ port, address, exclusive: true }, () => {
        try {
          socket.addMembership(group, network)
          socket.setMulticastInterface(network)
          socket.setMulticastTTL(ttl)
          socket.setMulticastLoopback(true)
          resolve()
        } catch (cause) {
          reject(this.#unbound(cause as Error))
        }
      })
    }).catch(async (error: unknown) => {
      await this.stop()
      throw error
    })
    if (this.#stopping !== undefined) return
    socket.removeAllListeners('error')
    socket.on('error', cause => this.#fail(cause))
    socket.on('message', (bytes, from) => this.#hear(bytes, from.address))
    this.#speak()
  }

  known(): readonly Sighting[] {
    return this.#heard.known
  }

  /** Soon, but no sooner than every DISCOVERY.answerMsMin. */
  announce(): void {
    if (this.#socket === undefined || this.#stopping !== undefined) return
    const sinceMs = this.#env.clock.now() - this.#sentAt
    this.#speakAfter(Math.max(0, DISCOVERY.answerMsMin - sinceMs))
  }

  trouble(): GcacheError | undefined {
    return this.#trouble
  }

  counts(): Readonly<Record<string, number>> {
    return { ...this.#heard.counts }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#timer?.cancel()
    const socket = this.#socket
    if (socket === undefined) return
    if (Number.isFinite(this.#sentAt)) await this.#send('leaving')
    await new Promise<void>(resolve => socket.close(() => resolve()))
  }

  /** Says who this node is, looks who has fallen silent, and comes again. A client only looks. */
  #speak(): void {
    if (this.#env.self !== undefined) void this.#send()
    if (this.#heard.forget()) this.#tell()
    const { intervalMs } = this.#options
    const { jitter } = DISCOVERY
    this.#speakAfter(intervalMs * (1 + jitter * (2 * this.#env.random.next() - 1)))
  }

  #speakAfter(delayMs: number): void {
    this.#timer?.cancel()
    this.#timer = this.#env.clock.after(delayMs, () => this.#speak())
  }

  #send(presence?: 'leaving'): Promise<void> {
    const { group, port, intervalMs } = this.#options
    const own = this.#env.self?.()
    const socket = this.#socket
    if (own === undefined || socket === undefined) return Promise.resolve()
    const said: Announcement = presence === undefined ? own : { ...own, presence }
    this.#sentAt = this.#env.clock.now()
    const time = Math.floor(this.#env.clock.wall())
    const nonce = randomBytes(8).toString('hex')
    const record = { cluster: this.#env.cluster, said, time, nonce, intervalMs }
    return new Promise(resolve => {
      socket.send(encodeRecord(record, this.#sign), port, group, error => {
        if (error) this.#fail(error)
        else this.#trouble = undefined
        resolve()
      })
    })
  }

  #hear(bytes: Uint8Array, from: string): void {
    if (this.#stopping !== undefined) return
    const { counts } = this.#heard
    const good = counts.heard + counts.foreignCluster
    const change = this.#heard.take(bytes, from.startsWith('127.'))
    // A node that comes need not wait for the next interval of the others.
    if (change === 'new' && this.#env.self !== undefined) this.announce()
    if (change !== 'none') this.#tell()
    if (counts.heard + counts.foreignCluster === good) this.#complain(from)
  }

  /** From an event of the socket or a timer. */
  #tell(): void {
    if (this.#stopping === undefined) this.#changed()
  }

  #complain(from: string): void {
    this.#dropped++
    const now = this.#env.clock.now()
    if (now - this.#loggedAt < DISCOVERY.logEveryMs) return
    this.#loggedAt = now
    const { heard: _, ...counts } = this.#heard.counts
    this.#env.logger.warn(
      { from, dropped: this.#dropped, ...counts },
      'announcements were dropped: strangers, or other secrets and clocks than here',
    )
    this.#dropped = 0
  }

  /** The network may come back: the next interval tries again. */
  #fail(cause: Error): void {
    const { group, port, network } = this.#options
    const text = `multicast to ${group}:${port} by ${network}: ${cause.message}`
    if (this.#trouble === undefined) this.#env.logger.warn({ reason: cause.message }, text)
    this.#trouble = new GcacheError('UNREACHABLE', text, { cause })
  }

  #unbound(cause: Error): GcacheError {
    const { group, port, network } = this.#options
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const remedy = taken
      ? `port ${port} is held by a process that does not share it`
      : `is ${network} an address of this host, and ${group} a multicast group?`
    const text = `multicast to ${group}:${port} by ${network}: ${cause.message}: ${remedy}`
    return new GcacheError(taken ? 'ADDRESS_IN_USE' : 'ADDRESS_INVALID', text, { cause })
  }
}

function refuseUnsigned(env: DiscoveryEnv, { network }: FullOptions, exposed: boolean): void {
  if (env.proved)
    throw new GcacheError(
      'CONFIG',
      'multicast: the nodes sign what they announce, and a password cannot judge that: give all ' +
        'of them and this client multicast({ secret }), or name the servers',
    )
  if (exposed || network.startsWith('127.')) return
  throw new GcacheError(
    'INSECURE',
    `multicast by ${network} without a secret is refused, because anyone on that network could ` +
      'send nodes and clients where they like: configure auth.secret or multicast({ secret }), ' +
      'use 127.0.0.1, or say insecure: true',
  )
}

function checked(options: MulticastOptions): FullOptions {
  if (typeof options !== 'object' || options === null) throw wrong('takes an object of options')
  for (const name of Object.keys(options))
    if (!(NAMES as readonly string[]).includes(name))
      throw wrong(`unknown option ${name}: ${suggestion(name, NAMES)}`)
  const { group = DISCOVERY.group, port = DISCOVERY.port, ttl = 1, insecure = false } = options
  const { intervalMs = DISCOVERY.intervalMs, interface: network = '127.0.0.1' } = options
  if (!isIPv4(group) || !/^(22[4-9]|23\d)\./.test(group))
    throw wrong(`option group: ${String(group)} is no IPv4 group, 224.0.0.0 to 239.255.255.255`)
  whole('port', port, 1, 65_535)
  whole('ttl', ttl, 0, TTL_MAX)
  whole('intervalMs', intervalMs, DISCOVERY.intervalMsMin, DISCOVERY.intervalMsMax)
  if (!isIPv4(network)) throw wrong(`option interface: ${String(network)} is no IPv4 address`)
  if (typeof insecure !== 'boolean') throw wrong('option insecure must be true or false')
  const key = keyOf(options.secret)
  return { group, port, intervalMs, ttl, network, key, insecure }
}

function keyOf(secret: MulticastOptions['secret']): Buffer | undefined {
  if (secret === undefined) return undefined
  let key: Buffer
  if (typeof secret === 'string') key = Buffer.from(secret.normalize('NFKC'))
  else if (secret instanceof Uint8Array) key = Buffer.from(secret)
  else if (typeof secret?.expose === 'function') key = secret.expose(bytes => Buffer.from(bytes))
  else throw wrong('option secret must be text, bytes or a Secret')
  if (key.length >= AUTH.secretBytesMin) return key
  throw wrong(`option secret must have at least ${AUTH.secretBytesMin} bytes`)
}

function whole(name: string, value: unknown, min: number, max: number): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
  throw wrong(`option ${name} must be a whole number within ${min}..${max}`)
}

function wrong(text: string): GcacheError {
  return new GcacheError('CONFIG', `multicast: ${text}`)
}
