/**
 * The state machine that Gcache replicates: named caches of opaque values. This file is its face;
 * what an entry does stands in apply.ts, how a copy is made while writes go on in walk.ts.
 */
import { LIMITS } from '../config.js'
import type {
  CacheOptions,
  ChangeSink,
  ResultSink,
  ScanPage,
  StateMachine,
  StoredRecord,
  WholeRecord,
} from '../contracts/store.js'
import type { Batch, Offset } from '../contracts/types.js'
import { assert } from '../core/assert.js'
import { Applier } from './apply.js'
import { digestOf } from './digest.js'
import { Housekeeping } from './housekeeping.js'
import { Installer } from './install.js'
import { PAGE_MASK, PAGE_SHIFT, PAGE_SLOTS } from './page.js'
import { State } from './state.js'
import { type Slice, Walk } from './walk.js'

export interface KeyValueOptions {
  /** Bytes that first touch may hold for one snapshot; more answers 'overflow'. Default 64 MiB. */
  readonly snapshotPendingBytesMax?: number
  /** Of caches that nobody configured. Default CACHE_DEFAULTS. The same in every copy. */
  readonly defaults?: CacheOptions | undefined
}

/** Slots that one scan page looks at: it then returns what it has, with a cursor. */
const SCAN_SLOTS_MAX = 50_000

const NOTHING = new Uint8Array(0)

export class KeyValueStore implements StateMachine {
  readonly #pendingBytesMax: number
  readonly #defaults: CacheOptions | undefined
  #state: State
  #applier: Applier
  #housekeeping: Housekeeping
  #installer: Installer | undefined

  constructor(options: KeyValueOptions = {}) {
    this.#defaults = options.defaults
    this.#state = new State(options.defaults)
    this.#applier = new Applier(this.#state)
    this.#housekeeping = new Housekeeping(this.#state)
    this.#pendingBytesMax = options.snapshotPendingBytesMax ?? LIMITS.snapshotPendingBytesMax
  }

  get applied(): Offset {
    return this.#state.applied
  }

  get changes(): ChangeSink | undefined {
    return this.#applier.changes
  }

  set changes(sink: ChangeSink | undefined) {
    this.#applier.changes = sink
  }

  apply(batch: Batch, results?: ResultSink): void {
    const { applied } = this.#state
    assert(batch.first === applied, `batch begins at ${batch.first}, applied is ${applied}`)
    this.#applier.apply(batch, results)
  }

  get(cache: string, key: string, time: number): StoredRecord | undefined {
    const named = this.#state.caches.byName.get(cache)
    if (named === undefined) return undefined
    const { region } = named
    const slot = region.use(key)
    if (slot < 0 || region.expired(slot, time)) return undefined
    return region.record(slot)
  }

  has(cache: string, key: string, time: number): boolean {
    const region = this.#state.caches.byName.get(cache)?.region
    if (region === undefined) return false
    const slot = region.peek(key)
    return slot >= 0 && !region.expired(slot, time)
  }

  peek(cache: string, key: string): WholeRecord | undefined {
    const region = this.#state.caches.byName.get(cache)?.region
    const slot = region?.peek(key) ?? -1
    if (region === undefined || slot < 0) return undefined
    const page = region.page(slot)
    const at = slot & PAGE_MASK
    const life = { deadline: page.deadline(at), idleMs: page.idleMs(at) }
    return { ...region.record(slot), changed: page.changed(at), ...life }
  }

  /** Live records; looks at every life, about 6 ms for a million that are mortal. */
  size(cache: string, time: number): number {
    const region = this.#state.caches.byName.get(cache)?.region
    if (region === undefined) return 0
    let count = region.size
    for (const page of region.pages)
      if (page.mortal) for (let at = 0; at < PAGE_SLOTS; at++) if (page.expired(at, time)) count--
    return count
  }

  scan(cache: string, prefix: string, cursor: number, limit: number, time: number): ScanPage {
    const keys: string[] = []
    const records: StoredRecord[] = []
    const region = this.#state.caches.byName.get(cache)?.region
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
    for (const cache of this.#state.caches.list) options.set(cache.name, cache.options)
    return options
  }

  housekeeping(time: number, limit: number): readonly Uint8Array[] {
    return this.#housekeeping.propose(time, limit)
  }

  openSnapshot(id: number): void {
    const { applied, caches, windows, walks } = this.#state
    walks.set(id, new Walk(applied, caches, windows.values(), this.#pendingBytesMax))
  }

  readSnapshot(id: number, bytesMax: number): Slice {
    const { walks, applied } = this.#state
    const walk = walks.get(id)
    // Unknown, or dropped by an install: whoever reads must begin anew.
    if (walk === undefined) return { slice: NOTHING, next: applied, state: 'overflow' }
    return walk.read(applied, bytesMax)
  }

  closeSnapshot(id: number): void {
    this.#state.walks.delete(id)
  }

  install(at: Offset, slice: Uint8Array, first: boolean): void {
    if (first) {
      const { changes } = this
      this.#state = new State(this.#defaults)
      this.#state.applied = at
      this.#applier = new Applier(this.#state)
      this.#applier.changes = changes
      this.#housekeeping = new Housekeeping(this.#state)
      this.#installer = new Installer(this.#state, at)
    }
    assert(this.#installer !== undefined, 'install without a first slice')
    this.#installer.install(slice)
  }

  digest(): string {
    return digestOf(this.#state)
  }

  stats(): { entries: number; bytes: number; windows: number } {
    let entries = 0
    let bytes = 0
    for (const cache of this.#state.caches.list) {
      entries += cache.entries
      bytes += cache.bytes
    }
    return { entries, bytes, windows: this.#state.windows.size }
  }
}
