/**
 * What a server that lies may do to its clients: it is believed in what it says of itself, and no
 * word of it makes a client break, grow without a bound, or run what it sends (SECURITY 3, 6, 9).
 */
import { expect, test, vi } from 'vitest'
import { codecOf } from '../src/cache/codec.js'
import { Client } from '../src/client/connect.js'
import { ReplyReader, type ReplyTable } from '../src/client/reply-reader.js'
import { LIMITS } from '../src/config.js'
import type { Transport, TransportHandler } from '../src/contracts/transport.js'
import { seededRandom } from '../src/core/prng.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { writeEpoch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import { encodeControl, type ViewMember } from '../src/wire/control.js'
import { FRAME } from '../src/wire/requests.js'
import { rejectionOf } from './harness/codes.js'

const LIAR = 'tcp://127.0.0.1:7400'
const FRAME_BYTES_MAX = LIMITS.valueBytesCeiling + LIMITS.frameRoomBytes

/** A client on a link with a server that says what the test wants; whoever is dialled is there. */
function deceived() {
  const frames: number[] = []
  const dialled = new Set<string>()
  let handler: TransportHandler | undefined
  const clock = new VirtualClock()
  const transport = (): Transport => ({
    name: 'lies',
    address: '',
    traits: {
      topology: 'direct',
      detectsPeerLoss: true,
      frameBytesMax: FRAME_BYTES_MAX,
      queueBytesMax: LIMITS.clientQueueBytesMax,
    },
    start: async given => {
      handler = given
    },
    connect: peer => {
      dialled.add(peer)
      clock.after(1, () => handler?.onLinkUp(peer, dialled.size))
    },
    disconnect() {},
    send: (_peer, frame) => {
      frames.push(frame.length)
      return 'sent'
    },
    stop: async () => {},
  })
  const random = seededRandom(1)
  const client = new Client({ cluster: 'shop', servers: [LIAR], transport, clock, random })
  const says = (members: ViewMember[], valueBytesMax?: number) => {
    const of = valueBytesMax === undefined ? {} : { valueBytesMax }
    const who = { node: 'a', master: 'a', epoch: 513, serving: true, members, ...of } as const
    handler?.onFrame(`*${LIAR}`, 1, encodeControl({ type: 'view', ...who }))
  }
  return { client, clock, dialled, frames, says, opening: client.open() }
}

const turn = () => new Promise(resolve => setImmediate(resolve))

test.each([2 ** 30, Number.MAX_SAFE_INTEGER])(
  'a server that claims to take values of %d bytes makes no frame too large to send',
  async most => {
    const { client, clock, frames, says, opening } = deceived()
    await turn()
    clock.advance(2)
    says([], most)
    await opening
    const cache = client.cache<Uint8Array>('c', { codec: 'bytes' })
    const large = cache.set('k', Buffer.alloc(LIMITS.valueBytesCeiling + 1))
    expect(await rejectionOf(large)).toBe('LIMIT')
    const many = Array.from({ length: 24 }, (_, i) => cache.set(`k${i}`, Buffer.alloc(2 ** 20)))
    for (const each of many) each.catch(() => {})
    await turn()
    expect(frames.length).toBeGreaterThan(1)
    expect(Math.max(...frames)).toBeLessThanOrEqual(FRAME_BYTES_MAX)
    await client.close()
  },
)

test('views that name other servers each time leave no more than 256 links', async () => {
  const { client, clock, dialled, says, opening } = deceived()
  await turn()
  clock.advance(2)
  for (let view = 0; view < 8; view++) {
    says(
      Array.from({ length: 200 }, (_, i) => ({
        ...{ id: `n${view}-${i}`, ordinal: i, address: `tcp://10.0.${view}.${i}:7400` },
      })),
    )
    clock.advance(2)
  }
  await opening
  expect(dialled.size).toBeGreaterThan(100)
  expect(dialled.size).toBeLessThanOrEqual(1 + 256)
  await client.close()
})

test('an answer from a log that ends before its first entry is no answer', () => {
  const heard: number[] = []
  const table: ReplyTable = {
    inFlight: () => undefined,
    remove() {},
    onSeen: (_call, _epoch, offset) => heard.push(offset),
    onError() {},
  }
  const out = new Writer(64)
  out.u8(FRAME.reply)
  out.f64(513)
  writeEpoch(out, { number: 513, incarnation: 'a'.repeat(16) })
  out.f64(0)
  out.u16(0)
  const read = () => new ReplyReader().read(table, `*${LIAR}`, out.copy())
  expect(read).toThrow(/before its first entry/)
  expect(heard).toEqual([])
})

test('a value defines no record shapes, which msgpackr would compile once they are used', () => {
  const msgpack = codecOf<unknown>('msgpack')
  const records = [
    `dc0040d4724091a17801${'40'.repeat(63)}`,
    `dc0040d572400191a17801${'400101'.repeat(63)}`,
    'd4724091a17801',
  ]
  const compile = vi.spyOn(globalThis, 'Function')
  for (const hex of records)
    expect(() => msgpack.decode(Buffer.from(hex, 'hex'))).toThrow('not extensible')
  expect(compile).not.toHaveBeenCalled()
  compile.mockRestore()
  // What was refused leaves nothing behind, and all that is promised still comes back.
  const value = { at: new Date(5), of: new Set([1]), big: 2n ** 70n, bytes: Buffer.from('x') }
  expect(msgpack.decode(Buffer.from(msgpack.encode(value)))).toEqual(value)
  expect(msgpack.decode(Buffer.from('9340a17841', 'hex'))).toEqual([64, 'x', 65])
})
