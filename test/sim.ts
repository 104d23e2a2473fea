/**
 * `npm run sim -- --seeds N [--seed S] [--seconds 120] [--style NAME] [--profile NAME] [--trace]
 * [--strategy NAME|./mine.js] [--workers 2]` runs N seeds from S on, over master-slave in all its
 * profiles, or over another strategy with the laws that its traits leave standing (partitioned: 30
 * seconds unless told). A broken law prints its seed, options and replay command. `--twice` also
 * replays the first 20 virtual seconds, `--first` ends with the first broken law, `--suite` runs
 * the strategy suite instead. Closes with one line of JSON; exits 1 if a law was broken, 2 for a
 * usage error.
 */
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '../src/core/prng.js'
import type { SimulationResult } from '../src/testing/simulation.js'
import type { SimulatedProfile, SimulationOptions } from '../src/testing/swarm.js'
import { parsedOrExit } from './flags.js'
import { runSuite } from './mutants/suite.js'
import { parseOptions, type RunOptions } from './sim-options.js'
import { envOf, MASTER_SLAVE, SECONDS, type Tortured, torturedBy } from './sim-strategies.js'
import { type Piece, type PieceResult, runPieces, servePieces } from './sim-workers.js'

export { envOf }
export const ORDINAL = envOf('ordinal')

/** Half of the seeds are ordinal's, a third majority's. */
export function profileOf(seed: number): SimulatedProfile {
  const drawn = seededRandom(seed + 0x9f0f).next()
  return drawn < 0.5 ? 'ordinal' : drawn < 0.85 ? 'majority' : 'strict'
}

export interface Tally {
  seeds: number
  simulatedHours: number
  faults: Record<string, number>
  events: number
  failovers: number
  calls: number
  acked: number
  lostAllowed: number
  merged: number
  givenUp: number
  violations: number
}

export function emptyTally(): Tally {
  return {
    seeds: 0,
    simulatedHours: 0,
    faults: {},
    events: 0,
    failovers: 0,
    calls: 0,
    acked: 0,
    lostAllowed: 0,
    merged: 0,
    givenUp: 0,
    violations: 0,
  }
}

export function count(tally: Tally, result: SimulationResult): void {
  tally.seeds++
  tally.simulatedHours += result.simulatedMs / 3_600_000
  for (const [fault, times] of Object.entries(result.faults))
    tally.faults[fault] = (tally.faults[fault] ?? 0) + times
  tally.events += result.events
  tally.failovers += result.failovers
  tally.calls += result.calls
  tally.acked += result.acked
  tally.lostAllowed += result.lost
  tally.merged += result.merged
  tally.givenUp += result.givenUp
  if (result.violation !== undefined) tally.violations++
}

export function add(tally: Tally, other: Tally): void {
  for (const [fault, times] of Object.entries(other.faults))
    tally.faults[fault] = (tally.faults[fault] ?? 0) + times
  for (const name of Object.keys(tally) as (keyof Tally)[])
    if (name !== 'faults') tally[name] += other[name]
}

/** What a failure prints: enough to understand it, and the command that repeats it. */
export function explain(
  options: SimulationOptions,
  result: SimulationResult,
  style?: string,
  strategy = 'master-slave',
): string {
  const { seconds } = options
  const profile = options.lease === undefined ? options.profile : 'lease'
  const styled = style === undefined ? '' : ` --style "${style}"`
  const named = strategy === 'master-slave' ? '' : ` --strategy ${strategy}`
  const flags = `--profile ${profile} --seconds ${seconds}${styled}${named}`
  return [
    `seed ${options.seed}: ${result.violation?.message}`,
    `  options ${JSON.stringify(options)}`,
    `  replay  npm run sim -- --seeds 1 --seed ${options.seed} ${flags}`,
  ].join('\n')
}

