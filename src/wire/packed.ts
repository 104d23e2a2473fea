/**
 * What a control message may be as msgpack, judged byte by byte before anything is made of it: no
 * extensions, by which msgpackr would learn record shapes, and little nesting (SECURITY 3).
 */
import { GcacheError } from '../errors.js'

/** Maps and lists in one another. */
const DEPTH_MAX = 32
/** msgpackr's undefined is the one extension that nodes say. */
const UNDEFINED = 0xd4

/** By the first byte: how many bytes follow as the value, or as the length of what follows. */
const FIXED: Readonly<Record<number, number>> = {
  ...{ 192: 0, 194: 0, 195: 0, 202: 4, 203: 8 },
  ...{ 204: 1, 205: 2, 206: 4, 207: 8, 208: 1, 209: 2, 210: 4, 211: 8 },
}
const BYTES: Readonly<Record<number, number>> = {
  ...{ 196: 1, 197: 2, 198: 4, 217: 1, 218: 2, 219: 4 },
}
const ITEMS: Readonly<Record<number, number>> = { 220: 2, 221: 4, 222: 2, 223: 4 }

/** PROTOCOL_ERROR unless `bytes[at, end)` is one value of plain msgpack. */
export function checkPacked(bytes: Uint8Array, at = 0): void {
  const left = [1]
  while (left.length > 0) {
    if (left[left.length - 1] === 0) {
      left.pop()
      continue
    }
    left[left.length - 1]--
    const tag = bytes[at++]
    const lengthBytes = BYTES[tag] ?? ITEMS[tag] ?? 0
    const length = lengthOf(bytes, at, lengthBytes)
    at += lengthBytes
    const items = itemsOf(tag, length)
    if (items === 0) at += bytesOf(tag, length, bytes[at], bytes[at + 1])
    if (at + items > bytes.length) fail(at, 'ends in the middle')
    if (items === 0) continue
    if (left.length > DEPTH_MAX) fail(at, `is nested more than ${DEPTH_MAX} deep`)
    left.push(items)
  }
  if (at !== bytes.length) fail(at, 'goes on after its end')

  function bytesOf(tag: number | undefined, length: number, kind: number, value: number): number {
    if (tag === undefined) fail(at, 'ends in the middle')
    if (tag < 0x80 || tag >= 0xe0 || (tag >= 0x80 && tag < 0xa0)) return 0
    if (tag < 0xc0) return tag & 31
    if (tag === UNDEFINED && kind === 0 && value === 0) return 2
    if (tag in BYTES) return length
    if (tag in ITEMS) return 0
    return FIXED[tag] ?? fail(at, `holds an extension, byte ${tag}`)
  }
}

function itemsOf(tag: number, length: number): number {
  if (tag >= 0x80 && tag < 0x90) return (tag & 15) * 2
  if (tag >= 0x90 && tag < 0xa0) return tag & 15
  if (tag === 0xdc || tag === 0xdd) return length
  return tag === 0xde || tag === 0xdf ? length * 2 : 0
}

function lengthOf(bytes: Uint8Array, at: number, count: number): number {
  let length = 0
  for (let i = 0; i < count; i++) length = length * 256 + (bytes[at + i] ?? 0)
  return length
}

function fail(at: number, what: string): never {
  throw new GcacheError('PROTOCOL_ERROR', `a control message ${what}, at byte ${at}`)
}
