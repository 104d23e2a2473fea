/** The kit of strategies' authors: messages as a table of fields, and copies piece by piece. */
import { describe, expect, test } from 'vitest'
import {
  batchEnd,
  CopyTaker,
  encodeBatch,
  messageCodec,
  NO_EPOCH,
  noopProposal,
} from '../strategies/index.js'
import { codeOf } from './harness/codes.js'

const codec = messageCodec({
  bye: {},
  all: {
    ...({ flag: 'flag', whole: 'whole', number: 'number', text: 'text' } as const),
    ...({ epoch: 'epoch', bytes: 'bytes', batches: 'batches' } as const),
  },
})
const epoch = { number: 513, incarnation: '0123456789abcdef' }
const batch = encodeBatch(epoch, 7, 1_000, 5, [noopProposal(), noopProposal()])
const all = {
  ...({ type: 'all', flag: true, whole: 2 ** 53 - 1, number: -0.5, text: 'grün', epoch } as const),
  ...{ bytes: Uint8Array.of(1, 2, 3), batches: [batch] },
}

describe('messages of a table', () => {
  test('come back as they were, and keep nothing of the frame', () => {
    const frame = new Uint8Array(codec.encode(all))
    const { type, flag, whole, number, text } = all
    expect(codec.decode(frame)).toMatchObject({ type, flag, whole, number, text, epoch })
    const lent = Uint8Array.from(frame)
    const kept = codec.decode(lent)
    lent.fill(0xee)
    expect(new Uint8Array(codec.encode(kept))).toEqual(frame)
    expect(codec.decode(new Uint8Array(codec.encode({ type: 'bye' })))).toEqual({ type: 'bye' })
  })

  test('cut at every byte, or longer, are refused', () => {
    const frame = new Uint8Array(codec.encode(all))
    for (let end = 0; end < frame.length; end++)
      expect(codeOf(() => codec.decode(frame.subarray(0, end)))).toBe('PROTOCOL_ERROR')
    expect(codeOf(() => codec.decode(Uint8Array.of(...frame, 0)))).toBe('PROTOCOL_ERROR')
  })

  test('of another strategy, of no known kind, or with a flag that is none are refused', () => {
    for (const bytes of [
      [0x41, 0],
      [0x40, 2],
      [0x40, 1, 2],
    ])
      expect(codeOf(() => codec.decode(Uint8Array.from(bytes)))).toBe('PROTOCOL_ERROR')
  })
})

describe('the rest of the kit', () => {
  test('a batch ends at its bytes, and holds one proposal at least', () => {
    const proposals = [noopProposal(), noopProposal(), noopProposal()]
    expect(batchEnd(proposals, 0, 1)).toBe(1)
    expect(batchEnd(proposals, 1, 2 ** 20)).toBe(3)
  })

  test('a taker installs the next piece, or the first of another copy, and nothing else', () => {
    const installed: unknown[] = []
    const effects = { install: (...all: unknown[]) => void installed.push(all[3] !== undefined) }
    const taker = new CopyTaker()
    const piece = (index: number, done = false) =>
      taker.take({ index, at: 9, base: NO_EPOCH, crc: 0, done, slice: batch.bytes }, effects)
    expect([piece(1), piece(0), piece(0), piece(2), piece(1), piece(1)]).toEqual([
      false,
      true,
      true,
      false,
      true,
      false,
    ])
    expect([taker.held, piece(2, true), taker.held]).toEqual([2, true, 0])
    expect(installed).toEqual([true, true, false, false])
  })
})
