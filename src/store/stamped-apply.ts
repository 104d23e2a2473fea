/**
 * Applies entries of any origin to records that are ordered by stamps. What they do was decided at
 * their origin: a condition in them is no condition any more, but tells the version that the origin
 * had met there, and so whether it knew of what it replaces.
 */
import type { Lost } from '../contracts/stamped.js'
import type { ChangeSink, Outcome, ResultSink } from '../contracts/store.js'
import type { Batch, ClientRef, Offset } from '../contracts/types.js'
import { stampMs } from '../core/hybrid-clock.js'
import { type EntryVisitor, visitEntries } from '../wire/batch.js'
import { Reader } from '../wire/bytes.js'
import { readClear } from '../wire/clears.js'
import { FLAG, OP, readConfigure } from '../wire/command.js'
import { lifeFrom } from '../wire/stamped-records.js'
import { RecentKeys } from './recent-keys.js'
import { NO_END, type StampedCache } from './stamped-cache.js'
import { FRESH, OUTCOMES, OUTSIDE, Window } from './windows.js'

/** What the entries are applied to. */
export interface StampedTarget {
  readonly windows: Map<string, Window>
  /** Undefined: one cache too many. */
  cache(name: string): StampedCache | undefined
  /** The ordinal of this node, and the number of stamps between two of one origin. */
  readonly self: number
  readonly step: number
}

const OK_CODE = OUTCOMES.indexOf('ok') + 1

/** One at a time: apply() is synchronous and never called from a sink. */
export class StampedApplier implements EntryVisitor {
  changes: ChangeSink | undefined
  /** Told of this node's own writes that a concurrent one is about to replace. */
  onLost: ((lost: Lost) => void) | undefined
  readonly #target: StampedTarget
  readonly #reader = new Reader()
  readonly #keys = new RecentKeys()
  #results: ResultSink | undefined
  #batch: Batch | undefined
  #own = false
  #asked = false
  #version = 0

  constructor(target: StampedTarget) {
    this.#target = target
  }

  /** `own`: of this node's own log. Entries that do not concern others are its alone. */
  apply(batch: Batch, own: boolean, results: ResultSink | undefined): void {
    this.#results = results
    this.#batch = batch
    this.#own = own
    visitEntries(batch, this)
    this.#results = undefined
    this.#batch = undefined
  }

