/** `gcache` whose stdout or stderr cannot be written, as processes: a full disk, a reader gone. */
import { closeSync, openSync } from 'node:fs'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { type Client, connect } from '../src/index.js'
import { freePorts, gcacheWith } from './harness/processes.js'
import { Served } from './harness/served.js'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

const running: Served[] = []
const clients: Client[] = []

afterEach(async () => {
  await Promise.all(clients.splice(0).map(client => client.close()))
  for (const served of running) served.signal('SIGKILL')
  await Promise.all(running.splice(0).map(served => served.ended))
})

/** Every write to it fails with ENOSPC. */
const full = openSync('/dev/full', 'w')
afterAll(() => closeSync(full))

type Stdio = ConstructorParameters<typeof Served>[1]

/** Starts one node alone, or two that know each other. */
async function serve(count: number, stdio?: Stdio) {
  const addresses = (await freePorts(count)).map(port => `tcp://127.0.0.1:${port}`)
  const nodes = addresses.map((address, own) => {
    const args = ['--cluster', 'test', '--id', `n${own}`, '--ordinal', `${own}`]
    for (const [i, other] of addresses.entries())
      if (i !== own) args.push('--member', `n${i}=${i}@${other}`)
    return new Served([...args, '--listen', address], stdio)
  })
  running.push(...nodes)
  return { addresses, nodes }
}

async function clientOf(servers: string[]) {
  const client = await connect({ cluster: 'test', servers, timeoutMs: 30_000 })
  clients.push(client)
  return client
}

test.each<[string, Stdio]>([
  ['stderr', ['pipe', 'pipe', full]],
  ['stdout', ['pipe', full, 'pipe']],
])('%s at a full disk: it serves, and takes over from a master killed', async (_, stdio) => {
  const { addresses, nodes } = await serve(2, stdio)
  const client = await clientOf(addresses)
  const cache = client.cache<string>('c')
  await cache.set('k', 'v', { ack: 'all' })
  expect(await cache.get('k')).toBe('v')

  const { master } = await client.status()
  const [first, other] = master === 'n0' ? nodes : [nodes[1], nodes[0]]
  first.signal('SIGKILL')
  await first.ended
  await cache.set('after', 'w')
  expect([await cache.get('k'), await cache.get('after')]).toEqual(['v', 'w'])
  expect((await client.status()).master).toBe(master === 'n0' ? 'n1' : 'n0')
  other.signal('SIGTERM')
  expect(await other.ended, 'and closes as ever').toBe(0)
})

test('a server whose stdout nobody reads on serves on', async () => {
  const { addresses, nodes } = await serve(1, ['pipe', 'pipe', 'ignore'])
  nodes[0].leaveStdout()
  const cache = (await clientOf(addresses)).cache<string>('c')
  await cache.set('k', 'v')
  expect(await cache.get('k')).toBe('v')
  nodes[0].signal('SIGTERM')
  expect(await nodes[0].ended).toBe(0)
})

test('a client command whose stdout is at a full disk: one line, and 2', async () => {
  const { addresses, nodes } = await serve(1)
  await nodes[0].says('ready ')
  const ended = await gcacheWith(
    ['status', '--server', addresses[0], '--cluster', 'test'],
    '',
    {},
    full,
  )
  expect(ended.err).toMatch(/^gcache: stdout cannot be written: ENOSPC.*\n$/)
  expect(ended.code).toBe(2)
})

test('SIGHUP to a server with nothing to read again: its log says so, and it serves', async () => {
  const { addresses, nodes } = await serve(1)
  await nodes[0].says('ready ')
  nodes[0].signal('SIGHUP')
  await nodes[0].says('nothing to read again')
  const cache = (await clientOf(addresses)).cache<string>('c')
  await cache.set('k', 'v')
  expect(await cache.get('k')).toBe('v')
})

test('SIGHUP to a witness: the same', async () => {
  const [port, other] = await freePorts(2)
  const witness = new Served(
    [
      ...['--cluster', 'test', '--id', 'w', '--listen', `tcp://127.0.0.1:${port}`],
      ...['--member', `a=0@tcp://127.0.0.1:${other}`, '--member', 'b=1@tcp://127.0.0.1:1'],
    ],
    'pipe',
    'witness',
  )
  running.push(witness)
  await witness.says('guarantee')
  witness.signal('SIGHUP')
  await witness.says('nothing to read again')
  witness.signal('SIGTERM')
  expect(await witness.ended).toBe(0)
})
