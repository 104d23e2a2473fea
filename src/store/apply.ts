/**
 * Applies the entries of a batch: conditions, lives, limits and retries are decided here and
 * nowhere else, from the state and the entry alone, so that every node decides alike.
 */
import type { ChangeKind, ChangeSink, Outcome, ResultSink } from '../contracts/store.js'
import type { Batch, ClientRef, Offset } from '../contracts/types.js'
import { unreachable } from '../core/assert.js'
import { type EntryVisitor, visitEntries } from '../wire/batch.js'
import { Reader } from '../wire/bytes.js'
import { FLAG, OP, readConfigure, readMerged } from '../wire/command.js'
import type { NamedCache } from './caches.js'
import { endOfLife, PAGE_MASK } from './page.js'
import { RecentKeys } from './recent-keys.js'
import { keyBytes, RECORD_BYTES } from './region.js'
import type { State } from './state.js'
import { FRESH, OUTCOMES, OUTSIDE, Window } from './windows.js'

const EXPIRED_CODE = OUTCOMES.indexOf('expired') + 1

/** One at a time: apply() is synchronous and never called from a sink. */
export class Applier implements EntryVisitor {
  changes: ChangeSink | undefined
  readonly #state: State
  readonly #reader = new Reader()
  readonly #keys = new RecentKeys()
  #results: ResultSink | undefined
  #time = 0
  /** What the entry at hand has come to. */
  #version: Offset = 0
  /** The window of the last entry; entries of one writer share one ClientRef in a batch. */
  #client: ClientRef | null = null
  #window: Window | undefined

  constructor(state: State) {
    this.#state = state
  }

  apply(batch: Batch, results: ResultSink | undefined): void {
    this.#results = results
    this.#time = batch.time
    visitEntries(batch, this)
    this.#results = undefined
    this.#client = null
    this.#window = undefined
    this.#state.applied = batch.next
    this.#state.time = batch.time
  }

