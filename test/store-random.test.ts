/** The store against the naive model, and copies of it against the original, under seeds. */
import { describe, expect, test } from 'vitest'
import type { Outcome, ResultSink } from '../src/contracts/store.js'
import type { Batch } from '../src/contracts/types.js'
import { type SeededRandom, seededRandom } from '../src/core/prng.js'
import { KeyValueStore } from '../src/store/key-value.js'
import { decodeBatch } from '../src/wire/batch.js'
import { BatchMaker, EntryDrawer, type Mix, NaiveStore, type Result } from './store-model.js'

const SEEDS = 100
const TEST_MS_MAX = 120_000

class Results implements ResultSink {
  readonly all: Result[] = []
  next = 1
  onResult(offset: number, outcome: Outcome, version: number): void {
    expect(offset).toBe(this.next++)
    this.all.push({ outcome, version })
  }
}

interface Dumped {
  key: string
  value: string
  version: number
  expiresAt: number
}

const byKey = (a: Dumped, b: Dumped) => (a.key < b.key ? -1 : 1)

function dump(store: KeyValueStore, cache: string, time: number, limit: number): Dumped[] {
  const found: Dumped[] = []
  let cursor = 0
  do {
    const page = store.scan(cache, '', cursor, limit, time)
    expect(page.keys.length).toBeLessThanOrEqual(limit)
    for (const [i, key] of page.keys.entries()) found.push({ key, ...page.records[i] })
    cursor = page.cursor
  } while (cursor !== 0)
  return found.sort(byKey)
}

function expectModel(store: KeyValueStore, model: NaiveStore, time: number): void {
  let entries = 0
  let bytes = 0
  expect([...store.caches().keys()].sort()).toEqual([...model.caches.keys()].sort())
  for (const [name, { records, options }] of model.caches) {
    expect(store.caches().get(name)).toEqual(options)
    entries += records.size
    bytes += model.bytes(name)
    const live = [...records]
      .filter(([, { expiresAt }]) => expiresAt === 0 || expiresAt > time)
      .map(([key, { value, version, expiresAt }]) => ({ key, value, version, expiresAt }))
    expect(dump(store, name, time, 7)).toEqual(live.sort(byKey))
    expect(store.size(name, time)).toBe(live.length)
    for (const [key, { expiresAt, value, version }] of records) {
      const there = expiresAt === 0 || expiresAt > time
      expect(store.get(name, key, time)).toEqual(there ? { value, version, expiresAt } : undefined)
      expect(store.has(name, key, time)).toBe(there)
    }
  }
  expect(store.stats()).toEqual({ entries, bytes, windows: model.windows.size })
}

function drawMix(random: SeededRandom): Mix {
  return {
    keys: random.pick([3, 10, 40, 400]),
    caches: 1 + random.below(3),
    writers: random.pick([0, 1, 4]),
    rare: random.pick([0, 0.02, 0.2]),
  }
}

/**
 * A copy in the making: what the link carries, in order. Slices are read at random moments; a
 * batch follows once a slice has named an offset beyond it.
 */
class Copy {
  readonly store = new KeyValueStore()
  readonly results = new Results()
  #state = 'more'
  #sent: number
  constructor(
    readonly source: KeyValueStore,
    readonly id: number,
  ) {
    source.openSnapshot(id)
    this.#sent = source.applied
    this.results.next = source.applied
  }
  get done(): boolean {
    return this.#state === 'done'
  }
  step(batches: readonly Batch[], bytesMax: number): void {
    if (!this.done) {
      const { slice, next, state } = this.source.readSnapshot(this.id, bytesMax)
      expect(next).toBeGreaterThanOrEqual(this.#sent)
      expect(next).toBeLessThanOrEqual(this.source.applied)
      this.store.install(this.#sent, slice, this.store.applied === 1 && !this.#begun)
      this.#begun = true
      this.#state = state
      if (this.done) this.source.closeSnapshot(this.id)
      this.#follow(batches, next)
    } else this.#follow(batches, this.source.applied)
  }
  #begun = false
  #follow(batches: readonly Batch[], next: number): void {
    for (const batch of batches)
      if (batch.first >= this.store.applied && batch.next <= next)
        this.store.apply(decodeBatch(batch.bytes), this.results)
    this.#sent = next
  }
}

describe('under seeds', () => {
  test(
    'the store answers and ends as the naive model does',
    () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const random = seededRandom(seed)
        const store = new KeyValueStore()
        const model = new NaiveStore()
        const drawer = new EntryDrawer(random, model, drawMix(random))
        const maker = new BatchMaker()
        const results = new Results()
        let time = 1_000
        for (let round = 0; round < 60; round++) {
          time += random.pick([0, 0.25, 1, 10, 100])
          const entries = Array.from({ length: 1 + random.below(12) }, () =>
            drawer.draw(maker.next),
          )
          const wanted = model.apply(entries, maker.next, time)
          store.apply(maker.make(time, entries), results)
          expect(results.all.splice(0), `seed ${seed}`).toEqual(wanted)
          expect(store.applied).toBe(maker.next)
          if (round % 15 === 14) expectModel(store, model, time + random.pick([0, 5]))
        }
      }
    },
    TEST_MS_MAX,
  )

  test(
    'a copy made while writes go on decides and ends as its source does',
    () => {
      const outcomes = new Set<string>()
      for (let seed = 1; seed <= SEEDS * 3; seed++) {
        const random = seededRandom(seed * 7_919)
        const store = new KeyValueStore()
        const model = new NaiveStore()
        const drawer = new EntryDrawer(random, model, drawMix(random))
        const maker = new BatchMaker()
        const results = new Results()
        const batches: Batch[] = []
        const copies: Copy[] = []
        let time = 1_000
        const write = () => {
          time += random.pick([0, 0.25, 1, 10, 100])
          const entries = Array.from({ length: 1 + random.below(12) }, () =>
            drawer.draw(maker.next),
          )
          model.apply(entries, maker.next, time)
          batches.push(maker.make(time, entries))
          store.apply(batches[batches.length - 1], results)
        }
        for (let round = random.below(60); round > 0; round--) write()
        for (let n = 1 + random.below(3); n > 0; n--) {
          copies.push(new Copy(store, n))
          if (random.chance(0.5)) write()
        }
        const bytesMax = random.pick([1, 100, 300, 2_000])
        for (let round = 0; round < 400 && copies.some(copy => !copy.done); round++) {
          if (random.chance(0.5)) write()
          random.pick(copies).step(batches, bytesMax)
        }
        write()
        for (const copy of copies) while (!copy.done) copy.step(batches, bytesMax)
        for (const copy of copies) {
          copy.step(batches, bytesMax)
          expect(copy.store.applied).toBe(store.applied)
          const since = results.all.slice(results.all.length - copy.results.all.length)
          expect(copy.results.all, `seed ${seed}`).toEqual(since)
          expect(copy.store.digest(), `seed ${seed}`).toBe(store.digest())
          expect(copy.store.stats()).toEqual(store.stats())
          expectModel(copy.store, model, time)
          for (const { outcome } of copy.results.all) outcomes.add(outcome)
        }
      }
      expect([...outcomes].sort()).toEqual([
        'exists',
        'expired',
        'full',
        'missing',
        'ok',
        'version',
      ])
    },
    TEST_MS_MAX,
  )
})
