/**
 * Two states that part at a common point and meet again: what one side collects and the other
 * decides, against a model that knows every write, under seeds.
 */
import { describe, expect, it } from 'vitest'
import type { MergeFunction } from '../src/contracts/merge.js'
import type { Proposal } from '../src/contracts/strategy.js'
import type { Batch, Epoch } from '../src/contracts/types.js'
import { type SeededRandom, seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { Collector } from '../src/engine/merge-collect.js'
import { Merger } from '../src/engine/merge-decide.js'
import { KeyValueStore } from '../src/store/key-value.js'
import { MemoryLog } from '../src/store/memory-log.js'
import { encodeBatch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import { writeDelete, writeSet } from '../src/wire/command.js'
import { codeOf } from './harness/codes.js'
import { expectGolden } from './harness/golden.js'

const COMMON: Epoch = { number: 256, incarnation: '0'.repeat(16) }
const EPOCHS: Epoch[] = [1, 2, 3].map(n => ({
  number: 512 + n,
  incarnation: `${n}`.repeat(16),
}))

/** A key's fate on one side: undefined value: removed. */
interface Fate {
  readonly value: string | undefined
  readonly time: number
}

class Side {
  readonly store = new KeyValueStore()
  readonly log: MemoryLog
  epoch = COMMON
  /** Since the common point. */
  readonly fates = new Map<string, Fate>()

  constructor(backlogEntriesMax?: number) {
    this.log = new MemoryLog(backlogEntriesMax === undefined ? {} : { backlogEntriesMax })
  }

  take(batch: Batch): void {
    this.log.append(batch)
    this.store.apply(batch)
    this.log.markApplied(batch.next)
  }

  append(commands: readonly Uint8Array[], time: number): Batch {
    const proposals = commands.map(bytes => {
      const none: Proposal = { id: -1, ack: 'none', client: null, seq: 0, bytes, start: 0, end: 0 }
      return { ...none, end: bytes.length }
    })
    const { next, last } = this.log
    const batch = encodeBatch(this.epoch, next, time, last.crc, proposals)
    this.take(batch)
    return batch
  }

  set(key: string, value: string, time: number): Batch {
    this.fates.set(key, { value, time })
    const out = new Writer()
    writeSet(out, 'c', key, Buffer.from(value), {})
    return this.append([out.copy()], time)
  }

  delete(key: string, time: number): Batch {
    this.fates.set(key, { value: undefined, time })
    const out = new Writer()
    writeDelete(out, 'c', key, {})
    return this.append([out.copy()], time)
  }

  get(key: string): string | undefined {
    return this.store.peek('c', key)?.value
  }

  pieces(from: number, bytesMax: number): Uint8Array[] {
    const collector = new Collector(this.store, this.log, 1, from)
    const pieces: Uint8Array[] = []
    for (let last = false; !last; ) {
      const piece = collector.piece(bytesMax)
      if (piece === undefined) continue
      pieces.push(piece.records)
      last = piece.last
    }
    return pieces
  }

  /** Merges what `other` has as from `from`; the number of commands that it took. */
  merge(other: Side, from: number, time: number, onMerge?: MergeFunction, bytesMax = 300): number {
    const env = { store: this.store, log: this.log, logger: SILENCE, onMerge, time: () => time }
    const merger = new Merger(env, 1, from)
    let taken = 0
    for (const piece of other.pieces(from, bytesMax)) {
      while (!merger.isReady());
      const { commands, counts } = merger.decide(piece)
      expect(counts.records).toBe(counts.merged + counts.discarded)
      if (commands.length > 0) this.append(commands, time)
      taken += commands.length
    }
    return taken
  }
}

/** `count` sides with equal beginnings, each with writes of its own after them. */
function parted(random: SeededRandom, count: number, backlogEntriesMax?: number) {
  const sides = Array.from({ length: count }, () => new Side(backlogEntriesMax))
  const [first, ...others] = sides
  const keys = Array.from({ length: 1 + random.below(30) }, (_, i) => `k${i}`)
  for (let i = random.below(40); i >= 0; i--) {
    const batch = first.set(random.pick(keys), `common ${i}`, 100 + random.below(2))
    for (const other of others) other.take(batch)
  }
  const from = first.log.next
  const common = new Map(keys.map(key => [key, first.get(key)]))
  first.fates.clear()
  for (const [i, side] of sides.entries()) side.epoch = EPOCHS[i]
  for (let n = random.below(80); n > 0; n--) {
    const side = random.pick(sides)
    const key = random.pick(keys)
    // Each at a time of its own: ties go to whoever is asked.
    const time = 1_000 + (80 - n)
    if (random.chance(0.3)) side.delete(key, time)
    else side.set(key, `own ${time}`, time)
  }
  return { sides, keys, from, common }
}

/** Of all sides: the last word on each key. */
function newest(sides: readonly Side[], key: string): Fate | undefined {
  let last: Fate | undefined
  for (const { fates } of sides) {
    const fate = fates.get(key)
    if (fate !== undefined && fate.time > (last?.time ?? 0)) last = fate
  }
  return last
}

describe('merging by time', () => {
  it('leaves each key as its newest write left it, in any order, once and again', () => {
    for (let seed = 1; seed <= 400; seed++) {
      const random = seededRandom(seed)
      const { sides, keys, from, common } = parted(random, 3)
      const [mine, ...others] = random.chance(0.5) ? sides : [...sides].reverse()
      for (const other of others) mine.merge(other, from, 5_000)
      const merged = mine.log.next
      for (const key of keys) {
        const fate = newest(sides, key)
        const expected = fate === undefined ? common.get(key) : fate.value
        expect(`${seed} ${key} ${mine.get(key)}`).toBe(`${seed} ${key} ${expected}`)
      }
      for (const other of others) expect(mine.merge(other, from, 6_000)).toBe(0)
      expect(mine.log.next).toBe(merged)
    }
  })

  it('does so too through a side that has merged before it lost itself', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { sides, keys, from, common } = parted(seededRandom(seed), 3)
      const [last, middle, first] = sides
      middle.merge(first, from, 5_000)
      last.merge(middle, from, 6_000)
      // A second holder of the first one's suffix comes late.
      expect(last.merge(first, from, 7_000)).toBe(0)
      for (const key of keys) {
        const fate = newest(sides, key)
        const expected = fate === undefined ? common.get(key) : fate.value
        expect(`${seed} ${key} ${last.get(key)}`).toBe(`${seed} ${key} ${expected}`)
      }
    }
  })

  it('loses nothing that one side alone wrote where no log reaches back', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const { sides, keys, from } = parted(seededRandom(seed), 2, 5)
      const [mine, other] = sides
      mine.merge(other, from, 5_000)
      // What this side removed is forgotten with the log, and may come again.
      const sure = keys.filter(key => mine.get(key) !== undefined)
      const merged = sure.map(key => mine.get(key))
      for (const key of keys) {
        const value = other.fates.get(key)?.value
        if (value !== undefined && !mine.fates.has(key)) expect(mine.get(key)).toBe(value)
      }
      mine.merge(other, from, 6_000)
      expect(sure.map(key => mine.get(key))).toEqual(merged)
    }
  })
})

