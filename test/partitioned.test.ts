/** Strategy partitioned on whole engines under virtual time. */
import { afterEach, describe, expect, test } from 'vitest'
import { Writer } from '../src/wire/bytes.js'
import { OP, writePlain } from '../src/wire/command.js'
import type { PartitionedOptions } from '../strategies/partitioned/index.js'
import { PartitionCluster } from './harness/partition-cluster.js'

const clusters: PartitionCluster[] = []

afterEach(async () => {
  for (const cluster of clusters.splice(0)) {
    expect(cluster.violations).toEqual([])
    await cluster.close()
  }
})

function clusterOf(ids: string, options: PartitionedOptions = {}, seed = 1): PartitionCluster {
  const cluster = new PartitionCluster([...ids], options, seed)
  clusters.push(cluster)
  return cluster
}

async function settledOf(ids: string, options: PartitionedOptions = {}, seed = 1) {
  const cluster = clusterOf(ids, options, seed)
  await cluster.startAll()
  await cluster.settled()
  return cluster
}

describe('a partitioned cluster', () => {
  test('begins: each partition is served by one node and copied to another', async () => {
    const cluster = await settledOf('abc')
    const { partitions } = cluster.statusOf('a')
    expect(partitions).toMatchObject({ number: 8, backups: 1, unowned: 0, moving: 0, lost: [] })
    expect(Object.values(partitions.owned).reduce((sum, count) => sum + count)).toBe(8)
    for (const group of cluster.groups()) cluster.write(group)
    await cluster.pass(200)
    expect(cluster.acked).toHaveLength(8)
    for (const write of cluster.acked) {
      expect(write.receipt).toMatchObject({ copies: 2 })
      expect(['a', 'b', 'c'].filter(node => cluster.holds(node, write))).toHaveLength(2)
    }
    expect(cluster.missing()).toEqual([])
  })
})

describe('who leads a partition', () => {
  test('a crash: a backup takes over at once, and has all that was acknowledged', async () => {
    const cluster = await settledOf('abc')
    await cluster.load(500)
    const at = cluster.clock.now()
    const had = cluster.groups().filter(group => cluster.ownerOf(group) === 'b')
    cluster.crash('b')
    await cluster.until(() => cluster.groups().every(group => cluster.ownerOf(group) !== undefined))
    const tookMs = cluster.clock.now() - at
    expect(had.length).toBeGreaterThan(0)
    expect(tookMs).toBeLessThan(400)
    const writes = had.map(group => cluster.write(group))
    await cluster.until(() => writes.every(write => write?.receipt !== undefined))
    expect(cluster.clock.now() - at).toBeLessThan(600)
    expect(cluster.missing()).toEqual([])
  })

  test('a crash of the control master, which owns partitions as well', async () => {
    const cluster = await settledOf('abc')
    await cluster.load(500)
    const master = cluster.master() as string
    const at = cluster.clock.now()
    cluster.crash(master)
    await cluster.until(() => cluster.groups().every(group => cluster.ownerOf(group) !== undefined))
    expect(cluster.clock.now() - at).toBeLessThan(600)
    await cluster.load(500)
    expect(cluster.missing()).toEqual([])
  })

  test('an owner cut off from everybody stops, and another one begins only then', async () => {
    const cluster = await settledOf('abc')
    const master = cluster.master() as string
    const cut = ['a', 'b', 'c'].find(
      node => node !== master && cluster.groups().some(group => cluster.ownerOf(group) === node),
    ) as string
    const had = cluster.groups().filter(group => cluster.ownerOf(group) === cut)
    for (const other of ['a', 'b', 'c']) if (other !== cut) cluster.network.cut(cut, other)
    const until = cluster.clock.now() + 5_000
    while (cluster.clock.now() < until) {
      for (const group of had) {
        cluster.writeTo(cut, group)
        // Asserts that no two serve it.
        cluster.write(group)
      }
      await cluster.pass(20)
    }
    for (const group of had) expect(cluster.ownerOf(group)).not.toBe(cut)
    expect(had.every(group => cluster.ownerOf(group) !== undefined)).toBe(true)
    expect(cluster.missing()).toEqual([])
    cluster.network.mendAll()
    await cluster.settled()
    await cluster.load(300)
    expect(cluster.missing()).toEqual([])
  })

  test('the control master cut off with partitions of its own: the others go on', async () => {
    const cluster = await settledOf('abc')
    const master = cluster.master() as string
    for (const other of ['a', 'b', 'c']) if (other !== master) cluster.network.cut(master, other)
    await cluster.load(6_000, 50)
    for (const group of cluster.groups()) expect(cluster.ownerOf(group)).not.toBe(master)
    expect(cluster.groups().every(group => cluster.ownerOf(group) !== undefined)).toBe(true)
    cluster.network.mendAll()
    await cluster.settled()
    await cluster.load(300)
    expect(cluster.missing()).toEqual([])
  })

  test('an owner without its backup goes on alone once that one is no heir any more', async () => {
    const cluster = await settledOf('abc', { graceMs: 60_000 })
    const group = cluster.groups().find(each => cluster.ownerOf(each) !== 'c') as number
    const owner = cluster.ownerOf(group) as string
    const write = cluster.write(group)
    await cluster.pass(100)
    const backup = ['a', 'b', 'c'].find(
      node => node !== owner && write !== undefined && cluster.holds(node, write),
    ) as string
    cluster.network.cut(owner, backup)
    await cluster.pass(3_000)
    // Both hear the control group's master, unless one is it: the owner leads on either way.
    const alone = cluster.write(group)
    await cluster.pass(100)
    expect(alone?.receipt).toMatchObject({ copies: 1 })
    cluster.network.mendAll()
    await cluster.pass(5_000)
    await cluster.settled()
    const both = cluster.write(group)
    await cluster.pass(200)
    expect(both?.receipt).toMatchObject({ copies: 2 })
    expect(cluster.missing()).toEqual([])
  })
})

