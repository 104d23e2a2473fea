/**
 * SECURITY, row 8: the value limit as an option, up to 16 MiB, over real sockets: such a value is
 * set, read, watched over by nobody else's calls, copied to a slave that comes later, and refused
 * by one byte more. Nodes of different limits say so in their handshake.
 */
import { afterEach, expect, test, vi } from 'vitest'
import { LIMITS } from '../src/config.js'
import { type Client, connect, createNode, type Node, type NodeOptions } from '../src/index.js'
import { fitted, streamLimits } from '../transports/stream/limits.js'
import { tcp } from '../transports/tcp.js'
import { rejectionOf } from './harness/codes.js'
import { freePorts } from './harness/processes.js'

vi.setConfig({ testTimeout: 60_000 })

const MIB = 2 ** 20
const MOST = 16 * MIB
const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function membersOf(ids: readonly string[]) {
  const ports = await freePorts(ids.length)
  return ids.map((id, ordinal) => ({ id, ordinal, address: `tcp://127.0.0.1:${ports[ordinal]}` }))
}

async function started(
  id: string,
  members: NodeOptions['members'],
  options: Partial<NodeOptions> = {},
): Promise<Node> {
  const node = await createNode({ cluster: 'large', id, members, ...options })
  open.push({ close: () => node.close({ handover: false }) })
  return node
}

async function clientOf(...servers: string[]): Promise<Client> {
  const client = await connect({ cluster: 'large', servers, timeoutMs: 20_000 })
  open.push(client)
  return client
}

/** Bytes that differ everywhere, so that a piece in the wrong place is seen. */
function pattern(bytes: number, seed: number): Buffer {
  const value = Buffer.allocUnsafe(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4)
    value.writeUInt32LE((at * 2_654_435_761 + seed) >>> 0, at)
  return value.fill(seed, bytes - (bytes % 4))
}

test('row 8: 16 MiB are set, read, replicated and copied; a byte more is LIMIT', async () => {
  const members = await membersOf(['a', 'b'])
  const options = { valueBytesMax: MOST }
  const a = await started('a', members, options)
  const b = await started('b', members, options)
  await Promise.all([a.ready(), b.ready()])
  const client = await clientOf(members[0].address)
  const cache = client.cache<Uint8Array>('blobs', { codec: 'bytes' })
  const value = pattern(MOST, 1)
  const receipt = await cache.set('large', value, { ack: 'slaves:1' })
  expect(receipt.copies).toBe(2)
  expect(Buffer.compare((await cache.get('large')) as Uint8Array, value)).toBe(0)
  expect(await rejectionOf(cache.set('large', Buffer.alloc(MOST + 1)))).toBe('LIMIT')

  // A node's own calls, over the link between nodes.
  const own = b.cache<Uint8Array>('blobs', { codec: 'bytes' })
  expect((await own.set('other', pattern(MOST, 2), { ack: 'slaves:1' })).copies).toBe(2)
  expect(Buffer.compare((await own.get('large')) as Uint8Array, value)).toBe(0)
  expect(await rejectionOf(own.set('large', Buffer.alloc(MOST + 1)))).toBe('LIMIT')

  // A slave that begins empty is copied the whole.
  await b.close()
  const again = await started('b', members, options)
  await again.ready()
  const slave = again.cache<Uint8Array>('blobs', { codec: 'bytes' })
  const copied = await slave.get('large', { read: 'local', maxStaleMs: 20_000 })
  expect(Buffer.compare(copied as Uint8Array, value)).toBe(0)
})

