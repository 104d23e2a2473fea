/**
 * One snapshot being read while writes go on: the exact state at S, without a pause or a copy of
 * all (PROTOCOL 12 of the design). Records changed below S are walked by slot; what an entry is
 * about to touch ahead of the walk is encoded first and leaves with the next slice.
 *
 *        slots of a region:  0 ........ next ........ bound        made after S
 *                            [ sent or gone )[ to walk, unless held )[ not walked
 */
import { LIMITS } from '../config.js'
import type { SnapshotState } from '../contracts/strategy.js'
import type { Offset } from '../contracts/types.js'
import { Writer } from '../wire/bytes.js'
import type { Caches, NamedCache } from './caches.js'
import { PAGE_MASK, PAGE_SHIFT, PAGE_SLOTS } from './page.js'
import type { Region } from './region.js'
import {
  RECORD_ITEM_BYTES,
  SLICE_VERSION,
  writeCacheItem,
  writeIntoItem,
  writeRecordItem,
  writeWindowItem,
} from './slice.js'
import type { Window } from './windows.js'

/** A call stops after so many records, or slots without one, whatever its bytes: about 2 ms. */
const RECORDS_PER_SLICE_MAX = 2_000
const SLOTS_PER_SLICE_MAX = 100_000

/** One cache's region as it was at S. */
interface Part {
  readonly cache: NamedCache
  readonly region: Region
  readonly bound: number
  /** Slots below it are done. */
  next: number
  /** A bit for every slot that was held by first touch: the walk passes over it. */
  readonly held: Uint8Array
}

/** An item encoded ahead of the walk, and the applied offset at which that happened. */
interface Held {
  readonly at: Offset
  /** The cache that a record belongs to; undefined for other items. */
  readonly into: string | undefined
  readonly bytes: Uint8Array
}

export interface Slice {
  slice: Uint8Array
  next: Offset
  state: SnapshotState
}

const EMPTY = new Uint8Array(0)
const ITEM_WRITER = new Writer(65_536)
const SLICE_WRITER = new Writer(LIMITS.snapshotSliceBytes + 65_536)

export class Walk {
  readonly #at: Offset
  readonly #pendingBytesMax: number
  /** Those done are taken out, so that a cleared region is not kept for long. */
  readonly #parts: Part[] = []
  readonly #partOf = new Map<Region, Part>()
  /** Windows of S that are not sent yet, in any order. */
  readonly #windows: Set<Window>
  #pending: Held[] = []
  #pendingHead = 0
  #pendingBytes = 0
  #overflow = false

  /** `at`: S. Costs a bit for each slot, and nothing for each record. */
  constructor(at: Offset, caches: Caches, windows: Iterable<Window>, pendingBytesMax: number) {
    this.#at = at
    this.#pendingBytesMax = pendingBytesMax
    this.#windows = new Set(windows)
    for (const cache of caches.list) {
      this.#hold(at, undefined, out => writeCacheItem(out, cache))
      const { region } = cache
      const held = new Uint8Array((region.bound + 7) >> 3)
      const part = { cache, region, bound: region.bound, next: 0, held }
      this.#parts.push(part)
      this.#partOf.set(region, part)
    }
  }

