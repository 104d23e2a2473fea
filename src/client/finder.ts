/**
 * A client's use of discovery: whatever is seen is dialled, besides the servers that it was given.
 * Who answers there proves itself as any server does.
 */
import type { Discovery } from '../contracts/discovery.js'
import type { Clock, Timer } from '../contracts/environment.js'
import type { ClientLinks } from './links.js'

/** A server that went away and came back says so by discovery, too: looked at so often. */
const LOOK_EVERY_MS = 1_000

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
