/**
 * SECURITY, row 11, over real sockets: who sends a malformed frame is told what and where before
 * its link is closed, nobody else notices, and each refusal is counted by name in the status.
 */
import { connect as dial } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { connect, createNode, type Node, tcp } from '../src/index.js'
import { formatCredential, makeCredential } from '../src/security/credentials.js'
import { parseGrants } from '../src/security/grants.js'
import { Secret } from '../src/security/secret.js'
import { OP, writePlain } from '../src/wire/command.js'
import { FRAME } from '../src/wire/requests.js'
import { rejectionOf } from './harness/codes.js'
import { ITERATIONS, PASSWORD, SECRET } from './harness/proofs.js'
import { RawClient } from './harness/raw-client.js'

vi.setConfig({ testTimeout: 30_000 })

let node: Node
const opened: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  const grants = parseGrants(['c:r'])
  const reader = await makeCredential('reader', 'client', new Secret(PASSWORD), ITERATIONS, grants)
  node = await createNode({
    cluster: 'test',
    id: 'a',
    members: [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }],
    auth: { secret: SECRET, users: formatCredential(reader), iterations: ITERATIONS },
    transport: tcp({ clientQueuesBytesMax: 2 ** 20 }),
  })
  await node.ready()
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map(each => each.close()))
})
afterAll(() => node.close())

async function raw(id: string, user?: string): Promise<RawClient> {
  const auth = user === undefined ? { secret: SECRET } : { user, password: PASSWORD }
  const client = await RawClient.open(node.address, auth, { id })
  opened.push(client)
  return client
}

let asked = 0
async function counts(): Promise<Record<string, number>> {
  const root = await raw(`~count${asked++}`)
  root.tell({ type: 'status', id: 1 })
  const { status } = await root.hears('status-reply')
  return status.extra as Record<string, number>
}

test('row 11: a malformed frame is answered with code and place, then the link ends', async () => {
  const before = await counts()
  const [bad, good] = await Promise.all([raw('~bad'), raw('~good')])
  const shapes = [
    Buffer.from([FRAME.request, 0, 9, 9]),
    Buffer.from([FRAME.control, 0xc1]),
    Buffer.from([FRAME.control, 0x90]),
  ]
  for (const [i, shape] of shapes.entries()) {
    const one = i === 0 ? bad : await raw(`~bad${i}`)
    const began = performance.now()
    one.say(shape)
    const { what, code, offset, message } = await one.hears('refused')
    expect([what, code], message).toEqual(['link', 'PROTOCOL_ERROR'])
    expect(offset).toBeGreaterThan(0)
    await one.sees('the end', () => one.down !== undefined)
    expect(performance.now() - began).toBeLessThan(1_000)
  }
  expect(await good.ask(out => writePlain(out, OP.get, 'c', 'k'))).toBe('ok')
  expect(good.down).toBeUndefined()
  expect((await counts()).protocolErrors).toBe(before.protocolErrors + shapes.length)
})

test('row 11: what a client had asked before is answered before it is told', async () => {
  const client = await raw('~mixed')
  expect(await client.ask(out => writePlain(out, OP.get, 'c', 'k'))).toBe('ok')
  client.tell({ type: 'status', id: 7 })
  client.say(Buffer.from([FRAME.request, 0, 9, 9]))
  await client.hears('refused')
  expect((await client.hears('status-reply')).id).toBe(7)
})

test('row 11: a node does not answer last words, nor can they make it fail', async () => {
  const client = await raw('~sulks')
  for (let i = 0; i < 50; i++)
    client.tell({ type: 'refused', id: 0, what: 'link', code: 'NO_SUCH', message: 'x'.repeat(999) })
  expect(await client.ask(out => writePlain(out, OP.get, 'c', 'k'))).toBe('ok')
  expect(client.down).toBeUndefined()
})

test('each kind of refusal is counted by its name in the status', async () => {
  const before = await counts()
  for (const name of [
    'forbidden',
    'protocolErrors',
    'preauthRefusals',
    'authFailures',
    'slowConsumers',
  ])
    expect(before[name], name).toBeTypeOf('number')

  const reader = await raw('~reader', 'reader')
  expect(await reader.ask(out => writePlain(out, OP.clear, 'c', ''))).toBe('FORBIDDEN')
  const wrong = connect({
    cluster: 'test',
    servers: [node.address],
    auth: { user: 'reader', password: 'wrong' },
  })
  expect(await rejectionOf(wrong)).toBe('AUTH_FAILED')
  const { hostname, port } = new URL(node.address.replace('tcp:', 'http:'))
  const stranger = dial(Number(port), hostname)
  stranger.on('error', () => {}).write(Buffer.alloc(64, 0x7f))
  await new Promise(resolve => stranger.on('close', resolve).resume())

  // Watches far more than it reads: the sum for all clients is 1 MiB here.
  const mute = await raw('~mute')
  mute.tell({ type: 'watch', id: 1, cache: 'c', prefix: '' })
  mute.pause()
  const cache = node.cache<Uint8Array>('c', { codec: 'bytes' })
  for (let i = 0; i < 200; i++) {
    await cache.set('k', Buffer.alloc(500_000, i))
    if ((await counts()).slowConsumers > before.slowConsumers) break
  }
  const after = await counts()
  expect(after.forbidden).toBe(before.forbidden + 1)
  expect(after.authFailures).toBe(before.authFailures + 1)
  expect(after.preauthRefusals).toBe(before.preauthRefusals + 1)
  expect(after.slowConsumers).toBe(before.slowConsumers + 1)
})
