/** The records of a store as readers see them, whatever puts them there. */
import type { CacheOptions, ScanPage, StoredRecord, WholeRecord } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'
import { PAGE_MASK, PAGE_SHIFT, PAGE_SLOTS } from './page.js'
import { State } from './state.js'

/** Slots that one scan page looks at: it then returns what it has, with a cursor. */
const SCAN_SLOTS_MAX = 50_000

export class Records {
  protected state: State

  /** `defaults`: of caches that nobody configured. */
  constructor(defaults?: CacheOptions) {
    this.state = new State(defaults)
  }

  get applied(): Offset {
    return this.state.applied
  }

  get(cache: string, key: string, time: number): StoredRecord | undefined {
    const named = this.state.caches.byName.get(cache)
    if (named === undefined) return undefined
    const { region } = named
    const slot = region.use(key)
    if (slot < 0 || region.expired(slot, time)) return undefined
    return region.record(slot)
  }

  has(cache: string, key: string, time: number): boolean {
    const region = this.state.caches.byName.get(cache)?.region
    if (region === undefined) return false
    const slot = region.peek(key)
    return slot >= 0 && !region.expired(slot, time)
  }

  peek(cache: string, key: string): WholeRecord | undefined {
    const region = this.state.caches.byName.get(cache)?.region
    const slot = region?.peek(key) ?? -1
    if (region === undefined || slot < 0) return undefined
    const page = region.page(slot)
    const at = slot & PAGE_MASK
    const life = { deadline: page.deadline(at), idleMs: page.idleMs(at) }
    return { ...region.record(slot), changed: page.changed(at), ...life }
  }

  /** Live records; looks at every life, about 6 ms for a million that are mortal. */
  size(cache: string, time: number): number {
    const region = this.state.caches.byName.get(cache)?.region
    if (region === undefined) return 0
    let count = region.size
    for (const page of region.pages)
      if (page.mortal) for (let at = 0; at < PAGE_SLOTS; at++) if (page.expired(at, time)) count--
    return count
  }

  scan(cache: string, prefix: string, cursor: number, limit: number, time: number): ScanPage {
    const keys: string[] = []
    const records: StoredRecord[] = []
    const region = this.state.caches.byName.get(cache)?.region
    if (region === undefined || limit < 1) return { keys, records, cursor: 0 }
    let slot = cursor
    for (const end = slot + SCAN_SLOTS_MAX; slot < region.bound && slot < end; slot++) {
      const page = region.pages[slot >> PAGE_SHIFT]
      const key = page.keys[slot & PAGE_MASK]
      if (key === undefined || !key.startsWith(prefix) || region.expired(slot, time)) continue
      if (keys.length === limit) break
      keys.push(key)
      records.push(region.record(slot))
    }
    return { keys, records, cursor: slot < region.bound ? slot : 0 }
  }

  caches(): ReadonlyMap<string, CacheOptions> {
    const options = new Map<string, CacheOptions>()
    for (const cache of this.state.caches.list) options.set(cache.name, cache.options)
    return options
  }

  stats(): { entries: number; bytes: number; windows: number } {
    let entries = 0
    let bytes = 0
    for (const cache of this.state.caches.list) {
      entries += cache.entries
      bytes += cache.bytes
    }
    return { entries, bytes, windows: this.state.windows.size }
  }
}
