/**
 * The linearizability checker against everything that is known to be right: recorded histories
 * with known verdicts, small ones by hand, and a naive search under seeds. And its own limits: what
 * takes a lifetime without its memory, and what it must not claim to know.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type SeededRandom, seededRandom } from '../src/core/prng.js'
import { parseHistory } from '../src/testing/histories.js'
import {
  checkByKey,
  checkLinearizable,
  type Interval,
  type Model,
  SEARCH_LIMITS,
  type SearchLimits,
} from '../src/testing/linearizability.js'
import { type RecordOperation, record } from '../src/testing/record-model.js'
import { ABSENT, type RegisterOperation, register } from '../src/testing/register.js'

type Register = Interval<RegisterOperation>
type RecordInterval = Interval<RecordOperation>

/** `../shared/data/linearizability` beside the project or beside a folder around it. */
function recordedHistories(): string | undefined {
  const named = process.env.GCACHE_HISTORIES
  if (named !== undefined) return named
  for (let at = fileURLToPath(new URL('..', import.meta.url)); ; at = dirname(at)) {
    const folder = join(at, '..', 'shared', 'data', 'linearizability')
    if (existsSync(join(folder, 'verdicts.json'))) return folder
    if (dirname(at) === at) return undefined
  }
}

describe('recorded histories', () => {
  const folder = recordedHistories()

  test('every verdict agrees with the known one, within 20 s', { timeout: 20_000 }, () => {
    if (folder === undefined) {
      process.stdout.write('recorded histories: none here, only our own small ones are judged\n')
      return
    }
    const text = readFileSync(join(folder, 'verdicts.json'), 'utf8')
    const known: { file: string; linearizable: boolean }[] = JSON.parse(text)
    expect(known.length).toBeGreaterThan(0)
    const judged = known.map(({ file }) => {
      const history = parseHistory(readFileSync(join(folder, file), 'utf8'))
      if (history.kind !== 'history') return { file, linearizable: history }
      const { verdict } = checkByKey(history.keys, register)
      return { file, linearizable: verdict === 'undecided' ? verdict : verdict === 'linearizable' }
    })
    expect(judged).toEqual(known)
  })
})

function over(start: number, end: number | undefined, operation: RegisterOperation): Register {
  return { operation, start, end }
}

const read = (result: string) => ({ kind: 'read', result }) as const
const write = (value: string) => ({ kind: 'write', value }) as const
const remove = (found?: boolean) => ({ kind: 'delete', found }) as const
const cas = (expected: string, value: string, done?: boolean) =>
  ({ kind: 'cas', expected, value, done }) as const

