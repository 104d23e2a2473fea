/**
 * Commands: what a request asks and what a log entry does, in one layout, so that a master copies a
 * client's bytes into its log without looking inside them.
 *
 *   u8 op | u8 flags | u8 n, cache name | u16 n, key | fields by op and flags | value to the end
 *
 * Ops below 16 are reads and never reach a log.
 */

import type { Origin } from '../contracts/merge.js'
import type { CacheOptions } from '../contracts/store.js'
import { GcacheError } from '../errors.js'
import { readEpoch, writeIncarnation } from './batch.js'
import { Reader, type Writer } from './bytes.js'

export const OP = {
  get: 1,
  has: 2,
  size: 3,
  scan: 4,
  set: 16,
  delete: 17,
  touch: 18,
  clear: 19,
  openWindow: 20,
  configure: 21,
  expire: 22,
  evict: 23,
  noop: 24,
  closeWindow: 25,
  view: 26,
} as const

export const FIRST_WRITE_OP = 16

/** `merged` stands only in the master's own entries: a client may set none above 15. */
export const FLAG = { ifVersion: 1, ifAbsent: 2, ttl: 4, idle: 8, merged: 16 } as const

/** op, flags, cache and key: what every command begins with. */
export function writeHead(
  out: Writer,
  op: number,
  flags: number,
  cache: string,
  key: string,
): void {
  out.u8(op)
  out.u8(flags)
  out.text8(cache)
  out.text16(key)
}

/** Conditions and lives of a set; undefined ones are left out. */
export interface SetFields {
  ifVersion?: number | undefined
  ifAbsent?: boolean | undefined
  ttlMs?: number | undefined
  idleMs?: number | undefined
}

function flagsOf(fields: SetFields): number {
  return (
    (fields.ifVersion === undefined ? 0 : FLAG.ifVersion) |
    (fields.ifAbsent ? FLAG.ifAbsent : 0) |
    (fields.ttlMs === undefined ? 0 : FLAG.ttl) |
    (fields.idleMs === undefined ? 0 : FLAG.idle)
  )
}

/**
 * What an entry that merges the losing side of a network split carries in place of relative lives:
 * the life that its record has, and the write that it repeats.
 */
export interface Merged extends Origin {
  readonly deadline: number
  readonly idleMs: number
  readonly expiresAt: number
}

/** Of set, delete and touch; behind the head and a condition, before the value. */
export function writeMerged(
  out: Writer,
  op: typeof OP.set | typeof OP.delete | typeof OP.touch,
  cache: string,
  key: string,
  fields: { readonly ifVersion?: number; readonly ifAbsent?: boolean },
  merged: Merged,
): void {
  writeHead(out, op, flagsOf(fields) | FLAG.merged, cache, key)
  writeFields(out, fields)
  out.f64(merged.deadline)
  out.f64(merged.idleMs)
  out.f64(merged.expiresAt)
  writeOrigin(out, merged)
}

/** `reader` stands behind the condition. */
export function readMerged(reader: Reader): Merged {
  const life = { deadline: reader.f64(), idleMs: reader.f64(), expiresAt: reader.f64() }
  return { ...life, ...readOrigin(reader) }
}

export function writeOrigin(out: Writer, origin: Origin): void {
  out.f64(origin.epoch.number)
  writeIncarnation(out, origin.epoch.incarnation)
  out.f64(origin.offset)
  out.f64(origin.time)
}

export function readOrigin(reader: Reader): Origin {
  return { epoch: readEpoch(reader), offset: reader.whole(), time: reader.f64() }
}

function writeFields(out: Writer, fields: SetFields): void {
  if (fields.ifVersion !== undefined) out.f64(fields.ifVersion)
  if (fields.ttlMs !== undefined) out.f64(fields.ttlMs)
  if (fields.idleMs !== undefined) out.f64(fields.idleMs)
}

export function writeSet(
  out: Writer,
  cache: string,
  key: string,
  value: Uint8Array,
  fields: SetFields,
): void {
  writeHead(out, OP.set, flagsOf(fields), cache, key)
  writeFields(out, fields)
  out.bytes(value)
}

export function writeDelete(out: Writer, cache: string, key: string, fields: SetFields): void {
  writeHead(out, OP.delete, flagsOf(fields), cache, key)
  writeFields(out, fields)
}

