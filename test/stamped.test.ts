/**
 * The store of stamped records against a naive one, under seeds: the same changes in any order,
 * some of them twice, leave the same records, sums and answers.
 */
import { describe, expect, it } from 'vitest'
import { JOIN_GROUP } from '../src/contracts/stamped.js'
import type { Batch } from '../src/contracts/types.js'
import { firstStampOf } from '../src/core/hybrid-clock.js'
import { type SeededRandom, seededRandom } from '../src/core/prng.js'
import { LEAVES_BYTES } from '../src/store/leaves.js'
import { StampedStore } from '../src/store/stamped.js'
import { encodeBatch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import {
  OP,
  writeDelete,
  writeExpire,
  writePlain,
  writeSet,
  writeTouch,
} from '../src/wire/command.js'

const STEP = 4
const NOW = 1_700_000_000_000
/** All leaves, of somebody who has met nothing of the other side. */
const ALL_LEAVES = Buffer.concat([Buffer.alloc(128, 255), Buffer.alloc(8)])
const MAX = Number.MAX_SAFE_INTEGER

function store(self = 0): StampedStore {
  return new StampedStore({ self, step: STEP, salt: 'test' })
}

interface Change {
  readonly op: 'set' | 'delete' | 'touch' | 'evict' | 'clear'
  readonly stamp: number
  readonly key: string
  readonly value: string
  readonly base: number
  /** Of an eviction: the version, where that was changed since. */
  readonly version?: number
}

function commandOf({ op, key, value, base, stamp, version }: Change): Uint8Array {
  const out = new Writer()
  const ifVersion = base === 0 ? undefined : base
  if (op === 'set') writeSet(out, 'c', key, Buffer.from(value), { ifVersion })
  else if (op === 'delete') writeDelete(out, 'c', key, { ifVersion })
  else if (op === 'touch') writeTouch(out, 'c', key, { ifVersion: base, ttlMs: stamp % 100_000 })
  else if (op === 'evict') writeExpire(out, OP.evict, 'c', key, base, version)
  else writePlain(out, OP.clear, 'c', '')
  return out.copy()
}

/** As an entry of its origin: every store applies it through a face of its own. */
class Origin {
  #next = 1
  readonly #life: Batch['epoch']

  constructor(ordinal: number) {
    this.#life = { number: NOW * 256 + ordinal, incarnation: 'a'.repeat(16) }
  }

  batch(change: Change): Batch {
    const bytes = commandOf(change)
    const entry = { id: 1, ack: 'none', client: null, seq: 0, bytes, start: 0 } as const
    const first = this.#next++
    return encodeBatch(this.#life, first, change.stamp, 0, [{ ...entry, end: bytes.length }])
  }
}

function apply(to: StampedStore, changes: readonly Change[]): void {
  for (const change of changes) to.face(2).apply(new Origin(1).batch(change))
}

/** The rules of a join, said as plainly as can be: what lives is what nothing ended. */
class Model {
  readonly changes: Change[] = []

  live(key: string): { value: string; version: number; changed: number } | undefined {
    const cleared = Math.max(0, ...this.of('clear', undefined).map(({ stamp }) => stamp))
    const deleted = Math.max(0, ...this.of('delete', key).map(({ stamp }) => stamp))
    const sets = this.of('set', key).filter(({ stamp }) => stamp > Math.max(cleared, deleted))
    const best = sets.sort((a, b) => b.stamp - a.stamp)[0]
    if (best === undefined) return undefined
    const touches = this.of('touch', key).filter(({ base }) => base === best.stamp)
    const changed = Math.max(best.stamp, ...touches.map(({ stamp }) => stamp))
    return { value: best.value, version: best.stamp, changed }
  }

  of(op: Change['op'], key: string | undefined): Change[] {
    return this.changes.filter(one => one.op === op && (key === undefined || one.key === key))
  }
}

/** Touches follow the version that they touch, as an origin that holds it would say them. */
function someChanges(random: SeededRandom, count: number): Change[] {
  const changes: Change[] = []
  const versions: { key: string; stamp: number }[] = []
  for (let i = 0; i < count; i++) {
    const stamp = firstStampOf(NOW + i) + random.below(STEP)
    const key = `k${random.below(12)}`
    const what = random.below(20)
    const last = versions.findLast(one => one.key === key)
    if (what === 19) changes.push({ op: 'clear', stamp, key: '', value: '', base: 0 })
    else if (what >= 16) changes.push({ op: 'delete', stamp, key, value: '', base: 0 })
    else if (what >= 12 && last !== undefined)
      changes.push({ op: 'touch', stamp, key, value: '', base: last.stamp })
    else {
      changes.push({ op: 'set', stamp, key, value: `${i}`, base: 0 })
      versions.push({ key, stamp })
    }
  }
  return changes
}

function shuffled<T>(random: SeededRandom, items: readonly T[]): T[] {
  const all = [...items]
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[all[i], all[j]] = [all[j], all[i]]
  }
  return all
}

/** All records of `from`, joined into `to`. */
function join(from: StampedStore, to: StampedStore, sliceBytes = 2_048): void {
  const face = from.face(JOIN_GROUP)
  face.openSnapshot(1, ALL_LEAVES)
  for (;;) {
    const { slice, state } = face.readSnapshot(1, sliceBytes)
    to.face(JOIN_GROUP).install(MAX, slice, false)
    if (state !== 'more') return
  }
}

const keys = Array.from({ length: 12 }, (_, i) => `k${i}`)

function recordsOf(of: StampedStore): Record<string, unknown> {
  return Object.fromEntries(keys.map(key => [key, of.peek('c', key)]))
}

describe.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i of changes', seed => {
  it('leaves in order what the model says', () => {
    const random = seededRandom(seed)
    const changes = someChanges(random, 300)
    const model = new Model()
    const real = store()
    for (const change of changes) {
      model.changes.push(change)
      apply(real, [change])
    }
    for (const key of keys) {
      const expected = model.live(key)
      const found = real.peek('c', key)
      expect(
        found && { value: found.value, version: found.version, changed: found.changed },
      ).toEqual(expected)
    }
  })

  it('leaves the same in any order, and twice', () => {
    const random = seededRandom(seed + 100)
    const changes = someChanges(random, 200)
    const [a, b] = [store(), store()]
    apply(a, changes)
    apply(b, [...shuffled(random, changes), ...shuffled(random, changes)])
    expect(recordsOf(b)).toEqual(recordsOf(a))
    expect(b.digest()).toBe(a.digest())
    expect(Buffer.from(b.leaves())).toEqual(Buffer.from(a.leaves()))
    expect(b.stats()).toEqual(a.stats())
  })

  it('of which two stores hold different halves are the same once they have joined', () => {
    const random = seededRandom(seed + 200)
    const changes = someChanges(random, 300)
    const [a, b, all] = [store(), store(), store()]
    apply(all, changes)
    for (const change of changes) apply(random.below(2) === 0 ? a : b, [change])
    join(a, b)
    join(b, a)
    expect(recordsOf(b)).toEqual(recordsOf(a))
    expect(a.digest()).toBe(b.digest())
    const again = a.digest()
    join(b, a, 200)
    expect(a.digest()).toBe(again)
  })
})

