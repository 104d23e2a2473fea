/**
 * The records of one cache between two clears. lru-cache finds a key's slot and knows the order of
 * use; the fields lie in columns by slot, because a million small objects cost twice the memory and
 * a walk needs an order that access does not change (PROTOCOL 12 of the design).
 */
import { LRUCache } from 'lru-cache'

/** Slots a page; a power of two. A cache with one record pays for one page, 8 KiB. */
export const PAGE_SLOTS = 256
export const PAGE_SHIFT = 8
export const PAGE_MASK = PAGE_SLOTS - 1

/** What a record costs besides its key and value, in the eyes of maxBytes. */
export const RECORD_BYTES = 64

/** lru-cache must never evict by itself: every entry has size 1 of 2^52. */
const SIZE_MAX = 2 ** 52
const SIZE_ONE = { size: 1 }

/** 256 records as columns. `keys[at]` is undefined in a free slot. */
export class Page {
  readonly keys: (string | undefined)[] = new Array(PAGE_SLOTS).fill(undefined)
  /** One byte a char. */
  readonly values: string[] = new Array(PAGE_SLOTS).fill('')
  /** The offset that last set the value. */
  readonly versions = new Float64Array(PAGE_SLOTS)
  /** The offset that last altered anything: `versions[at] <= changed[at]`. */
  readonly changed = new Float64Array(PAGE_SLOTS)
  /** Made with the first record that does not live for ever. */
  lives: Lives | undefined = undefined
  /** Records in use. */
  used = 0
  /** No record of this page expires before it: a lower bound, ms of cluster time. */
  soonest = Number.POSITIVE_INFINITY
}

/** Times in ms; 0: none. `expiresAt` is the smaller of `deadline` and last use + `idleMs`. */
export class Lives {
  readonly expiresAt = new Float64Array(PAGE_SLOTS)
  readonly deadline = new Float64Array(PAGE_SLOTS)
  readonly idleMs = new Float64Array(PAGE_SLOTS)
}

export class Region {
  readonly pages: Page[] = []
  /** Slots below it have been used at least once. */
  bound = 0
  readonly #index = new LRUCache<string, number>({ maxSize: SIZE_MAX })
  readonly #free: number[] = []

  get size(): number {
    return this.#index.size
  }

  /** The slot of `key`, which counts as used now; -1 if absent. */
  use(key: string): number {
    const slot = this.#index.get(key)
    return slot === undefined ? -1 : slot
  }

  /** As use(), but leaves the order of use alone. */
  peek(key: string): number {
    const slot = this.#index.peek(key)
    return slot === undefined ? -1 : slot
  }

  page(slot: number): Page {
    return this.pages[slot >> PAGE_SHIFT]
  }

  /** A slot for `key`, which must be absent. The caller fills the columns. */
  insert(key: string): number {
    const slot = this.#free.length > 0 ? (this.#free.pop() as number) : this.bound++
    let page = this.pages[slot >> PAGE_SHIFT]
    if (page === undefined) {
      page = new Page()
      this.pages.push(page)
    }
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
    page.values[at] = ''
    page.used--
    if (page.lives !== undefined) page.lives.expiresAt[at] = 0
    if (page.used === 0) page.soonest = Number.POSITIVE_INFINITY
    this.#free.push(slot)
  }

  expiresAt(slot: number): number {
    const lives = this.page(slot).lives
    return lives === undefined ? 0 : lives.expiresAt[slot & PAGE_MASK]
  }

  /** True if the record is past its life at cluster time `time`. */
  expired(slot: number, time: number): boolean {
    const expiresAt = this.expiresAt(slot)
    return expiresAt !== 0 && expiresAt <= time
  }

  setLife(slot: number, deadline: number, idleMs: number, expiresAt: number): void {
    const page = this.page(slot)
    let lives = page.lives
    if (lives === undefined) {
      if (expiresAt === 0 && deadline === 0 && idleMs === 0) return
      lives = new Lives()
      page.lives = lives
    }
    const at = slot & PAGE_MASK
    lives.deadline[at] = deadline
    lives.idleMs[at] = idleMs
    lives.expiresAt[at] = expiresAt
    if (expiresAt !== 0 && expiresAt < page.soonest) page.soonest = expiresAt
  }

  /** Keys from the least recently used on. */
  leastUsed(): Iterator<string> {
    return this.#index.rkeys()
  }
}

/** When a record used at `time` ends; 0: never. */
export function endOfLife(time: number, deadline: number, idleMs: number): number {
  if (idleMs === 0) return deadline
  const idleEnd = time + idleMs
  return deadline !== 0 && deadline < idleEnd ? deadline : idleEnd
}
