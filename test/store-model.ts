/**
 * The naive store: plain maps, straightforward code, no bytes. What it says is right; the real one
 * must agree with it under seeds. Beside it, commands as objects and their drawing by chance.
 */
import { LIMITS } from '../src/config.js'
import type { CacheOptions, Outcome } from '../src/contracts/store.js'
import type { Proposal } from '../src/contracts/strategy.js'
import type { Batch, ClientRef } from '../src/contracts/types.js'
import type { SeededRandom } from '../src/core/prng.js'
import { encodeBatch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import {
  OP,
  type SetFields,
  writeCloseWindow,
  writeConfigure,
  writeDelete,
  writeExpire,
  writePlain,
  writeSet,
  writeTouch,
} from '../src/wire/command.js'

export type Command =
  | { op: 'set'; cache: string; key: string; value: string; fields: SetFields }
  | { op: 'delete'; cache: string; key: string; fields: SetFields }
  | { op: 'touch'; cache: string; key: string; fields: SetFields }
  | { op: 'expire' | 'evict'; cache: string; key: string; changed: number }
  | { op: 'clear'; cache: string }
  | { op: 'configure'; cache: string; options: CacheOptions }
  | { op: 'openWindow' | 'noop' }
  | { op: 'closeWindow'; id: string; before: number }

export interface EntryOf {
  client: ClientRef | null
  seq: number
  command: Command
}

export interface Result {
  outcome: Outcome
  version: number
}

interface NaiveRecord {
  value: string
  version: number
  changed: number
  deadline: number
  idleMs: number
  expiresAt: number
}

interface NaiveWindow {
  lowest: number
  used: number
  usedAt: number
  results: Map<number, Result>
}

export class NaiveStore {
  caches = new Map<string, { options: CacheOptions; records: Map<string, NaiveRecord> }>()
  windows = new Map<string, NaiveWindow>()

  apply(entries: readonly EntryOf[], first: number, time: number): Result[] {
    return entries.map((entry, i) => this.#entry(entry, first + i, time))
  }

  #entry({ client, seq, command }: EntryOf, offset: number, time: number): Result {
    if (client === null) return this.#command(command, offset, time)
    let window = this.windows.get(client.id)
    if (window === undefined) {
      if (command.op !== 'openWindow') return { outcome: 'expired', version: 0 }
      window = { lowest: client.lowest, used: offset, usedAt: time, results: new Map() }
      this.windows.set(client.id, window)
      return { outcome: 'ok', version: 0 }
    }
    window.used = offset
    window.usedAt = time
    window.lowest = Math.max(window.lowest, client.lowest)
    for (const old of window.results.keys()) if (old < window.lowest) window.results.delete(old)
    if (command.op === 'openWindow') return { outcome: 'ok', version: 0 }
    if (seq < window.lowest || seq >= window.lowest + LIMITS.windowWritesMax)
      return { outcome: 'expired', version: 0 }
    const known = window.results.get(seq)
    if (known !== undefined) return known
    const result = this.#command(command, offset, time)
    if (result.outcome !== 'expired') window.results.set(seq, result)
    return result
  }

  cache(name: string) {
    let cache = this.caches.get(name)
    if (cache === undefined) {
      const options: CacheOptions = {
        maxEntries: 1_000_000,
        maxBytes: 2 ** 30,
        ttlMs: 0,
        idleMs: 0,
        eviction: 'lru',
      }
      cache = { options, records: new Map() }
      this.caches.set(name, cache)
    }
    return cache
  }

  bytes(name: string): number {
    let bytes = 0
    for (const [key, { value }] of this.cache(name).records)
      bytes += Buffer.byteLength(key) + value.length + 64
    return bytes
  }

  #command(command: Command, offset: number, time: number): Result {
    const done: Result = { outcome: 'ok', version: 0 }
    const missing: Result = { outcome: 'missing', version: 0 }
    switch (command.op) {
      case 'noop':
        return done
      case 'openWindow':
        return { outcome: 'expired', version: 0 }
      case 'closeWindow': {
        const window = this.windows.get(command.id)
        if (window === undefined || window.used >= command.before) return missing
        this.windows.delete(command.id)
        return done
      }
      case 'clear':
        this.cache(command.cache).records.clear()
        return done
      case 'configure':
        this.cache(command.cache).options = command.options
        return done
      case 'expire':
      case 'evict': {
        const records = this.caches.get(command.cache)?.records
        if (records?.get(command.key)?.changed !== command.changed) return missing
        records.delete(command.key)
        return done
      }
    }
    const { records } = this.cache(command.cache)
    const there = records.get(command.key)
    const live = there && (there.expiresAt === 0 || there.expiresAt > time) ? there : undefined
    const { ifVersion, ifAbsent, ttlMs, idleMs } = command.fields
    if (command.op === 'set') {
      if (ifAbsent && live) return { outcome: 'exists', version: live.version }
    } else if (!live) return missing
    if (ifVersion !== undefined && !live) return missing
    if (ifVersion !== undefined && live && ifVersion !== live.version)
      return { outcome: 'version', version: live.version }
    if (command.op === 'delete') {
      records.delete(command.key)
      return done
    }
    if (command.op === 'touch') {
      const record = live as NaiveRecord
      record.changed = offset
      if (ttlMs !== undefined) record.deadline = ttlMs === 0 ? 0 : time + ttlMs
      if (idleMs !== undefined) record.idleMs = idleMs
      record.expiresAt = expiry(time, record.deadline, record.idleMs)
      return { outcome: 'ok', version: record.version }
    }
    return this.#set(command, live, offset, time)
  }

  /** A set whose conditions hold. */
  #set(
    command: Extract<Command, { op: 'set' }>,
    live: NaiveRecord | undefined,
    offset: number,
    time: number,
  ): Result {
    const { records, options } = this.cache(command.cache)
    const there = records.get(command.key)
    const { ttlMs, idleMs } = command.fields
    const keyBytes = Buffer.byteLength(command.key)
    const size = keyBytes + command.value.length + 64
    const oldSize = there ? keyBytes + there.value.length + 64 : 0
    const full: Result = { outcome: 'full', version: live?.version ?? 0 }
    if (size > options.maxBytes) return full
    if (options.eviction === 'none') {
      if (!there && records.size + 1 > options.maxEntries) return full
      if (size > oldSize && this.bytes(command.cache) - oldSize + size > options.maxBytes)
        return full
    }
    const ttl = ttlMs ?? options.ttlMs
    const deadline = ttl === 0 ? 0 : time + ttl
    const idle = idleMs ?? options.idleMs
    records.set(command.key, {
      value: command.value,
      version: offset,
      changed: offset,
      deadline,
      idleMs: idle,
      expiresAt: expiry(time, deadline, idle),
    })
    return { outcome: 'ok', version: offset }
  }
}

