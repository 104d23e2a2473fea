/** What a node tells of a partitioned cluster, and the guarantee that follows from its numbers. */
import type {
  MemberStatus,
  PartitionsStatus,
  StrategyStatus,
} from '../../src/contracts/strategy.js'
import type { PeerId } from '../../src/contracts/types.js'
import { copiesWanted } from '../../src/core/majority.js'
import type { Router } from './router.js'
import { groupOf, type Row } from './table.js'

/** Beside what stands in every status. */
export interface PartitionedStatus extends StrategyStatus {
  readonly partitions: PartitionsStatus
}

export function statusOf(router: Router): PartitionedStatus {
  const base = router.control.core.status()
  const members = base.members.map(member => stateOf(router, member))
  const self = members.find(({ id }) => id === base.self.id) ?? base.self
  return {
    ...base,
    strategy: 'partitioned',
    guarantee: [guarantee(router, base.profile), ...router.links.mixed.values()].join('; but '),
    self,
    members,
    partitions: partitionsOf(router),
  }
}

function partitionsOf(router: Router): PartitionsStatus {
  const { partitions: number, backups } = router.settings
  const owned: Record<PeerId, number> = {}
  const copies: Record<PeerId, number> = {}
  const inSync: Record<PeerId, number> = {}
  let unowned = 0
  for (const row of router.table.rows) {
    if (row === undefined || row.holder === '') unowned++
    else owned[row.holder] = (owned[row.holder] ?? 0) + 1
    if (row === undefined || row.lost) continue
    for (const id of row.owners) copies[id] = (copies[id] ?? 0) + 1
    for (const id of row.heirs)
      if (id !== router.env.self || holds(router, row)) inSync[id] = (inSync[id] ?? 0) + 1
  }
  const { moving, lost } = router.office.count()
  return { number, backups, owned, copies, inSync, unowned, moving, lost }
}

/** Of a process that began a moment ago the table may still say what the one before it had. */
function holds(router: Router, { partition, history }: Row): boolean {
  const census = router.hosted.get(groupOf(partition))?.census()
  return census?.data === 'ready' && census.history === history
}

/** Somebody who started with other numbers is there, and not let in. */
function stateOf(router: Router, member: MemberStatus): MemberStatus {
  return router.links.mixed.has(member.id) ? { ...member, state: 'other-strategy' } : member
}

/** Of N nodes each partition lies on b + 1; who grants them is the control group. */
function guarantee({ settings, control, members }: Router, profile: string): string {
  const { partitions, backups, group } = settings
  const copies = Math.min(backups + 1, members.size)
  const wanted = group.ack === 'insync' ? copies : copiesWanted(group.ack, copies)
  const head = `${partitions} partitions on ${members.size} nodes, ${copies} copies each`
  const data =
    copies === 1
      ? 'a crash loses what that node held, and its partitions say so'
      : `an acknowledged write survives ${many(wanted - 1)} while all copies keep up; ` +
        'a partition whose last copy is gone says so and begins anew only by an admin'
  const split =
    profile === 'majority'
      ? 'one owner at any time, but for up to 1.1 s where a dial to a process that lives is ' +
        'refused (broker, firewall); no owner where a majority of the nodes is out of reach'
      : 'a network split can make two owners, merged on heal'
  return `${head}: ${data}; ${split}; table: ${control.core.status().guarantee}`
}

function many(crashes: number): string {
  return crashes === 1 ? 'one crash' : `${crashes} crashes`
}
