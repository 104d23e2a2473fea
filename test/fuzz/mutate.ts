/**
 * Frames made wrong, the same for the same seed: bits flipped, bytes cut out and put in, pieces
 * swapped or taken from another frame, and, what finds most, numbers written over that a decoder
 * may take for a length, a count, an offset or a time.
 */
import type { SeededRandom } from '../../src/core/prng.js'
import { mutatePacked } from './mutate-packed.js'

/** A mutant is at most so long, bytes. */
export const MUTANT_BYTES_MAX = 65_536

/** Ends of ranges, and the first bytes of msgpack's types. */
const BYTES = [0, 1, 2, 3, 4, 0x10, 0x1f, 0x40, 0x7f, 0x80, 0x81, 0x8f, 0x91, 0x9f, 0xa0, 0xbf]
  .concat([0xc0, 0xc1, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd4, 0xd8, 0xd9, 0xdb, 0xdc])
  .concat([0xdd, 0xde, 0xdf, 0xe0, 0xfe, 0xff])
const U16 = [0, 1, 2, 255, 256, 512, 513, 1_023, 1_024, 1_025, 0x7fff, 0x8000, 0xfffe, 0xffff]
const U32 = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 2 ** 20, 2 ** 20 + 1]
const F64 = [0, -0, 1, 2, -1, 0.5, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e308, -1e308, 5e-324]
  .concat([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 31, 2 ** 32])
  .concat([Number.MAX_SAFE_INTEGER - 1_024, 1.7e12])

/** Returns a mutant of one of `seeds`, as its caller's own bytes. */
export type Mutator = (seeds: readonly Uint8Array[]) => Buffer

export function mutator(random: SeededRandom): Mutator {
  return seeds => {
    const seed = random.pick(seeds)
    let bytes: Buffer = Buffer.from(seed)
    // Now and then as it was: what is well-formed must be met too.
    if (random.chance(0.06)) return bytes
    const packed = random.chance(0.7) ? mutatePacked(random, seed) : undefined
    if (packed !== undefined) return packed
    do bytes = mutateOnce(random, bytes, seeds)
    while (random.chance(0.45))
    return bytes.length > MUTANT_BYTES_MAX ? bytes.subarray(0, MUTANT_BYTES_MAX) : bytes
  }
}

function mutateOnce(random: SeededRandom, bytes: Buffer, seeds: readonly Uint8Array[]): Buffer {
  const { length } = bytes
  const at = random.below(length + 1)
  switch (random.below(14)) {
    case 0:
      return truncate(random, bytes, at)
    case 1:
      return insert(bytes, at, noise(random, 1 + random.below(8)))
    case 2:
      return remove(bytes, at, 1 + random.below(8))
    case 3:
      return insert(bytes, at, piece(random, bytes))
    case 4:
      return insert(bytes, at, piece(random, random.pick(seeds)))
    case 5:
      return swap(random, bytes)
    case 6:
      return repeat(random, bytes, at)
    case 7:
      return splice(random, bytes, at, random.pick(seeds))
    case 8:
    case 9:
      if (length > 0) bytes[random.below(length)] ^= 1 << random.below(8)
      return bytes
    case 10:
      if (length > 0) bytes[random.below(length)] = random.below(256)
      return bytes
    case 11:
      if (length > 0) bytes[random.below(length)] = random.pick(BYTES)
      return bytes
    default:
      overwriteNumber(random, bytes, at)
      return bytes
  }
}

/** Mostly near its end, where the last field is cut. */
function truncate(random: SeededRandom, bytes: Buffer, at: number): Buffer {
  const end = random.chance(0.5) ? at : Math.max(0, bytes.length - 1 - random.below(12))
  return bytes.subarray(0, end)
}

/** A length, a count, an offset or a time that is wrong, or wrong by one. */
function overwriteNumber(random: SeededRandom, bytes: Buffer, at: number): void {
  const left = bytes.length - at
  const big = random.chance(0.2)
  const near = left - 4 + random.below(5)
  switch (random.below(3)) {
    case 0:
      if (left < 2) return
      writeU16(bytes, at, random.chance(0.3) ? near & 0xffff : random.pick(U16), big)
      return
    case 1:
      if (left < 4) return
      writeU32(bytes, at, (random.chance(0.5) ? near : random.pick(U32)) >>> 0, big)
      return
    default:
      if (left < 8) return
      if (big) bytes.writeDoubleBE(random.pick(F64), at)
      // Next to what stood there: an offset that is off by one is worth more than a wild one.
      else if (random.chance(0.4))
        bytes.writeDoubleLE(bytes.readDoubleLE(at) + random.below(5) - 2, at)
      else bytes.writeDoubleLE(random.pick(F64), at)
  }
}

/** msgpack has the higher byte first, the fixed layouts the lower one. */
function writeU16(bytes: Buffer, at: number, value: number, big: boolean): void {
  if (big) bytes.writeUInt16BE(value, at)
  else bytes.writeUInt16LE(value, at)
}

function writeU32(bytes: Buffer, at: number, value: number, big: boolean): void {
  if (big) bytes.writeUInt32BE(value, at)
  else bytes.writeUInt32LE(value, at)
}

function noise(random: SeededRandom, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count)
  for (let i = 0; i < count; i++) bytes[i] = random.below(256)
  return bytes
}

/** At most 64 bytes of `source`. */
function piece(random: SeededRandom, source: Uint8Array): Uint8Array {
  const start = random.below(source.length + 1)
  return source.subarray(start, start + 1 + random.below(64))
}

function insert(bytes: Buffer, at: number, more: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
}

function remove(bytes: Buffer, at: number, count: number): Buffer {
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)])
}

/** Two pieces of equal length change places. */
function swap(random: SeededRandom, bytes: Buffer): Buffer {
  const count = 1 + random.below(8)
  if (bytes.length < 2 * count) return bytes
  const one = random.below(bytes.length - count + 1)
  const two = random.below(bytes.length - count + 1)
  const kept = Buffer.from(bytes.subarray(one, one + count))
  bytes.copyWithin(one, two, two + count)
  bytes.set(kept, two)
  return bytes
}

/** A few bytes again and again, rarely thousands of times: depth, and counts that are true. */
function repeat(random: SeededRandom, bytes: Buffer, at: number): Buffer {
  const count = 1 + random.below(4)
  const times = random.chance(0.02) ? random.below(12_000) : random.below(40)
  const unit = random.chance(0.5) ? bytes.subarray(at, at + count) : noise(random, count)
  return unit.length === 0 ? bytes : insert(bytes, at, Buffer.alloc(unit.length * times, unit))
}

/** Begins as one frame and ends as another. */
function splice(random: SeededRandom, bytes: Buffer, at: number, other: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))])
}
