/** Clients of whole clusters: real engines and the real strategy on a memory network. */
import { afterEach, describe, expect, it } from 'vitest'
import { connectWith } from '../src/client/connect.js'
import type { Failover, LinkChange } from '../src/client/routing.js'
import type { GcacheError } from '../src/errors.js'
import { connect } from '../src/index.js'
import { EngineCluster } from './harness/engine-cluster.js'

let cluster: EngineCluster

afterEach(async () => {
  await cluster?.close()
})

async function started(ids = ['a', 'b', 'c'], seed = 1): Promise<EngineCluster> {
  cluster = new EngineCluster(ids, seed)
  await cluster.startAll()
  return cluster
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('not rejected')
    },
    error => error as GcacheError,
  )

describe('connect', () => {
  it('resolves once a serving master is known, whichever server was named', async () => {
    await started()
    for (const id of ['a', 'b', 'c']) {
      const client = await cluster.connect({ servers: [`memory://${id}`] })
      expect(client.master).toBe(cluster.master())
      const cache = client.cache<string>('c')
      const receipt = await cluster.run(cache.set(id, 'v'))
      expect(receipt.copies).toBe(3)
      expect(await cluster.run(cache.get(id))).toBe('v')
    }
  })

  it('waits for servers that start later', async () => {
    cluster = new EngineCluster(['a'])
    const connecting = cluster.connect()
    const starting = cluster.pass(1_000).then(() => cluster.start('a'))
    const client = await connecting
    await starting
    expect(client.master).toBe('a')
  })

  it('names every server and its reason when none answers', async () => {
    cluster = new EngineCluster(['a', 'b'])
    const error = await failure(cluster.connect({ timeoutMs: 2_000 }))
    expect(error.code).toBe('UNREACHABLE')
    expect(error.message).toContain('memory://a: ')
    expect(error.message).toContain('memory://b: ')
    expect(cluster.clock.now()).toBeLessThanOrEqual(2_100)
  })

  it('is NOT_READY by its deadline when servers answer but none serves', async () => {
    // Two of three are missing, so the one that is there waits for them at first.
    cluster = new EngineCluster(['a', 'b', 'c'])
    await cluster.start('a')
    const error = await failure(cluster.connect({ timeoutMs: 1_000, servers: ['memory://a'] }))
    expect(error.code).toBe('NOT_READY')
    expect(error.message).toContain('memory://a: ')
  })

  it('is REFUSED at once by servers of another cluster', async () => {
    await started(['a', 'b'])
    const before = cluster.clock.now()
    const servers = ['memory://a', 'memory://b']
    const error = await failure(cluster.connect({ cluster: 'other', servers }))
    expect(error.code).toBe('REFUSED')
    expect(cluster.clock.now() - before).toBeLessThan(500)
  })

  it('refuses wrong options by name', async () => {
    cluster = new EngineCluster(['a'])
    const { clock, network, random } = cluster
    const asked = (options: object) =>
      failure(connectWith(network.transport(), options as never, { clock, random }))
    const base = { cluster: 'test', servers: ['memory://a'] }
    expect(await asked({ ...base, timeoutMS: 5 })).toMatchObject({ code: 'CONFIG' })
    expect((await asked({ ...base, server: 'x' })).message).toContain('servers')
    expect((await asked({ servers: ['memory://a'] })).message).toContain('cluster')
    expect((await asked({ ...base, servers: [] })).message).toContain('servers')
    expect(await asked({ ...base, servers: 'memory://a' })).toMatchObject({
      ...{ code: 'CONFIG', message: "option servers is a list of addresses: ['memory://a']" },
    })
    expect((await asked({ ...base, timeoutMs: -1 })).code).toBe('CONFIG')
  })
})

describe('connect over tcp', () => {
  const servers = ['tcp://127.0.0.1:1']
  const asked = (options: object) =>
    failure(connect({ cluster: 'test', servers, ...options } as never))

  it.each([[['tcp://127.0.0.1:notaport']], [[...servers, 'ftp://127.0.0.1:1']]])(
    'an address that can never be dialled ends it at once, case %#',
    async given => {
      const error = await asked({ servers: given, timeoutMs: 60_000 })
      expect(error.code).toBe('ADDRESS_INVALID')
      expect(error.message).toContain(given.at(-1))
    },
  )

  it('an option of the wrong kind is CONFIG and named', async () => {
    for (const [name, value] of [
      ['transport', 5],
      ['transport', () => 5],
      ['clock', 5],
      ['random', {}],
      ['logger', 5],
      ['logger', null],
      ['timeoutMs', '700'],
    ]) {
      const error = await asked({ [name as string]: value })
      expect(error.code, String(name)).toBe('CONFIG')
      expect(error.message).toContain(name)
    }
    expect((await failure(connect(null as never))).code).toBe('CONFIG')
  })
})

