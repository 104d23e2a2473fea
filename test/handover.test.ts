/**
 * Planned handover, under virtual time: real engines and clients on a memory network. No call may
 * fail, nothing may be lost or done twice, and writes pause for some ms only.
 */
import { afterEach, describe, expect, it } from 'vitest'
import type { Client } from '../src/client/connect.js'
import { LIMITS } from '../src/config.js'
import type { Cache } from '../src/contracts/cache.js'
import type { Ack } from '../src/contracts/types.js'
import { seededRandom } from '../src/core/prng.js'
import { GcacheError } from '../src/errors.js'
import { SimulatedCluster } from '../src/testing/cluster.js'
import { addCheckers } from '../src/testing/simulation.js'
import { CALM_WORKLOAD, Workload } from '../src/testing/workload.js'
import type { HandoverResult } from '../src/wire/admin.js'
import { EngineCluster } from './harness/engine-cluster.js'
import { ORDINAL } from './sim.js'

let world: EngineCluster | undefined

afterEach(async () => {
  await world?.close()
  world = undefined
})

async function setUp(ids = ['a', 'b', 'c']): Promise<{ world: EngineCluster; client: Client }> {
  world = new EngineCluster(ids)
  world.network.setFaults({ latencyMsMin: 0.2, latencyMsMax: 0.5 })
  await world.startAll()
  const client = await world.connect()
  // All in sync, so that a handover finds whom it wants.
  await world.pass(500)
  return { world, client }
}

const ACKS: readonly (Ack | undefined)[] = [
  undefined,
  'none',
  'master',
  'slaves:1',
  'slaves:2',
  'majority',
  'insync',
  'all',
]

/** Writers that never pause, each with one counter a key: every ack level, and conditions. */
class Load {
  readonly acked: number[] = []
  readonly failures: GcacheError[] = []
  readonly written = new Map<string, { value: number; version: number }>()
  stopped = false
  readonly done: Promise<unknown>
  readonly #world: EngineCluster
  readonly #cache: Cache<number>