describe('moves', () => {
  test('a member that joins gets its share while writes go on', async () => {
    const cluster = await settledOf('abc')
    await cluster.load(500)
    cluster.members.push({ id: 'd', ordinal: 3, address: 'memory://d' })
    await cluster.start('d')
    const master = cluster.engines.get(cluster.master() as string)
    const member = { id: 'd', ordinal: 3, address: 'memory://d' }
    master?.feed({ kind: 'admin', command: 'join', group: 0, member })
    await cluster.load(6_000, 50)
    await cluster.settled()
    const { partitions } = cluster.statusOf('a')
    expect(partitions.copies.d).toBeGreaterThan(0)
    expect(cluster.missing()).toEqual([])
    const codes = new Set([...cluster.written.values()].map(({ code }) => code))
    expect([...codes].filter(code => code !== undefined && code !== 'NOT_READY')).toEqual([])
  })

  test('a member that leaves gives everything away first', async () => {
    const cluster = await settledOf('abcd')
    await cluster.load(500)
    const asked = cluster.master() === 'd' ? 'a' : 'd'
    const master = cluster.engines.get(cluster.master() as string)
    master?.feed({ kind: 'admin', command: 'leave', group: 0, peer: asked })
    await cluster.load(6_000, 50)
    const [node] = [...cluster.engines.keys()].filter(id => id !== asked)
    await cluster.until(() => cluster.statusOf(node).partitions.copies[asked] === undefined)
    await cluster.until(() => cluster.reports.some(({ event }) => event === 'members'))
    expect(cluster.missing()).toEqual([])
  })

  test('a member that may not leave after all takes its part again', async () => {
    const cluster = await settledOf('abc')
    const asked = cluster.master() === 'c' ? 'b' : 'c'
    const master = cluster.engines.get(cluster.master() as string)
    master?.feed({ kind: 'admin', command: 'leave', group: 0, peer: asked })
    // Two voters of a majority would bear no failure: said once its partitions lie elsewhere.
    const isRefused = () => cluster.reports.some(({ fields }) => fields.state === 'refused')
    await cluster.until(isRefused)
    expect(cluster.statusOf('a').partitions.copies[asked]).toBe(undefined)
    await cluster.until(() => cluster.statusOf('a').partitions.copies[asked] > 0)
    expect(cluster.missing()).toEqual([])
  })

  test('a rolling restart moves nothing, and loses nothing', async () => {
    const cluster = await settledOf('abc')
    const moved: number[] = []
    for (const node of ['a', 'b', 'c']) {
      await cluster.load(300)
      cluster.crash(node)
      await cluster.load(1_500, 50)
      await cluster.start(node)
      await cluster.load(500, 50)
      await cluster.settled()
      moved.push(cluster.statusOf('a').partitions.moving)
      const { copies } = cluster.statusOf('a').partitions
      expect(Object.values(copies).reduce((sum, count) => sum + count)).toBe(16)
    }
    expect(moved).toEqual([0, 0, 0])
    expect(cluster.reports.filter(({ event }) => event === 'divergence')).toEqual([])
    expect(cluster.missing()).toEqual([])
  })

  test('who is away for longer than the grace gets no copies, and gets them back', async () => {
    const cluster = await settledOf('abcd', { graceMs: 2_000 })
    await cluster.load(500)
    const down = cluster.master() === 'd' ? 'c' : 'd'
    cluster.crash(down)
    await cluster.load(6_000, 50)
    const [node] = [...cluster.engines.keys()]
    await cluster.settled()
    expect(cluster.statusOf(node).partitions.copies[down]).toBeUndefined()
    expect(cluster.missing()).toEqual([])
    await cluster.start(down)
    await cluster.load(4_000, 50)
    await cluster.settled()
    expect(cluster.statusOf(node).partitions.copies[down]).toBeGreaterThan(0)
    expect(cluster.missing()).toEqual([])
  })
})

