/**
 * SECURITY, rows 6, 10, 11 and 12, where a transport judges: lengths, frames that do not go on,
 * bytes that are no frame, readers that do not read. Each test names its row.
 */
import { describe, expect, test } from 'vitest'
import { LIMITS, TIMES } from '../src/config.js'
import { seededRandom } from '../src/core/prng.js'
import { GcacheError } from '../src/errors.js'
import type { Bench, BenchNode, Happening } from '../src/testing/transport-bench.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { FrameDecoder, framed } from '../src/wire/frame.js'
import { decodeGreeting } from '../transports/stream/hello.js'
import { streamLimits } from '../transports/stream/limits.js'
import { Pace } from '../transports/stream/pace.js'
import { codeIn } from './harness/codes.js'
import { overTcp, simulated } from './harness/networks.js'
import { headOf, overStreams, Stranger } from './harness/strangers.js'

/** Ends as soon as it is known that `node` still serves its good link. */
async function livesOn(bench: Bench, node: BenchNode): Promise<void> {
  const good = await Stranger.opened(bench, node, 'good')
  await good.link('~good')
  good.write(framed(Buffer.from('x')))
  await bench.sees('another link carries', () => node.all('frame', '~good').length === 1)
  await good.leave()
}

const echo = (it: Happening, node: BenchNode) => {
  if (it.kind === 'frame') node.send(it.peer, it.frame)
}

describe('row 6, lengths', () => {
  test('row 6: a client may send its largest value and 64 KiB, a peer 4 MiB or as much', () => {
    const { clientFrameBytesMax, peerFrameBytesMax, valueBytesMax, snapshotSliceBytes } = LIMITS
    expect(clientFrameBytesMax).toBe(valueBytesMax + 65_536)
    expect(peerFrameBytesMax).toBe(Math.max(4 * 2 ** 20, valueBytesMax + 65_536))
    expect(snapshotSliceBytes).toBe(256 * 1_024)
    const { frameBytesMax, clientFrameBytesMax: own } = streamLimits({}, 'x')
    expect([frameBytesMax, own]).toEqual([peerFrameBytesMax, clientFrameBytesMax])
  })

  for (const [from, max] of [
    ['~client', LIMITS.clientFrameBytesMax],
    ['peer', LIMITS.peerFrameBytesMax],
  ] as const)
    overStreams(
      `row 6: ${from} that promises one byte too many is cut at the head`,
      {},
      async it => {
        const a = await it.bench.started('a')
        const raw = await Stranger.opened(it.bench, a)
        await raw.link(from)
        raw.write(Buffer.concat([framed(Buffer.from('x')), headOf(max + 1)]))
        await it.bench.sees('it is down', () => a.all('down', from).length === 1)
        const [{ loss, cause }] = a.all('down', from)
        expect(loss).toBe('protocol')
        expect(cause).toMatchObject({ code: 'FRAME_TOO_BIG' })
        expect(a.all('frame', from)).toHaveLength(1)
        expect(a.warnings.at(-1)).toMatchObject({ peer: from, code: 'FRAME_TOO_BIG' })
        await livesOn(it.bench, a)
        await raw.leave()
      },
    )

  test('row 6: 1,000 promises of the largest frame buy 1 MiB of memory at most', () => {
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 1_000 }, () => {
      const decoder = new FrameDecoder(LIMITS.peerFrameBytesMax, { onFrame() {} })
      decoder.push(headOf(LIMITS.peerFrameBytesMax))
      decoder.push(Buffer.from('x'))
      return decoder
    })
    expect(decoders.every(decoder => decoder.heldBytes === 5)).toBe(true)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20)
  })
})

