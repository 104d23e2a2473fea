/**
 * Gcache beside redis-server, work by work, in the same minutes on the same machine: the two sides
 * alternate, and the ratio is that of the medians. How each side is measured: README.md.
 */
import { options } from './arguments.js'
import { type Call, COMPARISONS, type Comparison, type Side, VARIANTS } from './comparisons.js'
import { keepOn, twoCores } from './cores.js'
import { Cluster, Load, type LoadOptions, type RunResult } from './harness.js'
import { printer, type Row } from './output.js'
import { type RedisServers, startRedis } from './redis.js'
import { median, roundMs, roundRatio } from './statistics.js'

/** Its processes. */
interface Runner {
  readonly load: Load
  readonly servers: readonly (number | undefined)[]
}

export interface PeersOptions {
  readonly pairs: number
  /** Of one measurement, ms. */
  readonly ms: number
  readonly valueBytes: number
  readonly keys: number
  readonly codec: 'bytes' | 'msgpack'
  readonly variants: boolean
  /** Only the rows whose work or peer contains it. */
  readonly only: string
}

/** Calls `print` with each row as it is measured, and with the goal that it has. */
export async function benchPeers(
  chosen: PeersOptions,
  print: (row: Row, goal: number) => void,
): Promise<void> {
  const rows = [...COMPARISONS, ...(chosen.variants ? VARIANTS : [])].filter(
    ({ work, peer }) => work.includes(chosen.only) || peer.includes(chosen.only),
  )
  const servers: { stop(): unknown }[] = []
  const runners = new Map<Side, Runner>()
  try {
    // Redis first: a missing binary is said before anything else is started.
    const redis = await keepIn(servers, startRedis(0))
    const redisPair = await keepIn(servers, startRedis(1))
    const cluster = { transport: 'tcp', strategy: 'master-slave' }
    const node = await keepIn(servers, Cluster.start({ ...cluster, nodes: 1 }))
    const pair = await keepIn(servers, Cluster.start({ ...cluster, nodes: 2 }))
    const sides: Record<Side, readonly [LoadOptions['target'], Runner['servers']]> = {
      node: [gcacheTarget(node, chosen), pidsOf(node)],
      pair: [gcacheTarget(pair, chosen), pidsOf(pair)],
      redis: [redisTarget(redis, true), redis.pids],
      redisPlain: [redisTarget(redis, false), redis.pids],
      redisPair: [redisTarget(redisPair, true), redisPair.pids],
      redisPairPlain: [redisTarget(redisPair, false), redisPair.pids],
    }
    for (const [side, [target, pids]] of Object.entries(sides))
      runners.set(side as Side, { load: await Load.open({ ...chosen, target }), servers: pids })
    for (const row of rows) print(await measure(row, runners, chosen), row.goal)
  } finally {
    for (const { load } of runners.values()) load.close()
    for (const server of servers) await server.stop()
  }
}

async function keepIn<T extends { stop(): unknown }>(
  servers: { stop(): unknown }[],
  starting: Promise<T>,
): Promise<T> {
  const started = await starting
  servers.push(started)
  return started
}

function gcacheTarget(cluster: Cluster, { codec }: PeersOptions): LoadOptions['target'] {
  return { kind: 'gcache', cluster: cluster.name, servers: cluster.servers, codec }
}

function pidsOf({ nodes }: Cluster): Runner['servers'] {
  return [...nodes.values()].map(({ child }) => child.pid)
}

function redisTarget({ port }: RedisServers, autoPipelining: boolean): LoadOptions['target'] {
  return { kind: 'redis', port, autoPipelining }
}

/** A client and its only server get a core each: a call alone takes as long as its wake-ups. */
async function measure(row: Comparison, all: ReadonlyMap<Side, Runner>, chosen: PeersOptions) {
  const runners = [row.gcache, row.other].map(([side]) => all.get(side) as Runner)
  const canPart = row.inFlight === 1 && runners.every(one => one.servers.length === 1)
  const cores = canPart ? twoCores : undefined
  const place = (client?: number, server?: number) => {
    keepOn(
      runners.map(({ load }) => load.pid),
      client,
    )
    keepOn(
      runners.flatMap(({ servers }) => servers),
      server,
    )
  }
  if (cores !== undefined) place(...cores)
  const measured = await measurePlaced(row, all, chosen)
  if (cores === undefined) return measured
  place()
  return { ...measured, cores: `client ${cores[0]}, server ${cores[1]}` }
}

async function measurePlaced(
  row: Comparison,
  all: ReadonlyMap<Side, Runner>,
  chosen: PeersOptions,
): Promise<Row> {
  const { pairs, ms, valueBytes } = chosen
  const ours: RunResult[] = []
  const theirs: RunResult[] = []
  const { inFlight } = row
  const side = async (into: RunResult[], [name, work]: Call) => {
    const { load } = all.get(name) as Runner
    await load.run({ work, inFlight, ms: ms / 4 }) // warm again after the other side's turn
    into.push(await load.run({ work, inFlight, ms }))
  }
  // Both sides compile their hot paths before anything counts.
  for (const [name, work] of [row.gcache, row.other])
    await (all.get(name) as Runner).load.run({ work, inFlight, ms })
  for (let i = 0; i < pairs; i++) {
    // Who goes first alternates too.
    if (i % 2 === 0) await side(ours, row.gcache)
    await side(theirs, row.other)
    if (i % 2 === 1) await side(ours, row.gcache)
  }
  const ops = (results: RunResult[]) => median(results.map(({ opsPerSec }) => opsPerSec))
  const p50 = (results: RunResult[]) => median(results.map(({ p50Ms }) => p50Ms))
  const base = {
    ...{ bench: 'peers', work: row.work, inFlight, valueBytes },
    ...{ gcacheOpsPerSec: ops(ours), peer: row.peer, peerOpsPerSec: ops(theirs) },
  }
  if (row.ratio === 'throughput') return { ...base, ratio: roundRatio(ops(ours) / ops(theirs)) }
  const [own, other] = [roundMs(p50(ours)), roundMs(p50(theirs))]
  return { ...base, ratio: roundRatio(own / other), gcacheP50Ms: own, peerP50Ms: other }
}

export async function main(args: string[]): Promise<void> {
  const defaults = { json: false, variants: false, only: '', codec: 'bytes' }
  const numbers = { pairs: 7, ms: 1_000, 'value-bytes': 100, keys: 1_000 }
  const chosen = options(args, { ...defaults, ...numbers })
  if (chosen.codec !== 'bytes' && chosen.codec !== 'msgpack')
    throw new Error(`--codec wants bytes or msgpack, not ${chosen.codec}`)
  const print = printer(chosen.json)
  await benchPeers({ ...chosen, codec: chosen.codec, valueBytes: chosen['value-bytes'] }, print)
}
