/** Embedded nodes of strategy broadcast: what an application sees of it. */
import { afterEach, describe, expect, it } from 'vitest'
import { systemWorld } from '../src/defaults.js'
import { createNode, type Node, type NodeOptions } from '../src/index.js'
import { broadcast } from '../strategies/broadcast/index.js'
import { MemoryNetwork } from '../transports/memory.js'
import { rejectionOf } from './harness/codes.js'

const nodes: Node[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map(node => node.close()))
})

async function start(count: number, options: Partial<NodeOptions> = {}): Promise<Node[]> {
  const network = new MemoryNetwork(systemWorld)
  const members = Array.from({ length: count }, (_, ordinal) => {
    const id = String.fromCharCode(97 + ordinal)
    return { id, ordinal, address: `memory://${id}` }
  })
  const made = members.map(({ id }) =>
    createNode({
      ...{ cluster: 'shop', id, members, strategy: broadcast(), transport: network.transport() },
      ...options,
    }),
  )
  nodes.push(...(await Promise.all(made)))
  await Promise.all(nodes.map(node => node.ready()))
  return nodes
}

describe('two nodes that write the same key at the same moment', () => {
  it('tell of the lost write once, and keep what onConflict makes of both', async () => {
    const asked: string[] = []
    const events: Record<string, unknown>[] = []
    const [a, b] = await start(2, {
      onConflict: (cache, key, mine, theirs) => {
        asked.push(`${cache}/${key}`)
        const both = [mine, theirs].map(side => Buffer.from(side?.value ?? []).toString())
        return Buffer.from(both.sort().join('+'))
      },
    })
    for (const node of [a, b]) node.on('conflict', fields => events.push(fields))
    const [ours, theirs] = [a, b].map(node => node.cache<Uint8Array>('c', { codec: 'bytes' }))
    await Promise.all([ours.set('k', Buffer.from('1')), theirs.set('k', Buffer.from('2'))])
    const read = async () =>
      (await Promise.all([ours, theirs].map(cache => cache.get('k')))).map(String)
    await expect.poll(read).toEqual(['1+2', '1+2'])
    expect(asked).toEqual(['c/k'])
    expect(events).toMatchObject([{ cache: 'c', key: 'k', merged: true }])
    const [mine, won] = [events[0].mineVersion, events[0].theirsVersion] as number[]
    expect(mine).toBeLessThan(won)
    expect((a.status().conflicts ?? 0) + (b.status().conflicts ?? 0)).toBe(1)
  })

  it('offer what a clear wiped as they offer what a deletion did', async () => {
    const asked: unknown[] = []
    const [a, b] = await start(2, {
      onConflict: (cache, key, mine, theirs) => {
        asked.push([cache, key, String(Buffer.from(mine?.value ?? [])), theirs])
        return mine?.value
      },
    })
    const [ours, theirs] = [a, b].map(node => node.cache<Uint8Array>('c', { codec: 'bytes' }))
    const mark = [a, b].map(node => node.cache<number>('marks'))
    // Whose clock is ahead by a tick is a matter of chance.
    for (let round = 1; round <= 100 && asked.length === 0; round++) {
      await Promise.all([ours.set('k', Buffer.from('mine')), theirs.clear()])
      await mark[1].set('round', round)
      await expect.poll(() => mark[0].get('round')).toBe(round)
    }
    await expect.poll(async () => String(await theirs.get('k'))).toBe('mine')
    expect(asked[0]).toEqual(['c', 'k', 'mine', undefined])
    expect([a.status().conflicts, b.status().conflicts]).toEqual([asked.length, 0])
  })

  it('keep the later one where onConflict throws, and where there is none', async () => {
    const [a, b] = await start(2, {
      onConflict: () => {
        throw new Error('no idea')
      },
    })
    const [ours, theirs] = [a, b].map(node => node.cache<string>('c'))
    await Promise.all([ours.set('k', '1'), theirs.set('k', '2')])
    const values = async () => new Set([await ours.get('k'), await theirs.get('k')]).size
    await expect.poll(values).toBe(1)
    expect((a.status().conflicts ?? 0) + (b.status().conflicts ?? 0)).toBe(1)
  })
})

