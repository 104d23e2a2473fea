/** Ties under seeds, and what the simulated network does to links. */
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { systemClock } from '../src/engine/system-clock.js'
import { Bench, type BenchNode, type Happening } from '../src/testing/transport-bench.js'
import { realTime } from '../src/testing/transport-suite.js'
import { type MemoryFaults, MemoryNetwork } from '../transports/memory.js'
import type { StreamOptions } from '../transports/stream/limits.js'
import { LinkChaos } from './harness/link-chaos.js'
import { lossesOf, overTcp, simulated } from './harness/networks.js'

describe('ties (T10)', () => {
  test('whatever is dialled, dropped, cut and restarted ends in one link, 300 seeds', async () => {
    for (let seed = 0; seed < 300; seed++)
      expect(await new LinkChaos(seed).run(), `seed ${seed}`).toEqual([])
  })

  test('the same seed gives the same happenings', async () => {
    for (const seed of [3, 4, 5]) {
      const runs = [new LinkChaos(seed), new LinkChaos(seed)]
      for (const run of runs) await run.run()
      expect(runs[0].trace().length).toBeGreaterThan(100)
      expect(runs[0].trace()).toBe(runs[1].trace())
    }
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

  test('in a cut one side alone may hear resets; the other takes its link for open', async () => {
    const { clock, network, bench, a, b } = await linked()
    network.cut('a', 'b')
    network.reset('a', 'b', 'b')
    expect([a.isUp('b'), b.isUp('a')]).toEqual([true, false])
    b.connect('a', a.transport.address)
    clock.advance(1)
    network.reset('a', 'b', 'b')
    clock.advance(1)
    expect(lossesOf(b, 'a')).toEqual(['reset', 'reset'])
    expect(a.isUp('b')).toBe(true)
    expect(bench.violations).toEqual([])
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

  test('after a blackout nothing is heard, dials time out, a new start takes over', async () => {
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
    const from = { cluster: 'x', clock, random, logger: SILENCE }
    const make = (self: string) =>
      network.transport()({ ...from, self, listen: `memory://${self}` })
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
