/**
 * Records as they travel between two stores that compare each other: all of some leaves, in
 * slices, while writes go on. No order needs to be kept, because whatever is written meanwhile wins
 * or loses by its stamp.
 *
 *   what (of openSnapshot):  128 bytes, a bit for each leaf whose records are wanted | f64 seen
 *     | to the end: u8 origin, f64 from, f64 upto: ends with stamps within are not wanted
 *   slice: wire/stamped-records.ts
 */
import type { SnapshotState } from '../contracts/strategy.js'
import { Reader, Writer } from '../wire/bytes.js'
import {
  type End,
  readTouchItem,
  STAMPED_ITEM,
  STAMPED_LAYOUT,
  type Touch,
  writeEnd,
  writeFloor,
  writeInto,
  writeTouchItem,
} from '../wire/stamped-records.js'
import { LEAVES, RecordHash } from './leaves.js'
import { PAGE_MASK, PAGE_SHIFT } from './page.js'
import type { Region } from './region.js'
import { RECORD_ITEM_BYTES, RecordItem, writeRecordItem } from './slice.js'
import { highest, isMet, type StampedCache } from './stamped-cache.js'

/** An end, or a touch. */
const END_BYTES = 1 + 2 + 1 + 32
const WANTED_BYTES = LEAVES / 8
/** A call looks at so many slots and ends at most: about 2 ms. */
const LOOKS_MAX = 20_000

const OUT = new Writer(2 ** 18 + 65_536)
const HASH = new RecordHash()

/** Of one cache. */
interface Part {
  readonly cache: StampedCache
  region: Region
  slot: number
  ends: Iterator<[string, End | Touch]> | undefined
}

export class StampedWalk {
  readonly #wanted: Uint8Array
  readonly #step: number
  readonly #seen: number
  /** What the other side has met, by origin. */
  readonly #met = new Map<number, { from: number; upto: number }>()
  readonly #parts: Part[] = []
  #begun = false
  /** An end that found no room in the last slice. */
  #held: [string, End | Touch] | undefined

  /** `step`: a stamp's remainder by it names its origin. */
  constructor(caches: Iterable<StampedCache>, what: Uint8Array, step: number) {
    const reader = new Reader(what)
    this.#wanted = reader.copy(WANTED_BYTES)
    this.#seen = reader.whole()
    while (reader.left > 0)
      this.#met.set(reader.u8(), { from: reader.whole(), upto: reader.whole() })
    this.#step = step
    for (const cache of caches)
      this.#parts.push({ cache, region: cache.named.region, slot: 0, ends: undefined })
  }

