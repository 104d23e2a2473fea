/**
 * The named caches: options, records, and what they count against their limits. The counts are kept
 * apart from the records, because a slave that is being filled by a snapshot must already decide
 * 'full' as its master does, while most records are still on their way.
 */
import { CACHE_DEFAULTS, LIMITS } from '../config.js'
import type { CacheOptions } from '../contracts/store.js'
import { Region } from './region.js'

/** Of an empty cache; a queue that runs empty again and again makes nothing anew. */
const SLOTS_KEPT = 4_096

export class NamedCache {
  readonly name: string
  options: CacheOptions
  region = new Region()
  /** Records in the state, expired ones that still lie there included. */
  entries = 0
  /** Keys, values and 64 bytes a record. */
  bytes = 0
  /** Slots whose end was proposed and not yet applied; node-local, forgotten after a second. */
  readonly proposed = new Set<number>()
  proposedBytes = 0
  /** Cluster time at which the oldest of them was proposed, or earlier. */
  proposedAt = 0

  constructor(name: string, options: CacheOptions) {
    this.name = name
    this.options = options
  }

  /** Drops all records at once; whoever still walks the old region keeps it alive. */
  clear(): void {
    this.region = new Region()
    this.entries = 0
    this.bytes = 0
    this.forgetProposals()
  }

  /** A cache that held many records and now holds none gives their slots back. */
  shrink(): void {
    if (this.region.size === 0 && this.region.bound > SLOTS_KEPT) this.region = new Region()
  }

  forgetProposals(): void {
    if (this.proposed.size > 0) this.proposed.clear()
    this.proposedBytes = 0
  }
}

const NO_BYTES = new Uint8Array(0)

export class Caches {
  readonly byName = new Map<string, NamedCache>()
  /** In order of their making: a sweep remembers its place by index. */
  readonly list: NamedCache[] = []
  readonly #defaults: CacheOptions
  #lastBytes = NO_BYTES
  #last: NamedCache | undefined

  /** `defaults`: of a cache that nobody configured. */
  constructor(defaults: CacheOptions = CACHE_DEFAULTS) {
    this.#defaults = defaults
  }

  /** The cache of that name, made with the defaults if there is none; undefined if that were one
   *  too many. */
  need(name: string): NamedCache | undefined {
    let cache = this.byName.get(name)
    if (cache === undefined) {
      if (this.list.length >= LIMITS.cachesMax) return undefined
      cache = new NamedCache(name, this.#defaults)
      this.byName.set(name, cache)
      this.list.push(cache)
    }
    return cache
  }

  /** The cache whose UTF-8 name is the last one asked for, else undefined: most entries of a batch
   *  name the same cache, and comparing a few bytes is cheaper than making a string. */
  recall(source: Uint8Array, start: number, count: number): NamedCache | undefined {
    const last = this.#lastBytes
    if (last.length !== count) return undefined
    for (let i = 0; i < count; i++) if (last[i] !== source[start + i]) return undefined
    return this.#last
  }

  remember(source: Uint8Array, start: number, count: number, cache: NamedCache): void {
    this.#lastBytes = source.slice(start, start + count)
    this.#last = cache
  }
}
