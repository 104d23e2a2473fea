/**
 * The records of one cache between two clears. lru-cache finds a key's slot and knows the order of
 * use; the fields lie in pages by slot, because a walk and a scan need an order that access does
 * not change (PROTOCOL 12 of the design).
 */
import { LRUCache } from 'lru-cache'
import type { StoredRecord } from '../contracts/store.js'
import { PAGE_MASK, PAGE_SHIFT, PAGE_SLOTS, Page } from './page.js'

/** What a record costs besides its key and value, in the eyes of maxBytes. */
export const RECORD_BYTES = 64

/**
 * lru-cache must never evict by itself: an eviction is the master's entry. Of the bounds it asks
 * for, `max` would take its memory at once, and the growing of one by copying stalls for a second
 * at a million records; so every entry has size 1 of 2^52.
 */
const SIZE_MAX = 2 ** 52
const SIZE_ONE = { size: 1 }
/** One object for all reads: lru-cache makes one a call otherwise. */
const READ = {}

/** Values of a new page, as a multiple of the last page's: a page rarely needs a second buffer. */
const EXPECTED = 1 + 1 / 16
/** Decoded values kept for readers, by the low bits of the slot: at most 2 MiB a cache. */
const DECODED_MAX = 4_096
const DECODED_VALUE_BYTES_MAX = 512

export class Region {
  readonly pages: Page[] = []
  /** Slots below it have been used at least once. */
  bound = 0
  readonly #index = new LRUCache<string, number>({ maxSize: SIZE_MAX })
  readonly #free: number[] = []
  /** As many places as `#decodedSlots`, which says whose value lies in each; -1: nobody's. */
  #decoded: string[] = []
  #decodedSlots = new Int32Array(0)

  get size(): number {
    return this.#index.size
  }

  /** The slot of `key`, which counts as used now; -1 if absent. */
  use(key: string): number {
    const slot = this.#index.get(key, READ)
    return slot === undefined ? -1 : slot
  }

  /** As use(), but leaves the order of use alone. */
  peek(key: string): number {
    const slot = this.#index.peek(key, READ)
    return slot === undefined ? -1 : slot
  }

  /** The page of a slot below `bound`. */
  page(slot: number): Page {
    return this.pages[slot >> PAGE_SHIFT]
  }

  /** A slot for `key`, which must be absent. The caller fills the page. */
  insert(key: string): number {
    const slot = this.#free.length > 0 ? (this.#free.pop() as number) : this.bound++
    if (slot >> PAGE_SHIFT === this.pages.length) {
      const last = this.pages.at(-1)
      this.pages.push(new Page(last === undefined ? 0 : last.values.live * EXPECTED))
    }
    const page = this.page(slot)
    page.keys[slot & PAGE_MASK] = key
    page.used++
    this.#index.set(key, slot, SIZE_ONE)
    return slot
  }

  remove(slot: number): void {
    const page = this.page(slot)
    const at = slot & PAGE_MASK
    this.#index.delete(page.keys[at] as string)
    page.keys[at] = undefined
    this.#forget(slot)
    page.values.remove(at)
    page.setLife(at, 0, 0, 0)
    page.used--
    if (page.used === 0) page.soonest = Number.POSITIVE_INFINITY
    this.#free.push(slot)
  }

  key(slot: number): string {
    return this.page(slot).keys[slot & PAGE_MASK] as string
  }

  /** What the record counts against maxBytes. */
  recordBytes(slot: number): number {
    const page = this.page(slot)
    const at = slot & PAGE_MASK
    return keyBytes(page.keys[at] as string) + RECORD_BYTES + page.values.length(at)
  }

  /** The record as readers see it. */
  record(slot: number): StoredRecord {
    const page = this.page(slot)
    const at = slot & PAGE_MASK
    return { value: this.#value(slot), version: page.version(at), expiresAt: page.expiresAt(at) }
  }

  /** The record's value becomes `source[start, end)`. */
  write(slot: number, source: Buffer, start: number, end: number): void {
    this.#forget(slot)
    this.page(slot).values.set(slot & PAGE_MASK, source, start, end)
  }

  /** What is read again and again is decoded once. */
  #value(slot: number): string {
    const place = slot & (this.#decodedSlots.length - 1)
    if (this.#decodedSlots[place] === slot) return this.#decoded[place]
    const value = this.page(slot).values.read(slot & PAGE_MASK)
    if (value.length <= DECODED_VALUE_BYTES_MAX) this.#remember(slot, value)
    return value
  }

  #remember(slot: number, value: string): void {
    let places = this.#decodedSlots.length
    if (places < DECODED_MAX && places < this.pages.length * PAGE_SLOTS) {
      places = Math.max(PAGE_SLOTS, places * 2)
      this.#decoded = new Array(places).fill('')
      this.#decodedSlots = new Int32Array(places).fill(-1)
    }
    this.#decoded[slot & (places - 1)] = value
    this.#decodedSlots[slot & (places - 1)] = slot
  }

  /** Called before the value changes. */
  #forget(slot: number): void {
    const place = slot & (this.#decodedSlots.length - 1)
    if (this.#decodedSlots[place] === slot) this.#decodedSlots[place] = -1
  }

  /** True if the record is past its life at cluster time `time`. */
  expired(slot: number, time: number): boolean {
    return this.page(slot).expired(slot & PAGE_MASK, time)
  }

  /** Slots from the least recently used on; any write to the region ends it. */
  leastUsed(): Iterable<number> {
    return this.#index.rvalues() as Iterable<number>
  }
}

/** Of `key` as UTF-8. */
export function keyBytes(key: string): number {
  for (let i = 0; i < key.length; i++) if (key.charCodeAt(i) > 0x7f) return Buffer.byteLength(key)
  return key.length
}
