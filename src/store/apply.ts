/**
 * Applies the entries of a batch: conditions, lives, limits and retries are decided here and
 * nowhere else, from the state and the entry alone, so that every node decides alike.
 */
import type { ChangeKind, ChangeSink, Outcome, ResultSink } from '../contracts/store.js'
import type { Batch, ClientRef, Offset } from '../contracts/types.js'
import { unreachable } from '../core/assert.js'
import { type EntryVisitor, visitEntries } from '../wire/batch.js'
import { Reader } from '../wire/bytes.js'
import { FLAG, OP, readConfigure } from '../wire/command.js'
import type { NamedCache } from './caches.js'
import { endOfLife, RECORD_BYTES } from './region.js'
import type { State } from './state.js'
import { FRESH, OUTCOMES, OUTSIDE, Window } from './windows.js'

const EXPIRED_CODE = OUTCOMES.indexOf('expired') + 1

/** One at a time: apply() is synchronous and never called from a sink. */
export class Applier implements EntryVisitor {
  changes: ChangeSink | undefined
  readonly #state: State
  readonly #reader = new Reader()
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
        reader.text16()
        this.#cache(nameAt, nameBytes).options = readConfigure(reader)
        return 'ok'
      case OP.closeWindow:
        reader.text16()
        return this.#closeWindow()
      case OP.noop:
        return 'ok'
      case OP.openWindow:
        // Without a writer there is nothing to open.
        return 'expired'
      default:
        return unreachable(op as never)
    }
  }

  /** The cache named at `source[at, at + count)`, made if this is its first use. */
  #cache(at: number, count: number): NamedCache {
    const { caches } = this.#state
    const source = this.#reader.source
    const recalled = caches.recall(source, at, count)
    if (recalled !== undefined) return recalled
    const cache = caches.need(utf8(source, at, count))
    caches.remember(source, at, count, cache)
    return cache
  }

  #set(cache: NamedCache, flags: number, offset: Offset): Outcome {
    const reader = this.#reader
    const { region, options } = cache
    const { source } = reader
    const keyBytes = reader.u16()
    const keyAt = reader.skip(keyBytes)
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const ttlMs = (flags & FLAG.ttl) === 0 ? options.ttlMs : reader.f64()
    const idleMs = (flags & FLAG.idle) === 0 ? options.idleMs : reader.f64()
    let slot = region.find(source, keyAt, keyAt + keyBytes)
    let oldBytes = 0
    let live = false
    if (slot >= 0) {
      region.use(slot)
      if (this.#state.walks.size > 0) this.#touchRecord(cache, slot)
      oldBytes = region.valueBytes(slot)
      live = !region.expired(slot, this.#time)
    }
    if (flags !== 0) {
      if (live) this.#version = region.version(slot)
      if ((flags & FLAG.ifAbsent) !== 0 && this.#version !== 0) return 'exists'
      if (ifVersion !== -1 && ifVersion !== this.#version)
        return this.#version === 0 ? 'missing' : 'version'
    }
    const valueBytes = reader.left
    const recordBytes = keyBytes + RECORD_BYTES + valueBytes
    const growth = slot >= 0 ? valueBytes - oldBytes : recordBytes
    if (isFull(cache, slot < 0, recordBytes, growth)) {
      if (live) this.#version = region.version(slot)
      return 'full'
    }
    if (slot < 0) {
      slot = region.insert(source, keyAt, keyAt + keyBytes, valueBytes)
      cache.entries++
    }
    cache.bytes += growth
    region.write(slot, source, reader.at, reader.end)
    region.stamp(slot, offset, offset)
    if (ttlMs !== 0 || idleMs !== 0 || region.lives !== undefined) {
      const deadline = ttlMs === 0 ? 0 : this.#time + ttlMs
      region.setLife(slot, deadline, idleMs, endOfLife(this.#time, deadline, idleMs))
    }
    this.#version = offset
    if (this.changes !== undefined) this.#tell(cache, 'set', slot, region.value(slot), offset)
    return 'ok'
  }

  /** The live record of a key, or -1; its version is then the one at hand. */
  #meet(cache: NamedCache, keyStart: number, keyEnd: number): number {
    const { region } = cache
    const slot = region.find(this.#reader.source, keyStart, keyEnd)
    if (slot < 0) return -1
    region.use(slot)
    if (this.#state.walks.size > 0) this.#touchRecord(cache, slot)
    if (region.expired(slot, this.#time)) return -1
    this.#version = region.version(slot)
    return slot
  }

  #delete(cache: NamedCache, flags: number, offset: Offset): Outcome {
    const reader = this.#reader
    const keyAt = reader.skip(reader.u16())
    const keyEnd = reader.at
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const slot = this.#meet(cache, keyAt, keyEnd)
    if (slot < 0) return 'missing'
    if (ifVersion !== -1 && ifVersion !== this.#version) return 'version'
    this.#version = 0
    this.#remove(cache, slot, 'delete', offset)
    return 'ok'
  }

  #touch(cache: NamedCache, flags: number, offset: Offset): Outcome {
    const reader = this.#reader
    const keyAt = reader.skip(reader.u16())
    const keyEnd = reader.at
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const ttlMs = (flags & FLAG.ttl) === 0 ? -1 : reader.f64()
    const newIdleMs = (flags & FLAG.idle) === 0 ? -1 : reader.f64()
    const slot = this.#meet(cache, keyAt, keyEnd)
    if (slot < 0) return 'missing'
    if (ifVersion !== -1 && ifVersion !== this.#version) return 'version'
    const { region } = cache
    region.stamp(slot, this.#version, offset)
    const { lives } = region
    if (lives !== undefined || ttlMs > 0 || newIdleMs > 0) {
      const kept = lives === undefined ? 0 : lives.deadline[slot]
      const deadline = ttlMs === -1 ? kept : ttlMs === 0 ? 0 : this.#time + ttlMs
      const idleMs = newIdleMs === -1 ? (lives === undefined ? 0 : lives.idleMs[slot]) : newIdleMs
      region.setLife(slot, deadline, idleMs, endOfLife(this.#time, deadline, idleMs))
    }
    if (this.changes !== undefined) this.#tell(cache, 'touch', slot, undefined, this.#version)
    return 'ok'
  }

  /** expire and evict: only if nothing has altered the record since it was proposed. */
  #drop(op: number, nameAt: number, nameBytes: number, offset: Offset): Outcome {
    const reader = this.#reader
    const { caches } = this.#state
    const cache = caches.byName.get(utf8(reader.source, nameAt, nameBytes))
    if (cache === undefined) return 'missing'
    const keyAt = reader.skip(reader.u16())
    const slot = cache.region.find(reader.source, keyAt, reader.at)
    if (slot < 0) return 'missing'
    if (this.#state.walks.size > 0) this.#touchRecord(cache, slot)
    if (cache.region.changed(slot) !== reader.f64()) return 'missing'
    this.#remove(cache, slot, op === OP.expire ? 'expire' : 'evict', offset)
    return 'ok'
  }

  #remove(cache: NamedCache, slot: number, kind: ChangeKind, offset: Offset): void {
    const { region } = cache
    if (this.changes !== undefined) this.#tell(cache, kind, slot, undefined, offset)
    const bytes = region.keyBytes(slot) + region.valueBytes(slot) + RECORD_BYTES
    if (cache.proposed.size > 0 && cache.proposed.delete(slot)) cache.proposedBytes -= bytes
    region.remove(slot)
    cache.entries--
    cache.bytes -= bytes
  }

  #tell(
    cache: NamedCache,
    kind: ChangeKind,
    slot: number,
    value: string | undefined,
    version: Offset,
  ): void {
    if (this.changes !== undefined)
      this.changes.onChange(cache.name, kind, cache.region.key(slot), value, version)
  }

  #clear(cache: NamedCache, offset: Offset): Outcome {
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
