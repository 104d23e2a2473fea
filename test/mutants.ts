/**
 * `npm run sim:mutants [-- --only 5,12] [--quick] [--seeds 1000] [--seconds 60]`: the mutation
 * score. A simulator that finds nothing proves nothing until it is known what it would find.
 */
import { parseArgs } from 'node:util'
import { STYLES, type Style } from '../src/testing/swarm.js'
import { MUTANTS } from './mutants/list.js'
import type { Mutant } from './mutants/mutant.js'
import { type Hunted, hunt } from './mutants/run.js'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '60' },
    style: { type: 'string' },
  },
})
const only = values.only?.split(',')
const chosen = MUTANTS.filter(
  one => (only?.includes(one.id) ?? true) && (!values.quick || one.style !== undefined),
)
const queue = [...chosen]
const results: Hunted[] = []

/** Quick ones are sought where they live; the score is taken over everything. */
function style(mutant: Mutant): Style | 'suite' | undefined {
  return STYLES.find(name => name === values.style) ?? (values.quick ? mutant.style : undefined)
}

async function work(): Promise<void> {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const result = await hunt(next, Number(values.seeds), Number(values.seconds), style(next))
    results.push(result)
    const seeds = result.seeds === undefined ? 'NOT FOUND' : `${result.seeds} seeds`
    console.log(
      `${next.id.padStart(3)}  ${next.what.padEnd(56)} ${seeds.padStart(10)}  ${result.found}`,
    )
  }
}

await Promise.all([work(), work()])
const found = results.flatMap(({ seeds }) => (seeds === undefined ? [] : [seeds]))
found.sort((a, b) => a - b)
const medianSeeds = found[found.length >> 1] ?? null
console.log(JSON.stringify({ mutants: chosen.length, found: found.length, medianSeeds }))
process.exitCode = found.length === chosen.length ? 0 : 1
