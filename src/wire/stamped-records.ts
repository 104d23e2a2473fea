/**
 * Stamped records as they travel outside of logs, in a slice: between stores that compare each
 * other, and from a strategy to its own store. One byte of layout, then items, little-endian.
 *
 *   2 into    u8 n, cache: of the records and ends that follow
 *   3 record  u16 n, key | u8 1 if it has a life | f64 version | f64 changed
 *             | with a life: f64 expiresAt, f64 deadline, f64 idleMs | u32 n, value
 *   4 touch   u16 n, key | u8 flags | f64 version | f64 changed | f64 ttlMs if flag 4
 *             | f64 idleMs if flag 8: of a version that is not there yet
 *   5 end     u16 n, key | f64 deleted | f64 replaced | f64 evicted | f64 evictedBy
 *   6 floor   u8 n, cache | f64 stamp
 *   7 seen    f64 stamp: whoever made or kept these records had met the receiver's up to it
 */
import type { Reader, Writer } from './bytes.js'
import { FLAG } from './command.js'

export const STAMPED_LAYOUT = 1
export const STAMPED_ITEM = { into: 2, record: 3, touch: 4, end: 5, floor: 6, seen: 7 } as const

/** What ended the records of a key; 0: nothing did (src/store/stamped-cache.ts). */
export interface End {
  readonly deleted: number
  /** Below the version that was evicted. */
  readonly replaced: number
  readonly evicted: number
  /** The entry that evicted it: who has met that, and `deleted`, needs to be told no more. */
  readonly evictedBy: number
}

/** When a record ends, ms; 0: never. */
export interface Life {
  readonly deadline: number
  readonly idleMs: number
  readonly expiresAt: number
}

/** One version's life begins anew; what is undefined stays as it is. */
export interface Touch {
  readonly version: number
  readonly changed: number
  readonly ttlMs: number | undefined
  readonly idleMs: number | undefined
}

export function writeInto(out: Writer, cache: string): void {
  out.u8(STAMPED_ITEM.into)
  out.text8(cache)
}

/** A record that one stamp has made; the value is `source[start, end)`. */
export function writeStampedRecord(
  out: Writer,
  key: string,
  stamp: number,
  life: Life,
  source: Uint8Array,
  start: number,
  end: number,
): void {
  out.u8(STAMPED_ITEM.record)
  out.text16(key)
  out.u8(life.expiresAt === 0 ? 0 : 1)
  out.f64(stamp)
  out.f64(stamp)
  if (life.expiresAt !== 0) {
    out.f64(life.expiresAt)
    out.f64(life.deadline)
    out.f64(life.idleMs)
  }
  out.u32(end - start)
  out.bytes(source, start, end)
}

export function writeEnd(out: Writer, key: string, end: End): void {
  out.u8(STAMPED_ITEM.end)
  out.text16(key)
  out.f64(end.deleted)
  out.f64(end.replaced)
  out.f64(end.evicted)
  out.f64(end.evictedBy)
}

export function writeTouchItem(out: Writer, key: string, touch: Touch): void {
  const { version, changed, ttlMs, idleMs } = touch
  out.u8(STAMPED_ITEM.touch)
  out.text16(key)
  out.u8((ttlMs === undefined ? 0 : FLAG.ttl) | (idleMs === undefined ? 0 : FLAG.idle))
  out.f64(version)
  out.f64(changed)
  if (ttlMs !== undefined) out.f64(ttlMs)
  if (idleMs !== undefined) out.f64(idleMs)
}

/** What follows the key. */
export function readTouchItem(reader: Reader): Touch {
  const flags = reader.u8()
  const [version, changed] = [reader.whole(), reader.whole()]
  const ttlMs = flags & FLAG.ttl ? reader.whole() : undefined
  const idleMs = flags & FLAG.idle ? reader.whole() : undefined
  return { version, changed, ttlMs, idleMs }
}

export function writeFloor(out: Writer, cache: string, floor: number): void {
  out.u8(STAMPED_ITEM.floor)
  out.text8(cache)
  out.f64(floor)
}

const NO_LIFE: Life = { deadline: 0, idleMs: 0, expiresAt: 0 }

/** `ttlMs` and `idleMs` from `time` on; 0: none. */
export function lifeFrom(time: number, ttlMs: number, idleMs: number): Life {
  if (ttlMs === 0 && idleMs === 0) return NO_LIFE
  const deadline = ttlMs === 0 ? 0 : time + ttlMs
  const idleEnd = idleMs === 0 ? Number.POSITIVE_INFINITY : time + idleMs
  return { deadline, idleMs, expiresAt: Math.min(deadline || Number.POSITIVE_INFINITY, idleEnd) }
}

/** The life from `time` on of a record that had `old`. */
export function lifeTouched({ ttlMs, idleMs }: Touch, time: number, old: Life): Life {
  const idle = idleMs ?? old.idleMs
  if (ttlMs !== undefined) return lifeFrom(time, ttlMs, idle)
  const life = lifeFrom(time, 0, idle)
  const { deadline } = old
  const expiresAt = Math.min(deadline || Infinity, life.expiresAt || Infinity)
  return { deadline, idleMs: idle, expiresAt: expiresAt === Infinity ? 0 : expiresAt }
}
