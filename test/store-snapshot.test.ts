/** Snapshots case by case: bounds, overflow, bad bytes; store-random.test.ts copies under seeds. */
import { describe, expect, test } from 'vitest'
import { KeyValueStore } from '../src/store/key-value.js'
import { codeOf } from './harness/codes.js'
import { Bench, CACHE, set, touch, writer } from './store-driver.js'

describe('snapshots', () => {
  test('slices stay within their bytes where more than one record is in them', () => {
    const bench = new Bench()
    for (let i = 0; i < 500; i++) bench.run(set(`k${i}`, 'x'.repeat(i)))
    bench.store.openSnapshot(1)
    let slices = 0
    for (let state = 'more'; state === 'more'; slices++) {
      const read = bench.store.readSnapshot(1, 2_000)
      expect(read.slice.length).toBeLessThanOrEqual(2_000)
      state = read.state
    }
    expect(slices).toBeGreaterThan(60)
  })

  test('a slice holds at most about 2,000 records', () => {
    const bench = new Bench()
    for (let i = 0; i < 50; i++)
      bench.run(...Array.from({ length: 100 }, (_, j) => set(`${i}/${j}`)))
    bench.store.openSnapshot(1)
    let slices = 1
    while (bench.store.readSnapshot(1, 2 ** 30).state === 'more') slices++
    expect(slices).toBe(3)
  })

  test('too much held by first touch answers overflow, and a new one works', () => {
    const bench = new Bench({ snapshotPendingBytesMax: 2_000 })
    for (let i = 0; i < 100; i++) bench.run(set(`k${i}`, 'x'.repeat(100)))
    bench.store.openSnapshot(1)
    bench.store.openSnapshot(2)
    bench.store.readSnapshot(2, 10_000)
    for (let i = 80; i < 100; i++) {
      bench.run(touch(`k${i}`))
      bench.store.readSnapshot(2, 400)
    }
    expect(bench.store.readSnapshot(1, 1_000).state).toBe('overflow')
    expect(bench.store.readSnapshot(1, 1_000).state).toBe('overflow')
    expect(bench.store.readSnapshot(2, 20_000).state).toBe('done')
    bench.store.openSnapshot(1)
    const { slice, state, next } = bench.store.readSnapshot(1, 100_000)
    expect([state, next]).toEqual(['done', bench.store.applied])
    const copy = new KeyValueStore()
    copy.install(next, slice, true)
    expect(copy.digest()).toBe(bench.store.digest())
  })

  test('an unknown id, or one that an install dropped, reads as overflow', () => {
    const bench = new Bench()
    bench.run(set('k'))
    expect(bench.store.readSnapshot(9, 1_000).state).toBe('overflow')
    bench.store.openSnapshot(1)
    const { slice } = bench.store.readSnapshot(1, 1_000)
    bench.store.install(2, slice, true)
    expect(bench.store.readSnapshot(1, 1_000).state).toBe('overflow')
  })

  test('a first slice drops what was there', () => {
    const bench = new Bench()
    bench.run(set('new'))
    bench.store.openSnapshot(1)
    const { slice, next } = bench.store.readSnapshot(1, 1_000)
    const other = new Bench()
    other.run(set('old'), set('older'), set('oldest'))
    other.store.install(next, slice, true)
    expect(other.store.applied).toBe(2)
    expect(other.store.scan(CACHE, '', 0, 10, 0).keys).toEqual(['new'])
  })

  test('a slice cut anywhere, or with a byte changed, is a PROTOCOL_ERROR or another state', () => {
    const bench = new Bench()
    const client = writer(1)
    bench.runEntries([{ client, seq: 1, command: { op: 'openWindow' } }])
    bench.runEntries([
      { client, seq: 2, command: set('key', 'value', { ttlMs: 9, idleMs: 3 }) },
      { client, seq: 3, command: set('kez', 'value') },
    ])
    bench.store.openSnapshot(1)
    const { slice, next } = bench.store.readSnapshot(1, 10_000)
    const install = (bytes: Uint8Array) => {
      const copy = new KeyValueStore()
      const code = codeOf(() => copy.install(next, bytes, true))
      return code ?? copy.digest()
    }
    const whole = install(slice)
    expect(whole).toBe(bench.store.digest())
    const boundaries: number[] = []
    for (let end = 0; end < slice.length; end++) {
      const result = install(slice.subarray(0, end))
      if (result !== 'PROTOCOL_ERROR') boundaries.push(end)
    }
    // Empty (it then only drops the old state) or between two items, nowhere else: version, cache,
    // into, two records, window.
    expect(boundaries.length).toBe(6)
    for (let at = 0; at < slice.length; at++) {
      const bad = Uint8Array.from(slice)
      bad[at] ^= 0x80
      expect(install(bad), `byte ${at}`).not.toBe(whole)
    }
  })
})