function expiry(time: number, deadline: number, idleMs: number): number {
  const ends = [deadline, idleMs === 0 ? 0 : time + idleMs].filter(end => end !== 0)
  return ends.length === 0 ? 0 : Math.min(...ends)
}

const OUT = new Writer()

export function encodeCommand(command: Command): Uint8Array {
  OUT.reset()
  switch (command.op) {
    case 'set':
      writeSet(
        OUT,
        command.cache,
        command.key,
        Buffer.from(command.value, 'latin1'),
        command.fields,
      )
      break
    case 'delete':
      writeDelete(OUT, command.cache, command.key, command.fields)
      break
    case 'touch':
      writeTouch(OUT, command.cache, command.key, command.fields)
      break
    case 'expire':
    case 'evict':
      writeExpire(OUT, OP[command.op], command.cache, command.key, command.changed)
      break
    case 'clear':
      writePlain(OUT, OP.clear, command.cache, '')
      break
    case 'configure':
      writeConfigure(OUT, command.cache, command.options)
      break
    case 'openWindow':
    case 'noop':
      writePlain(OUT, OP[command.op], '', '')
      break
    case 'closeWindow':
      writeCloseWindow(OUT, command.id, command.before)
  }
  return OUT.copy()
}

export function proposalOf(client: ClientRef | null, seq: number, bytes: Uint8Array): Proposal {
  return { id: 0, ack: 'master', client, seq, bytes, start: 0, end: bytes.length }
}

export const EPOCH = { number: 256, incarnation: '00000000000000a1' }

/** Makes batches that follow each other. */
export class BatchMaker {
  next = 1
  crc = 0

  make(time: number, entries: readonly EntryOf[]): Batch {
    return this.makeRaw(
      time,
      entries.map(({ client, seq, command }) => proposalOf(client, seq, encodeCommand(command))),
    )
  }

  makeRaw(time: number, proposals: readonly Proposal[]): Batch {
    const batch = encodeBatch(EPOCH, this.next, time, this.crc, proposals)
    this.next = batch.next
    this.crc = batch.crc
    return batch
  }
}

