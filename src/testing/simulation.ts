/**
 * One seed, run: safety first, where faults never stop and no law may break; then liveness, where a
 * core is chosen, its faults stop, all others are gone for good, and it must agree and serve.
 */
import { LIMITS } from '../config.js'
import type { ElectionFactory } from '../contracts/election.js'
import type { StrategyFactory } from '../contracts/strategy.js'
import type { Ack } from '../contracts/types.js'
import { majorityOf } from '../core/majority.js'
import { seededRandom } from '../core/prng.js'
import { settleMembers } from './changes.js'
import { ackedWritesSurvive } from './checkers/acked-writes.js'
import { oneActsAtATime } from './checkers/acting.js'
import { buffersAreBounded } from './checkers/bounds.js'
import { callsSucceed } from './checkers/calm-calls.js'
import { clusterTimeIsHonest } from './checkers/cluster-time.js'
import { onlyTheHeldIsApplied } from './checkers/commits.js'
import { theDeposedAreSilent } from './checkers/deposed.js'
import { digestsAgree } from './checkers/digests.js'
import { noWriteTwice } from './checkers/duplicates.js'
import { oneMasterPerEpoch, promisesNeverFall } from './checkers/epochs.js'
import { nothingExpiresEarly } from './checkers/expiry.js'
import { failovers } from './checkers/failovers.js'
import { givenEpochsStayOver } from './checkers/handovers.js'
import { callsAreLinearizable, keepsRecords, promisesOrder } from './checkers/linearizable.js'
import { membersChangeByRule } from './checkers/members.js'
import { losersAreMerged } from './checkers/merges.js'
import { expiriesSpareTheNewer } from './checkers/newer-records.js'
import { nothingIsLost } from './checkers/nothing-lost.js'
import { prefixesAgree } from './checkers/prefixes.js'
import { receiptsAreHonest } from './checkers/receipts.js'
import { sessionsAreKept } from './checkers/sessions.js'
import { everyProposalEnds } from './checkers/settlements.js'
import { whoWokeAsks } from './checkers/waking.js'
import { SimulatedCluster } from './cluster.js'
import { SimulatedLeases } from './leases.js'
import { allVote, memoryLimit } from './memories.js'
import { Nemesis } from './nemesis.js'
import { runPhases } from './phases.js'
import type { Call } from './simulated-client.js'
import type { SimulationOptions } from './swarm.js'
import { type StrategyTraits, withinTraits } from './traits.js'
import type { Violation } from './violation.js'
import type { VirtualClock } from './virtual-clock.js'
import { Workload } from './workload.js'

export interface SimulationResult {
  readonly violation: Violation | undefined
  readonly faults: Readonly<Record<string, number>>
  readonly events: number
  readonly failovers: number
  readonly calls: number
  readonly acked: number
  readonly lost: number
  /** Keys whose calls were searched for an order; those of them that took too long to decide. */
  readonly keysJudged: number
  readonly keysUndecided: number
  /** Branches of losing sides that were merged, and that were dropped under faults. */
  readonly merged: number
  readonly givenUp: number
  readonly traceHash: number
  readonly simulatedMs: number
}

export interface SimulationEnv {
  readonly strategy: StrategyFactory
  /** The same with an election; needed where the options have a lease. */
  readonly leased?: (election: ElectionFactory) => StrategyFactory
  /** What a write without an ack level waits for; 'insync' unless told. */
  readonly ack?: Ack
  /** What it is proved by; all that is offered unless told. */
  readonly traits?: StrategyTraits
  /** In-sync logs below which `insync` is refused, by the number of nodes. */
  inSyncMin(nodes: number): number
  readonly ackTimeoutMs: number
  readonly onTrace?: (atMs: number, node: string, line: string) => void
  /** Ends the run after so much virtual time, without the second phase: for replay checks. */
  readonly stopAfterMs?: number
}

const WARM_UP_MS = 3_000
/** I18; a core without any data must first wait 5 s for those who might have some. */
const SERVE_WITHIN_MS = 5_000
const BOOTSTRAP_MS = 6_000
/** A lease of somebody who is gone by then has to end first. */
const LEASED_MS = 4_000
const QUIET_MS = 7_000
/** A slave whose copies failed one after the other, as they do where single frames are lost, is not
 *  copied again for up to 2 s (seed 1898 of ordinal), and the copy itself takes its time. */
