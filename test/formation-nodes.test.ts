/** Embedded nodes without a list of members, on real sockets: they find each other or say why. */
import { afterEach, describe, expect, test } from 'vitest'
import type { DiscoveryFactory } from '../src/contracts/discovery.js'
import { multicast } from '../src/discovery/multicast.js'
import { staticAddresses } from '../src/discovery/static.js'
import { type Client, connect, GcacheError, masterSlave } from '../src/index.js'
import { createNode, type Node } from '../src/node.js'
import type { NodeOptions } from '../src/options.js'
import { freeMulticastPort } from './harness/multicast-port.js'
import { freePorts } from './harness/processes.js'

const SECRET = 'a secret of thirty-two bytes and more'
const INTERVAL_MS = 100
const nodes: Node[] = []
const clients: Client[] = []

afterEach(async () => {
  await Promise.all(clients.splice(0).map(client => client.close()))
  await Promise.all(nodes.splice(0).map(node => node.close({ handover: false })))
})

async function start(
  discovery: DiscoveryFactory,
  ordinal: number,
  more: Partial<NodeOptions> = {},
): Promise<Node> {
  const id = String.fromCharCode(97 + ordinal)
  const node = await createNode({ cluster: 'found', id, ordinal, discovery, ...more })
  nodes.push(node)
  return node
}

async function group(): Promise<() => DiscoveryFactory> {
  const port = await freeMulticastPort()
  return () => multicast({ port, intervalMs: INTERVAL_MS })
}

const ids = (node: Node) => node.status().members.map(({ id }) => id)

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    caught => caught as GcacheError,
  )
  return error instanceof GcacheError ? error.code : String(error)
}

/** Resolves once it holds; looked at after each tick of the node. */
async function until(holds: () => boolean, msMax = 10_000): Promise<void> {
  const deadline = performance.now() + msMax
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('not within the deadline')
    await new Promise(resolve => setImmediate(resolve))
  }
}

describe('nodes that find each other by multicast', () => {
  test('found one cluster, one started after the other', async () => {
    const discover = await group()
    const a = await start(discover(), 0)
    expect(a.status()).toMatchObject({ members: [{ id: 'a', state: 'forming' }] })
    const b = await start(discover(), 1)
    await Promise.all([a.ready(), b.ready()])
    expect(ids(a)).toEqual(['a', 'b'])
    expect(ids(b)).toEqual(['a', 'b'])
    expect(a.status().master).toBe('a')
    await a.cache('c').set('k', 1)
    expect(await b.cache('c').get('k')).toBe(1)
  })

  test('take in who comes later, one at a time, and it becomes a voter', async () => {
    const discover = await group()
    const a = await start(discover(), 0)
    const b = await start(discover(), 1)
    await Promise.all([a.ready(), b.ready()])
    const [c, d] = await Promise.all([start(discover(), 2), start(discover(), 3)])
    await Promise.all([c.ready(), d.ready()])
    await until(() => ids(a).length === 4)
    expect(ids(a)).toEqual(['a', 'b', 'c', 'd'])
    await until(() => a.status().members.every(({ state }) => state === 'online'))
    const receipt = await a.cache('c').set('k', 1, { ack: 'all' })
    expect(receipt.copies).toBe(4)
  })

  test('let a restarted one back in, on another port, and fail over to it', async () => {
    const discover = await group()
    const a = await start(discover(), 0)
    const b = await start(discover(), 1)
    await Promise.all([a.ready(), b.ready()])
    await a.cache('c').set('k', 1)
    await b.close({ handover: false })
    const again = await start(discover(), 1)
    await again.ready()
    expect(again.address).not.toBe(b.address)
    await until(() => a.status().members.every(({ state }) => state === 'online'))
    await a.close({ handover: false })
    await until(() => again.status().master === 'b')
    expect(await again.cache('c').get('k')).toBe(1)
  })

  test('prove themselves and sign, where there is a secret', async () => {
    const discover = await group()
    const auth = { secret: SECRET, iterations: 4_096 }
    const a = await start(discover(), 0, { auth })
    const b = await start(discover(), 1, { auth })
    await Promise.all([a.ready(), b.ready()])
    const client = await connect({
      ...{ cluster: 'found', auth: { secret: SECRET }, discovery: discover() },
    })
    clients.push(client)
    await client.cache('c').set('k', 1)
    expect((await client.status()).members.map(({ id }) => id)).toEqual(['a', 'b'])
    // Who knows another secret is neither heard nor let in.
    const stranger = await start(discover(), 2, {
      auth: { secret: SECRET.repeat(2), iterations: 4_096 },
    })
    expect(await codeOf(stranger.ready({ timeoutMs: 2_500 }))).toBe('NOT_READY')
    expect(stranger.status().members).toHaveLength(1)
    expect(ids(a)).toEqual(['a', 'b'])
  })

  test('wait for the founders, and say for whom', async () => {
    const discover = await group()
    const strategy = masterSlave({ profile: 'majority' })
    const some = await Promise.all(
      [0, 2, 3].map(ordinal => start(discover(), ordinal, { strategy, expect: 3 })),
    )
    const error = await some[0].ready({ timeoutMs: 3_000 }).catch(caught => caught as GcacheError)
    expect(error).toMatchObject({ code: 'NOT_READY' })
    expect((error as Error).message).toMatch(/ordinals 0 to 2.*waits for 1/)
    const b = await start(discover(), 1, { strategy, expect: 3 })
    await Promise.all([...some, b].map(node => node.ready()))
    await until(() => some[0].status().members.length === 4)
    expect(some[0].status().profile).toBe('majority')
  })
})

