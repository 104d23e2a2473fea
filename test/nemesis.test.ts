/**
 * The nemesis on real processes for a minute, its proxies, and its verdicts: records with one thing
 * wrong, because a judge that never found anything proves nothing.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Cache, Entry } from '../src/contracts/cache.js'
import { seededRandom } from '../src/core/prng.js'
import { LinkProxy } from './harness/proxy.js'
import { copiesPromised, type Judge } from './nemesis/allowed.js'
import { unavailability } from './nemesis/figures.js'
import { Histories } from './nemesis/histories.js'
import { DEFAULTS, parseOptions } from './nemesis/options.js'
import { Recorder, type Write } from './nemesis/record.js'
import { runNemesis } from './nemesis/run.js'
import { Schedule } from './nemesis/schedule.js'
import { emptyVerdict, judgeAll, type Verdict } from './nemesis/verdict.js'
import type { Shared } from './nemesis/workload.js'
import { closing } from './nemesis.js'

describe('real processes behind proxies', () => {
  // Kills, a stop and a split, one after the other; figures are printed, never asserted.
  test('lose nothing, do nothing twice and have one master at a time', async () => {
    const plan = ['kill', 'split', 'kill', 'stop', 'kill'] as const
    const limits = { stopMsMax: 3_000, splitMsMax: 4_000 }
    const options = { ...DEFAULTS, minutes: 3, seed: 20, plan, limits }
    const lines: string[] = []
    const result = await runNemesis(options, line => lines.push(line))
    console.log(JSON.stringify(closing(options, result)))
    expect([...result.findings, ...(result.findings.length > 0 ? lines : [])]).toEqual([])
    expect(result.violations).toBe(0)
    expect(result.schedule.counts).toEqual({ kill: 3, split: 1, stop: 1 })
    expect(result.recorder.acked).toBeGreaterThan(100)
  }, 300_000)
})

describe('options', () => {
  test.each([
    [['--minutes', '0']],
    [['--nodes', '2']],
    [['--faults', 'kill,fire']],
    [['--ack', 'none']],
    [['--ack', 'much']],
    [['--seed', 'x']],
  ])('%j are refused', argv => {
    expect(() => parseOptions(argv)).toThrow()
  })

  test('say which faults, levels and nodes', () => {
    const argv = ['--faults', 'kill,one-way', '--ack', 'slaves:1', '--nodes', '5', '--seed', '3']
    const options = parseOptions(argv)
    expect(options).toMatchObject({ faults: ['kill', 'one-way'], ack: 'slaves:1', nodes: 5 })
  })
})

describe('a proxy', () => {
  const open: (Socket | Server | LinkProxy)[] = []

  afterEach(async () => {
    for (const each of open.splice(0).reverse()) {
      if (each instanceof LinkProxy) await each.close()
      else if ('destroy' in each) each.destroy()
      else each.close()
    }
  })

  /** A server that echoes in capitals, a proxy to it, and a dialled socket. */
  async function echo(): Promise<{ proxy: LinkProxy; socket: Socket }> {
    const server = createServer(socket => {
      socket.on('error', () => {}).on('data', chunk => socket.write(String(chunk).toUpperCase()))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const proxy = await LinkProxy.open()
    open.push(server, proxy)
    proxy.target = (server.address() as { port: number }).port
    return { proxy, socket: dialled(proxy) }
  }

  function dialled(proxy: LinkProxy): Socket {
    const socket = dial(Number(proxy.address.split(':')[2]), '127.0.0.1')
    socket.on('error', () => {})
    open.push(socket)
    return socket
  }

  const said = (socket: Socket) =>
    new Promise<string>(resolve => socket.once('data', chunk => resolve(String(chunk))))
  const closed = (socket: Socket) => new Promise<void>(resolve => socket.once('close', resolve))

  test('carries bytes both ways, also late', async () => {
    const { proxy, socket } = await echo()
    socket.write('one')
    expect(await said(socket)).toBe('ONE')
    proxy.latencyMs = 20
    const at = performance.now()
    socket.write('two')
    expect(await said(socket)).toBe('TWO')
    expect(performance.now() - at).toBeGreaterThan(35)
  })

  test('delivers after a stall what was sent during it, in order', async () => {
    const { proxy, socket } = await echo()
    socket.write('a')
    await said(socket)
    proxy.set({ forth: 'stall' })
    const heard: string[] = []
    const first = said(socket).then(text => heard.push(text))
    socket.write('b')
    const other = dialled(proxy)
    other.write('c')
    const open = await echo()
    open.socket.write('d')
    expect(await said(open.socket)).toBe('D')
    expect(heard).toEqual([])
    proxy.resume()
    await first
    expect(heard).toEqual(['B'])
    expect(await said(other)).toBe('C')
  })

  test.each(['forth', 'back'] as const)('resets a stream with a hole %s', async way => {
    const { proxy, socket } = await echo()
    socket.write('a')
    await said(socket)
    const heard: string[] = []
    socket.on('data', chunk => heard.push(String(chunk)))
    const other = dialled(proxy)
    other.write('whole')
    await said(other)
    proxy.set({ [way]: 'vanish' })
    socket.write('b')
    await vi.waitFor(() => expect(proxy.lostBytes).toBe(1), 5_000)
    const over = closed(socket)
    proxy.resume()
    await over
    expect(heard).toEqual([])
    // Nothing was lost on the other one, so it goes on.
    other.write('still')
    expect(await said(other)).toBe('STILL')
  })

  test('resets dials that nobody answers, and all that is open', async () => {
    const { proxy, socket } = await echo()
    socket.write('a')
    await said(socket)
    const over = closed(socket)
    proxy.reset()
    await over
    proxy.target = undefined
    await closed(dialled(proxy))
  })
})

