/**
 * One cache of records that are ordered by stamps. Every change is a join: it wins or loses by its
 * stamp alone, so the same changes leave the same records, in whatever order and however often they
 * come (Shapiro et al., conflict-free replicated data types, 2011).
 *
 *   record    (version, changed): the higher version wins, of one version the later change
 *   deleted   ends every version up to its stamp        \
 *   replaced  as deleted: what an evicted record had     | what ended a record is remembered until
 *             itself replaced, so below its version      | every member has met it
 *   evicted   ends that version, replaced + 1, if it was |
 *             changed up to its stamp                   /
 *   floor     a clear: ends every version up to its stamp, of all keys
 *   touch     changes one version; where that is not there yet, it is kept until it comes
 */
import type { Met } from '../contracts/stamped.js'
import { stampMs } from '../core/hybrid-clock.js'
import { type End, type Life, lifeTouched, type Touch } from '../wire/stamped-records.js'
import type { NamedCache } from './caches.js'
import { Leaves, RecordHash, type Seed, seedOf } from './leaves.js'
import { PAGE_MASK } from './page.js'
import { keyBytes, RECORD_BYTES } from './region.js'

export const NO_END: End = { deleted: 0, replaced: 0, evicted: 0, evictedBy: 0 }

/** Beyond, of what was touched before it came the touches that lie here longest are forgotten. */
const EARLY_MAX = 10_000

const HASH = new RecordHash()

export class StampedCache {
  readonly named: NamedCache
  readonly seed: Seed
  readonly leaves = new Leaves()
  /** A clear's stamp: no version up to it lives. */
  floor = 0
  /** In the order in which they were first met. */
  readonly ends = new Map<string, End>()
  /** Of each key the last touch of its highest version that is not here yet. */
  readonly early = new Map<string, Touch>()
  /** No record has a higher version. */
  #newest = 0

  readonly #apart: boolean

  /** `salt`: the same on all nodes of a cluster. `apart`: as StampedOptions.apart. */
  constructor(named: NamedCache, salt: string, apart: boolean) {
    this.named = named
    this.#apart = apart
    this.seed = seedOf(`${salt}/${named.name}`)
  }

  meet(key: string): Met {
    const slot = this.named.region.peek(key)
    const ended = Math.max(this.floor, this.ends.get(key)?.deleted ?? 0)
    if (slot < 0) return { version: 0, changed: 0, ended, expiresAt: 0 }
    const page = this.named.region.page(slot)
    const at = slot & PAGE_MASK
    const [version, changed] = [page.version(at), page.changed(at)]
    return { version, changed, ended, expiresAt: page.expiresAt(at) }
  }

  /** The stamps of a record in `slot`. */
  versionOf(slot: number): number {
    return this.named.region.page(slot).version(slot & PAGE_MASK)
  }

  changedOf(slot: number): number {
    return this.named.region.page(slot).changed(slot & PAGE_MASK)
  }

  /** True if a record of these stamps may not live here any more. */
  isEnded(key: string, version: number, changed: number): boolean {
    if (version <= this.floor) return true
    if (this.ends.size === 0) return false
    const end = this.ends.get(key)
    if (end === undefined) return false
    return endsIt(end, version, changed)
  }

