/** Hybrid time, and what a node knows of each origin. */
import { describe, expect, it } from 'vitest'
import { firstStampOf, HybridClock, ordinalBits, stampMs } from '../src/core/hybrid-clock.js'
import { seededRandom } from '../src/core/prng.js'
import { covers, joined, type Known, newLife, originOfLife } from '../src/core/version-vector.js'

const WALL = 1_700_000_000_000

function clockAt(ordinal: number, bits = 2, wall = WALL): HybridClock {
  const clock = new HybridClock(ordinal, bits)
  clock.pass(0, wall)
  return clock
}

describe('a hybrid clock', () => {
  it('mints stamps that grow, name their origin and are near the time', () => {
    const clock = clockAt(2)
    let last = 0
    for (let i = 0; i < 10_000; i++) {
      if (i % 100 === 0) clock.pass(i / 100, WALL + i / 100)
      const stamp = clock.take()
      expect(stamp).toBeGreaterThan(last)
      expect(clock.originOf(stamp)).toBe(2)
      last = stamp
    }
    expect(Math.abs(stampMs(last) - (WALL + 99))).toBeLessThan(2)
  })

  it('never mints what another one does, though their time is the same', () => {
    const clocks = [0, 1, 2, 3].map(ordinal => clockAt(ordinal))
    const stamps = clocks.flatMap(clock => Array.from({ length: 100 }, () => clock.take()))
    expect(new Set(stamps).size).toBe(400)
  })

  it('mints above whatever it has heard, and the time is not before that', () => {
    const clock = clockAt(0)
    const heard = firstStampOf(WALL + 500) + 7
    clock.hear(heard)
    expect(clock.take()).toBeGreaterThan(heard)
    expect(clock.ms).toBe(WALL + 500)
    clock.hear(firstStampOf(WALL - 500))
    expect(clock.ms).toBe(WALL + 500)
  })

  it('never falls, and follows a wall clock that jumps by a tenth only', () => {
    const clock = clockAt(0)
    clock.pass(100, WALL - 3_600_000)
    expect(clock.ms).toBeCloseTo(WALL + 90, 3)
    clock.pass(200, WALL + 3_600_000)
    expect(clock.ms).toBeCloseTo(WALL + 200, 3)
    clock.pass(300, undefined)
    expect(clock.ms).toBeCloseTo(WALL + 300, 3)
  })

  it('begins once more where it was wrong, unless it has minted a stamp', () => {
    const clock = clockAt(1, 2, WALL + 60_000)
    clock.hear(firstStampOf(WALL + 70_000))
    clock.restart(WALL)
    expect(clock.ms).toBe(WALL)
    expect(stampMs(clock.take())).toBe(WALL)
    expect(() => clock.restart(WALL)).toThrow('minted')
  })

  it('says how far its stamps run ahead of the time', () => {
    const clock = clockAt(0, 8)
    for (let i = 0; i < 32 * 500; i++) clock.take()
    expect(clock.aheadMs).toBeGreaterThan(490)
    expect(clock.aheadMs).toBeLessThan(510)
    clock.pass(1_000, WALL + 1_000)
    expect(clock.aheadMs).toBe(0)
  })

  it('has as many bits for ordinals as the highest needs', () => {
    expect([0, 1, 2, 3, 4, 255].map(ordinalBits)).toEqual([0, 1, 2, 2, 3, 8])
    expect(clockAt(0, 0).step).toBe(1)
  })
})

describe('what is known of an origin', () => {
  const life = { number: WALL * 256 + 2, incarnation: 'a'.repeat(16) }
  const later = { number: (WALL + 1) * 256 + 2, incarnation: 'b'.repeat(16) }
  const known = (next: number, from: number, upto: number): Known => ({
    ...{ life, next, from, upto, crc: next },
  })

  it('covers the stamps between what it began with and the last it has', () => {
    expect(originOfLife(life)).toBe(2)
    expect(covers(undefined, 5)).toBe(false)
    expect([5, 6, 9, 10].map(stamp => covers(known(4, 5, 9), stamp))).toEqual([
      ...[false, true, true, false],
    ])
    expect(covers(newLife(life, 5), 5)).toBe(false)
  })

  it('joined with another is the longer, from the earlier beginning if they meet', () => {
    expect(joined(undefined, known(4, 5, 9))).toEqual(known(4, 5, 9))
    expect(joined(known(4, 5, 9), known(8, 7, 20))).toEqual(known(8, 5, 20))
    expect(joined(known(8, 7, 20), known(4, 5, 9))).toEqual(known(8, 5, 20))
    expect(joined(known(4, 5, 9), known(8, 12, 20))).toEqual(known(8, 12, 20))
    expect(joined(known(90, 5, 900), newLife(later, 1_000))).toEqual(newLife(later, 1_000))
    expect(joined(newLife(later, 1_000), known(90, 5, 900))).toEqual(newLife(later, 1_000))
  })

  it('joins to the same in any order', () => {
    const random = seededRandom(11)
    for (let i = 0; i < 300; i++) {
      // Of one life what ends later also knows later stamps.
      const some = Array.from({ length: 3 }, () => {
        const upto = 10 + random.below(40)
        return known(upto, random.below(upto), upto)
      })
      const [a, b, c] = some
      expect(joined(joined(a, b), b)).toEqual(joined(a, b))
      const ends = [joined(joined(a, b), c), joined(joined(c, a), b)].map(one => one.upto)
      expect(ends[0]).toBe(ends[1])
    }
  })
})
