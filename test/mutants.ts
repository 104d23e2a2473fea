/**
 * `npm run sim:mutants [-- --only 5,12] [--quick] [--seeds 3000] [--seconds 60]`: the mutation
 * score, in seeds of 60 virtual seconds (partitioned: 30). A simulator that finds nothing proves
 * nothing until it is known what it would find.
 * Exits 1 if a planted bug was not found, 2 for a usage error.
 */
import { parseArgs } from 'node:util'
import { STYLES, STYLES_NAMED, type Style } from '../src/testing/swarm.js'
import { nameFlag, namesFlag, parsedOrExit, wholeFlag } from './flags.js'
import { MUTANTS } from './mutants/list.js'
import type { Mutant } from './mutants/mutant.js'
import { type Hunted, hunt } from './mutants/run.js'
import { secondsFlag } from './sim-options.js'
import { SECONDS, STRATEGIES } from './sim-strategies.js'

interface HuntOptions {
  readonly chosen: readonly Mutant[]
  readonly seeds: number
  readonly seconds: number | undefined
  readonly style: Style | undefined
  readonly quick: boolean
}

/** Throws for a value that makes no sense, or that leaves nothing to look for. */
function parseOptions(args: string[]): HuntOptions {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      seeds: { type: 'string', default: '3000' },
      seconds: { type: 'string' },
      style: { type: 'string' },
    },
  })
  const { quick } = values
  const ids = MUTANTS.map(({ id }) => id)
  const only = namesFlag('only', values.only, ids) ?? ids
  const chosen = MUTANTS.filter(one => only.includes(one.id) && (!quick || one.style !== undefined))
  if (chosen.length === 0) throw new RangeError(`--quick: none of ${only.join(', ')} is quick`)
  return {
    chosen,
    seeds: wholeFlag('seeds', values.seeds, 1),
    seconds: secondsFlag(values.seconds),
    style: nameFlag('style', values.style, [...STYLES, ...STYLES_NAMED]),
    quick,
  }
}

const options = parsedOrExit('mutants', parseOptions)
const { chosen, seeds } = options
const queue = [...chosen]
const results: Hunted[] = []

/** Quick ones are sought where they live; the score is taken over everything. */
function style(mutant: Mutant): Style | 'suite' | undefined {
  return options.style ?? (options.quick ? mutant.style : undefined)
}

/** Half of what `npm run sim` takes, where the strategy has no length of its own. */
function secondsFor({ strategy = 'master-slave' }: Mutant): number {
  return options.seconds ?? STRATEGIES[strategy].seconds ?? SECONDS / 2
}

async function work(): Promise<void> {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const result = await hunt(next, seeds, secondsFor(next), style(next))
    results.push(result)
    const taken = result.seeds === undefined ? 'NOT FOUND' : `${result.seeds} seeds`
    console.log(
      `${next.id.padStart(3)}  ${next.what.padEnd(56)} ${taken.padStart(10)}  ${result.found}`,
    )
  }
}

await Promise.all([work(), work()])
const found = results.flatMap(({ seeds }) => (seeds === undefined ? [] : [seeds]))
found.sort((a, b) => a - b)
const medianSeeds = found[found.length >> 1] ?? null
console.log(JSON.stringify({ mutants: chosen.length, found: found.length, medianSeeds }))
process.exitCode = found.length === chosen.length ? 0 : 1