  /** A whole record; false if what is here is as new. The value is `source[start, end)`. */
  put(
    key: string,
    version: number,
    changed: number,
    life: Life,
    source: Buffer,
    start: number,
    end: number,
  ): boolean {
    if (this.isEnded(key, version, changed)) return false
    const { named } = this
    const { region } = named
    let slot = region.use(key)
    const isNew = slot < 0
    if (!isNew) {
      const [own, ownChanged] = [this.versionOf(slot), this.changedOf(slot)]
      if (own > version || (own === version && ownChanged >= changed)) return false
      this.leaves.subtract(HASH.key(this.seed, key).record(own, ownChanged))
      named.bytes += end - start - region.page(slot).values.length(slot & PAGE_MASK)
    } else {
      slot = region.insert(key)
      named.entries++
      named.bytes += keyBytes(key) + RECORD_BYTES + end - start
      if (!this.#apart) this.ends.delete(key)
    }
    region.write(slot, source, start, end)
    const page = region.page(slot)
    const at = slot & PAGE_MASK
    page.stamp(at, version, changed)
    page.setLife(at, life.deadline, life.idleMs, life.expiresAt)
    this.leaves.add(HASH.key(this.seed, key).record(version, changed))
    if (version > this.#newest) this.#newest = version
    const early = this.early.get(key)
    if (early === undefined || early.version > version) return true
    this.early.delete(key)
    this.touch(key, early)
    return true
  }

  /** The record of `key` gets another life, if it is that version; false if nothing changed. */
  touch(key: string, touch: Touch): boolean {
    const { version, changed } = touch
    const slot = this.named.region.use(key)
    const own = slot < 0 ? 0 : this.versionOf(slot)
    if (own < version) this.#keepEarly(key, touch)
    if (slot < 0 || own !== version) return false
    const former = this.changedOf(slot)
    if (former >= changed) return false
    const page = this.named.region.page(slot)
    const at = slot & PAGE_MASK
    const next = lifeTouched(touch, stampMs(changed), {
      deadline: page.deadline(at),
      idleMs: page.idleMs(at),
      expiresAt: page.expiresAt(at),
    })
    this.leaves.subtract(HASH.key(this.seed, key).record(version, former))
    this.leaves.add(HASH.record(version, changed))
    page.stamp(at, version, changed)
    page.setLife(at, next.deadline, next.idleMs, next.expiresAt)
    return true
  }

  /** Else it would be lost where another origin's version comes after it. */
  #keepEarly(key: string, touch: Touch): void {
    // Records that lie apart are touched where they lie.
    if (this.#apart || this.isEnded(key, touch.version, touch.changed)) return
    const known = this.early.get(key)
    if (known !== undefined && !isLater(touch, known)) return
    this.early.delete(key)
    this.early.set(key, touch)
    if (this.early.size <= EARLY_MAX) return
    const [oldest] = this.early.keys()
    this.early.delete(oldest)
  }

  /** True if another node tells by it that copies of `key` are old, and it was not known here: not
   *  that its own copy expired, or found no room. */
  isNews(key: string, { deleted, evicted, evictedBy }: End): boolean {
    const known = this.ends.get(key) ?? NO_END
    return deleted > known.deleted || (evictedBy > evicted && evictedBy > known.evictedBy)
  }

  /** Something ended the records of `key`; true if there was one here. A record that outlives it
   *  is all that needs to be known of the key. `told`: by another node. Of records apart none
   *  outlives that: clocks may be 2 s apart, so a stamp does not say which was first. */
  end(key: string, what: End, told: boolean): boolean {
    const early = this.early.get(key)
    if (early !== undefined && endsIt(what, early.version, early.changed)) this.early.delete(key)
    const slot = this.named.region.peek(key)
    const isOver = this.#apart && told
    const outlives =
      slot >= 0 && !isOver && !endsIt(what, this.versionOf(slot), this.changedOf(slot))
    if (outlives && !this.#apart) return false
    const former = this.ends.get(key) ?? NO_END
    const { replaced, evicted, evictedBy } = endsMore(what, former) ? what : former
    const deleted = Math.max(what.deleted, former.deleted)
    const end: End = { deleted, replaced, evicted, evictedBy }
    if (highest(end) > this.floor) this.ends.set(key, end)
    if (slot < 0 || outlives) return false
    this.remove(slot, key)
    return true
  }

  /** Takes the record away: nothing of it is remembered. */
  remove(slot: number, key: string): void {
    const { named } = this
    const { region } = named
    const bytes = region.recordBytes(slot)
    this.leaves.subtract(
      HASH.key(this.seed, key).record(this.versionOf(slot), this.changedOf(slot)),
    )
    if (named.proposed.size > 0 && named.proposed.delete(slot)) named.proposedBytes -= bytes
    region.remove(slot)
    named.entries--
    named.bytes -= bytes
    named.shrink()
  }

  /** As if nothing had ever been here. */
  forget(): void {
    this.named.clear()
    this.leaves.clear()
    this.ends.clear()
    this.early.clear()
    this.floor = 0
    this.#newest = 0
  }

  /** Slots of the records above version `met` that a clear of `stamp` is about to wipe. */
  *wipedAbove(met: number, stamp: number): Iterable<number> {
    if (this.#newest <= met || stamp <= this.floor) return
    const { region } = this.named
    for (let slot = 0; slot < region.bound; slot++) {
      if ((region.key(slot) as string | undefined) === undefined) continue
      const version = this.versionOf(slot)
      if (version > met && version <= stamp) yield slot
    }
  }

  /** Ends every version up to `stamp`; false if another clear did. `told`: as that of end(). */
  clear(stamp: number, told: boolean): boolean {
    const all = this.#apart && told
    if (stamp <= this.floor && !all) return false
    this.floor = Math.max(this.floor, stamp)
    for (const [key, end] of this.ends) if (highest(end) <= stamp) this.ends.delete(key)
    for (const [key, { version }] of this.early) if (version <= stamp) this.early.delete(key)
    const { named } = this
    if (all || this.#newest <= stamp) {
      named.clear()
      this.leaves.clear()
      this.#newest = 0
      return true
    }
    const { region } = named
    for (let slot = 0; slot < region.bound; slot++) {
      const key = region.key(slot) as string | undefined
      if (key !== undefined && this.versionOf(slot) <= stamp) this.remove(slot, key)
      // An emptied region gives its slots back, and begins anew.
      if (named.region !== region) return true
    }
    return true
  }
}

function isLater(one: Touch, other: Touch): boolean {
  if (one.version !== other.version) return one.version > other.version
  return one.changed > other.changed
}

function endsIt({ deleted, replaced, evicted }: End, version: number, changed: number): boolean {
  if (version <= deleted || version <= replaced) return true
  // A later version may be stamped below the last change of this one: it was not there to be ended.
  return version === replaced + 1 && changed <= evicted
}

/** Of two evictions the one that ends more: who has met the other one alone must be told of it. */
function endsMore(one: End, other: End): boolean {
  if (one.replaced !== other.replaced) return one.replaced > other.replaced
  if (one.evicted !== other.evicted) return one.evicted > other.evicted
  return one.evictedBy > other.evictedBy
}

export function highest({ deleted, replaced, evicted, evictedBy }: End): number {
  return Math.max(deleted, replaced, evicted, evictedBy)
}

/** True if whoever has met all stamps that `hasMet` says needs not be told of `end`. */
export function isMet({ deleted, evictedBy }: End, hasMet: (stamp: number) => boolean): boolean {
  return (deleted === 0 || hasMet(deleted)) && (evictedBy === 0 || hasMet(evictedBy))
}