describe('small histories', () => {
  test.each<[string, Register[]]>([
    ['nothing at all', []],
    ['a read of nothing', [over(0, 1, read(ABSENT))]],
    ['what was written is read', [over(0, 1, write('1')), over(2, 3, read('1'))]],
    ['a read beside a write sees it', [over(0, 9, write('1')), over(2, 3, read('1'))]],
    ['a read beside a write misses it', [over(0, 9, write('1')), over(2, 3, read(ABSENT))]],
    ['calls that touch overlap', [over(0, 1, write('1')), over(1, 2, read(ABSENT))]],
    [
      'an open write takes effect late',
      [over(0, undefined, write('1')), over(5, 6, read(ABSENT)), over(7, 8, read('1'))],
    ],
    [
      'an open write never takes effect',
      [over(0, undefined, write('1')), over(5, 6, read(ABSENT))],
    ],
    [
      'a cas takes what a write beside it leaves',
      [over(0, 5, write('1')), over(0, 5, cas('1', '2', true)), over(6, 7, read('2'))],
    ],
    ['a refused cas met another value', [over(0, 1, write('1')), over(2, 3, cas('2', '3', false))]],
    [
      'a delete finds, the next does not',
      [over(0, 1, write('1')), over(2, 9, remove(false)), over(2, 9, remove(true))],
    ],
    [
      'an open cas explains a read, an open delete the next',
      [
        over(0, 1, write('1')),
        over(2, undefined, remove()),
        over(2, undefined, cas('1', '2')),
        over(3, 4, read('2')),
        over(5, 6, read(ABSENT)),
      ],
    ],
  ])('linearizable: %s', (_, history) => {
    expect(checkLinearizable(history, register)).toMatchObject({ verdict: 'linearizable' })
  })

  test.each<[string, Register[], number]>([
    ['a value from nowhere', [over(0, 1, read('1'))], 0],
    ['a stale read', [over(0, 1, write('1')), over(2, 3, read(ABSENT))], 1],
    ['an effect before its start', [over(2, undefined, write('1')), over(0, 1, read('1'))], 1],
    [
      'two readers see a write and its absence, in this order',
      [over(0, 9, write('1')), over(1, 2, read('1')), over(3, 4, read(ABSENT))],
      2,
    ],
    [
      'one open write takes effect twice',
      [
        over(0, undefined, write('1')),
        over(1, 2, read('1')),
        over(3, 4, write('2')),
        over(5, 6, read('1')),
      ],
      3,
    ],
    ['two cas win one value', [over(0, 9, cas('', '1', true)), over(0, 9, cas('', '2', true))], 1],
    ['a refused cas met its value', [over(0, 1, write('1')), over(2, 3, cas('1', '2', false))], 1],
    ['a lost write', [over(0, 1, write('1')), over(2, 3, write('2')), over(4, 5, read('1'))], 2],
    ['two deletes find one value', [over(0, 1, remove(true)), over(2, 3, write('1'))], 0],
    [
      'a deleted value comes back',
      [over(0, 1, write('1')), over(2, 3, remove()), over(4, 5, read('1'))],
      2,
    ],
  ])('violated: %s', (_, history, stuck) => {
    const { verdict, stuck: at } = checkLinearizable(history, register)
    expect([verdict, at]).toEqual(['violated', history[stuck]])
  })

  test('keys are judged by themselves, and the violated one is named', () => {
    const good = [over(0, 1, write('1')), over(2, 3, read('1'))]
    const bad = [over(0, 1, write('1')), over(2, 3, read('2'))]
    const both = (a: Register[], b: Register[]) =>
      checkByKey(new Map(Object.entries({ a, b })), register)
    expect(both(good, good).verdict).toBe('linearizable')
    expect(both(good, bad)).toMatchObject({ verdict: 'violated', key: 'b' })
  })
})

/** All orders of all choices that hold every operation with an end: no memory, no list. */
function bruteForce<State, Operation>(
  history: readonly Interval<Operation>[],
  model: Model<State, Operation>,
): boolean {
  const order: Interval<Operation>[] = []
  const visit = (state: State): boolean => {
    if (history.every(one => one.end === undefined || order.includes(one))) return true
    return history.some(one => {
      if (order.includes(one)) return false
      const late = order.some(earlier => one.end !== undefined && one.end < earlier.start)
      const next = late ? undefined : model.apply(state, one.operation)
      if (next === undefined) return false
      order.push(one)
      const found = visit(next)
      order.pop()
      return found
    })
  }
  return visit(model.initial)
}

function randomIntervals<Operation>(
  random: SeededRandom,
  draw: (random: SeededRandom, open: boolean) => Operation,
): Interval<Operation>[] {
  return Array.from({ length: 1 + random.below(6) }, () => {
    const start = random.below(10)
    const open = random.chance(0.25)
    return {
      operation: draw(random, open),
      start,
      end: open ? undefined : start + random.below(6),
    }
  })
}

function randomRegister(random: SeededRandom, open: boolean): RegisterOperation {
  const value = random.pick(['1', '2'])
  const yes = open ? undefined : random.chance(0.5)
  return random.pick<RegisterOperation>([
    read(random.pick([ABSENT, '1', '2'])),
    write(value),
    cas(random.pick([ABSENT, '1', '2']), value, yes),
    remove(yes),
  ])
}

