/** Frames on a stream, and the numbers of a link session. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { FrameDecoder, framed } from '../src/wire/frame.js'
import { SessionReceiver, SessionSender } from '../src/wire/link-session.js'
import { codeOf } from './harness/codes.js'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function collect(frameBytesMax = 4_096) {
  const frames: string[] = []
  const decoder = new FrameDecoder(frameBytesMax, { onFrame: frame => frames.push(hex(frame)) })
  return { decoder, frames }
}

describe('frame decoder', () => {
  const anyFrames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 700 }), { maxLength: 12 })

  test('any split of the bytes gives the same frames', () => {
    fc.assert(
      fc.property(anyFrames, fc.array(fc.nat(4_000)), (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(framed))
        const at = [0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length]
        at.sort((a, b) => a - b)
        const { decoder, frames } = collect()
        for (let i = 1; i < at.length; i++) decoder.push(bytes.subarray(at[i - 1], at[i]))
        expect(frames).toEqual(sent.map(hex))
        expect(decoder.heldBytes).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  test('single bytes give the same frames', () => {
    const sent = [1, 2, 3, 255, 256, 257, 1_000].map(length => Buffer.alloc(length, length))
    const { decoder, frames } = collect()
    for (const byte of Buffer.concat(sent.map(framed))) decoder.push(Uint8Array.of(byte))
    expect(frames).toEqual(sent.map(hex))
  })

  test('no prefix of the bytes gives an extra frame', () => {
    const sent = [5, 1, 300].map(length => Buffer.alloc(length, length))
    const bytes = Buffer.concat(sent.map(framed))
    for (let end = 0; end <= bytes.length; end++) {
      const { decoder, frames } = collect()
      decoder.push(bytes.subarray(0, end))
      let whole = 0
      for (let at = 0; whole < sent.length; whole++) {
        at += 4 + sent[whole].length
        if (at > end) break
      }
      expect(frames).toEqual(sent.slice(0, whole).map(hex))
    }
  })

  test('a frame that lies whole in its chunk is not copied', () => {
    const chunk = Buffer.concat([framed(Buffer.from('one')), framed(Buffer.from('two'))])
    const frames: Uint8Array[] = []
    const decoder = new FrameDecoder(16, { onFrame: frame => frames.push(frame) })
    decoder.push(chunk)
    expect(frames.map(frame => frame.buffer === chunk.buffer)).toEqual([true, true])
  })

  test('T13 a length over the limit is refused before a byte is buffered', () => {
    const { decoder, frames } = collect(1_000)
    const head = Buffer.alloc(4)
    head.writeUInt32LE(1_001)
    decoder.push(head.subarray(0, 3))
    expect(codeOf(() => decoder.push(head.subarray(3)))).toBe('FRAME_TOO_BIG')
    expect(decoder.heldBytes).toBe(0)
    decoder.push(framed(Buffer.from('later')))
    expect(frames).toEqual([])
  })

  test('the largest length of all is refused, not taken for a negative one', () => {
    const { decoder } = collect()
    expect(codeOf(() => decoder.push(Buffer.from('ffffffff', 'hex')))).toBe('FRAME_TOO_BIG')
  })

  test('a frame of 0 bytes is no frame', () => {
    const { decoder } = collect()
    expect(codeOf(() => decoder.push(Buffer.alloc(4)))).toBe('PROTOCOL_ERROR')
  })

  test('a declared length alone buys no memory', () => {
    const { decoder } = collect(2 ** 22)
    const head = Buffer.alloc(4)
    head.writeUInt32LE(2 ** 22)
    const before = process.memoryUsage().arrayBuffers
    decoder.push(head)
    decoder.push(Buffer.from('x'))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 16)
  })

  test('stop() from inside a frame ends the delivery at once', () => {
    const frames: string[] = []
    const decoder = new FrameDecoder(16, {
      onFrame(frame) {
        frames.push(hex(frame))
        decoder.stop()
      },
    })
    decoder.push(Buffer.concat([framed(Buffer.from('a')), framed(Buffer.from('b'))]))
    decoder.push(framed(Buffer.from('c')))
    expect(frames).toEqual([hex(Buffer.from('a'))])
  })
})

describe('link session', () => {
  test('repeats and reordering are hidden, for 500 seeds', () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = seededRandom(seed)
      const sender = new SessionSender()
      const arriving: number[] = []
      for (let i = 0; i < 60; i++) {
        const number = sender.next()
        for (let copies = random.chance(0.3) ? 2 : 1; copies > 0; copies--)
          arriving.splice(Math.max(0, arriving.length - random.below(6)), 0, number)
      }
      const delivered: number[] = []
      const receiver = new SessionReceiver<number>(64, item => delivered.push(item))
      for (const number of arriving) expect(receiver.accept(number, number)).toBe(true)
      expect(delivered).toEqual(Array.from({ length: 60 }, (_, i) => i))
      expect(receiver.isComplete(sender.sent)).toBe(true)
    }
  })

  test('what is delivered is always a gapless beginning, and a gap ends the session', () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = seededRandom(seed)
      const delivered: number[] = []
      const receiver = new SessionReceiver<number>(8, item => delivered.push(item))
      let over = false
      const lost = random.below(40)
      for (let number = 0; number < 60 && !over; number++) {
        if (number === lost) continue
        over = !receiver.accept(number, number)
        expect(receiver.held).toBeLessThanOrEqual(8)
      }
      expect(over).toBe(true)
      expect(delivered).toEqual(Array.from({ length: lost }, (_, i) => i))
    }
  })

  test('a lost last datagram is noticed by the count', () => {
    const receiver = new SessionReceiver<string>(8, () => {})
    receiver.accept(0, 'a')
    expect(receiver.isComplete(1)).toBe(true)
    expect(receiver.isComplete(2)).toBe(false)
  })
})
