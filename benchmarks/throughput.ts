/**
 * Calls a second and their latency for any transport and strategy that runs as processes: each work
 * and number in flight is warmed up, measured several times, and reported by its median run.
 */
import { options } from './arguments.js'
import { Cluster, Load, type RunResult, type Work } from './harness.js'
import { printer, type Row } from './output.js'

/** Which work is which ack level; reads have none. */
const WORKS: readonly { readonly work: Work; readonly ack: string }[] = [
  { work: 'get', ack: 'read' },
  { work: 'set', ack: 'master' },
  { work: 'set-slave', ack: 'slaves:1' },
]

export interface ThroughputOptions {
  readonly json: boolean
  readonly transport: string
  readonly strategy: string
  readonly nodes: number
  readonly inFlight: readonly number[]
  readonly valueBytes: number
  readonly keys: number
  /** Of one measurement, ms. */
  readonly ms: number
  readonly runs: number
  readonly codec: 'bytes' | 'msgpack'
}

export async function benchThroughput(chosen: ThroughputOptions): Promise<void> {
  const print = printer(chosen.json)
  const { codec } = chosen
  const cluster = chosen.transport === 'memory' ? undefined : await Cluster.start(chosen)
  let load: Load | undefined
  try {
    const target = cluster
      ? ({ kind: 'gcache', cluster: cluster.name, servers: cluster.servers, codec } as const)
      : ({ kind: 'embedded', ...chosen } as const)
    load = await Load.open({ ...chosen, target })
    for (const { work, ack } of WORKS) {
      if (ack === 'slaves:1' && chosen.nodes < 2) continue
      for (const inFlight of chosen.inFlight)
        print(row(chosen, ack, inFlight, await measure(load, work, inFlight, chosen)))
    }
  } finally {
    load?.close()
    await cluster?.stop()
  }
}

async function measure(
  load: Load,
  work: Work,
  inFlight: number,
  { ms, runs }: ThroughputOptions,
): Promise<RunResult> {
  await load.run({ work, inFlight, ms: ms / 2 })
  const results: RunResult[] = []
  for (let i = 0; i < runs; i++) results.push(await load.run({ work, inFlight, ms }))
  results.sort((a, b) => a.opsPerSec - b.opsPerSec)
  return results[results.length >> 1]
}

function row(
  { transport, strategy, valueBytes }: ThroughputOptions,
  ack: string,
  inFlight: number,
  { opsPerSec, p50Ms, p99Ms }: RunResult,
): Row {
  const what = { bench: 'throughput', transport, strategy, valueBytes, inFlight, ack }
  return { ...what, opsPerSec, p50Ms, p99Ms }
}

export function main(args: string[]): Promise<void> {
  const names = { transport: 'tcp', strategy: 'master-slave', codec: 'bytes', 'in-flight': '' }
  const numbers = { nodes: 2, 'value-bytes': 100, keys: 1_000, ms: 1_000, runs: 5 }
  const chosen = options(args, { json: false, ...names, ...numbers })
  const inFlight = chosen['in-flight'] === '' ? [1, 100, 1_000] : numbersOf(chosen['in-flight'])
  if (chosen.codec !== 'bytes' && chosen.codec !== 'msgpack')
    throw new Error(`--codec wants bytes or msgpack, not ${chosen.codec}`)
  const { codec, 'value-bytes': valueBytes } = chosen
  return benchThroughput({ ...chosen, codec, valueBytes, inFlight })
}

function numbersOf(list: string): number[] {
  return list.split(',').map(text => {
    const number = Number(text)
    if (!Number.isInteger(number) || number < 1)
      throw new Error(`--in-flight wants whole numbers from 1, not ${text}`)
    return number
  })
}
