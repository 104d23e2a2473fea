/**
 * A piece of what one side of a network split changed, on its way to the other side; little-endian.
 *
 *   u8 layout | u8 1 if removals are known | u32 clears | items to the end:
 *   1 into     u8 n, name: the cache of what follows
 *   2 record   u16 n, key | f64 version | f64 touchedAt | origin of the value
 *              | f64 deadline | f64 idleMs | f64 expiresAt | u32 n, value
 *   3 removed  u16 n, key | origin of the removal
 *
 * An origin is f64 epoch number | 8 bytes incarnation | f64 offset | f64 time (wire/command.ts).
 * A piece comes from another process: everything in it is judged, with PROTOCOL_ERROR.
 */
import { LIMITS } from '../config.js'
import type { Origin } from '../contracts/merge.js'
import type { WholeRecord } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'
import { Reader, type Writer } from './bytes.js'
import { readOrigin, writeOrigin } from './command.js'

const LAYOUT = 1
const ITEM = { into: 1, record: 2, removed: 3 } as const
const ORIGIN_BYTES = 32
/** Bytes of an item besides key and value, and a change of the cache before it, at most. */
const ITEM_BYTES_MAX = 1 + 2 + 16 + ORIGIN_BYTES + 24 + 4 + 2 + LIMITS.cacheNameBytesMax

/** What the losing side holds of a key now. */
export interface MergeRecord {
  readonly key: string
  readonly version: Offset
  /** Cluster time of the last change of any kind, a touch included. */
  readonly touchedAt: number
  /** The write that set the value. */
  readonly origin: Origin
  readonly deadline: number
  readonly idleMs: number
  readonly expiresAt: number
  /** One byte a char. */
  readonly value: string
}

export interface PieceHead {
  readonly removalsKnown: boolean
  readonly clears: number
}

/** What an item of this record takes at most. */
export function recordBytesMax(key: string, record: WholeRecord | undefined): number {
  return ITEM_BYTES_MAX + key.length * 3 + (record?.value.length ?? 0)
}

export function writePieceHead(out: Writer, { removalsKnown, clears }: PieceHead): void {
  out.u8(LAYOUT)
  out.u8(removalsKnown ? 1 : 0)
  out.u32(clears)
}

export function writeInto(out: Writer, cache: string): void {
  out.u8(ITEM.into)
  out.text8(cache)
}

export function writeRecord(
  out: Writer,
  key: string,
  record: WholeRecord,
  origin: Origin,
  touchedAt: number,
): void {
  out.u8(ITEM.record)
  out.text16(key)
  out.f64(record.version)
  out.f64(touchedAt)
  writeOrigin(out, origin)
  out.f64(record.deadline)
  out.f64(record.idleMs)
  out.f64(record.expiresAt)
  out.u32(record.value.length)
  out.latin1(record.value)
}

export function writeRemoved(out: Writer, key: string, origin: Origin): void {
  out.u8(ITEM.removed)
  out.text16(key)
  writeOrigin(out, origin)
}

export interface PieceVisitor {
  onRecord(cache: string, record: MergeRecord): void
  onRemoved(cache: string, key: string, origin: Origin): void
}

/** Calls `visitor` for each item in order. Throws PROTOCOL_ERROR, before or after some of them. */
export function readPiece(piece: Uint8Array, visitor: PieceVisitor): PieceHead {
  const reader = new Reader(piece)
  const layout = reader.u8()
  if (layout !== LAYOUT) reader.fail(`layout ${layout} of merge records`)
  const head = { removalsKnown: reader.u8() === 1, clears: reader.u32() }
  let cache = ''
  while (reader.left > 0) {
    const kind = reader.u8()
    if (kind === ITEM.into) {
      cache = reader.text8()
      if (Buffer.byteLength(cache) > LIMITS.cacheNameBytesMax) reader.fail('a cache name too long')
      continue
    }
    if (cache === '') reader.fail('a record of no cache')
    if (kind === ITEM.record) visitor.onRecord(cache, readRecord(reader))
    else if (kind === ITEM.removed) visitor.onRemoved(cache, readKey(reader), readWrite(reader))
    else reader.fail(`unknown item ${kind}`)
  }
  return head
}

function readRecord(reader: Reader): MergeRecord {
  const key = readKey(reader)
  const version = reader.whole()
  const touchedAt = readTime(reader)
  const origin = readWrite(reader)
  const life = {
    deadline: readTime(reader),
    idleMs: readTime(reader),
    expiresAt: readTime(reader),
  }
  const valueBytes = reader.u32()
  if (valueBytes > LIMITS.valueBytesCeiling) reader.fail(`a value of ${valueBytes} bytes`)
  return { key, version, touchedAt, origin, ...life, value: reader.latin1(valueBytes) }
}

function readKey(reader: Reader): string {
  const count = reader.u16()
  if (count === 0 || count > LIMITS.keyBytesMax) reader.fail(`a key of ${count} bytes`)
  return reader.utf8(count)
}

function readWrite(reader: Reader): Origin {
  const origin = readOrigin(reader)
  if (!isTime(origin.time)) reader.fail('no time')
  return origin
}

function readTime(reader: Reader): number {
  const time = reader.f64()
  if (!isTime(time)) reader.fail('no time')
  return time
}

function isTime(time: number): boolean {
  return time >= 0 && time < Number.POSITIVE_INFINITY
}
