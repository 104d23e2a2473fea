/**
 * One seed of strategy partitioned, run: first faults that never stop and laws that never rest,
 * then peace, in which every partition must be served, lie where it belongs, and be whole.
 */

import { partitioned } from '../../../strategies/partitioned/index.js'
import type { GroupId, PeerId } from '../../contracts/types.js'
import { majorityOf } from '../../core/majority.js'
import { seededRandom } from '../../core/prng.js'
import { settleMembers } from '../changes.js'
import { onlyTheHeldIsApplied } from '../checkers/commits.js'
import { digestsAgree } from '../checkers/digests.js'
import { oneMasterPerEpoch, promisesNeverFall } from '../checkers/epochs.js'
import { membersChangeByRule } from '../checkers/members.js'
import { prefixesAgree } from '../checkers/prefixes.js'
import { allVote, memoryLimit } from '../memories.js'
import { Nemesis } from '../nemesis.js'
import { runPhases } from '../phases.js'
import {
  calmNetwork,
  type SimulationEnv,
  type SimulationResult,
  setNetwork,
} from '../simulation.js'
import { Absences } from './absences.js'
import { Applications } from './applications.js'
import { PartitionedCluster, partitionName, type StrategyOf } from './cluster.js'
import type { PartitionedOptions } from './draw.js'
import type { GroupCall } from './group-call.js'
import { callsAtOwnersSucceed } from './laws/calm.js'
import { copiesAgree, misplaced } from './laws/copies.js'
import { nothingIsMissing } from './laws/kept.js'
import { copiesAreLetGoLast } from './laws/let-go.js'
import { lostIsSaid } from './laws/lost.js'
import { logsAreBounded, movesAreFew, ownersStay } from './laws/moves.js'
import { oneOwner } from './laws/owners.js'
import { Operator } from './operator.js'
import { Outcasts } from './outcasts.js'

/** Of the seconds of a seed; most need less for the second phase, and none is cut short. */
const LIVE_MS = 8_000
const ACK_TIMEOUT_MS = 3_000
/** P15: a write of each partition succeeds so soon after heal. */
const SERVE_WITHIN_MS = 10_000
/** P11: and all is in its place, beside what a member that is away is waited for. */
const PLACED_WITHIN_MS = 30_000
const QUIET_MS = 1_500
const LOST_SAID_MS = 5_000

const PRODUCT: StrategyOf = ({ partitions, backups, graceMs, copyBytesPerSec }, zone) =>
  partitioned({
    ...{ partitions, backups, graceMs, copyBytesPerSec, zone, ackTimeoutMs: ACK_TIMEOUT_MS },
  }) as ReturnType<StrategyOf>

export function simulatePartitioned(
  options: PartitionedOptions,
  env: Pick<SimulationEnv, 'onTrace' | 'stopAfterMs'> = {},
): SimulationResult {
  const random = seededRandom(options.seed + 0x5eed)
  const { onTrace } = env
  const trace = onTrace && ((node: PeerId, line: string) => onTrace(cluster.now(), node, line))
  const cluster: PartitionedCluster = new PartitionedCluster(options, PRODUCT, random, trace)
  const operator = new Operator(cluster)
  const outcasts = new Outcasts(cluster, options.partitioned.outcasts, options.seed)
  const absences = new Absences(cluster, options.partitioned.absences === true, options.seed)
  const applications = new Applications(cluster, options.workload, ACK_TIMEOUT_MS)
  const { kept, counts } = addLaws(cluster, options, operator)
  setNetwork(cluster, options)
  const { violation, faults } = runPhases(cluster, {
    ...{ seconds: options.seconds, warmUpMs: options.partitioned.warmUpMs, liveMs: LIVE_MS },
    stopAfterMs: env.stopAfterMs,
    nemesis() {
      const limit = memoryLimit(cluster, options)
      return new Nemesis(cluster, { clients: [] }, options.faults, limit)
    },
    calm() {
      operator.stop()
      outcasts.stop()
      absences.stop()
    },
    live: () => makePeace(cluster, applications, operator, options),
  })
  const { passes, ...others } = counts
  const happened = { outcast: outcasts.count, absence: absences.count, ...others }
  const nothing = { keysJudged: 0, keysUndecided: 0, merged: 0, givenUp: 0 }
  return {
    violation,
    faults: { ...faults, ...operator.counts, ...happened },
    events: cluster.events,
    failovers: passes,
    calls: applications.calls,
    acked: applications.acked,
    lost: kept.lost,
    ...nothing,
    traceHash: cluster.traceHash,
    simulatedMs: cluster.now(),
  }
}