  onEntry(
    offset: Offset,
    client: ClientRef | null,
    seq: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    const reader = this.#reader.open(source, start, end)
    const op = reader.u8()
    this.#version = 0
    let outcome: Outcome
    if (client === null) outcome = this.#execute(op, offset)
    else if (op === OP.openWindow) outcome = this.#openWindow(client, offset)
    else outcome = this.#once(op, offset, client, seq)
    if (this.#results !== undefined) this.#results.onResult(offset, outcome, this.#version)
  }

  /** Executes a writer's entry unless its window says that this was done, or cannot be known. */
  #once(op: number, offset: Offset, client: ClientRef, seq: number): Outcome {
    if (client !== this.#client) {
      this.#client = client
      this.#window = this.#state.windows.get(client.id)
    }
    const window = this.#window
    if (window === undefined) return 'expired'
    this.#touchWindow(window)
    window.use(client.lowest, offset, this.#time)
    const known = window.look(seq)
    if (known === OUTSIDE) return 'expired'
    if (known !== FRESH) {
      this.#version = window.version(seq)
      return OUTCOMES[known - 1]
    }
    const outcome = this.#execute(op, offset)
    const code = outcome === 'ok' ? 1 : OUTCOMES.indexOf(outcome) + 1
    if (code !== EXPIRED_CODE) window.record(seq, code, this.#version)
    return outcome
  }

  #openWindow(client: ClientRef, offset: Offset): Outcome {
    const { windows } = this.#state
    const window = windows.get(client.id)
    if (window === undefined)
      windows.set(client.id, new Window(client.id, client.lowest, offset, this.#time))
    else {
      this.#touchWindow(window)
      window.use(client.lowest, offset, this.#time)
    }
    this.#client = null
    return 'ok'
  }

  #execute(op: number, offset: Offset): Outcome {
    const reader = this.#reader
    const flags = reader.u8()
    const nameBytes = reader.u8()
    const nameAt = reader.skip(nameBytes)
    switch (op) {
      case OP.set:
        return this.#set(this.#cache(nameAt, nameBytes), flags, offset)
      case OP.delete:
        return this.#delete(this.#cache(nameAt, nameBytes), flags, offset)
      case OP.touch:
        return this.#touch(this.#cache(nameAt, nameBytes), flags, offset)
      case OP.expire:
      case OP.evict:
        return this.#drop(op, nameAt, nameBytes, offset)
      case OP.clear:
        return this.#clear(this.#cache(nameAt, nameBytes), offset)
      case OP.configure:
        return this.#configure(this.#cache(nameAt, nameBytes))
      case OP.closeWindow:
        reader.text16()
        return this.#closeWindow()
      case OP.noop:
      case OP.view:
        return 'ok'
      case OP.openWindow:
        // Without a writer there is nothing to open.
        return 'expired'
      default:
        return unreachable(op as never)
    }
  }

  /** The cache named at `source[at, at + count)`, made if this is its first use; undefined if there
   *  are too many. Every node counts the same ones, so all of them refuse alike. */
  #cache(at: number, count: number): NamedCache | undefined {
    const { caches } = this.#state
    const source = this.#reader.source
    const recalled = caches.recall(source, at, count)
    if (recalled !== undefined) return recalled
    const cache = caches.need(utf8(source, at, count))
    if (cache !== undefined) caches.remember(source, at, count, cache)
    return cache
  }

  #set(cache: NamedCache | undefined, flags: number, offset: Offset): Outcome {
    if (cache === undefined) return 'full'
    const reader = this.#reader
    const { region, options } = cache
    const key = this.#key()
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const ttlMs = (flags & FLAG.ttl) === 0 ? options.ttlMs : reader.f64()
    const idleMs = (flags & FLAG.idle) === 0 ? options.idleMs : reader.f64()
    const merged = (flags & FLAG.merged) === 0 ? undefined : readMerged(reader)
    let slot = region.use(key)
    let oldBytes = 0
    if (slot >= 0) {
      if (this.#state.walks.size > 0) this.#touchRecord(cache, slot)
      const page = region.page(slot)
      const at = slot & PAGE_MASK
      oldBytes = page.values.length(at)
      if (!page.expired(at, this.#time)) this.#version = page.version(at)
    }
    if (flags !== 0) {
      if ((flags & FLAG.ifAbsent) !== 0 && this.#version !== 0) return 'exists'
      if (ifVersion !== -1 && ifVersion !== this.#version)
        return this.#version === 0 ? 'missing' : 'version'
    }
    const valueBytes = reader.left
    const recordBytes = keyBytes(key) + RECORD_BYTES + valueBytes
    const growth = slot >= 0 ? valueBytes - oldBytes : recordBytes
    if (isFull(cache, slot < 0, recordBytes, growth)) return 'full'
    if (slot < 0) {
      slot = region.insert(key)
      cache.entries++
    }
    cache.bytes += growth
    region.write(slot, reader.source, reader.at, reader.end)
    const page = region.page(slot)
    const at = slot & PAGE_MASK
    page.stamp(at, offset, offset)
    if (merged !== undefined) page.setLife(at, merged.deadline, merged.idleMs, merged.expiresAt)
    else if (ttlMs !== 0 || idleMs !== 0 || page.mortal) {
      const deadline = ttlMs === 0 ? 0 : this.#time + ttlMs
      page.setLife(at, deadline, idleMs, endOfLife(this.#time, deadline, idleMs))
    }
    this.#version = offset
    if (this.changes !== undefined)
      this.changes.onChange(cache.name, 'set', key, page.values.read(at), offset)
    return 'ok'
  }

  /** The live record of a key, or -1; its version is then the one at hand. */
  #meet(cache: NamedCache, key: string): number {
    const { region } = cache
    const slot = region.use(key)
    if (slot < 0) return -1
    if (this.#state.walks.size > 0) this.#touchRecord(cache, slot)
    const page = region.page(slot)
    if (page.expired(slot & PAGE_MASK, this.#time)) return -1
    this.#version = page.version(slot & PAGE_MASK)
    return slot
  }

  #delete(cache: NamedCache | undefined, flags: number, offset: Offset): Outcome {
    if (cache === undefined) return 'missing'
    const reader = this.#reader
    const key = this.#key()
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const slot = this.#meet(cache, key)
    if (slot < 0) return 'missing'
    if (ifVersion !== -1 && ifVersion !== this.#version) return 'version'
    this.#version = 0
    this.#remove(cache, slot, key, 'delete', offset)
    return 'ok'
  }

  #touch(cache: NamedCache | undefined, flags: number, offset: Offset): Outcome {
    if (cache === undefined) return 'missing'
    const reader = this.#reader
    const key = this.#key()
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const ttlMs = (flags & FLAG.ttl) === 0 ? -1 : reader.f64()
    const newIdleMs = (flags & FLAG.idle) === 0 ? -1 : reader.f64()
    const merged = (flags & FLAG.merged) === 0 ? undefined : readMerged(reader)
    const slot = this.#meet(cache, key)
    if (slot < 0) return 'missing'
    if (ifVersion !== -1 && ifVersion !== this.#version) return 'version'
    const page = cache.region.page(slot)
    const at = slot & PAGE_MASK
    page.stamp(at, this.#version, offset)
    if (merged !== undefined) page.setLife(at, merged.deadline, merged.idleMs, merged.expiresAt)
    else if (page.mortal || ttlMs > 0 || newIdleMs > 0) {
      const deadline = ttlMs === -1 ? page.deadline(at) : ttlMs === 0 ? 0 : this.#time + ttlMs
      const idleMs = newIdleMs === -1 ? page.idleMs(at) : newIdleMs
      page.setLife(at, deadline, idleMs, endOfLife(this.#time, deadline, idleMs))
    }
    if (this.changes !== undefined)
      this.changes.onChange(cache.name, 'touch', key, undefined, this.#version)
    return 'ok'
  }

  /** expire and evict: only if nothing has altered the record since it was proposed. */
  #drop(op: number, nameAt: number, nameBytes: number, offset: Offset): Outcome {
    const reader = this.#reader
    const { caches } = this.#state
    const cache = caches.byName.get(utf8(reader.source, nameAt, nameBytes))
    if (cache === undefined) return 'missing'
    const key = this.#key()
    const slot = cache.region.peek(key)
    if (slot < 0) return 'missing'
    if (this.#state.walks.size > 0) this.#touchRecord(cache, slot)
    if (cache.region.page(slot).changed(slot & PAGE_MASK) !== reader.f64()) return 'missing'
    this.#remove(cache, slot, key, op === OP.expire ? 'expire' : 'evict', offset)
    return 'ok'
  }

  #remove(cache: NamedCache, slot: number, key: string, kind: ChangeKind, offset: Offset): void {
    const { region } = cache
    const bytes = region.recordBytes(slot)
    if (cache.proposed.size > 0 && cache.proposed.delete(slot)) cache.proposedBytes -= bytes
    region.remove(slot)
    cache.entries--
    cache.bytes -= bytes
    cache.shrink()
    if (this.changes !== undefined) this.changes.onChange(cache.name, kind, key, undefined, offset)
  }

  #configure(cache: NamedCache | undefined): Outcome {
    if (cache === undefined) return 'full'
    const reader = this.#reader
    reader.text16()
    cache.options = readConfigure(reader)
    return 'ok'
  }

  #clear(cache: NamedCache | undefined, offset: Offset): Outcome {
    if (cache === undefined) return 'ok'
    cache.clear()
    if (this.changes !== undefined)
      this.changes.onChange(cache.name, 'clear', '', undefined, offset)
    return 'ok'
  }

  #closeWindow(): Outcome {
    const reader = this.#reader
    const { windows } = this.#state
    const id = reader.latin1(16)
    const before = reader.f64()
    const window = windows.get(id)
    if (window === undefined) return 'missing'
    if (window.used >= before) return 'missing'
    this.#touchWindow(window)
    windows.delete(id)
    this.#client = null
    return 'ok'
  }

  #key(): string {
    const reader = this.#reader
    const count = reader.u16()
    const start = reader.skip(count)
    return this.#keys.read(reader.source, start, start + count)
  }

  #touchRecord(cache: NamedCache, slot: number): void {
    const { applied, walks } = this.#state
    for (const walk of walks.values()) walk.touchRecord(cache.region, slot, applied)
  }

  #touchWindow(window: Window): void {
    const { applied, walks } = this.#state
    if (walks.size > 0) for (const walk of walks.values()) walk.touchWindow(window, applied)
  }
}

/** A record that alone exceeds maxBytes fits nowhere; eviction makes room for any other. */
function isFull(cache: NamedCache, isNew: boolean, recordBytes: number, growth: number): boolean {
  const { maxEntries, maxBytes, eviction } = cache.options
  if (recordBytes > maxBytes) return true
  if (eviction === 'lru') return false
  return (isNew && cache.entries >= maxEntries) || (growth > 0 && cache.bytes + growth > maxBytes)
}

const NAME = new Reader()

function utf8(source: Uint8Array, at: number, count: number): string {
  return NAME.open(source, at, at + count).utf8(count)
}
