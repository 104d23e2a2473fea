/**
 * Strategy partitioned in real processes, over every medium: an owner is killed, all are restarted
 * one by one, and a node that was started otherwise knocks. What was acknowledged is read back.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { type Cache, type Client, type ClusterStatus, connect } from '../src/index.js'
import { healthExit } from '../src/server/status-view.js'
import { MEDIA, type ProcessMedium } from './harness/media.js'
import { freePorts, gcache, ServedCluster } from './harness/processes.js'
import { Served } from './harness/served.js'

const FLAGS = ['--strategy', 'partitioned', '--partitions', '32']
const KEYS = Array.from({ length: 300 }, (_, i) => `key-${i}`)
const WHOLE_MS_MAX = 30_000
const WRITERS = 8

let cluster: ServedCluster | undefined
let client: Client | undefined

afterEach(async () => {
  await client?.close()
  await cluster?.stop()
  client = undefined
  cluster = undefined
})

async function startOver(medium?: ProcessMedium) {
  cluster = await ServedCluster.start(3, FLAGS, medium)
  client = await connect({ cluster: 'proof', servers: cluster.servers })
  await whole(client)
  return { cluster, client, cache: client.cache<number>('numbers') }
}

/** Once all partitions have their owners and copies, and none is on its way; a moment later one
 *  may be handed to whom it belongs. */
async function whole(of: Client): Promise<ClusterStatus> {
  const deadline = performance.now() + WHOLE_MS_MAX
  for (;;) {
    // Nobody may answer in time while they start, or on a busy machine.
    const status = await of.status().catch(() => undefined)
    if (status && healthExit(status) === 0 && status.partitions?.moving === 0) return status
    if (performance.now() > deadline)
      throw new Error(`not whole: ${JSON.stringify([status?.members, status?.partitions])}`)
  }
}

/** Who leads most of them. */
async function ownerOfMost(of: Client): Promise<string> {
  const { partitions } = await of.status()
  const [[id]] = Object.entries(partitions?.owned ?? {}).sort((a, b) => b[1] - a[1])
  return id
}

const setAll = (cache: Cache<number>, value: number) =>
  Promise.all(KEYS.map((key, i) => cache.set(key, value + i)))

const wrong = async (cache: Cache<number>, value: number) => {
  const found = await cache.getMany(KEYS)
  return KEYS.filter((_, i) => found[i] !== value + i)
}

/** Writes without a pause; each key's versions are a chain, so nothing is lost or done twice. */
class Load {
  readonly acked = new Map<string, number>()
  readonly failures: unknown[] = []
  writes = 0
  #running = true
  readonly #done: Promise<unknown>

  constructor(readonly cache: Cache<number>) {
    this.#done = Promise.all(Array.from({ length: WRITERS }, (_, w) => this.#run(w)))
  }

  async #run(writer: number): Promise<void> {
    const versions = new Map<string, number>()
    for (let i = 1; this.#running; i++) {
      const key = `load-${writer}-${i % 20}`
      try {
        const { version } = await this.cache.set(key, i, { ifVersion: versions.get(key) ?? 0 })
        versions.set(key, version)
        this.acked.set(key, i)
        this.writes++
      } catch (error) {
        this.failures.push(error)
        return
      }
    }
  }

  /** Keys that have not what was acknowledged last. */
  async stop(): Promise<string[]> {
    this.#running = false
    await this.#done
    const lost: string[] = []
    for (const [key, value] of this.acked) if ((await this.cache.get(key)) !== value) lost.push(key)
    return lost
  }
}

describe.each(MEDIA)('partitions over $name', medium => {
  /**
   *   a  300 keys | 8 writers  ..................................
   *   b  (owner)  | kill -9 | 300 more | served, empty | copied, rebalanced
   */
  test('an owner killed with -9 takes nothing with it, and gets its share back', async () => {
    const { cluster, client, cache } = await startOver(medium)
    await setAll(cache, 0)
    const load = new Load(cache)
    const victim = await ownerOfMost(client)
    cluster.signal(victim, 'SIGKILL')
    await cluster.ended(victim)
    expect(await wrong(cache, 0)).toEqual([])
    const receipts = await setAll(cache, 1_000)
    expect(receipts).toHaveLength(300)
    expect(healthExit(await client.status())).toBe(1)
    await cluster.serve(victim)
    const { partitions } = await whole(client)
    expect(partitions).toMatchObject({ number: 32, unowned: 0, lost: [] })
    expect(partitions?.inSync[victim]).toBeGreaterThan(0)
    expect(await wrong(cache, 1_000)).toEqual([])
    expect([await load.stop(), load.failures]).toEqual([[], []])
    expect(load.writes).toBeGreaterThan(0)
  }, 90_000)

  test('a rolling restart fails no call and loses nothing', async () => {
    const { cluster, client, cache } = await startOver(medium)
    await setAll(cache, 0)
    const load = new Load(cache)
    for (const id of cluster.ids) {
      cluster.signal(id, 'SIGTERM')
      expect(await cluster.ended(id)).toBe(0)
      await cluster.serve(id)
      await whole(client)
    }
    expect(await wrong(cache, 0)).toEqual([])
    expect([await load.stop(), load.failures]).toEqual([[], []])
    expect(load.writes).toBeGreaterThan(0)
  }, 120_000)
})

