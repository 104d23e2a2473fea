/**
 * Real `gcache serve --discovery` processes that nobody has told of each other: they find each
 * other, fail over, come back on other ports, and refuse a second process of one id.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, test } from 'vitest'
import { multicast } from '../src/discovery/multicast.js'
import { type Client, connect } from '../src/index.js'
import { freeMulticastPort } from './harness/multicast-port.js'
import { NameServer } from './harness/name-server.js'
import { CLI, freePorts, gcache } from './harness/processes.js'

const READY_MS_MAX = 30_000

/** One process, and what it has said so far. */
class Served {
  out = ''
  err = ''
  readonly #child: ChildProcess

  constructor(...flags: string[]) {
    const args = [CLI, 'serve', '--cluster', 'proof', ...flags]
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child.stderr?.on('data', chunk => {
      this.err += chunk
    })
  }

  async ready(): Promise<void> {
    const { stdout } = this.#child
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`not ready: ${this.err}`)), READY_MS_MAX)
      this.#child.once('exit', code => reject(new Error(`ended with ${code}: ${this.err}`)))
      createInterface({ input: stdout as NonNullable<typeof stdout> }).on('line', line => {
        this.out += `${line}\n`
        if (!line.startsWith('ready')) return
        clearTimeout(late)
        resolve()
      })
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async ended(): Promise<number | NodeJS.Signals | null> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode
    return await new Promise(resolve =>
      this.#child.once('close', (code, by) => resolve(code ?? by)),
    )
  }
}

const served: Served[] = []
const clients: Client[] = []
let names: NameServer | undefined

afterEach(async () => {
  await Promise.all(clients.splice(0).map(client => client.close()))
  for (const each of served) each.signal('SIGKILL')
  await Promise.all(served.splice(0).map(each => each.ended()))
  await names?.stop()
  names = undefined
})

function serve(...flags: string[]): Served {
  const one = new Served(...flags)
  served.push(one)
  return one
}

interface Group {
  readonly port: number
  readonly flags: readonly string[]
  start(id: string, ordinal: number): Served
}

async function group(): Promise<Group> {
  const port = await freeMulticastPort()
  const flags = ['--discovery', 'multicast', '--multicast-port', String(port)]
  const start = (id: string, ordinal: number) =>
    serve('--id', id, '--ordinal', String(ordinal), ...flags)
  return { port, flags, start }
}

async function clientOf({ port }: Group): Promise<Client> {
  const client = await connect({ cluster: 'proof', discovery: multicast({ port }) })
  clients.push(client)
  return client
}

/** Resolves once it is acknowledged: calls in between may end by a failover. */
async function write(client: Client, key: string, value: number, msMax: number): Promise<number> {
  const began = performance.now()
  for (;;)
    try {
      await client.cache<number>('numbers').set(key, value, { timeoutMs: 1_000 })
      return performance.now() - began
    } catch (error) {
      if (performance.now() - began > msMax) throw error
    }
}

async function whole(client: Client, count: number): Promise<void> {
  const deadline = performance.now() + 15_000
  for (;;) {
    const { members } = await client.status()
    if (members.length === count && members.every(({ state }) => state === 'online')) return
    if (performance.now() > deadline) throw new Error(JSON.stringify(members))
  }
}

