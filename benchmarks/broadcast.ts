/**
 * Strategy broadcast: what a write costs its caller, when the others have it, and how many bytes
 * tell a peer of it. Goals: a write does not wait for the network, so beside a node that has no
 * peers it takes as long; three nodes agree within a heartbeat (100 ms); a peer is sent at most 1.2
 * times the bytes that a slave is.
 */
import type { TransportFactory } from '../src/contracts/transport.js'
import { type Client, connect, createNode } from '../src/index.js'
import { freePorts } from '../src/server/demo/ports.js'
import { tcp } from '../transports/tcp.js'
import { options } from './arguments.js'
import { fill } from './fill.js'
import { Cluster, idOf } from './harness.js'
import { printer, type Row } from './output.js'
import { compared, withSides } from './side.js'
import { percentile, roundMs, roundRatio } from './statistics.js'

const NODES = 3

interface Chosen {
  readonly 'value-bytes': number
  readonly keys: number
  readonly ms: number
  readonly pairs: number
  /** Of the rows that count: writes. */
  readonly writes: number
}

export async function main(args: string[]): Promise<void> {
  const numbers = { 'value-bytes': 100, keys: 1_000, ms: 1_000, pairs: 7, writes: 10_000 }
  const chosen = options(args, { json: false, ...numbers })
  const print = printer(chosen.json)
  await settle(chosen, print)
  print(await converge(chosen))
  print(await bytes(chosen))
}

/** Beside one node of its own kind: all that differs is that it tells two peers. */
async function settle(chosen: Chosen, print: (row: Row) => void): Promise<void> {
  const { keys, ms, pairs, 'value-bytes': valueBytes } = chosen
  const how = { keys, valueBytes, strategy: 'broadcast' }
  const hows = [
    { ...how, nodes: NODES },
    { ...how, nodes: 1 },
  ] as const
  await withSides(hows, async (three, alone) => {
    for (const inFlight of [1, 100]) {
      const run = { work: 'set', inFlight, ms } as const
      const { one, other, ratio } = await compared(three, alone, run, pairs)
      print({
        ...{ bench: 'broadcast-settle', nodes: NODES, work: 'set', inFlight, valueBytes },
        ...{ opsPerSec: one, aloneOpsPerSec: other, ratio },
      })
    }
  })
}

/** From the call at one node until a watcher at each of the others is told. */
async function converge({ writes, 'value-bytes': valueBytes }: Chosen): Promise<Row> {
  const cluster = await Cluster.start({ nodes: NODES, transport: 'tcp', strategy: 'broadcast' })
  const clients: Client[] = []
  try {
    // A client stays with the first of its servers that answers.
    for (const server of cluster.servers)
      clients.push(await connect({ cluster: cluster.name, servers: [server] }))
    const began = new Map<string, number>()
    const took: number[] = []
    const count = Math.min(writes, 2_000)
    const [writer, ...others] = clients.map(one =>
      one.cache<Uint8Array>('bench', { codec: 'bytes' }),
    )
    const told = others.map(async cache => {
      const events = cache.watch()
      let seen = 0
      for await (const { key } of events) {
        const since = began.get(key)
        if (since === undefined) continue
        took.push(performance.now() - since)
        if (++seen === count) return
      }
    })
    await writer.set('warm', new Uint8Array(valueBytes))
    for (let i = 0; i < count; i++) {
      began.set(`key:${i}`, performance.now())
      await writer.set(`key:${i}`, new Uint8Array(valueBytes))
    }
    await Promise.all(told)
    const sorted = Float64Array.from(took).sort()
    const [p50Ms, p99Ms, maxMs] = [0.5, 0.99, 1].map(share => roundMs(percentile(sorted, share)))
    return { bench: 'broadcast-converge', nodes: NODES, writes: count, p50Ms, p99Ms, maxMs }
  } finally {
    for (const client of clients) await client.close()
    await cluster.stop()
  }
}

/** Bytes that the node which is written to sends to one peer, a write; in this process. */
async function bytes({ writes, 'value-bytes': valueBytes }: Chosen): Promise<Row> {
  const [own, slave] = [
    await bytesAWrite('broadcast', writes, valueBytes),
    await bytesAWrite('master-slave', writes, valueBytes),
  ]
  return {
    ...{ bench: 'broadcast-bytes', nodes: NODES, writes, valueBytes },
    ...{ bytesPerWrite: Math.round(own), slaveBytesPerWrite: Math.round(slave) },
    ratio: roundRatio(own / slave),
  }
}

const CALLS_AT_ONCE = 100

async function bytesAWrite(strategy: string, writes: number, valueBytes: number): Promise<number> {
  const ports = await freePorts(NODES)
  const members = ports.map((port, ordinal) => ({
    ...{ id: idOf(ordinal), ordinal, address: `tcp://127.0.0.1:${port}` },
  }))
  let sent = 0
  const count = (bytesSent: number) => {
    sent += bytesSent
  }
  const nodes = await Promise.all(
    members.map(({ id }) => {
      const transport = id === 'a' ? counted(tcp(), 'b', count) : tcp()
      return createNode({ cluster: 'bytes', id, members, strategy, transport })
    }),
  )
  try {
    await Promise.all(nodes.map(node => node.ready()))
    const cache = nodes[0].cache<Uint8Array>('bench', { codec: 'bytes' })
    sent = 0
    await fill(cache, { entries: writes, valueBytes, atOnce: CALLS_AT_ONCE, ack: 'all' })
    return sent / writes
  } finally {
    await Promise.all(nodes.map(node => node.close()))
  }
}

/** `factory`, whose transports tell `count` the bytes of each frame to `peer`. */
function counted(
  factory: TransportFactory,
  peer: string,
  count: (bytes: number) => void,
): TransportFactory {
  return env => {
    const transport = factory(env)
    const send = transport.send.bind(transport)
    transport.send = (to, frame) => {
      if (to === peer) count(frame.length)
      return send(to, frame)
    }
    return transport
  }
}