  /** Called before an entry that meets the record in `slot` is decided. `applied`: the next entry
   *  boundary below which a slave may already be. */
  touchRecord(region: Region, slot: number, applied: Offset): void {
    const part = this.#partOf.get(region)
    if (part === undefined || slot < part.next || slot >= part.bound || this.#overflow) return
    const bit = 1 << (slot & 7)
    const page = region.page(slot)
    const at = slot & PAGE_MASK
    if (page.changed(at) >= this.#at) return
    if ((part.held[slot >> 3] & bit) !== 0) return
    part.held[slot >> 3] |= bit
    this.#hold(applied, part.cache.name, out => writeRecordItem(out, page, at))
  }

  /** Called before an entry alters `window` or takes it away. */
  touchWindow(window: Window, applied: Offset): void {
    if (!this.#overflow && this.#windows.delete(window))
      this.#hold(applied, undefined, out => writeWindowItem(out, window))
  }

  #hold(at: Offset, into: string | undefined, write: (out: Writer) => void): void {
    ITEM_WRITER.reset()
    write(ITEM_WRITER)
    const bytes = ITEM_WRITER.copy()
    this.#pending.push({ at, into, bytes })
    this.#pendingBytes += bytes.length
    if (this.#pendingBytes > this.#pendingBytesMax) this.overflow()
  }

  /** The copy must begin anew; frees everything. */
  overflow(): void {
    this.#overflow = true
    this.#pending = []
    this.#pendingBytes = 0
    this.#parts.length = 0
    this.#partOf.clear()
    this.#windows.clear()
  }

  /**
   * The next slice, of at least one item if there is any, and otherwise at most `bytesMax`. `next`:
   * entries below it may follow the slice; while held items remain, none newer than what they
   * precede.
   */
  read(applied: Offset, bytesMax: number): Slice {
    if (this.#overflow) return { slice: EMPTY, next: applied, state: 'overflow' }
    const out = SLICE_WRITER
    out.reset()
    out.u8(SLICE_VERSION)
    const drained = this.#writePending(out, bytesMax)
    const done = drained && this.#writeRecords(out, bytesMax) && this.#writeWindows(out, bytesMax)
    const next = drained ? applied : this.#pending[this.#pendingHead].at
    return { slice: out.copy(), next, state: done ? 'done' : 'more' }
  }

  #writePending(out: Writer, bytesMax: number): boolean {
    let into: string | undefined
    while (this.#pendingHead < this.#pending.length) {
      const item = this.#pending[this.#pendingHead]
      const more = item.bytes.length + (item.into === undefined ? 0 : item.into.length * 3 + 2)
      if (out.length > 1 && out.length + more > bytesMax) return false
      if (item.into !== undefined && item.into !== into) {
        into = item.into
        writeIntoItem(out, into)
      }
      out.bytes(item.bytes)
      this.#pendingBytes -= item.bytes.length
      this.#pendingHead++
    }
    this.#pending = []
    this.#pendingHead = 0
    return true
  }

  /** True when no part is left. */
  #writeRecords(out: Writer, bytesMax: number): boolean {
    let records = 0
    let slots = 0
    while (this.#parts.length > 0) {
      const part = this.#parts[0]
      const { region, bound } = part
      let named = false
      // A cleared region holds nothing that a reader of S + n could still meet.
      if (part.cache.region !== region) part.next = bound
      while (part.next < bound) {
        const slot = part.next
        const page = region.pages[slot >> PAGE_SHIFT]
        if (page.used === 0) {
          part.next = Math.min(bound, (slot | PAGE_MASK) + 1)
          slots += PAGE_SLOTS / 16
          continue
        }
        if (++slots > SLOTS_PER_SLICE_MAX) return false
        const at = slot & PAGE_MASK
        const key = page.keys[at]
        const walked = key !== undefined && page.changed(at) < this.#at
        if (walked && (part.held[slot >> 3] & (1 << (slot & 7))) === 0) {
          const bytes = RECORD_ITEM_BYTES + key.length * 3 + page.values.length(at)
          if (records === RECORDS_PER_SLICE_MAX) return false
          if (out.length > 1 && out.length + bytes > bytesMax) return false
          if (!named) writeIntoItem(out, part.cache.name)
          named = true
          writeRecordItem(out, page, at)
          records++
        }
        part.next = slot + 1
      }
      this.#partOf.delete(region)
      this.#parts.shift()
    }
    return true
  }

  #writeWindows(out: Writer, bytesMax: number): boolean {
    for (const window of this.#windows) {
      const bytes = 64 + (window.highest - window.lowest) * 11
      if (out.length > 1 && out.length + bytes > bytesMax) return false
      writeWindowItem(out, window)
      this.#windows.delete(window)
    }
    return true
  }
}