  constructor(world: EngineCluster, client: Client, acks = ACKS) {
    this.#world = world
    this.#cache = client.cache<number>('load')
    this.done = Promise.all(acks.map((ack, i) => this.#write(ack, `${ack}/${i}`)))
  }

  async #write(ack: Ack | undefined, key: string): Promise<void> {
    let version = 0
    for (let value = 1; !this.stopped; value++)
      try {
        // A write that is done twice, or lost, breaks the chain of versions.
        const options = ack === undefined ? { ifVersion: version } : { ifVersion: version, ack }
        version = (await this.#cache.set(key, value, options)).version
        this.written.set(key, { value, version })
        this.acked.push(this.#world.clock.now())
      } catch (error) {
        if (!(error instanceof GcacheError)) throw error
        this.failures.push(error)
        return
      }
  }

  /** The longest time without an acknowledged write, from `from` on. */
  longestPause(from: number): number {
    const times = this.acked.filter(at => at >= from)
    let longest = (times[0] ?? Number.POSITIVE_INFINITY) - from
    for (let i = 1; i < times.length; i++) longest = Math.max(longest, times[i] - times[i - 1])
    return longest
  }

  /** Stops, and expects that nothing failed and everything is there. */
  async check(): Promise<void> {
    this.stopped = true
    await this.#world.run(this.done)
    expect(this.failures.map(error => error.message)).toEqual([])
    for (const [key, { value, version }] of this.written) {
      const entry = await this.#world.run(this.#cache.getEntry(key))
      expect({ key, value: entry?.value, version: entry?.version }).toEqual({ key, value, version })
    }
  }
}

async function refusal(promise: Promise<HandoverResult>): Promise<GcacheError> {
  return await promise.then(
    result => {
      throw new Error(`done: ${JSON.stringify(result)}`)
    },
    error => error as GcacheError,
  )
}

describe('a handover', () => {
  it('goes to the in-sync slave of lowest ordinal, or to a named one', async () => {
    const { world, client } = await setUp()
    const first = await world.run(client.handover())
    expect(first).toMatchObject({ from: 'a', to: 'b' })
    await world.until(() => client.master === 'b')
    expect(first.epoch).toBe(world.engines.get('b')?.standing.epoch.number)
    await world.pass(200)
    expect(await world.run(client.handover({ to: 'c' }))).toMatchObject({ from: 'b', to: 'c' })
    await world.until(() => client.master === 'c')
    await world.pass(200)
    expect(await world.run(client.handover())).toMatchObject({ from: 'c', to: 'a' })
  })

  it('fifty times under load at all ack levels fails, loses and repeats nothing', async () => {
    const { world, client } = await setUp()
    const load = new Load(world, client)
    const pauses: number[] = []
    for (let i = 0; i < 50; i++) {
      const began = world.clock.now()
      const { epoch } = await world.run(client.handover())
      await world.pass(60 + i)
      pauses.push(load.longestPause(began))
      expect(epoch).toBe(world.engines.get(world.master() ?? '')?.standing.epoch.number)
    }
    await load.check()
    pauses.sort((a, b) => a - b)
    const [middle, longest] = [pauses[25], pauses[49]].map(ms => ms.toFixed(1))
    process.stdout.write(`handover, virtual: pause ${middle} ms, longest ${longest} ms\n`)
    expect(pauses[49]).toBeLessThan(30)
  })

  it('of two nodes goes to and fro under load', async () => {
    const { world, client } = await setUp(['a', 'b'])
    const load = new Load(world, client, ['insync', 'master', 'all', 'slaves:1'])
    for (const to of ['b', 'a', 'b']) {
      expect(await world.run(client.handover())).toMatchObject({ to })
      await world.pass(100)
    }
    await load.check()
  })

  it('to whom leads already is done at once', async () => {
    const { world, client } = await setUp()
    const { epoch } = world.engines.get('a')?.standing ?? expect.fail()
    const result = await world.run(client.handover({ to: 'a' }))
    expect(result).toEqual({ from: 'a', to: 'a', epoch: epoch.number, tookMs: 0 })
  })

  it('is refused by code where nobody may take over, and nothing pauses', async () => {
    const { world, client } = await setUp()
    const load = new Load(world, client, ['slaves:1', 'insync'])
    expect(await world.run(refusal(client.handover({ to: 'x' })))).toMatchObject({ code: 'CONFIG' })
    const misspelt = client.handover({ tos: 'b' } as never)
    expect(await world.run(refusal(misspelt))).toMatchObject({ code: 'CONFIG' })
    world.crash('b')
    const began = world.clock.now()
    await world.pass(100)
    const gone = await world.run(refusal(client.handover({ to: 'b' })))
    expect(gone).toMatchObject({ code: 'HANDOVER_REFUSED', retryable: true })
    await world.pass(200)
    expect(load.longestPause(began)).toBeLessThan(60)
    await load.check()
    world.crash('c')
    expect(await world.run(refusal(client.handover()))).toMatchObject({ code: 'HANDOVER_REFUSED' })
    expect(world.master()).toBe('a')
  })

  it('of a lone node is refused', async () => {
    const { world, client } = await setUp(['a'])
    expect(await world.run(refusal(client.handover()))).toMatchObject({ code: 'HANDOVER_REFUSED' })
  })

  it('asked of a slave names the master; a second one meanwhile is BUSY', async () => {
    const { world } = await setUp()
    const ended: (string | undefined)[] = []
    const [a, b] = ['a', 'b'].map(id => world.engines.get(id) ?? expect.fail())
    b.handover(undefined, 1_000, (error, _, master) => ended.push(error?.code, master))
    expect(ended).toEqual(['NOT_MASTER', 'a'])
    a.handover('c', 1_000, (error, result) => ended.push(error?.code, result?.to))
    a.handover('b', 1_000, error => ended.push(error?.code))
    expect(ended.slice(2)).toEqual(['BUSY'])
    await world.until(() => ended.length === 5)
    expect(ended.slice(3)).toEqual([undefined, 'c'])
  })
})

/** A simulated cluster with a workload and every law watching. */
function simulated(nodes: number) {
  const random = seededRandom(5)
  const cluster = new SimulatedCluster({ nodes, random, strategy: ORDINAL.strategy })
  cluster.network.setFaults({ latencyMsMin: 0.5, latencyMsMax: 1 })
  const { backlogBytesMax, backlogEntriesMax } = LIMITS
  addCheckers(cluster, ORDINAL, {
    ...{
      profile: 'ordinal',
      witness: false,
      mayLose: false,
      steadyAfterMs: undefined,
      calmAfterMs: undefined,
    },
    ...{ backlogBytesMax, backlogEntriesMax },
  })
  const acks: Ack[] = ['slaves:1', 'insync', 'master']
  const workload = new Workload(cluster, { ...CALM_WORKLOAD, rate: 200, acks })
  cluster.startAll()
  cluster.run(3_000)
  const codes: string[] = []
  return {
    cluster,
    codes,
    handOver(to?: string): void {
      cluster.master()?.engine.handover(to, 5_000, error => codes.push(error?.code ?? 'done'))
    },
    /** The longest time without an acknowledged write within `ms` from now on. */
    pauseWithin(ms: number): number {
      const until = cluster.now() + ms
      let [longest, last, acked] = [0, cluster.now(), workload.acked]
      while (cluster.now() < until) {
        cluster.run(1)
        if (workload.acked === acked) longest = Math.max(longest, cluster.now() - last)
        else last = cluster.now()
        acked = workload.acked
      }
      return longest
    },
    /** To the very moment at which the master has told its target. */
    untilTold(master: string): void {
      let told = false
      cluster.node(master).engine.events.on('report', (event, { state }) => {
        told ||= event === 'handover' && state === 'sent'
      })
      for (let i = 0; !told && i < 20_000; i++) cluster.run(0.05)
      expect(told).toBe(true)
    },
    end(): void {
      workload.stop()
      cluster.run(8_000)
      const ids = cluster.live().map(({ id }) => id)
      for (const checker of cluster.checkers) checker.onQuiet?.(ids)
      expect(cluster.converged(ids)).toBe(true)
    },
  }
}

describe('a handover that meets trouble', () => {
  it('asks first: a frozen target holds nobody up, and another one takes over', () => {
    const { cluster, codes, handOver, pauseWithin, end } = simulated(3)
    cluster.pause('b')
    handOver()
    // Writes of level insync wait for b; the others go on.
    expect(pauseWithin(600)).toBeLessThan(150)
    expect(codes).toEqual(['done'])
    expect(cluster.master()?.id).toBe('c')
    cluster.resume('b')
    end()
  })

  // ms    a                      b
  //  0    ask ------------------>
  //  1.   <------------------ ack
  //       hold, told ----------> x  killed or stopped before it reads
  for (const fate of ['crash', 'pause'] as const)
    it(`whose target meets a ${fate} in the middle leads on under a new epoch`, () => {
      const { cluster, codes, handOver, pauseWithin, untilTold, end } = simulated(3)
      const a = cluster.node('a')
      const before = a.engine.standing.epoch.number
      handOver('b')
      untilTold('a')
      if (fate === 'crash') cluster.crash('b')
      else cluster.pause('b')
      expect(pauseWithin(3_000)).toBeLessThan(fate === 'crash' ? 800 : 2_000)
      expect(codes).toEqual(['HANDOVER_FAILED'])
      expect(cluster.master()?.id).toBe('a')
      expect(a.engine.standing.epoch.number).toBeGreaterThan(before)
      if (fate === 'crash') cluster.start('b')
      else cluster.resume('b')
      end()
    })

  it('whose master is stopped after it told the target follows when it wakes', () => {
    const { cluster, handOver, untilTold, end } = simulated(3)
    handOver('b')
    untilTold('a')
    cluster.pause('a')
    cluster.run(1_500)
    expect(cluster.master()?.id).toBe('b')
    cluster.resume('a')
    cluster.run(300)
    expect(cluster.master()?.id).toBe('b')
    expect(cluster.node('a').engine.standing).toMatchObject({ role: 'slave', master: 'b' })
    end()
  })

  it('to a slave that lags is refused', () => {
    const { cluster, codes, handOver, end } = simulated(3)
    cluster.clog('a', 'c', 4_000)
    cluster.run(3_000)
    handOver('c')
    cluster.run(500)
    expect(codes).toEqual(['HANDOVER_REFUSED'])
    cluster.run(2_000)
    end()
  })
})
