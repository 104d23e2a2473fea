/** Embedded nodes on real sockets: what createNode promises beyond the suites of its parts. */
import { createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import type { ReplicationStrategy, StrategyFactory } from '../src/contracts/strategy.js'
import { systemWorld } from '../src/defaults.js'
import { createNode, type Node } from '../src/node.js'
import type { NodeOptions } from '../src/options.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { MemoryNetwork } from '../transports/memory.js'

const nodes: Node[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map(node => node.close()))
})

async function start(options: NodeOptions): Promise<Node> {
  const node = await createNode(options)
  nodes.push(node)
  return node
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise(resolve => server.close(resolve))
  return port
}

const alone = (more: Partial<NodeOptions> = {}): NodeOptions => ({
  cluster: 'test',
  id: 'a',
  members: [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }],
  ...more,
})

async function membersOf(ids: string[]) {
  return await Promise.all(
    ids.map(async (id, ordinal) => ({
      id,
      ordinal,
      address: `tcp://127.0.0.1:${await freePort()}`,
    })),
  )
}

async function cluster(ids: string[], more: Partial<NodeOptions> = {}): Promise<Node[]> {
  const members = await membersOf(ids)
  const started = await Promise.all(ids.map(id => start({ cluster: 'test', id, members, ...more })))
  await Promise.all(started.map(node => node.ready()))
  return started
}

