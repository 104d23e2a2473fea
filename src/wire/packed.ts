/**
 * What a control message may be as msgpack, judged byte by byte before anything is made of it: no
 * extensions, by which msgpackr would learn record shapes, and little nesting (SECURITY 3).
 */
import { GcacheError } from '../errors.js'

/** Maps and lists in one another. */
const DEPTH_MAX = 32

/** What follows a first byte: a value of `bytes`; or a length of `bytes`, then so many bytes, or
 *  `each` times as many values. */
interface Form {
  readonly bytes: number
  readonly follows?: 'bytes' | 'values'
  readonly each?: number
}

const value = (bytes: number): Form => ({ bytes })
const text = (bytes: number): Form => ({ bytes, follows: 'bytes' })
const values = (bytes: number, each: number): Form => ({ bytes, follows: 'values', each })

const FORMS = new Map<number, Form>([
  ...[0xc0, 0xc2, 0xc3].map(tag => [tag, value(0)] as const),
  ...[1, 2, 4].flatMap((bytes, i) => [
    [0xc4 + i, text(bytes)] as const,
    [0xd9 + i, text(bytes)] as const,
  ]),
  ...[4, 8].map((bytes, i) => [0xca + i, value(bytes)] as const),
  ...[1, 2, 4, 8, 1, 2, 4, 8].map((bytes, i) => [0xcc + i, value(bytes)] as const),
  ...[2, 4].flatMap((bytes, i) => [
    [0xdc + i, values(bytes, 1)] as const,
    [0xde + i, values(bytes, 2)] as const,
  ]),
])

/** PROTOCOL_ERROR unless `bytes[at, end)` is one value of plain msgpack. */
export function checkPacked(bytes: Uint8Array, at = 0): void {
  /** Values that are still to come, of each map and list that is open. */
  const left = [1]
  while (left.length > 0) {
    if (left[left.length - 1]-- === 0) {
      left.pop()
      continue
    }
    const tag = bytes[at++]
    let more = 0
    if (tag >= 0x80 && tag < 0xa0) more = (tag & 15) * (tag < 0x90 ? 2 : 1)
    else if (tag >= 0xa0 && tag < 0xc0) at += tag & 31
    // msgpackr's undefined is the one extension that nodes say.
    else if (tag === 0xd4 && bytes[at] === 0 && bytes[at + 1] === 0) at += 2
    else if (tag >= 0xc0 && tag < 0xe0) {
      const form = FORMS.get(tag) ?? fail(at, `holds an extension, byte ${tag}`)
      at += form.bytes
      const length = form.follows === undefined ? 0 : lengthOf(bytes, at - form.bytes, at)
      if (form.follows === 'values') more = length * (form.each ?? 1)
      else at += length
    }
    if (at + more > bytes.length) fail(at, 'ends in the middle')
    if (more > 0 && left.length > DEPTH_MAX) fail(at, `is nested more than ${DEPTH_MAX} deep`)
    if (more > 0) left.push(more)
  }
  if (at !== bytes.length) fail(at, 'goes on after its end')
}

function lengthOf(bytes: Uint8Array, from: number, to: number): number {
  let length = 0
  for (let i = from; i < to; i++) length = length * 256 + (bytes[i] ?? 0)
  return length
}

function fail(at: number, what: string): never {
  throw new GcacheError('PROTOCOL_ERROR', `a control message ${what}, at byte ${at}`)
}
