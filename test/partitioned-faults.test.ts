/**
 * Strategy partitioned under faults by seed: crashes, cuts, resets, links that stand still or are
 * slow, one trouble after the other while writes go on. Afterwards the whole cluster serves, and
 * nothing that was acknowledged is missing. A failure prints its seed.
 */
import { describe, expect, test } from 'vitest'
import { type SeededRandom, seededRandom } from '../src/core/prng.js'
import { PartitionCluster } from './harness/partition-cluster.js'

const TROUBLES = ['crash', 'isolate', 'cut', 'reset', 'clog', 'slow'] as const

/** One trouble, and what ends it; at most one memory is lost at a time. */
async function trouble(cluster: PartitionCluster, random: SeededRandom): Promise<void> {
  const ids = cluster.members.map(({ id }) => id)
  const kind = random.pick(TROUBLES)
  const node = random.pick(ids)
  const other = random.pick(ids.filter(id => id !== node))
  const { network } = cluster
  const lengthMs = 200 + random.below(3_000)
  if (kind === 'crash') cluster.crash(node)
  else if (kind === 'isolate') for (const id of ids) id !== node && network.cut(node, id)
  else if (kind === 'cut') network.cut(node, other)
  else if (kind === 'reset') network.reset(node, other)
  else if (kind === 'clog') network.clog(node, other, lengthMs)
  else network.setFaults({ latencyMsMin: 1, latencyMsMax: 40 })
  await cluster.load(lengthMs, 40)
  if (kind === 'crash') await cluster.start(node)
  network.mendAll()
  if (kind === 'slow') network.setFaults({ latencyMsMin: 0, latencyMsMax: 1 })
  await cluster.load(random.below(400), 40)
  // A second memory must not go before the first is back.
  await cluster.settled(60_000)
}

describe('faults by seed', () => {
  test.each([1, 2, 3, 39])(
    'seed %i: nothing acknowledged is lost',
    async seed => {
      const random = seededRandom(seed)
      const ids = random.chance(0.5) ? ['a', 'b', 'c'] : ['a', 'b', 'c', 'd']
      const graceMs = random.pick([500, 10_000])
      const cluster = new PartitionCluster(ids, { partitions: 6, graceMs }, seed)
      await cluster.startAll()
      await cluster.settled()
      for (let i = 0; i < 5; i++) await trouble(cluster, random)
      await cluster.load(200)
      await cluster.pass(300)
      expect(cluster.violations).toEqual([])
      expect(cluster.missing()).toEqual([])
      expect(cluster.acked.length).toBeGreaterThan(200)
      await cluster.close()
    },
    60_000,
  )
})