function randomRecord(random: SeededRandom, open: boolean): RecordOperation {
  const version = 1 + random.below(4)
  const ifVersion = random.chance(0.3) ? 1 + random.below(4) : undefined
  const ifAbsent = random.chance(0.2)
  return random.pick<RecordOperation>([
    { kind: 'see', version },
    { kind: 'see-absent' },
    { kind: 'see-present' },
    { kind: 'see-other', version },
    { kind: 'set', version: open ? undefined : version, ifAbsent, ifVersion },
    { kind: 'set', version: open ? undefined : version, ifAbsent: false, ifVersion: undefined },
    { kind: 'delete', heard: !open, ifVersion },
    { kind: 'clear' },
  ])
}

describe('against all orders', () => {
  const tiny: SearchLimits = { ...SEARCH_LIMITS, stepsMax: 5 }

  test.each<[string, Model<unknown, never>, (random: SeededRandom, open: boolean) => never]>([
    ['registers', register as Model<unknown, never>, randomRegister as never],
    ['records', record as Model<unknown, never>, randomRecord as never],
  ])('thousands of random histories of %s get the same verdict', (_, model, draw) => {
    const counts = { linearizable: 0, violated: 0, undecided: 0 }
    for (let seed = 1; seed <= 6_000; seed++) {
      const history = randomIntervals(seededRandom(seed), draw)
      const expected = bruteForce(history, model) ? 'linearizable' : 'violated'
      const { verdict } = checkLinearizable(history, model)
      counts[verdict]++
      expect(`seed ${seed} ${verdict}`).toBe(`seed ${seed} ${expected}`)
      const hasty = checkLinearizable(history, model, tiny)
      expect(['undecided', expected]).toContain(hasty.verdict)
      if (hasty.verdict === 'undecided') counts.undecided++
    }
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(500)
  })

  test('a record of unknown versions is judged as one whose versions are tried out', () => {
    let open = 0
    const counts = { linearizable: 0, violated: 0, undecided: 0 }
    for (let seed = 1; seed <= 3_000; seed++) {
      const history = randomIntervals(seededRandom(seed), randomRecord)
      const isOpen = ({ operation }: RecordInterval) =>
        operation.kind === 'set' && operation.version === undefined
      if (history.filter(isOpen).length > 2) continue
      const { verdict } = checkLinearizable(history, record)
      const known = withVersions(history).some(one => bruteForce(one, versions))
      if (known) expect(`seed ${seed} ${verdict}`).toBe(`seed ${seed} linearizable`)
      // That a record had another version is forgotten once its own is known.
      else if (history.every(({ operation }) => operation.kind !== 'see-other'))
        expect(`seed ${seed} ${verdict}`).toBe(`seed ${seed} violated`)
      if (history.some(isOpen)) open++
      counts[verdict]++
    }
    expect(Math.min(open, counts.linearizable, counts.violated)).toBeGreaterThan(300)
  })
})

/** The history with every version that its unheard writes could have got. */
function withVersions(history: readonly RecordInterval[]): RecordInterval[][] {
  const at = history.findIndex(({ operation: { kind }, operation }) => {
    return kind === 'set' && (operation as { version?: number }).version === undefined
  })
  if (at < 0) return [[...history]]
  return [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5].flatMap(version =>
    withVersions(
      history.map((one, i) =>
        i === at ? { ...one, operation: { ...one.operation, version } as RecordOperation } : one,
      ),
    ),
  )
}

/** `present,highest`: nothing is unknown here. An open write does nothing where it is refused. */
const versions: Model<string, RecordOperation> = {
  initial: '0,0',
  apply(state, operation) {
    const [present, highest] = state.split(',').map(Number)
    switch (operation.kind) {
      case 'see':
        return present === operation.version ? state : undefined
      case 'see-absent':
        return present === 0 ? state : undefined
      case 'see-present':
        return present === 0 ? undefined : state
      case 'see-other':
        return present === 0 || present === operation.version ? undefined : state
      case 'set': {
        const { version = 0, ifAbsent, ifVersion = present } = operation
        if ((ifAbsent && present !== 0) || ifVersion !== present) return undefined
        return version > highest ? `${version},${version}` : undefined
      }
      case 'delete': {
        const { ifVersion = present } = operation
        return present === 0 || ifVersion !== present ? undefined : `0,${highest}`
      }
      case 'clear':
        return `0,${highest}`
    }
  },
}

