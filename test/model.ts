/**
 * `npm run sim:model [-- --only majority,strict] [--seconds 120] [--states 30000000]`: the small
 * model. For each profile first a space that is searched whole, then the full one (2 writes, 2
 * crashes, 1 split, 12 messages) as far as the bounds reach; for each of the openings the same
 * once. Tells the shortest way to every broken law; one line of JSON a search and one with the
 * sums. Exits 1 if a law was broken, or a loss was not found where there must be one, 2 for a usage
 * error.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { namesFlag, numberFlag, parsedOrExit, wholeFlag } from './flags.js'
import { type Bounds, isSafe, PLANS, SUBJECTS } from './model/scope.js'
import { type Found, search } from './model/search.js'

const SECONDS_MAX = 1_000_000

export interface Searched extends Found {
  readonly profile: string
  readonly violations: number
  /** Only where W + P <= N or R is too small. */
  readonly lossFound: boolean | undefined
}

/** Throws for a profile that is none. */
export function check(profile: string, bounds: Bounds): Searched {
  const subject = SUBJECTS[profile]
  const found = search(subject, bounds)
  const broken = found.broken !== undefined
  // What an unsafe one breaks must be I4: anything else is a bug of another kind.
  const lossFound = isSafe(subject) ? undefined : broken && found.broken?.startsWith('I4')
  const violations = (lossFound ?? !broken) ? 0 : 1
  return { ...found, profile, violations, lossFound }
}

function print(plan: string, bounds: Bounds, { story, ...found }: Searched): void {
  const { writes, crashes, splits, ticks, messages } = bounds
  const within = { writes, crashes, splits, ticks, messages }
  const { profile, states, depth, exhausted, violations, broken, ...rest } = found
  if (broken !== undefined) {
    console.log(`${profile}: ${broken}, after`)
    for (const line of story) console.log(`  ${line}`)
  }
  const main = { model: true, profile, plan, states, depth, exhausted, violations }
  console.log(JSON.stringify({ ...main, ...rest, within }))
}

interface ModelOptions {
  readonly plans: typeof PLANS
  readonly statesMax: number
  readonly msMax: number
}

/** Throws for a value that makes no sense. */
function parseOptions(args: string[]): ModelOptions {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      seconds: { type: 'string', default: '120' },
      states: { type: 'string', default: '30000000' },
    },
  })
  const profiles = [...new Set(PLANS.map(({ profile }) => profile))]
  const only = namesFlag('only', values.only, profiles) ?? profiles
  return {
    plans: PLANS.filter(({ profile }) => only.includes(profile)),
    statesMax: wholeFlag('states', values.states, 1),
    msMax: 1_000 * numberFlag('seconds', values.seconds, 1, SECONDS_MAX),
  }
}

function run(): void {
  const { plans, statesMax, msMax } = parsedOrExit('model', parseOptions)
  let states = 0
  let violations = 0
  for (const { profile, plan, ...within } of plans) {
    const bounds = { ...within, statesMax, msMax }
    const searched = check(profile, bounds)
    print(plan, bounds, searched)
    states += searched.states
    violations += searched.violations
  }
  console.log(JSON.stringify({ model: true, states, violations }))
  process.exitCode = violations === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run()
