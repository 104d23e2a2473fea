/**
 * Clients behind a real reverse proxy. They know its address alone, one path a node; what the nodes
 * call themselves leads nowhere from where the clients are.
 *
 *   client --ws://proxy/a--> HAProxy --ws://127.0.0.1:x/a--> a
 *                                    --ws://127.0.0.1:y/b--> b
 */
import { afterEach, describe, expect, test } from 'vitest'
import type { TransportFactory } from '../src/contracts/transport.js'
import { type Client, type ClientOptions, connect, createNode, type Node } from '../src/index.js'
import { type WebSocketOptions, websocket } from '../transports/websocket.js'
import { Authority } from './harness/certificates.js'
import { rejectionOf } from './harness/codes.js'
import { HaProxy } from './harness/haproxy.js'
import { freePorts } from './harness/processes.js'
import { lacks } from './harness/programs.js'

const IDS = ['a', 'b', 'c']
const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Ground {
  readonly proxy: HaProxy
  readonly nodes: Node[]
  /** What clients are given. */
  servers(scheme?: string): string[]
}

async function behindProxy(pem?: string, more: object = {}): Promise<Ground> {
  const ports = await freePorts(IDS.length)
  const at = Object.fromEntries(IDS.map((id, i) => [id, ports[i]]))
  const members = IDS.map((id, ordinal) => {
    return { id, ordinal, address: `ws://127.0.0.1:${ports[ordinal]}/${id}` }
  })
  const nodes = await Promise.all(
    IDS.map(id => createNode({ cluster: 'proxied', id, members, ...more })),
  )
  for (const node of nodes) closing.push(() => node.close({ handover: false }))
  await Promise.all(nodes.map(node => node.ready()))
  const proxy = await HaProxy.start({ nodes: at, ...(pem === undefined ? {} : { pem }) })
  closing.push(() => proxy.stop())
  const servers = (scheme = 'ws') => IDS.map(id => `${scheme}://127.0.0.1:${proxy.port}/${id}`)
  return { proxy, nodes, servers }
}

/** A client for which the nodes' own addresses lead nowhere; `dialled` notes what it tries. */
async function outside(
  { proxy, servers }: Ground,
  options: Partial<ClientOptions> = {},
  { scheme = 'ws', web = {} as WebSocketOptions } = {},
): Promise<{ client: Client; dialled: Set<string> }> {
  const dialled = new Set<string>()
  const transport: TransportFactory = env => {
    const inner = websocket(web)(env)
    const { connect: dial } = inner
    inner.connect = (peer, address) => {
      dialled.add(address)
      const reachable = address.includes(`:${proxy.port}/`)
      dial.call(inner, peer, reachable ? address : 'ws://127.0.0.1:1')
    }
    return inner
  }
  const given = { cluster: 'proxied', servers: servers(scheme), transport, timeoutMs: 8_000 }
  const client = await connect({ ...given, ...options })
  closing.push(() => client.close())
  return { client, dialled }
}

// Only where the program is missing, as the set-up has said; with CI=true that has failed already.
describe.skipIf(lacks('haproxy'))('a client behind HAProxy', () => {
  test('sets and gets, with the built-in transport of its scheme', async () => {
    const { servers } = await behindProxy()
    const client = await connect({ cluster: 'proxied', servers: servers(), timeoutMs: 8_000 })
    closing.push(() => client.close())
    const cache = client.cache<string>('s')
    const receipt = await cache.set('k', 'v', { ack: 'majority' })
    expect(receipt.copies).toBeGreaterThan(1)
    expect(await cache.get('k')).toBe('v')
  })

  test('survives that the proxy closes its links, and that the proxy is restarted', async () => {
    const ground = await behindProxy()
    const { client } = await outside(ground)
    const cache = client.cache<number>('s')
    const lost: string[] = []
    client.on('link', ({ up, address }) => {
      if (!up && address.includes(`:${ground.proxy.port}/`)) lost.push(address)
    })
    for (let round = 0; round < 3; round++) {
      await cache.set('k', round)
      await ground.proxy.cut(client.master as string)
      await cache.set('l', round)
      expect(await cache.get('k')).toBe(round)
    }
    expect(lost.length).toBeGreaterThanOrEqual(3)
    const asked = ground.proxy.pause().then(() => cache.set('k', 7, { timeoutMs: 500 }))
    await asked.catch(() => {})
    await ground.proxy.resume()
    await cache.set('k', 8)
    expect(await cache.get('k')).toBe(8)
  })

  test('stays with the list that it was given, through a failover too', async () => {
    const ground = await behindProxy()
    const { client, dialled } = await outside(ground)
    const cache = client.cache<number>('s')
    await cache.set('k', 1, { ack: 'majority' })
    const old = client.master
    await ground.nodes[IDS.indexOf(old as string)].close({ handover: false })
    expect(await cache.get('k')).toBe(1)
    await cache.set('k', 2)
    expect(client.master).not.toBe(old)
    for (const address of ground.servers()) expect([...dialled]).toContain(address)
    await ground.proxy.cut(client.master as string)
    await cache.set('k', 3)
    expect(await cache.get('k')).toBe(3)
  })

  test('hears that a node is gone as "unreachable", not as a refusal', async () => {
    const ground = await behindProxy()
    const [a] = ground.nodes
    await a.close()
    const only = { servers: [ground.servers()[0]], timeoutMs: 1_000 }
    expect(await rejectionOf(outside(ground, only))).toBe('UNREACHABLE')
  })

  test('proves itself where TLS ends at the proxy, if it says so', async () => {
    const authority = new Authority()
    const { cert, key } = authority.issue('proxy', { hosts: ['127.0.0.1'] })
    const secret = 'a secret of more than thirty-two bytes, for tests'
    const ground = await behindProxy(`${cert}${key}`, { auth: { secret } })
    const tls = { ca: authority.cert }
    const auth = { secret }
    const how = (web: WebSocketOptions) => ({ scheme: 'wss', web: { tls, ...web } })
    const bound = outside(ground, { auth, timeoutMs: 3_000 }, how({}))
    expect(await rejectionOf(bound), 'a proof is bound to its TLS').toBe('AUTH_FAILED')
    const { client } = await outside(ground, { auth }, how({ proxyEndsTls: true }))
    await client.cache('s').set('k', 1)
    const foreign = { tls: { ca: new Authority('another').cert }, proxyEndsTls: true }
    const deceived = outside(ground, { auth, timeoutMs: 3_000 }, { scheme: 'wss', web: foreign })
    expect(['REFUSED', 'UNREACHABLE']).toContain(await rejectionOf(deceived))
  })
})
