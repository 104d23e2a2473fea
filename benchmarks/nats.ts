/**
 * Gcache over NATS beside the `nats` package's own request and reply, on one broker: a client, the
 * broker and whoever answers are processes each, and the two alternate, so that whatever else the
 * machine does meets both. Medians of the pairs.
 */
import { connect } from 'nats'
import { options } from './arguments.js'
import { Cluster, Load, startBroker, type Work } from './harness.js'
import { printer } from './output.js'
import { median } from './statistics.js'

const SUBJECT = 'bench.answer'
const WORKS: readonly Work[] = ['get', 'set', 'set-slave']

export async function main(args: string[]): Promise<void> {
  const numbers = { 'in-flight': 100, 'value-bytes': 100, keys: 1_000, ms: 1_000, pairs: 5 }
  const chosen = options(args, { json: false, ...numbers })
  const { keys, ms, pairs, 'in-flight': inFlight, 'value-bytes': valueBytes } = chosen
  const print = printer(chosen.json)
  const server = await startBroker()
  const how = { nodes: 2, transport: 'nats', strategy: 'master-slave', broker: server.url }
  const cluster = await Cluster.start(how)
  const answerer = await connect({ servers: server.url })
  answerer.subscribe(SUBJECT, { callback: (_, message) => message.respond(message.data) })
  const target = { kind: 'gcache', cluster: cluster.name, servers: cluster.servers } as const
  const ours = await Load.open({ keys, valueBytes, target: { ...target, codec: 'bytes' } })
  const theirs = await Load.open({
    ...{ keys, valueBytes },
    target: { kind: 'nats', server: server.url, subject: SUBJECT },
  })
  try {
    for (const work of WORKS) {
      const figures: [number, number][] = []
      for (let pair = -1; pair < pairs; pair++) {
        const run = { work, inFlight, ms: pair < 0 ? ms / 2 : ms }
        const [own, other] = [await ours.run(run), await theirs.run(run)]
        if (pair >= 0) figures.push([own.opsPerSec, other.opsPerSec])
      }
      const [own, other] = [0, 1].map(side => median(figures.map(pair => pair[side])))
      const ratio = median(figures.map(([mine, its]) => mine / its))
      print({
        ...{ bench: 'nats', work, inFlight, valueBytes, gcacheOpsPerSec: Math.round(own) },
        ...{ peer: 'nats request', peerOpsPerSec: Math.round(other) },
        ratio: Math.round(ratio * 100) / 100,
      })
    }
  } finally {
    ours.close()
    theirs.close()
    await answerer.close()
    await cluster.stop()
    await server.close()
  }
}
