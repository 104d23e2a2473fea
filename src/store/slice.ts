/**
 * A snapshot slice as bytes, little-endian; a sequence of items after one byte of layout version.
 *
 *   1 cache    u8 n, name | f64 maxEntries | f64 maxBytes | f64 ttlMs | f64 idleMs | u8 eviction
 *              | f64 entries at S | f64 bytes at S
 *   2 into     u8 n, name: the cache of the records that follow
 *   3 record   u16 n, key | u8 1 if it has a life | f64 version | f64 changed
 *              | with a life: f64 expiresAt, f64 deadline, f64 idleMs | u32 n, value
 *   4 window   16 bytes id | f64 lowest | f64 used | f64 usedAt | u16 n, each:
 *              u16 seq - lowest | u8 outcome | f64 version
 *
 * A slice comes from another process: everything in it is judged, with PROTOCOL_ERROR.
 */
import { LIMITS } from '../config.js'
import type { CacheOptions } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'
import type { Reader, Writer } from '../wire/bytes.js'
import type { NamedCache } from './caches.js'
import type { Page } from './page.js'
import { FRESH, OUTCOMES, Window } from './windows.js'

export const SLICE_VERSION = 1
export const ITEM = { cache: 1, into: 2, record: 3, window: 4 } as const

/** Bytes of a record item besides key and value, at most. */
export const RECORD_ITEM_BYTES = 1 + 2 + 1 + 16 + 24 + 4
const WINDOW_ID_BYTES = 16

export function writeCacheItem(out: Writer, cache: NamedCache): void {
  out.u8(ITEM.cache)
  out.text8(cache.name)
  const { maxEntries, maxBytes, ttlMs, idleMs, eviction } = cache.options
  out.f64(maxEntries)
  out.f64(maxBytes)
  out.f64(ttlMs)
  out.f64(idleMs)
  out.u8(eviction === 'lru' ? 0 : 1)
  out.f64(cache.entries)
  out.f64(cache.bytes)
}

export function writeIntoItem(out: Writer, name: string): void {
  out.u8(ITEM.into)
  out.text8(name)
}

/** The record at `at`, which `page` must hold. */
export function writeRecordItem(out: Writer, page: Page, at: number): void {
  // Whatever has a life has an end: expiresAt is 0 only if deadline and idleMs are.
  const mortal = page.expiresAt(at) !== 0
  out.u8(ITEM.record)
  out.text16(page.keys[at] as string)
  out.u8(mortal ? 1 : 0)
  out.f64(page.version(at))
  out.f64(page.changed(at))
  if (mortal) {
    out.f64(page.expiresAt(at))
    out.f64(page.deadline(at))
    out.f64(page.idleMs(at))
  }
  out.u32(page.values.length(at))
  page.values.writeTo(out, at)
}

export function writeWindowItem(out: Writer, window: Window): void {
  out.u8(ITEM.window)
  out.latin1(window.id)
  out.f64(window.lowest)
  out.f64(window.used)
  out.f64(window.usedAt)
  const count = out.length
  out.u16(0)
  let results = 0
  for (let seq = window.lowest; seq < window.highest; seq++) {
    const code = window.look(seq)
    if (code === FRESH) continue
    out.u16(seq - window.lowest)
    out.u8(code)
    out.f64(window.version(seq))
    results++
  }
  out.patchU16(count, results)
}

/** What a cache item tells. */
export interface CacheItem {
  readonly name: string
  readonly options: CacheOptions
  readonly entries: number
  readonly bytes: number
}

export function readCacheItem(reader: Reader): CacheItem {
  const name = reader.text8()
  if (name === '') reader.fail('a cache without a name')
  const maxEntries = reader.whole()
  const maxBytes = reader.whole()
  const ttlMs = reader.whole()
  const idleMs = reader.whole()
  const eviction = reader.u8()
  if (eviction > 1) reader.fail(`unknown eviction ${eviction}`)
  const options: CacheOptions = {
    maxEntries,
    maxBytes,
    ttlMs,
    idleMs,
    eviction: eviction === 0 ? 'lru' : 'none',
  }
  return { name, options, entries: reader.whole(), bytes: reader.whole() }
}

/** What a record item tells; one object, reused for each. */
export class RecordItem {
  key = ''
  /** The value's place in the slice. */
  valueStart = 0
  valueEnd = 0
  version: Offset = 0
  changed: Offset = 0
  expiresAt = 0
  deadline = 0
  idleMs = 0

  /** `at`: the snapshot's S; everything in it is older. */
  read(reader: Reader, at: Offset): void {
    this.key = reader.text16()
    if (this.key === '') reader.fail('a record without a key')
    const mortal = reader.u8()
    if (mortal > 1) reader.fail(`unknown life ${mortal}`)
    this.version = reader.whole()
    this.changed = reader.whole()
    if (this.version === 0 || this.version > this.changed || this.changed >= at)
      reader.fail(`version ${this.version}, changed ${this.changed} in a snapshot of ${at}`)
    this.expiresAt = mortal === 1 ? readTime(reader) : 0
    this.deadline = mortal === 1 ? readTime(reader) : 0
    this.idleMs = mortal === 1 ? readTime(reader) : 0
    if (mortal === 1 && this.expiresAt === 0) reader.fail('a life without an end')
    const valueBytes = reader.u32()
    this.valueStart = reader.skip(valueBytes)
    this.valueEnd = reader.at
  }
}

export function readWindowItem(reader: Reader, at: Offset): Window {
  const id = reader.latin1(WINDOW_ID_BYTES)
  const lowest = reader.whole()
  if (lowest > Number.MAX_SAFE_INTEGER - LIMITS.windowWritesMax) reader.fail(`window of ${lowest}`)
  const used = reader.whole()
  if (used === 0 || used >= at) reader.fail(`window used at ${used} in a snapshot of ${at}`)
  const window = new Window(id, lowest, used, readTime(reader))
  let previous = -1
  for (let results = reader.u16(); results > 0; results--) {
    const delta = reader.u16()
    if (delta <= previous || delta >= LIMITS.windowWritesMax)
      reader.fail(`result of seq + ${delta}`)
    previous = delta
    const code = reader.u8()
    if (code < 1 || code > OUTCOMES.length) reader.fail(`unknown outcome ${code}`)
    window.record(lowest + delta, code, reader.whole())
  }
  return window
}

function readTime(reader: Reader): number {
  const time = reader.f64()
  if (!(time >= 0 && time < Number.POSITIVE_INFINITY)) reader.fail(`time ${time}`)
  return time
}
