/**
 * P8  copies under way for moves stay within their bounds: 4 in all, and one between two nodes,
 *     when a newcomer is named. A failover may let two meet afterwards.
 * P9  where nothing is to disturb them, owners stay what they are.
 * P14 a node keeps no more of a group's log than its bound, and a log of no group that it is not
 *     in.
 */

import { MOVES } from '../../../../strategies/partitioned/times.js'
import { LIMITS } from '../../../config.js'
import { type PartitionedCluster, partitionName } from '../cluster.js'
import type { GroupLaw } from '../law.js'

export function movesAreFew(cluster: PartitionedCluster): GroupLaw {
  return {
    name: 'moves are few',
    onRow(row, before) {
      if (row.joining === '' || before?.joining === row.joining) return
      const joining = cluster.rows.newest.filter(other => other?.joining)
      if (joining.length > MOVES.atOnce)
        cluster.fail('P8', `${joining.length} partitions get newcomers at once`)
      const pair = joining.filter(
        other => other?.holder === row.holder && other.joining === row.joining,
      )
      if (pair.length > MOVES.perPair)
        cluster.fail('P8', `${row.holder} brings ${row.joining} into ${pair.length} partitions`)
    },
  }
}

/** `fromMs`: until then the first table is made. */
export function ownersStay(cluster: PartitionedCluster, fromMs: number): GroupLaw {
  return {
    name: 'owners stay',
    onRow(row, before) {
      if (before === undefined || cluster.now() < fromMs || before.holder === row.holder) return
      const name = partitionName(row.partition + 1)
      cluster.fail('P9', `${name} passes from ${before.holder || 'nobody'} to ${row.holder}`)
    },
  }
}

const BATCH_ENTRIES_MAX = 2_000
const BATCH_BYTES_MAX = 2 ** 20

export function logsAreBounded(
  cluster: PartitionedCluster,
  { backlogBytesMax, backlogEntriesMax }: { backlogBytesMax: number; backlogEntriesMax: number },
): GroupLaw {
  return {
    name: 'logs are bounded',
    onTick() {
      for (const { node, life } of cluster.tenants()) {
        if (node.hosts.size > cluster.draw.partitions + 1)
          cluster.fail('P14', `${life} keeps ${node.hosts.size} groups`)
        for (const [group, { log }] of node.hosts) {
          const unapplied = log.next - log.applied
          const entries = log.next - log.first - unapplied
          const isWithin =
            log.bytes <= backlogBytesMax + BATCH_BYTES_MAX &&
            entries <= backlogEntriesMax + BATCH_ENTRIES_MAX &&
            unapplied <= LIMITS.unackedWritesMax + BATCH_ENTRIES_MAX
          if (!isWithin)
            cluster.fail('P14', `${life} keeps ${entries} and ${unapplied} entries of ${group}`)
        }
      }
    },
  }
}
