/** The flags of `npm run sim`, checked; their meaning stands in test/sim.ts. */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import {
  PROFILES,
  type SimulatedProfile,
  STYLES,
  STYLES_NAMED,
  type Style,
} from '../src/testing/swarm.js'
import { nameFlag, numberFlag, wholeFlag } from './flags.js'

export interface RunOptions {
  /** Undefined: what a seed of the strategy is given. */
  readonly seconds: number | undefined
  readonly style: Style | undefined
  readonly profile: SimulatedProfile | undefined
  /** A name of STRATEGIES in sim-strategies.ts, or the path of a module. */
  readonly strategy: string
  readonly trace: boolean
  /** Ends with the first broken law. */
  readonly onlyFirst: boolean
  /** Also checks that a seed replays. */
  readonly twice: boolean
}

export interface SimOptions {
  readonly seeds: number
  readonly first: number
  /** Processes; never more than seeds. */
  readonly workers: number
  readonly suite: boolean
  readonly run: RunOptions
}

/** Two phases and their beginnings fit into no fewer virtual seconds. */
export const SECONDS_MIN = 30
export const SECONDS_MAX = 1_000_000
const WORKERS_MAX = 256

/** Undefined if left out. Throws RangeError for what is no length of a seed. */
export function secondsFlag(text: string | undefined): number | undefined {
  return text === undefined ? undefined : numberFlag('seconds', text, SECONDS_MIN, SECONDS_MAX)
}

/** Throws for a flag that is none, or a value that makes no sense. */
export function parseOptions(args: string[]): SimOptions {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string' },
      style: { type: 'string' },
      profile: { type: 'string' },
      strategy: { type: 'string', default: 'master-slave' },
      trace: { type: 'boolean', default: false },
      first: { type: 'boolean', default: false },
      suite: { type: 'boolean', default: false },
      twice: { type: 'boolean', default: false },
      workers: { type: 'string', default: String(Math.min(availableParallelism(), 8)) },
    },
  })
  const seeds = wholeFlag('seeds', values.seeds, 1)
  const workers = Math.min(wholeFlag('workers', values.workers, 1, WORKERS_MAX), seeds)
  return {
    seeds,
    first: wholeFlag('seed', values.seed, 0),
    workers,
    suite: values.suite,
    run: {
      seconds: secondsFlag(values.seconds),
      style: nameFlag('style', values.style, [...STYLES, ...STYLES_NAMED]),
      profile: nameFlag('profile', values.profile, PROFILES),
      strategy: values.strategy,
      trace: values.trace,
      onlyFirst: values.first,
      twice: values.twice,
    },
  }
}