describe('a client', () => {
  it('follows the master after a crash, and tells of it', async () => {
    await started()
    const client = await cluster.connect()
    const failovers: Failover[] = []
    const links: LinkChange[] = []
    client.on('failover', failover => failovers.push(failover)).on('link', link => links.push(link))
    client.on('failover', () => {
      throw new Error('a listener of the application')
    })
    const cache = client.cache<number>('c')
    await cluster.run(cache.set('k', 1))
    cluster.crash('a')
    const before = cluster.clock.now()
    const receipt = await cluster.run(cache.set('k', 2))
    expect(cluster.clock.now() - before).toBeLessThan(1_000)
    expect(receipt.epoch).toBeGreaterThan(256)
    expect(client.master).toBe('b')
    expect(failovers).toMatchObject([{ from: 'a', to: 'b' }])
    expect(links.some(link => link.node === 'a' && !link.up)).toBe(true)
    await cluster.start('a')
    await cluster.until(() => links.some(link => link.node === 'a' && link.up))
    expect(await cluster.run(cache.get('k'))).toBe(2)
  })

  it('loses no acked write and hangs no call through crashes of masters', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      await started(['a', 'b', 'c'], seed)
      await crashes(seed)
      await cluster.close()
    }
  })

  it('turns from a silent master to the next one, by its hints as well', async () => {
    await started()
    const client = await cluster.connect()
    const cache = client.cache<number>('c')
    await cluster.run(cache.set('k', 1))
    const before = cluster.clock.now()
    // A process that was stopped: its links stay up and are silent.
    for (const other of ['b', 'c', clientId()]) cluster.network.cut('a', other)
    await cluster.run(cache.set('k', 2))
    expect(cluster.clock.now() - before).toBeLessThan(2_500)
    expect(client.master).toBe('b')
    cluster.network.mendAll()
    await cluster.pass(3_000)
    expect(client.master).toBe('b')
    expect(await cluster.run(cache.get('k'))).toBe(2)
  })

  it('settles every call when all servers are gone, and goes on when they return', async () => {
    await started(['a', 'b'])
    const client = await cluster.connect({ timeoutMs: 1_000 })
    const cache = client.cache<number>('c')
    await cluster.run(cache.set('k', 1))
    cluster.crash('a')
    cluster.crash('b')
    const before = cluster.clock.now()
    const read = await cluster.run(failure(cache.get('k')))
    expect(read.code).toBe('TIMEOUT')
    expect(cluster.clock.now() - before).toBeLessThanOrEqual(1_000)
    await cluster.start('a')
    await cluster.start('b')
    await cluster.until(() => cluster.master() !== undefined)
    await cluster.pass(1_500)
    await cluster.run(cache.set('k', 2))
    expect(await cluster.run(cache.get('k'))).toBe(2)
  })

  it('sees the status of all members, the dead ones as down', async () => {
    await started()
    const client = await cluster.connect({ servers: ['memory://b'] })
    await cluster.run(client.cache<number>('c').set('k', 1))
    const status = await cluster.run(client.status())
    expect(status).toMatchObject({ cluster: 'test', strategy: 'master-slave', master: 'a' })
    expect(status.members.map(member => [member.id, member.role])).toEqual([
      ['a', 'master'],
      ['b', 'slave'],
      ['c', 'slave'],
    ])
    expect(status.members.every(member => member.entries === 1)).toBe(true)
    cluster.crash('c')
    await cluster.pass(2_000)
    const after = await cluster.run(client.status())
    expect(after.members.map(member => member.state === 'down')).toEqual([false, false, true])
    for (const id of ['a', 'b']) cluster.crash(id)
    await cluster.pass(50)
    expect((await cluster.run(failure(client.status()))).code).toBe('UNREACHABLE')
  })

  it('keeps its watches through a failover, with a gap', async () => {
    await started()
    const client = await cluster.connect()
    const cache = client.cache<number>('c')
    const watch = cache.watch({ prefix: 'k' })
    await cluster.run(cache.set('k1', 1))
    cluster.crash('a')
    await cluster.run(cache.set('k2', 2))
    const kinds: string[] = []
    for await (const event of watch) {
      kinds.push(`${event.kind} ${event.key}`)
      if (event.key === 'k2') break
    }
    expect(kinds).toEqual(['set k1', 'gap ', 'set k2'])
  })

  it('rejects everything with CLOSED once it is closed', async () => {
    await started(['a'])
    const client = await cluster.connect()
    const cache = client.cache<number>('c')
    const pending = failure(cache.set('k', 1))
    await cluster.run(client.close())
    expect((await pending).code).toBe('CLOSED')
    expect((await failure(cache.get('k'))).code).toBe('CLOSED')
    expect((await failure(client.status())).code).toBe('CLOSED')
    expect(() => cache.watch()).toThrow()
    await cluster.run(client.close())
  })
})

function clientId(): string {
  return cluster.clients[0].id
}

/** Masters crash and return while a client writes; then all is read back. */
async function crashes(seed: number): Promise<void> {
  const client = await cluster.connect()
  const cache = client.cache<number>('c')
  const acked = new Map<string, number>()
  const unsure = new Set<string>()
  const settled: Promise<void>[] = []
  let writes = 0
  const write = () => {
    const key = `k${writes++ % 50}-${writes}`
    const call = cache.set(key, writes, { ifAbsent: true })
    const value = writes
    settled.push(
      call.then(
        () => {
          acked.set(key, value)
        },
        (error: GcacheError) => {
          expect(['ALREADY_EXISTS'], `seed ${seed} ${key}`).not.toContain(error.code)
          unsure.add(key)
        },
      ),
    )
  }
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 60; i++) {
      write()
      await cluster.pass(cluster.random.below(4))
      if (i === 20) {
        const master = cluster.master()
        if (master !== undefined) {
          cluster.crash(master)
          await cluster.pass(300)
          await cluster.start(master)
        }
      }
    }
    await cluster.pass(3_000)
  }
  await cluster.run(Promise.all(settled))
  expect(acked.size, `seed ${seed}`).toBeGreaterThan(120)
  const keys = [...acked.keys()]
  const values = await cluster.run(cache.getMany(keys))
  expect(values, `seed ${seed}`).toEqual(keys.map(key => acked.get(key)))
}
