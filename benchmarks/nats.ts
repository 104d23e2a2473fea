/**
 * Gcache over NATS beside the `nats` package's own request and reply, on one broker: a client, the
 * broker and whoever answers are processes each, and the two alternate, so that whatever else the
 * machine does meets both. Medians of the pairs.
 */
import { connect } from 'nats'
import { options } from './arguments.js'
import { Load, startBroker, type Work } from './harness.js'
import { printer } from './output.js'
import { compared, Side } from './side.js'

const SUBJECT = 'bench.answer'
/** As beside redis: a slave only where it has to acknowledge. */
const WORKS: readonly { readonly work: Work; readonly nodes: number }[] = [
  { work: 'get', nodes: 1 },
  { work: 'set', nodes: 1 },
  { work: 'set-slave', nodes: 2 },
]

export async function main(args: string[]): Promise<void> {
  const numbers = { 'in-flight': 100, 'value-bytes': 100, keys: 1_000, ms: 1_000, pairs: 7 }
  const chosen = options(args, { json: false, ...numbers })
  const { keys, ms, pairs, 'in-flight': inFlight, 'value-bytes': valueBytes } = chosen
  const print = printer(chosen.json)
  const server = await startBroker()
  const answerer = await connect({ servers: server.url })
  answerer.subscribe(SUBJECT, { callback: (_, message) => message.respond(message.data) })
  const target = { kind: 'nats', server: server.url, subject: SUBJECT } as const
  const theirs = await Load.open({ keys, valueBytes, target })
  let ours: Side | undefined
  try {
    for (const { work, nodes } of WORKS) {
      ours = await Side.open({ nodes, keys, valueBytes, transport: 'nats', broker: server.url })
      const { one, other, ratio } = await compared(ours, theirs, { work, inFlight, ms }, pairs)
      print({
        ...{ bench: 'nats', work, inFlight, valueBytes, gcacheOpsPerSec: one },
        ...{ peer: 'nats request', peerOpsPerSec: other, ratio },
      })
      await ours.close()
    }
  } finally {
    await ours?.close()
    theirs.close()
    await answerer.close()
    await server.close()
  }
}
