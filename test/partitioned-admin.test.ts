/** Strategy partitioned as its operators see it: options, status, exit codes, a lost partition. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { groupOfKey } from '../src/core/key-groups.js'
import { createNode } from '../src/index.js'
import { strategyByName } from '../src/registry.js'
import { paintFor } from '../src/server/paint.js'
import { nodeOptions } from '../src/server/serve-options.js'
import { healthExit, statusJson, statusTable } from '../src/server/status-view.js'
import { statesOf } from '../src/states.js'
import { partitioned } from '../strategies/partitioned/index.js'
import { rejectionOf } from './harness/codes.js'
import { EngineCluster } from './harness/engine-cluster.js'
import { PartitionCluster } from './harness/partition-cluster.js'
import { set } from './store-driver.js'
import { BatchMaker } from './store-model.js'

const plain = paintFor({ isTTY: false } as never)
let cluster: EngineCluster | undefined

afterEach(async () => {
  await cluster?.close()
  cluster = undefined
})

async function settledOf(ids: string, options = {}): Promise<PartitionCluster> {
  const started = new PartitionCluster([...ids], options, 1)
  cluster = started
  await started.startAll()
  await started.settled()
  return started
}

describe('gcache status', () => {
  test('says what each member leads and backs up, and 0 where all of it is whole', async () => {
    const world = await settledOf('abc')
    const client = await world.connect()
    const status = await world.run(client.status())
    expect(healthExit(status)).toBe(0)
    const told = JSON.parse(statusJson(status))
    expect(told.partitions).toEqual({ number: 8, backups: 1, unowned: 0, moving: 0, lost: [] })
    const sum = (name: string) =>
      told.members.reduce((all: number, member: Record<string, number>) => all + member[name], 0)
    expect([sum('owned'), sum('backedUp'), sum('inSync')]).toEqual([8, 8, 16])
    const table = statusTable(status, plain)
    expect(table).toContain('8 partitions, 1 backup each\n')
    expect(table).toMatch(/CLIENTS +OWNS +BACKS UP/)
    expect(table).toMatch(/guarantee: 8 partitions on 3 nodes, 2 copies each: an acknowledged/)
  })

  test('is degraded until a node that is back has copied its partitions', async () => {
    const world = await settledOf('abc')
    const client = await world.connect()
    await world.load(300)
    const down = world.master() === 'c' ? 'b' : 'c'
    world.crash(down)
    await world.pass(1_000)
    const without = await world.run(client.status())
    expect([healthExit(without), without.partitions?.unowned]).toEqual([1, 0])
    await world.start(down)
    const until = world.clock.now() + 10_000
    while (healthExit(await world.run(client.status())) !== 0) {
      expect(world.clock.now()).toBeLessThan(until)
      await world.pass(20)
    }
    expect(world.isSettled()).toBe(true)
  })

  /**
   *   d  holds some partitions alone | dead              | back, empty
   *                                  | they are lost: 1  |  1  | each is begun anew: 0
   */
  test('names lost partitions with their remedy, until each is begun anew', async () => {
    const world = await settledOf('abcd', { backups: 0 })
    const client = await world.connect()
    const down = world.master() === 'd' ? 'c' : 'd'
    const had = world.groups().filter(group => world.ownerOf(group) === down)
    const lost = had.map(group => group - 1)
    expect(lost.length).toBeGreaterThan(0)
    world.crash(down)
    await world.until(() => world.statusOf('a').partitions.lost.length === lost.length)
    await world.pass(1_000)
    const keys = Array.from({ length: 1_000 }, (_, i) => `k${i}`)
    const key = keys.find(each => groupOfKey(each, 8) === had[0]) as string
    const message = expect.stringContaining(`gcache reset-partition ${lost[0]})`)
    const cache = client.cache('c')
    for (const call of [() => cache.get(key), () => cache.set(key, 1)])
      await expect(world.run(call())).rejects.toMatchObject({ code: 'PARTITION_LOST', message })
    await world.start(down)
    await world.pass(1_000)
    const status = await world.run(client.status())
    expect(healthExit(status)).toBe(1)
    expect(JSON.parse(statusJson(status)).partitions).toMatchObject({ lost })
    expect(statusTable(status, plain)).toContain(
      `lost: ${lost.join(', ')} (start a node that holds them, or begin each anew: ` +
        'gcache reset-partition N)',
    )
    for (const partition of lost)
      expect(await world.run(client.resetPartition(partition))).toEqual({ partition, born: 2 })
    await world.settled()
    expect(healthExit(await world.run(client.status()))).toBe(0)
  })
})

