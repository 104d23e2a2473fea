/**
 * What `npm run sim -- --strategy` runs: a built-in by its name, or an author's own by the path of
 * its module, whose export `traits` (all that strategySuite() takes but a runner, a name and the
 * strategy) says what it is proved by.
 */
import { pathToFileURL } from 'node:url'
import { suggestion } from '../src/core/suggest.js'
import { isStrategyPath, strategyFromModule, strategyPathFrom } from '../src/strategy-module.js'
import { type BroadcastSimulation, drawBroadcast } from '../src/testing/broadcast/options.js'
import { simulateBroadcast } from '../src/testing/broadcast/simulation.js'
import { drawPartitioned, type PartitionedOptions } from '../src/testing/partitioned/draw.js'
import { simulatePartitioned } from '../src/testing/partitioned/simulation.js'
import { type SimulationEnv, type SimulationResult, simulate } from '../src/testing/simulation.js'
import {
  drawOptions,
  type SimulatedProfile,
  type SimulationOptions,
  type Style,
} from '../src/testing/swarm.js'
import { broadcast } from '../strategies/broadcast/index.js'
import { masterSlave } from '../strategies/master-slave/index.js'

/** Virtual seconds of a seed, both phases together, unless told. */
export const SECONDS = 120

/** Profiles by seed, and what runs in each. */
export interface Tortured {
  readonly env: (profile: SimulatedProfile) => SimulationEnv
  /** Undefined: it draws its own. */
  readonly profile?: SimulatedProfile | undefined
  /** Another default than SECONDS. */
  readonly seconds?: number
  readonly draw: Draw
  readonly simulate: (options: SimulationOptions, env: SimulationEnv) => SimulationResult
}

type Draw = (
  seed: number,
  seconds: number,
  style: Style | undefined,
  profile: SimulatedProfile,
) => SimulationOptions

const ACKS = { ordinal: 'insync', lease: 'insync', strict: 'all', majority: 'majority' } as const
const inSyncMin = (nodes: number) => (nodes <= 2 ? 1 : 2)

/** `master-slave` in a profile. */
export function envOf(profile: SimulatedProfile): SimulationEnv {
  return {
    strategy: masterSlave({ profile: profile === 'lease' ? 'ordinal' : profile }),
    leased: election => masterSlave({ election }),
    ack: ACKS[profile],
    ...{ inSyncMin, ackTimeoutMs: 3_000 },
  }
}

export const MASTER_SLAVE: Tortured = { env: envOf, draw: drawOptions, simulate }

/** `strategy` is none of its laws': each seed has times of its own. */
export const BROADCAST: Tortured = {
  env: () => ({ strategy: broadcast() as never, inSyncMin, ackTimeoutMs: 3_000 }),
  profile: 'ordinal',
  draw: drawBroadcast,
  simulate: (options, env) =>
    simulateBroadcast(options as BroadcastSimulation, {
      ...env,
      strategyOf: times => broadcast(times) as never,
    }),
}

export const STRATEGIES: Readonly<Record<string, Tortured>> = {
  'master-slave': MASTER_SLAVE,
  broadcast: BROADCAST,
  partitioned: {
    env: envOf,
    profile: 'majority',
    // A second of many groups costs more, and the faults of its seeds come faster.
    seconds: 30,
    draw: drawPartitioned,
    simulate: (options, env) => simulatePartitioned(options as PartitionedOptions, env),
  },
}

/** Rejects with a reason that names the remedy. */
export async function torturedBy(name: string): Promise<Tortured> {
  const known = Object.keys(STRATEGIES)
  if (Object.hasOwn(STRATEGIES, name)) return STRATEGIES[name]
  if (!isStrategyPath(name))
    throw new Error(`unknown strategy ${name}: ${suggestion(name, known)}; a path begins with ./`)
  const strategy = await strategyFromModule(name, {})
  const { traits } = await import(pathToFileURL(strategyPathFrom(process.cwd(), name)).href)
  const own: SimulationEnv = { inSyncMin, ackTimeoutMs: 3_000, ...traits, strategy }
  const profile = own.traits?.profile ?? 'ordinal'
  return { ...MASTER_SLAVE, env: () => own, profile }
}
