/**
 * What a crowd of sockets does to a good client of the same node: its latency without and with the
 * crowd, in pairs, and what the crowd costs the node in memory. Goals: p99 <= 2 times, + 64 MiB.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { options } from './arguments.js'
import type { CrowdKind } from './crowd.js'
import { Gathered } from './gathered.js'
import { Cluster, Load, type RunOptions, residentMiB, type ServerNode } from './harness.js'
import { printer } from './output.js'
import { median, roundMs, roundRatio } from './statistics.js'

const KINDS: readonly CrowdKind[] = ['idle', 'dripping', 'strangers']
/** Longer than a frame's grace, so that those who drip have been cut off and come again. */
const SETTLE_MS = 7_000

export async function main(args: string[]): Promise<void> {
  const chosen = options(args, {
    ...{ json: false, sockets: 10_000, kinds: KINDS.join(), work: 'get', 'in-flight': 10 },
    ...{ runs: 5, ms: 2_000, 'settle-ms': SETTLE_MS, 'value-bytes': 100, keys: 1_000 },
  })
  const kinds = chosen.kinds.split(',')
  const unknown = kinds.find(kind => !KINDS.includes(kind as CrowdKind))
  if (unknown !== undefined) throw new Error(`no crowd is ${unknown}: ${KINDS.join(', ')}`)
  const print = printer(chosen.json)
  for (const kind of kinds) print(await measure(kind as CrowdKind, chosen))
}

interface Chosen {
  readonly sockets: number
  readonly work: string
  readonly 'in-flight': number
  readonly runs: number
  readonly ms: number
  readonly 'settle-ms': number
  readonly 'value-bytes': number
  readonly keys: number
}

/** A node with its good client. */
class Side {
  readonly #load: Load
  readonly cluster: Cluster
  readonly #run: RunOptions

  private constructor(cluster: Cluster, load: Load, run: RunOptions) {
    this.cluster = cluster
    this.#load = load
    this.#run = run
  }

  static async open(chosen: Chosen): Promise<Side> {
    const { keys, ms, 'in-flight': inFlight, 'value-bytes': valueBytes } = chosen
    const cluster = await Cluster.start({
      ...{ transport: 'tcp', strategy: 'master-slave', nodes: 1, logLevel: 'error' },
    })
    const target = { kind: 'gcache', cluster: cluster.name, servers: cluster.servers } as const
    const load = await Load.open({ target: { ...target, codec: 'bytes' }, keys, valueBytes })
    const work = chosen.work === 'set' ? 'set' : 'get'
    return new Side(cluster, load, { work, inFlight, ms })
  }

  get node(): ServerNode {
    return [...this.cluster.nodes.values()][0]
  }

  async p99(): Promise<number> {
    return (await this.#load.run(this.#run)).p99Ms
  }

  async close(): Promise<void> {
    this.#load.close()
    await this.cluster.stop()
  }
}

/**
 * New nodes for each kind: the memory of the one before would hide this one's. Runs on the quiet
 * node and on the crowded one alternate, so that what else the machine does, the crowd's own work
 * included, meets both.
 */
async function measure(kind: CrowdKind, chosen: Chosen) {
  const { sockets, runs, work, 'in-flight': inFlight } = chosen
  const quiet = await Side.open(chosen)
  const crowded = await Side.open(chosen)
  const extraMiB = () => residentMiB(crowded.node.child) - residentMiB(quiet.node.child)
  let crowd: Gathered | undefined
  try {
    for (let i = 0; i < runs; i++) for (const side of [quiet, crowded]) await side.p99()
    const before = extraMiB()
    const port = Number(new URL(crowded.node.address.replace('tcp:', 'http:')).port)
    crowd = await Gathered.open({ kind, sockets, cluster: crowded.cluster.name, port })
    await pause(chosen['settle-ms'])
    const alone: number[] = []
    const among: number[] = []
    for (let i = 0; i < runs; i++) {
      alone.push(await quiet.p99())
      among.push(await crowded.p99())
    }
    const { linked, cut, bytes } = await crowd.state()
    return {
      ...{ bench: 'sockets', crowd: kind, sockets, work, inFlight },
      ...{ aloneP99Ms: roundMs(median(alone)), p99Ms: roundMs(median(among)) },
      ratio: roundRatio(median(among) / median(alone)),
      addedMiB: Math.round(extraMiB() - before),
      ...{ linked, cut, bytes },
    }
  } finally {
    crowd?.close()
    await quiet.close()
    await crowded.close()
  }
}
