/**
 * P1  of the nodes one at most answers for a partition at a moment of true time, and an epoch of a
 *     partition is led by one process only
 * P2  acknowledged is in the newest epoch that ever acknowledged, by the one that answers then
 * P3  who leads was granted it: a committed row says so, for this very process and counter, and
 *     goes on saying so while it acknowledges
 */
import type { Epoch, GroupId } from '../../../contracts/types.js'
import { compareEpochs } from '../../../core/epochs.js'
import type { Life } from '../../life.js'
import { epochName } from '../../lineage.js'
import { type PartitionedCluster, partitionName } from '../cluster.js'
import type { GroupLaw, Tenant } from '../law.js'

export function oneOwner(cluster: PartitionedCluster): GroupLaw {
  const led = new Map<string, Life>()
  const newest = new Map<GroupId, Epoch>()
  const alone = (group: GroupId) => {
    const acting = cluster.acting(group)
    if (acting.length > 1)
      cluster.fail('P1', `${acting.map(({ life }) => life)} serve ${partitionName(group)} at once`)
  }
  const counterOf = ({ number }: Epoch) => Math.floor(number / 256)
  const granted = ({ life }: Tenant, group: GroupId, epoch: Epoch) => {
    const grant = cluster.rows.grantOf(group, counterOf(epoch))
    if (grant?.holder !== life.node || grant.life !== life.incarnation)
      cluster.fail(
        'P3',
        `${life} leads ${partitionName(group)} in ${epochName(epoch)}, which ` +
          `${grant === undefined ? 'nobody was' : `${grant.holder} was`} granted`,
      )
  }
  return {
    name: 'one owner',
    onLead(tenant, group, { epoch, serving }) {
      const name = `${group} ${epoch.number} ${epoch.incarnation}`
      const other = led.get(name) ?? tenant.life
      if (other !== tenant.life)
        cluster.fail('P1', `${other} and ${tenant.life} lead ${epochName(epoch)} of ${group}`)
      led.set(name, tenant.life)
      granted(tenant, group, epoch)
      if (serving) alone(group)
    },
    onSettle({ life }, { group, epoch }) {
      alone(group)
      const last = newest.get(group)
      if (last !== undefined && compareEpochs(epoch, last) < 0)
        cluster.fail('P2', `${life} acknowledges in ${epochName(epoch)} after ${epochName(last)}`)
      newest.set(group, epoch)
      const row = cluster.rows.of(group)
      const isHolder = row?.holder === life.node && row.life === life.incarnation
      if (!isHolder || row.counter !== counterOf(epoch))
        cluster.fail(
          'P3',
          `${life} acknowledges in ${epochName(epoch)} of ${partitionName(group)}, which ` +
            `${row?.holder || 'nobody'} holds by ${row?.counter}`,
        )
    },
    onTick() {
      for (const group of cluster.rows.groups()) alone(group)
    },
  }
}