describe('two processes with one id', () => {
  test('the newcomer is refused by name, and the cluster stays as it is', async () => {
    const discover = await group()
    const lines: string[] = []
    const say = (_: unknown, text: string) => lines.push(text)
    const logger = {
      debug: say,
      info: say,
      error: say,
      warn: (f: object, t: string) => lines.push(`${t} ${JSON.stringify(f)}`),
    }
    const a = await start(discover(), 0)
    const b = await start(discover(), 1, { logger })
    await Promise.all([a.ready(), b.ready()])
    const twin = await start(discover(), 1)
    const errors: string[] = []
    twin.on('error', error => errors.push(error.code))
    expect(await codeOf(twin.ready())).toBe('ID_TAKEN')
    expect(errors).toEqual(['ID_TAKEN'])
    await until(() => lines.some(line => line.includes('ID_TAKEN')))
    expect(await codeOf(b.ready())).toBe('undefined')
    expect(a.status().members.every(({ state }) => state === 'online')).toBe(true)
  })

  test('without announcements the master tells that it is online', async () => {
    const [p, q] = await freePorts(2)
    const seeds = [p, q].map(port => `tcp://127.0.0.1:${port}`)
    const discover = () => staticAddresses([seeds[0]])
    const a = await start(staticAddresses(seeds), 0, { listen: seeds[0] })
    const b = await start(discover(), 1, { listen: seeds[1] })
    await Promise.all([a.ready(), b.ready()])
    await until(() => a.status().members.every(({ state }) => state === 'online'))
    const twin = await start(discover(), 1)
    expect(await codeOf(twin.ready())).toBe('ID_TAKEN')
  })

  test('of two that found at once the older one stays', async () => {
    const discover = await group()
    const older = await start(discover(), 0)
    const younger = await start(discover(), 0)
    expect(await codeOf(younger.ready())).toBe('ID_TAKEN')
    const b = await start(discover(), 1)
    await Promise.all([older.ready(), b.ready()])
  })
})

describe('what no waiting mends', () => {
  test('an ordinal that is taken ends the newcomer with CONFIG', async () => {
    const discover = await group()
    const a = await start(discover(), 0)
    const b = await start(discover(), 1)
    await Promise.all([a.ready(), b.ready()])
    const c = await start(discover(), 1, { id: 'c' })
    expect(await codeOf(c.ready())).toBe('CONFIG')
  })

  test('another ordinal than before is CONFIG', async () => {
    const discover = await group()
    const a = await start(discover(), 0)
    const b = await start(discover(), 1)
    await Promise.all([a.ready(), b.ready()])
    await b.close()
    const again = await start(discover(), 5, { id: 'b' })
    expect(await codeOf(again.ready())).toBe('CONFIG')
  })

  test('whom it cannot reach is told with what it waits for', async () => {
    const a = await start(staticAddresses(['tcp://127.0.0.1:1', 'ws://127.0.0.1:1']), 0)
    const why = () => a.ready({ timeoutMs: 300 }).then(String, String)
    expect(await why()).toMatch(/tcp:\/\/127.0.0.1:1: .*REFUSED.*ws:.*is not of the form tcp/)
  })

  test('options that do not fit are CONFIG, each by its name', async () => {
    const discovery = staticAddresses(['tcp://127.0.0.1:1'])
    const refused = async (options: Partial<NodeOptions>, text: RegExp) => {
      const error = await createNode({ cluster: 'c', id: 'a', ...options } as NodeOptions).catch(
        caught => caught as GcacheError,
      )
      expect(error).toMatchObject({ code: 'CONFIG', message: expect.stringMatching(text) })
    }
    await refused({}, /members is missing/)
    await refused({ discovery }, /ordinal is missing/)
    await refused({ discovery, ordinal: 0, members: [] }, /keep one of them/)
    await refused({ expect: 2, members: [] }, /expect belongs to discovery/)
    const strategy = masterSlave({ profile: 'strict' })
    await refused({ discovery, ordinal: 0, strategy }, /expect is missing.*strict/)
    await refused(
      { discovery, ordinal: 0, expect: 2, strategy: masterSlave({ ack: 'slaves:2' }) },
      /slaves:2/,
    )
    await refused(
      { discovery, ordinal: 0, listen: 'tcp://0.0.0.0:0', insecure: true },
      /address is missing/,
    )
  })
})
