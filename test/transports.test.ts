/** The shipped laws over every built-in transport, and what each has of its own. */
import { test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { realTime, transportSuite, virtualTime } from '../src/testing/transport-suite.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { type MemoryFaults, MemoryNetwork } from '../transports/memory.js'
import { TcpLayer, tcp } from '../transports/tcp.js'

const HANDSHAKE_MS = 500
/** Socket buffers on loopback, both sides together. */
const SOCKET_BYTES_MAX = 16 * 2 ** 20

transportSuite({
  test,
  name: 'tcp',
  streams: true,
  medium() {
    const time = realTime()
    return {
      ...time,
      transport: tcp({ handshakeMs: HANDSHAKE_MS }),
      listen: () => 'tcp://127.0.0.1:0',
      nowhere: 'tcp://127.0.0.1:1',
      random: seededRandom(1),
      handshakeMs: HANDSHAKE_MS,
      mediumBytesMax: SOCKET_BYTES_MAX,
      layer: () => new TcpLayer(time.clock),
      close: async () => {},
    }
  },
})

const HARSH = {
  latencyMsMin: 0.1,
  latencyMsMax: 4,
  duplicate: 0.3,
  reorder: 0.3,
  split: 0.5,
  bytesPerMs: 20_000,
}

for (const [name, faults] of [
  ['memory', {}],
  ['memory, harsh', HARSH],
] as [string, Partial<MemoryFaults>][])
  transportSuite({
    test,
    name,
    streams: true,
    medium() {
      const clock = new VirtualClock()
      const random = seededRandom(2)
      const network = new MemoryNetwork({ clock, random, ...faults })
      return {
        ...virtualTime(clock),
        transport: network.transport(),
        listen: id => `memory://${id}`,
        nowhere: 'memory://nowhere',
        random,
        handshakeMs: 2_000,
        mediumBytesMax: 2 ** 20,
        layer: id => network.layer(id),
        close: async () => {},
      }
    },
  })

test('memory under the system clock carries frames', async () => {})
