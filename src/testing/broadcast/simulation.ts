/**
 * One seed of strategy broadcast, run: first faults that never stop, and no law may break; then all
 * faults end, all clocks agree from then on, and within two rounds of comparing every node that
 * lives serves and shows the same.
 */
import { LIMITS } from '../../config.js'
import type { StrategyFactory } from '../../contracts/strategy.js'
import { ordinalBits } from '../../core/hybrid-clock.js'
import { seededRandom } from '../../core/prng.js'
import { buffersAreBounded } from '../checkers/bounds.js'
import { everyProposalEnds } from '../checkers/settlements.js'
import { SimulatedCluster } from '../cluster.js'
import { Nemesis } from '../nemesis.js'
import { runPhases } from '../phases.js'
import {
  calmNetwork,
  type SimulationEnv,
  type SimulationResult,
  setNetwork,
} from '../simulation.js'
import { Answers } from './answers.js'
import { clocksAreJudgedFairly } from './clocks.js'
import { conflictsAreCounted } from './conflicts.js'
import type { BroadcastSimulation, BroadcastTimes } from './options.js'
import { recordsAreThoseGiven } from './records.js'
import { vectorsAreTrue } from './vectors.js'
import { Watch } from './watch.js'
import { Writers } from './writers.js'

export interface BroadcastEnv extends Pick<SimulationEnv, 'onTrace' | 'stopAfterMs'> {
  strategyOf(times: BroadcastTimes): StrategyFactory
}

const WARM_UP_MS = 7_000
/** A dial that was lost (2 s), the pause after it (1 s), a node that begins alone (5 s), a copy in
 *  small slices. */
const SERVE_WITHIN_MS = 15_000
/** A pull, a round given up, and what they bring. */
const SETTLE_MS = 8_000

export function simulateBroadcast(
  options: BroadcastSimulation,
  env: BroadcastEnv,
): SimulationResult & { readonly conflicts: number } {
  const { onTrace } = env
  const cluster: SimulatedCluster = new SimulatedCluster({
    ...options,
    random: seededRandom(options.seed + 0x5eed),
    strategy: env.strategyOf(options.times),
    ...(onTrace && { onTrace: (node, line) => onTrace(cluster.now(), node, line) }),
  })
  const step = 2 ** ordinalBits(options.nodes - 1)
  const watch = new Watch(cluster, step, options.honest)
  const answers = new Answers(cluster, watch)
  addLaws(cluster, watch, answers, options, step)
  setNetwork(cluster, options)
  const writers = new Writers(cluster, options.writers)
  writers.watchers.push(answers)
  const { violation, faults } = runPhases(cluster, {
    ...{ seconds: options.seconds, warmUpMs: WARM_UP_MS, stopAfterMs: env.stopAfterMs },
    nemesis: () => new Nemesis(cluster, { clients: [] }, options.faults),
    live: () => live(cluster, writers, options),
  })
  const all = watch.everything()
  let lost = 0
  for (const write of answers.acked) if (!all.includes(write)) lost++
  let conflicts = 0
  for (const { lostAtLeast } of watch.lives()) conflicts += lostAtLeast
  return {
    violation,
    faults,
    ...{ events: cluster.events, failovers: 0, calls: writers.calls, acked: writers.acked, lost },
    ...{ keysJudged: 0, keysUndecided: 0, merged: 0, givenUp: 0, conflicts },
    traceHash: cluster.traceHash,
    simulatedMs: cluster.now(),
  }
}

function addLaws(
  cluster: SimulatedCluster,
  watch: Watch,
  answers: Answers,
  options: BroadcastSimulation,
  step: number,
): void {
  const { network, times, honest } = options
  cluster.checkers.push(
    conflictsAreCounted(cluster, watch, step),
    clocksAreJudgedFairly(cluster, watch, network.bytesPerMs > 0),
    watch,
    answers,
    recordsAreThoseGiven(cluster, watch),
    vectorsAreTrue(cluster, watch),
    everyProposalEnds(cluster, times.ackTimeoutMs),
    buffersAreBounded(cluster, {
      backlogBytesMax: options.backlogBytesMax,
      backlogEntriesMax: options.backlogEntriesMax,
      batchBytesMax: LIMITS.batchBytes,
      batchEntriesMax: 2_000,
      unappliedMax: 0,
    }),
  )
  if (!honest) return
  cluster.checkers.push({
    name: 'honest clocks are believed',
    onReport(life, event, fields) {
      if (event === 'clock-skew') cluster.fail('B8', `${life} refuses ${JSON.stringify(fields)}`)
    },
    onReject(life, _id, code) {
      if (code === 'CLOCK_SKEW') cluster.fail('B8', `${life} refuses its own writes`)
    },
  })
}

/** The second phase. */
function live(cluster: SimulatedCluster, writers: Writers, options: BroadcastSimulation): void {
  calmNetwork(cluster, options)
  cluster.mendAll()
  const ids = cluster.members.map(({ id }) => id)
  for (const id of ids) cluster.resume(id)
  while (ids.length > options.core) {
    const [id] = ids.splice(cluster.random.below(ids.length), 1)
    cluster.crash(id)
  }
  setClocks(cluster)
  for (const checker of cluster.listeners.onHeal) checker.onHeal()
  for (const id of ids) cluster.start(id)
  writers.stop()
  serve(cluster, writers, ids)
  converge(cluster, options)
  for (const checker of cluster.listeners.onQuiet) checker.onQuiet(ids)
}

/** All agree, and with the highest time that anybody has: as if those which ran ahead had been
 *  waited for. */
function setClocks(cluster: SimulatedCluster): void {
  const now = cluster.clock.wall()
  const times = cluster.live().map(({ id }) => cluster.node(id).clusterTime())
  const offsetMs = Math.max(0, ...times.map(time => time - now))
  for (const { id } of cluster.members) cluster.node(id).setWall(offsetMs)
}

/** B11: who lives accepts writes again. */
function serve(cluster: SimulatedCluster, writers: Writers, ids: readonly string[]): void {
  let next = 0
  const served = new Set<string>()
  const tries = () => {
    if (cluster.now() < next) return false
    next = cluster.now() + 100
    for (const id of ids) {
      if (served.has(id)) continue
      const value = new Uint8Array([1])
      const plan = { kind: 'set', cache: 'plain', key: 'alive', ack: 'master', value } as const
      const asked = writers.ask(cluster.node(id), plan)
      cluster.run(5)
      if (asked?.reply?.kind === 'written') served.add(id)
    }
    return served.size === ids.length
  }
  if (!cluster.runUntil(tries, SERVE_WITHIN_MS))
    cluster.fail('B11', `of ${ids} only ${[...served]} serve ${SERVE_WITHIN_MS} ms after heal`)
}

/** B1: within two rounds of comparing, times log2 of the nodes. */
function converge(cluster: SimulatedCluster, { times, nodes }: BroadcastSimulation): void {
  const withinMs = SETTLE_MS + 2 * times.compareEveryMs * Math.ceil(Math.log2(nodes))
  const agree = () => {
    const [first, ...others] = cluster.live().map(({ id }) => cluster.node(id))
    const digest = first.digest()
    return others.every(node => node.digest() === digest)
  }
  if (!cluster.runUntil(agree, withinMs))
    cluster.fail('B1', `nodes differ ${withinMs} ms after heal`)
}