/** How wild the drawn commands are. */
export interface Mix {
  keys: number
  caches: number
  writers: number
  /** Chance of a clear, a configure, an opening or closing, each entry. */
  rare: number
}

interface WriterState {
  id: string
  lowest: number
  next: number
}

/** Draws entries: conditions that sometimes hold, retries, late duplicates, unknown writers. */
export class EntryDrawer {
  readonly #random: SeededRandom
  readonly #model: NaiveStore
  readonly #mix: Mix
  readonly #writers: WriterState[] = []
  #past: EntryOf[] = []

  constructor(random: SeededRandom, model: NaiveStore, mix: Mix) {
    this.#random = random
    this.#model = model
    this.#mix = mix
    for (let i = 0; i < mix.writers; i++)
      this.#writers.push({ id: `writer-${i}`.padEnd(16, '\xff'), lowest: 1, next: 1 })
  }

  draw(offset: number): EntryOf {
    const random = this.#random
    if (this.#past.length > 0 && random.chance(0.08)) {
      const old = random.pick(this.#past)
      const writer = this.#writers.find(each => each.id === old.client?.id) as WriterState
      const lowest = Math.min(old.seq, writer.lowest)
      return { ...old, client: { id: writer.id, lowest } }
    }
    if (this.#writers.length === 0 || random.chance(0.3))
      return { client: null, seq: 0, command: this.#command(offset) }
    const writer = random.pick(this.#writers)
    if (random.chance(0.02)) writer.next += random.below(40)
    if (random.chance(0.1)) writer.lowest += random.below(writer.next - writer.lowest + 1)
    const client = { id: writer.id, lowest: writer.lowest }
    if (random.chance(0.15)) return { client, seq: writer.lowest, command: { op: 'openWindow' } }
    const entry = { client, seq: writer.next++, command: this.#command(offset) }
    this.#past.push(entry)
    if (this.#past.length > 50) this.#past.shift()
    return entry
  }

  #fields(cache: string, key: string, op: string): SetFields {
    const random = this.#random
    const fields: SetFields = {}
    if (random.chance(0.25)) {
      const version = this.#model.caches.get(cache)?.records.get(key)?.version ?? 1
      fields.ifVersion = random.chance(0.7) ? version : 3
    }
    if (op === 'set' && random.chance(0.25)) fields.ifAbsent = true
    if (random.chance(0.3)) fields.ttlMs = random.pick([0, 1, 5, 50, 1000])
    if (random.chance(0.2)) fields.idleMs = random.pick([0, 3, 30, 300])
    return fields
  }

  #command(offset: number): Command {
    const random = this.#random
    const cache = random.pick(['sessions', 'c', 'other-cache'].slice(0, this.#mix.caches))
    if (random.chance(this.#mix.rare)) return this.#rare(cache, offset)
    const n = random.below(this.#mix.keys)
    const key = n % 7 === 3 ? `schlüssel-${n}-\u{1f511}` : `key-${n}`
    const op = random.pick(['set', 'set', 'set', 'set', 'touch', 'delete', 'expire'] as const)
    if (op === 'expire') {
      const changed = this.#model.caches.get(cache)?.records.get(key)?.changed ?? 0
      return {
        op: random.pick(['expire', 'evict']),
        cache,
        key,
        changed: changed + random.below(2),
      }
    }
    const fields = this.#fields(cache, key, op)
    if (op !== 'set') return { op, cache, key, fields }
    const value = String.fromCharCode(random.below(256)).repeat(random.below(60))
    return { op, cache, key, value, fields }
  }

  #rare(cache: string, offset: number): Command {
    const random = this.#random
    const what = random.below(4)
    if (what === 0) return { op: 'clear', cache }
    if (what === 1) return { op: 'noop' }
    if (what === 2 && this.#writers.length > 0)
      return {
        op: 'closeWindow',
        id: random.pick(this.#writers).id,
        before: Math.max(0, offset - random.below(30)),
      }
    const options: CacheOptions = {
      maxEntries: 1 + random.below(this.#mix.keys),
      maxBytes: 70 + random.below(this.#mix.keys * 100),
      ttlMs: random.pick([0, 0, 40]),
      idleMs: random.pick([0, 0, 25]),
      eviction: random.pick(['lru', 'none']),
    }
    return { op: 'configure', cache, options }
  }
}
