/** T3-T7: how frames flow. */
import assert from 'node:assert/strict'
import { seededRandom } from '../core/prng.js'
import { GcacheError } from '../errors.js'
import type { Bench, BenchNode } from './transport-bench.js'
import type { Law } from './transport-suite.js'

/** Frames of the storm begin with their session's mark and their number. */
const HEAD_BYTES = 12

export const FLOW_LAWS: readonly Law[] = [
  {
    name: 'T3 within a session frames are whole, in order, at most once and gapless',
    async run(bench) {
      const [a, b] = await bench.pair()
      const random = seededRandom(Math.floor(bench.medium.random.next() * 2 ** 32))
      const sent = { a: 0, b: 0 }
      for (let turn = 0; turn < 60; turn++) {
        for (let i = random.below(30); i > 0; i--) {
          if (storm(a, 'b', 1, sent.a, random)) sent.a++
          if (storm(b, 'a', 2, sent.b, random)) sent.b++
        }
        if (random.chance(0.3)) a.flush('b')
        await bench.pass(random.next())
      }
      await bench.sees('all have arrived', () => {
        return a.all('frame').length === sent.b && b.all('frame').length === sent.a
      })
      checkStorm(a, 2)
      checkStorm(b, 1)
      assert.ok(sent.a > 0 && sent.b > 0)
    },
  },
  {
    name: 'T3 a session that ends early has delivered a gapless beginning',
    async run(bench) {
      const [a, b] = await bench.pair()
      const random = seededRandom(Math.floor(bench.medium.random.next() * 2 ** 32))
      for (let round = 1; round <= 8; round++) {
        let sent = 0
        for (let i = 0; i < 300; i++) if (storm(a, 'b', round, sent, random)) sent++
        await bench.pass(random.next() * 3)
        const [one, other] = random.chance(0.5) ? [a, b] : [b, a]
        one.disconnect(other.id)
        await bench.sees('both are down', () => !a.isUp('b') && !b.isUp('a'))
        b.connect('a', a.transport.address)
        await bench.sees('both are up', () => a.isUp('b') && b.isUp('a'))
      }
      for (let round = 1; round <= 8; round++) checkStorm(b, round)
    },
  },
  {
    name: "T3 a frame is the caller's again when the turn is over",
    async run(bench) {
      const [a, b] = await bench.pair()
      const sizes = [1, 1_000, 70_000, 300_000]
      for (const size of sizes) {
        const frame = Buffer.alloc(size, 7)
        assert.notEqual(a.send('b', frame), 'dropped')
        await bench.pass(0)
        frame.fill(9)
        const heard = () => b.all('frame').filter(it => it.frame.length === size).length === 1
        await bench.sees('it arrived', heard)
      }
      for (const { frame } of b.all('frame')) assert.ok(frame.every(byte => byte === 7))
    },
  },
  {
    name: 'T4 send never throws for the network, and dropped means not queued',
    async run(bench) {
      const [a, b] = await bench.pair()
      assert.equal(a.send('nobody', Buffer.from('x')), 'dropped')
      let sent = 0
      for (let round = 1; round <= 3; round++) {
        sent += flood(a, 'b', 'dropped', bench)
        await bench.sees('the accepted ones arrive', () => b.all('frame').length === sent)
        await bench.sees('a may write again', () => a.all('writable').length === round)
      }
      await bench.pass(50)
      assert.equal(b.all('frame').length, sent, 'and only those')
      checkFlood(b, 3)
      a.disconnect('b')
      assert.equal(a.send('b', Buffer.from('x')), 'dropped')
    },
  },
  {
    name: 'T5 every congested is followed by writable',
    async run(bench) {
      const [a, b] = await bench.pair()
      for (let round = 1; round <= 3; round++) {
        flood(a, 'b', 'congested', bench)
        await bench.sees('a may write again', () => a.all('writable').length === round)
      }
      assert.equal(a.send('b', Buffer.from('x')), 'sent')
      await bench.sees('the last has arrived', () => b.all('frame').at(-1)?.frame.length === 1)
    },
  },
  {
    name: 'T5 every congested is followed by down if the link ends first',
    async run(bench) {
      const [a, b] = await bench.pair()
      flood(a, 'b', 'congested', bench)
      const writable = a.all('writable').length
      await b.stop()
      await bench.sees('a is told', () => a.all('down').length === 1)
      assert.ok(a.all('writable').length <= writable + 1)
    },
  },
  {
    name: 'T6 queues stay under queueBytesMax',
    async run(bench) {
      const [a] = await bench.pair()
      const { queueBytesMax } = a.transport.traits
      const frame = Buffer.alloc(32_768)
      let bytes = 0
      while (a.send('b', frame) !== 'dropped') {
        bytes += frame.length
        assert.ok(bytes <= queueBytesMax + bench.medium.mediumBytesMax, `${bytes} bytes queued`)
      }
      await bench.sees('a may write again', () => a.all('writable').length === 1)
    },
  },
  {
    name: 'T7 a frame over frameBytesMax asserts, the largest allowed passes',
    async run(bench) {
      const [a, b] = await bench.pair()
      const { frameBytesMax } = a.transport.traits
      const isBroken = (error: unknown) => error instanceof GcacheError && error.code === 'INTERNAL'
      assert.throws(() => a.send('b', Buffer.alloc(frameBytesMax + 1)), isBroken)
      assert.throws(() => a.send('b', Buffer.alloc(0)), isBroken)
      const largest = Buffer.alloc(frameBytesMax, 0x5a)
      assert.notEqual(a.send('b', largest), 'dropped')
      await bench.sees('it arrived', () => b.all('frame').length === 1)
      assert.ok(b.all('frame')[0].frame.equals(largest))
      assert.deepEqual([a.all('down'), b.all('down')], [[], []])
    },
  },
]