const COPIED_WITHIN_MS = 4_000

/** All laws, over one cluster. */
export function addCheckers(
  cluster: SimulatedCluster,
  env: SimulationEnv,
  options: Pick<
    SimulationOptions,
    | 'profile'
    | 'witness'
    | 'mayLose'
    | 'steadyAfterMs'
    | 'backlogBytesMax'
    | 'backlogEntriesMax'
    | 'calmAfterMs'
  > &
    Partial<Pick<SimulationOptions, 'linearizable' | 'caches' | 'lease'>>,
) {
  const acked =
    options.profile === 'ordinal'
      ? ackedWritesSurvive(cluster, options.mayLose)
      : nothingIsLost(cluster, options.profile === 'strict')
  const duplicates = noWriteTwice(cluster)
  const merges = losersAreMerged(cluster, duplicates.outcomeAt)
  const promotions = failovers(cluster, options.steadyAfterMs)
  cluster.checkers.push(
    oneMasterPerEpoch(cluster),
    prefixesAgree(cluster),
    promisesNeverFall(cluster),
    digestsAgree(cluster),
    duplicates,
    // Where W + P > N what a side loses was never committed: nothing is to be merged.
    ...(options.profile === 'ordinal' && env.traits?.merges !== false ? [merges] : []),
    clusterTimeIsHonest(cluster),
    nothingExpiresEarly(cluster),
    expiriesSpareTheNewer(cluster),
    receiptsAreHonest(cluster, nodes => env.inSyncMin(nodes), env.ack, options.witness),
    everyProposalEnds(cluster, env.ackTimeoutMs),
    givenEpochsStayOver(cluster),
    ...(env.traits?.asksWhenWoken === false ? [] : [whoWokeAsks(cluster)]),
    membersChangeByRule(cluster, { profile: options.profile, founders: [...cluster.members] }),
    sessionsAreKept(cluster, options.profile !== 'ordinal'),
    promotions,
    acked,
    buffersAreBounded(cluster, {
      backlogBytesMax: options.backlogBytesMax,
      backlogEntriesMax: options.backlogEntriesMax,
      batchBytesMax: 2 ** 20,
      batchEntriesMax: 2_000,
      unappliedMax: LIMITS.unackedWritesMax + 2_000,
    }),
  )
  if (options.profile !== 'ordinal') {
    const witnesses = options.witness ? 1 : 0
    const copies = (voters: number) => (options.profile === 'strict' ? voters : majorityOf(voters))
    cluster.checkers.push(onlyTheHeldIsApplied(cluster, copies, witnesses))
    cluster.checkers.push(theDeposedAreSilent(cluster))
  }
  if (options.lease !== undefined)
    cluster.checkers.push(oneActsAtATime(cluster, options.lease.forgets > 0))
  if (options.calmAfterMs !== undefined)
    cluster.checkers.push(callsSucceed(cluster, options.calmAfterMs, env.inSyncMin(cluster.nodes)))
  const { linearizable = false, caches = {} } = options
  const ordered = callsAreLinearizable(cluster, {
    judges: name => keepsRecords(name, caches),
    binds: call => promisesOrder(call, cluster.nodes),
  })
  if (linearizable) cluster.checkers.push(ordered)
  return { acked, promotions, merges, ordered }
}

export function simulate(drawn: SimulationOptions, env: SimulationEnv): SimulationResult {
  const options = withinTraits(drawn, env.traits ?? {})
  const random = seededRandom(options.seed + 0x5eed)
  const leases = leasesOf(options, () => cluster.clock)
  const cluster: SimulatedCluster = new SimulatedCluster({
    ...options,
    random,
    strategy: (leases && env.leased?.(leases.election())) ?? env.strategy,
    ...(env.onTrace === undefined
      ? {}
      : { onTrace: (node, line) => env.onTrace?.(cluster.now(), node, line) }),
  })
  const { acked, promotions, merges, ordered } = addCheckers(cluster, env, options)
  setNetwork(cluster, options)
  const workload = new Workload(cluster, options.workload)
  const { violation, faults } = runPhases(cluster, {
    ...{ seconds: options.seconds, warmUpMs: WARM_UP_MS, stopAfterMs: env.stopAfterMs },
    nemesis: () => new Nemesis(cluster, workload, options.faults, memoryLimit(cluster, options)),
    calm: () => leases?.calm(),
    live: () => live(cluster, workload, options),
  })
  return {
    violation,
    faults,
    events: cluster.events,
    failovers: promotions.count,
    calls: workload.calls,
    acked: acked.acked,
    lost: acked.lost,
    keysJudged: ordered.judged,
    keysUndecided: ordered.undecided,
    merged: merges.merged,
    givenUp: merges.givenUp,
    traceHash: cluster.traceHash,
    simulatedMs: cluster.now(),
  }
}

