/**
 * A client's use of discovery: whatever is seen is dialled, besides the servers that it was given.
 * Who answers there proves itself as any server does.
 */
import type { Discovery, DiscoveryEnv, DiscoveryFactory } from '../contracts/discovery.js'
import type { Clock, Timer } from '../contracts/environment.js'
import { GcacheError } from '../errors.js'
import type { ClientLinks } from './links.js'

/** A server that went away and came back says so by discovery, too: looked at so often. */
const LOOK_EVERY_MS = 1_000

const FUNCTIONS = ['start', 'known', 'stop'] as const

/** CONFIG if `factory` returns no Discovery; else what it throws itself. */
export function makeDiscovery(factory: DiscoveryFactory, env: DiscoveryEnv): Discovery {
  const discovery = factory(env) as Discovery | null | undefined
  if (discovery && FUNCTIONS.every(name => typeof discovery[name] === 'function')) return discovery
  throw new GcacheError('CONFIG', 'option discovery returned none: pass what multicast() returns')
}

export class Finder {
  readonly #discovery: Discovery
  readonly #links: ClientLinks
  readonly #clock: Clock
  #timer: Timer | undefined
  #stopping: Promise<void> | undefined

  constructor(discovery: Discovery, links: ClientLinks, clock: Clock) {
    this.#discovery = discovery
    this.#links = links
    this.#clock = clock
  }

  /** Rejects with what start() of the discovery rejects with. */
  async start(): Promise<void> {
    await this.#discovery.start(() => this.#look())
    if (this.#stopping === undefined) this.#turn()
  }

  /** What it has to say where nothing was found, for people. */
  get why(): string {
    const trouble = this.#discovery.trouble?.()
    if (trouble !== undefined) return trouble.message
    return `${this.#discovery.name} shows ${this.#discovery.known().length} nodes`
  }

  stop(): Promise<void> {
    this.#timer?.cancel()
    this.#stopping ??= this.#discovery.stop()
    return this.#stopping
  }

  #turn(): void {
    this.#look()
    this.#timer = this.#clock.after(LOOK_EVERY_MS, () => this.#turn())
  }

  #look(): void {
    if (this.#stopping !== undefined) return
    for (const { address } of this.#discovery.known()) this.#links.sight(address)
  }
}
