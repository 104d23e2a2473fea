/**
 * The simulator in `npm test`: as many seeds as fit into their time, up to 500 of 120 virtual
 * seconds, the first 20 of each twice; and the quick planted bugs, which must all be found.
 */
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { simulate } from '../src/testing/simulation.js'
import { drawOptions } from '../src/testing/swarm.js'
import { projectRoot } from './harness/project-root.js'
import { MUTANTS } from './mutants/list.js'
import { hunt, mutate } from './mutants/run.js'
import { envOf, explain } from './sim.js'
import { runPieces } from './sim-workers.js'

const SIM = fileURLToPath(new URL('../dist/test/sim.js', import.meta.url))
const SEEDS_MAX = 500
const BUDGET_MS = 110_000
const PIECE = 10
const LEASE_SEEDS = 36

describe('simulation', () => {
  test('no law breaks, whatever befalls the cluster', { timeout: 200_000 }, async () => {
    const startedAt = performance.now()
    const failures: string[] = []
    let next = 1
    let seeds = 0
    let simulatedHours = 0
    const nextPiece = () => {
      if (next > SEEDS_MAX || performance.now() - startedAt > BUDGET_MS) return undefined
      const piece = { first: next, seeds: PIECE }
      next += PIECE
      return piece
    }
    await runPieces(SIM, ['--seconds', '120', '--twice'], 2, nextPiece, ({ tally, broken }) => {
      seeds += tally.seeds
      simulatedHours += tally.simulatedHours
      failures.push(...broken)
    })
    process.stdout.write(`simulation: ${seeds} seeds, ${simulatedHours.toFixed(1)} hours\n`)
    expect(failures).toEqual([])
    expect(seeds).toBeGreaterThan(PIECE)
  })
})

describe('leases', () => {
  test('no two nodes act as master, whatever befalls them and the store', {
    timeout: 200_000,
  }, () => {
    let failovers = 0
    const failures: string[] = []
    for (let seed = 1; seed <= LEASE_SEEDS; seed++) {
      const options = drawOptions(seed, 60, undefined, 'lease')
      const result = simulate(options, envOf('lease'))
      failovers += result.failovers
      if (result.violation !== undefined) failures.push(explain(options, result))
    }
    expect(failures).toEqual([])
    expect(failovers).toBeGreaterThan(LEASE_SEEDS)
  })
})

describe('seeds that broke a law once', () => {
  // What a slave says of itself was lost alone, and only its sync told who it is: one that had to
  // be readmitted waited for that word for ever.
  test('strict 1142: I18, who was heard by its sync alone holds back nobody', () => {
    const options = drawOptions(1_142, 60, undefined, 'strict')
    expect(simulate(options, envOf('strict')).violation).toBe(undefined)
  })

  // A process was named in a view that was forgotten since, and the next one, which named it again,
  // was newer than its log: its vote was taken for one from before it was named, for ever.
  test('majority 1607: I18, a name counts from the view that gave it first', () => {
    const options = drawOptions(1_607, 120, undefined, 'majority')
    expect(simulate(options, envOf('majority')).violation).toBe(undefined)
  })

  // A link behind wrote 27 KiB at once: at 1 byte a ms nothing of it arrived before all had left.
  test('ordinal 936: I12, a slow stream brings frame after frame', () => {
    const options = drawOptions(936, 120, undefined, 'ordinal')
    expect(simulate(options, envOf('ordinal')).violation).toBe(undefined)
  })

  // 64 KiB were on their way at 1 byte a ms when all faults ended: for 20 s nothing passed them.
  test('ordinal 5804: I12, a slow stream is quick once the network is', () => {
    const options = drawOptions(5_804, 120, undefined, 'ordinal')
    expect(simulate(options, envOf('ordinal')).violation).toBe(undefined)
  })

  // Ten handovers between two reads: what was seen first had been forgotten as too much.
  test('ordinal 7871: I11, a reader remembers more epochs than a bad day has', () => {
    const options = drawOptions(7_871, 120, undefined, 'ordinal')
    expect(simulate(options, envOf('ordinal')).violation).toBe(undefined)
  })

  // A slave so slow that 2,000 entries waited for it: what is not committed stays in the log.
  test('strict 9253: I14, only what is applied leaves a log', () => {
    const options = drawOptions(9_253, 120, undefined, 'strict')
    expect(simulate(options, envOf('strict')).violation).toBe(undefined)
  })

  // One of two was down for 85 s, and strict has no master then: cluster time rested for so long.
  test('strict 5661: I13, nothing expires while nobody leads', () => {
    const options = drawOptions(5_661, 120, undefined, 'strict')
    expect(simulate(options, envOf('strict')).violation).toBe(undefined)
  })
})

describe('planted bugs', () => {
  test('every planted bug loads: its source stands there exactly once', () => {
    for (const mutant of MUTANTS) expect(mutate(projectRoot(), mutant).size).toBeGreaterThan(0)
    const mutant = MUTANTS[0]
    const edit = { ...mutant.edits[0], find: 'no such line' }
    expect(() => mutate(projectRoot(), { ...mutant, edits: [edit] })).toThrow('found 0 times')
  })

  const quick = MUTANTS.filter(mutant => mutant.style !== undefined)
  test(`${quick.length} quick ones are found`, { timeout: 200_000 }, async () => {
    expect(quick.length).toBeGreaterThanOrEqual(10)
    const queue = [...quick]
    const missed: string[] = []
    const work = async () => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const { seeds } = await hunt(mutant, 50, 40, mutant.style)
        if (seeds === undefined) missed.push(`${mutant.id}: ${mutant.what}`)
      }
    }
    await Promise.all([work(), work()])
    expect(missed).toEqual([])
  })
})
