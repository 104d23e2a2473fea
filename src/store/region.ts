/**
 * The records of one cache between two clears. Each keeps one slot for life: a walk and a scan need
 * an order that access does not change (PROTOCOL 12 of the design). Keys and values are bytes in an
 * arena, found by an index of hashes; 1 M records of 100 bytes take about 165 MB in all.
 */
import type { StoredRecord } from '../contracts/store.js'
import { Writer } from '../wire/bytes.js'
import { type Addresses, Arena, NOWHERE } from './arena.js'
import { hashAscii, hashBytes, IndexTable } from './index-table.js'

/** Slots are swept in blocks of so many; a power of two. */
export const BLOCK_SLOTS = 256
export const BLOCK_SHIFT = 8
export const BLOCK_MASK = BLOCK_SLOTS - 1

/** What a record costs besides its key and value, in the eyes of maxBytes. */
export const RECORD_BYTES = 64

/** Three cells a slot: its record's address, its key's hash, and when it was used last, on a clock
 *  that counts uses. Columns double; what is not touched yet is not resident. */
const CELLS = 3
const HASH = 1
const USED = 2
const SLOTS_MIN = 64

/** Times in ms; 0: none. `expiresAt` is the smaller of `deadline` and last use + `idleMs`. Made
 *  with the first record that does not live for ever. */
export class Lives {
  readonly expiresAt: Float64Array
  readonly deadline: Float64Array
  readonly idleMs: Float64Array

  constructor(slots: number, old?: Lives) {
    this.expiresAt = new Float64Array(slots)
    this.deadline = new Float64Array(slots)
    this.idleMs = new Float64Array(slots)
    if (old === undefined) return
    this.expiresAt.set(old.expiresAt)
    this.deadline.set(old.deadline)
    this.idleMs.set(old.idleMs)
  }
}

/** Decoded records kept for readers, by the low bits of the slot: at most 2 MiB of values, and no
 *  more places than the cache has slots. */
const DECODED_MAX = 4_096
const DECODED_VALUE_BYTES_MAX = 512

const SCRATCH = new Writer(1_024)
/** Up to here the least recently used record is found exactly, by looking at all. */
const EXACT_SLOTS_MAX = 1_024
/** Beyond it, the longest unused of so many drawn by chance: near the oldest 6 %, as good for a
 *  hit rate, and a tenth of the memory traffic of a list that every read must relink. */
const VICTIM_SAMPLES = 16
const VICTIM_DRAWS_MAX = 256

export class Region implements Addresses {
  /** Slots below it have been used at least once. */
  bound = 0
  lives: Lives | undefined = undefined
  #slots = SLOTS_MIN
  #cells = new Uint32Array(SLOTS_MIN * CELLS)
  /** By block: records in use, and a lower bound of when one of them expires, ms. */
  #used: number[] = []
  #soonest: number[] = []
  readonly #arena = new Arena(this)
  readonly #index = new IndexTable(slot => this.#cells[slot * CELLS + HASH])
  readonly #free: number[] = []
  /** As many places as `#decodedSlots`, which says whose record lies in each; -1: nobody's. */
  #decoded: (StoredRecord | undefined)[] = []
  #decodedSlots = new Int32Array(0)
  #uses = 0
  #draw = 1

  get size(): number {
    return this.#index.size
  }

  /** Bytes held, free places included. */
  get capacity(): number {
    return this.#arena.capacity
  }

  /** Records in the block of `slot`. */
  usedIn(slot: number): number {
    return this.#used[slot >> BLOCK_SHIFT]
  }

  /** No record of the block of `slot` expires before it. */
  soonestIn(slot: number): number {
    return this.#soonest[slot >> BLOCK_SHIFT]
  }

  setSoonestIn(slot: number, time: number): void {
    this.#soonest[slot >> BLOCK_SHIFT] = time
  }

  addressOf(slot: number): number {
    return this.#cells[slot * CELLS]
  }

  moved(slot: number, address: number): void {
    this.#cells[slot * CELLS] = address
  }

  /** True if a record lives in `slot`, `slot < bound`. */
  holds(slot: number): boolean {
    return this.#cells[slot * CELLS] !== NOWHERE
  }