describe('sums of a store', () => {
  it('are those of its records: none for none, and the same after a detour', () => {
    const empty = store()
    expect(empty.leaves().length).toBe(LEAVES_BYTES)
    expect(empty.leaves().every(byte => byte === 0)).toBe(true)
    const one = store()
    const set = { op: 'set', key: 'k1', value: 'x', base: 0 } as const
    apply(one, [{ ...set, stamp: firstStampOf(NOW) }])
    const before = one.digest()
    expect(before).not.toBe(empty.digest())
    apply(one, [{ ...set, key: 'k2', stamp: firstStampOf(NOW + 1) }])
    expect(one.digest()).not.toBe(before)
    apply(one, [{ op: 'delete', stamp: firstStampOf(NOW + 2), key: 'k2', value: '', base: 0 }])
    expect(one.digest()).toBe(before)
    const salted = new StampedStore({ self: 0, step: STEP, salt: 'other' })
    apply(salted, [{ ...set, stamp: firstStampOf(NOW) }])
    expect(salted.digest()).not.toBe(before)
  })
})

describe('what ended a record', () => {
  const at = (ms: number) => firstStampOf(NOW + ms)
  const set = (ms: number, value = 'x'): Change => ({
    ...{ op: 'set', stamp: at(ms), key: 'k1', value, base: 0 },
  })

  it('keeps an older copy out until it is forgotten', () => {
    const one = store()
    apply(one, [set(5)])
    apply(one, [{ op: 'delete', stamp: at(10), key: 'k1', value: '', base: at(5) }])
    expect(one.endCount).toBe(1)
    apply(one, [set(7)])
    expect(one.peek('c', 'k1')).toBeUndefined()
    expect(one.forgetEnds(stamp => stamp > at(10), 0)).toBe(0)
    expect(one.endCount).toBe(1)
    expect(one.forgetEnds(stamp => stamp <= at(10), 0)).toBe(0)
    expect(one.endCount).toBe(0)
  })

  it('is forgotten when it is old, and that is told', () => {
    const one = store()
    apply(one, [{ op: 'delete', stamp: at(10), key: 'k1', value: '', base: 0 }])
    expect(one.forgetEnds(() => false, at(10))).toBe(0)
    expect(one.forgetEnds(() => false, at(11))).toBe(at(10))
    expect(one.endCount).toBe(0)
  })

  it('by eviction spares a record that was changed since, and nothing older', () => {
    const evict: Change = { op: 'evict', stamp: at(20), key: 'k1', value: '', base: at(5) }
    const touch: Change = { op: 'touch', stamp: at(8), key: 'k1', value: '', base: at(5) }
    const [touched, gone] = [store(), store()]
    apply(touched, [set(5), touch, evict])
    expect(touched.peek('c', 'k1')?.changed).toBe(at(8))
    apply(gone, [set(5), evict, set(3, 'older')])
    expect(gone.peek('c', 'k1')).toBeUndefined()
  })

  it('by eviction spares a later version, though that is stamped below what ended it', () => {
    const touch: Change = { op: 'touch', stamp: at(8), key: 'k1', value: '', base: at(5) }
    const evict: Change = { ...touch, op: 'evict', stamp: at(20), base: at(8), version: at(5) }
    const later = set(7, 'later')
    for (const order of [
      [set(5), touch, evict, later],
      [set(5), touch, later, evict],
      [evict, later, set(5), touch],
    ]) {
      const one = store()
      apply(one, order)
      expect(one.peek('c', 'k1')?.value).toBe('later')
    }
    const gone = store()
    apply(gone, [set(5), touch, evict, set(5)])
    expect(gone.peek('c', 'k1')).toBeUndefined()
  })

  it('by eviction is by a stamp that was there, or by none: what is none may not travel on', () => {
    const evict: Change = { op: 'evict', stamp: at(20), key: 'k1', value: '', base: at(5) + 0.5 }
    const [one, other] = [store(), store()]
    apply(one, [set(5), evict, { ...evict, base: at(30) }, { ...evict, base: Number.NaN }])
    apply(one, [{ ...evict, base: at(5), version: 0.5 }])
    expect(one.peek('c', 'k1')?.version).toBe(at(5))
    join(one, other)
    expect(other.digest()).toBe(one.digest())
  })

  it('by its own time leaves a mark, so that an older one that lives for ever stays away', () => {
    const one = store()
    const out = new Writer()
    writeSet(out, 'c', 'k1', Buffer.from('short'), { ttlMs: 100 })
    const bytes = out.copy()
    const entry = { id: 1, ack: 'none', client: null, seq: 0, bytes, start: 0 } as const
    const life = { number: NOW * 256 + 1, incarnation: 'a'.repeat(16) }
    one.face(2).apply(encodeBatch(life, 1, at(5), 0, [{ ...entry, end: bytes.length }]))
    expect(one.get('c', 'k1', NOW + 104)?.value).toBe('short')
    expect(one.get('c', 'k1', NOW + 106)).toBeUndefined()
    one.housekeeping(NOW + 1_000, 100)
    expect(one.stats().entries).toBe(1)
    one.housekeeping(NOW + 3_000, 100)
    expect(one.stats().entries).toBe(0)
    apply(one, [set(3, 'older')])
    expect(one.peek('c', 'k1')).toBeUndefined()
    apply(one, [set(9, 'newer')])
    expect(one.peek('c', 'k1')?.value).toBe('newer')
  })

  it('by its own time spares a later version, though that is stamped below the last touch', () => {
    const one = store()
    apply(one, [set(5), { op: 'touch', stamp: at(80), key: 'k1', value: '', base: at(5) }])
    one.housekeeping(NOW + 200_000, 100)
    expect(one.stats().entries).toBe(0)
    apply(one, [set(70, 'later')])
    expect(one.peek('c', 'k1')?.value).toBe('later')
  })

  it('by two evictions is told to whoever has met only the one that ends less', () => {
    const [a, b] = [store(), store()]
    const evict = (stamp: number, base: number): Change => ({
      ...{ op: 'evict', stamp, key: 'k1', value: '', base },
    })
    apply(b, [set(5), evict(at(21) + 2, at(3))])
    apply(a, [set(5), evict(at(20) + 1, at(5)), evict(at(21) + 2, at(3))])
    const met = new Writer()
    met.bytes(new Uint8Array(128 + 8))
    met.u8(2)
    met.f64(at(0))
    met.f64(at(30))
    const face = a.face(JOIN_GROUP)
    face.openSnapshot(1, met.copy())
    expect(b.peek('c', 'k1')?.version).toBe(at(5))
    b.face(JOIN_GROUP).install(MAX, face.readSnapshot(1, 1_000).slice, false)
    expect(b.peek('c', 'k1')).toBeUndefined()
  })

  it('travels to whoever has not met it, and to nobody else', () => {
    const [a, b] = [store(), store()]
    apply(a, [{ op: 'delete', stamp: at(10) + 1, key: 'k1', value: '', base: 0 }])
    const met = new Writer()
    met.bytes(new Uint8Array(128 + 8))
    met.u8(1)
    met.f64(at(0))
    met.f64(at(20))
    const face = a.face(JOIN_GROUP)
    face.openSnapshot(1, met.copy())
    b.face(JOIN_GROUP).install(MAX, face.readSnapshot(1, 1_000).slice, false)
    expect(b.endCount).toBe(0)
    face.openSnapshot(2, new Uint8Array(128 + 8))
    b.face(JOIN_GROUP).install(MAX, face.readSnapshot(2, 1_000).slice, false)
    expect(b.endCount).toBe(1)
  })
})

