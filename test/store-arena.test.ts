/** The region's bytes against a plain Map: moved, resized and dropped records, and their bounds. */
import { expect, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { Region } from '../src/store/region.js'

const bytesOf = (text: string) => Buffer.from(text, 'latin1')

function put(region: Region, key: string, value: string, offset: number): void {
  const keyBytes = Buffer.from(key)
  let slot = region.find(keyBytes, 0, keyBytes.length)
  if (slot < 0) slot = region.insert(keyBytes, 0, keyBytes.length, value.length)
  region.write(slot, bytesOf(value), 0, value.length)
  region.stamp(slot, offset, offset + 1)
}

test('whatever is written, resized and removed, the rest stays, and dead bytes are bounded', () => {
  for (const [seed, keys, sizes] of [
    [1, 50, [0, 3, 200]],
    [2, 3_000, [90, 100, 110]],
    [3, 2_000, [10, 1_000, 3_000]],
    [4, 300, [5, 70_000, 20_000]],
  ] as const) {
    const random = seededRandom(seed)
    const region = new Region()
    const wanted = new Map<string, { value: string; version: number }>()
    let live = 0
    for (let step = 1; step <= 20_000; step++) {
      const key = `${'k'.repeat(random.below(30))}${random.below(keys)}ü`
      const before = wanted.get(key)
      if (before !== undefined) live -= before.value.length
      if (random.chance(0.3)) {
        const slot = region.findText(key)
        expect(slot >= 0).toBe(before !== undefined)
        if (slot >= 0) region.remove(slot)
        wanted.delete(key)
      } else {
        const value = String.fromCharCode(random.below(256)).repeat(random.pick(sizes))
        put(region, key, value, step)
        wanted.set(key, { value, version: step })
        live += value.length
      }
    }
    expect(region.size).toBe(wanted.size)
    expect(live).toBe([...wanted.values()].reduce((sum, { value }) => sum + value.length, 0))
    for (const [key, { value, version }] of wanted) {
      const slot = region.findText(key)
      expect(region.key(slot)).toBe(key)
      expect(region.record(slot)).toEqual({ value, version, expiresAt: 0 })
      expect(region.changed(slot)).toBe(version + 1)
    }
    const overhead = wanted.size * 80
    expect(region.capacity).toBeLessThan((live + overhead) * 2.5 + 3 * 2 ** 20)
    for (const key of wanted.keys()) region.remove(region.findText(key))
    expect(region.size).toBe(0)
    expect(region.capacity).toBeLessThanOrEqual(2 ** 20)
  }
}, 120_000)

test('a record read again is not decoded again, and never stale', () => {
  const region = new Region()
  put(region, 'k', 'one', 1)
  const slot = region.findText('k')
  const first = region.record(slot)
  expect(region.record(slot)).toBe(first)
  put(region, 'k', 'two', 2)
  expect(region.record(slot)).toEqual({ value: 'two', version: 2, expiresAt: 0 })
  region.setLife(slot, 50, 0, 50)
  expect(region.record(slot).expiresAt).toBe(50)
  region.remove(slot)
  put(region, 'other', 'three', 3)
  expect(region.findText('other')).toBe(slot)
  expect(region.record(slot).value).toBe('three')
})

test('among many records the victim was unused for long', () => {
  const region = new Region()
  for (let i = 0; i < 20_000; i++) put(region, `k${i}`, 'v', i + 1)
  const passed = new Set<number>()
  let old = 0
  for (let n = 0; n < 500; n++) {
    const slot = region.leastUsed(passed)
    passed.add(slot)
    if (Number(region.key(slot).slice(1)) < 5_000) old++
  }
  expect(passed.size).toBe(500)
  expect(old).toBeGreaterThan(450)
})

test('keys that are no UTF-8 stay apart', () => {
  const region = new Region()
  const keys = [Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.from([0xef, 0xbf, 0xbd])]
  for (const [i, key] of keys.entries()) {
    expect(region.find(key, 0, key.length)).toBe(-1)
    region.insert(key, 0, key.length, 0)
    expect(region.find(key, 0, key.length)).toBe(i)
  }
  expect(region.findText('\ufffd')).toBe(2)
})
