/**
 * What simulated clients do: sets, deletes, touches, conditions, clears and reads on a few keys,
 * one by one and in bursts, with whatever ack levels the options allow. Keys collide on purpose.
 */
import type { Ack, PeerId } from '../contracts/types.js'
import type { SeededRandom } from '../core/prng.js'
import { SILENCE } from '../core/silence.js'
import { lifeMsOf } from './checkers/expiry.js'
import { CLUSTER, type SimulatedCluster } from './cluster.js'
import { type Call, type CallPlan, SimulatedClient } from './simulated-client.js'

export interface WorkloadOptions {
  clients: number
  /** Calls a second, all clients together, on average. */
  rate: number
  keys: number
  valueBytesMax: number
  acks: readonly Ack[]
  caches: readonly string[]
  /** Share of calls that are reads. */
  reads: number
  /** Share of reads that ask a node near by, and of the others that carry what the client saw. */
  localReads: number
  tokenReads: number
  /** Share of all reads that are linearizable; drawn only for a profile that offers them. */
  linearizableReads: number
  /** Bounds on the age of local reads, ms. */
  maxStaleMs: readonly number[]
  /** Share of writes with a condition. */
  conditions: number
  /** Clears a second, on average. */
  clears: number
  /** Calls of one burst, at most. */
  burstMax: number
  /** How likely an answered write is said again. */
  repeatChance: number
  /** Clients that die, per second, on average. */
  deaths: number
}

export const CALM_WORKLOAD: WorkloadOptions = {
  clients: 2,
  rate: 15,
  keys: 20,
  valueBytesMax: 200,
  acks: ['insync'],
  caches: ['plain'],
  reads: 0.25,
  localReads: 0,
  tokenReads: 0,
  linearizableReads: 0,
  maxStaleMs: [5_000],
  conditions: 0.1,
  clears: 0,
  burstMax: 4,
  repeatChance: 0.1,
  deaths: 0,
}

export class Workload {
  readonly #cluster: SimulatedCluster
  readonly #o: WorkloadOptions
  readonly #random: SeededRandom
  readonly #clients: SimulatedClient[] = []
  readonly #versions = new Map<string, number>()
  #made = 0
  #running = true
  calls = 0
  acked = 0

  constructor(cluster: SimulatedCluster, options: WorkloadOptions) {
    this.#cluster = cluster
    this.#o = options
    this.#random = cluster.random.fork()
    for (let i = 0; i < options.clients; i++) {
      this.#clients.push(this.#makeClient())
      this.#schedule(i)
    }
  }

  get clients(): readonly SimulatedClient[] {
    return this.#clients
  }

  get inFlight(): number {
    return this.#clients.reduce((sum, client) => sum + client.inFlight, 0)
  }

  /** No new calls; those under way end by themselves. */
  stop(): void {
    this.#running = false
  }

  /** One call by a client of the workload; undefined while it has no window. */
  call(plan: CallPlan): Call | undefined {
    return this.#start(this.#random.pick(this.#clients), plan)
  }

  #start(client: SimulatedClient, plan: CallPlan): Call | undefined {
    const call = client.start(plan)
    if (call !== undefined)
      for (const checker of this.#cluster.listeners.onCallStart) checker.onCallStart(call)
    return call
  }

  /** Client `i` dies; another takes its place with a window of its own. */
  crash(i: number): void {
    this.#clients[i].crash()
    this.#clients[i] = this.#makeClient()
  }

  #makeClient(): SimulatedClient {
    const cluster = this.#cluster
    const self: PeerId = `~client${this.#made++}`
    const { clock } = cluster
    const random = this.#random.fork()
    const transport = cluster.network.transport()({
      self,
      cluster: CLUSTER,
      clock,
      random,
      logger: SILENCE,
    })
    return new SimulatedClient({
      self,
      servers: cluster.members,
      transport,
      clock,
      random,
      repeatChance: this.#o.repeatChance,
      onEnd: call => this.#onEnd(call),
      onRepeat: (call, again) => {
        for (const checker of cluster.listeners.onRepeat) checker.onRepeat(call, again)
      },
    })
  }

  #onEnd(call: Call): void {
    const { reply } = call
    this.calls++
    if (call.outcome === 'ok' && call.seq !== 0) this.acked++
    if (reply !== undefined && reply.version > 0)
      this.#versions.set(`${call.cache}/${call.key}`, reply.version)
    this.#cluster.callEnded(call)
  }

  #schedule(i: number): void {
    const { burstMax, clients, deaths } = this.#o
    const rate = this.#o.rate / clients
    const burst = 1 + this.#random.below(burstMax)
    const meanMs = (1_000 * (1 + burstMax)) / 2 / rate
    this.#cluster.clock.after(-Math.log(1 - this.#random.next()) * meanMs, () => {
      if (!this.#running) return
      if (this.#random.chance((deaths * meanMs) / 1_000)) this.crash(i)
      for (let n = 0; n < burst; n++) this.#start(this.#clients[i], this.#plan())
      this.#schedule(i)
    })
  }

  #plan(): CallPlan {
    const random = this.#random
    const o = this.#o
    const cache = random.pick(o.caches)
    const key = `k${random.below(o.keys)}`
    if (random.chance(o.reads)) return { kind: 'get', cache, key, ...this.#how() }
    const ack = random.pick(o.acks)
    if (random.chance(o.clears / o.rate)) return { kind: 'clear', cache, key: '', ack }
    const dice = random.next()
    const condition = random.chance(o.conditions) ? this.#condition(cache, key) : {}
    if (dice < 0.12) return { kind: 'delete', cache, key, ack, ...versionOf(condition) }
    if (dice < 0.3) return { kind: 'touch', cache, key, ack, ...touchLife(cache) }
    const value = new Uint8Array(random.below(o.valueBytesMax + 1)).fill(random.below(256))
    return { kind: 'set', cache, key, ack, value, ...condition, ...setLife(cache) }
  }

  #how(): Pick<CallPlan, 'read' | 'maxStaleMs' | 'withToken'> {
    const random = this.#random
    const { localReads, tokenReads, linearizableReads, maxStaleMs } = this.#o
    if (linearizableReads > 0 && random.chance(linearizableReads)) return { read: 'linearizable' }
    if (localReads > 0 && random.chance(localReads))
      return { read: 'local', maxStaleMs: random.pick(maxStaleMs) }
    return tokenReads > 0 ? { withToken: random.chance(tokenReads) } : {}
  }

  #condition(cache: string, key: string): { ifAbsent?: boolean; ifVersion?: number } {
    if (this.#random.chance(0.5)) return { ifAbsent: true }
    const known = this.#versions.get(`${cache}/${key}`)
    return known === undefined ? {} : { ifVersion: known }
  }
}

function versionOf(condition: { ifVersion?: number }): { ifVersion?: number } {
  return condition.ifVersion === undefined ? {} : { ifVersion: condition.ifVersion }
}

function setLife(cache: string): { ttlMs?: number; idleMs?: number } {
  const lifeMs = lifeMsOf(cache)
  if (lifeMs === 0) return {}
  return cache.startsWith('idle') ? { idleMs: lifeMs } : { ttlMs: lifeMs }
}

function touchLife(cache: string): { ttlMs?: number } {
  return cache.startsWith('ttl') ? { ttlMs: lifeMsOf(cache) } : {}
}
