/** The shipped laws over every built-in transport, and what each has of its own. */
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { PROTOCOL_VERSION } from '../src/config.js'
import { seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { systemClock } from '../src/engine/system-clock.js'
import { polled } from '../src/polling.js'
import type { BenchNode, Happening } from '../src/testing/transport-bench.js'
import { transportSuite } from '../src/testing/transport-suite.js'
import { framed } from '../src/wire/frame.js'
import type { MemoryFaults } from '../transports/memory.js'
import {
  decodeGreeting,
  encodeGreeting,
  type Greeting,
  type Hello,
} from '../transports/stream/hello.js'
import { TcpLayer, tcp } from '../transports/tcp.js'
import { WebSocketLayer } from '../transports/websocket.js'
import { codeOf } from './harness/codes.js'
import { HANDSHAKE_MS, memoryMedium, overTcp, simulated, tcpMedium } from './harness/networks.js'
import { stopsWithoutSockets } from './harness/stop-law.js'

for (const [name, factory] of [
  ['tcp', tcp({ handshakeMs: HANDSHAKE_MS })],
  ['tcp, polling', polled(tcp({ handshakeMs: HANDSHAKE_MS }), 150)],
  ['tcp, polling while busy', polled(tcp({ handshakeMs: HANDSHAKE_MS }), 'busy')],
] as const)
  transportSuite({
    test,
    name,
    streams: true,
    medium: () => tcpMedium(seededRandom(1), factory),
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
    medium: () => memoryMedium(seededRandom(2), faults).medium,
  })

describe('limits', () => {
  test('a client that does not read is not read from, and its queue stays bounded', async () => {
    const { clock, bench, network } = simulated(3, {}, { clientQueueBytesMax: 2 ** 20 })
    let queued = 0
    const echo = (it: Happening, node: BenchNode) => {
      if (it.kind === 'frame' && node.send(it.peer, it.frame) !== 'dropped') queued += 1_000
    }
    const a = await bench.started('a', { on: echo })
    const layer = network.layer('~mute')
    let open = false
    const raw = layer.dial('memory://a', {
      onOpen: () => (open = true),
      onData() {},
      onDrain() {},
      onClose() {},
    })
    await bench.sees('the stranger is connected', () => open)
    const from = { cluster: 'suite', from: '~mute', to: '*', life: 'once', dial: 1 }
    const version = PROTOCOL_VERSION
    raw.write(framed(encodeGreeting({ kind: 'hello', version, frameBytesMax: 2 ** 22, ...from })))
    clock.advance(10)
    raw.write(framed(encodeGreeting({ kind: 'ready' })))
    raw.pause()
    for (let i = 0; i < 4_000; i++) {
      raw.write(framed(Buffer.alloc(1_000, 1)))
      if (i % 50 === 0) clock.advance(1)
    }
    clock.advance(1_000)
    expect(a.isUp('~mute')).toBe(true)
    expect(queued).toBeGreaterThan(2 ** 19)
    expect(queued).toBeLessThan(2 ** 20 + 2 ** 19)
    expect(raw.unsentBytes, 'the rest waits at the client').toBeGreaterThan(2 ** 20)
    raw.resume()
    clock.advance(5_000)
    expect(a.all('frame').length, 'once it reads, all is served').toBe(4_000)
    expect(queued).toBe(4_000_000)
    expect(bench.violations).toEqual([])
  })

  test('at most 256 handshakes are unfinished; more are cut, links live on', async () => {
    const { clock, bench, network } = simulated(4)
    const [a, b] = await bench.pair()
    let [open, cut] = [0, 0]
    for (let i = 0; i < 300; i++)
      network.layer(`crowd${i % 20}`).dial('memory://a', {
        onOpen: () => open++,
        onData() {},
        onDrain() {},
        onClose: () => cut++,
      })
    clock.advance(100)
    expect(cut).toBe(44)
    b.send('a', Buffer.from('x'))
    clock.advance(2_000)
    expect(cut).toBe(300)
    expect(a.all('frame').length).toBe(1)
    expect(open).toBeGreaterThan(0)
    const c = await bench.started('c')
    c.connect('a', 'memory://a')
    clock.advance(100)
    expect(c.isUp('a')).toBe(true)
  })

  test('a frame over the limit of the other side ends the link with a cause', async () => {
    const { clock, network, random } = simulated(5)
    const downs: unknown[][] = []
    const silent = { onLinkUp() {}, onFrame() {}, onWritable() {} }
    const onLinkDown = (...down: unknown[]) => downs.push(down)
    const make = (self: string, frameBytesMax: number) =>
      network.transport({ frameBytesMax })({
        self,
        cluster: 'x',
        listen: `memory://${self}`,
        clock,
        random,
        logger: SILENCE,
      })
    const [a, b] = [make('a', 1_000), make('b', 2_000)]
    await a.start({ ...silent, onLinkDown })
    await b.start({ ...silent, onLinkDown })
    b.connect('a', a.address)
    clock.advance(10)
    expect(b.send('a', Buffer.alloc(1_000))).toBe('sent')
    expect(b.send('a', Buffer.alloc(1_001))).toBe('dropped')
    clock.advance(10)
    expect(downs.find(([peer]) => peer === 'a')).toMatchObject([
      'a',
      1,
      'protocol',
      { code: 'FRAME_TOO_BIG' },
    ])
    expect(downs.find(([peer]) => peer === 'b')).toEqual(['b', 1, 'closed', undefined])
  })
})

describe('tcp', () => {
  test('losses are named: refused, reset, closed, unreachable', async () => {
    const bench = overTcp(1)
    const a = await bench.started('a')
    const sockets: Socket[] = []
    const server = createServer(socket => sockets.push(socket.on('error', () => {})))
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const address = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
    const lossOf = async (peer: string, to: string, act: () => void) => {
      const before = sockets.length
      a.connect(peer, to)
      if (to === address) await bench.sees('it arrives', () => sockets.length > before)
      act()
      await bench.sees('it is down', () => a.all('down', peer).length === 1)
      return a.all('down', peer)[0].loss
    }
    expect(await lossOf('r', address, () => sockets.at(-1)?.resetAndDestroy())).toBe('reset')
    expect(await lossOf('c', address, () => sockets.at(-1)?.end())).toBe('closed')
    server.close()
    for (const socket of sockets) socket.destroy()
    expect(await lossOf('n', 'tcp://127.0.0.1:1', () => {})).toBe('refused')
    expect(await lossOf('u', 'tcp://no.such.host.invalid:1', () => {})).toBe('unreachable')
    expect(await lossOf('z', 'tcp://127.0.0.1:0', () => {})).toBe('unreachable')
    await bench.close()
  })

  test('a free port and IPv6 show in the address', async () => {
    const { clock, random } = simulated(1)
    const silent = { onLinkUp() {}, onLinkDown() {}, onFrame() {}, onWritable() {} }
    const at = async (listen: string) => {
      const node = tcp()({ self: 'a', cluster: 'x', listen, clock, random, logger: SILENCE })
      await node.start(silent)
      await node.stop()
      return node.address
    }
    expect(await at('tcp://127.0.0.1:0')).toMatch(/^tcp:\/\/127\.0\.0\.1:[1-9]\d+$/)
    expect(await at('tcp://[::1]:0')).toMatch(/^tcp:\/\/\[::1\]:[1-9]\d+$/)
  })

  test('what was sent before stop() still leaves, farewells say', async () => {
    const bench = overTcp(3)
    for (let round = 0; round < 5; round++) {
      const a = await bench.started('a')
      const b = await bench.started('b')
      b.connect('a', a.transport.address)
      await bench.sees('both are up', () => a.isUp('b') && b.isUp('a'))
      a.send('b', Buffer.alloc(200_000, 1))
      a.send('b', Buffer.from('farewell'))
      await a.stop()
      await bench.sees('b is down', () => !b.isUp('a'))
      expect(b.all('frame').map(it => it.frame.length)).toEqual([200_000, 8])
      expect(b.all('down')[0].loss).toBe('closed')
      await b.stop()
    }
    await bench.close()
  })

  test('a name that is dialled again and again is asked for once at a time', () => {
    const asked = () =>
      process.getActiveResourcesInfo().filter(name => name === 'GetAddrInfoReqWrap').length
    const before = asked()
    const layers = [
      new TcpLayer(systemClock),
      new WebSocketLayer({ clock: systemClock, self: 'a' }),
    ]
    const events = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }
    for (let i = 0; i < 20; i++)
      for (const layer of layers)
        layer.dial(`${layer.scheme}://nobody.invalid:7400`, events).destroy()
    expect(asked() - before).toBe(1)
  })

  test('a client that does not read is not read from, until it reads again', async () => {
    const bench = overTcp(4)
    const echo = (it: Happening, node: BenchNode) => {
      if (it.kind === 'frame') node.send(it.peer, it.frame)
    }
    const a = await bench.started('a', { on: echo })
    const { port } = new URL(a.transport.address.replace('tcp:', 'http:'))
    const socket = connect({ port: Number(port), host: '127.0.0.1' })
    const from = { cluster: 'suite', from: '~mute', to: '*', life: 'once', dial: 1 }
    const version = PROTOCOL_VERSION
    socket.write(
      framed(encodeGreeting({ kind: 'hello', version, frameBytesMax: 2 ** 22, ...from })),
    )
    socket.write(framed(encodeGreeting({ kind: 'ready' })))
    await bench.sees('it is up', () => a.isUp('~mute'))
    const frame = framed(Buffer.alloc(1_000_000, 1))
    for (let i = 0; i < 60; i++) socket.write(frame)
    let before = -1
    for (let i = 0; i < 100 && a.all('frame').length !== before; i++) {
      before = a.all('frame').length
      await bench.pass(50)
    }
    expect(before).toBeGreaterThan(4)
    expect(before, 'queue, sockets and one read ahead').toBeLessThan(40)
    let heard = 0
    socket.on('data', chunk => (heard += chunk.length))
    await bench.sees('all is served', () => heard > 60 * 1_000_000)
    expect(a.all('frame').length).toBe(60)
    socket.destroy()
    await bench.close()
  })

  test('T12 stop leaves no handle, at whatever moment it comes', async () => {
    const bench = overTcp(2)
    await stopsWithoutSockets(bench)
    await bench.close()
  })
})