export function writeTouch(out: Writer, cache: string, key: string, fields: SetFields): void {
  writeHead(out, OP.touch, flagsOf(fields), cache, key)
  writeFields(out, fields)
}

/** get, has, size, clear, noop, openWindow: nothing but a head. */
export function writePlain(out: Writer, op: number, cache: string, key: string): void {
  writeHead(out, op, 0, cache, key)
}

/** `key` carries the prefix. */
export function writeScan(
  out: Writer,
  cache: string,
  prefix: string,
  cursor: number,
  limit: number,
): void {
  writeHead(out, OP.scan, 0, cache, prefix)
  out.f64(cursor)
  out.u16(limit)
}

/** expire and evict do nothing unless the record's `changed` is still this one. In a log of
 *  strategy broadcast an eviction names the version, too, unless that was never changed since. */
export function writeExpire(
  out: Writer,
  op: typeof OP.expire | typeof OP.evict,
  cache: string,
  key: string,
  changed: number,
  version?: number,
): void {
  writeHead(out, op, version === undefined ? 0 : FLAG.ifVersion, cache, key)
  if (version !== undefined) out.f64(version)
  out.f64(changed)
}

/** Closes the window `id` unless it was used at or after offset `changed`. */
export function writeCloseWindow(out: Writer, id: string, changed: number): void {
  writeHead(out, OP.closeWindow, 0, '', '')
  out.latin1(id)
  out.f64(changed)
}

export function writeConfigure(out: Writer, cache: string, options: CacheOptions): void {
  writeHead(out, OP.configure, 0, cache, '')
  out.f64(options.maxEntries)
  out.f64(options.maxBytes)
  out.f64(options.ttlMs)
  out.f64(options.idleMs)
  out.u8(options.eviction === 'lru' ? 0 : 1)
}

/** After the head of a configure command. */
export function readConfigure(reader: Reader): CacheOptions {
  return {
    maxEntries: reader.whole(),
    maxBytes: reader.whole(),
    ttlMs: reader.whole(),
    idleMs: reader.whole(),
    eviction: reader.u8() === 0 ? 'lru' : 'none',
  }
}

export interface CommandLimits {
  readonly keyBytesMax: number
  readonly cacheNameBytesMax: number
  readonly valueBytesMax: number
}

const CHECK = new Reader()

/**
 * Judges a command that came from outside before it may enter a log, because apply() must never
 * fail. Throws PROTOCOL_ERROR or LIMIT. `openToClients` is what a client may ask.
 */
export function checkCommand(
  source: Uint8Array,
  start: number,
  end: number,
  limits: CommandLimits,
): number {
  const reader = CHECK.open(source, start, end)
  const op = reader.u8()
  const flags = reader.u8()
  const nameBytes = reader.u8()
  reader.skip(nameBytes)
  const keyBytes = reader.u16()
  reader.skip(keyBytes)
  if (nameBytes > limits.cacheNameBytesMax)
    throw new GcacheError(
      'LIMIT',
      `cache name of ${nameBytes} bytes exceeds ${limits.cacheNameBytesMax}`,
    )
  if (keyBytes > limits.keyBytesMax)
    throw new GcacheError('LIMIT', `key of ${keyBytes} bytes exceeds ${limits.keyBytesMax}`)
  if (op !== OP.openWindow && nameBytes === 0) throw new GcacheError('LIMIT', 'empty cache name')
  switch (op) {
    case OP.set:
    case OP.delete:
    case OP.touch:
      if (keyBytes === 0) throw new GcacheError('LIMIT', 'empty key')
      if (flags > 15) reader.fail(`unknown flags ${flags}`)
      if (flags & FLAG.ifVersion) reader.whole()
      if (flags & FLAG.ttl) reader.whole()
      if (flags & FLAG.idle) reader.whole()
      if (op !== OP.set) reader.finish()
      else if (reader.left > limits.valueBytesMax)
        throw new GcacheError(
          'LIMIT',
          `value of ${reader.left} bytes exceeds ${limits.valueBytesMax}`,
        )
      return op
    case OP.get:
    case OP.has:
      if (keyBytes === 0) throw new GcacheError('LIMIT', 'empty key')
      break
    case OP.size:
    case OP.clear:
    case OP.openWindow:
      break
    case OP.scan:
      reader.whole()
      reader.u16()
      break
    default:
      reader.fail(`unknown operation ${op}`)
  }
  reader.finish()
  return op
}