describe('one node', () => {
  test('it is ready, knows its real address and serves reads and writes', async () => {
    const node = await start(alone())
    await node.ready()
    expect(node.address).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/)
    const cache = node.cache<{ n: number }>('c')
    const receipt = await cache.set('k', { n: 1 })
    expect(receipt.copies).toBe(1)
    expect(await cache.get('k')).toEqual({ n: 1 })
    expect(await cache.getEntry('k')).toMatchObject({ version: receipt.version })
    expect(await cache.has('k')).toBe(true)
    expect(await cache.size()).toBe(1)
    expect(node.status()).toMatchObject({ cluster: 'test', master: 'a' })
  })

  test('a read that cannot be decoded is CODEC', async () => {
    const node = await start(alone())
    await node.ready()
    await node.cache('c', { codec: 'bytes' }).set('k', Buffer.from('{'))
    const json = node.cache('c', { codec: 'json' })
    await expect(json.get('k')).rejects.toMatchObject({ code: 'CODEC' })
    await expect(json.get('k')).rejects.toMatchObject({ code: 'CODEC' })
  })

  test('a value that would come back as none is CODEC, and nothing is written', async () => {
    const node = await start(alone())
    await node.ready()
    const cache = node.cache<unknown>('c')
    for (const value of [undefined, () => 1, Symbol('s')])
      await expect(cache.set('k', value)).rejects.toMatchObject({ code: 'CODEC' })
    expect(await cache.has('k')).toBe(false)
  })

  test('a port in use rejects createNode with ADDRESS_IN_USE', async () => {
    const node = await start(alone())
    const taken = alone({ listen: node.address })
    await expect(createNode(taken)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
  })

  test('an unknown scheme is ADDRESS_INVALID, an unknown plug-in CONFIG', async () => {
    const members = [{ id: 'a', ordinal: 0, address: 'tpc://127.0.0.1:1' }]
    await expect(createNode(alone({ members }))).rejects.toMatchObject({ code: 'ADDRESS_INVALID' })
    await expect(createNode(alone({ strategy: 'master-slaves' }))).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('did you mean master-slave?'),
    })
    await expect(createNode(alone({ transport: 'tpc' }))).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('did you mean tcp?'),
    })
    await expect(createNode(alone({ transport: 'memory' }))).rejects.toMatchObject({
      code: 'CONFIG',
    })
  })

  test('a plug-in that makes nothing of use is CONFIG, and names the option', async () => {
    for (const name of ['transport', 'strategy'] as const)
      for (const made of [5, null, {}])
        await expect(createNode(alone({ [name]: () => made }))).rejects.toMatchObject({
          code: 'CONFIG',
          message: expect.stringContaining(name),
        })
  })

  test('ready() takes a timeout and refuses everything else by name', async () => {
    const node = await start(alone())
    await expect(node.ready(500 as never)).rejects.toMatchObject({ code: 'CONFIG' })
    await expect(node.ready({ timeout: 500 } as never)).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('did you mean timeoutMs?'),
    })
    await node.ready({ timeoutMs: 10_000 })
    expect(() => node.cache('c', null as never)).toThrow(
      expect.objectContaining({ code: 'CONFIG' }),
    )
  })

  test('without auto caches a cache that no configuration names is refused', async () => {
    const node = await start(alone({ autoCaches: false, caches: { known: { ttlMs: 60_000 } } }))
    await node.ready()
    const known = node.cache('known')
    await known.set('k', 1)
    expect((await known.getEntry('k'))!.expiresAt).toBeGreaterThan(Date.now())
    const other = node.cache('other')
    await expect(other.set('k', 1)).rejects.toMatchObject({ code: 'NO_SUCH_CACHE' })
    await expect(other.get('k')).rejects.toMatchObject({ code: 'NO_SUCH_CACHE' })
    await expect(other.get('k')).rejects.toMatchObject({ code: 'NO_SUCH_CACHE' })
  })

  test('close is idempotent, ends pending calls, and everything after it is CLOSED', async () => {
    const members = await membersOf(['a', 'b', 'c'])
    const node = await start({ cluster: 'test', id: 'b', members })
    const cache = node.cache('c')
    const pending = cache.set('k', 1)
    const readying = node.ready()
    const closed = Promise.all([node.close(), node.close()])
    await expect(pending).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(readying).rejects.toMatchObject({ code: 'CLOSED' })
    await closed
    await expect(cache.get('k')).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(node.ready()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(() => node.cache('c')).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })

  test('a broken invariant stops the node, tells `error`, and leaves no call hanging', async () => {
    let broken = false
    const strategy: StrategyFactory = env => {
      const real = masterSlave()(env) as ReplicationStrategy<unknown>
      return {
        name: real.name,
        codec: real.codec,
        keyed: real.keyed,
        defaultAck: real.defaultAck,
        time: group => real.time(group),
        status: () => real.status(),
        step(input, effects) {
          if (broken) throw new Error('boom')
          real.step(input, effects)
        },
      }
    }
    const node = await start(alone({ strategy }))
    await node.ready()
    const told = new Promise(resolve => node.on('error', resolve))
    broken = true
    const call = node.cache('c').set('k', 1)
    const [error] = await Promise.all([
      told,
      expect(call).rejects.toMatchObject({ code: 'CLOSED' }),
    ])
    expect(error).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('boom') })
    await expect(node.ready()).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('a listener that throws does not reach the engine', async () => {
    const node = await createNode(alone())
    nodes.push(node)
    const errors: unknown[] = []
    node.on('error', error => errors.push(error))
    node.on('role', () => {
      throw new Error('mine')
    })
    await node.ready()
    await node.cache('c').set('k', 1)
    expect(errors).toEqual([])
  })
})

describe('on the memory transport', () => {
  test('nodes of one network find each other without a socket', async () => {
    const network = new MemoryNetwork(systemWorld)
    const members = ['a', 'b', 'c'].map((id, ordinal) => ({
      id,
      ordinal,
      address: `memory://${id}`,
    }))
    const transport = network.transport()
    const three = await Promise.all(
      members.map(({ id }) => start({ cluster: 'test', id, members, transport })),
    )
    await Promise.all(three.map(node => node.ready()))
    expect((await three[2].cache('c').set('k', 1)).copies).toBe(3)
    expect(await three[1].cache('c').get('k')).toBe(1)
  })
})

