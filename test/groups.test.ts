/** Several groups on one engine: each with a log, a store and a standing of its own. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Proposal, Standing, StrategyFactory } from '../src/contracts/strategy.js'
import type { GroupId } from '../src/contracts/types.js'
import { Writer } from '../src/wire/bytes.js'
import { writeSet } from '../src/wire/command.js'
import { EngineCluster } from './harness/engine-cluster.js'
import { keyedGroups } from './harness/keyed-groups.js'

/** A cluster does not look into messages. */
const STRATEGY = keyedGroups as unknown as StrategyFactory<never>

const clusters: EngineCluster[] = []

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.close()
})

async function start(...ids: string[]): Promise<EngineCluster> {
  const cluster = new EngineCluster(['a', 'b', 'c'], 1, STRATEGY)
  clusters.push(cluster)
  for (const id of ids) await cluster.start(id)
  await cluster.pass(500)
  return cluster
}

/** A set of `key` in `group` that nobody waits for. */
function setOf(group: GroupId, key: string, value = 'v'): Proposal {
  const out = new Writer(256)
  writeSet(out, 'cache', key, Buffer.from(value), {})
  const bytes = out.copy()
  const nobody = { id: -1, ack: 'all', client: null, seq: 0 } as const
  return { ...nobody, group, key, bytes, start: 0, end: bytes.length }
}

function propose(cluster: EngineCluster, node: string, ...proposals: Proposal[]): void {
  cluster.engines.get(node)?.feed({ kind: 'propose', proposals })
}

function hostOf(cluster: EngineCluster, node: string, group: GroupId) {
  const host = cluster.hosts.get(node)?.get(group)
  if (host === undefined) throw new Error(`${node} has no group ${group}`)
  return host
}

describe('an engine with several groups', () => {
  it('keeps a log and a store for each, and applies to each what its own entries say', async () => {
    const cluster = await start('a', 'b', 'c')
    propose(cluster, 'a', setOf(1, 'x'), setOf(1, 'y'))
    propose(cluster, 'b', setOf(2, 'x', 'other'))
    await cluster.pass(500)
    for (const node of ['a', 'b', 'c']) {
      expect(hostOf(cluster, node, 0).log.next).toBe(1)
      expect(hostOf(cluster, node, 1).log.next).toBe(3)
      expect(hostOf(cluster, node, 2).log.next).toBe(2)
      expect(hostOf(cluster, node, 1).store.peek('cache', 'x')?.value).toBe('v')
      expect(hostOf(cluster, node, 2).store.peek('cache', 'x')?.value).toBe('other')
      expect(hostOf(cluster, node, 2).store.peek('cache', 'y')).toBeUndefined()
      for (const group of [1, 2])
        expect(hostOf(cluster, node, group).store.digest()).toBe(
          hostOf(cluster, 'a', group).store.digest(),
        )
    }
  })

  it('copies one group to a node that comes later, and not the other', async () => {
    const cluster = await start('a', 'b')
    for (let i = 0; i < 200; i++) propose(cluster, 'a', setOf(1, `key ${i}`, 'v'.repeat(100)))
    await cluster.start('c')
    await cluster.pass(1_000)
    const { store, log } = hostOf(cluster, 'c', 1)
    expect(store.digest()).toBe(hostOf(cluster, 'a', 1).store.digest())
    expect(store.stats().entries).toBe(200)
    expect([log.first, log.next, store.applied]).toEqual([201, 201, 201])
    expect(hostOf(cluster, 'c', 2).store.applied).toBe(1)
    propose(cluster, 'a', setOf(1, 'after'))
    await cluster.pass(500)
    expect(store.peek('cache', 'after')?.version).toBe(201)
  })

  it('tells the standing of each group, and that of group 0 alone as its own', async () => {
    const cluster = await start()
    const told: [GroupId, Standing][] = []
    const own: Standing[] = []
    const engine = await cluster.start('b')
    engine.events.on('group-standing', (group, standing) => told.push([group, standing]))
    engine.events.on('standing', standing => own.push(standing))
    await cluster.start('a')
    await cluster.pass(500)
    engine.feed({ kind: 'admin', command: 'handover', group: 2, peer: 'a' })
    expect(told.map(([group, { role, master }]) => [group, role, master])).toEqual([
      [2, 'slave', 'a'],
    ])
    expect(own).toEqual([])
    expect(engine.standing).toMatchObject({ role: 'slave', master: 'a' })
  })

  it('frees a group that is dropped, and begins it anew, empty, if it is used again', async () => {
    const cluster = await start('a', 'b', 'c')
    propose(cluster, 'a', setOf(1, 'x'))
    await cluster.pass(500)
    const before = hostOf(cluster, 'c', 1)
    const c = cluster.engines.get('c')
    c?.feed({ kind: 'admin', command: 'leave', group: 1 })
    propose(cluster, 'a', setOf(1, 'y'))
    await cluster.pass(500)
    expect(hostOf(cluster, 'c', 1)).toBe(before)
    expect(before.store.applied).toBe(2)
    expect(hostOf(cluster, 'a', 1).store.applied).toBe(3)
    c?.feed({ kind: 'admin', command: 'join', group: 1 })
    expect(hostOf(cluster, 'c', 1)).not.toBe(before)
    await cluster.pass(500)
    const { store } = hostOf(cluster, 'c', 1)
    expect(store.digest()).toBe(hostOf(cluster, 'a', 1).store.digest())
    expect(store.peek('cache', 'y')?.version).toBe(2)
  })
})
