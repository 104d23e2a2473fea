/**
 * Addresses from a name: A and AAAA records with a port that is known, or SRV records, which name
 * ports themselves. Asked again and again, because a cluster moves; what was known stays while the
 * name server does not answer.
 */
import { promises, Resolver } from 'node:dns'
import { isIP, isIPv6 } from 'node:net'
import { DISCOVERY } from '../config.js'
import type { Discovery, DiscoveryEnv, DiscoveryFactory, Sighting } from '../contracts/discovery.js'
import type { Timer } from '../contracts/environment.js'
import { suggestion } from '../core/suggest.js'
import { GcacheError } from '../errors.js'

export interface DnsOptions {
  /** Such as `gcache.default.svc.cluster.local`; with `srv`, such as `_gcache._tcp.example.org`. */
  name: string
  /** Ask for SRV records; targets are then asked for their addresses. Default false. */
  srv?: boolean
  /** Where nodes listen; required without `srv`. */
  port?: number
  /** Asked again after it, 100 to 3,600,000 ms. Default 5,000. */
  everyMs?: number
  /** Of the addresses that are made. Default: the node's own, for a client 'tcp'. */
  scheme?: string
  /** Name servers, `host` or `host:port`. Default: the system's. */
  servers?: readonly string[]
}

const NAMES = ['name', 'srv', 'port', 'everyMs', 'scheme', 'servers'] as const
const EVERY_MS_MIN = 100
const EVERY_MS_MAX = 3_600_000
/** Targets of SRV records that are asked for their addresses, the best first. */
const TARGETS_MAX = 64

/** CONFIG for a wrong option. A name that does not resolve is trouble(), NAME_UNRESOLVED. */
export function dns(options: DnsOptions): DiscoveryFactory {
  const full = checked(options)
  return env => new Dns(env, full)
}

type FullOptions = Required<Omit<DnsOptions, 'servers' | 'scheme'>> &
  Pick<DnsOptions, 'servers' | 'scheme'>

class Dns implements Discovery {
  readonly name = 'dns'
  readonly #env: DiscoveryEnv
  readonly #options: FullOptions
  readonly #resolver: promises.Resolver
  #known: readonly Sighting[] = []
  #trouble: GcacheError | undefined
  #timer: Timer | undefined
  #lookups = 0
  #failures = 0
  #stopped = false
  #changed: () => void = () => undefined

  constructor(env: DiscoveryEnv, options: FullOptions) {
    this.#env = env
    this.#options = options
    const { lookupMs: timeout, lookupTries: tries } = DISCOVERY
    this.#resolver = new promises.Resolver({ timeout, tries })
    if (options.servers !== undefined) this.#resolver.setServers(options.servers)
  }

  start(changed: () => void): Promise<void> {
    this.#changed = changed
    void this.#look()
    return Promise.resolve()
  }

  known(): readonly Sighting[] {
    return this.#known
  }

  trouble(): GcacheError | undefined {
    return this.#trouble
  }

  counts(): Readonly<Record<string, number>> {
    return { lookups: this.#lookups, failures: this.#failures }
  }

  stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    this.#resolver.cancel()
    return Promise.resolve()
  }

