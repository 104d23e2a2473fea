/**
 * Leases on a real broker with JetStream: compared and set by revisions, ended by the holder's own
 * clock, asked for again until they are granted, whatever becomes of the broker and the ways to it.
 */
import { connect as connectBroker, StorageType } from 'nats'
import { describe, expect, test } from 'vitest'
import { LEASE } from '../src/config.js'
import type { Election, Lease } from '../src/contracts/election.js'
import { SILENCE } from '../src/core/silence.js'
import { createNode, type Node } from '../src/node.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { type NatsLeaseOptions, natsLease } from '../transports/nats.js'
import { brokerWorld } from './harness/broker-world.js'
import { NatsServer } from './harness/nats-server.js'
import { freePorts } from './harness/processes.js'
import { lacks } from './harness/programs.js'
import { LinkProxy } from './harness/proxy.js'

const TTL_MS = 1_000
/** A busy machine's; what is judged are the lease's own times. */
const LATE_MS = 1_500

describe.skipIf(lacks('nats-server'))('a lease on a broker', () => {
  const world = brokerWorld({ jetStream: true })
  const { clock, ends, sees, pass } = world

  class Contender {
    readonly election: Election
    readonly granted: Lease[] = []
    lease: Lease | undefined
    /** Of the log, warnings alone. */
    readonly lines: string[] = []

    constructor(self: string, broker: string | NatsLeaseOptions, ttlMs = TTL_MS) {
      const way = typeof broker === 'string' ? { servers: broker } : broker
      const warn = (fields: object) => void this.lines.push(JSON.stringify(fields))
      const logger = { ...SILENCE, warn }
      const of = { self, cluster: 'some cluster', incarnation: self.repeat(16), logger }
      this.election = natsLease({ ...way, ttlMs })({ ...of, clock })
      this.election.start({
        onLease: lease => {
          this.lease = lease
          if (lease !== undefined) this.granted.push(lease)
        },
      })
      ends.push(() => this.election.stop())
    }

    get holds(): boolean {
      return this.lease !== undefined && clock.now() < this.lease.untilMs
    }
  }

  async function holder(servers = world.server.url): Promise<Contender> {
    const a = new Contender('a', servers)
    a.election.want(0)
    await sees('a holds it', () => a.holds)
    return a
  }

  async function proxied(): Promise<LinkProxy> {
    const proxy = await LinkProxy.open()
    proxy.target = world.server.port
    ends.push(() => proxy.close())
    return proxy
  }

  const urlOf = (proxy: LinkProxy) => proxy.address.replace('tcp:', 'nats:')

  async function store() {
    const broker = await connectBroker({ servers: world.server.url })
    ends.push(() => broker.close())
    return await broker.jetstream().views.kv('gcache', { storage: StorageType.File })
  }

  test('is one process’s, and another’s at once when it is let go', async () => {
    const a = await holder()
    const b = new Contender('b', world.server.url)
    b.election.want(0)
    await pass(3 * TTL_MS)
    expect([a.holds, b.granted.length]).toEqual([true, 0])
    expect(b.election.why).toBe('the lease is that of a')
    const atMs = clock.now()
    a.election.want(undefined)
    await sees('b holds it', () => b.holds)
    expect(clock.now() - atMs).toBeLessThan(TTL_MS)
    expect(b.lease?.counter).toBeGreaterThan(a.granted.at(-1)?.counter ?? 0)
  })

  test('is prolonged under its counter while revisions grow', async () => {
    const view = await store()
    const a = await holder()
    const before = (await view.get('some=20=cluster'))?.revision ?? 0
    await sees('five more', () => a.granted.length >= 6)
    const after = (await view.get('some=20=cluster'))?.revision ?? 0
    expect(after).toBeGreaterThanOrEqual(before + 4)
    expect(new Set(a.granted.map(({ counter }) => counter)).size).toBe(1)
    for (const { askedMs, untilMs } of a.granted)
      expect(untilMs - askedMs).toBeCloseTo(0.9 * TTL_MS, 3)
  })

  test('whose holder is cut off goes to another once it has ended, and not before', async () => {
    const proxy = await proxied()
    const a = await holder(urlOf(proxy))
    const b = new Contender('b', world.server.url)
    b.election.want(0)
    await pass(TTL_MS)
    const cutMs = clock.now()
    proxy.set({ forth: 'vanish', back: 'vanish' })
    await sees('b holds it', () => b.holds)
    expect(b.granted[0].askedMs).toBeGreaterThan(a.granted.at(-1)?.untilMs ?? Infinity)
    expect(clock.now() - cutMs).toBeLessThan(1.1 * TTL_MS + LATE_MS)
    expect(a.holds).toBe(false)
    proxy.resume()
    proxy.reset()
    await sees('a hears whose it is', () => a.election.why === 'the lease is that of b')
  })

  test('whose store did not open in time is asked for again', async () => {
    const broker = await connectBroker({ servers: world.server.url })
    ends.push(() => broker.close())
    world.server.signal('SIGSTOP')
    // tidy: allow connection - the option's name
    const a = new Contender('a', { connection: broker })
    a.election.want(0)
    await pass(3 * TTL_MS)
    expect(a.granted).toEqual([])
    world.server.signal('SIGCONT')
    await sees('a holds it', () => a.holds)
  })

  test('is kept over a restart of the broker that is shorter than it', async () => {
    const a = new Contender('a', world.server.url, 4_000)
    a.election.want(0)
    await sees('a holds it', () => a.holds)
    const { counter } = a.granted[0]
    await world.server.kill()
    await world.server.run({ jetStream: true })
    const times = a.granted.length
    await sees('it is prolonged', () => a.granted.length > times)
    expect(a.lease?.counter).toBe(counter)
  })

  test('ends while the broker is away, and is granted again when it is back', async () => {
    const a = await holder()
    world.server.signal('SIGSTOP')
    await sees('it has ended', () => !a.holds)
    await pass(TTL_MS)
    expect(a.holds).toBe(false)
    world.server.signal('SIGCONT')
    await sees('a holds it again', () => a.holds)
    await world.server.kill()
    await sees('it has ended again', () => a.lease === undefined)
    expect(a.election.why).toMatch(/^no lease: the broker 127\.0\.0\.1:\d+ cannot be reached/)
    await world.server.run({ jetStream: true })
    await sees('a holds it once more', () => a.holds)
  })

  test('that the broker forgot is not another’s before it has ended', async () => {
    const a = await holder()
    const b = new Contender('b', world.server.url)
    b.election.want(0)
    const view = await store()
    await view.destroy()
    await sees('one of them holds a new one', () => {
      expect(a.holds && b.holds).toBe(false)
      return b.holds || a.granted.some(({ askedMs }) => askedMs > a.granted[0].untilMs + TTL_MS)
    })
  })

  test('where something else was written is waited for, then taken', async () => {
    const view = await store()
    await view.put('some=20=cluster', Buffer.from('{"holder":7}'))
    const atMs = clock.now()
    const a = await holder()
    expect(clock.now() - atMs).toBeGreaterThanOrEqual(1.1 * TTL_MS)
    await view.put('some=20=cluster', Buffer.from('garbage'))
    await sees('a has lost it', () => !a.holds)
    await sees('a holds it again', () => a.holds)
  })

  test('is not to be had from a store that is full, which is said, once in the log', async () => {
    const broker = await connectBroker({ servers: world.server.url })
    ends.push(() => broker.close())
    const view = await broker.jetstream().views.kv('gcache', { max_bytes: 150, history: 1 })
    await view.put('another', Buffer.alloc(60))
    const a = new Contender('a', world.server.url)
    a.election.want(0)
    await sees('it says so', () => a.election.why !== undefined && a.lines.length > 0)
    const why = /^no lease: the broker 127\.0\.0\.1:\d+ grants none: maximum bytes exceeded$/
    for (let turn = 0; turn < 20; turn++) {
      expect(a.election.why).toMatch(why)
      await pass(LEASE.retryShare * TTL_MS)
    }
    expect(a.lines.length, a.lines.join('\n')).toBe(1)
    const { streams } = await broker.jetstreamManager()
    await streams.update('KV_gcache', { max_bytes: -1 })
    await sees('a holds it', () => a.holds)
    expect(a.election.why).toBe(undefined)
  })

  test('is not to be had in plaintext where servers says tls://', async () => {
    const a = new Contender('a', world.server.url.replace('nats://', 'tls://'))
    a.election.want(0)
    await sees('it says so', () => /cannot be reached.*tls/.test(a.election.why ?? ''))
    expect(a.granted).toEqual([])
  })

  test('is not to be had from a broker without JetStream, which is said', async () => {
    await world.server.kill()
    await world.server.run()
    const a = new Contender('a', world.server.url)
    a.election.want(0)
    await sees('it says so', () => /JetStream/.test(a.election.why ?? ''))
    expect(a.lines.length, a.lines.join('\n')).toBe(1)
    await world.server.kill()
    await world.server.run({ jetStream: true })
    await sees('a holds it', () => a.holds)
  })
})