describe('a node', () => {
  it('tells watchers of the writes of all nodes', async () => {
    const [a, b] = await start(2)
    const seen: string[] = []
    const watch = a.cache<string>('c').watch()
    const watching = (async () => {
      for await (const event of watch) {
        seen.push(`${event.kind} ${event.key}`)
        if (seen.length === 3) return
      }
    })()
    await new Promise(resolve => setImmediate(resolve))
    await b.cache<string>('c').set('k', 'x')
    await expect.poll(() => seen.length).toBe(1)
    await a.cache<string>('c').set('l', 'y')
    await b.cache<string>('c').delete('k')
    await watching
    expect([...seen].sort()).toEqual(['delete k', 'set k', 'set l'])
  })

  it('keeps a cache within its limits, and all evict the same records', async () => {
    const [a, b] = await start(2, { caches: { c: { maxEntries: 50 } } })
    const [ours, theirs] = [a, b].map(node => node.cache<number>('c'))
    for (let i = 0; i < 200; i++) await (i % 2 === 0 ? ours : theirs).set(`k${i}`, i)
    const sizes = async () => [await ours.size(), await theirs.size()]
    await expect.poll(sizes, { timeout: 5_000 }).toEqual([50, 50])
    const names = async (cache: typeof ours) => {
      const found: string[] = []
      for await (const key of cache.keys()) found.push(key)
      return found.sort()
    }
    expect(await names(theirs)).toEqual(await names(ours))
  })

  it('refuses what is not in this version, by a code', async () => {
    const [a] = await start(1)
    const member = { id: 'z', ordinal: 9, address: 'memory://z' }
    expect(await rejectionOf(a.join(member))).toBe('CONFIG')
    expect(await rejectionOf(a.leave('b'))).toBe('CONFIG')
    expect(await rejectionOf(a.handover())).toBe('CONFIG')
    const read = a.cache('c').get('k', { read: 'linearizable' })
    expect(await rejectionOf(read)).toBe('READ_MODE')
    const self = { id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }
    const one = { cluster: 'shop', id: 'a', strategy: broadcast() }
    const discovery = () => ({}) as never
    expect(await rejectionOf(createNode({ ...one, ordinal: 0, discovery }))).toBe('CONFIG')
    const witness = { id: 'w', ordinal: 1, address: 'tcp://127.0.0.1:1', witness: true }
    expect(await rejectionOf(createNode({ ...one, members: [self, witness] }))).toBe('CONFIG')
    const onConflict = () => undefined
    const plain = { cluster: 'shop', id: 'a', members: [self], onConflict }
    expect(await rejectionOf(createNode(plain))).toBe('CONFIG')
    const bus = broadcast({ carry: 'invalidations' })
    expect(await rejectionOf(createNode({ ...plain, strategy: bus }))).toBe('CONFIG')
  })

  it('tells keys of one turn apart by their cache, whatever its name holds', async () => {
    const [a] = await start(1)
    const [one, two] = ['x\ny', 'x'].map(name => a.cache<number>(name))
    const settled = await Promise.allSettled([
      ...[one.set('k', 1), two.set('y\nk', 2, { ifAbsent: true })],
      ...[one.set('l', 1), two.delete('y\nl')],
      ...[two.set('y\nm', 1), one.touch('m')],
    ])
    expect(settled.map(({ status }) => status)).toEqual(settled.map(() => 'fulfilled'))
    expect([settled[3], settled[5]]).toMatchObject([{ value: false }, { value: false }])
  })
})

describe('two nodes of which one carries values and one invalidations', () => {
  it('refuse each other, and say which carries which', async () => {
    const network = new MemoryNetwork(systemWorld)
    const members = ['a', 'b'].map((id, ordinal) => ({ id, ordinal, address: `memory://${id}` }))
    const told: string[] = []
    const note = (fields: object) => void told.push(JSON.stringify(fields))
    const logger = { debug: note, info: note, warn: note, error: note }
    for (const [id, carry] of [['a', 'values'] as const, ['b', 'invalidations'] as const]) {
      const strategy = broadcast({ carry })
      const transport = network.transport()
      nodes.push(await createNode({ cluster: 'shop', id, members, strategy, transport, logger }))
    }
    const says = () => told.join('; ')
    await expect.poll(says).toContain("carry: 'values'")
    expect(says()).toContain("carry: 'invalidations'")
  })
})
