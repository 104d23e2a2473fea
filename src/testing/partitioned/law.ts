/**
 * What a law on partitions may hook into, beside what every checker sees: the facts of each group,
 * by the life (one process of a node) in which they came to be. P1 to P14, README.md.
 */

import type { Row } from '../../../strategies/partitioned/table.js'
import type { ReplicationStrategy, Standing } from '../../contracts/strategy.js'
import type { Ack, Batch, GroupId, Receipt } from '../../contracts/types.js'
import type { Life } from '../life.js'
import type { SimulatedNode } from '../simulated-node.js'
import type { GroupCall } from './group-call.js'

/** One process and its part in groups. */
export interface Tenant {
  readonly life: Life
  readonly node: SimulatedNode
  strategy: ReplicationStrategy<unknown> | undefined
  /** What it said last of each group. */
  readonly standings: Map<GroupId, Standing>
  /** Writes that it was asked for, and what they wait for. */
  readonly asked: Map<number, Ack>
}

export interface GroupLaw {
  readonly name: string
  /** It says that it leads `group`, serving or not yet. */
  onLead?(tenant: Tenant, group: GroupId, standing: Standing): void
  onAppend?(tenant: Tenant, group: GroupId, batch: Batch): void
  /** A write of somebody is acknowledged. */
  onSettle?(tenant: Tenant, receipt: Receipt, ack: Ack): void
  /** For the first time anywhere this row is committed. */
  onRow?(row: Row, before: Row | undefined): void
  /** It is about to be given to its node. */
  onCallStart?(call: GroupCall): void
  onCallEnd?(call: GroupCall): void
  /** Every 100 ms of virtual time. */
  onTick?(): void
  /** All faults are over, and everything is where it should be. */
  onQuiet?(): void
}
