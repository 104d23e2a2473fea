/** TLS credentials: exchanged while links stand, judged as options, never printed; bindings. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { TlsOptions } from '../src/contracts/tls.js'
import { Bench } from '../src/testing/transport-bench.js'
import { realTime } from '../src/testing/transport-suite.js'
import { Credentials, tlsCredentials } from '../transports/stream/tls.js'
import { TcpLayer, type TcpOptions, tcp } from '../transports/tcp.js'
import { Authority } from './harness/certificates.js'
import { codeOf } from './harness/codes.js'
import {
  authority,
  ca,
  certificateOf,
  dialled,
  medium,
  meeting,
  tlsOf,
} from './harness/tls-bench.js'

describe('certificates that change', () => {
  test('links live on, new ones show and trust the new ones', async () => {
    const next = new Authority('the next authority')
    const [a1, b1] = [tlsOf('a'), tlsOf('b')]
    const own = new Map([
      ['a', tlsCredentials(a1)],
      ['b', tlsCredentials(b1)],
      ['c', tlsCredentials({ ...next.issue('c'), ca: next.cert })],
    ])
    await meeting(
      id => own.get(id),
      async bench => {
        const [a, b] = await bench.pair()
        const c = await bench.started('c')
        expect((await dialled(bench, a, c))?.cause).toMatchObject({ code: 'TLS_FAILED' })
        own.get('a')?.replace({ ...next.issue('a'), ca: next.cert })
        c.connect('a', a.transport.address)
        await bench.sees('c is in', () => a.isUp('c') && c.isUp('a'))
        b.send('a', Buffer.from('x'))
        await bench.sees('b still is', () => a.all('frame', 'b').length === 1)
        expect([a.all('down'), b.all('down')]).toEqual([[], []])
        a.disconnect('b')
        await bench.sees('b is out', () => b.all('down', 'a').length === 1)
        b.connect('a', a.transport.address)
        await bench.sees('b is told', () => b.all('down', 'a').length === 2)
        expect(b.all('down', 'a')[1].cause).toMatchObject({ code: 'TLS_FAILED' })
        own.get('b')?.replace({ ...next.issue('b'), ca: next.cert })
        b.connect('a', a.transport.address)
        await bench.sees('b is in again', () => b.isUp('a') && a.isUp('b'))
      },
    )
  })

  test('while an authority is exchanged, nodes of both trust each other', async () => {
    const next = new Authority('the next authority')
    const both = `${ca}${next.cert}`
    const own = (id: string) => ({ ...(id === 'b' ? next : authority).issue(id), ca: both })
    await meeting(own, async bench => {
      await bench.pair()
    })
  })

  test('those that do not fit change nothing', () => {
    const credentials = new Credentials(tlsOf('a'))
    const before = credentials.context
    const wrong = [
      { cert: certificateOf('a').cert, key: certificateOf('b').key, ca },
      { cert: 'no certificate', key: certificateOf('a').key },
      { cert: certificateOf('a').cert },
      { ca },
    ]
    for (const pems of wrong) expect(codeOf(() => credentials.replace(pems))).toBe('CONFIG')
    expect(credentials.context).toBe(before)
  })
})

describe('options', () => {
  test.each([
    ['an unknown one', { ...tlsOf('a'), caa: ca }],
    ['a version of old', { ...tlsOf('a'), minVersion: 'TLSv1.1' }],
    ['nobody to ask', { ...tlsOf('a'), demand: 'some' }],
    ['no time', { ...tlsOf('a'), handshakeTimeoutMs: 0 }],
    ['all, vouched for by anybody', { ...certificateOf('a'), demand: 'all' }],
    ['a key alone', { key: certificateOf('a').key }],
    ['no PEM', { cert: 'x', key: 'y' }],
    ['no object', 'tls'],
  ])('%s is a CONFIG error', (_, tls) => {
    expect(codeOf(() => tcp({ tls: tls as TlsOptions }))).toBe('CONFIG')
  })

  test('a node that listens without a certificate is refused before it does', async () => {
    const bench = new Bench(medium(() => ({ ca })))
    expect(codeOf(() => bench.node('a'))).toBe('CONFIG')
  })

  test('a mistyped name of tcp() is told of tls too', () => {
    expect(() => tcp({ tsl: {} } as TcpOptions)).toThrow('did you mean tls?')
  })

  test('no key shows in what is printed of credentials, nor in an error about them', () => {
    const { cert, key } = certificateOf('a')
    const secret = key.split('\n')[1]
    const credentials = tlsCredentials({ cert, key, ca })
    const texts = [
      inspect(credentials, { depth: 9, showHidden: true }),
      JSON.stringify(credentials),
    ]
    try {
      tcp({ tls: { cert: certificateOf('b').cert, key, ca } })
    } catch (error) {
      texts.push(inspect(error, { depth: 9, showHidden: true }))
    }
    expect(texts.length).toBe(3)
    for (const text of texts) expect(text).not.toContain(secret)
  })
})

test('both sides of a link have the same binding, and no other link has it', async () => {
  const time = realTime()
  const credentials = new Credentials({ ...authority.issue('a', { names: ['b'] }), ca })
  const layer = (self: string) => new TcpLayer(time.clock, { clock: time.clock, self, credentials })
  const [a, b] = [layer('a'), layer('b')]
  const arrived: { secured?: { binding: Uint8Array } }[] = []
  const address = await a.listen('tcp://127.0.0.1:0', connection => arrived.push(connection))
  const bindings: string[] = []
  for (let i = 0; i < 2; i++) {
    let open = false
    const silent = { onData() {}, onDrain() {}, onClose() {} }
    const dialling = b.dial(address, { ...silent, onOpen: () => (open = true) })
    const secured = () => open && arrived[i]?.secured !== undefined
    expect(await time.until(secured, 4_000)).toBe(true)
    const hex = (bytes?: Uint8Array) => Buffer.from(bytes ?? []).toString('hex')
    expect(hex(dialling.secured?.binding)).toBe(hex(arrived[i].secured?.binding))
    bindings.push(hex(dialling.secured?.binding))
  }
  expect(bindings[0]).toMatch(/^[0-9a-f]{64}$/)
  expect(bindings[1]).not.toBe(bindings[0])
  await Promise.all([a.stop(), b.stop()])
})
