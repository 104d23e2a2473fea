/**
 * Two real servers with a lease on a real broker, under a client that never pauses: the holder is
 * killed, stopped for longer than its lease, and cut off from the broker. Nothing acknowledged is
 * lost, and no master acknowledges after another one has.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { type Client, connect, GcacheError } from '../src/index.js'
import { NatsServer } from './harness/nats-server.js'
import { gcache, ServedCluster } from './harness/processes.js'
import { lacks } from './harness/programs.js'
import { LinkProxy } from './harness/proxy.js'

const TTL_MS = 1_000
/** A lease that was just prolonged, what suspicion and a candidacy take, and a busy machine. */
const TAKEOVER_MS_MAX = 1.1 * TTL_MS + 2_400
const TIMEOUT_MS = 6_000

interface Acked {
  readonly key: string
  readonly value: number
  readonly epoch: number
  readonly beganMs: number
  readonly endedMs: number
}

/** Writes each key once, so that a lost one is seen, and remembers every ack. */
class Writer {
  readonly acked: Acked[] = []
  readonly failures: GcacheError[] = []
  longestMs = 0
  #stopping = false
  readonly #done: Promise<unknown>

  constructor(client: Client) {
    this.#done = Promise.all([0, 1, 2, 3].map(writer => this.#run(client, writer)))
  }

  async #run(client: Client, writer: number): Promise<void> {
    const cache = client.cache<number>('numbers')
    for (let value = 0; !this.#stopping; value++) {
      const key = `${writer}/${value}`
      const beganMs = performance.now()
      try {
        const { epoch } = await cache.set(key, value)
        this.acked.push({ key, value, epoch, beganMs, endedMs: performance.now() })
      } catch (error) {
        if (!(error instanceof GcacheError)) throw error
        this.failures.push(error)
      }
      this.longestMs = Math.max(this.longestMs, performance.now() - beganMs)
    }
  }

  /** Resolves with the time from `fromMs` to the first ack of an epoch above. */
  async ackedAfter(fromMs: number, epochAbove: number): Promise<number> {
    const newest = () => this.acked.at(-1)?.epoch ?? 0
    await expect.poll(newest, { timeout: 20_000, interval: 10 }).toBeGreaterThan(epochAbove)
    const first = this.acked.filter(one => one.epoch > epochAbove)
    return Math.min(...first.map(one => one.endedMs)) - fromMs
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#done
  }

  /** Pairs of which the later call was answered by an older master. */
  backwards(): string[] {
    const found: string[] = []
    const byEnd = [...this.acked].sort((a, b) => a.endedMs - b.endedMs)
    const byBegin = [...this.acked].sort((a, b) => a.beganMs - b.beganMs)
    let highest = 0
    let next = 0
    for (const one of byBegin) {
      for (; next < byEnd.length && byEnd[next].endedMs < one.beganMs; next++)
        highest = Math.max(highest, byEnd[next].epoch)
      if (one.epoch < highest) found.push(`${one.key} in ${one.epoch} after ${highest}`)
    }
    return found
  }
}

describe.skipIf(lacks('nats-server'))('two servers with a leased mastership', () => {
  const ends: (() => Promise<unknown>)[] = []

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  async function setUp() {
    const broker = await NatsServer.start({ jetStream: true })
    ends.push(() => broker.close())
    const ways = new Map<string, LinkProxy>()
    for (const id of ['a', 'b']) {
      const proxy = await LinkProxy.open()
      proxy.target = broker.port
      ways.set(id, proxy)
      ends.push(() => proxy.close())
    }
    const flags = (id: string) => {
      const url = ways.get(id)?.address.replace('tcp:', 'nats:') ?? ''
      return ['--election', url, '--election-ttl-ms', String(TTL_MS)]
    }
    const cluster = await ServedCluster.start(2, flags)
    ends.push(() => cluster.stop())
    const client = await connect({
      cluster: 'proof',
      servers: cluster.servers,
      timeoutMs: TIMEOUT_MS,
    })
    ends.push(() => client.close())
    const writer = new Writer(client)
    ends.push(() => writer.stop())
    await expect.poll(() => writer.acked.length, { timeout: 10_000 }).toBeGreaterThan(100)
    const { master = '', epoch } = await client.status()
    return { broker, cluster, client, writer, master, epoch, way: ways.get(master) as LinkProxy }
  }

  type World = Awaited<ReturnType<typeof setUp>>

  async function judge({ client, writer }: World, tookMs: number, what: string): Promise<void> {
    const enough = writer.acked.length + 100
    await expect.poll(() => writer.acked.length, { timeout: 10_000 }).toBeGreaterThan(enough)
    await writer.stop()
    const cache = client.cache<number>('numbers')
    const lost: string[] = []
    for (const { key, value } of writer.acked) if ((await cache.get(key)) !== value) lost.push(key)
    const facts = `${writer.acked.length} acknowledged, ${writer.failures.length} failed`
    process.stdout.write(`lease: ${what}: ${Math.round(tookMs)} ms, ${facts}\n`)
    expect(lost).toEqual([])
    expect(writer.backwards()).toEqual([])
    expect(tookMs).toBeLessThan(TAKEOVER_MS_MAX)
    expect(writer.longestMs).toBeLessThan(TIMEOUT_MS + 1_000)
  }

  test('say what they promise', async () => {
    const { cluster } = await setUp()
    const { out } = await gcache('status', '--server', cluster.servers[0], '--cluster', 'proof')
    expect(out).toContain(
      'guarantee: 2 nodes, mastership leased from a NATS broker: one master at any time; ',
    )
    expect(out).toContain("; no master while the broker's majority is away")
  }, 40_000)

  test.each(['http://me:se@cret@h:1', 'nats://me:se@cret@h:1'])(
    'a broker that is given as %s is refused, and its password is not told',
    async broker => {
      const flags = ['--id', 'a', '--ordinal', '0', '--listen', 'tcp://127.0.0.1:0']
      const { code, err } = await gcache('serve', ...flags, '--election', broker)
      expect(code).not.toBe(0)
      expect(err).toContain('h:1')
      expect(err).toContain('(CONFIG)')
      expect(err).not.toMatch(/se@|cret/)
    },
  )

  test('the holder is killed with -9', async () => {
    const world = await setUp()
    const atMs = performance.now()
    world.cluster.signal(world.master, 'SIGKILL')
    const tookMs = await world.writer.ackedAfter(atMs, world.epoch)
    await judge(world, tookMs, 'kill -9 of the holder')
  }, 60_000)

  test('the holder is stopped for longer than its lease, and wakes as a slave', async () => {
    const world = await setUp()
    const atMs = performance.now()
    world.cluster.signal(world.master, 'SIGSTOP')
    const tookMs = await world.writer.ackedAfter(atMs, world.epoch)
    world.cluster.signal(world.master, 'SIGCONT')
    const other = world.master === 'a' ? 'b' : 'a'
    await expect
      .poll(async () => (await world.client.status()).members.map(member => member.state), {
        timeout: 15_000,
      })
      .toEqual(['online', 'online'])
    expect((await world.client.status()).master).toBe(other)
    await judge(world, tookMs, 'SIGSTOP of the holder')
  }, 60_000)

  test('the holder is cut off from the broker', async () => {
    const world = await setUp()
    const atMs = performance.now()
    world.way.set({ forth: 'vanish', back: 'vanish' })
    const tookMs = await world.writer.ackedAfter(atMs, world.epoch)
    world.way.resume()
    await judge(world, tookMs, 'the way to the broker cut')
  }, 60_000)
})