describe('histories that take for ever without a memory', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => i)

  test('14 writes side by side, and then a value that none of them wrote', () => {
    const history = many(14).map(i => over(i, 100, write(`${i}`)))
    history.push(over(200, 201, read('x')))
    const { verdict, steps } = checkLinearizable(history, register)
    expect(verdict).toBe('violated')
    expect(steps).toBeLessThan(5_000_000)
    for (const limits of [
      { ...SEARCH_LIMITS, stepsMax: 10_000 },
      { ...SEARCH_LIMITS, cacheBytesMax: 100_000 },
    ])
      expect(checkLinearizable(history, register, limits).verdict).toBe('undecided')
  })

  test('200 open writes of 4 values, which explain all reads but the last', () => {
    const history = many(200).map(i => over(i, undefined, write(`${i % 4}`)))
    for (const i of many(100)) history.push(over(300 + 2 * i, 301 + 2 * i, read(`${(i * 7) % 4}`)))
    expect(checkLinearizable(history, register).verdict).toBe('linearizable')
    history.push(over(900, 901, read('x')))
    const { verdict, steps } = checkLinearizable(history, register)
    expect(verdict).toBe('violated')
    expect(steps).toBeLessThan(100_000)
  })

  test('40 open conditional writes, each of another version', () => {
    const set = { kind: 'set', version: undefined, ifAbsent: false } as const
    const history: RecordInterval[] = many(40).map(i => ({
      operation: { ...set, ifVersion: i === 0 ? undefined : 10 + i },
      start: i,
      end: undefined,
    }))
    history.push({ operation: { kind: 'see', version: 5 }, start: 100, end: 101 })
    history.push({ operation: { kind: 'see-absent' }, start: 102, end: 103 })
    const { verdict, steps } = checkLinearizable(history, record)
    expect(verdict).toBe('violated')
    expect(steps).toBeLessThan(10_000)
  })

  test('60 writes side by side whose versions say in which order they went', () => {
    const set = { kind: 'set', ifAbsent: false, ifVersion: undefined } as const
    const history: RecordInterval[] = many(60).map(i => ({
      operation: { ...set, version: 1 + ((i * 7) % 61) },
      start: i,
      end: 1_000 + i,
    }))
    const { verdict, steps } = checkLinearizable(history, record)
    expect(verdict).toBe('linearizable')
    expect(steps).toBeLessThan(10_000)
  })

  test('30 such writes and 3 deletes, and then a version that was never given', () => {
    const set = { kind: 'set', ifAbsent: false, ifVersion: undefined } as const
    const history: RecordInterval[] = many(30).map(i => ({
      operation: { ...set, version: 1 + ((i * 7) % 31) },
      start: i,
      end: 1_000 + i,
    }))
    const removal = { kind: 'delete', heard: true, ifVersion: undefined } as const
    for (const i of many(3)) history.push({ operation: removal, start: 30 + i, end: 900 + i })
    history.push({ operation: { kind: 'see-absent' }, start: 2_000, end: 2_001 })
    history.push({ operation: { kind: 'see', version: 99 }, start: 2_002, end: 2_003 })
    const { verdict, steps } = checkLinearizable(history, record)
    expect(verdict).toBe('violated')
    expect(steps).toBeLessThan(10_000)
  })

  test('50,000 calls, one after the other and three at a time', () => {
    const history = many(50_000).map(i => over(3 * i, 3 * i + 7, i % 2 ? read('x') : write('x')))
    const { verdict, steps } = checkLinearizable(history, register)
    expect(verdict).toBe('linearizable')
    expect(steps).toBeLessThan(500_000)
  })
})