describe('reset-partition', () => {
  test('is refused for one that has copies, and for one that is none', async () => {
    const world = await settledOf('abc')
    const client = await world.connect()
    const codeOf = (work: Promise<unknown>) => world.run(rejectionOf(work))
    expect(await codeOf(client.resetPartition(0))).toBe('HEALTHY')
    expect(await codeOf(client.resetPartition(8))).toBe('CONFIG')
    expect(await codeOf(client.resetPartition(-1))).toBe('CONFIG')
    expect(world.statusOf('a').partitions.unowned).toBe(0)
  })

  test('is refused by a strategy that has no partitions', async () => {
    cluster = new EngineCluster(['a', 'b'], 1)
    await cluster.startAll()
    const client = await cluster.connect()
    expect(await cluster.run(rejectionOf(client.resetPartition(0)))).toBe('CONFIG')
  })
})

describe('options', () => {
  const members = [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }]
  const flags = { id: 'a', ordinal: '0', autoCaches: true, logLevel: 'info' } as const
  const noFile = () => ({})

  test('flags go to the strategy, of the command line or of the file', () => {
    const given = { ...flags, partitions: '16', backups: '2', zone: 'north' }
    const options = { partitions: 16, backups: 2, zone: 'north' }
    const named = { ...given, strategy: 'partitioned' }
    expect(nodeOptions(named, noFile).strategy).toEqual({ name: 'partitioned', ...options })
    const file = () => ({ strategy: { name: 'partitioned', partitions: 8, graceMs: 5_000 } })
    expect(nodeOptions({ ...given, config: 'f' }, file).strategy).toEqual({
      ...{ name: 'partitioned', graceMs: 5_000 },
      ...options,
    })
    expect(() => nodeOptions({ ...flags, backups: 'x' }, noFile)).toThrow(/--backups "x"/)
  })

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['one that there is not', { partition: 8 }, /unknown option partition: .*partitions/],
    ['another strategy has it', { profile: 'majority' }, /unknown option profile/],
    ['out of range', { partitions: 2_000 }, /option partitions .*1\.\.1024/],
    ['no zone', { zone: 5 }, /option zone must be a text/],
  ])('%s is refused by its name', async (_, options, why) => {
    const strategy = { name: 'partitioned', ...options }
    const refused = createNode({ cluster: 'x', id: 'a', members, strategy })
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG' })
    await expect(refused).rejects.toThrow(why)
  })

  test.each<[string, object, RegExp]>([
    ['entries', { maxEntries: 100 }, /caches\.s\.maxEntries 100 .*256 partitions.* at least 256/],
    ['bytes', { maxBytes: 65_536 }, /caches\.s\.maxBytes 65536 .* at least 1048576/],
  ])('a limit on %s that cannot be cut is refused with what can', async (_, limits, why) => {
    const strategy = { name: 'partitioned' }
    const refused = createNode({ cluster: 'x', id: 'a', members, strategy, caches: { s: limits } })
    await expect(refused).rejects.toThrow(why)
  })

  test('a cache holds its limit in all partitions together, named or not', async () => {
    const node = await createNode({
      ...{ cluster: 'x', id: 'a', members },
      strategy: partitioned({ partitions: 4 }),
      caches: { small: { maxEntries: 40 }, full: { maxEntries: 40, eviction: 'none' } },
    })
    await node.ready()
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`)
    const [small, full] = [node.cache<number>('small'), node.cache<number>('full')]
    await Promise.all(keys.map(key => small.set(key, 1)))
    await vi.waitUntil(async () => (await small.size()) <= 40, { timeout: 10_000 })
    const codes = await Promise.all(keys.map(key => rejectionOf(full.set(key, 1))))
    expect(codes.filter(code => code === 'CACHE_FULL')).toHaveLength(160)
    expect(await full.size()).toBe(40)
    await node.close()
  })

  test('a group of a node keeps its share of the backlog and of a cache nobody configured', () => {
    const members = [{ id: 'a', ordinal: 0, address: 'memory://a' }]
    const { host } = statesOf({}, { self: 'a', cluster: 'x', members })
    const { log, store } = host(1, 256)
    const maker = new BatchMaker()
    for (let i = 0; i < 10; i++) {
      const command = set(`k${i}`, 'v'.repeat(65_536))
      const batch = maker.make(i, [{ client: null, seq: 0, command }])
      log.append(batch)
      store.apply(batch)
      log.markApplied(batch.next)
    }
    expect(log.bytes).toBeLessThanOrEqual(2 ** 26 / 256)
    expect([log.first, log.next]).toEqual([8, 11])
    const [options] = store.caches().values()
    expect(options).toMatchObject({ maxEntries: 3_907, maxBytes: 2 ** 22 })
  })

  test('master-slave has no partitions', async () => {
    const strategy = { name: 'master-slave', partitions: 8 }
    await expect(strategyByName(strategy)).rejects.toThrow(/unknown option partitions/)
  })

  test('a node alone leads all of them, and is ready once it does', async () => {
    const node = await createNode({
      ...{ cluster: 'x', id: 'a', members },
      strategy: partitioned({ partitions: 4 }),
    })
    await node.ready()
    expect(node.status().partitions).toMatchObject({ owned: { a: 4 }, unowned: 0 })
    expect(await rejectionOf(node.resetPartition(1))).toBe('HEALTHY')
    await node.close()
  })
})
