/**
 * From kill -9 of the master to the next acknowledged write, as an application sees it: real
 * `gcache serve` processes, writers that never stop, the dead node started again each time. At the
 * end every acknowledged write is read back, and what is missing or old is counted as lost.
 *
 *   writers  --w--w--w--w--[ pending ............ ]w--w--w-->
 *   master          kill -9 |                      | first receipt of a newer epoch
 *                           |<----- measured ----->|
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { connect } from '../src/index.js'
import { options } from './arguments.js'
import { printer } from './output.js'
import { CLI, Cluster } from './processes.js'
import { percentile, roundMs } from './statistics.js'

const run = promisify(execFile)
/** Writers, each with one call in flight. */
const WRITERS = 4
/** Between two writes of a writer: the cluster must recover under load, not under an avalanche. */
const PAUSE_MS = 2
const RECOVERY_MS_MAX = 30_000
const READ_AT_ONCE = 500

interface Status {
  readonly master: string | undefined
  readonly members: readonly { id: string; role: string; state: string; lag: number }[]
}

type Client = Awaited<ReturnType<typeof connect>>
type Values = ReturnType<typeof openCache>

const openCache = (client: Client) => client.cache<string>('failover', { codec: 'json' })

/** Writes without end, and remembers what was acknowledged. */
class Writers {
  /** Every key has one write, so a key that is missing is a write that is lost. */
  readonly acknowledged: string[] = []
  failed = 0
  #epoch = 0
  #running = true
  #newer: { than: number; resolve: () => void } | undefined
  readonly #lanes: Promise<void>[]

  constructor(cache: Values) {
    this.#lanes = Array.from({ length: WRITERS }, (_, lane) => this.#write(cache, lane))
  }

  get epoch(): number {
    return this.#epoch
  }

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

/** What the cluster says of itself, asked of any node that answers. */
async function statusOf(servers: readonly string[]): Promise<Status | undefined> {
  try {
    const args = [CLI, 'status', '--server', servers.join(','), '--json']
    return JSON.parse((await run(process.execPath, args)).stdout) as Status
  } catch (error) {
    // Exit code 1 says degraded; the status stands on stdout all the same.
    const { stdout } = error as { stdout?: string }
    return stdout?.startsWith('{') ? (JSON.parse(stdout) as Status) : undefined
  }
}

/** Resolves with the master once every member is online and in step. */
async function recovered(cluster: Cluster): Promise<string> {
  const deadline = performance.now() + RECOVERY_MS_MAX
  let last: Status | undefined
  while (performance.now() < deadline) {
    last = await statusOf(cluster.servers)
    const whole = last?.members.every(({ state }) => state === 'online')
    if (whole && last?.members.length === cluster.servers.length && last.master !== undefined)
      return last.master
  }
  throw new Error(`not whole within ${RECOVERY_MS_MAX} ms: ${JSON.stringify(last)}`)
}

async function killOnce(cluster: Cluster, writers: Writers): Promise<number> {
  const master = await recovered(cluster)
  const newer = writers.acknowledgedAbove(writers.epoch)
  const began = performance.now()
  void cluster.kill(master)
  await newer
  const ms = performance.now() - began
  await cluster.startNode(master)
  return ms
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

export async function main(args: string[]): Promise<void> {
  const names = { json: false, verbose: false, transport: 'tcp', strategy: 'master-slave' }
  const chosen = options(args, { ...names, kills: 50, nodes: 3 })
  const cluster = await Cluster.start(chosen)
  try {
    const client = await connect({ cluster: cluster.name, servers: [...cluster.servers] })
    const cache = openCache(client)
    const writers = new Writers(cache)
    const times: number[] = []
    while (times.length < chosen.kills) {
      times.push(await killOnce(cluster, writers))
      if (chosen.verbose) console.error(`kill ${times.length}: ${roundMs(times.at(-1) ?? 0)} ms`)
    }
    await recovered(cluster)
    await writers.stop()
    const lost = await countLost(cache, writers.acknowledged)
    const sorted = times.sort((a, b) => a - b)
    printer(chosen.json)({
      ...{ bench: 'failover', transport: chosen.transport, strategy: chosen.strategy },
      ...{ kills: times.length, p50Ms: roundMs(percentile(sorted, 0.5)) },
      ...{ p99Ms: roundMs(percentile(sorted, 0.99)), maxMs: roundMs(sorted.at(-1) ?? 0) },
      ...{ acknowledged: writers.acknowledged.length, failed: writers.failed, lost },
    })
    if (lost > 0) process.exitCode = 1
    await client.close()
  } finally {
    await cluster.stop()
  }
}
