/**
 * What failed proofs cost whoever makes them, and that logs and dumps tell nothing. That their time
 * tells nothing either is shown in security-timing.test.ts.
 */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { PROTOCOL_VERSION } from '../src/config.js'
import type {
  Authenticator,
  ExchangeEvents,
  Surroundings,
} from '../src/contracts/authentication.js'
import type { GcacheError } from '../src/errors.js'
import type { Bench, BenchNode, NodeOptions } from '../src/testing/transport-bench.js'
import type { Hello } from '../transports/stream/hello.js'
import type { StreamConnection } from '../transports/stream/layer.js'
import { examined } from '../transports/stream/proofs.js'
import { simulated } from './harness/networks.js'
import { authenticator, PASSWORD, SECRET, type Who } from './harness/proofs.js'

/** Node options of one who proves to be `who`. */
function as(bench: Bench, who: Who): NodeOptions {
  return { authenticator: authenticator(who, bench.medium.clock) }
}

const failuresOf = (node: BenchNode, peer: string) =>
  node.all('down', peer).map(({ loss, cause }) => `${loss} ${(cause as GcacheError)?.code}`)

describe('what failures cost', () => {
  const msOf = async (bench: Bench, node: BenchNode) => {
    const before = node.all('down', 'a').length
    const startMs = bench.medium.clock.now()
    node.connect('a', 'memory://a')
    await bench.sees('an answer', () => node.all('down', 'a').length > before)
    return Math.round(bench.medium.clock.now() - startMs)
  }

  test('each makes the next refusal later, to 3 s, for known and unknown users alike', async () => {
    const { bench } = simulated(8)
    await bench.started('a', as(bench, 'node'))
    const figures: number[][] = []
    for (const [id, who] of [
      ['~known', 'forgetful'],
      ['~unknown', 'eve'],
    ] as const) {
      const client = await bench.started(id, { ...as(bench, who), listens: false })
      const delays: number[] = []
      for (let i = 0; i < 7; i++) delays.push(await msOf(bench, client))
      figures.push(delays)
      expect(failuresOf(client, 'a')).toEqual(Array(7).fill('refused AUTH_FAILED'))
    }
    expect(figures[0]).toEqual(figures[1])
    for (const [i, expected] of [100, 200, 400, 800, 1_600, 3_000, 3_000].entries()) {
      expect(figures[0][i]).toBeGreaterThanOrEqual(expected * 0.98)
      expect(figures[0][i]).toBeLessThan(expected + 50)
    }
    await bench.close()
  })

  test('after ten, even a right proof is refused from there, but not from elsewhere', async () => {
    const { bench } = simulated(9)
    const a = await bench.started('a', as(bench, 'node'))
    const wrong = await bench.started('~c', { ...as(bench, 'forgetful'), listens: false })
    const attempts = Array.from({ length: 12 }, () => msOf(bench, wrong))
    await Promise.all(attempts)
    for (let i = 0; i < 11; i++) await msOf(bench, wrong)
    await wrong.stop()
    const right = await bench.started('~c', { ...as(bench, 'ann'), listens: false })
    await msOf(bench, right)
    expect(failuresOf(right, 'a')).toEqual(['refused AUTH_FAILED'])
    const other = await bench.started('~d', { ...as(bench, 'ann'), listens: false })
    other.connect('a', 'memory://a')
    await bench.sees('the link', () => other.isUp('a') && a.isUp('~d'))
    await bench.pass(5 * 60_000)
    right.connect('a', 'memory://a')
    await bench.sees('forgiven', () => right.isUp('a'))
    await bench.close()
  })
})

test('a node with the right secret comes in, however many have failed in its name', async () => {
  const { bench } = simulated(11)
  const a = await bench.started('a', as(bench, 'node'))
  const wrong = await bench.started('b', as(bench, 'stranger'))
  for (let i = 1; i <= 12; i++) {
    wrong.connect('a', 'memory://a')
    await bench.sees('a refusal', () => wrong.all('down', 'a').length === i)
  }
  expect(new Set(failuresOf(wrong, 'a'))).toEqual(new Set(['refused AUTH_FAILED']))
  await wrong.stop()
  const right = await bench.started('b', as(bench, 'node'))
  right.connect('a', 'memory://a')
  await bench.sees('an answer', () => right.happenings.length > 0)
  expect(right.isUp('a')).toBe(true)
  await bench.sees('the other side is up too', () => a.isUp('b'))
  await bench.close()
})

test('who has 64 bits of IPv6 to choose from is one host, as among strangers', () => {
  const hosts: unknown[] = []
  const judge = {
    examine: (_self: string, _claims: unknown, _first: unknown, { host }: Surroundings) => {
      hosts.push(host)
    },
  } as unknown as Authenticator
  const hello = { version: PROTOCOL_VERSION, from: '~c' } as Hello
  for (const host of ['2001:db8::1', '2001:db8::2:9', '2001:db8:0:1::1', '::ffff:10.0.0.1'])
    examined(judge, 'a', hello, { host } as StreamConnection, {} as ExchangeEvents)
  expect(hosts[0]).toBe(hosts[1])
  expect(hosts[2]).not.toBe(hosts[0])
  expect(hosts[3]).toBe('10.0.0.1')
})

describe('secrets', () => {
  test('are in no log line, error or dump of a failed and of a good attempt', async () => {
    const { bench } = simulated(10)
    const lines: unknown[] = []
    const note = (fields: unknown, text: string) => lines.push([fields, text])
    const logger = { debug: note, info: note, warn: note, error: note }
    const { clock } = bench.medium
    const server = authenticator('node', clock, logger)
    const a = await bench.started('a', { authenticator: server })
    const dumps: unknown[] = [server, a.transport]
    for (const [id, who] of [
      ['b', 'node'],
      ['c', 'stranger'],
      ['~c', 'forgetful'],
      ['~d', 'ann'],
    ] as const) {
      const own = authenticator(who, clock, logger)
      const node = await bench.started(id, { authenticator: own })
      node.connect('a', 'memory://a')
      await bench.sees('an answer', () => node.happenings.length > 0)
      dumps.push(own, node.transport, node.happenings)
    }
    expect(lines.length).toBeGreaterThan(0)
    const prints = [lines, dumps, a.warnings].map(each =>
      inspect(each, { depth: 12, showHidden: true, maxArrayLength: null }),
    )
    const forbidden = [SECRET, PASSWORD].flatMap(text => [
      text,
      Buffer.from(text).toString('base64').slice(0, -4),
      Buffer.from(text).toString('hex'),
    ])
    for (const print of prints)
      for (const text of forbidden) expect(print.includes(text), text.slice(0, 4)).toBe(false)
    await bench.close()
  })
})
