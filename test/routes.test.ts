/** Calls in a cluster of partitions: real clients and nodes, each key's calls at its owner. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Client } from '../src/client/connect.js'
import { GroupedCalls, type Owner } from '../src/client/grouped-calls.js'
import type { Failover } from '../src/client/routing.js'
import { LIMITS } from '../src/config.js'
import type { ChangeEvent } from '../src/contracts/cache.js'
import type { StrategyFactory } from '../src/contracts/strategy.js'
import type { GroupId } from '../src/contracts/types.js'
import { groupOfKey } from '../src/core/key-groups.js'
import { systemWorld } from '../src/defaults.js'
import { GcacheError } from '../src/errors.js'
import { createNode, type Node } from '../src/node.js'
import { MemoryNetwork } from '../transports/memory.js'
import { EngineCluster } from './harness/engine-cluster.js'
import { inheritedGroups, keyedGroups } from './harness/keyed-groups.js'

/** Group 1 is led by a, group 2 by b. */
const PARTITIONS = 2
const KEYS = Array.from({ length: 40 }, (_, i) => `key ${i}`)
const [ODD, EVEN] = [1, 2].map(group => KEYS.filter(key => groupOfKey(key, PARTITIONS) === group))

const clusters: EngineCluster[] = []
const nodes: Node[] = []

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.close()
  await Promise.all(nodes.splice(0).map(node => node.close()))
})

async function start(strategy: unknown = keyedGroups): Promise<[EngineCluster, Client]> {
  // A cluster does not look into messages.
  const cluster = new EngineCluster(['a', 'b', 'c'], 1, strategy as StrategyFactory<never>)
  clusters.push(cluster)
  for (const id of ['a', 'b', 'c']) await cluster.start(id)
  await cluster.pass(500)
  const client = await cluster.connect()
  await cluster.pass(100)
  return [cluster, client]
}

function keysOf(cluster: EngineCluster, node: string, group: GroupId): string[] {
  const store = cluster.hosts.get(node)?.get(group)?.store
  return KEYS.filter(key => store?.peek('c', key) !== undefined)
}

async function failureOf(promise: Promise<unknown>): Promise<GcacheError> {
  const error = await promise.then(
    () => undefined,
    reason => reason,
  )
  if (!(error instanceof GcacheError)) throw new Error(`no failure: ${error}`)
  return error
}

async function listed<T>(all: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of all) items.push(item)
  return items
}

/** Collects until the client is closed. */
function events(client: Client | Node): string[] {
  const seen: string[] = []
  const collect = async () => {
    const watch: AsyncIterable<ChangeEvent<unknown>> = client.cache('c').watch()
    for await (const { kind, key } of watch) seen.push(key === '' ? kind : `${kind} ${key}`)
  }
  collect().catch(() => {})
  return seen
}