describe('members', () => {
  /**
   *   a, b, c  300 keys | 8 writers ..............................................
   *   d                 | joins, starts | has its share | leaves: gives all away | killed
   */
  test('who joins gets its share, and gives it away as it leaves, while writes go on', async () => {
    const { cluster, client, cache } = await startOver()
    await setAll(cache, 0)
    const load = new Load(cache)
    const [port] = await freePorts(1)
    const at = ['--cluster', 'proof', '--server', cluster.servers[0]]
    expect(await gcache('join', `d=3@127.0.0.1:${port}`, ...at)).toMatchObject({ code: 0 })
    const own = ['--id', 'd', '--ordinal', '3', '--listen', `tcp://127.0.0.1:${port}`]
    const others = cluster.ids.flatMap((id, i) => ['--member', `${id}=${i}@${cluster.servers[i]}`])
    const d = new Served(['--cluster', 'proof', ...own, ...others, ...FLAGS])
    try {
      const held = async () => (await whole(client)).partitions?.inSync.d ?? 0
      // 32 partitions, two copies each, on four nodes: 16, give or take what the hash does.
      await expect.poll(held, { timeout: WHOLE_MS_MAX }).toBeGreaterThan(8)
      expect(await wrong(cache, 0)).toEqual([])
      expect(await gcache('leave', 'd', ...at)).toMatchObject({ code: 0 })
      await expect.poll(held, { timeout: WHOLE_MS_MAX }).toBe(0)
    } finally {
      d.signal('SIGKILL')
      await d.ended
    }
    expect((await whole(client)).members.map(({ id }) => id)).toEqual(cluster.ids)
    expect(await wrong(cache, 0)).toEqual([])
    expect([await load.stop(), load.failures]).toEqual([[], []])
    expect(load.writes).toBeGreaterThan(0)
  }, 120_000)
})

describe('the command line', () => {
  test('sets, gets, scans, touches, watches and deletes across partitions', async () => {
    cluster = await ServedCluster.start(3, FLAGS)
    const at = ['--cluster', 'proof', '--server', cluster.servers[1], '--cache', 's']
    client = await connect({ cluster: 'proof', servers: cluster.servers })
    await whole(client)
    for (const key of ['one', 'two', 'three', 'four'])
      expect((await gcache('set', ...at, key, `v-${key}`)).code).toBe(0)
    expect(await gcache('get', ...at, 'two')).toMatchObject({ code: 0, out: 'v-two' })
    expect(await gcache('touch', ...at, 'two', '--ttl', '1h')).toMatchObject({ code: 0 })
    const scanned = await gcache('scan', ...at)
    expect(scanned.code).toBe(0)
    expect(scanned.out.trim().split('\n').sort()).toEqual(['four', 'one', 'three', 'two'])
    let watches = true
    const watching = gcache('watch', ...at, 'thr', '--count', '5').finally(() => {
      watches = false
    })
    // It says nowhere that it listens, and may be told of a gap first.
    while (watches) await client.cache('s', { codec: 'bytes' }).touch('three', { ttlMs: 60_000 })
    expect(await watching).toMatchObject({ code: 0, out: expect.stringContaining('three') })
    expect((await gcache('del', ...at, 'two')).code).toBe(0)
    expect((await gcache('get', ...at, 'two')).code).toBe(1)
    const server = ['--cluster', 'proof', '--server', cluster.servers[2]]
    const status = await gcache('status', ...server)
    expect([status.code, status.out]).toEqual([
      0,
      expect.stringContaining('32 partitions, 1 backup'),
    ])
    expect(await gcache('reset-partition', ...server, '3')).toMatchObject({ code: 1 })
    const healthy = await gcache('reset-partition', ...server, '3', '--yes')
    expect([healthy.code, healthy.err]).toEqual([1, expect.stringContaining('HEALTHY')])
  }, 90_000)
})

describe('a node that was started otherwise', () => {
  const started: Served[] = []
  afterEach(async () => {
    for (const one of started) one.signal('SIGKILL')
    await Promise.all(started.splice(0).map(one => one.ended))
  })

  test.each<[string, string[], string, string]>([
    [
      'with other partitions',
      ['--strategy', 'partitioned', '--partitions', '16'],
      'a has partitions 32 and c has partitions 16',
      'c has partitions 16 and a has partitions 32',
    ],
    [
      'with another strategy',
      [],
      'a has strategy partitioned and c has strategy master-slave',
      'c has strategy master-slave and a has strategy partitioned',
    ],
  ])(
    '%s is refused, with both values',
    async (_, otherwise, text, own) => {
      const ports = await freePorts(3)
      const ids = ['a', 'b', 'c']
      const serve = (id: string, flags: readonly string[]) => {
        const args = ['--cluster', 'proof', '--id', id, '--ordinal', String(ids.indexOf(id))]
        args.push('--listen', `tcp://127.0.0.1:${ports[ids.indexOf(id)]}`, ...flags)
        for (const [i, other] of ids.entries())
          if (other !== id) args.push('--member', `${other}=${i}@tcp://127.0.0.1:${ports[i]}`)
        const one = new Served(args)
        started.push(one)
        return one
      }
      const a = serve('a', FLAGS)
      serve('b', FLAGS)
      const c = serve('c', otherwise)
      await a.says('start all nodes of a cluster with the same')
      await a.says(text)
      await c.says(own)
    },
    60_000,
  )
})