describe('merging by function', () => {
  it('asks once a conflict: its answer stays, whoever comes again, and later writes too', () => {
    const [mine, other] = [new Side(), new Side()]
    other.take(mine.set('k', 'common', 100))
    const from = mine.log.next
    mine.epoch = EPOCHS[0]
    other.epoch = EPOCHS[1]
    mine.set('k', '1', 200)
    other.set('k', '2', 300)
    let asked = 0
    const sum: MergeFunction = (_cache, _key, a, b) => {
      asked++
      expect([a?.time, b?.time]).toEqual([200, 300])
      return Buffer.from(`${Number(Buffer.from(a?.value ?? []))}${Buffer.from(b?.value ?? [])}`)
    }
    expect(mine.merge(other, from, 400, sum)).toBe(1)
    expect(mine.get('k')).toBe('12')
    expect(mine.merge(other, from, 500, sum)).toBe(0)
    mine.set('k', 'later', 600)
    expect(mine.merge(other, from, 700, sum)).toBe(0)
    expect(mine.get('k')).toBe('later')
    expect(asked).toBe(1)
  })
})

describe('pieces', () => {
  it('keep within their bytes, or hold one record', () => {
    const side = new Side()
    side.epoch = EPOCHS[0]
    for (let i = 0; i < 50; i++) side.set(`k${i}`, 'v'.repeat(i * 20), 100 + i)
    const pieces = side.pieces(1, 1_000)
    expect(pieces.length).toBeGreaterThan(20)
    for (const piece of pieces) expect(piece.length).toBeLessThan(1_000 + 300)
    const other = new Side()
    expect(other.merge(side, 1, 5_000, undefined, 1_000)).toBe(50)
  })

  it('that are none are PROTOCOL_ERROR, wherever they are cut or changed', () => {
    const side = new Side()
    side.epoch = EPOCHS[0]
    side.set('key', 'value', 100)
    side.set('gone', 'value', 101)
    side.delete('gone', 102)
    const [good] = side.pieces(1, 10_000)
    expect(expectGolden('merge-records', good)).toEqual(Buffer.from(good))
    const env = {
      store: side.store,
      log: side.log,
      logger: SILENCE,
      onMerge: undefined,
      time: () => 200,
    }
    const judged = (piece: Uint8Array) => {
      const merger = new Merger(env, 1, 1)
      while (!merger.isReady());
      return codeOf(() => merger.decide(piece)) ?? 'none'
    }
    const cuts = Array.from(good, (_, end) => judged(good.subarray(0, end)))
    expect(cuts.filter(code => code === 'none').length).toBeLessThanOrEqual(4)
    const random = seededRandom(5)
    for (let i = 0; i < 2_000; i++) {
      const bad = Uint8Array.from(good)
      bad[random.below(bad.length)] = random.below(256)
      cuts.push(judged(bad))
    }
    expect(new Set(cuts)).toEqual(new Set(['none', 'PROTOCOL_ERROR']))
  })
})
