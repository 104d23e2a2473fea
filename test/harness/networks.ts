/** Networks for the transports' own tests: simulated, real TCP, WebSockets, a NATS broker. */
import { BROKER } from '../../src/config.js'
import type { TransportFactory } from '../../src/contracts/transport.js'
import { type SeededRandom, seededRandom } from '../../src/core/prng.js'
import { SILENCE } from '../../src/core/silence.js'
import { systemClock } from '../../src/engine/system-clock.js'
import { Bench, type BenchNode } from '../../src/testing/transport-bench.js'
import { realTime, virtualTime } from '../../src/testing/transport-suite.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { type MemoryFaults, MemoryNetwork } from '../../transports/memory.js'
import { NatsLayer, type NatsOptions, nats } from '../../transports/nats.js'
import type { StreamOptions } from '../../transports/stream/limits.js'
import { TcpLayer, tcp } from '../../transports/tcp.js'
import { WebSocketLayer, type WebSocketOptions, websocket } from '../../transports/websocket.js'

export const HANDSHAKE_MS = 500
/** Socket buffers on loopback, both sides together. */
export const SOCKET_BYTES_MAX = 16 * 2 ** 20

/** A simulated network under virtual time, as the laws and a Bench take it. */
export function memoryMedium(
  random: SeededRandom,
  faults: Partial<MemoryFaults> = {},
  transportOf = (network: MemoryNetwork): TransportFactory => network.transport(),
) {
  const clock = new VirtualClock()
  const network = new MemoryNetwork({ clock, random: random.fork(), ...faults })
  const medium = {
    ...virtualTime(clock),
    transport: transportOf(network),
    listen: (id: string) => `memory://${id}`,
    nowhere: 'memory://nowhere',
    random,
    handshakeMs: 2_000,
    mediumBytesMax: 2 ** 20,
    layer: (id: string) => network.layer(id),
    close: async () => {},
  }
  return { clock, random, network, medium }
}

/** Real TCP on loopback, the same. */
export function tcpMedium(random: SeededRandom, transport: TransportFactory) {
  return {
    ...realTime(),
    transport,
    listen: () => 'tcp://127.0.0.1:0',
    nowhere: 'tcp://127.0.0.1:1',
    random,
    handshakeMs: HANDSHAKE_MS,
    mediumBytesMax: SOCKET_BYTES_MAX,
    layer: () => new TcpLayer(systemClock),
    close: async () => {},
  }
}

/** Real WebSockets on loopback, the same. */
export function webMedium(random: SeededRandom, transport: TransportFactory) {
  return {
    ...tcpMedium(random, transport),
    listen: () => 'ws://127.0.0.1:0',
    nowhere: 'ws://127.0.0.1:1',
    layer: (self: string) => new WebSocketLayer({ clock: systemClock, self }),
  }
}

/** The broker at `server`, on subjects of its own. */
export function natsMedium(
  random: SeededRandom,
  server: string,
  options: NatsOptions = {},
  wrap = (factory: TransportFactory): TransportFactory => factory,
) {
  const prefix = `t${++natsMediums}`
  const mine = { servers: server, prefix, handshakeMs: HANDSHAKE_MS, ...options }
  const layer = (id: string) =>
    new NatsLayer(
      { self: id, cluster: 'suite', clock: systemClock, random, logger: SILENCE },
      { servers: server, prefix },
    )
  return {
    ...realTime(),
    transport: wrap(nats(mine)),
    listen: (id: string) => `nats:///${id}`,
    nowhere: 'nats:///nowhere',
    random,
    handshakeMs: HANDSHAKE_MS,
    mediumBytesMax: BROKER.windowBytes,
    layer,
    close: async () => {},
  }
}

let natsMediums = 0

/** Nodes on a simulated network, watched for T2 and T8. */
export function simulated(
  seed: number,
  faults: Partial<MemoryFaults> = {},
  options: StreamOptions = {},
) {
  const made = memoryMedium(seededRandom(seed), faults, network => network.transport(options))
  return { ...made, bench: new Bench(made.medium) }
}

export function overTcp(seed: number, options: StreamOptions = {}) {
  const transport = tcp({ handshakeMs: HANDSHAKE_MS, ...options })
  return new Bench(tcpMedium(seededRandom(seed), transport))
}

export function overWeb(seed: number, options: WebSocketOptions = {}) {
  const transport = websocket({ handshakeMs: HANDSHAKE_MS, ...options })
  return new Bench(webMedium(seededRandom(seed), transport))
}

export const lossesOf = (node: BenchNode, peer: string) => node.all('down', peer).map(it => it.loss)