describe('row 10, frames in pieces', () => {
  test('row 10: 1 KiB/s, and 5 s for whatever else may happen', () => {
    expect([LIMITS.frameBytesPerSecMin, TIMES.frameGraceMs]).toEqual([1_024, 5_000])
    expect(streamLimits({}, 'x').frameGraceMs).toBe(5_000)
  })

  test('row 10: a frame of 1 MiB in pieces of 7 bytes is held once, not as a list', () => {
    let arrived = 0
    const decoder = new FrameDecoder(2 ** 21, { onFrame: frame => (arrived += frame.length) })
    const bytes = framed(Buffer.alloc(2 ** 20, 1))
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    for (let at = 0; at < bytes.length; at += 7) {
      decoder.push(bytes.subarray(at, at + 7))
      if (at % 70_000 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(arrived).toBe(2 ** 20)
    // Four times what came, and the former buffer until it is collected.
    expect(most).toBeLessThan(6 * 2 ** 20)
  })

  test('row 10: a frame that we do not read on is not late, its time begins later', () => {
    const clock = new VirtualClock()
    const { frameGraceMs, stalledMs } = TIMES
    const link = {
      ...{ over: false, watched: false, name: '~held', heldBytes: 10, begun: 1, reading: false },
      ...{ unsentBytes: 0, departure: 0, mustTake: true },
      lost: () => {
        link.over = true
      },
    }
    new Pace(clock, { frameGraceMs, stalledMs }).watch(link)
    clock.advance(10 * frameGraceMs)
    expect(link.over).toBe(false)
    link.reading = true
    clock.advance(0.9 * frameGraceMs)
    expect(link.over).toBe(false)
    clock.advance(frameGraceMs)
    expect(link.over).toBe(true)
  })

  overStreams(
    'row 10: a frame that stops half-way, or drips, ends its link; a slow one arrives',
    medium => (medium !== 'memory' ? { frameGraceMs: 400 } : {}),
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const graceMs = it.name !== 'memory' ? 400 : TIMES.frameGraceMs
      const [still, drip, slow, idle] = await Promise.all(
        ['~still', '~drip', '~slow', '~idle'].map(async name => {
          const stranger = await Stranger.opened(bench, a, name)
          await stranger.link(name)
          return stranger
        }),
      )
      const slowFrame = framed(Buffer.alloc(60_000, 2))
      const { clock } = bench.medium
      const began = clock.now()
      still.write(Buffer.concat([headOf(1_000), Buffer.alloc(10)]))
      drip.write(headOf(100_000))
      // 1/20 of the grace a step: 4 KiB/s, less where the machine is busy.
      const steps = 45
      const piece = Math.ceil((graceMs / 20 / 1_000) * 4_096)
      for (let step = 0; step < steps; step++) {
        if (!drip.closed) drip.write(Buffer.from([1]))
        slow.write(slowFrame.subarray(step * piece, (step + 1) * piece))
        await bench.pass(graceMs / 20)
        const early = clock.now() - began < 0.9 * graceMs
        if (early) expect(a.all('down'), 'not before the grace is over').toEqual([])
      }
      const downs = a.all('down').map(({ peer, loss, cause }) => [peer, loss, codeIn(cause)])
      expect(downs.sort()).toEqual([
        ['~drip', 'timeout', 'TIMEOUT'],
        ['~still', 'timeout', 'TIMEOUT'],
      ])
      slow.write(slowFrame.subarray(steps * piece))
      await bench.sees('the slow one is whole', () => a.all('frame', '~slow').length === 1)
      expect(a.isUp('~idle'), 'who has begun no frame may be silent for ever').toBe(true)
      for (const one of [still, drip, slow, idle]) await one.leave()
    },
  )

  test('row 10: a stream of frames whose pieces never end is no slow frame', async () => {
    const { bench } = simulated(3)
    const a = await bench.started('a')
    const raw = await Stranger.opened(bench, a)
    await raw.link('~steady')
    const bytes = Buffer.concat([framed(Buffer.alloc(100, 1)), framed(Buffer.alloc(100, 1))])
    raw.write(bytes.subarray(0, 50))
    for (let i = 0; i < 40; i++) {
      await bench.pass(1_000)
      raw.write(Buffer.concat([bytes.subarray(50, 104), bytes.subarray(0, 50)]))
    }
    await bench.pass(100)
    expect(a.all('down')).toEqual([])
    expect(a.all('frame')).toHaveLength(40)
  })
})

describe('row 11, malformed frames', () => {
  test('row 11: says at which byte of the stream, also over chunks', () => {
    const bytes = Buffer.concat([
      framed(Buffer.alloc(10, 1)),
      framed(Buffer.alloc(20, 1)),
      headOf(0),
    ])
    for (const size of [1, 2, 3, 7, 14, 15, 100]) {
      const decoder = new FrameDecoder(100, { onFrame() {} })
      let code = ''
      try {
        for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size))
      } catch (error) {
        code = codeIn(error)
      }
      expect([code, decoder.failedAt], `pieces of ${size}`).toEqual(['PROTOCOL_ERROR', 38])
    }
  })

  test('row 11: no bytes make the decoder or the hello throw anything else, 5,000 times', () => {
    const random = seededRandom(11)
    const next = () => random.below(2 ** 24)
    let refused = 0
    for (let run = 0; run < 5_000; run++) {
      const bytes = Buffer.from(Array.from({ length: next() % 40 }, () => next() & 0xff))
      if (run % 2 === 0 && bytes.length > 0) bytes[0] = 1 + (next() % 3)
      try {
        if (run % 3 === 0) new FrameDecoder(4_096, { onFrame() {} }).push(bytes)
        else decodeGreeting(bytes)
      } catch (error) {
        expect(['PROTOCOL_ERROR', 'FRAME_TOO_BIG']).toContain(codeIn(error))
        refused++
      }
    }
    expect(refused).toBeGreaterThan(2_500)
  })

  overStreams('row 11: ends that link alone, with code and place, and is counted', {}, async it => {
    const { bench } = it
    const a = await bench.started('a', {
      on(happening) {
        if (happening.kind === 'frame' && happening.frame[0] === 0)
          throw new GcacheError('PROTOCOL_ERROR', 'at byte 3: no frame of ours', { offset: 3 })
      },
    })
    const raw = await Stranger.opened(bench, a)
    await raw.link('~bad')
    const good = framed(Buffer.alloc(6, 1))
    raw.write(Buffer.concat([good, framed(Buffer.alloc(5)), good]))
    await bench.sees('it is down', () => a.all('down').length === 1)
    const [{ peer, loss, cause }] = a.all('down')
    expect([peer, loss]).toEqual(['~bad', 'protocol'])
    const warning = a.warnings.at(-1)
    expect(warning).toMatchObject({ peer: '~bad', code: 'PROTOCOL_ERROR' })
    // Hello and ready came before it by the same decoder, and 10 bytes of a good frame.
    const { offset } = cause as GcacheError
    expect(offset).toBe(warning?.offset)
    expect(offset).toBeGreaterThan(10 + 4 + 3)
    expect(a.all('frame', '~bad'), 'nothing behind it').toHaveLength(2)
    await livesOn(bench, a)
    await raw.leave()
  })
})

