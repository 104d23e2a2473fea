/**
 * From kill -9 of the master to the next acknowledged write, as an application sees it: real
 * `gcache serve` processes, writers that never stop, the dead node started again each time. With
 * `--how handover` the master gives its place away instead; measured is then the pause between the
 * last receipt of its epoch and the first of the next one. At the end every acknowledged write is
 * read back, and what is missing or old is counted as lost.
 *
 *   writers  --w--w--w--w--[ pending ............ ]w--w--w-->
 *   master          kill -9 |                      | first receipt of a newer epoch
 *                           |<----- measured ----->|
 */
import { type Client, connect } from '../src/index.js'
import { options } from './arguments.js'
import { Cluster } from './harness.js'
import { printer, type Row } from './output.js'
import { percentile, roundMs } from './statistics.js'

/** Writers, each with one call in flight. */
const WRITERS = 4
/** Between two writes of a writer: the cluster must recover under load, not under an avalanche. */
const PAUSE_MS = 2
const ASK_EVERY_MS = 50
/** Load between two handovers, so that each meets one that has come to rest. */
const BETWEEN_MS = 200
const RECOVERY_MS_MAX = 30_000
const READ_AT_ONCE = 500

type Values = ReturnType<typeof openCache>

const openCache = (client: Client) => client.cache<string>('failover', { codec: 'json' })

/** Writes without end, and remembers what was acknowledged. */
class Writers {
  /** Every key has one write, so a key that is missing is a write that is lost. */
  readonly acknowledged: string[] = []
  failed = 0
  #epoch = 0
  #ackedAt = 0
  #running = true
  #newer: { than: number; resolve: () => void } | undefined
  readonly #lanes: Promise<void>[]

  constructor(cache: Values) {
    this.#lanes = Array.from({ length: WRITERS }, (_, lane) => this.#write(cache, lane))
  }

  get epoch(): number {
    return this.#epoch
  }

  /** When the newest receipt of the newest epoch but one came: the begin of the last pause. */
  endedAt = 0

  /** Resolves at the first receipt of an epoch above `epoch`; rejects if none comes. */
  acknowledgedAbove(epoch: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no write acknowledged within ${RECOVERY_MS_MAX} ms`))
      const timer = setTimeout(late, RECOVERY_MS_MAX)
      const settled = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#newer = { than: epoch, resolve: settled }
    })
  }

  stop(): Promise<unknown> {
    this.#running = false
    return Promise.all(this.#lanes)
  }

  async #write(cache: Values, lane: number): Promise<void> {
    for (let count = 0; this.#running; count++) {
      const key = `${lane}:${count}`
      try {
        const { epoch } = await cache.set(key, key, { ifAbsent: true })
        this.acknowledged.push(key)
        if (epoch > this.#epoch) this.endedAt = this.#ackedAt
        this.#ackedAt = performance.now()
        this.#epoch = Math.max(this.#epoch, epoch)
        if (this.#newer !== undefined && epoch > this.#newer.than) {
          this.#newer.resolve()
          this.#newer = undefined
        }
      } catch {
        this.failed++
      }
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
  }
}

/** Resolves with the master once every member is online and has all there is. */
async function recovered(client: Client, cluster: Cluster): Promise<string> {
  const deadline = performance.now() + RECOVERY_MS_MAX
  let last: Awaited<ReturnType<Client['status']>> | undefined
  while (performance.now() < deadline) {
    // Between two masters nobody may answer: ask again.
    last = await client.status().catch(() => undefined)
    const online = last?.members.filter(({ state }) => state === 'online').length
    if (last?.master && online === cluster.servers.length) return last.master
    await new Promise(resolve => setTimeout(resolve, ASK_EVERY_MS))
  }
  throw new Error(`not whole within ${RECOVERY_MS_MAX} ms: ${JSON.stringify(last)}`)
}

async function killOnce(client: Client, cluster: Cluster, writers: Writers): Promise<number> {
  const master = await recovered(client, cluster)
  const newer = writers.acknowledgedAbove(writers.epoch)
  const began = performance.now()
  const gone = cluster.kill(master)
  await newer
  const ms = performance.now() - began
  await gone
  await cluster.startNode(master)
  return ms
}

async function handOverOnce(client: Client, cluster: Cluster, writers: Writers): Promise<number> {
  await recovered(client, cluster)
  await new Promise(resolve => setTimeout(resolve, BETWEEN_MS))
  const newer = writers.acknowledgedAbove(writers.epoch)
  await client.handover()
  await newer
  return performance.now() - writers.endedAt
}

async function countLost(cache: Values, keys: readonly string[]): Promise<number> {
  let lost = 0
  for (let at = 0; at < keys.length; at += READ_AT_ONCE) {
    const some = keys.slice(at, at + READ_AT_ONCE)
    const found = await cache.getMany(some)
    lost += found.filter((value, i) => value !== some[i]).length
  }
  return lost
}

export interface FailoverOptions {
  readonly transport: string
  readonly strategy: string
  readonly nodes: number
  /** How many masters are killed, or hand over. */
  readonly kills: number
  /** 'kill' or 'handover'. */
  readonly how: string
  /** Says every kill on stderr. */
  readonly verbose: boolean
}

export async function benchFailover(chosen: FailoverOptions): Promise<Row> {
  const { transport, strategy, how } = chosen
  if (how !== 'kill' && how !== 'handover')
    throw new Error(`--how wants kill or handover, not ${how}`)
  const once = how === 'kill' ? killOnce : handOverOnce
  const cluster = await Cluster.start(chosen)
  try {
    const client = await connect({ cluster: cluster.name, servers: [...cluster.servers] })
    const cache = openCache(client)
    const writers = new Writers(cache)
    const times: number[] = []
    while (times.length < chosen.kills) {
      times.push(await once(client, cluster, writers))
      if (chosen.verbose) console.error(`${how} ${times.length}: ${roundMs(times.at(-1) ?? 0)} ms`)
    }
    await recovered(client, cluster)
    await writers.stop()
    const { failed, acknowledged } = writers
    const lost = await countLost(cache, acknowledged)
    const sorted = times.sort((a, b) => a - b)
    await client.close()
    return {
      ...(how === 'kill'
        ? { bench: 'failover', transport, strategy, kills: times.length }
        : { bench: 'handover', transport, strategy, handovers: times.length }),
      ...{ p50Ms: roundMs(percentile(sorted, 0.5)), p99Ms: roundMs(percentile(sorted, 0.99)) },
      ...{ maxMs: roundMs(sorted.at(-1) ?? 0), acknowledged: acknowledged.length, failed, lost },
    }
  } finally {
    await cluster.stop()
  }
}

export async function main(args: string[]): Promise<void> {
  const names = { json: false, verbose: false, transport: 'tcp', strategy: 'master-slave' }
  const chosen = options(args, { ...names, how: 'kill', kills: 50, nodes: 3 })
  const row = await benchFailover(chosen)
  printer(chosen.json)(row)
  if (row.lost !== 0) process.exitCode = 1
}
