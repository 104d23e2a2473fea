/**
 * I10 in the simulator: calls by hand that are and are not linearizable, what the checker leaves
 * out and why, and real runs: none is accused where nothing is broken, and profile ordinal, which
 * does not promise it, is caught.
 */
import { describe, expect, test } from 'vitest'
import type { CacheOptions } from '../src/contracts/store.js'
import { seededRandom } from '../src/core/prng.js'
import {
  callsAreLinearizable,
  keepsRecords,
  type LinearizableOptions,
} from '../src/testing/checkers/linearizable.js'
import { SimulatedCluster } from '../src/testing/cluster.js'
import type { Call, Reply } from '../src/testing/simulated-client.js'
import { simulate } from '../src/testing/simulation.js'
import { drawOptions } from '../src/testing/swarm.js'
import { Violation } from '../src/testing/violation.js'
import { ORDINAL } from './sim.js'

const REPLY: Reply = {
  from: 'a',
  epoch: 256,
  at: 0,
  kind: 'written',
  offset: 0,
  version: 0,
  copies: 2,
  expiresAt: 0,
  code: '',
  surely: true,
  position: { epoch: { number: 256, incarnation: 'a'.repeat(16) }, offset: 0 },
  seenLost: false,
}

type Step = readonly [number, 'start' | 'end', Call]

let seq = 0

/** `end` undefined: it never ends. */
function over(start: number, end: number | undefined, more: Partial<Call>): Step[] {
  const call: Call = {
    kind: 'get',
    cache: 'plain',
    key: 'k',
    client: '~client0',
    window: '',
    seq: more.kind === undefined || more.kind === 'get' ? 0 : ++seq,
    startedAt: start,
    attempts: 1,
    endedAt: end,
    outcome: end === undefined ? 'open' : 'ok',
    reply: undefined,
    doubt: true,
    sent: [],
    local: false,
    ...more,
  }
  const begun: Step = [start, 'start', call]
  return end === undefined ? [begun] : [begun, [end, 'end', call]]
}

const told = (version: number): Partial<Call> => ({ reply: { ...REPLY, version } })
const set = (version: number, more: Partial<Call> = {}) =>
  ({ kind: 'set', ...told(version), ...more }) as const
const see = (version: number) => ({ reply: { ...REPLY, kind: 'value', version } }) as const
const seeNothing = { reply: { ...REPLY, kind: 'absent' } } as const
const remove = { kind: 'delete', ...told(0) } as const
const clear = { kind: 'clear', key: '', ...told(0) } as const
const lost = { outcome: 'unknown', reply: undefined } as const
const refused = (code: string, more: Partial<Call>): Partial<Call> => ({
  kind: 'set',
  outcome: 'rejected',
  reply: { ...REPLY, kind: 'error', code },
  ...more,
})

/** The broken law, or how many keys were judged. */
function judge(steps: Step[][], options: LinearizableOptions = {}): string | number {
  const { strategy } = ORDINAL
  const world = new SimulatedCluster({ nodes: 3, random: seededRandom(1), strategy })
  const checker = callsAreLinearizable(world, options)
  for (const [, edge, call] of steps.flat().sort((a, b) => a[0] - b[0]))
    if (edge === 'start') checker.onCallStart?.(call)
    else checker.onCallEnd?.(call)
  try {
    checker.onQuiet?.(['a'])
    return checker.undecided > 0 ? 'undecided' : checker.judged
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    return error.law
  }
}