describe('row 12, readers that do not read', () => {
  test('row 12: 8 MiB or 10 s for a client, 1 MiB for a slave', () => {
    const { clientQueueBytesMax, queueBytesMax, stalledMs } = streamLimits({}, 'x')
    expect([clientQueueBytesMax, queueBytesMax, stalledMs]).toEqual([2 ** 23, 2 ** 20, 10_000])
  })

  overStreams(
    'row 12: a client that takes nothing for 10 s is SLOW_CONSUMER, and cut off',
    medium => (medium !== 'memory' ? { stalledMs: 500 } : {}),
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const raw = await Stranger.opened(bench, a)
      await raw.link('~mute')
      raw.read(false)
      const frame = Buffer.alloc(500_000, 1)
      const began = bench.medium.clock.now()
      // More than all sockets between hold, less than makes its link congested.
      for (let sent = 0, result = 'sent'; result === 'sent' && sent < 40; sent++) {
        result = a.send('~mute', frame)
        await bench.pass(2)
      }
      await bench.sees('it is down', () => a.all('down').length === 1, 15_000)
      const took = bench.medium.clock.now() - began
      expect(took).toBeGreaterThan(it.name !== 'memory' ? 350 : 9_000)
      if (it.name === 'memory') expect(took).toBeLessThan(14_200)
      expect(codeIn(a.all('down')[0].cause)).toBe('SLOW_CONSUMER')
      expect(a.warnings.at(-1)).toMatchObject({ peer: '~mute', code: 'SLOW_CONSUMER' })
      await livesOn(bench, a)
      await raw.leave()
    },
  )

  test('row 12: what waits in small pieces costs its bytes, no buffer of 64 KiB each', async () => {
    const bench = overTcp(1, { clientQueueBytesMax: 2 ** 25 })
    try {
      const a = await bench.started('a')
      const raw = await Stranger.opened(bench, a)
      await raw.link('~mute')
      raw.read(false)
      // The kernel takes no more of it: what follows is ours to keep.
      for (let i = 0; i < 12; i++) a.send('~mute', Buffer.alloc(1_000_000, 1))
      await bench.pass(1)
      const before = process.memoryUsage().arrayBuffers
      for (let turn = 0; turn < 1_000; turn++) {
        a.send('~mute', Buffer.alloc(100, 1))
        await new Promise(setImmediate)
      }
      // 100 KB in two buffers; a buffer a turn were 62 MiB.
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 2 ** 20)
      expect(a.all('down')).toEqual([])
      raw.read(true)
      const whole = 12 * 1_000_004 + 1_000 * 104
      await bench.sees('all of it arrives', () => raw.heardBytes >= whole)
      await raw.leave()
    } finally {
      await bench.close()
    }
  })

  test('row 12: all clients together, 256 MiB', () => {
    expect(streamLimits({}, 'x').clientQueuesBytesMax).toBe(2 ** 28)
  })

  overStreams(
    'row 12: beyond the sum for all clients the greatest laggard goes first, readers stay',
    { clientQueuesBytesMax: 12 * 2 ** 20, strangersPerHostMax: 32 },
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const readers: Stranger[] = []
      for (const name of ['~greedy', '~m1', '~m2', '~m3', '~m4', '~m5', '~idle']) {
        const one = await Stranger.opened(bench, a, name)
        await one.link(name)
        if (name !== '~idle') one.read(false)
        readers.push(one)
      }
      const frame = Buffer.alloc(250_000, 1)
      // As much as its own queue takes, which is less than the sum.
      let taken = 'sent'
      for (let i = 0; i < 200 && taken !== 'dropped'; i++) {
        taken = a.send('~greedy', frame)
        await bench.pass(1)
      }
      expect(taken).toBe('dropped')
      expect(a.all('down')).toEqual([])
      // Each of the others as far as its link is congested: 4 MiB a client.
      for (const name of ['~m1', '~m2', '~m3', '~m4', '~m5'])
        for (let i = 0, result = 'sent'; i < 200 && result === 'sent'; i++) {
          result = a.send(name, frame)
          await bench.pass(1)
        }
      await bench.sees('it is down', () => a.all('down').length >= 2)
      const downs = a.all('down')
      expect(downs[0].peer).toBe('~greedy')
      expect(downs.map(({ cause }) => codeIn(cause))).toEqual(downs.map(() => 'SLOW_CONSUMER'))
      expect(downs.length, 'no more than it takes').toBeLessThan(6)
      expect(a.isUp('~idle')).toBe(true)
      expect(a.send('~idle', Buffer.alloc(100_000))).toBe('sent')
      await livesOn(bench, a)
      for (const one of readers) await one.leave()
    },
  )

  overStreams(
    'row 12: a client that reads slowly is not: all that was sent arrives',
    medium => (medium !== 'memory' ? { stalledMs: 400, clientQueueBytesMax: 2 ** 27 } : {}),
    async it => {
      const { bench } = it
      const a = await bench.started('a')
      const raw = await Stranger.opened(bench, a)
      await raw.link('~slow')
      const frame = Buffer.alloc(it.name !== 'memory' ? 4_000_000 : 400_000, 1)
      const frames = it.name !== 'memory' ? 10 : 8
      for (let i = 0; i < frames; i++) expect(a.send('~slow', frame)).toBe('sent')
      const whole = frames * frame.length
      const began = bench.medium.clock.now()
      while (raw.heardBytes < whole && !raw.closed) {
        raw.read(false)
        await bench.pass(it.name !== 'memory' ? 60 : 100)
        raw.read(true)
        await bench.pass(1)
      }
      const stalledMs = it.name !== 'memory' ? 400 : TIMES.stalledMs
      expect(bench.medium.clock.now() - began).toBeGreaterThan(1.5 * stalledMs)
      expect(raw.closed).toBe(false)
      expect(a.all('down')).toEqual([])
      await raw.leave()
    },
    { bytesPerMs: 40 },
  )

  test('row 12: a slave that takes nothing costs 1 MiB, keeps its link, is fed again', async () => {
    const { bench, network, clock } = simulated(5)
    const [a, b] = await bench.pair()
    network.clog('a', 'b', 60_000)
    let taken = 0
    let result = 'sent'
    for (let i = 0; i < 1_000 && result !== 'dropped'; i++) {
      result = a.send('b', Buffer.alloc(16_380))
      if (result !== 'dropped') taken += 16_384
    }
    expect(result).toBe('dropped')
    // What travels is the medium's.
    expect(taken).toBeLessThanOrEqual(LIMITS.peerQueueBytesMax + 262_144 + 65_536)
    expect(taken).toBeGreaterThan(LIMITS.peerQueueBytesMax / 2)
    clock.advance(59_000)
    expect([a.all('down'), a.all('writable')]).toEqual([[], []])
    clock.advance(5_000)
    expect(a.all('writable')).toHaveLength(1)
    expect(b.all('frame').length * 16_384).toBe(taken)
  })
})

describe('row 9, calls of a client', () => {
  overStreams('row 9: a client on hold is not read from until it is let go on', {}, async it => {
    const { bench } = it
    const a = await bench.started('a', { on: echo })
    const raw = await Stranger.opened(bench, a)
    await raw.link('~eager')
    a.transport.hold?.('~eager', true)
    const frame = framed(Buffer.alloc(100_000, 1))
    for (let i = 0; i < 30; i++) raw.write(frame)
    await bench.pass(200)
    expect(a.all('frame').length).toBeLessThan(2)
    await livesOn(bench, a)
    a.transport.hold?.('~eager', false)
    const heard = () => a.all('frame', '~eager').length === 30
    await bench.sees('all are served', heard)
    await raw.leave()
  })

  test('row 9: a link between nodes is never on hold: its acks must flow', async () => {
    const { bench } = simulated(6)
    const [a, b] = await bench.pair()
    a.transport.hold?.('b', true)
    b.send('a', Buffer.from('ack'))
    await bench.sees('it flows', () => a.all('frame', 'b').length === 1)
  })
})
