/**
 * The simulator over strategy partitioned in `npm test`: quick seeds, those that broke a law once,
 * equal runs of equal seeds, and the quick planted bugs, which must all be found.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { drawPartitioned, type PartitionedOptions } from '../src/testing/partitioned/draw.js'
import { simulatePartitioned } from '../src/testing/partitioned/simulation.js'
import { quickOnesAreFound } from './harness/planted-bugs.js'
import { seedsWithin } from './harness/seeds-within.js'
import { PARTITIONED } from './mutants/list-partitioned.js'

const FLAGS = ['--strategy', 'partitioned']
const BUDGET = { seedsMax: 60, budgetMs: 35_000, piece: 5 }
/** As they were drawn when they broke it, whatever is drawn from these seeds today. */
const KEPT: Record<number, PartitionedOptions> = JSON.parse(
  readFileSync(new URL('golden/partitioned-seeds.json', import.meta.url), 'utf8'),
)

describe('simulation of partitions', () => {
  test('no law breaks, whatever befalls the cluster', { timeout: 120_000 }, async () => {
    const { tally, broken } = await seedsWithin(BUDGET, FLAGS)
    const { seeds, acked } = tally
    process.stdout.write(`simulation of partitions: ${seeds} seeds, ${acked} acked\n`)
    expect(broken).toEqual([])
    expect(seeds).toBeGreaterThan(BUDGET.piece)
    expect(acked).toBeGreaterThan(seeds * 50)
  })

  test.each([3, 5])('seed %i is the same run twice', seed => {
    const options = drawPartitioned(seed, 30)
    const [one, two] = [1, 2].map(() => simulatePartitioned(options, { stopAfterMs: 12_000 }))
    expect(two.traceHash).toBe(one.traceHash)
    expect(two.events).toBe(one.events)
    expect(one.calls).toBeGreaterThan(50)
  })
})

describe('seeds that broke a law of partitions once', () => {
  test.each<[number, number, string]>([
    [13, 18, 'P11: a member whose leave was refused got nothing any more'],
    [109, 48, 'P3: a master back in office knew less than it had written, and granted it again'],
    [109, 78, 'P7: a reset on the way to a node was taken for its death'],
    [12, 30, 'P11: a stranger that went and came back to join passed for linked'],
    [28, 30, 'P11: who had left got nothing any more when it joined again'],
    [41, 30, 'P11: a repeated frame undid what was said after it, and it was never said again'],
    [95, 30, 'P11: a backup whose word that it is ready was lost was never handed over to'],
    [43, 30, 'P7: a dial that was refused before a node started stood for its death later'],
    [40418, 30, 'P15: no round of reads ended where a word that one is ready was lost'],
    [7223, 30, 'P15: a repeated open began one side of a link anew, and that one fed nobody'],
  ])('%i, %i s: %s', (seed, seconds, _law) => {
    const options = { ...KEPT[seed], seconds }
    expect(simulatePartitioned(options).violation).toBe(undefined)
  })
})

describe('planted bugs in partitions', () => {
  quickOnesAreFound(PARTITIONED, { least: 5, seconds: 30 })
})