describe('the verdict on', () => {
  const receipt = (offset: number, epoch = 256, copies = 3) => {
    return { version: offset, epoch, offset, copies, durableCopies: 0 }
  }

  const write = (key: string, value: unknown, at: number, more: Partial<Write> = {}): Write => ({
    client: '~1',
    key,
    value,
    startMs: at,
    endMs: at + 1,
    outcome: 'ok',
    receipt: receipt(at),
    code: undefined,
    ...more,
  })

  const lost = { outcome: 'unknown', receipt: undefined, code: 'TIMEOUT' } as const
  const refused = { outcome: 'rejected', receipt: undefined, code: 'VERSION_MISMATCH' } as const

  async function judged(
    writes: readonly Write[],
    there: Record<string, Entry<unknown>>,
    more: Partial<Judge> = {},
  ): Promise<Verdict> {
    const recorder = new Recorder()
    const maps = { own: new Map(), lists: new Map(), registers: new Map(), rounds: new Map() }
    const random = seededRandom(1)
    const histories = new Histories()
    const shared: Shared = { recorder, histories, ack: undefined, nodes: 3, random, ...maps }
    const epochsAt = new Map<number, number>()
    for (const each of writes) {
      const kinds = { own: maps.own, list: maps.lists, register: maps.registers }
      const map = kinds[each.key.split('/')[0] as keyof typeof kinds]
      map.set(each.key, [...(map.get(each.key) ?? []), each])
      const { startMs, endMs } = each
      if (each.receipt === undefined) continue
      recorder.acks.push({ startMs, endMs, receipt: each.receipt })
      if (!epochsAt.has(each.receipt.epoch)) epochsAt.set(each.receipt.epoch, endMs)
    }
    const cache = { getEntry: async (key: string) => there[key] } as unknown as Cache<unknown>
    const schedule = new Schedule()
    const nodes = ['a', 'b', 'c']
    const judge = { profile: 'ordinal', copiesMin: 1, nodes, schedule, epochsAt, ...more }
    const verdict = emptyVerdict()
    await judgeAll(verdict, shared, judge, cache)
    return verdict
  }

  const entry = (value: unknown, version: number): Entry<unknown> => {
    return { value, version, expiresAt: undefined }
  }
  const counts = ({ reasons, excuses, findings, overlapsAllowed, ...found }: Verdict) => ({
    ...found,
    findings: findings.length,
  })
  const none = {
    ...{ lost: 0, lostAllowed: 0, duplicated: 0, phantoms: 0 },
    ...{ shortOfCopies: 0, overlaps: 0, findings: 0 },
  }

  test('what is as it was told: nothing', async () => {
    const writes = [
      write('own/x', 1, 1),
      write('own/x', 2, 2, lost),
      write('list/x', 't', 3),
      write('register/x', 'r', 4),
    ]
    const there = { 'list/x': entry(['t'], 3), 'register/x': entry('r', 4) }
    for (const own of [entry(1, 1), entry(2, 2)])
      expect(counts(await judged(writes, { ...there, 'own/x': own }))).toEqual(none)
  })

  test.each([
    ['an own write that is gone', [write('own/x', 1, 1)], {}, { lost: 1 }],
    [
      'an older value',
      [write('own/x', 1, 1), write('own/x', 2, 2)],
      { 'own/x': entry(1, 1) },
      { lost: 1 },
    ],
    [
      'a newer version of one write',
      [write('own/x', 1, 1)],
      { 'own/x': entry(1, 9) },
      { duplicated: 1 },
    ],
    ['a refused write', [write('own/x', 1, 1, refused)], { 'own/x': entry(1, 1) }, { phantoms: 1 }],
    ['an append that is gone', [write('list/x', 't', 1)], { 'list/x': entry([], 1) }, { lost: 1 }],
    [
      'an append done twice',
      [write('list/x', 't', 1)],
      { 'list/x': entry(['t', 't'], 1) },
      { duplicated: 1 },
    ],
    [
      'a refused append',
      [write('list/x', 't', 1, refused)],
      { 'list/x': entry(['t'], 1) },
      { phantoms: 1 },
    ],
    [
      'an append of nobody',
      [write('list/x', 't', 1, lost)],
      { 'list/x': entry(['u'], 1) },
      { phantoms: 1 },
    ],
    [
      'a register that went back',
      [write('register/x', 'r', 1), write('register/x', 's', 3)],
      { 'register/x': entry('r', 1) },
      { lost: 1 },
    ],
    [
      'a register of nobody',
      [write('register/x', 'r', 1)],
      { 'register/x': entry('q', 1) },
      { phantoms: 1 },
    ],
    [
      'a lower epoch that acknowledges later',
      [write('own/x', 1, 1, { receipt: receipt(1, 513) }), write('own/y', 1, 5)],
      { 'own/x': entry(1, 1), 'own/y': entry(1, 5) },
      { overlaps: 1 },
    ],
  ])('%s: one violation', async (_, writes, there, found) => {
    expect(counts(await judged(writes, there as never))).toEqual({ ...none, ...found, findings: 1 })
  })

  test('a key written on both sides of a split: allowed in ordinal, by its copies', async () => {
    // a cut off from b and c; a acknowledged alone, then c became master with 2 nodes in reach.
    const schedule = new Schedule()
    const linked = (one: string, other: string) => one === other || (one !== 'a' && other !== 'a')
    schedule.separations.push({ fromMs: 0, untilMs: 50, linked })
    const judge = (copies: number, profile: string, keyOfOther: string, found: number) => {
      const older = write('register/x', 1, 10, { receipt: receipt(8, 256, copies) })
      const other = write(`register/${keyOfOther}`, 2, 20, { receipt: receipt(9, 514, 2) })
      const there = { 'register/x': entry(found, 9), 'register/y': entry(2, 9) }
      return judged([older, other], found === 0 ? { 'register/y': there['register/y'] } : there, {
        profile,
        schedule,
      })
    }
    // The newer write is gone, and the older one, of the side that lost, is there.
    expect(counts(await judge(1, 'ordinal', 'x', 1))).toEqual({ ...none, lostAllowed: 1 })
    expect(counts(await judge(2, 'ordinal', 'x', 1))).toEqual({ ...none, lost: 1, findings: 1 })
    expect(counts(await judge(2, 'majority', 'x', 1))).toEqual({ ...none, lost: 1, findings: 1 })
    // Nobody else wrote the key, so heal must keep it.
    expect(counts(await judge(1, 'ordinal', 'y', 1))).toEqual(none)
    expect(counts(await judge(1, 'ordinal', 'y', 0))).toEqual({ ...none, lost: 1, findings: 1 })
  })

  test('an ack with fewer copies than its level promises: a violation', async () => {
    const writes = [write('own/x', 1, 1, { receipt: receipt(1, 256, 1) })]
    const copiesMin = copiesPromised(undefined, 'ordinal', 3)
    const verdict = await judged(writes, { 'own/x': entry(1, 1) }, { copiesMin })
    expect(counts(verdict)).toEqual({ ...none, shortOfCopies: 1, findings: 1 })
    expect(copiesPromised('slaves:2', 'ordinal', 5)).toBe(3)
    expect(copiesPromised(undefined, 'majority', 5)).toBe(3)
    expect(copiesPromised(undefined, 'strict', 5)).toBe(5)
  })

  test('times without an acknowledged write: the longest, all, and after each fault', () => {
    const ack = (startMs: number, endMs: number) => ({ startMs, endMs, receipt: receipt(1) })
    const acks = [ack(0, 10), ack(5, 20), ack(15, 520), ack(510, 530)]
    const marks = [{ name: 'kill master', atMs: 18 }]
    expect(unavailability(acks, marks)).toEqual({
      longest: 500,
      total: 500,
      byFault: { 'kill master': { count: 1, p50: 512, p99: 512, max: 512 } },
    })
  })
})