describe('golden bytes', () => {
  const hello: Hello = {
    kind: 'hello',
    version: 1,
    cluster: 'shop',
    from: 'a',
    to: '*seed',
    frameBytesMax: 4_194_304,
    life: 'lx1-2',
    dial: 7,
  }
  const refused: Greeting = { kind: 'refused', reason: '"b" expected, a answers here', tie: false }

  test.each([
    ['transport-hello', hello],
    ['transport-refused', refused],
    ['transport-ready', { kind: 'ready' }],
    ['transport-hello-proof', { ...hello, proof: 'n,,n=ann,r=abc' }],
    ['transport-refused-code', { ...refused, code: 'AUTH_FAILED' }],
    ['transport-proof', { kind: 'proof', message: 'r=abcdef,s=c2FsdA==,i=4096' }],
  ] as [string, Greeting][])('%s has not changed', (name, greeting) => {
    const path = new URL(`golden/${name}.hex`, import.meta.url)
    const bytes = framed(encodeGreeting(greeting))
    expect(Buffer.from(bytes).toString('hex')).toBe(readFileSync(path, 'utf8').trim())
    expect(decodeGreeting(bytes.subarray(4))).toEqual(greeting)
  })

  test('a hello cut anywhere or with a wrong field is a PROTOCOL_ERROR', () => {
    const bytes = encodeGreeting(hello)
    for (let end = 0; end < bytes.length; end++)
      expect(codeOf(() => decodeGreeting(bytes.subarray(0, end)))).toBe('PROTOCOL_ERROR')
    const wrong = [{ from: 5 }, { dial: -1 }, { frameBytesMax: '9' }, { life: undefined }]
    for (const field of wrong) {
      const frame = encodeGreeting({ ...hello, ...field } as Hello)
      expect(codeOf(() => decodeGreeting(frame))).toBe('PROTOCOL_ERROR')
    }
  })
})