  /** One at a time; never rejects. */
  async #look(): Promise<void> {
    this.#lookups++
    const { name } = this.#options
    try {
      const found = await (this.#options.srv ? this.#services() : this.#hosts(name, this.#port()))
      if (this.#stopped) return
      this.#trouble = undefined
      this.#keep(found)
    } catch (cause) {
      if (this.#stopped) return
      this.#failures++
      const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
      const text = `the name ${name} gave no address: ${why}`
      if (this.#trouble === undefined) this.#env.logger.warn({ name, reason: why }, text)
      this.#trouble = new GcacheError('NAME_UNRESOLVED', text, { cause })
      this.#changed()
    }
    const { jitter } = DISCOVERY
    const delayMs = this.#options.everyMs * (1 + jitter * (2 * this.#env.random.next() - 1))
    this.#timer = this.#env.clock.after(delayMs, () => void this.#look())
  }

  #port(): number {
    return this.#options.port
  }

  #keep(addresses: readonly string[]): void {
    const unique = [...new Set(addresses)].sort().slice(0, DISCOVERY.sightingsMax)
    if (unique.join() === this.#known.map(({ address }) => address).join()) return
    this.#known = unique.map(address => ({ address }))
    this.#changed()
  }

  /** A and AAAA; one of them is enough. */
  async #hosts(name: string, port: number): Promise<string[]> {
    const [v4, v6] = await Promise.allSettled([
      this.#resolver.resolve4(name),
      this.#resolver.resolve6(name),
    ])
    const found = [v4, v6].flatMap(each => (each.status === 'fulfilled' ? each.value : []))
    if (found.length === 0) throw v4.status === 'rejected' ? v4.reason : new Error('no records')
    const scheme = this.#options.scheme ?? this.#env.scheme ?? 'tcp'
    return found.map(host => `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`)
  }

  /** A target that does not resolve is left out, unless none does. */
  async #services(): Promise<string[]> {
    const records = await this.#resolver.resolveSrv(this.#options.name)
    // A single target of '.' says that there is no such service (RFC 2782).
    const real = records.filter(({ name, port }) => name !== '' && name !== '.' && port > 0)
    const best = real.sort((a, b) => a.priority - b.priority).slice(0, TARGETS_MAX)
    const each = await Promise.allSettled(best.map(({ name, port }) => this.#hosts(name, port)))
    const found = each.flatMap(one => (one.status === 'fulfilled' ? one.value : []))
    if (found.length > 0) return found
    const [first] = each
    throw first?.status === 'rejected' ? first.reason : new Error('no records')
  }
}

function checked(options: DnsOptions): FullOptions {
  if (typeof options !== 'object' || options === null) throw wrong('takes { name, port }')
  for (const each of Object.keys(options))
    if (!(NAMES as readonly string[]).includes(each))
      throw wrong(`unknown option ${each}: ${suggestion(each, NAMES)}`)
  const { name, srv = false, port, everyMs = DISCOVERY.lookupEveryMs, scheme } = options
  if (typeof name !== 'string' || name === '' || name.length > 253 || /[\s/:]/.test(name))
    throw wrong(`option name must be a name such as gcache.example.org`)
  if (isIP(name)) throw wrong(`option name: ${name} is an address: name it as a server or member`)
  if (srv && port !== undefined) throw wrong('SRV records name ports: leave port out')
  if (!srv && port === undefined) throw wrong('option port is missing: where do nodes listen?')
  if (port !== undefined) whole('port', port, 1, 65_535)
  whole('everyMs', everyMs, EVERY_MS_MIN, EVERY_MS_MAX)
  if (typeof srv !== 'boolean') throw wrong('option srv must be true or false')
  if (scheme !== undefined && !/^[a-z][a-z0-9+.-]*$/.test(scheme))
    throw wrong(`option scheme: ${scheme} is none`)
  const { servers } = options
  if (servers !== undefined) checkServers(servers)
  return { name, srv, port: port ?? 0, everyMs, scheme, ...(servers ? { servers } : {}) }
}

function checkServers(servers: readonly string[]): void {
  if (!Array.isArray(servers) || servers.length === 0)
    throw wrong("option servers must be a list such as ['10.0.0.53']")
  try {
    new Resolver().setServers(servers)
  } catch (cause) {
    throw wrong(`option servers: ${(cause as Error).message}`)
  }
}

function whole(name: string, value: unknown, min: number, max: number): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
  throw wrong(`option ${name} must be a whole number within ${min}..${max}`)
}

function wrong(text: string): GcacheError {
  return new GcacheError('CONFIG', `dns: ${text}`)
}