describe('a touch that comes before its version', () => {
  const at = (ms: number) => firstStampOf(NOW + ms)
  const set: Change = { op: 'set', stamp: at(5), key: 'k1', value: 'x', base: 0 }
  const touch: Change = { op: 'touch', stamp: at(8), key: 'k1', value: '', base: at(5) }

  it('changes it once it is there, here and where records are compared', () => {
    const [ordered, one, other] = [store(), store(), store()]
    apply(ordered, [set, touch])
    apply(one, [touch])
    apply(other, [set])
    join(one, other)
    apply(one, [set])
    for (const each of [one, other]) {
      expect(recordsOf(each)).toEqual(recordsOf(ordered))
      expect(each.digest()).toBe(ordered.digest())
    }
  })

  it('is nothing to a version that ended, and to a later one', () => {
    const gone: Change = { op: 'delete', stamp: at(9), key: 'k1', value: '', base: 0 }
    const one = store()
    apply(one, [touch, { ...set, stamp: at(7) }])
    expect(one.peek('c', 'k1')?.changed).toBe(at(7))
    const [other, third] = [store(), store()]
    apply(other, [touch, gone])
    apply(third, [gone, touch])
    for (const from of [other, third]) {
      const to = store()
      apply(to, [set])
      join(from, to)
      expect(to.peek('c', 'k1')).toBeUndefined()
    }
  })
})

describe('a slice of records', () => {
  it('lets nothing in that is stamped above the limit', () => {
    const [a, b] = [store(), store()]
    apply(a, [
      { op: 'set', stamp: firstStampOf(NOW), key: 'k1', value: 'in', base: 0 },
      { op: 'set', stamp: firstStampOf(NOW + 9_000), key: 'k2', value: 'out', base: 0 },
      { op: 'delete', stamp: firstStampOf(NOW + 9_000), key: 'k3', value: '', base: 0 },
    ])
    const face = a.face(JOIN_GROUP)
    face.openSnapshot(1, ALL_LEAVES)
    const { slice } = face.readSnapshot(1, 10_000)
    b.face(JOIN_GROUP).install(firstStampOf(NOW + 4_000), slice, false)
    expect(b.peek('c', 'k1')?.value).toBe('in')
    expect([b.stats().entries, b.endCount]).toEqual([1, 0])
  })
})