function leasesOf({ seed, lease }: SimulationOptions, clock: () => VirtualClock) {
  return lease && new SimulatedLeases(lease, seededRandom(seed ^ 0x1ea5), clock)
}

export function setNetwork(cluster: SimulatedCluster, { network }: SimulationOptions): void {
  const { loss, duplicate, reorder, bytesPerMs } = network
  const suspendLaw = loss > 0 || duplicate > 0 || reorder > 0
  cluster.network.setFaults({
    ...network,
    bytesPerMs: bytesPerMs === 0 ? Number.POSITIVE_INFINITY : bytesPerMs,
    suspendLaw,
  })
  if (suspendLaw || bytesPerMs > 0) cluster.disturbances.everywhere = true
}

/** Nothing is lost, repeated or slow from now on. */
export function calmNetwork(cluster: SimulatedCluster, { network }: SimulationOptions): void {
  const { latencyMsMin, latencyMsMax } = network
  cluster.echoes.chance = 0
  const calm = { loss: 0, duplicate: 0, reorder: 0, suspendLaw: false }
  cluster.network.setFaults({
    ...calm,
    latencyMsMin,
    latencyMsMax,
    bytesPerMs: Number.POSITIVE_INFINITY,
  })
}

/** The second phase. */
function live(cluster: SimulatedCluster, workload: Workload, options: SimulationOptions): void {
  const random = cluster.random
  calmNetwork(cluster, options)
  cluster.mendAll()
  for (const checker of cluster.listeners.onHeal) checker.onHeal()
  const changed = options.faults.join > 0
  const all = cluster.members.filter(member => !member.witness).map(({ id }) => id)
  const ids = changed ? settleMembers(cluster) : all
  const core: string[] = changed ? ids.splice(0) : []
  while (!changed && core.length < options.core)
    core.push(...ids.splice(random.below(ids.length), 1))
  if (options.profile !== 'ordinal' && !changed) allVote(cluster, options.network.bytesPerMs)
  for (const id of ids) cluster.crash(id)
  for (const id of core) {
    cluster.resume(id)
    cluster.start(id)
  }
  const hadData = cluster.live().some(({ life }) => life.tip.parent !== undefined && !life.copying)
  const withinMs = SERVE_WITHIN_MS + (hadData ? 0 : BOOTSTRAP_MS) + (options.lease ? LEASED_MS : 0)
  if (!cluster.runUntil(attempts(cluster, workload, options.profile !== 'ordinal'), withinMs))
    cluster.fail('I18', `no write succeeded within ${withinMs} ms of heal by ${core}`)
  cluster.run(1_000)
  workload.stop()
  cluster.run(QUIET_MS)
  const copied = () => !cluster.live().some(({ life }) => core.includes(life.node) && life.copying)
  if (!copied() && cluster.runUntil(copied, COPIED_WITHIN_MS)) cluster.run(1_000)
  for (const checker of cluster.listeners.onQuiet) checker.onQuiet(core)
}

/** Tries a write every 100 ms; true once one has succeeded. */
function attempts(cluster: SimulatedCluster, workload: Workload, late: boolean): () => boolean {
  const calls: Call[] = []
  let next = 0
  const ack = late ? {} : ({ ack: 'insync' } as const)
  return () => {
    if (calls.some(call => call.outcome === 'ok')) return true
    if (cluster.now() < next) return false
    next = cluster.now() + 100
    const value = new Uint8Array([1])
    const call = workload.call({ kind: 'set', cache: 'plain', key: 'alive', ...ack, value })
    if (call !== undefined) calls.push(call)
    return false
  }
}