  read(bytesMax: number): { slice: Uint8Array; state: SnapshotState } {
    const out = OUT
    out.reset()
    out.u8(STAMPED_LAYOUT)
    out.u8(STAMPED_ITEM.seen)
    out.f64(this.#seen)
    if (!this.#begun) this.#writeFloors(out)
    this.#begun = true
    let looks = 0
    while (this.#parts.length > 0) {
      const part = this.#parts[0]
      writeInto(out, part.cache.named.name)
      looks = this.#writeRecords(out, part, bytesMax, looks)
      if (looks < LOOKS_MAX) looks = this.#writeEnds(out, part, bytesMax, looks)
      if (looks >= LOOKS_MAX) return { slice: out.copy(), state: 'more' }
      this.#parts.shift()
    }
    return { slice: out.copy(), state: 'done' }
  }

  #writeFloors(out: Writer): void {
    for (const { cache } of this.#parts)
      if (cache.floor !== 0) writeFloor(out, cache.named.name, cache.floor)
  }

  /** Returns the looks so far; LOOKS_MAX if the slice is full. */
  #writeRecords(out: Writer, part: Part, bytesMax: number, before: number): number {
    const { cache } = part
    let looks = before
    // A cleared region holds nothing any more.
    if (cache.named.region !== part.region) part.slot = part.region.bound
    for (const { region } = part; part.slot < region.bound; part.slot++) {
      if (looks++ >= LOOKS_MAX) return LOOKS_MAX
      const page = region.pages[part.slot >> PAGE_SHIFT]
      const at = part.slot & PAGE_MASK
      const key = page.keys[at]
      if (key === undefined || !this.#wants(cache, key)) continue
      const bytes = RECORD_ITEM_BYTES + key.length * 3 + page.values.length(at)
      if (out.length + bytes > bytesMax && out.length > 1_024) return LOOKS_MAX
      writeRecordItem(out, page, at)
    }
    return looks
  }

  #writeEnds(out: Writer, part: Part, bytesMax: number, before: number): number {
    const { cache } = part
    let looks = before
    part.ends ??= endsOf(cache)
    for (;;) {
      const next = this.#held ?? part.ends.next().value
      this.#held = undefined
      if (next === undefined) return looks
      const [key, end] = next
      if (looks++ >= LOOKS_MAX || out.length + END_BYTES + key.length * 3 > bytesMax) {
        this.#held = next
        return LOOKS_MAX
      }
      if ('version' in end) {
        if (!this.#hasMet(end.changed)) writeTouchItem(out, key, end)
      } else if (!isMet(end, stamp => this.#hasMet(stamp))) writeEnd(out, key, end)
    }
  }

  #hasMet(stamp: number): boolean {
    const met = this.#met.get(stamp % this.#step)
    return met !== undefined && met.from < stamp && stamp <= met.upto
  }

  #wants(cache: StampedCache, key: string): boolean {
    const { leaf } = HASH.key(cache.seed, key)
    return (this.#wanted[leaf >> 3] & (1 << (leaf & 7))) !== 0
  }
}

/** Touches first: one may save what an eviction would end. */
function* endsOf(cache: StampedCache): Generator<[string, End | Touch], undefined> {
  yield* cache.early
  yield* cache.ends
}

/** Where the items of a slice go. */
export interface SliceTarget {
  /** Undefined: one cache too many. */
  cache(name: string): StampedCache | undefined
  /** A record or an end above it is refused. */
  stampMax: number
  /** A record or a deletion is about to win or to lose, whose `version` had not seen what is
   *  above `seen`. `value`: undefined for a deletion. */
  judge(cache: StampedCache, key: string, seen: number, version: number, value?: () => string): void
  /** A clear is about to wipe this node's writes up to `floor`; it had not seen those above
   *  `seen`. */
  judgeClear(cache: StampedCache, seen: number, floor: number): void
  onPut(cache: StampedCache, item: RecordItem): void
  onTouch(cache: StampedCache, key: string, touch: Touch): void
  onEnd(cache: StampedCache, key: string, end: End): void
  onClear(cache: StampedCache): void
}

const ITEM_READ = new RecordItem()

/** Joins a slice of another store into this one. Throws PROTOCOL_ERROR; what came before the bad
 *  item is joined by then. Returns the highest stamp in it that was let in. */
export function joinSlice(slice: Uint8Array, target: SliceTarget): number {
  const reader = new Reader(slice)
  if (reader.u8() !== STAMPED_LAYOUT) reader.fail('unknown layout of records')
  let into: StampedCache | undefined
  let newest = 0
  let seen = Number.MAX_SAFE_INTEGER
  const letIn = (stamp: number): boolean => {
    if (stamp > target.stampMax) return false
    if (stamp > newest) newest = stamp
    return true
  }
  while (reader.left > 0) {
    const kind = reader.u8()
    if (kind === STAMPED_ITEM.seen) seen = reader.whole()
    else if (kind === STAMPED_ITEM.into) into = target.cache(reader.text8())
    else if (kind === STAMPED_ITEM.record) {
      ITEM_READ.read(reader, Number.POSITIVE_INFINITY)
      if (letIn(ITEM_READ.changed) && into !== undefined) joinRecord(reader, into, seen, target)
    } else if (kind === STAMPED_ITEM.touch) {
      const key = reader.text16()
      const touch = readTouchItem(reader)
      if (letIn(touch.changed) && into?.touch(key, touch)) target.onTouch(into, key, touch)
    } else if (kind === STAMPED_ITEM.end) {
      const key = reader.text16()
      const [deleted, replaced] = [reader.whole(), reader.whole()]
      const end = { deleted, replaced, evicted: reader.whole(), evictedBy: reader.whole() }
      if (letIn(highest(end)) && into !== undefined) joinEnd(key, end, into, seen, target)
    } else if (kind === STAMPED_ITEM.floor) {
      const cache = target.cache(reader.text8())
      const floor = reader.whole()
      if (letIn(floor) && cache !== undefined) joinFloor(cache, seen, floor, target)
    } else reader.fail(`unknown item ${kind}`)
  }
  return newest
}

function joinRecord(reader: Reader, into: StampedCache, seen: number, target: SliceTarget): void {
  const { key, version, changed, deadline, idleMs, expiresAt } = ITEM_READ
  const life = { deadline, idleMs, expiresAt }
  const { valueStart, valueEnd } = ITEM_READ
  const value = () => reader.source.latin1Slice(valueStart, valueEnd)
  target.judge(into, key, seen, version, value)
  if (into.put(key, version, changed, life, reader.source, valueStart, valueEnd))
    target.onPut(into, ITEM_READ)
}

function joinFloor(into: StampedCache, seen: number, floor: number, target: SliceTarget): void {
  target.judgeClear(into, seen, floor)
  if (into.clear(floor, floor > into.floor)) target.onClear(into)
}

function joinEnd(
  key: string,
  end: End,
  into: StampedCache,
  seen: number,
  target: SliceTarget,
): void {
  if (end.deleted !== 0) target.judge(into, key, seen, end.deleted)
  if (into.end(key, end, into.isNews(key, end))) target.onEnd(into, key, end)
}
