/** Networks for the transports' own tests: simulated under virtual time, and real TCP. */
import { seededRandom } from '../../src/core/prng.js'
import { systemClock } from '../../src/engine/system-clock.js'
import { Bench, type BenchNode } from '../../src/testing/transport-bench.js'
import { realTime, virtualTime } from '../../src/testing/transport-suite.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { type MemoryFaults, MemoryNetwork } from '../../transports/memory.js'
import type { StreamOptions } from '../../transports/stream/limits.js'
import { TcpLayer, tcp } from '../../transports/tcp.js'

export const HANDSHAKE_MS = 500
/** Socket buffers on loopback, both sides together. */
export const SOCKET_BYTES_MAX = 16 * 2 ** 20

/** Nodes on a simulated network, watched for T2 and T8. */
export function simulated(
  seed: number,
  faults: Partial<MemoryFaults> = {},
  options: StreamOptions = {},
) {
  const clock = new VirtualClock()
  const random = seededRandom(seed)
  const network = new MemoryNetwork({ clock, random: random.fork(), ...faults })
  const bench = new Bench({
    ...virtualTime(clock),
    transport: network.transport(options),
    listen: id => `memory://${id}`,
    nowhere: 'memory://nowhere',
    random,
    handshakeMs: 2_000,
    mediumBytesMax: 2 ** 20,
    layer: id => network.layer(id),
    close: async () => {},
  })
  return { clock, random, network, bench }
}

export function overTcp(seed: number, options: StreamOptions = {}) {
  const random = seededRandom(seed)
  return new Bench({
    ...realTime(),
    transport: tcp({ handshakeMs: HANDSHAKE_MS, ...options }),
    listen: () => 'tcp://127.0.0.1:0',
    nowhere: 'tcp://127.0.0.1:1',
    random,
    handshakeMs: HANDSHAKE_MS,
    mediumBytesMax: SOCKET_BYTES_MAX,
    layer: () => new TcpLayer(systemClock),
    close: async () => {},
  })
}

export const lossesOf = (node: BenchNode, peer: string) => node.all('down', peer).map(it => it.loss)