/** Sends frame `number` of a stream; false if it was dropped. */
function storm(
  node: BenchNode,
  peer: string,
  mark: number,
  number: number,
  random: { below(bound: number): number; chance(chance: number): boolean },
): boolean {
  const bytes = HEAD_BYTES + random.below(random.chance(0.05) ? 40_000 : 200)
  const frame = Buffer.alloc(bytes, number)
  frame.writeUInt32LE(mark, 0)
  frame.writeUInt32LE(number, 4)
  frame.writeUInt32LE(bytes, 8)
  return node.send(peer, frame) !== 'dropped'
}

/** Frames with this mark are 0, 1, 2 ... of one session, each as it was sent. */
function checkStorm(node: BenchNode, mark: number): void {
  const frames = node.all('frame').filter(it => it.frame.readUInt32LE(0) === mark)
  for (const [i, { frame, session }] of frames.entries()) {
    assert.equal(frame.readUInt32LE(4), i, 'in order, once, without a gap')
    assert.equal(frame.readUInt32LE(8), frame.length, 'whole')
    assert.equal(session, frames[0].session)
    assert.ok(frame.subarray(HEAD_BYTES).every(byte => byte === (i & 0xff)))
  }
}

/** Sends in one turn until the answer is `wanted`; returns how many frames were taken. */
function flood(node: BenchNode, peer: string, wanted: string, bench: Bench): number {
  const { queueBytesMax } = node.transport.traits
  for (let taken = 0; ; ) {
    const frame = Buffer.alloc(16_384, taken)
    frame.writeUInt32LE(taken)
    assert.ok(taken * frame.length <= queueBytesMax + bench.medium.mediumBytesMax, `no ${wanted}`)
    const answer = node.send(peer, frame)
    if (answer !== 'dropped') taken++
    if (answer === wanted) return taken
  }
}

/** All that arrived are floods, one after the other, each frame as it was sent. */
function checkFlood(node: BenchNode, floods: number): void {
  let number = -1
  for (const { frame } of node.all('frame')) {
    const next = frame.readUInt32LE()
    if (next === 0) floods--
    else assert.equal(next, number + 1)
    number = next
    assert.ok(frame.subarray(4).every(byte => byte === (number & 0xff)))
  }
  assert.equal(floods, 0)
}
