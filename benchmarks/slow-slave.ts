/**
 * What one slave that is stopped, or dead, does to the master's writes: healthy and hurt runs
 * alternate on the same cluster, and the ratio is that of the medians of their 99th percentiles.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { options } from './arguments.js'
import { Cluster, Load } from './harness.js'
import { printer } from './output.js'
import { median, roundMs, roundRatio } from './statistics.js'

/** A slave that goes on has caught up by then, and is in sync again. */
const RECOVER_MS = 2_000
/** The first second after a stop, in which the slave still counts as in sync, is measured too. */
const HURTS = ['stopped', 'dead'] as const

export async function main(args: string[]): Promise<void> {
  const chosen = options(args, {
    ...{ json: false, profile: 'majority', 'in-flight': 100, pairs: 5, ms: 3_000 },
    ...{ nodes: 3, 'value-bytes': 100, keys: 1_000 },
  })
  const { profile, nodes, pairs, ms, keys, 'in-flight': inFlight } = chosen
  const print = printer(chosen.json)
  const cluster = await Cluster.start({
    ...{ transport: 'tcp', strategy: 'master-slave', nodes, profile },
  })
  const victim = [...cluster.nodes.keys()].at(-1) as string
  let load: Load | undefined
  try {
    const target = { kind: 'gcache', cluster: cluster.name, servers: cluster.servers } as const
    load = await Load.open({
      ...{ target: { ...target, codec: 'bytes' }, keys, valueBytes: chosen['value-bytes'] },
    })
    const p99 = async () => (await (load as Load).run({ work: 'set', inFlight, ms })).p99Ms
    await p99()
    for (const hurt of HURTS) {
      const healthy: number[] = []
      const hurtP99: number[] = []
      for (let pair = 0; pair < pairs; pair++) {
        healthy.push(await p99())
        if (hurt === 'stopped') cluster.nodes.get(victim)?.child.kill('SIGSTOP')
        else await cluster.kill(victim)
        hurtP99.push(await p99())
        if (hurt === 'stopped') cluster.nodes.get(victim)?.child.kill('SIGCONT')
        else await cluster.startNode(victim)
        await pause(RECOVER_MS)
      }
      const [well, ill] = [median(healthy), median(hurtP99)]
      const what = { bench: 'slow-slave', profile, nodes, inFlight, slave: hurt }
      const figures = { healthyP99Ms: roundMs(well), p99Ms: roundMs(ill) }
      print({ ...what, ...figures, ratio: roundRatio(ill / well) })
    }
  } finally {
    load?.close()
    await cluster.stop()
  }
}
