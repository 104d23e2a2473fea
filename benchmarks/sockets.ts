/**
 * What a crowd of sockets does to a good client of the same node: its latency without and with the
 * crowd, in pairs, and what the crowd costs the node in memory. Goals: p99 <= 2 times, + 64 MiB.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { options } from './arguments.js'
import type { CrowdKind } from './crowd.js'
import { Gathered } from './gathered.js'
import { residentMiB } from './harness.js'
import { printer } from './output.js'
import { Side } from './side.js'
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

/**
 * New nodes for each kind: the memory of the one before would hide this one's. Runs on the quiet
 * node and on the crowded one alternate, so that what else the machine does, the crowd's own work
 * included, meets both.
 */
async function measure(kind: CrowdKind, chosen: Chosen) {
  const { sockets, runs, ms, keys, 'in-flight': inFlight, 'value-bytes': valueBytes } = chosen
  const work = chosen.work === 'set' ? 'set' : 'get'
  const how = { keys, valueBytes, logLevel: 'error' }
  const quiet = await Side.open(how)
  const crowded = await Side.open(how)
  const [there] = crowded.cluster.nodes.values()
  const [here] = quiet.cluster.nodes.values()
  const extraMiB = () => residentMiB(there.child) - residentMiB(here.child)
  const p99 = async (side: Side) => (await side.run({ work, inFlight, ms })).p99Ms
  let crowd: Gathered | undefined
  try {
    for (let i = 0; i < runs; i++) for (const side of [quiet, crowded]) await p99(side)
    const before = extraMiB()
    const port = Number(new URL(there.address.replace('tcp:', 'http:')).port)
    crowd = await Gathered.open({ kind, sockets, cluster: crowded.cluster.name, port })
    await pause(chosen['settle-ms'])
    const alone: number[] = []
    const among: number[] = []
    for (let i = 0; i < runs; i++) {
      alone.push(await p99(quiet))
      among.push(await p99(crowded))
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