describe('three nodes', () => {
  test('a slave`s caches read and write through the master', async () => {
    const [a, b, c] = await cluster(['a', 'b', 'c'])
    expect([a, b, c].map(node => node.status().self.role)).toEqual(['master', 'slave', 'slave'])
    const receipt = await b.cache<number>('c').set('k', 5)
    expect(receipt.copies).toBe(3)
    expect(await a.cache<number>('c').get('k')).toBe(5)
    expect(await c.cache<number>('c').get('k')).toBe(5)
    await expect(b.cache<number>('c').set('k', 6, { ifAbsent: true })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      outcome: 'rejected',
    })
  })

  test('a slave reads its own copy, and waits for what a token names', async () => {
    const nodes = await cluster(['a', 'b', 'c'])
    const on = nodes.find(node => node.status().self.role === 'master') ?? nodes[0]
    const [near, far] = nodes.filter(node => node !== on)
    const local = { read: 'local' } as const
    for (let n = 1; n <= 50; n++) {
      await on.cache<number>('c').set('k', n, { ack: 'master' })
      const after = on.token()
      expect(await near.cache<number>('c').get('k', { ...local, after })).toBe(n)
      expect(await far.cache<number>('c').get('k', { after })).toBe(n)
    }
    await near.cache<number>('c').set('k', 51, { ack: 'master' })
    expect(await near.cache<number>('c').get('k', local)).toBe(51)
    expect(await near.cache<number>('c').has('k', local)).toBe(true)
    expect(await near.cache<number>('c').size(local)).toBe(1)
    expect((await near.cache<number>('c').getEntry('k', local))?.value).toBe(51)
    const keys: string[] = []
    for await (const key of near.cache('c').keys(local)) keys.push(key)
    expect(keys).toEqual(['k'])
    const failure = near.cache('c').get('k', { after: `${on.token()}AA` })
    await expect(failure).rejects.toMatchObject({ code: 'CONFIG' })
    const strict = near.cache('c').get('k', { read: 'linearizable' })
    await expect(strict).rejects.toMatchObject({ code: 'READ_MODE' })
  })

  test('master and slave both watch', async () => {
    const [a, b] = await cluster(['a', 'b', 'c'])
    const watches = [a, b].map(node => node.cache<number>('c').watch())
    // The slave's watch is registered before its own write arrives: one link, in order.
    await b.cache<number>('c').set('k', 1)
    for (const watch of watches) {
      expect((await watch.next()).value).toMatchObject({ kind: 'set', key: 'k', value: 1 })
      await watch.return?.()
    }
  })

  test('when the master closes, the others go on and nothing acknowledged is lost', async () => {
    const [a, b, c] = await cluster(['a', 'b', 'c'])
    const roles: unknown[] = []
    b.on('role', event => roles.push(event))
    for (let i = 0; i < 50; i++) await a.cache<number>('c').set(`k${i}`, i)
    await a.close()
    await c.cache<number>('c').set('after', 1)
    for (let i = 0; i < 50; i++) expect(await c.cache<number>('c').get(`k${i}`)).toBe(i)
    expect(b.status()).toMatchObject({ master: 'b' })
    expect(roles).toContainEqual(expect.objectContaining({ role: 'master', serving: true }))
  })

  test('alone of three it is NOT_READY after its deadline, and says why', async () => {
    const members = await membersOf(['a', 'b', 'c'])
    const node = await start({ cluster: 'test', id: 'a', members })
    await expect(node.ready({ timeoutMs: 100 })).rejects.toMatchObject({
      code: 'NOT_READY',
      message: expect.stringContaining('unreachable b, c'),
    })
  })

  test('a node that is no member, and a member of another cluster, are refused', async () => {
    const members = await membersOf(['a', 'b'])
    await start({ cluster: 'test', id: 'a', members: [members[0]] })
    const stranger = await start({ cluster: 'test', id: 'b', members })
    await expect(stranger.ready({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'NOT_READY' })
    await stranger.close()
    const foreign = await start({ cluster: 'mall', id: 'b', members })
    await expect(foreign.ready({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'NOT_READY' })
  })
})