describe('calls by hand', () => {
  const first = over(0, 1, set(3))

  test.each<[string, Step[][]]>([
    ['a set is read', [first, over(2, 3, see(3))]],
    ['nothing is there at first', [over(0, 1, seeNothing), over(2, 3, set(3))]],
    ['sets side by side, in the order of their versions', [over(0, 9, set(7)), over(1, 8, set(5))]],
    ['a delete leaves nothing', [first, over(2, 3, remove), over(4, 5, seeNothing)]],
    ['a touch meets the record', [first, over(2, 3, { kind: 'touch', ...told(3) })]],
    [
      'a touch meets nothing',
      [over(0, 1, refused('NOT_FOUND', { kind: 'touch' })), over(2, 3, set(3))],
    ],
    ['ifVersion met its version', [first, over(2, 3, set(5, { ifVersion: 3 }))]],
    ['ifAbsent met nothing', [over(0, 1, set(3, { ifAbsent: true }))]],
    ['ifAbsent met a record', [first, over(2, 3, refused('ALREADY_EXISTS', { ifAbsent: true }))]],
    [
      'ifVersion met another',
      [first, over(2, 3, refused('VERSION_MISMATCH', { ifVersion: 2, attempts: 3 }))],
    ],
    [
      'a lost answer: done late, and read',
      [first, over(2, 3, { kind: 'set', ...lost }), over(4, 5, see(3)), over(6, 7, see(9))],
    ],
    [
      'a lost answer: never done',
      [first, over(2, undefined, { kind: 'delete' }), over(4, 5, see(3))],
    ],
    [
      'a lost clear empties a key',
      [first, over(2, 3, { ...clear, ...lost }), over(4, 5, seeNothing)],
    ],
    [
      'refused at last, though an attempt before it was carried out',
      [first, over(2, 3, refused('BUSY', { attempts: 2 })), over(4, 5, see(9))],
    ],
    ['a cache by itself', [first, over(2, 3, { ...seeNothing, cache: 'other' })]],
    ['reads without an answer say nothing', [first, over(2, 3, lost), over(2, undefined, {})]],
  ])('linearizable: %s', (_, steps) => {
    expect(judge(steps)).toBeGreaterThan(0)
  })

  test.each<[string, Step[][]]>([
    ['a version from nowhere', [first, over(2, 3, see(9))]],
    ['a stale read', [first, over(2, 3, set(5)), over(4, 5, see(3))]],
    ['a stale read of nothing', [first, over(2, 3, seeNothing)]],
    ['a lost write', [first, over(2, 3, set(5)), over(4, 5, set(6, { ifVersion: 3 }))]],
    ['a version that falls', [over(0, 1, set(5)), over(2, 3, set(4))]],
    ['one version twice', [first, over(2, 3, set(3))]],
    ['a deleted record comes back', [first, over(2, 3, remove), over(4, 5, see(3))]],
    ['a cleared record comes back', [first, over(2, 3, clear), over(4, 5, see(3))]],
    ['a clear that did nothing', [first, over(2, 3, clear), over(4, 5, set(5, { ifVersion: 3 }))]],
    [
      'two make the record that is absent',
      [over(0, 9, set(3, { ifAbsent: true })), over(0, 9, set(5, { ifAbsent: true }))],
    ],
    ['ifAbsent met a record that is not', [over(0, 1, refused('ALREADY_EXISTS', {}))]],
    [
      'ifVersion met its version and was refused',
      [first, over(2, 3, refused('VERSION_MISMATCH', { ifVersion: 3 }))],
    ],
    ['a delete of nothing', [over(0, 1, remove)]],
    [
      'one lost answer has two versions',
      [
        over(0, 1, { kind: 'set', ...lost }),
        over(2, 3, see(5)),
        over(4, 5, see(7)),
        over(6, 7, see(7)),
      ],
    ],
    [
      'a lost write is done twice',
      [
        over(0, 1, { kind: 'set', ...lost }),
        over(2, 3, see(5)),
        over(4, 5, set(7)),
        over(6, 7, see(5)),
      ],
    ],
    [
      'refused in its only attempt, and done',
      [over(0, 1, refused('LIMIT', {})), over(2, 3, see(5))],
    ],
    [
      'never sent, and done',
      [over(0, 1, { ...lost, kind: 'set', outcome: 'rejected' }), over(2, 3, see(5))],
    ],
  ])('I10 broken: %s', (_, steps) => {
    expect(judge(steps)).toBe('I10')
  })
})

describe('what is left out', () => {
  const broken = [over(0, 1, set(3)), over(2, 3, see(9))]

  test('a cache that is not judged, and a key with a life', () => {
    expect(judge(broken)).toBe('I10')
    expect(judge(broken, { judges: cache => cache !== 'plain' })).toBe(0)
    expect(judge([...broken, over(4, 5, { kind: 'touch', ...told(3), ttlMs: 100 })])).toBe(0)
  })

  test('acks below a majority: such a write may be lost, or come late', () => {
    const weak = (ack: Call['ack']) => [over(0, 1, set(3, { ack })), over(2, 3, seeNothing)]
    for (const ack of ['none', 'master', 'slaves:0'] as const) expect(judge(weak(ack))).toBe(1)
    for (const ack of ['slaves:1', 'majority', 'insync', 'all', undefined] as const)
      expect(judge(weak(ack))).toBe('I10')
    expect(judge(weak('master'), { binds: () => true })).toBe('I10')
    expect(judge(weak('all'), { binds: ({ kind }) => kind !== 'get' })).toBe(1)
  })

  test('a search beyond its limits accuses nobody', () => {
    const limits = { stepsMax: 1, cacheBytesMax: 2 ** 20 }
    expect(judge(broken, { limits })).toBe('undecided')
  })

  test('records stay in caches without a life and without eviction', () => {
    const options: CacheOptions = {
      maxEntries: 8,
      maxBytes: 1_000,
      ttlMs: 0,
      idleMs: 0,
      eviction: 'none',
    }
    const caches = {
      full: options,
      few: { ...options, eviction: 'lru' },
      short: { ...options, ttlMs: 5 },
      idle: { ...options, idleMs: 5 },
    } as const
    const names = ['plain', 'ttl500', 'idle2000', 'constructor', ...Object.keys(caches)]
    expect(names.filter(name => keepsRecords(name, caches))).toEqual([
      'plain',
      'constructor',
      'full',
    ])
  })
})

describe('in a simulation', { timeout: 60_000 }, () => {
  test('calm runs are linearizable, every key is decided, and judging changes nothing', () => {
    let keys = 0
    for (let seed = 1; seed <= 6; seed++) {
      const options = drawOptions(seed, 40, 'calm')
      const judged = simulate({ ...options, linearizable: true }, ORDINAL)
      expect([judged.violation?.message, judged.keysUndecided]).toEqual([undefined, 0])
      keys += judged.keysJudged
      const plain = simulate(options, ORDINAL)
      expect([plain.keysJudged, plain.traceHash]).toEqual([0, judged.traceHash])
    }
    expect(keys).toBeGreaterThan(50)
  })

  test('profile ordinal with deposed masters is caught', () => {
    const laws: (string | undefined)[] = []
    for (let seed = 1; seed <= 12 && !laws.includes('I10'); seed++) {
      const options = { ...drawOptions(seed, 60, 'deposed'), linearizable: true }
      laws.push(simulate(options, ORDINAL).violation?.law)
    }
    expect(laws).toContain('I10')
  })
})