/** Those on partitions, and on the control group those that need no client. */
function addLaws(cluster: PartitionedCluster, options: PartitionedOptions, operator: Operator) {
  const founders = [...cluster.members]
  cluster.checkers.push(
    oneMasterPerEpoch(cluster),
    prefixesAgree(cluster),
    promisesNeverFall(cluster),
    digestsAgree(cluster),
    onlyTheHeldIsApplied(cluster, majorityOf, 0),
    membersChangeByRule(cluster, { profile: 'majority', founders }),
  )
  const kept = nothingIsMissing(cluster)
  const counts = { passes: 0, newcomers: 0, moves: 0, lostPartitions: 0 }
  const { steadyAfterMs, calmAfterMs, mayLose } = options
  cluster.laws.push(
    kept,
    oneOwner(cluster),
    lostIsSaid(cluster, kept, mayLose, group => operator.hasReset(group)),
    movesAreFew(cluster),
    copiesAgree(cluster),
    copiesAreLetGoLast(cluster, kept),
    logsAreBounded(cluster, options),
    ...(steadyAfterMs === undefined ? [] : [ownersStay(cluster, steadyAfterMs)]),
    ...(calmAfterMs === undefined ? [] : [callsAtOwnersSucceed(cluster, calmAfterMs)]),
    {
      name: 'what happened to partitions',
      onRow(row, before) {
        if (!before?.history) return
        if (row.holder !== '' && row.counter > before.counter) counts.passes++
        if (row.joining !== '' && row.joining !== before.joining) counts.newcomers++
        if (row.owners.some(id => !before.owners.includes(id))) counts.moves++
        if (row.lost && !before.lost) counts.lostPartitions++
      },
    },
  )
  return { kept, counts }
}

/** The second phase. */
function makePeace(
  cluster: PartitionedCluster,
  applications: Applications,
  operator: Operator,
  options: PartitionedOptions,
): void {
  calmNetwork(cluster, options)
  cluster.mendAll()
  for (const { id } of cluster.members) cluster.resume(id)
  if (options.faults.join > 0) settleMembers(cluster)
  else allVote(cluster, options.network.bytesPerMs)
  cluster.runUntil(() => cluster.master() !== undefined, SERVE_WITHIN_MS)
  checkLost(cluster, applications)
  const served = attempts(cluster, applications)
  // A holder that was out of reach comes back first.
  const peaceAt = cluster.now()
  const resets = () => {
    if (cluster.now() - peaceAt >= LOST_SAID_MS) operator.resetLost(LOST_SAID_MS)
    return served()
  }
  if (!cluster.runUntil(resets, SERVE_WITHIN_MS + LOST_SAID_MS)) {
    const groups = cluster.rows.groups().filter(group => !served.of(group))
    const rows = groups.map(group => JSON.stringify(cluster.rows.of(group)))
    cluster.fail('P15', `no write in ${groups.map(partitionName)} after heal: ${rows}`)
  }
  applications.stop()
  const placed = () => misplaced(cluster) === undefined
  const withinMs = PLACED_WITHIN_MS + cluster.draw.graceMs
  if (!cluster.runUntil(placed, withinMs))
    cluster.fail('P11', `${misplaced(cluster)}, ${withinMs} ms after heal`)
  cluster.run(QUIET_MS)
  // Somebody may fall out of sync for a moment, and the table says so.
  const ids = () => {
    // Whom somebody was asked to let go may go as late as this, and nobody has stopped him.
    const members = cluster.master()?.status().members ?? []
    const there = members.filter(({ state }) => state !== 'left').map(({ id }) => id)
    return there.filter(id => cluster.node(id).running)
  }
  cluster.runUntil(() => placed() && cluster.converged(ids()), QUIET_MS)
  for (const checker of cluster.listeners.onQuiet) checker.onQuiet(ids())
}

/** P7: whom the table names first for a lost partition says so. */
function checkLost(cluster: PartitionedCluster, applications: Applications): void {
  const asked: { group: GroupId; born: number; call: GroupCall }[] = []
  cluster.run(1_000)
  for (const group of cluster.rows.groups()) {
    const row = cluster.rows.of(group)
    if (!row?.lost) continue
    for (const tenant of cluster.tenants())
      if (row.owners[0] === tenant.life.node)
        asked.push({ group, born: row.born, call: applications.read(tenant, group) })
  }
  cluster.run(100)
  for (const { group, born, call } of asked) {
    const row = cluster.rows.of(group)
    if (!row?.lost || row.born !== born || call.reply?.code === 'PARTITION_LOST') continue
    const said = call.reply?.code ?? call.reply?.kind
    cluster.fail('P7', `${call.node} says ${said} of ${partitionName(group)}, which is lost`)
  }
}

/** Tries a write in each partition every 200 ms; true once each has had one. */
function attempts(cluster: PartitionedCluster, applications: Applications) {
  const calls = new Map<GroupId, GroupCall[]>()
  const of = (group: GroupId) =>
    calls.get(group)?.some(({ reply }) => reply?.kind === 'written') ?? false
  let next = 0
  const all = () => {
    const groups = cluster.rows.groups().filter(group => !of(group))
    if (groups.length === 0 || cluster.now() < next) return groups.length === 0
    next = cluster.now() + 200
    for (const group of groups) {
      const call = applications.write(group)
      if (call !== undefined) calls.set(group, [...(calls.get(group) ?? []), call])
    }
    return false
  }
  return Object.assign(all, { of })
}
