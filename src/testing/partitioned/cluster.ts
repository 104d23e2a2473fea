/**
 * A simulated cluster whose keys lie in partitions: the facts of each group, as they come to be,
 * for the laws on them. Group 0 is the control group, which the checkers of any cluster look at.
 */

import { partitionOfGroup } from '../../../strategies/partitioned/table.js'
import type { ReplicationStrategy, Standing, StrategyFactory } from '../../contracts/strategy.js'
import type { Batch, GroupId, PeerId, Receipt } from '../../contracts/types.js'
import type { SeededRandom } from '../../core/prng.js'
import { SimulatedCluster } from '../cluster.js'
import type { Life } from '../life.js'
import type { NodeHooks } from '../simulated-node.js'
import type { PartitionDraw, PartitionedOptions } from './draw.js'
import type { GroupCall } from './group-call.js'
import type { GroupLaw, Tenant } from './law.js'
import { Rows } from './rows.js'

/** The strategy of a node that lies in `zone`. */
export type StrategyOf = (draw: PartitionDraw, zone: string) => StrategyFactory

export class PartitionedCluster extends SimulatedCluster {
  readonly draw: PartitionDraw
  readonly rows: Rows
  readonly laws: GroupLaw[] = []
  /** Members that somebody was asked to let go, whatever came of it. */
  readonly leaving = new Set<PeerId>()
  readonly #tenants = new Map<PeerId, Tenant>()

  constructor(
    options: PartitionedOptions,
    strategyOf: StrategyOf,
    random: SeededRandom,
    onTrace?: (node: PeerId, line: string) => void,
  ) {
    super({
      ...options,
      random,
      strategy: env => {
        const { ordinal } = env.members.find(({ id }) => id === env.self) ?? { ordinal: 0 }
        const strategy = strategyOf(this.draw, this.zoneOf(ordinal))(env)
        return this.#watch(env.self, strategy)
      },
      around: (life, hooks) => this.#around(life, hooks),
      ...(onTrace === undefined ? {} : { onTrace }),
    })
    this.draw = options.partitioned
    this.rows = new Rows(this, this.draw.partitions, (row, before) => {
      for (const law of this.laws) law.onRow?.(row, before)
    })
    this.checkers.push(this.rows, {
      name: 'laws on partitions',
      onTick: () => {
        for (const law of this.laws) law.onTick?.()
      },
      onQuiet: () => {
        for (const law of this.laws) law.onQuiet?.()
      },
    })
  }

  /** '': none. */
  zoneOf(ordinal: number): string {
    const { zones } = this.draw
    return zones === 0 ? '' : `zone ${ordinal % zones}`
  }

  /** Those that run. */
  tenants(): Tenant[] {
    return this.live().map(({ id }) => this.tenant(id))
  }

  /** Of the process that runs or ran there last. */
  tenant(id: PeerId): Tenant {
    const tenant = this.#tenants.get(id)
    if (tenant === undefined) throw new RangeError(`${id} has never run`)
    return tenant
  }

  /** It would answer for the group now, as far as it knows. */
  acts({ node, life, strategy, standings }: Tenant, group: GroupId): boolean {
    const standing = standings.get(group)
    if (standing?.role !== 'master' || !standing.serving) return false
    if (!node.awake || node.life !== life) return false
    return node.ownNow() < (strategy?.actsUntil?.(group) ?? Number.POSITIVE_INFINITY)
  }

  /** Who answers for the group. */
  acting(group: GroupId): Tenant[] {
    return this.tenants().filter(tenant => this.acts(tenant, group))
  }

  /** As group 0, and each partition is served and copied by all who should. */
  override settled(): boolean {
    return super.settled() && this.rows.newest.every(row => row !== undefined && this.#isWhole(row))
  }

  #isWhole(row: NonNullable<Rows['newest'][number]>): boolean {
    const copies = Math.min(this.draw.backups + 1, this.members.length)
    if (row.lost || row.joining !== '' || row.heirs.length < copies) return false
    if (row.heirs.length !== row.owners.length || row.holder === '') return false
    if (!row.heirs.every(id => this.node(id).running)) return false
    return this.acts(this.tenant(row.holder), row.partition + 1)
  }

  callStarts(call: GroupCall): void {
    for (const law of this.laws) law.onCallStart?.(call)
  }

  callEnds(call: GroupCall): void {
    this.mix(call.id)
    this.mix(call.reply?.offset ?? 1)
    this.mix(call.reply?.version ?? 1)
    for (const law of this.laws) law.onCallEnd?.(call)
  }

  /** What a node's strategy is asked is known before what comes of it. */
  #watch(id: PeerId, strategy: ReplicationStrategy<unknown>): ReplicationStrategy<unknown> {
    const tenant = this.tenant(id)
    const { step } = strategy
    strategy.step = (input, effects) => {
      if (input.kind === 'propose')
        for (const proposal of input.proposals)
          if (proposal.id >= 0) tenant.asked.set(proposal.id, proposal.ack)
      if (input.kind === 'admin' && input.command === 'leave' && input.group === 0)
        this.leaving.add(input.peer ?? '')
      step.call(strategy, input, effects)
    }
    tenant.strategy = strategy
    return strategy
  }

  #around(life: Life, hooks: NodeHooks): NodeHooks {
    const node = this.node(life.node)
    const standings = new Map<GroupId, Standing>()
    const tenant: Tenant = { life, node, strategy: undefined, standings, asked: new Map() }
    this.#tenants.set(life.node, tenant)
    return {
      ...hooks,
      onBecome: (standing: Standing, group: GroupId) => {
        hooks.onBecome(standing, group)
        if (group === 0) return
        standings.set(group, standing)
        // Who says that a partition is lost stands for its master, and leads nothing.
        if (standing.role !== 'master' || standing.why === 'PARTITION_LOST') return
        for (const law of this.laws) law.onLead?.(tenant, group, standing)
      },
      onAppend: (batch: Batch, group: GroupId) => {
        hooks.onAppend(batch, group)
        if (group !== 0) for (const law of this.laws) law.onAppend?.(tenant, group, batch)
      },
      onSettle: (id: number, receipt: Receipt) => {
        hooks.onSettle(id, receipt)
        const ack = tenant.asked.get(id)
        tenant.asked.delete(id)
        if (receipt.group === 0 || ack === undefined) return
        for (const law of this.laws) law.onSettle?.(tenant, receipt, ack)
      },
      onReject: (id: number, code: string, surely: boolean) => {
        hooks.onReject(id, code, surely)
        tenant.asked.delete(id)
      },
      onDropped: (group: GroupId) => {
        standings.delete(group)
        hooks.onDropped?.(group)
      },
    }
  }
}

/** How a law names a group's partition. */
export function partitionName(group: GroupId): string {
  return `partition ${partitionOfGroup(group)}`
}