test('row 8: several large values at once wait for one another, and no link ends', async () => {
  const members = await membersOf(['a', 'b'])
  const lines: string[] = []
  const note = (fields: Record<string, unknown>, text: string) => {
    lines.push(`${text} ${JSON.stringify(fields)}`)
  }
  const logger = { debug: () => {}, info: note, warn: note, error: note }
  const options = { valueBytesMax: MOST, logger }
  const a = await started('a', members, options)
  const b = await started('b', members, options)
  await Promise.all([a.ready(), b.ready()])
  const client = await clientOf(members[0].address)
  const downs: unknown[] = []
  client.on('link', change => {
    if (!change.up) downs.push(change)
  })
  const cache = client.cache<Uint8Array>('blobs', { codec: 'bytes', timeoutMs: 20_000 })
  lines.length = 0
  const small = Array.from({ length: 50 }, (_, i) => cache.set(`s${i}`, Buffer.alloc(100, i)))
  const large = [1, 2, 3].map(i => cache.set(`k${i}`, pattern(6 * MIB, i), { ack: 'slaves:1' }))
  await Promise.all([...small, ...large])
  const read = await Promise.all([1, 2, 3, 1, 2, 3].map(i => cache.get(`k${i}`)))
  expect(read.map(value => value?.length)).toEqual(Array(6).fill(6 * MIB))
  expect(downs).toEqual([])
  expect(lines.filter(line => !line.startsWith('in-sync '))).toEqual([])
})

test('row 8: without the option the limit is 1 MiB, and clients learn a smaller one', async () => {
  const members = await membersOf(['a'])
  const a = await started('a', members)
  await a.ready()
  const cache = (await clientOf(members[0].address)).cache('blobs', { codec: 'bytes' })
  await cache.set('k', Buffer.alloc(MIB))
  expect(await rejectionOf(cache.set('k', Buffer.alloc(MIB + 1)))).toBe('LIMIT')

  const alone = await membersOf(['a'])
  const small = await started('a', alone, { valueBytesMax: 1_024 })
  await small.ready()
  const client = await clientOf(alone[0].address)
  const tight = client.cache('blobs', { codec: 'bytes' })
  expect(await rejectionOf(tight.set('k', Buffer.alloc(1_025)))).toBe('LIMIT')
  const many = Array.from({ length: 400 }, (_, i) =>
    tight.set(`${'k'.repeat(400)}${i}`, Buffer.alloc(1_024)),
  )
  expect(await Promise.all(many)).toHaveLength(400)
})

test('row 8: a limit outside 1 KiB to 16 MiB is CONFIG, as is one no frame holds', async () => {
  const members = await membersOf(['a'])
  const base = { cluster: 'large', id: 'a', members }
  for (const valueBytesMax of [1_023, MOST + 1, 0, -1, 1.5, Number.NaN])
    expect(await rejectionOf(createNode({ ...base, valueBytesMax }))).toBe('CONFIG')
  const transport = tcp({ frameBytesMax: 5 * MIB })
  const options = { ...base, transport, valueBytesMax: 5 * MIB }
  expect(await rejectionOf(createNode(options))).toBe('CONFIG')
})

test('row 6: frames follow the value limit', () => {
  const at = (valueBytesMax: number) => {
    const { frameBytesMax, clientFrameBytesMax } = fitted(streamLimits({}, 'x'), valueBytesMax)
    return [frameBytesMax, clientFrameBytesMax]
  }
  const room = LIMITS.frameRoomBytes
  expect(at(1_024)).toEqual([4 * MIB, 1_024 + room])
  expect(at(LIMITS.valueBytesMax)).toEqual([4 * MIB, MIB + room])
  expect(at(4 * MIB)).toEqual([4 * MIB + room, 4 * MIB + room])
  expect(at(MOST)).toEqual([MOST + room, MOST + room])
  const set = fitted(streamLimits({ frameBytesMax: 9, clientFrameBytesMax: 8 }, 'x'), MOST)
  expect([set.frameBytesMax, set.clientFrameBytesMax], 'what was set stays').toEqual([9, 8])
})

test('row 8: a node whose frames hold less than our values is refused, and told why', async () => {
  const members = await membersOf(['a', 'b'])
  const warned: string[] = []
  let heard = () => {}
  const both = new Promise<void>(resolve => {
    heard = resolve
  })
  const loggerOf = (id: string) => {
    const warn = (fields: Record<string, unknown>) => {
      if (String(fields.reason).includes('--value-max')) warned.push(id)
      if (warned.includes('a') && warned.includes('b')) heard()
    }
    return { debug() {}, info() {}, warn, error() {} }
  }
  await started('a', members, { valueBytesMax: MOST, logger: loggerOf('a') })
  await started('b', members, { logger: loggerOf('b') })
  await both
})