  onEntry(
    offset: Offset,
    client: ClientRef | null,
    seq: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    const { first, time } = this.#batch as Batch
    const stamp = time + (offset - first) * this.#target.step
    const reader = this.#reader.open(source, start, end)
    const op = reader.u8()
    this.#version = 0
    let outcome: Outcome = 'ok'
    this.#asked = client !== null
    if (client === null) this.#execute(op, stamp)
    else outcome = this.#once(op, client, seq, stamp)
    if (this.#results !== undefined) this.#results.onResult(offset, outcome, this.#version)
  }

  /** A writer's entry. Its origin has judged whether it was there before: one that was is a noop,
   *  whose answer is the first one's. */
  #once(op: number, client: ClientRef, seq: number, stamp: number): Outcome {
    const { windows } = this.#target
    let window = windows.get(client.id)
    if (window === undefined) {
      window = new Window(client.id, client.lowest, stamp, stampMs(stamp))
      windows.set(client.id, window)
    }
    window.use(client.lowest, Math.max(stamp, window.used), Math.max(stampMs(stamp), window.usedAt))
    if (op === OP.openWindow) return 'ok'
    const known = window.look(seq)
    if (op === OP.noop) {
      if (known === FRESH || known === OUTSIDE) return 'expired'
      this.#version = window.version(seq)
      return OUTCOMES[known - 1]
    }
    this.#execute(op, stamp)
    if (known === FRESH) window.record(seq, OK_CODE, this.#version)
    return 'ok'
  }

  #execute(op: number, stamp: number): void {
    const reader = this.#reader
    const flags = reader.u8()
    const name = reader.text8()
    if (op === OP.openWindow || op === OP.noop) return
    const cache = this.#target.cache(name)
    if (cache === undefined) return
    switch (op) {
      case OP.set:
        return this.#set(cache, flags, stamp)
      case OP.delete:
        return this.#delete(cache, flags, stamp)
      case OP.touch:
        return this.#touch(cache, flags, stamp)
      case OP.evict:
        return this.#evict(cache, flags, stamp)
      case OP.clear:
        return this.#clear(cache, stamp)
      case OP.configure:
        // Limits are each node's own.
        if (!this.#own) return
        reader.text16()
        cache.named.options = readConfigure(reader)
    }
  }

  #set(cache: StampedCache, flags: number, stamp: number): void {
    const reader = this.#reader
    const key = this.#key()
    const base = (flags & FLAG.ifVersion) === 0 ? 0 : reader.f64()
    const ttlMs = (flags & FLAG.ttl) === 0 ? 0 : reader.f64()
    const idleMs = (flags & FLAG.idle) === 0 ? 0 : reader.f64()
    const life = lifeFrom(stampMs(stamp), ttlMs, idleMs)
    const { at, end } = reader
    const value = () => reader.source.latin1Slice(at, end)
    if (!this.#own) this.judge(cache, key, base, stamp, value)
    this.#version = stamp
    if (!cache.put(key, stamp, stamp, life, reader.source, at, end)) return
    this.changes?.onChange(cache.named.name, 'set', key, value(), stamp)
  }

  #delete(cache: StampedCache, flags: number, stamp: number): void {
    const reader = this.#reader
    const key = this.#key()
    const base = (flags & FLAG.ifVersion) === 0 ? 0 : reader.f64()
    if (!this.#own) this.judge(cache, key, base, stamp)
    if (cache.end(key, { ...NO_END, deleted: stamp }, !this.#own))
      this.changes?.onChange(cache.named.name, 'delete', key, undefined, stamp)
  }

  #touch(cache: StampedCache, flags: number, stamp: number): void {
    const reader = this.#reader
    const key = this.#key()
    const version = (flags & FLAG.ifVersion) === 0 ? 0 : reader.f64()
    const ttlMs = (flags & FLAG.ttl) === 0 ? undefined : reader.f64()
    const idleMs = (flags & FLAG.idle) === 0 ? undefined : reader.f64()
    this.#version = version
    const touch = { version, changed: stamp, ttlMs, idleMs }
    if (cache.touch(key, touch))
      this.changes?.onChange(cache.named.name, 'touch', key, undefined, version)
  }

  #clear(cache: StampedCache, stamp: number): void {
    const met = readClear(this.#reader)
    if (met !== undefined) this.judgeClear(cache, met.get(this.#target.self) ?? 0, stamp)
    if (cache.clear(stamp, !this.#own))
      this.changes?.onChange(cache.named.name, 'clear', '', undefined, stamp)
  }

  #evict(cache: StampedCache, flags: number, stamp: number): void {
    const key = this.#key()
    const known = (flags & FLAG.ifVersion) === 0 ? undefined : this.#reader.f64()
    const changed = this.#reader.f64()
    const version = known ?? changed
    // A writer's: what it wrote lies on its own node alone, and this tells the others.
    if (this.#asked) this.#version = stamp
    // Nothing is evicted before it was written, and by no other stamp than one.
    if (!(Number.isSafeInteger(changed) && changed > 0 && changed < stamp)) return
    if (!(Number.isSafeInteger(version) && version > 0 && version <= changed)) return
    const end = { ...NO_END, replaced: version - 1, evicted: changed, evictedBy: stamp }
    if (cache.end(key, end, !this.#own))
      this.changes?.onChange(cache.named.name, 'evict', key, undefined, changed)
  }

  /** A write of another origin is about to be joined. If it replaces what this node wrote, and its
   *  origin had met nothing above `base`, one of two concurrent writes is lost: this node's. */
  judge(cache: StampedCache, key: string, base: number, stamp: number, value?: () => string): void {
    if (this.onLost === undefined || stamp % this.#target.step === this.#target.self) return
    const met = cache.meet(key)
    const own = Math.max(met.version, cache.ends.get(key)?.deleted ?? 0)
    if (own === 0 || own % this.#target.step !== this.#target.self) return
    if (own >= stamp || base >= own) return
    const { name, region } = cache.named
    const slot = met.version === own ? region.peek(key) : -1
    const mine = () => (slot < 0 ? undefined : region.record(slot).value)
    const theirs = () => value?.()
    this.onLost({ cache: name, key, mine, mineVersion: own, theirs, theirsVersion: stamp })
  }

  /** A clear of another origin is about to be joined, which had met this node's writes up to `met`.
   *  Those above that it wipes are lost as if each had been deleted. */
  judgeClear(cache: StampedCache, met: number, stamp: number): void {
    const { self, step } = this.#target
    if (this.onLost === undefined || stamp % step === self) return
    const { name, region } = cache.named
    for (const slot of cache.wipedAbove(met, stamp)) {
      const mineVersion = cache.versionOf(slot)
      if (mineVersion % step !== self) continue
      const mine = () => region.record(slot).value
      const lost = { cache: name, key: region.key(slot), mine, mineVersion }
      this.onLost({ ...lost, theirs: () => undefined, theirsVersion: stamp })
    }
  }

  #key(): string {
    const reader = this.#reader
    const count = reader.u16()
    const start = reader.skip(count)
    return this.#keys.read(reader.source, start, start + count)
  }
}
