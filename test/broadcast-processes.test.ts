/**
 * Three real servers of strategy broadcast over every medium, each written to by a client of its
 * own, while one after another is killed with -9 and started again with an empty memory.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Client, connect, GcacheError } from '../src/index.js'
import { MEDIA } from './harness/media.js'
import { gcache, ServedCluster } from './harness/processes.js'

vi.setConfig({ testTimeout: 90_000 })

const FLAGS = ['--strategy', 'broadcast']

describe.each(MEDIA)('three nodes that all accept writes, over $name', medium => {
  const ends: (() => Promise<unknown>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  /** A client that begins with `address`, and so stays there while it serves. */
  async function clientOf(address: string): Promise<Client> {
    const client = await connect({ cluster: 'proof', servers: [address], timeoutMs: 8_000 })
    ends.push(() => client.close())
    return client
  }

  test('lose nothing that another node had received, and agree again', async () => {
    const cluster = await ServedCluster.start(3, FLAGS, medium)
    ends.push(() => cluster.stop())
    const clients = await Promise.all(cluster.servers.map(clientOf))
    expect(clients.map(client => client.master)).toEqual(['a', 'b', 'c'])
    const written = new Map<string, number>()
    const failed = new Set<string>()
    let stopping = false
    const writers = clients.map(async (client, writer) => {
      const cache = client.cache<number>('numbers')
      for (let value = 0; !stopping; value++) {
        const key = `${writer}/${value % 500}`
        try {
          // What only the killed process had is lost by definition: so two must hold it.
          await cache.set(key, value, { ack: 'slaves:1' })
          written.set(key, value)
          failed.delete(key)
        } catch (error) {
          if (!(error instanceof GcacheError)) throw error
          failed.add(key)
        }
      }
    })
    for (const id of cluster.ids) {
      const enough = () => written.size
      await expect.poll(enough, { timeout: 20_000 }).toBeGreaterThan(100)
      cluster.signal(id, 'SIGKILL')
      await cluster.ended(id)
      await cluster.serve(id)
    }
    stopping = true
    await Promise.all(writers)
    for (const address of cluster.servers) {
      const cache = (await clientOf(address)).cache<number>('numbers')
      const differs = async () => {
        let count = 0
        for (const [key, value] of written)
          if (!failed.has(key) && (await cache.get(key)) !== value) count++
        return count
      }
      await expect.poll(differs, { timeout: 20_000 }).toBe(0)
    }
    process.stdout.write(`broadcast: ${medium.name}: ${written.size} keys, ${failed.size} unsure\n`)
  })

  test('a client whose node dies goes on with another; status knows all', async () => {
    const cluster = await ServedCluster.start(3, FLAGS, medium)
    ends.push(() => cluster.stop())
    const client = await clientOf(cluster.address('b'))
    const cache = client.cache<string>('c')
    await cache.set('k', 'before')
    const at = ['--cluster', 'proof', '--server', cluster.address('a')]
    const healthy = await gcache('status', ...at, '--json')
    expect([healthy.code, healthy.err]).toEqual([0, ''])
    const { strategy, guarantee, members } = JSON.parse(healthy.out)
    expect([strategy, members.map((one: { role: string }) => one.role)]).toEqual([
      'broadcast',
      ['master', 'master', 'master'],
    ])
    expect(guarantee).toContain('every node accepts writes')
    cluster.signal('b', 'SIGKILL')
    await cluster.ended('b')
    await cache.set('k', 'after')
    expect(client.master).not.toBe('b')
    expect((await gcache('status', ...at)).code).toBe(1)
    const read = await gcache('get', ...at, '--cache', 'c', 'k')
    expect(read.code).toBe(0)
    await cluster.serve('b')
    expect(await (await clientOf(cluster.address('b'))).cache('c').get('k')).toBe('after')
    expect((await gcache('handover', ...at)).err).toContain('CONFIG')
    expect((await gcache('leave', ...at, 'c')).err).toContain('CONFIG')
  })

  test('a token read elsewhere waits for what was written', async () => {
    const cluster = await ServedCluster.start(2, FLAGS, medium)
    ends.push(() => cluster.stop())
    const [a, b] = await Promise.all(cluster.servers.map(clientOf))
    for (let i = 0; i < 100; i++) {
      await a.cache<number>('c').set('k', i)
      expect(await b.cache<number>('c').get('k', { after: a.token() })).toBe(i)
    }
  })
})
