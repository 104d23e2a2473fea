/** `gcache serve` with TLS, as processes: who gets in, and certificates that change under way. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { type Client, connect } from '../src/index.js'
import { Authority } from './harness/certificates.js'
import { rejectionOf } from './harness/codes.js'
import { freePorts, gcache } from './harness/processes.js'
import { Served } from './harness/served.js'

// A command is a process: a second each where the machine is busy.
vi.setConfig({ testTimeout: 60_000 })

const folder = mkdtempSync(join(tmpdir(), 'gcache-tls-'))
const file = (name: string) => join(folder, name)
const authority = new Authority('the first authority')
const next = new Authority('the next authority')

/** Writes what `id` shows and trusts: as if an operator had copied it there. */
function install(id: string, by: Authority): void {
  const { cert, key } = by.issue(id, { hosts: ['127.0.0.1'] })
  writeFileSync(file(`${id}.crt`), cert)
  writeFileSync(file(`${id}.key`), key, { mode: 0o600 })
  writeFileSync(file(`${id}.ca`), by.cert)
}

const flagsOf = (id: string) => [
  ...['--tls-cert', file(`${id}.crt`), '--tls-key', file(`${id}.key`)],
  ...['--tls-ca', file(`${id}.ca`)],
]

const running: Served[] = []
const clients: Client[] = []

/** Nodes a and b, linked by TLS. */
async function pairOver(scheme: string): Promise<{ a: Served; b: Served; servers: string[] }> {
  const ports = await freePorts(2)
  const [atA, atB] = ports.map(port => `${scheme}://127.0.0.1:${port}`)
  for (const id of ['a', 'b']) install(id, authority)
  const common = ['--cluster', 'tls']
  const a = new Served([
    ...['--id', 'a', '--ordinal', '0', '--listen', atA, '--member', `b=1@${atB}`],
    ...[...common, ...flagsOf('a')],
  ])
  const b = new Served([
    ...['--id', 'b', '--ordinal', '1', '--listen', atB, '--member', `a=0@${atA}`],
    ...[...common, ...flagsOf('b')],
  ])
  running.push(a, b)
  await Promise.all([a.says('ready '), b.says('ready ')])
  return { a, b, servers: [atA, atB] }
}

async function clientOf(servers: string[], ca: string | undefined): Promise<Client> {
  const tls = ca === undefined ? {} : { tls: { ca } }
  const client = await connect({ cluster: 'tls', servers, timeoutMs: 4_000, ...tls })
  clients.push(client)
  return client
}

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
  for (const served of running) served.signal('SIGKILL')
  await Promise.all(running.splice(0).map(served => served.ended))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.each(['tcp', 'wss'])('a cluster of servers with tls over %s', scheme => {
  const pair = () => pairOver(scheme)

  test('serves clients and commands that trust it, and nobody in plain bytes', async () => {
    const { servers, a } = await pair()
    const client = await clientOf(servers, authority.cert)
    const receipt = await client.cache<string>('s').set('k', 'v', { ack: 'slaves:1' })
    expect(receipt.copies, 'the other node has it').toBe(2)
    writeFileSync(file('client.ca'), authority.cert)
    const asked = ['--server', servers.join(','), '--cluster', 'tls', '--cache', 's', 'k']
    expect(await gcache('get', ...asked, '--tls-ca', file('client.ca'))).toMatchObject({ code: 0 })
    expect((await gcache('get', ...asked, '--timeout', '1s')).code).toBe(2)
    expect(await rejectionOf(clientOf(servers, next.cert))).toBe('REFUSED')
    expect(a.log).toContain('no authentication')
    expect(a.log).not.toContain('no encryption')
  })

  test('SIGHUP exchanges certificates: links live on, new ones use the new', async () => {
    const { a, b, servers } = await pair()
    const old = await clientOf(servers, authority.cert)
    const lost: unknown[] = []
    old.on('link', change => {
      if (!change.up && change.node === 'a') lost.push(change)
    })
    await old.cache('s').set('before', 1)
    expect(await rejectionOf(clientOf(servers, next.cert))).toBe('REFUSED')

    for (const id of ['a', 'b']) install(id, next)
    for (const served of [a, b]) served.signal('SIGHUP')
    await Promise.all([a, b].map(served => served.says('certificates were read again')))

    const receipt = await old.cache('s').set('after', 2, { ack: 'slaves:1' })
    expect(receipt.copies, 'the link between the nodes lives').toBe(2)
    expect(lost, 'and so does that of the client').toEqual([])
    const renewed = await clientOf(servers, next.cert)
    expect(await renewed.cache('s').get('after')).toBe(2)
    expect(await rejectionOf(clientOf(servers, authority.cert))).toBe('REFUSED')
  })

  test('SIGHUP with files that do not fit is logged, and the old ones serve on', async () => {
    const { a, servers } = await pair()
    writeFileSync(file('a.crt'), next.issue('a').cert)
    a.signal('SIGHUP')
    await a.says('certificates stay as they were')
    const client = await clientOf([servers[0]], authority.cert)
    await client.cache('s').set('k', 1)
    install('a', authority)
    a.signal('SIGHUP')
    await a.says('certificates were read again')
    const again = await clientOf([servers[0]], authority.cert)
    expect(await again.cache('s').get('k')).toBe(1)
  })

  test('files that are missing or do not fit are CONFIG at start, exit 2', async () => {
    install('a', authority)
    const common = ['serve', '--id', 'a', '--listen', `${scheme}://127.0.0.1:0`]
    const wrong = [
      ['--tls-cert', file('none.crt'), '--tls-key', file('a.key')],
      ['--tls-cert', file('a.crt')],
      ['--tls-ca', file('a.ca')],
      ['--tls-cert', file('a.crt'), '--tls-key', file('a.ca')],
    ]
    for (const flags of wrong) {
      const { code, err } = await gcache(...common, ...flags)
      expect([code, err.includes('(CONFIG)')], err).toEqual([2, true])
    }
  })
})
