/** Proofs over TLS, with real nodes: each is bound to the very encryption that carries it. */
import { connect as connectSecurely, createServer, type TLSSocket } from 'node:tls'
import { afterEach, expect, test, vi } from 'vitest'
import { type Client, connect, createNode, type GcacheError, type Node } from '../src/index.js'
import { Authority } from './harness/certificates.js'
import { freePorts } from './harness/processes.js'
import { ANN, ITERATIONS, PASSWORD, SECRET } from './harness/proofs.js'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const authority = new Authority()
const ca = authority.cert
const HOSTS = { hosts: ['127.0.0.1'] }
const opened: { close(): unknown }[] = []

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close()
})

/** Two nodes that are ready, with a secret, a user ann, and certificates. */
async function cluster(): Promise<{ nodes: Node[]; servers: string[] }> {
  const ports = await freePorts(2)
  const servers = ports.map(port => `tcp://127.0.0.1:${port}`)
  const members = servers.map((address, ordinal) => ({ id: 'ab'[ordinal], ordinal, address }))
  const auth = { secret: SECRET, users: ANN, iterations: ITERATIONS }
  const nodes = await Promise.all(
    members.map(({ id }) => {
      const tls = { ...authority.issue(id, HOSTS), ca }
      return createNode({ cluster: 'test', id, members, auth, tls })
    }),
  )
  opened.push(...nodes)
  await Promise.all(nodes.map(node => node.ready()))
  return { nodes, servers }
}

async function ann(servers: string[], timeoutMs = 5_000): Promise<Client> {
  const auth = { user: 'ann', password: PASSWORD }
  const client = await connect({ cluster: 'test', servers, auth, tls: { ca }, timeoutMs })
  opened.push(client)
  return client
}

test('nodes and a client that prove themselves over TLS work together', async () => {
  const { nodes, servers } = await cluster()
  const client = await ann(servers)
  const receipt = await client.cache('c').set('k', 'v', { ack: 'slaves:1' })
  expect(receipt.copies).toBe(2)
  expect(await nodes[1].cache('c').get('k')).toBe('v')
})

test('a proof that is passed on through another encryption is refused', async () => {
  const { servers } = await cluster()
  const { cert, key } = authority.issue('somebody in the middle', HOSTS)
  const pairs: TLSSocket[] = []
  // Its certificate is good for the client, and it passes every byte on unchanged.
  const middle = createServer({ cert, key }, inside => {
    const port = Number(new URL(servers[0]).port)
    const outside = connectSecurely({
      port,
      host: '127.0.0.1',
      ca,
      checkServerIdentity: () => undefined,
    })
    for (const socket of [inside, outside]) socket.on('error', () => {})
    pairs.push(inside, outside)
    inside.pipe(outside).pipe(inside)
  })
  opened.push({
    close: () => {
      for (const socket of pairs) socket.destroy()
      return new Promise(resolve => middle.close(resolve))
    },
  })
  await new Promise<void>(resolve => middle.listen(0, '127.0.0.1', resolve))
  const { port } = middle.address() as { port: number }
  const error = await ann([`tcp://127.0.0.1:${port}`], 3_000).then(
    () => undefined,
    (cause: GcacheError) => cause,
  )
  expect(pairs.length).toBeGreaterThan(0)
  expect(error?.code).toBe('AUTH_FAILED')
})
