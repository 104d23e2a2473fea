/** What nodes of strategy broadcast say to each other: round trips, golden bytes, every cut. */
import { describe, expect, it } from 'vitest'
import { encodeBatch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import { writeSet } from '../src/wire/command.js'
import type { BroadcastMessage } from '../strategies/broadcast/index.js'
import { messageCodec } from '../strategies/broadcast/message-codec.js'
import { codeOf } from './harness/codes.js'
import { expectGolden } from './harness/golden.js'

const life = { number: 1_700_000_000_000 * 256 + 1, incarnation: '00112233445566ff' }
const out = new Writer()
writeSet(out, 'sessions', 'sid', Buffer.from('value'), { ifVersion: 8_193, ttlMs: 1_000 })
const bytes = out.copy()
const client = { id: 'c'.repeat(16), lowest: 3 }
const proposal = { id: 1, ack: 'master', client, seq: 4, bytes, start: 0 } as const
const batch = encodeBatch(life, 7, 1_782_153_341_861_893, 99, [{ ...proposal, end: bytes.length }])
const known = { life, next: 8, from: 8_192, upto: 1_782_153_341_861_893, crc: 77 }
const vector = [known]
const root = Uint8Array.from({ length: 8 }, (_, i) => i)
const nodes = Uint8Array.from({ length: 256 }, (_, i) => i)

const messages: { [T in BroadcastMessage['type']]: Extract<BroadcastMessage, { type: T }> } = {
  entries: { type: 'entries', wall: 1_700_000_000_000, ack: true, batches: [batch] },
  heartbeat: {
    type: 'heartbeat',
    ...{
      wall: 1_700_000_000_000,
      ahead: -1.5,
      time: 1_700_000_000_001,
      serving: true,
      apart: false,
    },
    ...{ horizon: 8_192, vector },
  },
  ack: { type: 'ack', life, next: 8 },
  pull: { type: 'pull', life, from: 3 },
  gone: { type: 'gone', life },
  ask: { type: 'ask', round: 5, vector, root },
  nodes: { type: 'nodes', round: 5, vector, nodes },
  leaves: { type: 'leaves', round: 5, vector, differ: 0x80000000, leaves: nodes },
  differ: { type: 'differ', round: 5, leaves: nodes.subarray(0, 128) },
  records: { type: 'records', round: 5, asker: true, index: 2, last: true, slice: root },
}

describe.each(Object.values(messages))('$type', message => {
  it('comes back as it was sent', () => {
    const codec = messageCodec()
    const frame = Buffer.from(codec.encode(message))
    const read = codec.decode(frame) as unknown as Record<string, unknown>
    for (const [name, value] of Object.entries(message))
      if (value instanceof Uint8Array)
        expect(Buffer.from(read[name] as Uint8Array)).toEqual(Buffer.from(value))
      else if (name !== 'batches') expect(read[name]).toEqual(value)
    expect(Buffer.from(codec.encode(read as never))).toEqual(frame)
  })

  it('has the bytes that it always had', () => {
    expectGolden(`broadcast-${message.type}`, messageCodec().encode(message))
  })

  it('is refused when it is cut anywhere, or longer', () => {
    const codec = messageCodec()
    const frame = Buffer.from(codec.encode(message))
    for (let length = 0; length < frame.length; length++)
      expect(codeOf(() => codec.decode(frame.subarray(0, length)))).toBe('PROTOCOL_ERROR')
    expect(codeOf(() => codec.decode(Buffer.concat([frame, root])))).toBe('PROTOCOL_ERROR')
  })
})

describe('what no node says', () => {
  it('is refused: unknown and foreign kinds, offsets and stamps that are none', () => {
    const codec = messageCodec()
    for (const kind of [0x40, 0x50, 0x5f, 0x6a, 0xff])
      expect(codeOf(() => codec.decode(Buffer.alloc(64, kind)))).toBe('PROTOCOL_ERROR')
    const wrong = [
      { ...messages.heartbeat, vector: [{ ...known, next: 0 }] },
      { ...messages.heartbeat, horizon: 1.5 },
      { ...messages.heartbeat, wall: Number.NaN },
      { ...messages.heartbeat, time: -1 },
      { ...messages.entries, batches: [encodeBatch(life, 7, 1.5, 0, [{ ...proposal, end: 30 }])] },
    ]
    for (const message of wrong) {
      const frame = Buffer.from(codec.encode(message))
      expect(codeOf(() => codec.decode(frame))).toBe('PROTOCOL_ERROR')
    }
  })
})
