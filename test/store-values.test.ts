/** The values of a page and the keys met lately against plain arrays, under seeds. */
import { expect, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { RecentKeys } from '../src/store/recent-keys.js'
import { Values } from '../src/store/values.js'
import { Writer } from '../src/wire/bytes.js'

const SLOTS = 64

test('whatever is set, resized or removed, the rest stays, and free bytes are bounded', () => {
  for (const [seed, sizes] of [
    [1, [0, 3, 200]],
    [2, [90, 100, 110]],
    [3, [10, 1_000, 2_048, 2_049]],
    [4, [5, 70_000, 1]],
    [5, [24, 25, 2_000]],
  ] as const) {
    const random = seededRandom(seed)
    const values = new Values(SLOTS, random.pick([0, 7_000]))
    const wanted: string[] = new Array(SLOTS).fill('')
    const out = new Writer()
    for (let step = 1; step <= 10_000; step++) {
      const at = random.below(SLOTS)
      if (random.chance(0.3)) {
        values.remove(at)
        wanted[at] = ''
      } else {
        const bytes = Buffer.alloc(random.pick(sizes) + 7, random.below(256))
        values.set(at, bytes, 3, bytes.length - 4)
        wanted[at] = bytes.latin1Slice(3, bytes.length - 4)
      }
      const other = random.below(SLOTS)
      expect(values.read(other)).toBe(wanted[other])
      expect(values.length(other)).toBe(wanted[other].length)
    }
    values.remove(0)
    wanted[0] = ''
    for (let at = 0; at < SLOTS; at++) {
      out.reset()
      values.writeTo(out, at)
      expect(Buffer.from(out.view()).toString('latin1')).toBe(wanted[at])
    }
    const inside = wanted.filter(value => value.length <= 2_048)
    const bytes = inside.reduce((sum, value) => sum + value.length, 0)
    expect(values.live).toBeGreaterThanOrEqual(bytes)
    expect(values.live).toBeLessThanOrEqual(bytes + SLOTS * 136)
    expect(values.capacity).toBeLessThanOrEqual(4 * values.live + 256)
    for (let at = 0; at < SLOTS; at++) values.remove(at)
    expect([values.live, values.capacity]).toEqual([0, 0])
  }
})

test('values of one size that are set again and again stay in their place', () => {
  const values = new Values(SLOTS, 0)
  const bytes = Buffer.alloc(103, 'x')
  for (let at = 0; at < SLOTS; at++) values.set(at, bytes, 0, 100)
  const { capacity } = values
  for (let step = 0; step < 10_000; step++) values.set(step % SLOTS, bytes, 0, 97 + (step % 7))
  expect(values.capacity).toBe(capacity)
  expect(capacity).toBeLessThan(SLOTS * 104 * 1.2)
})

test('keys that end alike, repeat, are no ASCII or no UTF-8 are read as they are', () => {
  const random = seededRandom(7)
  const keys = new RecentKeys()
  for (let step = 0; step < 20_000; step++) {
    const start = random.below(3)
    const text =
      `${'a'.repeat(random.below(3))}${random.pick(['x', 'y', 'ü', '\u{1f511}', '\xfc'])}` +
      `${random.pick(['-the-same-end', '', String(random.below(9_000))])}`
    const encoding = random.chance(0.5) ? 'utf8' : 'latin1'
    const bytes = Buffer.concat([Buffer.alloc(start), Buffer.from(text, encoding), Buffer.alloc(2)])
    const end = bytes.length - 2
    expect(keys.read(bytes, start, end)).toBe(bytes.toString('utf8', start, end))
  }
})