describe('a client of a cluster with partitions', () => {
  it('asks for each key where it is served, and no node refuses', async () => {
    const [cluster, client] = await start()
    const cache = client.cache<number>('c')
    const began = cluster.clock.now()
    const receipts = await cluster.run(cache.setMany(KEYS.map((key, i) => [key, i] as const)))
    // A refusal costs a pause of 3 ms at least.
    expect(cluster.clock.now() - began).toBeLessThan(3)
    expect(receipts.every(({ copies }) => copies === 3)).toBe(true)
    expect(ODD.length * EVEN.length).toBeGreaterThan(100)
    for (const node of ['a', 'b', 'c']) {
      expect(keysOf(cluster, node, 0)).toEqual([])
      expect(keysOf(cluster, node, 1)).toEqual(ODD)
      expect(keysOf(cluster, node, 2)).toEqual(EVEN)
    }
    expect(await cluster.run(cache.getMany([...KEYS].reverse()))).toEqual(
      KEYS.map((_, i) => 39 - i),
    )
    expect(await cluster.run(cache.get(KEYS[7], { read: 'local' }))).toBe(7)
    expect(await cluster.run(cache.get(KEYS[8], { read: 'linearizable' }))).toBe(8)
    expect(await cluster.run(cache.delete(KEYS[7]))).toBe(true)
    expect(await cluster.run(cache.delete(KEYS[7]))).toBe(false)
    expect(await cluster.run(cache.has(KEYS[7]))).toBe(false)
    expect(client.pending).toBe(0)
  })

  it('counts, walks and clears all partitions', async () => {
    const [cluster, client] = await start()
    const cache = client.cache<number>('c')
    await cluster.run(cache.setMany(KEYS.map((key, i) => [key, i] as const)))
    expect(await cluster.run(cache.size())).toBe(40)
    const keys = await cluster.run(listed(cache.keys({ pageSize: 3 })))
    expect(keys.length).toBe(40)
    expect(keys.sort()).toEqual([...KEYS].sort())
    const some = await cluster.run(listed(cache.entries({ prefix: 'key 3', pageSize: 2 })))
    expect(some.map(([, i]) => i).sort((a, b) => a - b)).toEqual([
      3, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
    ])
    expect(await cluster.run(cache.clear())).toEqual({
      ...{ version: 0, epoch: 0, offset: 0 },
      ...{ copies: 3, durableCopies: 0 },
    })
    expect(await cluster.run(cache.size())).toBe(0)
    expect(await cluster.run(listed(cache.keys()))).toEqual([])
  })

  it('goes on with a walk when a partition that it has not seen yet moves', async () => {
    const [cluster, client] = await start()
    const cache = client.cache<number>('c')
    await cluster.run(cache.setMany(KEYS.map((key, i) => [key, i] as const)))
    const walk = cache.keys({ pageSize: 2 })
    const keys = [(await cluster.run(walk.next())).value]
    cluster.engines.get('b')?.feed({ kind: 'admin', command: 'handover', group: 2, peer: 'c' })
    await cluster.pass(100)
    keys.push(...(await cluster.run(listed(walk))))
    expect(keys.sort()).toEqual([...KEYS].sort())
  })

  it('follows the table when an owner dies, and says which partitions went where', async () => {
    const [cluster, client] = await start(inheritedGroups)
    const failovers: Failover[] = []
    client.on('failover', failover => failovers.push(failover))
    const cache = client.cache<number>('c')
    await cluster.run(cache.setMany(KEYS.map(key => [key, 1] as const)))
    const pending = EVEN.map(key => cache.set(key, 2))
    cluster.crash('b')
    const receipts = await cluster.run(Promise.all(pending))
    expect(receipts.every(({ copies }) => copies >= 1)).toBe(true)
    expect(await cluster.run(cache.getMany(KEYS))).toEqual(
      KEYS.map(key => (EVEN.includes(key) ? 2 : 1)),
    )
    expect(failovers).toMatchObject([{ from: 'b', to: 'a', groups: [2], epoch: 2 }])
    expect(failovers[0].pausedMs).toBeGreaterThanOrEqual(0)
  })

  it('says which keys failed, and why each, while the others are done', async () => {
    const [cluster, client] = await start()
    const cache = client.cache<number>('c')
    cluster.crash('b')
    await cluster.pass(100)
    const pairs = KEYS.map(key => [key, 1] as const)
    const error = await cluster.run(failureOf(cache.setMany(pairs, { timeoutMs: 300 })))
    expect(error).toMatchObject({ code: 'TIMEOUT', outcome: 'unknown' })
    expect([...(error.failed ?? [])].map(([key, { code }]) => [key, code])).toEqual(
      EVEN.map(key => [key, 'TIMEOUT']),
    )
    expect(keysOf(cluster, 'a', 1)).toEqual(ODD)
    const read = await cluster.run(failureOf(cache.getMany(KEYS, { timeoutMs: 300 })))
    expect([...(read.failed?.keys() ?? [])]).toEqual(EVEN)
    const whole = await cluster.run(failureOf(cache.clear({ timeoutMs: 300 })))
    expect(whole).toMatchObject({ code: 'TIMEOUT', outcome: 'unknown' })
    expect(keysOf(cluster, 'a', 1)).toEqual([])
    expect(await cluster.run(failureOf(cache.size({ timeoutMs: 300 })))).toMatchObject({
      ...{ code: 'TIMEOUT', outcome: undefined },
    })
  })

  it('carries a token of all that it has seen: of each partition what is its own', async () => {
    const [cluster, client] = await start()
    const cache = client.cache<number>('c')
    await cluster.run(cache.set(ODD[0], 1))
    await cluster.run(cache.set(EVEN[0], 2))
    const after = client.token()
    expect(after.length).toBe(10 + 2 * 36)
    const other = await cluster.connect()
    const reads = [ODD[0], EVEN[0]].map(key => other.cache('c').get(key, { after }))
    expect(await cluster.run(Promise.all(reads))).toEqual([1, 2])
    expect(await cluster.run(other.cache('c').size({ after }))).toBe(2)
    cluster.engines.get('b')?.feed({ kind: 'admin', command: 'handover', group: 2, peer: 'c' })
    await cluster.pass(100)
    // This strategy says of each token of another epoch that it is lost.
    const lost = other.cache('c').get(EVEN[0], { after })
    expect(await cluster.run(failureOf(lost))).toMatchObject({ code: 'DIVERGED' })
    expect(await cluster.run(other.cache('c').get(ODD[0], { after }))).toBe(1)
  })

  it('watches all partitions, and hears of a gap where one came to another node', async () => {
    const [cluster, client] = await start(inheritedGroups)
    const cache = client.cache<number>('c')
    const seen = events(client)
    await cluster.pass(100)
    await cluster.run(cache.setMany([ODD[0], EVEN[0]].map(key => [key, 1] as const)))
    await cluster.pass(100)
    expect(seen.sort()).toEqual([`set ${ODD[0]}`, `set ${EVEN[0]}`].sort())
    seen.length = 0
    cluster.crash('b')
    await cluster.pass(500)
    expect(new Set(seen)).toEqual(new Set(['gap']))
    cluster.engines.get('a')?.feed({ kind: 'admin', command: 'handover', group: 1, peer: 'c' })
    await cluster.pass(100)
    seen.length = 0
    await cluster.run(cache.setMany([ODD[1], EVEN[1]].map(key => [key, 1] as const)))
    await cluster.pass(100)
    expect(seen.sort()).toEqual([`set ${ODD[1]}`, `set ${EVEN[1]}`].sort())
  })
})

