/**
 * Nodes that meet through others, in the simulated network: a and c cannot reach each other.
 *
 *   a ---- b ---- c ---- d
 */
import { afterEach, describe, expect, test } from 'vitest'
import type { Transport, TransportEnv, TransportHandler } from '../src/contracts/transport.js'
import { seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { systemClock } from '../src/engine/system-clock.js'
import { createNode, type Node } from '../src/index.js'
import { Bench, type BenchNode } from '../src/testing/transport-bench.js'
import { transportSuite } from '../src/testing/transport-suite.js'
import { type MemoryFaults, MemoryNetwork } from '../transports/memory.js'
import {
  type Circuit,
  decodeEnvelope,
  encodeEnvelope,
  escaped,
  type Message,
  unescaped,
} from '../transports/relay/envelope.js'
import { type RelayOptions, relay } from '../transports/relay.js'
import { codeOf } from './harness/codes.js'
import { expectGolden } from './harness/golden.js'
import { memoryMedium } from './harness/networks.js'

/**
 * A relay finds nodes by their ids, so what answers at an address is not the question; and whoever
 * is of another cluster is refused by the relay already, as its neighbour.
 */
const ELSEWHERE = [
  'T11 the hello refuses a wrong peer id, and oneself',
  'T11 the hello refuses a wrong cluster, with a reason on both sides',
]
const HUB = 'hub'

const direct = (peer: string) => peer === HUB || /^[~*]/.test(peer)

/** Every pair of nodes meets through a hub, which no test sees. */
function throughHub(faults: Partial<MemoryFaults>) {
  const { clock, network, random, medium } = memoryMedium(seededRandom(5), faults)
  const defer = (task: () => void) => void clock.after(0, task)
  const env = { clock, random, cluster: 'suite', logger: SILENCE }
  const met: string[] = []
  const silent = { onLinkDown() {}, onFrame() {}, onWritable() {} }
  const onLinkUp = (peer: string) => met.push(peer)
  const hub = relay(network.transport(), { defer })({ ...env, self: HUB, listen: 'memory://hub' })
  const hubStarted = hub.start({ ...silent, onLinkUp })
  const transport = (own: TransportEnv): Transport => {
    const via = (peer: string) => (direct(peer) ? [] : [HUB])
    const admit = (peer: string) => (peer === HUB ? undefined : own.admit?.(peer))
    const made = relay(network.transport(), { via, defer })({ ...own, admit })
    if (own.listen === undefined && own.self.startsWith('~')) return made
    const { start } = made
    made.start = async handler => {
      await hubStarted
      await start.call(made, withoutHub(handler))
      const before = met.length
      made.connect(HUB, 'memory://hub')
      expect(clock.advanceUntil(() => met.length > before, 2_000)).toBe(true)
    }
    return made
  }
  return { ...medium, transport, mediumBytesMax: 4 * 2 ** 20, close: () => hub.stop() }
}

function withoutHub(handler: TransportHandler): TransportHandler {
  return {
    onLinkUp: (peer, ...rest) => peer === HUB || handler.onLinkUp(peer, ...rest),
    onLinkDown: (peer, ...rest) => peer === HUB || handler.onLinkDown(peer, ...rest),
    onFrame: (peer, ...rest) => peer === HUB || handler.onFrame(peer, ...rest),
    onWritable: (peer, ...rest) => peer === HUB || handler.onWritable(peer, ...rest),
  }
}

const HARSH = { latencyMsMin: 0.1, latencyMsMax: 4, duplicate: 0.3, reorder: 0.3, split: 0.5 }

for (const [name, faults] of [
  ['relay', {}],
  ['relay, harsh', HARSH],
] as const)
  transportSuite({
    test: (law, body) => (ELSEWHERE.some(one => law.endsWith(one)) ? undefined : test(law, body)),
    name,
    streams: false,
    medium: () => throughHub(faults),
  })

interface Chain {
  readonly bench: Bench
  readonly network: MemoryNetwork
  readonly nodes: Record<string, BenchNode>
  /** Links of neighbours, each dialled by the second. */
  join(...pairs: string[]): Promise<void>
}

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Nodes by id with their options; those without a line between them in `join` cannot meet. */
async function chain(options: Record<string, RelayOptions>): Promise<Chain> {
  const { clock, network, medium } = memoryMedium(seededRandom(7), { latencyMsMax: 1 })
  const defer = (task: () => void) => void clock.after(0, task)
  const transport = (env: TransportEnv) =>
    relay(network.transport(), { ...options[env.self], defer })(env)
  const bench = new Bench({ ...medium, transport })
  closing.push(() => bench.close())
  const nodes: Record<string, BenchNode> = {}
  for (const id of Object.keys(options)) nodes[id] = await bench.started(id)
  const join = async (...pairs: string[]) => {
    for (const [to, from] of pairs) {
      nodes[from].connect(to, `memory://${to}`)
      await bench.sees(`${from} is linked`, () => nodes[from].isUp(to) && nodes[to].isUp(from))
    }
  }
  return { bench, network, nodes, join }
}

/** `from` dials `to`; resolves with why it failed, or undefined once both are up. */
async function dial({ bench, nodes }: Chain, from: string, to: string) {
  const failures = () => nodes[from].all('down', to).filter(it => it.session === 0)
  const before = failures().length
  nodes[from].connect(to, `memory://${to}`)
  const answered = () => failures().length > before || nodes[from].isUp(to)
  await bench.sees('an answer', answered)
  if (!nodes[from].isUp(to)) return failures().at(-1)
  await bench.sees('the other side is up', () => nodes[to].isUp(from))
  return undefined
}

const THREE = { a: { via: { c: ['b'] } }, b: {}, c: { via: { a: ['b'] } } }

describe('one in the middle', () => {
  test('two networks meet in it, and it hears nothing of what passes', async () => {
    const it = await chain(THREE)
    it.network.cut('a', 'c')
    await it.join('ab', 'cb')
    expect(await dial(it, 'a', 'c')).toBeUndefined()
    const { a, b, c } = it.nodes
    const sizes = [1, 1_000, 300_000, 3_000_000]
    for (const [i, size] of sizes.entries()) {
      expect(a.send('c', Buffer.alloc(size, 7)), `${size}`).not.toBe('dropped')
      await it.bench.sees('it is there', () => c.all('frame').length === i + 1)
    }
    expect(c.all('frame').map(({ frame }) => frame.length)).toEqual(sizes)
    expect(c.all('frame').every(({ frame }) => frame.every(byte => byte === 7))).toBe(true)
    c.send('a', Buffer.from('back'))
    await it.bench.sees('and back', () => a.all('frame', 'c').length === 1)
    expect(b.all('frame')).toEqual([])
    expect([a.transport.traits.topology, a.transport.traits.detectsPeerLoss]).toEqual([
      'relayed',
      false,
    ])
  })

  test('neighbours talk as before, whatever their frames begin with', async () => {
    const it = await chain(THREE)
    await it.join('ab')
    const { a, b } = it.nodes
    const frames = [[0xff], [0xff, 0], [0xff, 1, 2], [0, 0xff]].map(bytes => Buffer.from(bytes))
    for (const frame of frames) b.send('a', frame)
    await it.bench.sees('all are there', () => a.all('frame', 'b').length === 4)
    expect(a.all('frame').map(({ frame }) => frame)).toEqual(frames)
  })

  test('a cut on the way, or its death, says "unreachable" to both sides', async () => {
    for (const fault of ['cut', 'crash'] as const) {
      const it = await chain(THREE)
      await it.join('ab', 'cb')
      await dial(it, 'a', 'c')
      const { a, c } = it.nodes
      if (fault === 'cut') it.network.reset('b', 'c')
      else it.network.crash('b')
      await it.bench.sees('both are told', () => !a.isUp('c') && !c.isUp('a'))
      expect([a.all('down', 'c')[0].loss, c.all('down', 'a')[0].loss]).toEqual([
        'unreachable',
        'unreachable',
      ])
    }
  })

  test('where one relay is gone the next in the list is taken', async () => {
    const it = await chain({
      a: { via: { c: ['b', 'e'] } },
      b: {},
      c: { via: { a: ['b', 'e'] } },
      e: {},
    })
    await it.join('ab', 'cb', 'ae', 'ce')
    expect(await dial(it, 'a', 'c')).toBeUndefined()
    it.network.crash('b')
    const { a, c } = it.nodes
    await it.bench.sees('it is down', () => !a.isUp('c') && !c.isUp('a'))
    expect(await dial(it, 'a', 'c')).toBeUndefined()
    a.send('c', Buffer.from('x'))
    await it.bench.sees('it arrives', () => c.all('frame').length === 1)
  })

  test('a node that its other end reaches directly is refused with the remedy', async () => {
    const it = await chain({ ...THREE, c: {} })
    await it.join('ab', 'cb')
    const down = await dial(it, 'a', 'c')
    expect(down?.cause).toMatchObject({ code: 'REFUSED' })
    expect(String(down?.cause)).toContain('option via')
    const back = await dial(it, 'c', 'a')
    expect(String(back?.cause)).toContain('option via')
  })
})

describe('ways', () => {
  const line = (hopsMax: number) => ({
    a: { via: { d: ['b'] }, hopsMax },
    b: { via: { d: ['c'] } },
    c: { via: { a: ['b'] } },
    d: { via: { a: ['c'] }, hopsMax },
  })

  test('end at the hop limit, and not before it', async () => {
    for (const hopsMax of [1, 2]) {
      const it = await chain(line(hopsMax))
      await it.join('ab', 'bc', 'cd')
      const down = await dial(it, 'a', 'd')
      if (hopsMax === 2) expect(down).toBeUndefined()
      else expect(String(down?.cause)).toContain('hop limit')
      expect(down?.loss).toBe(hopsMax === 2 ? undefined : 'unreachable')
    }
  })

  test('that lead in a circle are refused by the first who sees it again', async () => {
    const it = await chain({
      a: { via: { z: ['b'] }, hopsMax: 255 },
      b: { via: { z: ['c'] } },
      c: { via: { z: ['d'] } },
      d: { via: { z: ['b'] } },
    })
    await it.join('ab', 'bc', 'cd', 'db')
    it.nodes.a.connect('z', 'memory://z')
    await it.bench.sees('an answer', () => it.nodes.a.all('down', 'z').length === 1)
    const [{ loss, cause }] = it.nodes.a.all('down', 'z')
    expect([loss, String(cause)]).toEqual(['unreachable', expect.stringContaining('a loop')])
  })

  test('that lead nowhere are answered at once', async () => {
    const it = await chain({ a: { via: { z: ['b'], y: ['q'] } }, b: {} })
    await it.join('ab')
    const { a } = it.nodes
    a.connect('z', 'memory://z')
    a.connect('y', 'memory://y')
    await it.bench.sees('answers', () => a.all('down').length === 2, 1_000)
    expect(a.all('down').map(({ loss }) => loss)).toEqual(['unreachable', 'unreachable'])
  })
})

describe('what relays say', () => {
  const circuit: Circuit = { dialler: 'a', acceptor: 'c', number: 7 }

  test.each([
    { kind: 'open', hops: 4 },
    { kind: 'opened' },
    { kind: 'data', bytes: Buffer.from('bytes') },
    { kind: 'taken', count: 65_536 },
    { kind: 'close' },
    { kind: 'broken', reason: 'no way to c' },
  ] as Message[])('$kind has not changed, and is read whole or not at all', message => {
    const bytes = encodeEnvelope(circuit, message)
    const recorded = expectGolden(`relay-${message.kind}`, bytes)
    expect(decodeEnvelope(recorded)).toEqual({ circuit, message })
    const shortest = message.kind === 'data' ? bytes.length - message.bytes.length : bytes.length
    for (let end = 0; end < shortest; end++)
      expect(codeOf(() => decodeEnvelope(bytes.subarray(0, end)))).toBe('PROTOCOL_ERROR')
  })

  test('frames of users pass escaped only where they must', () => {
    for (const bytes of [[1, 2], [0xff], [0xff, 0xff, 1]]) {
      const frame = Buffer.from(bytes)
      expect(unescaped(escaped(frame))).toEqual(frame)
    }
    expect(escaped(Buffer.from([1]))).toHaveLength(1)
    expect(codeOf(() => unescaped(Buffer.from([0xff, 0, 1])))).toBe('PROTOCOL_ERROR')
  })

  test('a malformed word ends its link alone', async () => {
    const it = await chain(THREE)
    const { bench, network, nodes } = it
    await it.join('ab')
    const { clock, random } = bench.medium
    const env = { self: 'liar', cluster: 'suite', clock, random, logger: SILENCE }
    const liar = network.transport()(env)
    let up = false
    const onLinkUp = () => {
      up = true
    }
    await liar.start({ onLinkUp, onLinkDown() {}, onFrame() {}, onWritable() {} })
    liar.connect('b', 'memory://b')
    await bench.sees('it is up', () => up && nodes.b.isUp('liar'))
    liar.send('b', Buffer.from([0xff, 9, 9, 9]))
    await bench.sees('it is down', () => !nodes.b.isUp('liar'))
    expect(nodes.b.all('down', 'liar')[0].cause).toMatchObject({ code: 'PROTOCOL_ERROR' })
    expect(nodes.b.isUp('a')).toBe(true)
    await liar.stop()
  })

  test.each([
    ...[{ hopsMax: 0 }, { via: { c: 'b' } }, { via: { c: [] } }, { via: { c: [7] } }],
    ...[{ via: null }, { vai: { c: ['b'] } }, { defer: 1 }, null],
  ])('%j is CONFIG', options => {
    const { network } = memoryMedium(seededRandom(1))
    expect(codeOf(() => relay(network.transport(), options as never))).toBe('CONFIG')
    expect(codeOf(() => relay(options as never))).toBe('CONFIG')
  })
})

test('three nodes of two networks are one cluster', async () => {
  const network = new MemoryNetwork({ clock: systemClock, random: seededRandom(1) })
  network.cut('a', 'c')
  const members = ['a', 'b', 'c'].map((id, ordinal) => {
    return { id, ordinal, address: `memory://${id}` }
  })
  const via = { a: { c: ['b'] }, b: {}, c: { a: ['b'] } } as Record<string, RelayOptions['via']>
  const nodes: Node[] = await Promise.all(
    members.map(({ id }) => {
      const transport = relay(network.transport(), { via: via[id] })
      return createNode({ cluster: 'two', id, members, transport })
    }),
  )
  closing.push(() => Promise.all(nodes.map(node => node.close({ handover: false }))))
  await Promise.all(nodes.map(node => node.ready()))
  const [a, , c] = nodes
  const receipt = await a.cache<number>('s').set('k', 1, { ack: 'all' })
  expect(receipt.copies).toBe(3)
  await c.cache<number>('s').set('k', 2, { ack: 'all' })
  expect(await a.cache<number>('s').get('k')).toBe(2)
})