  /** The slot of the key `source[start, end)`, or -1. */
  find(source: Uint8Array, start: number, end: number): number {
    const hash = hashBytes(source, start, end)
    const { cells, mask } = this.#index
    const count = end - start
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const slot = cells[i] - 1
      if (slot < 0) return -1
      if (this.#cells[slot * CELLS + HASH] !== hash) continue
      const address = this.#cells[slot * CELLS]
      if (this.#arena.keyBytes(address) !== count) continue
      const { bytes } = this.#arena.chunk(address)
      const at = this.#arena.keyAt(address) - start
      let n = start
      while (n < end && bytes[at + n] === source[n]) n++
      if (n === end) return slot
    }
  }

  /** The slot of `key`, or -1. */
  findText(key: string): number {
    const hash = hashAscii(key)
    if (hash < 0) {
      SCRATCH.reset()
      SCRATCH.utf8(key)
      return this.find(SCRATCH.view(), 0, SCRATCH.length)
    }
    const { cells, mask } = this.#index
    const count = key.length
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const slot = cells[i] - 1
      if (slot < 0) return -1
      if (this.#cells[slot * CELLS + HASH] !== hash) continue
      const address = this.#cells[slot * CELLS]
      if (this.#arena.keyBytes(address) !== count) continue
      const { bytes } = this.#arena.chunk(address)
      const at = this.#arena.keyAt(address)
      let n = 0
      while (n < count && bytes[at + n] === key.charCodeAt(n)) n++
      if (n === count) return slot
    }
  }

  /** The record was used now. */
  use(slot: number): void {
    this.#uses = (this.#uses + 1) >>> 0
    this.#cells[slot * CELLS + USED] = this.#uses
  }

  /** A slot for the key `source[start, end)`, which must be absent, with room for a value. */
  insert(source: Uint8Array, start: number, end: number, valueBytes: number): number {
    const slot = this.#free.length > 0 ? (this.#free.pop() as number) : this.#newSlot()
    this.#used[slot >> BLOCK_SHIFT]++
    const address = this.#arena.allocate(slot, end - start, valueBytes)
    copyBytes(source, start, end, this.#arena.chunk(address).bytes, this.#arena.keyAt(address))
    const hash = hashBytes(source, start, end)
    this.#cells[slot * CELLS] = address
    this.#cells[slot * CELLS + HASH] = hash
    this.use(slot)
    this.#index.add(slot, hash)
    return slot
  }

  #newSlot(): number {
    const slot = this.bound++
    if (slot === this.#slots) {
      this.#slots *= 2
      const cells = new Uint32Array(this.#slots * CELLS)
      cells.set(this.#cells)
      this.#cells = cells
      if (this.lives !== undefined) this.lives = new Lives(this.#slots, this.lives)
    }
    this.#cells[slot * CELLS] = NOWHERE
    if ((slot & BLOCK_MASK) === 0) {
      this.#used.push(0)
      this.#soonest.push(Number.POSITIVE_INFINITY)
    }
    return slot
  }

  /** The record's value becomes `source[start, end)`. */
  write(slot: number, source: Uint8Array, start: number, end: number): void {
    this.#forget(slot)
    let address = this.#cells[slot * CELLS]
    const arena = this.#arena
    if (arena.valueBytes(address) !== end - start) address = this.#resize(slot, end - start)
    const at = arena.keyAt(address) + arena.keyBytes(address)
    copyBytes(source, start, end, arena.chunk(address).bytes, at)
  }

  #resize(slot: number, valueBytes: number): number {
    const arena = this.#arena
    const keyBytes = arena.keyBytes(this.#cells[slot * CELLS])
    const address = arena.allocate(slot, keyBytes, valueBytes)
    // Read again: the allocation may have moved the old record.
    const old = this.#cells[slot * CELLS]
    const keyAt = arena.keyAt(old)
    const { bytes } = arena.chunk(old)
    copyBytes(bytes, keyAt, keyAt + keyBytes, arena.chunk(address).bytes, arena.keyAt(address))
    this.moved(slot, address)
    arena.release(old)
    return address
  }

  remove(slot: number): void {
    this.#forget(slot)
    const at = slot * CELLS
    this.#index.remove(slot, this.#cells[at + HASH])
    const address = this.#cells[at]
    this.#cells[at] = NOWHERE
    this.#arena.release(address)
    this.#used[slot >> BLOCK_SHIFT]--
    if (this.lives !== undefined) this.lives.expiresAt[slot] = 0
    this.#free.push(slot)
    this.#arena.tidy()
  }

  /** The offset that last set the value. */
  version(slot: number): number {
    const address = this.#cells[slot * CELLS]
    return this.#arena.chunk(address).f64[this.#arena.unit(address)]
  }

  /** The offset that last altered anything: `version <= changed`. */
  changed(slot: number): number {
    const address = this.#cells[slot * CELLS]
    return this.#arena.chunk(address).f64[this.#arena.unit(address) + 1]
  }

  stamp(slot: number, version: number, changed: number): void {
    this.#forget(slot)
    const address = this.#cells[slot * CELLS]
    const { f64 } = this.#arena.chunk(address)
    const unit = this.#arena.unit(address)
    f64[unit] = version
    f64[unit + 1] = changed
  }

  keyBytes(slot: number): number {
    return this.#arena.keyBytes(this.#cells[slot * CELLS])
  }

  valueBytes(slot: number): number {
    return this.#arena.valueBytes(this.#cells[slot * CELLS])
  }

  key(slot: number): string {
    const address = this.#cells[slot * CELLS]
    const at = this.#arena.keyAt(address)
    const { bytes } = this.#arena.chunk(address)
    const end = at + this.#arena.keyBytes(address)
    for (let i = at; i < end; i++) if (bytes[i] > 0x7f) return bytes.utf8Slice(at, end)
    return bytes.latin1Slice(at, end)
  }

  /** One byte a char. */
  value(slot: number): string {
    const address = this.#cells[slot * CELLS]
    const at = this.#arena.keyAt(address) + this.#arena.keyBytes(address)
    return this.#arena.chunk(address).bytes.latin1Slice(at, at + this.#arena.valueBytes(address))
  }

  writeKey(out: Writer, slot: number): void {
    const address = this.#cells[slot * CELLS]
    const at = this.#arena.keyAt(address)
    out.bytes(this.#arena.chunk(address).bytes, at, at + this.#arena.keyBytes(address))
  }

  writeValue(out: Writer, slot: number): void {
    const address = this.#cells[slot * CELLS]
    const at = this.#arena.keyAt(address) + this.#arena.keyBytes(address)
    out.bytes(this.#arena.chunk(address).bytes, at, at + this.#arena.valueBytes(address))
  }

  /** The record as readers see it; read again and again it is decoded once. */
  record(slot: number): StoredRecord {
    let place = slot & (this.#decodedSlots.length - 1)
    if (this.#decodedSlots[place] === slot) return this.#decoded[place] as StoredRecord
    const record = {
      value: this.value(slot),
      version: this.version(slot),
      expiresAt: this.expiresAt(slot),
    }
    if (record.value.length <= DECODED_VALUE_BYTES_MAX) {
      const places = Math.min(this.#slots, DECODED_MAX)
      if (this.#decoded.length !== places) {
        this.#decoded = new Array(places).fill(undefined)
        this.#decodedSlots = new Int32Array(places).fill(-1)
        place = slot & (places - 1)
      }
      this.#decoded[place] = record
      this.#decodedSlots[place] = slot
    }
    return record
  }

  /** Called before anything in the record changes. */
  #forget(slot: number): void {
    const place = slot & (this.#decodedSlots.length - 1)
    if (this.#decodedSlots[place] === slot) this.#decodedSlots[place] = -1
  }

  /** Cluster time in ms; 0: never. */
  expiresAt(slot: number): number {
    return this.lives === undefined ? 0 : this.lives.expiresAt[slot]
  }

  /** True if the record is past its life at cluster time `time`. */
  expired(slot: number, time: number): boolean {
    if (this.lives === undefined) return false
    const expiresAt = this.lives.expiresAt[slot]
    return expiresAt !== 0 && expiresAt <= time
  }

  setLife(slot: number, deadline: number, idleMs: number, expiresAt: number): void {
    if (this.lives === undefined) {
      if (expiresAt === 0 && deadline === 0 && idleMs === 0) return
      this.lives = new Lives(this.#slots)
    }
    this.#forget(slot)
    const { lives } = this
    lives.deadline[slot] = deadline
    lives.idleMs[slot] = idleMs
    lives.expiresAt[slot] = expiresAt
    const block = slot >> BLOCK_SHIFT
    if (expiresAt !== 0 && expiresAt < this.#soonest[block]) this.#soonest[block] = expiresAt
  }

  /** A record that was not used for long, and that is not in `passed`; -1 if none was met. */
  leastUsed(passed: ReadonlySet<number>): number {
    let found = -1
    let age = -1
    const exact = this.bound <= EXACT_SLOTS_MAX
    const draws = exact ? this.bound : VICTIM_DRAWS_MAX
    for (let n = 0, met = 0; n < draws && (exact || met < VICTIM_SAMPLES); n++) {
      // A linear congruential generator (Numerical Recipes): node-local, and any spread will do.
      this.#draw = (Math.imul(this.#draw, 1_664_525) + 1_013_904_223) >>> 0
      const slot = exact ? n : Math.floor((this.#draw / 2 ** 32) * this.bound)
      if (!this.holds(slot) || passed.has(slot)) continue
      met++
      const unused = (this.#uses - this.#cells[slot * CELLS + USED]) >>> 0
      if (unused <= age) continue
      age = unused
      found = slot
    }
    return found
  }
}

const HAND_BYTES_MAX = 24

function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Buffer,
  at: number,
): void {
  if (end - start <= HAND_BYTES_MAX) for (let i = start; i < end; i++) target[at++] = source[i]
  else Buffer.prototype.copy.call(source, target, at, start, end)
}

/** When a record used at `time` ends; 0: never. */
export function endOfLife(time: number, deadline: number, idleMs: number): number {
  if (idleMs === 0) return deadline
  const idleEnd = time + idleMs
  return deadline !== 0 && deadline < idleEnd ? deadline : idleEnd
}