describe('a partition whose every copy is gone', () => {
  test('says so at once, by a node that lives, though who had it is waited for', async () => {
    const cluster = await settledOf('abcd', { backups: 0, graceMs: 600_000 })
    await cluster.load(300)
    const down = cluster.master() === 'd' ? 'c' : 'd'
    const [node] = [...cluster.engines.keys()].filter(id => id !== down)
    const had = cluster.groups().filter(group => cluster.ownerOf(group) === down)
    cluster.crash(down)
    await cluster.until(() => cluster.statusOf(node).partitions.lost.length === had.length)
    await cluster.pass(1_000)
    for (const group of had) {
      const speaker = cluster.tableOf(node).masters[group] as string
      expect([...cluster.engines.keys()]).toContain(speaker)
      expect(cluster.writeTo(speaker, group).code).toBe('PARTITION_LOST')
    }
    const master = cluster.engines.get(cluster.master() as string)
    for (const group of had)
      master?.feed({ kind: 'admin', command: 'reset-partition', group: 0, partition: group - 1 })
    await cluster.until(() => had.every(group => cluster.ownerOf(group) !== undefined))
    const writes = had.map(group => cluster.write(group))
    await cluster.pass(200)
    expect(writes.every(write => write?.receipt !== undefined)).toBe(true)
  })

  test('says so until an admin begins it anew', async () => {
    const cluster = await settledOf('abcd', { backups: 0 })
    await cluster.load(300)
    const down = cluster.master() === 'd' ? 'c' : 'd'
    const [node] = [...cluster.engines.keys()].filter(id => id !== down)
    const had = cluster.groups().filter(group => cluster.ownerOf(group) === down)
    expect(had.length).toBeGreaterThan(0)
    const others = cluster.acked.filter(({ group }) => !had.includes(group))
    cluster.crash(down)
    await cluster.until(() => cluster.statusOf(node).partitions.lost.length === had.length)
    await cluster.start(down)
    await cluster.pass(8_000)
    for (const group of had) {
      expect(cluster.ownerOf(group)).toBeUndefined()
      const refused = cluster.writeTo(down, group)
      expect(refused.code).toBe('PARTITION_LOST')
    }
    const master = cluster.engines.get(cluster.master() as string)
    for (const group of had)
      master?.feed({ kind: 'admin', command: 'reset-partition', group: 0, partition: group - 1 })
    await cluster.settled()
    expect(cluster.statusOf(node).partitions.lost).toEqual([])
    const writes = had.map(group => cluster.write(group))
    await cluster.pass(200)
    expect(writes.every(write => write?.receipt !== undefined)).toBe(true)
    expect(others.filter(write => !cluster.missing().includes(write))).toEqual(others)
  })
})