/** Calls by a table that the test gives, straight to the engines. */
function grouped(cluster: EngineCluster, masters: readonly string[]) {
  const { clock } = cluster
  const calls: GroupedCalls = new GroupedCalls(
    {
      ...{ clock, random: cluster.random.fork(), timeoutMs: 2_000, cluster: 'test' },
      send: (target, frame) => {
        const own = Uint8Array.from(frame)
        const answer = (reply: Uint8Array) => {
          const kept = Uint8Array.from(reply)
          clock.after(0, () => calls.onReply(target, kept))
        }
        clock.after(0, () => cluster.engines.get(target)?.request(own, answer))
        return 'sent'
      },
      flush: () => {},
      defer: task => clock.after(0, task),
    },
    { number: 1, masters, partitions: PARTITIONS },
  )
  return calls
}

const linked = (peer: string): Owner => ({ peer, valueBytesMax: LIMITS.valueBytesMax })

describe('calls by a table of groups', () => {
  it('by an old one wait for the newer one, and have one effect each', async () => {
    const [cluster] = await start()
    const masters = ['a', 'a', 'b']
    const calls = grouped(cluster, masters)
    calls.route({ number: 1, masters, partitions: PARTITIONS }, linked)
    const [key] = ODD
    const first = await cluster.run(calls.set('c', key, Buffer.from('1'), {}))
    cluster.engines.get('a')?.feed({ kind: 'admin', command: 'handover', group: 1, peer: 'b' })
    await cluster.pass(100)
    const second = calls.set('c', key, Buffer.from('2'), {})
    await cluster.pass(200)
    expect(calls.pending).toBe(1)
    calls.route({ number: 2, masters: ['a', 'b', 'b'], partitions: PARTITIONS }, linked)
    expect((await cluster.run(second)).version).toBe(first.version + 1)
    calls.close()
  })

  it('share one bound of calls', async () => {
    const [cluster] = await start()
    const calls = grouped(cluster, ['a', 'a', 'b'])
    const keys = [ODD[0], EVEN[0]]
    const asked = Array.from({ length: LIMITS.callsMax }, (_, i) =>
      failureOf(calls.get('c', keys[i % 2], i === 0 ? 50 : 9_000)),
    )
    expect(calls.pending).toBe(LIMITS.callsMax)
    for (const key of keys)
      expect(await failureOf(calls.get('c', key, 9_000))).toMatchObject({ code: 'BUSY' })
    expect(await cluster.run(asked[0])).toMatchObject({ code: 'TIMEOUT' })
    asked[0] = failureOf(calls.get('c', keys[1], 9_000))
    expect(await failureOf(calls.get('c', keys[1], 9_000))).toMatchObject({ code: 'BUSY' })
    calls.close()
    const codes = (await Promise.all(asked)).map(({ code }) => code)
    expect(new Set(codes)).toEqual(new Set(['CLOSED']))
    expect(await failureOf(calls.get('c', keys[0], 9_000))).toMatchObject({ code: 'CLOSED' })
  })
})

