/**
 * What partitions are for, in numbers: the entries and bytes that each node holds, and the writes
 * that it leads, fall as one over the number of nodes.
 */
import { afterEach, expect, test } from 'vitest'
import type { ClusterMember } from '../src/client/status.js'
import { PartitionCluster } from './harness/partition-cluster.js'

const PARTITIONS = 64
const KEYS = 1_200
/** 64 partitions never fall quite evenly: 21 copies each on 6 nodes, +- 4. */
const UNEVEN = 1.5

let cluster: PartitionCluster | undefined

afterEach(async () => {
  await cluster?.close()
  cluster = undefined
})

type Figure = 'entries' | 'bytes' | 'served'

/** What each node has more of after the keys were written; the table of partitions is in both. */
async function grownBy(nodes: number): Promise<Record<Figure, number[]>> {
  const ids = 'abcdef'.slice(0, nodes)
  const world = new PartitionCluster([...ids], { partitions: PARTITIONS }, 1)
  cluster = world
  await world.startAll()
  await world.settled()
  const client = await world.connect()
  const cache = client.cache<string>('spread')
  await world.run(cache.set('first', 'makes the cache everywhere'))
  const before = (await world.run(client.status())).members
  const keys = Array.from({ length: KEYS }, (_, i) => `key-${i}`)
  await world.run(Promise.all(keys.map(key => cache.set(key, 'v'.repeat(100)))))
  await world.pass(200)
  const after = (await world.run(client.status())).members
  await world.close()
  cluster = undefined
  const grown = (name: Figure) => {
    const of = (members: readonly ClusterMember[]) => members.map(member => member[name] ?? 0)
    return of(after).map((count, i) => count - of(before)[i])
  }
  return { entries: grown('entries'), bytes: grown('bytes'), served: grown('served') }
}

const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0)

test('entries, bytes and led keys a node fall as 1 / nodes at 1, 3 and 6 nodes', async () => {
  const alone = await grownBy(1)
  expect([alone.entries, alone.served]).toEqual([[KEYS], [KEYS]])
  for (const nodes of [3, 6]) {
    const { entries, bytes, served } = await grownBy(nodes)
    // An owner and one backup of each, and none more.
    expect([sum(entries), sum(served)]).toEqual([2 * KEYS, KEYS])
    expect(sum(bytes)).toBeLessThan(2.2 * alone.bytes[0])
    expect(Math.max(...entries)).toBeLessThan((UNEVEN * 2 * KEYS) / nodes)
    expect(Math.max(...bytes)).toBeLessThan((UNEVEN * 2 * alone.bytes[0]) / nodes)
    expect(Math.max(...served)).toBeLessThan((UNEVEN * KEYS) / nodes)
  }
}, 60_000)