/** Runs the first 20 virtual seconds twice: equal seeds must give equal runs. */
export function replays(options: SimulationOptions, tortured: Tortured = MASTER_SLAVE): boolean {
  const env = { ...tortured.env(options.profile), stopAfterMs: 20_000 }
  const [one, two] = [1, 2].map(() => tortured.simulate(options, env))
  return one.traceHash === two.traceHash && one.events === two.events
}

function runSeeds(run: RunOptions, tortured: Tortured, { first, seeds }: Piece): PieceResult {
  const { style, trace, strategy } = run
  const seconds = run.seconds ?? tortured.seconds ?? SECONDS
  const tally = emptyTally()
  const broken: string[] = []
  for (let seed = first; seed < first + seeds; seed++) {
    if (run.onlyFirst && tally.violations > 0) break
    const profile = run.profile ?? tortured.profile ?? profileOf(seed)
    const options = tortured.draw(seed, seconds, style, profile)
    const env = trace
      ? {
          ...tortured.env(profile),
          onTrace: (atMs: number, node: string, line: string) =>
            console.log(`${atMs.toFixed(1).padStart(9)} ${node} ${line}`),
        }
      : tortured.env(profile)
    const result = tortured.simulate(options, env)
    count(tally, result)
    if (result.violation !== undefined) broken.push(explain(options, result, style, strategy))
    if (run.twice && !replays(options, tortured)) {
      tally.violations++
      broken.push(`seed ${seed}: S1 broken: the same seed gave another run`)
    }
  }
  return { tally, broken }
}

async function main(): Promise<void> {
  const { seeds, first, workers, suite, run } = parsedOrExit('sim', parseOptions)
  const tortured = await torturedBy(run.strategy).catch((error: Error) => {
    console.error(error.message)
    process.exit(2)
  })
  if (suite) {
    process.exitCode = runSuite(tortured.env('ordinal')) > 0 ? 1 : 0
    return
  }
  const startedAt = performance.now()
  // Nobody reads where in the code a refusal was made: 2 % of the time.
  Error.stackTraceLimit = 0
  if (process.send !== undefined) return servePieces(piece => runSeeds(run, tortured, piece))
  const total = emptyTally()
  let told = 0
  const onResult = ({ tally, broken }: PieceResult) => {
    add(total, tally)
    for (const text of broken) console.log(text)
    // Hours may pass until the closing line.
    const twentieth = Math.floor((20 * total.seeds) / seeds)
    if (workers === 1 || twentieth === told || total.seeds === seeds) return
    told = twentieth
    console.error(`${total.seeds} of ${seeds} seeds, ${total.violations} violations`)
  }
  const next = pieces(first, seeds)
  if (workers === 1)
    for (let piece = next(); piece !== undefined; piece = next()) {
      onResult(runSeeds(run, tortured, piece))
      if (run.onlyFirst && total.violations > 0) break
      // What the seeds left to the event loop holds their memory: 8 GB after 500 of them.
      await setImmediate()
    }
  else {
    const flags = process.argv.slice(2)
    await runPieces(fileURLToPath(import.meta.url), flags, workers, next, onResult)
  }
  const elapsedMs = performance.now() - startedAt
  const speed = (total.simulatedHours * 3_600_000) / elapsedMs
  const speeds = { speed: Math.round(speed), speedPerCore: Math.round(speed / workers) }
  console.log(JSON.stringify({ ...total, simulatedHours: round(total.simulatedHours), ...speeds }))
  process.exitCode = total.violations > 0 ? 1 : 0
}

/** Small ones, so that a slow seed does not leave the other processes idle at the end. */
function pieces(first: number, seeds: number): () => Piece | undefined {
  let next = first
  const end = first + seeds
  return () => {
    if (next >= end) return undefined
    const piece = { first: next, seeds: Math.min(10, end - next) }
    next += piece.seeds
    return piece
  }
}

function round(hours: number): number {
  return Math.round(hours * 1_000) / 1_000
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