describe('calls that ask all partitions', () => {
  it('are refused where not all of them fit the bound, and leave none behind', async () => {
    const [cluster] = await start()
    const calls = grouped(cluster, ['a', 'a', 'b'])
    const asked = Array.from({ length: LIMITS.callsMax / PARTITIONS - 1 }, () =>
      failureOf(calls.size('c', 9_000)),
    )
    const last = failureOf(calls.get('c', ODD[0], 9_000))
    expect(calls.pending).toBe(LIMITS.callsMax - 1)
    const [size, clear] = [calls.size('c', 9_000), calls.clear('c', {})].map(failureOf)
    expect(await size).toMatchObject({ code: 'BUSY', outcome: undefined })
    expect(await clear).toMatchObject({ code: 'BUSY', outcome: 'rejected' })
    expect(calls.pending).toBe(LIMITS.callsMax - 1)
    const page = failureOf(calls.scan('c', '', 0, 10, 9_000))
    expect(calls.pending).toBe(LIMITS.callsMax)
    expect(await failureOf(calls.scan('c', '', 0, 10, 9_000))).toMatchObject({ code: 'BUSY' })
    calls.close()
    const codes = (await Promise.all([...asked, last, page])).map(({ code }) => code)
    expect(new Set(codes)).toEqual(new Set(['CLOSED']))
  })
})

describe('embedded nodes of a cluster with partitions', () => {
  it('call the owner of each key, themselves included, and follow it when it goes', async () => {
    const network = new MemoryNetwork({ ...systemWorld })
    const ids = ['a', 'b', 'c']
    const members = ids.map((id, ordinal) => ({ id, ordinal, address: `memory://${id}` }))
    const transport = network.transport()
    const strategy = inheritedGroups as unknown as StrategyFactory
    for (const id of ids)
      nodes.push(await createNode({ cluster: 'test', id, members, transport, strategy }))
    const [a, b, c] = nodes
    const [before, after] = [events(a), events(c)]
    // Who is answered by both owners has watched there before.
    for (const node of nodes) await node.cache('c').getMany([ODD[0], EVEN[0]])
    for (const [n, node] of nodes.entries()) {
      const cache = node.cache<string>('c')
      await cache.setMany(KEYS.map((key, i) => [key, `${i} of ${n}`] as const))
      expect(await nodes[2 - n].cache('c').getMany(KEYS)).toEqual(
        KEYS.map((_, i) => `${i} of ${n}`),
      )
      expect(await cache.size()).toBe(40)
      expect((await listed(cache.keys({ pageSize: 7 }))).sort()).toEqual([...KEYS].sort())
    }
    const token = a.token()
    expect(await b.cache('c').get(EVEN[0], { after: token, read: 'local' })).toMatch(/of 2$/)
    expect(before.filter(event => event === `set ${EVEN[0]}`).length).toBe(3)
    expect(after.filter(event => event === `set ${ODD[0]}`).length).toBe(3)
    await b.close()
    await c.cache('c').set(EVEN[0], 'last')
    expect(await a.cache('c').get(EVEN[0])).toBe('last')
    expect((await c.cache('c').clear()).copies).toBeGreaterThanOrEqual(1)
    expect(await a.cache('c').size()).toBe(0)
  })
})
