/**
 * Strategy broadcast in the simulator: 100 seeds of 30 virtual seconds, those that broke a law
 * once, and the quick planted bugs.
 */
import { describe, expect, test } from 'vitest'
import type { Style } from '../src/testing/swarm.js'
import { quickOnesAreFound } from './harness/planted-bugs.js'
import { MUTANTS } from './mutants/list.js'
import { explain, replays } from './sim.js'
import { BROADCAST } from './sim-strategies.js'

const SEEDS = 100
const SECONDS = 30

function run(seed: number, seconds: number, style?: Style) {
  const options = BROADCAST.draw(seed, seconds, style, 'ordinal')
  return { options, result: BROADCAST.simulate(options, BROADCAST.env('ordinal')) }
}

describe('broadcast', () => {
  test(`no law breaks in ${SEEDS} seeds, whatever befalls the nodes`, { timeout: 120_000 }, () => {
    const failures: string[] = []
    let [acked, faults] = [0, 0]
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { options, result } = run(seed, SECONDS)
      acked += result.acked
      for (const times of Object.values(result.faults)) faults += times
      if (result.violation !== undefined)
        failures.push(explain(options, result, undefined, 'broadcast'))
    }
    expect(failures).toEqual([])
    expect(acked).toBeGreaterThan(SEEDS * 50)
    expect(faults).toBeGreaterThan(SEEDS)
  })

  test('the same seed gives the same run', () => {
    for (const seed of [3, 7, 11])
      expect(replays(BROADCAST.draw(seed, SECONDS, undefined, 'ordinal'), BROADCAST)).toBe(true)
  })
})

describe('seeds of broadcast that broke a law once', () => {
  test.each<[number, number, string]>([
    // A node behind two others believed both, and so the one that was 40 minutes ahead.
    [22, 60, 'B8, who is behind goes by the middle clock'],
    // All had met a tombstone; one let it go while an older write of a member was on its way.
    [18, 60, 'B2, a tombstone stays until nothing older can come'],
    // Two were apart for longer than ends are kept; each had forgotten some, none began anew.
    [89, 60, 'B5, of two that lack what the other one forgot, one begins anew'],
    [212, 60, 'B5, the same'],
    [262, 60, 'B5, the same'],
    // A copy that was cut short again and again was made of pieces older than what ended them.
    [137, 60, 'B2, a copy that takes too long begins from nothing'],
    // A clock was set, and what frames had proved of the others was still counted from before.
    [102, 60, 'B8, the clocks of others are measured against time that nobody sets'],
    [114, 60, 'B8, the same'],
    // A node began with a clock behind its last life's, and vouched for what it had never met.
    [47, 120, 'B5, who has copied is born above what its earlier life wrote'],
    // Of two evictions the later was told of, and the one that ended more was not.
    [83, 120, 'B5, of two evictions the one that ends more is told'],
    // Records of a node that did not serve were left out, and what it said that it held was not.
    [7079, 120, 'B5, whose records are not joined is not taken at its word'],
    [7227, 120, 'B5, the same'],
    [7246, 120, 'B5, the same'],
    // A version that was touched late expired, and with it a later one, stamped before that.
    [7254, 120, 'B2, an eviction ends a version, and none after it'],
    // A touch came before the version that it was for, and was lost where it had come.
    [7122, 120, 'B5, a touch waits for its version'],
    // A node that began alone was born below what its last life wrote, and nobody held any more.
    [7001, 120, 'B5, of what nobody holds any more no harm comes'],
    // Two that had just begun compared what they had, nothing, and served as if that were all.
    [888, 120, 'B1, who does not serve is not copied'],
    // A node began anew, and read what others had: older than the write of its own that it dropped.
    [281, 120, 'B2, what was read is followed up to where a node begins anew'],
    // A write waited so long for its copies that its record had expired, or its holder begun anew.
    [955, 120, 'B7, what has expired at its origin needs no holder'],
    [295, 120, 'B7, who held it until it began anew held it, as who was killed'],
    // Clocks were set while records came: those before had been refused, and were vouched for.
    [621, 120, 'B5, what a slice could not bring is not vouched for'],
  ])('%i, %i s: %s', (seed, seconds) => {
    expect(run(seed, seconds).result.violation).toBe(undefined)
  })
})

describe('planted bugs in broadcast', () => {
  const own = MUTANTS.filter(({ strategy }) => strategy === 'broadcast')
  quickOnesAreFound(own, { least: 5, seconds: 30 })
})
