/**
 * What the master should propose: records past their life, victims of full caches, idle windows.
 * Expiry needs no queue: each page knows the earliest time at which one of its records may end. A
 * sweep passes over whole pages, and a storm of touches costs nothing.
 */
import { LIMITS } from '../config.js'
import { Writer } from '../wire/bytes.js'
import { OP, writeCloseWindow, writeExpire } from '../wire/command.js'
import type { NamedCache } from './caches.js'
import { PAGE_MASK, PAGE_SHIFT, PAGE_SLOTS, type Page } from './page.js'
import type { State } from './state.js'

/** What was proposed may come again after it: its entry was lost, or waits. */
const PROPOSE_AGAIN_MS = 1_000
/** Pages that one call looks at; 4,096 hold a million records, and one costs a few nanoseconds. */
const PAGES_PER_CALL = 4_096
/** Proposed and not yet removed, for one cache; more wait. */
const UNDER_WAY_MAX = 10_000

export class Housekeeping {
  readonly #state: State
  readonly #out = new Writer(256)
  /** Where the sweep for expired records goes on. */
  #cache = 0
  #slot = 0
  #windowsAt = Number.NEGATIVE_INFINITY

  constructor(state: State) {
    this.#state = state
  }

  propose(time: number, limit: number): readonly Uint8Array[] {
    const commands: Uint8Array[] = []
    const { list } = this.#state.caches
    for (const cache of list) {
      const age = time - cache.proposedAt
      if (cache.proposed.size > 0 && (age >= PROPOSE_AGAIN_MS || age < 0)) cache.forgetProposals()
      if (cache.proposed.size === 0) cache.proposedAt = time
    }
    this.#expire(time, limit, commands)
    for (const cache of list) this.#evict(cache, limit, commands)
    const crowded = this.#state.windows.size > LIMITS.windowsMax
    if (crowded || time >= this.#windowsAt + PROPOSE_AGAIN_MS || time < this.#windowsAt)
      this.#closeWindows(time, limit, commands)
    return commands
  }

  #expire(time: number, limit: number, commands: Uint8Array[]): void {
    const { list } = this.#state.caches
    let pages = 0
    for (let caches = 0; caches <= list.length && pages < PAGES_PER_CALL; caches++) {
      if (this.#cache >= list.length) this.#cache = 0
      const cache = list[this.#cache]
      if (cache === undefined) return
      const { region } = cache
      for (; this.#slot < region.bound && pages < PAGES_PER_CALL; pages++) {
        const page = region.pages[this.#slot >> PAGE_SHIFT]
        if (page.soonest <= time && !this.#expirePage(cache, page, time, limit, commands)) return
        this.#slot = (this.#slot | PAGE_MASK) + 1
      }
      if (this.#slot < region.bound) return
      this.#slot = 0
      this.#cache++
      pages++
    }
  }

  /** The page of `#slot`, from there on. False if the limit came first; the sweep stays there. */
  #expirePage(
    cache: NamedCache,
    page: Page,
    time: number,
    limit: number,
    commands: Uint8Array[],
  ): boolean {
    let soonest = Number.POSITIVE_INFINITY
    const first = this.#slot & ~PAGE_MASK
    for (let at = 0; at < PAGE_SLOTS; at++) {
      let expiresAt = page.expiresAt(at)
      if (expiresAt === 0) continue
      if (expiresAt <= time) {
        const slot = first | at
        if (slot >= this.#slot && !cache.proposed.has(slot)) {
          if (commands.length >= limit || cache.proposed.size >= UNDER_WAY_MAX) {
            this.#slot = slot
            return false
          }
          this.#push(commands, OP.expire, cache, slot)
        }
        expiresAt = cache.proposedAt + PROPOSE_AGAIN_MS
      }
      if (expiresAt < soonest) soonest = expiresAt
    }
    page.soonest = soonest
    return true
  }

  #evict(cache: NamedCache, limit: number, commands: Uint8Array[]): void {
    const { maxEntries, maxBytes, eviction } = cache.options
    if (eviction !== 'lru') return
    if (cache.entries <= maxEntries && cache.bytes <= maxBytes) return
    const { region, proposed } = cache
    for (const slot of region.leastUsed()) {
      const entries = cache.entries - proposed.size
      const bytes = cache.bytes - cache.proposedBytes
      if (entries <= maxEntries && bytes <= maxBytes) return
      if (commands.length >= limit || proposed.size >= UNDER_WAY_MAX) return
      if (!proposed.has(slot)) this.#push(commands, OP.evict, cache, slot)
    }
  }

  /** Once a second idle windows; at once, beyond the limit, those that were used longest ago. */
  #closeWindows(time: number, limit: number, commands: Uint8Array[]): void {
    this.#windowsAt = time
    const { windows } = this.#state
    const surplus = windows.size - LIMITS.windowsMax
    const byUse = surplus > 0 ? [...windows.values()].sort((a, b) => a.used - b.used) : undefined
    let place = 0
    for (const window of byUse ?? windows.values()) {
      if (commands.length >= limit) return
      if (place++ >= surplus && time - window.usedAt < LIMITS.windowIdleMs) continue
      this.#out.reset()
      writeCloseWindow(this.#out, window.id, window.used + 1)
      commands.push(this.#out.copy())
    }
  }

  #push(
    commands: Uint8Array[],
    op: typeof OP.expire | typeof OP.evict,
    cache: NamedCache,
    slot: number,
  ): void {
    const { region } = cache
    const out = this.#out
    cache.proposed.add(slot)
    cache.proposedBytes += region.recordBytes(slot)
    out.reset()
    const changed = region.page(slot).changed(slot & PAGE_MASK)
    writeExpire(out, op, cache.name, region.key(slot), changed)
    commands.push(out.copy())
  }
}
