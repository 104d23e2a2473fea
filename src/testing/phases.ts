/**
 * The phases of a run, of any strategy: all nodes warm up, then faults never stop and no law may
 * break, then they end, and who lives must serve and agree. What is thrown on the way is the end.
 *
 *   | warm-up |       faults        |            live             |
 *   0         warmUpMs              seconds - liveMs             when its laws are judged
 */
import type { SimulatedCluster } from './cluster.js'
import type { Nemesis } from './nemesis.js'
import { Violation } from './violation.js'

/** So much of `seconds` is left to the last phase, which takes what it needs. */
const LIVE_MS = 20_000

export interface Phases {
  /** Virtual seconds of all phases together. */
  readonly seconds: number
  readonly warmUpMs: number
  /** Of them the last, ms, which takes what it needs; LIVE_MS unless told. */
  readonly liveMs?: number
  /** The run ends there, without the last phase. */
  readonly stopAfterMs?: number | undefined
  /** Who breaks things; asked for once all have warmed up. */
  nemesis(): Nemesis
  /** Ends the faults that are not the nemesis' own. */
  calm?(): void
  /** The last phase. */
  live(): void
}

export interface PhasesEnd {
  readonly violation: Violation | undefined
  /** How often the nemesis did what. */
  readonly faults: Readonly<Record<string, number>>
}

/** Starts all nodes of `cluster` and runs it through its phases, or until a law breaks. */
export function runPhases(cluster: SimulatedCluster, phases: Phases): PhasesEnd {
  let nemesis: Nemesis | undefined
  let violation: Violation | undefined
  try {
    cluster.startAll()
    const untilMs = phases.stopAfterMs ?? Number.POSITIVE_INFINITY
    cluster.run(Math.min(phases.warmUpMs, untilMs))
    nemesis = phases.nemesis()
    const faultsEndMs = phases.seconds * 1_000 - (phases.liveMs ?? LIVE_MS)
    const faultyMs = Math.min(faultsEndMs, untilMs) - phases.warmUpMs
    cluster.run(Math.max(0, faultyMs))
    nemesis.stop()
    phases.calm?.()
    if (phases.stopAfterMs === undefined) phases.live()
  } catch (error) {
    violation = error instanceof Violation ? error : broken(error, cluster.now())
  }
  return { violation, faults: nemesis?.counts ?? {} }
}

/** No law, but the code itself. */
function broken(error: unknown, atMs: number): Violation {
  return new Violation('INTERNAL', String((error as Error).stack ?? error), atMs)
}