describe('a machine that vanishes without a word', () => {
  /** The last node that is no master of the control group, and the groups that it leads. */
  async function vanishing(options: PartitionedOptions) {
    const cluster = await settledOf('abcd', { backups: 0, ...options })
    await cluster.load(300)
    const gone = cluster.master() === 'd' ? 'c' : 'd'
    const [node] = [...cluster.engines.keys()].filter(id => id !== gone)
    const had = cluster.groups().filter(group => cluster.ownerOf(group) === gone)
    expect(had.length).toBeGreaterThan(0)
    const lost = () => cluster.statusOf(node).partitions.lost.length
    return { cluster, gone, node, had, lost }
  }
  const reset = (cluster: PartitionCluster, group: number) =>
    cluster.engines
      .get(cluster.master() as string)
      ?.feed({ kind: 'admin', command: 'reset-partition', group: 0, partition: group - 1 })

  test('leads nothing by the table, is waited for, and then its partitions are lost', async () => {
    const { cluster, gone, node, had, lost } = await vanishing({ graceMs: 4_000 })
    cluster.vanish(gone)
    await cluster.pass(3_500)
    expect(lost()).toBe(0)
    expect(cluster.statusOf(node).partitions.unowned).toBe(had.length)
    expect(cluster.tableOf(node).masters).not.toContain(gone)
    reset(cluster, had[0])
    await cluster.pass(100)
    const refused = cluster.reports.filter(({ event }) => event === 'reset-partition').pop()
    expect(refused?.fields.code).toBe('HEALTHY')
    expect(refused?.fields.message).toContain(`${gone} is waited for until it has been away`)
    await cluster.pass(2_500)
    expect(lost()).toBe(had.length)
    for (const group of had) {
      const speaker = cluster.tableOf(node).masters[group] as string
      expect(cluster.writeTo(speaker, group).code).toBe('PARTITION_LOST')
    }
    for (const group of had) reset(cluster, group)
    await cluster.until(() => had.every(group => cluster.ownerOf(group) !== undefined))
    const writes = had.map(group => cluster.write(group))
    await cluster.pass(200)
    expect(writes.every(write => write?.receipt !== undefined)).toBe(true)
  })

  test('leads them again with all that they held if it was only out of reach', async () => {
    const { cluster, gone, had, lost } = await vanishing({ graceMs: 500 })
    const held = cluster.acked.filter(({ group }) => had.includes(group))
    expect(held.length).toBeGreaterThan(0)
    for (const { id } of cluster.members) if (id !== gone) cluster.network.cut(gone, id)
    await cluster.until(() => lost() === had.length)
    cluster.network.mendAll()
    await cluster.until(() => had.every(group => cluster.ownerOf(group) !== undefined))
    expect(cluster.missing()).toEqual([])
    await cluster.settled()
    expect(cluster.missing()).toEqual([])
  })

  test('drops them if they began anew meanwhile, and serves none beside who has them', async () => {
    const { cluster, gone, had, lost } = await vanishing({ graceMs: 500 })
    const held = cluster.acked.filter(({ group }) => had.includes(group))
    for (const { id } of cluster.members) if (id !== gone) cluster.network.cut(gone, id)
    await cluster.until(() => lost() === had.length)
    for (const group of had) reset(cluster, group)
    await cluster.until(() => had.every(group => cluster.ownerOf(group) !== undefined))
    const writes = had.map(group => cluster.write(group))
    await cluster.pass(200)
    cluster.network.mendAll()
    // serves() of two nodes at once is a violation.
    await cluster.load(3_000, 50)
    await cluster.settled()
    for (const write of held) expect(cluster.holds(gone, write)).toBe(false)
    const missing = cluster.missing().filter(write => !held.includes(write))
    expect(missing).toEqual([])
    expect(writes.every(write => write?.receipt !== undefined)).toBe(true)
  })

  test('may be let go once what it held was begun anew', async () => {
    const { cluster, gone, node, had, lost } = await vanishing({ graceMs: 500 })
    cluster.vanish(gone)
    await cluster.until(() => lost() === had.length)
    const master = cluster.engines.get(cluster.master() as string)
    master?.feed({ kind: 'admin', command: 'leave', group: 0, peer: gone })
    for (const group of had) reset(cluster, group)
    const stateOf = () => cluster.statusOf(node).members.find(({ id }) => id === gone)?.state
    await cluster.until(() => stateOf() === undefined || stateOf() === 'left')
    expect(lost()).toBe(0)
  })
})

describe('what clients go by', () => {
  test('a table that is the same on every node, and grows when an owner changes', async () => {
    const cluster = await settledOf('abc')
    await cluster.pass(500)
    const tables = () => [...cluster.engines.keys()].map(node => cluster.tableOf(node))
    const [before] = tables()
    for (const table of tables()) expect(table).toEqual(before)
    expect(before.masters[0]).toBe(cluster.master())
    for (const group of cluster.groups()) expect(before.masters[group]).toBe(cluster.ownerOf(group))
    const down = cluster.master() === 'b' ? 'c' : 'b'
    expect(before.masters).toContain(down)
    cluster.crash(down)
    await cluster.settled()
    await cluster.pass(500)
    const [after] = tables()
    for (const table of tables()) expect(table).toEqual(after)
    expect(after.number).toBeGreaterThan(before.number)
    expect(after.masters).not.toContain(down)
  })

  test('a client may not touch the hidden table by a command without a key', async () => {
    const cluster = await settledOf('abc')
    const { bytes, end } = clearOf('$partitions')
    const client = { id: 'sixteen-bytes-id', lowest: 1 }
    const own = { id: 2_000_000_000, ack: 'master', seq: 1, start: 0 } as const
    const master = cluster.engines.get(cluster.master() as string)
    cluster.written.set(own.id, { group: 0, key: '', node: '', at: 0 })
    master?.feed({ kind: 'propose', proposals: [{ ...own, client, bytes, end }] })
    expect(cluster.written.get(own.id)?.code).toBe('FORBIDDEN')
    await cluster.load(200)
    expect(cluster.isSettled()).toBe(true)
  })
})

function clearOf(cache: string) {
  const out = new Writer(32)
  writePlain(out, OP.clear, cache, '')
  const bytes = out.copy()
  return { bytes, end: bytes.length }
}
