/**
 * P16 a move never leaves fewer copies: who holds all of a partition is let go only while b + 1
 *     others are heirs, or as many as there are members that count: who is there, and who has been
 *     away for less than graceMs. Judged as the partition's master writes down that it lets go; if
 *     its way to the master of the control group was disturbed it may follow an order from before.
 */
import type { PeerId } from '../../../contracts/types.js'
import { viewOf } from '../../../wire/view.js'
import { type PartitionedCluster, partitionName } from '../cluster.js'
import type { GroupLaw } from '../law.js'
import type { KeptLaw } from './kept.js'

/** An order is carried out so soon after it was given. */
const ORDER_MS = 300
/** Who could speak with the master of the control group for so long is known to it. */
const HEARD_MS = 1_000

export function copiesAreLetGoLast(cluster: PartitionedCluster, kept: KeptLaw): GroupLaw {
  /** By partition: when each was an heir last. */
  const heirUntil = cluster.rows.newest.map(() => new Map<PeerId, number>())
  const counts = (id: PeerId, master: PeerId) => {
    const { running, life, votes } = cluster.node(id)
    const now = cluster.now()
    if (cluster.leaving.has(id)) return false
    if (running) return votes && !cluster.disturbances.disturbed(id, master, now - HEARD_MS, now)
    // One that was added has not started yet.
    return life?.voted === true && (life.endedAt ?? 0) + cluster.draw.graceMs > now
  }
  return {
    name: 'copies are let go last',
    onRow(row, before) {
      const heirs = heirUntil[row.partition]
      if (before?.born !== row.born) heirs.clear()
      for (const id of [...(before?.heirs ?? []), ...row.heirs]) heirs.set(id, cluster.now())
    },
    onAppend({ life, node }, group, batch) {
      const view = batch.epoch.incarnation === life.incarnation ? viewOf(batch) : undefined
      const row = cluster.rows.of(group)
      const master = cluster.master()
      if (view === undefined || row === undefined || master === undefined) return
      const voters = view.members.filter(({ learner }) => !learner).map(({ id }) => id)
      const gone = row.owners.filter(id => !voters.includes(id) && row.heirs.includes(id))
      const whole = gone.filter(id => {
        const tenant = cluster.tenant(id)
        return tenant.node.running && kept.hasData(group) && kept.holdsAll(tenant, group)
      })
      const since = cluster.now() - ORDER_MS
      const isLate =
        cluster.network.faults.bytesPerMs > 0 ||
        cluster.disturbances.disturbed(node.id, master.id, since, cluster.now(), true)
      if (whole.length === 0 || isLate) return
      const until = (id: PeerId) => heirUntil[row.partition].get(id) ?? 0
      const held = voters.filter(id => row.heirs.includes(id) || until(id) >= since)
      const counting = cluster.members.filter(({ id }) => counts(id, master.id))
      const wanted = Math.min(cluster.draw.backups + 1, counting.length)
      if (held.length >= wanted) return
      const who = `${partitionName(group)} lets ${whole} go`
      cluster.fail('P16', `${who}, and of ${voters} only ${held} are heirs, not ${wanted}`)
    },
  }
}
