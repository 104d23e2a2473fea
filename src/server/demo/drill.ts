/**
 * What a kill of the demo means with each strategy: whom it hurts most, who takes over, and from
 * when on all writes are acknowledged again.
 */
import type { Client } from '../../client/connect.js'
import type { ClusterStatus } from '../../client/status.js'
import { partitionOf } from '../../core/partition-map.js'
import { suggestion } from '../../core/suggest.js'
import { GcacheError } from '../../errors.js'

export interface Drill {
  readonly strategy: string
  /** Whom `k` kills, in words. */
  readonly whom: string
  opening(status: ClusterStatus | undefined): string
  /** Undefined: nobody just now. */
  victim(status: ClusterStatus): string | undefined
  /** What it is before it is killed. */
  rank(before: ClusterStatus, victim: string): string
  /** Called when it is dead: the time (performance.now) of the writes that prove the failover, and
   *  what they are. `next`: that of the next one of a shopper. */
  recovery(before: ClusterStatus, client: Client, next: Promise<number>): [Promise<number>, string]
  /** Who took over, in words; undefined: nobody yet. */
  heir(status: ClusterStatus, before: ClusterStatus, victim: string): string | undefined
  /** `id` has everything again that it should have. */
  isWhole(status: ClusterStatus, id: string): boolean
}

const MASTER: Drill = {
  strategy: 'master-slave',
  whom: 'the master',
  opening: status => `three nodes serve, node ${status?.master ?? '?'} is master`,
  victim: status => status.master,
  rank: () => 'the master',
  recovery: (_before, _client, next) => [next, 'the next acknowledged write'],
  heir: ({ master }, _before, victim) =>
    master === undefined || master === victim ? undefined : `node ${master} took over`,
  isWhole: () => true,
}

const OWNER: Drill = {
  strategy: 'partitioned',
  whom: 'the owner of most sessions',
  opening: status => `three nodes serve ${status?.partitions?.number ?? '?'} partitions`,
  victim: ({ members, partitions }) => {
    if (partitions === undefined || partitions.unowned > 0) return undefined
    const [most] = [...members].sort((a, b) => (b.served ?? 0) - (a.served ?? 0))
    return most?.id
  },
  rank: ({ members, partitions }, victim) => {
    const served = (of: ClusterStatus['members']) =>
      of.reduce((sum, member) => sum + (member.served ?? 0), 0)
    const own = served(members.filter(({ id }) => id === victim))
    return (
      `the owner of ${ownedBy(partitions, victim)} of ${partitions?.number} partitions and of ` +
      `${own} of ${served(members)} sessions`
    )
  },
  // A shopper's next write may lie with a node that lives: a write to each partition proves it.
  recovery: ({ partitions }, client) => {
    const probes = client.cache<number>('demo-probes')
    const keys = keyOfEach(partitions?.number ?? 1)
    const done = Promise.all(keys.map(key => probes.set(key, 1))).then(() => performance.now())
    return [done, `an acknowledged write in each of the ${keys.length} partitions`]
  },
  heir: ({ members, partitions }, before, victim) => {
    if (partitions === undefined || partitions.unowned > 0) return undefined
    if (ownedBy(partitions, victim) > 0) return undefined
    const gains = members.map(({ id }) => ({
      id,
      gain: ownedBy(partitions, id) - ownedBy(before.partitions, id),
    }))
    return gains
      .filter(({ gain }) => gain > 0)
      .map(({ id, gain }) => `node ${id} took over ${gain} partitions`)
      .join(', ')
  },
  isWhole: ({ partitions }, id) =>
    partitions !== undefined &&
    partitions.unowned === 0 &&
    (partitions.copies[id] ?? 0) > 0 &&
    partitions.inSync[id] === partitions.copies[id],
}

const DRILLS: Readonly<Record<string, Drill>> = {
  [MASTER.strategy]: MASTER,
  [OWNER.strategy]: OWNER,
}

/** CONFIG for a strategy that the demo does not know. */
export function drillOf(strategy: string): Drill {
  if (Object.hasOwn(DRILLS, strategy)) return DRILLS[strategy]
  const hint = suggestion(strategy, Object.keys(DRILLS))
  throw new GcacheError('CONFIG', `--strategy ${strategy}: the demo does not show it: ${hint}`)
}

function ownedBy(partitions: ClusterStatus['partitions'], id: string): number {
  return partitions?.owned[id] ?? 0
}

/** One key of each partition. */
function keyOfEach(partitions: number): string[] {
  const keys = new Map<number, string>()
  for (let i = 0; keys.size < partitions; i++) {
    const key = `probe-${i}`
    const partition = partitionOf(key, partitions)
    if (!keys.has(partition)) keys.set(partition, key)
  }
  return [...keys.values()]
}
