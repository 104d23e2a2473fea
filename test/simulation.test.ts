/**
 * The simulator in `npm test`: as many seeds as fit into their time, up to 500 of 120 virtual seconds,
 * the first 20 of each twice; and the quick planted bugs, which must all be found.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { MUTANTS } from './mutants/list.js'
import { hunt, mutate, projectRoot } from './mutants/run.js'
import type { Tally } from './sim.js'

const SIM = fileURLToPath(new URL('../dist/test/sim.js', import.meta.url))
const SEEDS_MAX = 500
const BUDGET_MS = 110_000
const PIECE = 10

/** Runs `count` seeds from `first` on in a process of its own. */
function runSeeds(first: number, count: number): Promise<{ tally: Tally; output: string }> {
  return new Promise((resolve, reject) => {
    const flags = ['--seed', `${first}`, '--seeds', `${count}`, '--seconds', '120', '--twice']
    const child = fork(SIM, flags, { silent: true })
    let output = ''
    let tally: Tally | undefined
    child.stdout?.on('data', text => {
      output += text
    })
    child.stderr?.on('data', text => {
      output += text
    })
    child.on('message', message => {
      tally = message as Tally
    })
    child.on('close', () => {
      if (tally === undefined) reject(new Error(`seeds from ${first}: ${output}`))
      else resolve({ tally, output })
    })
  })
}

describe('simulation', () => {
  test('no law breaks, whatever befalls the cluster', { timeout: 200_000 }, async () => {
    const startedAt = performance.now()
    const failures: string[] = []
    let next = 1
    let seeds = 0
    let simulatedHours = 0
    const work = async () => {
      while (next <= SEEDS_MAX && performance.now() - startedAt < BUDGET_MS) {
        const first = next
        next += PIECE
        const { tally, output } = await runSeeds(first, PIECE)
        seeds += tally.seeds
        simulatedHours += tally.simulatedHours
        if (tally.violations > 0) failures.push(output)
      }
    }
    await Promise.all([work(), work()])
    process.stdout.write(`simulation: ${seeds} seeds, ${simulatedHours.toFixed(1)} hours\n`)
    expect(failures).toEqual([])
    expect(seeds).toBeGreaterThan(PIECE)
  })
})

describe('planted bugs', () => {
  test('every planted bug loads: its source stands there exactly once', () => {
    for (const mutant of MUTANTS) expect(mutate(projectRoot(), mutant).size).toBeGreaterThan(0)
    const mutant = MUTANTS[0]
    const edit = { ...mutant.edits[0], find: 'no such line' }
    expect(() => mutate(projectRoot(), { ...mutant, edits: [edit] })).toThrow('found 0 times')
  })

  const quick = MUTANTS.filter(mutant => mutant.quick)
  test(`${quick.length} quick ones are found`, { timeout: 200_000 }, async () => {
    expect(quick.length).toBeGreaterThanOrEqual(10)
    const queue = [...quick]
    const missed: string[] = []
    const work = async () => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const { seeds } = await hunt(mutant, 50, 40)
        if (seeds === undefined) missed.push(`${mutant.id}: ${mutant.what}`)
      }
    }
    await Promise.all([work(), work()])
    expect(missed).toEqual([])
  })
})