describe('servers without a list of members', () => {
  test('two find each other by multicast, and survive kill -9 in turns', async () => {
    const found = await group()
    const [a, b] = [found.start('a', 0), found.start('b', 1)]
    await Promise.all([a.ready(), b.ready()])
    const client = await clientOf(found)
    for (let i = 0; i < 50; i++) await write(client, `k${i}`, i, 5_000)
    await whole(client, 2)
    const first = (await client.status()).master
    const [master, slave] = first === 'a' ? [a, b] : [b, a]
    master.signal('SIGKILL')
    await write(client, 'after', 1, 10_000)
    expect((await client.status()).master).not.toBe(first)
    // It comes back with empty memory, on another port, and is copied.
    const again = found.start(first as string, first === 'a' ? 0 : 1)
    await again.ready()
    await whole(client, 2)
    slave.signal('SIGKILL')
    await write(client, 'last', 2, 15_000)
    expect((await client.status()).master).toBe(first)
    const cache = client.cache<number>('numbers')
    for (let i = 0; i < 50; i++) expect(await cache.get(`k${i}`)).toBe(i)
    expect(await cache.get('after')).toBe(1)
  }, 90_000)

  test('status finds them, too, and says while they form', async () => {
    const found = await group()
    const a = found.start('a', 0)
    const asked = ['status', '--cluster', 'proof', ...found.flags, '--json']
    let forming = await gcache(...asked)
    const deadline = performance.now() + 15_000
    while (forming.out === '' && performance.now() < deadline) forming = await gcache(...asked)
    expect(JSON.parse(forming.out).members).toMatchObject([{ id: 'a', state: 'forming' }])
    expect(forming.code).toBe(2)
    const b = found.start('b', 1)
    await Promise.all([a.ready(), b.ready()])
    const client = await clientOf(found)
    await whole(client, 2)
    const formed = await gcache(...asked)
    expect(formed.code).toBe(0)
    expect(JSON.parse(formed.out).members).toMatchObject([{ id: 'a' }, { id: 'b' }])
  }, 60_000)

  test('over WebSockets they do as well, and status is told so', async () => {
    const found = await group()
    const ws = ['--listen', 'ws://127.0.0.1:0', ...found.flags]
    const [a, b] = ['a', 'b'].map((id, i) => serve('--id', id, '--ordinal', String(i), ...ws))
    await Promise.all([a.ready(), b.ready()])
    const asked = ['status', '--cluster', 'proof', '--json', ...found.flags]
    const status = await gcache(...asked, '--transport', 'websocket')
    expect(JSON.parse(status.out).members).toMatchObject([{ id: 'a' }, { id: 'b' }])
    const refused = await gcache('status', '--transport', 'websocket')
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('--discovery')])
  }, 60_000)

  test('a second process of an id is refused; after a freeze, the first one is', async () => {
    const found = await group()
    const [a, b] = [found.start('a', 0), found.start('b', 1)]
    await Promise.all([a.ready(), b.ready()])
    const client = await clientOf(found)
    await whole(client, 2)
    const twin = found.start('b', 1)
    expect(await twin.ended()).toBe(1)
    expect(twin.err).toContain('ID_TAKEN')
    await whole(client, 2)
    expect(b.err).toContain('ID_TAKEN')
    // Frozen, it neither announces nor acks: after a while its id is free.
    b.signal('SIGSTOP')
    const heir = found.start('b', 1)
    await heir.ready()
    // The first client is still linked with the frozen one.
    const other = await clientOf(found)
    await whole(other, 2)
    b.signal('SIGCONT')
    expect(await b.ended()).toBe(1)
    expect(b.err).toContain('took its place')
    await whole(client, 2)
    await whole(other, 2)
    await write(client, 'k', 1, 5_000)
  }, 90_000)

  test('a name leads them to each other', async () => {
    names = await NameServer.start()
    const [p, q] = await freePorts(2)
    names.records.set('_gcache._tcp.test', [
      { type: 'SRV', target: 'here.test', port: p },
      { type: 'SRV', target: 'here.test', port: q },
    ])
    names.records.set('here.test', [{ type: 'A', address: '127.0.0.1' }])
    const flags = ['--discovery', 'dns', '--dns-name', '_gcache._tcp.test', '--dns-srv']
    flags.push('--dns-server', names.address)
    const start = (id: string, ordinal: number, port: number) =>
      serve('--id', id, '--ordinal', `${ordinal}`, '--listen', `127.0.0.1:${port}`, ...flags)
    const [a, b] = [start('a', 0, p), start('b', 1, q)]
    await Promise.all([a.ready(), b.ready()])
    const status = await gcache('status', '--cluster', 'proof', '--json', ...flags)
    expect(JSON.parse(status.out).members).toMatchObject([{ id: 'a' }, { id: 'b' }])
  }, 60_000)
})
