/**
 * P7  a partition is called lost only if every heir has lost its memory, where at most one memory
 *     at a time was lost never; while it is lost nobody answers for it, and nothing begins it anew
 *     but an admin. The nodes that the table names for it say PARTITION_LOST (simulation.ts asks
 *     them).
 */
import type { GroupId } from '../../../contracts/types.js'
import { type PartitionedCluster, partitionName } from '../cluster.js'
import type { GroupLaw } from '../law.js'
import type { KeptLaw } from './kept.js'

export interface LostLaw extends GroupLaw {
  /** How many partitions were ever lost. */
  readonly count: number
}

export function lostIsSaid(
  cluster: PartitionedCluster,
  kept: KeptLaw,
  mayLose: boolean,
  wasReset: (group: GroupId) => boolean,
): LostLaw {
  let count = 0
  return {
    name: 'a lost partition says so',
    get count() {
      return count
    },
    onRow(row, before) {
      const group = row.partition + 1
      if (before?.lost && !row.lost && before.born === row.born) {
        // Somebody who holds all of it has come back: nothing was lost after all.
        const holder = cluster.tenant(row.holder)
        if (!kept.holdsAll(holder, group))
          cluster.fail('P7', `${partitionName(group)} was lost and ${holder.life} holds it`)
      }
      if (before !== undefined && before.born !== row.born && before.history !== '')
        if (!before.lost || !wasReset(group))
          cluster.fail('P7', `${partitionName(group)} begins anew, and nobody asked for it`)
      if (!row.lost || before?.lost) return
      count++
      if (!mayLose) cluster.fail('P7', `${partitionName(group)} is lost, with one fault at a time`)
      if (!kept.hasData(group)) return
      for (const id of before?.heirs ?? []) {
        const heir = cluster.tenant(id)
        if (heir.node.running && kept.holdsAll(heir, group))
          cluster.fail('P7', `${partitionName(group)} is called lost, and ${heir.life} has it all`)
      }
    },
    onTick() {
      for (const row of cluster.rows.newest) {
        if (!row?.lost) continue
        const [acting] = cluster.acting(row.partition + 1)
        if (acting !== undefined)
          cluster.fail('P7', `${acting.life} serves partition ${row.partition}, which is lost`)
      }
    },
    onCallEnd({ group, startedAt, reply, node }) {
      const row = cluster.rows.of(group)
      if (!row?.lost || reply === undefined || reply.kind === 'error') return
      if (startedAt > cluster.rows.sinceMs[row.partition])
        cluster.fail('P7', `${node} answers for ${partitionName(group)}, which is lost`)
    },
  }
}
