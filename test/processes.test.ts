/**
 * Real servers, really killed and stopped, under a client that never pauses. What was acknowledged
 * is read back at the end; every call has settled before its deadline.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { type Cache, type Client, connect, GcacheError } from '../src/index.js'
import { MEDIA, type ProcessMedium } from './harness/media.js'
import { ServedCluster } from './harness/processes.js'

const TIMEOUT_MS = 5_000
let cluster: ServedCluster | undefined
let client: Client | undefined

afterEach(async () => {
  await client?.close()
  await cluster?.stop()
  client = undefined
  cluster = undefined
})

async function startOver(
  medium: ProcessMedium,
  nodes: number,
): Promise<{ cluster: ServedCluster; client: Client }> {
  cluster = await ServedCluster.start(nodes, [], medium)
  client = await connect({ cluster: 'proof', servers: cluster.servers, timeoutMs: TIMEOUT_MS })
  return { cluster, client }
}

/** Writes without a pause until told to stop; remembers what was acknowledged, and when. */
class Writer {
  readonly acknowledged = new Map<string, number>()
  readonly failures: GcacheError[] = []
  ackedAt: number[] = []
  longestCallMs = 0
  #stopping = false
  readonly #done: Promise<unknown>

  constructor(cache: Cache<number>, writers = 8) {
    this.#done = Promise.all(Array.from({ length: writers }, (_, w) => this.#run(cache, w)))
  }

  async #run(cache: Cache<number>, writer: number): Promise<void> {
    for (let i = 0; !this.#stopping; i++) {
      const key = `${writer}/${i % 50}`
      const began = performance.now()
      try {
        await cache.set(key, i)
        this.acknowledged.set(key, i)
        this.ackedAt.push(performance.now())
      } catch (error) {
        if (!(error instanceof GcacheError)) throw error
        this.failures.push(error)
      }
      this.longestCallMs = Math.max(this.longestCallMs, performance.now() - began)
    }
  }

  /** Resolves with the time from `since` to the next acknowledged write. */
  async nextAck(since: number, msMax: number): Promise<number> {
    const deadline = performance.now() + msMax
    for (;;) {
      const at = this.ackedAt.find(time => time > since)
      if (at !== undefined) return at - since
      if (performance.now() > deadline) throw new Error(`no write acknowledged within ${msMax} ms`)
      await new Promise(resolve => setImmediate(resolve))
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#done
  }

  /** Acknowledged writes that are not there: an older value, or none. */
  async lost(cache: Cache<number>): Promise<string[]> {
    const lost: string[] = []
    for (const [key, value] of this.acknowledged) {
      const found = await cache.get(key)
      // A later write that got no answer may have been done: newer is not lost.
      if (found === undefined || found < value) lost.push(key)
    }
    return lost
  }
}

async function master(of: Client): Promise<string> {
  const status = await of.status()
  if (status.master === undefined || status.master === '') throw new Error('no master')
  return status.master
}

/** Resolves once every member is online; rejects after `msMax`. */
async function whole(of: Client, msMax: number): Promise<void> {
  const deadline = performance.now() + msMax
  for (;;) {
    const { members } = await of.status()
    if (members.every(member => member.state === 'online')) return
    if (performance.now() > deadline)
      throw new Error(`not whole: ${members.map(m => `${m.id} ${m.state}`).join(', ')}`)
  }
}

describe.each(MEDIA)('real servers over $name', medium => {
  const setUp = (nodes: number) => startOver(medium, nodes)

  it('lose nothing acknowledged when masters are killed with -9, one after the other', async () => {
    const { cluster, client } = await setUp(3)
    const cache = client.cache<number>('numbers')
    const writer = new Writer(cache)
    await writer.nextAck(0, 5_000)
    for (let kill = 0; kill < 3; kill++) {
      const victim = await master(client)
      const killedAt = performance.now()
      cluster.signal(victim, 'SIGKILL')
      await writer.nextAck(killedAt, 5_000)
      await cluster.ended(victim)
      await cluster.serve(victim)
      await whole(client, 15_000)
    }
    await writer.stop()
    expect(writer.failures.map(error => error.code)).toEqual([])
    expect(writer.longestCallMs).toBeLessThan(TIMEOUT_MS)
    expect(await writer.lost(cache)).toEqual([])
  }, 60_000)

  it('go on without a stopped master, which acknowledges nothing when it wakes', async () => {
    const { cluster, client } = await setUp(3)
    const cache = client.cache<number>('numbers')
    const writer = new Writer(cache)
    await writer.nextAck(0, 5_000)
    const old = await master(client)
    const stoppedAt = performance.now()
    cluster.signal(old, 'SIGSTOP')
    await writer.nextAck(stoppedAt + 300, 5_000)
    // The stopped one still holds requests in its socket; it must not answer them as master.
    cluster.signal(old, 'SIGCONT')
    await whole(client, 15_000)
    expect(await master(client)).not.toBe(old)
    await writer.stop()
    expect(writer.longestCallMs).toBeLessThan(TIMEOUT_MS)
    expect(await writer.lost(cache)).toEqual([])
  }, 60_000)

  it('refuse writes that want copies with two of three dead, and serve reads', async () => {
    const { cluster, client } = await setUp(3)
    const cache = client.cache<number>('numbers')
    await cache.set('kept', 1)
    const first = await master(client)
    for (const id of cluster.ids) if (id !== first) cluster.signal(id, 'SIGKILL')
    const error = await cache.set('refused', 2, { timeoutMs: 4_500 }).then(
      () => undefined,
      caught => caught as GcacheError,
    )
    expect(['NOT_ENOUGH_COPIES', 'ACK_TIMEOUT']).toContain(error?.code)
    if (error?.code === 'NOT_ENOUGH_COPIES') expect(error.outcome).toBe('rejected')
    else expect(error?.outcome).toBe('unknown')
    expect(await cache.get('kept')).toBe(1)
  }, 60_000)

  it('end with 0 on SIGTERM while they are written to, and the others go on', async () => {
    const { cluster, client } = await setUp(3)
    const cache = client.cache<number>('numbers')
    const writer = new Writer(cache)
    await writer.nextAck(0, 5_000)
    const old = await master(client)
    const at = performance.now()
    cluster.signal(old, 'SIGTERM')
    expect(await cluster.ended(old)).toBe(0)
    await writer.nextAck(Math.max(at, performance.now()), 5_000)
    await writer.stop()
    expect(await writer.lost(cache)).toEqual([])
  }, 60_000)
})
