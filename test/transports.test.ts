/** The shipped laws over every built-in transport, and what each has of its own. */
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { PROTOCOL_VERSION } from '../src/config.js'
import { seededRandom } from '../src/core/prng.js'
import { systemClock } from '../src/engine/system-clock.js'
import { GcacheError } from '../src/errors.js'
import { Bench, type BenchNode, type Happening } from '../src/testing/transport-bench.js'
import { realTime, transportSuite, virtualTime } from '../src/testing/transport-suite.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { framed } from '../src/wire/frame.js'
import { type MemoryFaults, MemoryNetwork } from '../transports/memory.js'
import {
  decodeGreeting,
  encodeGreeting,
  type Greeting,
  type Hello,
} from '../transports/stream/hello.js'
import type { StreamOptions } from '../transports/stream/limits.js'
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

/** Nodes on a simulated network, watched for T2 and T8. */
function simulated(seed: number, faults: Partial<MemoryFaults> = {}, options: StreamOptions = {}) {
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

function overTcp(seed: number) {
  const random = seededRandom(seed)
  return new Bench({
    ...realTime(),
    transport: tcp({ handshakeMs: HANDSHAKE_MS }),
    listen: () => 'tcp://127.0.0.1:0',
    nowhere: 'tcp://127.0.0.1:1',
    random,
    handshakeMs: HANDSHAKE_MS,
    mediumBytesMax: SOCKET_BYTES_MAX,
    close: async () => {},
  })
}

const lossesOf = (node: BenchNode, peer: string) => node.all('down', peer).map(it => it.loss)

describe('ties (T10)', () => {
  /*
   *   a   dial ... lost ... dial ...... | quiet: redial only when down
   *   b   ... dial .... drop ... dial . | -> one link, up on both sides, and it stays
   */
  async function chaos(seed: number): Promise<string> {
    const { clock, random, network, bench } = simulated(seed, {
      latencyMsMin: 0.1,
      latencyMsMax: [0.2, 2, 40][seed % 3],
      split: 0.3,
      reorder: 0.2,
      loss: seed % 2 === 0 ? 0.02 : 0,
    })
    let quiet = false
    const ids = ['a', 'b', 'c'].slice(0, 2 + (seed % 2))
    const dial = (node: BenchNode, peer: string) => {
      if (!node.stopped) node.connect(peer, `memory://${peer}`)
    }
    const on = (it: Happening, node: BenchNode) => {
      if (it.kind !== 'down') return
      clock.after(random.next() * 30, () => dial(node, it.peer))
    }
    const nodes = new Map<string, BenchNode>()
    for (const id of ids) nodes.set(id, await bench.started(id, { on }))
    const all = () => [...nodes.values()]
    const dialAll = () => {
      for (const node of all())
        for (const id of ids)
          if (id !== node.id) clock.after(random.next() * 3, () => dial(node, id))
    }
    dialAll()
    for (let i = 0; i < 25; i++) {
      clock.advance(random.next() * (random.chance(0.1) ? 3_000 : 60))
      const [one, other] = random.chance(0.5) ? ['a', 'b'] : ['b', 'a']
      const node = nodes.get(one) as BenchNode
      const dice = random.below(8)
      if (dice === 0) node.disconnect(other)
      else if (dice === 1) network.reset(one, other)
      else if (dice === 2) network.cut(one, other, { oneWay: random.chance(0.5) })
      else if (dice === 3) network.mendAll()
      else if (dice === 4) network.clog(one, other, random.next() * 300)
      else if (dice === 5) dial(node, other)
      else if (dice === 6) node.send(other, Buffer.from('x'))
      else {
        node.stopped = true
        if (random.chance(0.5)) network.crash(one)
        else network.blackout(one)
        nodes.set(one, await bench.started(one, { on }))
        dialAll()
      }
    }
    network.mendAll()
    network.setFaults({ loss: 0 })
    // What is half-open shows when it is used: a node that hears nothing hangs up, as engines do.
    for (let i = 0; i < 40 && !quiet; i++) {
      clock.advance(5_000)
      const heard = new Map(all().map(node => [node, node.happenings.length]))
      const silent = (node: BenchNode, peer: string) =>
        !node.happenings.slice(heard.get(node)).some(it => it.kind === 'frame' && it.peer === peer)
      const links = () =>
        all().flatMap(node => ids.filter(id => id !== node.id).map(id => [node, id] as const))
      for (const [node, id] of links()) node.send(id, Buffer.from(node.id))
      clock.advance(1_000)
      quiet = !links().some(([node, id]) => silent(node, id))
      for (const [node, id] of links()) if (silent(node, id) && node.isUp(id)) node.disconnect(id)
    }
    const trace = all().map(node =>
      node.happenings.map(it => `${it.kind} ${it.peer} ${it.session}`),
    )
    const before = all().map(node => node.happenings.length)
    clock.advance(10_000)
    expect(bench.violations, `seed ${seed}`).toEqual([])
    expect(quiet, `seed ${seed}: linked and talking`).toBe(true)
    expect(
      all().map(node => node.happenings.length),
      `seed ${seed}: stays`,
    ).toEqual(before)
    for (const node of all())
      for (const id of ids) if (id !== node.id) expect(node.isUp(id), `seed ${seed}`).toBe(true)
    await bench.close()
    return JSON.stringify(trace)
  }

  test('whatever is dialled, dropped, cut and restarted ends in one link, for 300 seeds', async () => {
    for (let seed = 0; seed < 300; seed++) await chaos(seed)
  })

  test('the same seed gives the same happenings', async () => {
    for (const seed of [3, 4, 5]) expect(await chaos(seed)).toBe(await chaos(seed))
  })

  test('two nodes that dial at once get one link and no other, for 400 seeds', async () => {
    for (let seed = 0; seed < 400; seed++) {
      const { clock, random, bench } = simulated(seed, { latencyMsMin: 1, latencyMsMax: 5 })
      const a = await bench.started('a')
      const b = await bench.started('b')
      const c = await bench.started('~c', { listens: false })
      clock.after(random.next() * 12, () => a.connect('b', 'memory://b'))
      clock.after(random.next() * 12, () => b.connect('a', 'memory://a'))
      clock.after(random.next() * 12, () => c.connect('*a', 'memory://a'))
      clock.advance(1_000)
      for (const [node, peers] of [
        [a, 2],
        [b, 1],
        [c, 1],
      ] as const) {
        const kinds = node.happenings.map(it => it.kind)
        expect(kinds, `seed ${seed}, ${node.id}`).toEqual(Array(peers).fill('up'))
      }
      expect(bench.violations).toEqual([])
    }
  })

  test('on real TCP, nodes that redial at any time get one link that stays', async () => {
    const bench = overTcp(7)
    const { random } = bench.medium
    for (let round = 0; round < 10; round++) {
      let redial = true
      const on = (it: Happening, node: BenchNode) => {
        const other = node.id === a.id ? b : a
        if (it.kind === 'down' && redial) node.connect(other.id, other.transport.address)
      }
      const a: BenchNode = await bench.started(`a${round}`, { on })
      const b: BenchNode = await bench.started(`b${round}`, { on })
      a.connect(b.id, b.transport.address)
      b.connect(a.id, a.transport.address)
      for (let i = 0; i < 6; i++) {
        await bench.pass(random.next() * 4)
        if (random.next() < 0.5) a.disconnect(b.id)
        else b.disconnect(a.id)
      }
      let before = -1
      for (let i = 0; i < 100 && a.happenings.length + b.happenings.length !== before; i++) {
        before = a.happenings.length + b.happenings.length
        await bench.pass(60)
      }
      expect(a.happenings.length + b.happenings.length).toBe(before)
      expect([a.isUp(b.id), b.isUp(a.id)]).toEqual([true, true])
      a.send(b.id, Buffer.from('x'))
      await bench.sees('it carries', () => b.all('frame').length === 1)
      redial = false
      await Promise.all([a.stop(), b.stop()])
    }
    expect(bench.violations).toEqual([])
    await bench.close()
  })
})

describe('the simulated network', () => {
  const linked = async (faults: Partial<MemoryFaults> = {}, options: StreamOptions = {}) => {
    const world = simulated(11, { latencyMsMin: 1, latencyMsMax: 1, ...faults }, options)
    const [a, b] = await world.bench.pair()
    return { ...world, a, b }
  }

  test('a cut keeps links up and silent; once mended, those that lost something end', async () => {
    const { clock, network, bench, a, b } = await linked()
    network.cut('a', 'b')
    clock.advance(10_000)
    network.mend('a', 'b')
    clock.advance(100)
    expect([a.isUp('b'), b.isUp('a')]).toEqual([true, true])
    network.cut('a', 'b', { oneWay: true })
    expect(a.send('b', Buffer.from('lost'))).toBe('sent')
    b.send('a', Buffer.from('heard'))
    clock.advance(10_000)
    expect([a.all('frame').length, b.all('frame').length]).toEqual([1, 0])
    expect([a.isUp('b'), b.isUp('a')]).toEqual([true, true])
    network.mend('a', 'b')
    clock.advance(100)
    expect([lossesOf(a, 'b'), lossesOf(b, 'a')]).toEqual([['reset'], ['reset']])
    expect(bench.violations).toEqual([])
  })

  test('a dial into a cut times out after handshakeMs', async () => {
    const { clock, network, bench, a } = await linked()
    const c = await bench.started('c')
    network.cut('a', 'c')
    c.connect('a', a.transport.address)
    clock.advance(1_999)
    expect(c.happenings).toEqual([])
    clock.advance(1)
    expect(lossesOf(c, 'a')).toEqual(['timeout'])
  })

  test('a crash is heard as reset, dials are refused, the next start is welcome', async () => {
    const { clock, network, bench, a, b } = await linked()
    b.stopped = true
    network.crash('b')
    clock.advance(10)
    expect(lossesOf(a, 'b')).toEqual(['reset'])
    a.connect('b', 'memory://b')
    clock.advance(10)
    expect(lossesOf(a, 'b')).toEqual(['reset', 'refused'])
    const again = await bench.started('b')
    a.connect('b', 'memory://b')
    clock.advance(10)
    expect([a.isUp('b'), again.isUp('a')]).toEqual([true, true])
    expect(b.send('a', Buffer.from('x'))).toBe('dropped')
    expect(bench.violations).toEqual([])
  })

  test('after a blackout nothing is heard, dials time out, a new start takes the link over', async () => {
    const { clock, network, bench, a, b } = await linked()
    b.stopped = true
    network.blackout('b')
    const c = await bench.started('c')
    c.connect('b', 'memory://b')
    clock.advance(10_000)
    expect(a.isUp('b')).toBe(true)
    expect(lossesOf(c, 'b')).toEqual(['timeout'])
    const again = await bench.started('b')
    again.connect('a', 'memory://a')
    clock.advance(100)
    expect(a.happenings.map(it => it.kind)).toEqual(['up', 'down', 'up'])
    expect(again.isUp('a')).toBe(true)
    expect(bench.violations).toEqual([])
  })

  test('what is sent to a machine that has started anew is answered by a reset', async () => {
    const { clock, network, bench, a, b } = await linked()
    b.stopped = true
    network.blackout('b')
    await bench.started('b')
    a.send('b', Buffer.from('x'))
    clock.advance(10)
    expect(lossesOf(a, 'b')).toEqual(['reset'])
  })

  test('a clog holds everything and then lets it through', async () => {
    const { clock, network, a, b } = await linked()
    network.clog('a', 'b', 500)
    a.send('b', Buffer.from('1'))
    a.send('b', Buffer.from('2'))
    clock.advance(499)
    expect(b.all('frame')).toEqual([])
    clock.advance(10)
    expect(b.all('frame').map(it => it.frame.toString())).toEqual(['1', '2'])
  })

  test('a lost datagram ends the session, never the order, for 200 seeds', async () => {
    let ended = 0
    for (let seed = 0; seed < 200; seed++) {
      const { clock, network, bench } = simulated(seed, { latencyMsMin: 1, latencyMsMax: 9 })
      const [a, b] = await bench.pair()
      network.setFaults({ loss: 0.02, duplicate: 0.2, reorder: 0.3, split: 0.3 })
      for (let i = 0; i < 100; i++) {
        a.send('b', Buffer.from([i]))
        clock.advance(1)
      }
      clock.advance(1_000)
      const heard = b.all('frame').map(it => it.frame[0])
      expect(heard).toEqual(heard.map((_, i) => i))
      expect(a.isUp('b')).toBe(b.isUp('a'))
      if (a.isUp('b')) expect(heard.length).toBe(100)
      else ended++
      expect(bench.violations).toEqual([])
    }
    expect(ended).toBeGreaterThan(100)
    expect(ended).toBeLessThan(200)
  })

  test('with the law suspended frames are lost and replayed while the link stays', async () => {
    const { clock, network, bench, a, b } = await linked({ suspendLaw: true })
    network.setFaults({ loss: 0.3, duplicate: 0.3, reorder: 0.3, split: 0.5 })
    for (let i = 0; i < 200; i++) {
      a.send('b', Buffer.from([i]))
      a.send('b', Buffer.alloc(300, i))
      clock.advance(1)
    }
    clock.advance(1_000)
    const heard = b.all('frame').map(it => it.frame[0])
    const distinct = new Set(heard).size
    expect(distinct).toBeGreaterThan(100)
    expect(heard.length).not.toBe(400)
    expect(b.all('frame').filter(it => ![1, 300].includes(it.frame.length))).toEqual([])
    expect(heard).not.toEqual([...heard].sort((x, y) => x - y))
    expect([a.isUp('b'), b.isUp('a')]).toEqual([true, true])
    expect(bench.violations).toEqual([])
  })

  test("a frame is gone from the receiver's memory when its call is over", async () => {
    const kept: Uint8Array[] = []
    const { clock, network, random } = simulated(1)
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const make = (self: string) =>
      network.transport()({ self, cluster: 'x', listen: `memory://${self}`, clock, random, logger })
    const [a, b] = [make('a'), make('b')]
    const silent = { onLinkUp() {}, onLinkDown() {}, onFrame() {}, onWritable() {} }
    await a.start({ ...silent, onFrame: (_peer, _session, frame) => kept.push(frame) })
    await b.start(silent)
    b.connect('a', a.address)
    clock.advance(1)
    b.send('a', Buffer.from('mine'))
    clock.advance(1)
    expect(kept.length).toBe(1)
    expect(Buffer.from(kept[0]).toString()).not.toBe('mine')
  })

  test('under the system clock it carries frames as well', async () => {
    const network = new MemoryNetwork({ clock: systemClock, random: seededRandom(1) })
    const bench = new Bench({
      ...realTime(),
      transport: network.transport(),
      listen: id => `memory://${id}`,
      nowhere: 'memory://nowhere',
      random: seededRandom(1),
      handshakeMs: 2_000,
      mediumBytesMax: 2 ** 20,
      close: async () => {},
    })
    const [a, b] = await bench.pair()
    for (let i = 0; i < 1_000; i++) a.send('b', Buffer.from('x'))
    await bench.sees('all have arrived', () => b.all('frame').length === 1_000)
    await bench.close()
  })
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
    const layer = network.layer('crowd')
    let [open, cut] = [0, 0]
    for (let i = 0; i < 300; i++)
      layer.dial('memory://a', {
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
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
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
        logger,
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
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const silent = { onLinkUp() {}, onLinkDown() {}, onFrame() {}, onWritable() {} }
    const at = async (listen: string) => {
      const node = tcp()({ self: 'a', cluster: 'x', listen, clock, random, logger })
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
    const open = () => process.getActiveResourcesInfo().filter(name => name.startsWith('TCP'))
    await bench.sees('nothing is open yet', () => open().length === 0)
    for (let round = 0; round < 12; round++) {
      const a = bench.node(`a${round}`)
      const b = await bench.started(`b${round}`)
      const starting = a.start().catch(error => error.code)
      if (round % 4 === 0) {
        await a.stop()
        expect(await starting).toBe('CLOSED')
      } else {
        await starting
        b.connect(a.id, a.transport.address)
        if (round % 4 > 1) await bench.sees('up', () => b.isUp(a.id))
        if (round % 4 > 2) a.send(b.id, Buffer.alloc(2 ** 20))
        await Promise.all([a.stop(), b.stop()])
      }
      await b.stop()
      await bench.sees('nothing is open', () => open().length === 0)
    }
    expect(bench.violations).toEqual([])
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
  ] as [string, Greeting][])('%s has not changed', (name, greeting) => {
    const path = new URL(`golden/${name}.hex`, import.meta.url)
    const bytes = framed(encodeGreeting(greeting))
    expect(Buffer.from(bytes).toString('hex')).toBe(readFileSync(path, 'utf8').trim())
    expect(decodeGreeting(bytes.subarray(4))).toEqual(greeting)
  })

  test('a hello cut anywhere or with a wrong field is a PROTOCOL_ERROR', () => {
    const bytes = encodeGreeting(hello)
    const codeOf = (frame: Uint8Array) => {
      try {
        decodeGreeting(frame)
      } catch (error) {
        return error instanceof GcacheError ? error.code : error
      }
      return 'nothing thrown'
    }
    for (let end = 0; end < bytes.length; end++)
      expect(codeOf(bytes.subarray(0, end))).toBe('PROTOCOL_ERROR')
    const wrong = [{ from: 5 }, { dial: -1 }, { frameBytesMax: '9' }, { life: undefined }]
    for (const field of wrong)
      expect(codeOf(encodeGreeting({ ...hello, ...field } as Hello))).toBe('PROTOCOL_ERROR')
  })
})