describe.skipIf(lacks('nats-server'))('two nodes with a lease', () => {
  const world = brokerWorld({ jetStream: true })
  const { clock, ends, sees, pass } = world
  let ports: number[] = []

  const memberOf = (id: string, ordinal: number) => ({
    id,
    ordinal,
    address: `tcp://127.0.0.1:${ports[ordinal]}`,
  })

  async function node(id: string, servers = world.server.url): Promise<Node> {
    const election = natsLease({ servers, ttlMs: TTL_MS })
    const made = await createNode({
      cluster: 'two',
      id,
      members: [memberOf('a', 0), memberOf('b', 1)],
      strategy: masterSlave({ election }),
    })
    ends.push(() => made.close({ handover: false }))
    return made
  }

  async function pair(): Promise<[Node, Node]> {
    ports = await freePorts(2)
    const [a, b] = await Promise.all([node('a'), node('b')])
    await Promise.all([a.ready(), b.ready()])
    return [a, b]
  }

  const leads = (one: Node) => one.status().self.role === 'master'

  test('lead one at a time, say what they promise, and fail over with nothing lost', async () => {
    const [a, b] = await pair()
    expect([leads(a), leads(b)]).toEqual([true, false])
    expect(a.status().guarantee).toBe(
      '2 nodes, mastership leased from a NATS broker: one master at any time; survives one crash ' +
        'while a slave is in sync (W 1 + P 1 <= N 2); fails over with 1 down, writes with 1 ' +
        'down; ' +
        "no master while the broker's majority is away",
    )
    await a.cache<number>('n').set('k', 1)
    const { epoch } = a.status()
    await a.close({ handover: false })
    await sees('b leads', () => leads(b) && b.status().self.state === 'online')
    expect(await b.cache<number>('n').get('k')).toBe(1)
    expect(Math.floor(b.status().epoch / 256)).toBeGreaterThan(Math.floor(epoch / 256))
  })

  test('hand over without a failed call', async () => {
    const [a, b] = await pair()
    const cache = a.cache<number>('n')
    let done = false
    const writes = (async () => {
      for (let i = 0; !done; i++) await cache.set(`k${i % 20}`, i)
    })()
    await pass(100)
    const result = await a.handover({ to: 'b' })
    expect(result.to).toBe('b')
    await pass(100)
    done = true
    await writes
    expect([leads(a), leads(b)]).toEqual([false, true])
  })

  test('have no master while the broker is away, and one again when it is back', async () => {
    const [a, b] = await pair()
    const cache = b.cache<number>('n')
    await cache.set('k', 1)
    await world.server.kill()
    await sees('nobody leads', () => !leads(a) && !leads(b))
    const atMs = clock.now()
    await expect(cache.set('k', 2, { timeoutMs: 300 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(NOT_READY|NOT_MASTER|TIMEOUT)$/),
    })
    await expect(cache.get('k', { timeoutMs: 300 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(NOT_READY|NOT_MASTER|TIMEOUT)$/),
    })
    expect(clock.now() - atMs).toBeLessThan(600 + LATE_MS)
    await world.server.run({ jetStream: true })
    await sees('somebody leads', () => leads(a) || leads(b))
    await cache.set('k', 3)
    expect(await cache.get('k')).toBe(3)
  })

  test('are not ready without a broker, and say which one', async () => {
    ports = await freePorts(2)
    const away = await NatsServer.planned()
    ends.push(() => away.close())
    const [a, b] = await Promise.all([node('a', away.url), node('b', away.url)])
    await expect(a.ready({ timeoutMs: 700 })).rejects.toMatchObject({
      code: 'NOT_READY',
      message: expect.stringContaining(`no lease: the broker ${away.url.slice(7)} cannot be`),
    })
    await away.run({ jetStream: true })
    await Promise.all([a.ready(), b.ready()])
  })
})
