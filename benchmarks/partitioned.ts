/**
 * Partitions on three nodes, one backup each, beside one master and its slave: the same client,
 * runs alternating on the same cores; what each node holds at 1, 3 and 6 nodes; and what moves of
 * partitions do to the latency of writes. Goals: sets and gets >= 0.9 times the pair's; entries and
 * bytes a node fall as 1 / nodes; the p99 while partitions move <= 2 times the quiet one.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Client, type ClusterStatus, connect } from '../src/index.js'
import { options } from './arguments.js'
import { fill } from './fill.js'
import { Cluster, type Work } from './harness.js'
import { printer, type Row } from './output.js'
import { compared, Side, withSides } from './side.js'
import { median, roundMs, roundRatio } from './statistics.js'

const WORKS: readonly Work[] = ['get', 'set', 'set-slave']
const WHOLE_MS_MAX = 60_000
const CALLS_AT_ONCE = 1_000
/** Each of three nodes sees a third of the calls and is compiled later: gets double meanwhile. */
const WARM_MS = 6_000

interface Chosen {
  readonly 'in-flight': number
  readonly 'value-bytes': number
  readonly keys: number
  readonly ms: number
  readonly pairs: number
  readonly partitions: number
  /** Of the rows that count and move. */
  readonly entries: number
}

export async function main(args: string[]): Promise<void> {
  const load = { 'in-flight': 100, 'value-bytes': 100, keys: 1_000, ms: 1_000, pairs: 7 }
  const numbers = { ...load, partitions: 256, entries: 20_000 }
  const chosen = options(args, { json: false, rows: 'speed,spread,moves', ...numbers })
  const print = printer(chosen.json)
  const rows: Record<string, () => Promise<void>> = {
    speed: () => speed(chosen, print),
    spread: () => spread(chosen, print),
    moves: () => moves(chosen, print),
  }
  for (const name of chosen.rows.split(',')) {
    if (!Object.hasOwn(rows, name))
      throw new Error(`no row is ${name}: ${Object.keys(rows).join(', ')}`)
    await rows[name]()
  }
}

const partitionedOf = (nodes: number, { partitions }: Chosen) => ({
  ...{ nodes, transport: 'tcp', strategy: 'partitioned' },
  flags: ['--partitions', `${partitions}`],
})

async function speed(chosen: Chosen, print: (row: Row) => void): Promise<void> {
  const { keys, ms, pairs, 'in-flight': inFlight, 'value-bytes': valueBytes } = chosen
  const how = { keys, valueBytes }
  const hows = [
    { ...how, ...partitionedOf(3, chosen) },
    { ...how, nodes: 2 },
  ] as const
  await withSides(hows, async (three, pair) => {
    for (const work of WORKS) {
      const run = { work, inFlight, ms }
      const { one, other, ratio } = await compared(three, pair, run, pairs, WARM_MS)
      print({
        ...{ bench: 'partitioned', nodes: 3, work, inFlight, valueBytes },
        ...{ opsPerSec: one, pairOpsPerSec: other, ratio },
      })
    }
  })
}

async function spread(chosen: Chosen, print: (row: Row) => void): Promise<void> {
  const { entries, 'value-bytes': valueBytes } = chosen
  for (const nodes of [1, 3, 6]) {
    const cluster = await Cluster.start(partitionedOf(nodes, chosen))
    const client = await connect({ cluster: cluster.name, servers: cluster.servers })
    try {
      await whole(client)
      const before = (await client.status()).members
      const cache = client.cache<Uint8Array>('bench', { codec: 'bytes' })
      await fill(cache, { entries, valueBytes, atOnce: CALLS_AT_ONCE })
      await whole(client)
      const after = (await client.status()).members
      const most = (name: 'entries' | 'bytes' | 'served') =>
        Math.max(...after.map((member, i) => (member[name] ?? 0) - (before[i][name] ?? 0)))
      const counted = { entriesMax: most('entries'), bytesMax: most('bytes') }
      const copies = Math.min(2, nodes)
      print({
        ...{ bench: 'partitioned-spread', nodes, copies, entries, ...counted },
        ...{ ledMax: most('served'), evenShare: Math.round((entries * copies) / nodes) },
        ratio: roundRatio((counted.entriesMax * nodes) / (entries * copies)),
      })
    } finally {
      await client.close()
      await cluster.stop()
    }
  }
}

/**
 *   a, b  | c is waited for (10 s) | load: its share is copied, a to b, b to a | load: quiet
 *   c     | kill -9                                                            | served anew
 *
 * No process starts meanwhile: its start takes a core, and is no move.
 */
async function moves(chosen: Chosen, print: (row: Row) => void): Promise<void> {
  const { entries, pairs, ms, 'in-flight': inFlight, 'value-bytes': valueBytes } = chosen
  const side = await Side.open({ keys: entries, valueBytes, ...partitionedOf(3, chosen) })
  const { cluster } = side
  const client = await connect({ cluster: cluster.name, servers: cluster.servers })
  try {
    const run = async () => (await side.run({ work: 'set', inFlight, ms })).p99Ms
    const quiet: number[] = []
    const moving: number[] = []
    const tookMs: number[] = []
    for (let pair = 0; pair < pairs; pair++) {
      // Just started, it holds little or nothing yet, and the two others are whole without it.
      await once(client, it => isWhole(it) && hasShare(it, 'c'), 'c was not given its share')
      await cluster.kill('c')
      await once(client, ({ partitions }) => (partitions?.moving ?? 0) > 0, 'nothing moved')
      const began = performance.now()
      const each: number[] = []
      let done = false
      const moved = whole(client).then(() => {
        done = true
      })
      do each.push(await run())
      while (!done)
      await moved
      tookMs.push(performance.now() - began)
      moving.push(median(each))
      const still: number[] = []
      for (let i = 0; i < each.length; i++) still.push(await run())
      quiet.push(median(still))
      await cluster.startNode('c')
    }
    const ratio = roundRatio(median(moving.map((p99, pair) => p99 / quiet[pair])))
    print({
      ...{ bench: 'partitioned-moves', entries, inFlight, quietP99Ms: roundMs(median(quiet)) },
      ...{ p99Ms: roundMs(median(moving)), ratio, movesMs: Math.round(median(tookMs)) },
    })
  } finally {
    await client.close()
    await side.close()
  }
}

/** Every partition is owned, has its copies, and none is on its way. */
function whole(client: Client): Promise<void> {
  return once(client, isWhole, 'partitions were not whole')
}

function hasShare({ partitions, members }: ClusterStatus, node: string): boolean {
  return (partitions?.inSync[node] ?? 0) * members.length >= (partitions?.number ?? 0)
}

async function once(
  client: Client,
  is: (status: ClusterStatus) => boolean,
  otherwise: string,
): Promise<void> {
  const deadline = performance.now() + WHOLE_MS_MAX
  for (;;) {
    const status = await client.status().catch(() => undefined)
    if (status !== undefined && is(status)) return
    if (performance.now() > deadline) throw new Error(`${otherwise} within ${WHOLE_MS_MAX} ms`)
    await pause(50)
  }
}

function isWhole({ partitions, members }: ClusterStatus): boolean {
  if (partitions === undefined) return false
  const { number, backups, unowned, moving, inSync } = partitions
  const copies = Object.values(inSync).reduce((sum, count) => sum + count, 0)
  return unowned + moving === 0 && copies >= number * Math.min(backups + 1, members.length)
}
