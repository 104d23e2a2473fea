/**
 * Records as bytes outside the heap of JavaScript: a million strings cost twice their bytes and
 * pauses of the collector, a few thousand chunks cost neither. Chunks are written in order, as a
 * log-structured file system does; a chunk that is half dead is evacuated into the newest one.
 *
 *   record   f64 version | f64 changed | u32 slot | u32 value bytes | u32 key bytes | key | value
 *            at a multiple of 8 bytes; a dead record keeps its head, so that a chunk can be walked
 */
import { assert } from '../core/assert.js'

export const HEAD_BYTES = 28
/** Places of the head's fields, in elements of the view that reads them. */
const SLOT_U32 = 4
const VALUE_BYTES_U32 = 5
const KEY_BYTES_U32 = 6

/** An address is chunk * 131,072 + place in units of 8 bytes. */
const UNIT_SHIFT = 3
const CHUNK_SHIFT = 17
const UNIT_MASK = 0x1ffff
const CHUNK_BYTES_MIN = 4_096
const CHUNK_BYTES_MAX = (UNIT_MASK + 1) << UNIT_SHIFT
/** A larger record gets a chunk of its own, freed with it. */
const SHARED_BYTES_MAX = CHUNK_BYTES_MAX / 16
const CHUNKS_MAX = 0x7fff

/** No record. */
export const NOWHERE = 0xffffffff

export class Chunk {
  readonly bytes: Buffer
  readonly u32: Uint32Array
  readonly f64: Float64Array
  /** Bytes written, and those of them whose records are gone. */
  used = 0
  dead = 0
  /** Waits for evacuation. */
  queued = false

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size)
    const { buffer } = this.bytes
    this.u32 = new Uint32Array(buffer)
    this.f64 = new Float64Array(buffer)
  }
}

/** Who knows where each slot's record lies. */
export interface Addresses {
  addressOf(slot: number): number
  moved(slot: number, address: number): void
}

export class Arena {
  readonly #chunks: (Chunk | undefined)[] = []
  readonly #addresses: Addresses
  readonly #freeChunks: number[] = []
  readonly #toEvacuate: number[] = []
  #head = -1
  /** Bytes of all chunks. */
  #capacity = 0

  constructor(addresses: Addresses) {
    this.#addresses = addresses
  }

  get capacity(): number {
    return this.#capacity
  }

  chunk(address: number): Chunk {
    return this.#chunks[address >>> CHUNK_SHIFT] as Chunk
  }

  /** The record's place in its chunk, in units of 8 bytes. */
  unit(address: number): number {
    return address & UNIT_MASK
  }

  valueBytes(address: number): number {
    return this.chunk(address).u32[((address & UNIT_MASK) << 1) + VALUE_BYTES_U32]
  }

  keyBytes(address: number): number {
    return this.chunk(address).u32[((address & UNIT_MASK) << 1) + KEY_BYTES_U32]
  }

  /** Where the key begins in its chunk's bytes. */
  keyAt(address: number): number {
    return ((address & UNIT_MASK) << UNIT_SHIFT) + HEAD_BYTES
  }

  /** A record with its head but for the offsets; the caller fills key and value. */
  allocate(slot: number, keyBytes: number, valueBytes: number): number {
    const size = sizeOf(keyBytes, valueBytes)
    this.tidy()
    const address = this.#take(size)
    const { u32 } = this.chunk(address)
    const unit = address & UNIT_MASK
    u32[(unit << 1) + SLOT_U32] = slot
    u32[(unit << 1) + VALUE_BYTES_U32] = valueBytes
    u32[(unit << 1) + KEY_BYTES_U32] = keyBytes
    return address
  }

  #take(size: number): number {
    if (size > SHARED_BYTES_MAX) {
      const own = this.#open(size)
      this.chunkAt(own).used = size
      return own * (UNIT_MASK + 1)
    }
    let index = this.#head
    let chunk = index < 0 ? undefined : this.#chunks[index]
    if (chunk === undefined || chunk.used + size > chunk.bytes.length) {
      let bytes = CHUNK_BYTES_MIN
      while (bytes < size || (bytes < CHUNK_BYTES_MAX && bytes * 4 < this.#capacity)) bytes *= 2
      this.#head = this.#open(bytes)
      if (chunk !== undefined) this.#judge(index, chunk)
      index = this.#head
      chunk = this.chunkAt(index)
    }
    const unit = chunk.used >> UNIT_SHIFT
    chunk.used += size
    return index * (UNIT_MASK + 1) + unit
  }

  /** The record is gone. Its head stays readable until its chunk goes. */
  release(address: number): void {
    const index = address >>> CHUNK_SHIFT
    const chunk = this.chunkAt(index)
    chunk.dead += sizeOf(this.keyBytes(address), this.valueBytes(address))
    if (index !== this.#head) this.#judge(index, chunk)
  }

  chunkAt(index: number): Chunk {
    return this.#chunks[index] as Chunk
  }

  #open(size: number): number {
    const index = this.#freeChunks.pop() ?? this.#chunks.length
    assert(index < CHUNKS_MAX, 'a cache larger than 32 GiB')
    this.#chunks[index] = new Chunk(size)
    this.#capacity += size
    return index
  }

  /** A chunk that is no longer written: drop it if all of it is dead, empty it if half is. */
  #judge(index: number, chunk: Chunk): void {
    if (chunk.dead === chunk.used) this.#drop(index)
    else if (!chunk.queued && chunk.dead * 2 > chunk.used) {
      chunk.queued = true
      this.#toEvacuate.push(index)
    }
  }

  #drop(index: number): void {
    this.#capacity -= this.chunkAt(index).bytes.length
    this.#chunks[index] = undefined
    this.#freeChunks.push(index)
  }

  /** Evacuates one chunk if one waits; addresses taken before it may be stale afterwards. */
  tidy(): void {
    const index = this.#toEvacuate.pop()
    if (index === undefined) return
    const chunk = this.#chunks[index]
    // It may be gone, and another one in its place.
    if (chunk?.queued) this.#evacuate(index, chunk)
  }

  /** Moves what lives: at most half a chunk, so a byte moved pays for at least one freed. */
  #evacuate(index: number, chunk: Chunk): void {
    const base = index * (UNIT_MASK + 1)
    for (let at = 0; at < chunk.used; ) {
      const unit = at >> UNIT_SHIFT
      const slot = chunk.u32[(unit << 1) + SLOT_U32]
      const valueBytes = chunk.u32[(unit << 1) + VALUE_BYTES_U32]
      const size = sizeOf(chunk.u32[(unit << 1) + KEY_BYTES_U32], valueBytes)
      if (this.#addresses.addressOf(slot) === base + unit) {
        const address = this.#take(size)
        chunk.bytes.copy(
          this.chunk(address).bytes,
          (address & UNIT_MASK) << UNIT_SHIFT,
          at,
          at + size,
        )
        this.#addresses.moved(slot, address)
      }
      at += size
    }
    this.#drop(index)
  }
}

function sizeOf(keyBytes: number, valueBytes: number): number {
  return (HEAD_BYTES + keyBytes + valueBytes + 7) & ~7
}
