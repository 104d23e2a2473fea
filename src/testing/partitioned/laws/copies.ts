/**
 * P11 once all is quiet each partition lies where rendezvous hashing wants it: with b + 1 nodes,
 *     zones apart, the first of them its owner, all of them heirs, and nowhere else
 * P12 copies of a partition are equal
 * P13 two logs of a partition have one entry at an (epoch, offset), and it is made by who leads
 *     then
 */
import type { GroupId } from '../../../contracts/types.js'
import { ownersOf } from '../../../core/partition-map.js'
import { epochName } from '../../lineage.js'
import { type PartitionedCluster, partitionName } from '../cluster.js'
import type { GroupLaw } from '../law.js'

/** What is not where it should be; undefined: everything is. */
export function misplaced(cluster: PartitionedCluster): string | undefined {
  const master = cluster.master()
  if (master === undefined) return 'nobody leads the control group'
  const { members } = master.status()
  const placed = members
    .filter(({ state, role }) => role !== 'witness' && state !== 'left' && state !== 'learner')
    .map(({ id, ordinal }) => ({ id, zone: cluster.zoneOf(ordinal) || undefined }))
  for (const group of cluster.rows.groups()) {
    const row = cluster.rows.of(group)
    const wanted = ownersOf(group - 1, placed, cluster.draw.backups + 1)
    const name = partitionName(group)
    if (row === undefined) return `${name} is not in the table`
    const [owner] = wanted
    const is = `${name} is held by ${row.holder || 'nobody'}`
    if (row.holder !== owner || !cluster.acts(cluster.tenant(owner), group))
      return `${is}, not ${owner}${row.lost ? ', and lost' : ''}`
    for (const [what, ids] of Object.entries({ owners: row.owners, heirs: row.heirs }))
      if (!isSame(ids, wanted)) return `${is}, ${what} are ${ids}, not ${wanted}`
    if (row.joining !== '') return `${is}, and ${row.joining} joins`
    const hosts = cluster.tenants().filter(({ node }) => node.hosts.has(group))
    const ids = hosts.map(({ node }) => node.id)
    if (!isSame(ids, wanted)) return `${is}, and lies with ${ids}, not ${wanted}`
  }
  return undefined
}

function isSame(ids: readonly string[], wanted: readonly string[]): boolean {
  return ids.length === wanted.length && wanted.every(id => ids.includes(id))
}

export function copiesAgree(cluster: PartitionedCluster): GroupLaw {
  /** By group, epoch and the offset behind a batch. */
  const crcs = new Map<string, number>()
  const digests = (group: GroupId) =>
    cluster.tenants().flatMap(({ node }) => {
      const host = node.hosts.get(group)
      return host === undefined ? [] : [`${host.store.applied} ${host.store.digest()}`]
    })
  return {
    name: 'copies agree',
    onAppend({ life }, group, { epoch, next, crc }) {
      const name = `${group} ${epoch.number} ${epoch.incarnation} ${next}`
      const known = crcs.get(name)
      if (known === undefined) {
        if (epoch.incarnation !== life.incarnation)
          cluster.fail('P13', `${life} has ${epochName(epoch)}:${next - 1}, which nobody made`)
        crcs.set(name, crc)
      } else if (known !== crc)
        cluster.fail('P13', `two logs of ${group} differ at ${epochName(epoch)}:${next - 1}`)
    },
    onQuiet() {
      const where = misplaced(cluster)
      if (where !== undefined) cluster.fail('P11', where)
      for (const group of cluster.rows.groups()) {
        const all = digests(group)
        if (new Set(all).size > 1)
          cluster.fail('P12', `copies of ${partitionName(group)} differ: ${all.join(', ')}`)
      }
    },
  }
}
