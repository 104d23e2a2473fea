/**
 * Gcache beside redis-server, work by work, in the same minutes on the same machine: the two sides
 * alternate, and the ratio is that of the medians. How each side is measured: README.md.
 */
import { options } from './arguments.js'
import { Cluster, Load, type LoadOptions, type RunResult, type Work } from './harness.js'
import { printer, type Row } from './output.js'
import { type RedisServers, startRedis } from './redis.js'
import { median, roundMs, roundRatio } from './statistics.js'

/** The sides that a row may compare. */
type Side = 'node' | 'pair' | 'awake' | 'redis' | 'redisPlain' | 'redisPair' | 'redisPairPlain'

type Call = readonly [Side, Work]

interface Comparison {
  readonly work: string
  readonly inFlight: number
  readonly gcache: Call
  readonly peer: string
  readonly other: Call
  /** Ratio of throughputs, ours to theirs, or of latencies. */
  readonly ratio: 'throughput' | 'latency'
  /** The ratio of throughputs is at least this, that of latencies at most; 0: no goal. */
  readonly goal: number
}

const GET = 'get from the master'
const SET = 'set acknowledged by the master'
const SLAVE = 'set acknowledged by one slave as well'
const ONE = 'one call in flight: get, set, set + slave'

function compare(
  work: string,
  inFlight: number,
  gcache: Call,
  peer: string,
  other: Call,
  goal = 0,
): Comparison {
  const ratio = inFlight === 1 ? 'latency' : 'throughput'
  return { work, inFlight, gcache, peer: `ioredis ${peer}`, other, ratio, goal }
}

const OUR_GET: Call = ['node', 'get']
const OUR_SET: Call = ['node', 'set']
const OUR_PAIR: Call = ['pair', 'set-slave']
/** A pair that polls before it sleeps, for one call in flight. */
const OUR_AWAKE: Call = ['awake', 'set-slave']
const POLL_US = 150

/** The rows of DESIGN, section 5. */
const COMPARISONS: readonly Comparison[] = [
  compare(GET, 100, OUR_GET, 'GET', ['redis', 'get'], 4),
  compare(GET, 1_000, OUR_GET, 'GET', ['redis', 'get'], 5),
  compare(SET, 100, OUR_SET, 'SET', ['redis', 'set'], 3.5),
  compare(SET, 1_000, OUR_SET, 'SET', ['redis', 'set'], 4.5),
  compare(SLAVE, 100, OUR_PAIR, 'SET + WAIT 1', ['redisPair', 'set-slave'], 12),
  compare(SLAVE, 100, OUR_PAIR, 'SET', ['redis', 'set'], 1.6),
  compare(ONE, 1, OUR_GET, 'GET', ['redis', 'get'], 1),
  compare(ONE, 1, OUR_SET, 'SET', ['redis', 'set'], 1),
  compare(ONE, 1, OUR_AWAKE, 'SET + WAIT 1', ['redisPair', 'set-slave'], 1),
]

const PLAIN = 'not autopipelined'

/** Other ways to use redis, each kinder to it than the row of DESIGN; `--variants` adds them. */
const VARIANTS: readonly Comparison[] = [
  compare(SLAVE, 100, OUR_PAIR, `SET + WAIT 1, ${PLAIN}`, ['redisPairPlain', 'set-slave']),
  compare(SLAVE, 100, OUR_PAIR, `SET, then WAIT 1, ${PLAIN}`, ['redisPairPlain', 'set-then-wait']),
  compare(SLAVE, 100, OUR_PAIR, 'SET, one WAIT 1 a turn', ['redisPair', 'set-shared-wait']),
  compare(ONE, 1, OUR_PAIR, 'SET + WAIT 1', ['redisPair', 'set-slave']),
  compare(ONE, 1, OUR_GET, `GET, ${PLAIN}`, ['redisPlain', 'get']),
  compare(ONE, 1, OUR_SET, `SET, ${PLAIN}`, ['redisPlain', 'set']),
  compare(ONE, 1, OUR_PAIR, `SET + WAIT 1, ${PLAIN}`, ['redisPairPlain', 'set-slave']),
]

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
  const loads = new Map<Side, Load>()
  try {
    // Redis first: a missing binary is said before anything else is started.
    const redis = await keepIn(servers, startRedis(0))
    const redisPair = await keepIn(servers, startRedis(1))
    const cluster = { transport: 'tcp', strategy: 'master-slave' }
    const node = await keepIn(servers, Cluster.start({ ...cluster, nodes: 1 }))
    const pair = await keepIn(servers, Cluster.start({ ...cluster, nodes: 2 }))
    const awake = await keepIn(servers, Cluster.start({ ...cluster, nodes: 2, pollUs: POLL_US }))
    for (const [side, target] of Object.entries({
      node: gcacheTarget(node, chosen),
      pair: gcacheTarget(pair, chosen),
      awake: gcacheTarget(awake, chosen),
      redis: redisTarget(redis, true),
      redisPlain: redisTarget(redis, false),
      redisPair: redisTarget(redisPair, true),
      redisPairPlain: redisTarget(redisPair, false),
    }))
      loads.set(side as Side, await Load.open({ ...chosen, target }))
    for (const row of rows) print(await measure(row, loads, chosen), row.goal)
  } finally {
    for (const load of loads.values()) load.close()
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

function redisTarget({ port }: RedisServers, autoPipelining: boolean): LoadOptions['target'] {
  return { kind: 'redis', port, autoPipelining }
}

async function measure(row: Comparison, loads: ReadonlyMap<Side, Load>, chosen: PeersOptions) {
  const { pairs, ms, valueBytes } = chosen
  const ours: RunResult[] = []
  const theirs: RunResult[] = []
  const { inFlight } = row
  const side = async (into: RunResult[], [name, work]: Call) => {
    const load = loads.get(name) as Load
    await load.run({ work, inFlight, ms: ms / 4 }) // warm again after the other side's turn
    into.push(await load.run({ work, inFlight, ms }))
  }
  // Both sides compile their hot paths before anything counts.
  for (const [name, work] of [row.gcache, row.other])
    await (loads.get(name) as Load).run({ work, inFlight, ms })
  for (let i = 0; i < pairs; i++) {
    // Who goes first alternates too.
    if (i % 2 === 0) await side(ours, row.gcache)
    await side(theirs, row.other)
    if (i % 2 === 1) await side(ours, row.gcache)
  }
  const ops = (results: RunResult[]) => median(results.map(({ opsPerSec }) => opsPerSec))
  const p50 = (results: RunResult[]) => median(results.map(({ p50Ms }) => p50Ms))
  // A row whose nodes do not run at their defaults says so.
  const flags: Row = row.gcache[0] === 'awake' ? { gcacheFlags: `--poll-us ${POLL_US}` } : {}
  const base = {
    ...{ bench: 'peers', work: row.work, inFlight, valueBytes, ...flags },
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
