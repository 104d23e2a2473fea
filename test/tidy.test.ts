/**
 * Style that is not tested is not kept (HOUSE, section 3). First the house itself; then every rule
 * on a snippet that breaks it, so that no rule can fall asleep.
 */
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { checkLeftovers, checkPure, checkTimers } from './tidy/bans.js'
import { checkCodes } from './tidy/codes.js'
import { checkFloors } from './tidy/floors.js'
import { checkReach } from './tidy/reach.js'
import { checkSizes } from './tidy/sizes.js'
import { type Finding, type House, type Manifest, parse, print, readHouse } from './tidy/sources.js'
import { checkWords } from './tidy/words.js'

const house = readHouse(fileURLToPath(new URL('..', import.meta.url)))

type Rule = (house: House) => Finding[]

/** The rule's findings on `files`, as `path:line fact`. */
function judge(rule: Rule, files: Record<string, string>, manifest: Partial<Manifest> = {}) {
  const sources = Object.entries(files).map(([path, text]) => parse(path, text))
  const empty = { exports: {}, bin: {}, scripts: {}, dependencies: {}, devDependencies: {} }
  return rule({ sources, manifest: { ...empty, ...manifest } }).map(
    ({ path, line, fact }) => `${path}:${line} ${fact}`,
  )
}

describe('the house', () => {
  test('holds the sources that it should judge', () => {
    expect(house.sources.length).toBeGreaterThan(20)
  })

  test.each([
    ['imports point downwards only', checkFloors],
    ['strategies and pure building blocks have no clock, chance or promise', checkPure],
    ['timers below the roof come from the one clock', checkTimers],
    ['nothing is left over from debugging', checkLeftovers],
    ['files, functions and lines stay within their bounds', checkSizes],
    ['codes thrown and the table of errors.ts agree', checkCodes],
    ['every file is reached', checkReach],
    ['one word has one meaning', checkWords],
  ] as const)('%s', (_, rule) => {
    expect(rule(house).map(print)).toEqual([])
  })
})

describe('floors', () => {
  const allowed = (path: string, text: string, manifest?: Partial<Manifest>) =>
    judge(checkFloors, { [path]: text }, manifest)

  test.each([
    ['src/contracts/a.ts', "import { x } from '../core/assert.js'"],
    ['src/contracts/a.ts', "import { x } from 'node:fs'"],
    ['src/core/a.ts', "import type { x } from '../wire/bytes.js'"],
    ['src/core/a.ts', "import { x } from 'lru-cache'"],
    ['src/wire/bytes.ts', "import { pack } from 'msgpackr'"],
    ['src/wire/bytes.ts', "import { crc32 } from 'node:zlib'"],
    ['src/store/a.ts', "import { x } from '../cache/cache.js'"],
    ['src/store/key-value.ts', "import { x } from 'node:fs'"],
    ['src/engine/a.ts', "import { x } from '../../strategies/master-slave/index.js'"],
    ['src/engine/a.ts', "export { x } from '../../transports/tcp.js'"],
    ['src/engine/a.ts', "const x = await import('../store/memory-log.js')"],
    ['src/client/a.ts', "import { x } from '../engine/engine.js'"],
    ['src/client/a.ts', "import { x } from '../index.js'"],
    ['src/engine/a.ts', "import { x } from '../options.js'"],
    ['strategies/master-slave/a.ts', "import { x } from '../partitioned/table.js'"],
    ['strategies/master-slave/a.ts', "import { x } from '../../transports/memory.js'"],
    ['strategies/master-slave/a.ts', "import { x } from '../../src/store/key-value.js'"],
    ['strategies/master-slave/a.ts', "import { EventEmitter } from 'eventemitter3'"],
    ['transports/tcp.ts', "import { x } from '../strategies/master-slave/index.js'"],
    ['transports/tcp.ts', "import { x } from './memory.js'"],
    ['transports/tcp.ts', "import { x } from 'ws'"],
    ['src/server/a.ts', "import { x } from '../../test/harness/ports.js'"],
    ['src/server/a.ts', "import { x } from 'undeclared'"],
    ['src/server/a.ts', "let x: import('../../benchmarks/harness.js').Load"],
  ])('%s may not: %s', (path, text) => {
    expect(allowed(path, text)).toHaveLength(1)
  })

  test.each([
    ['src/contracts/a.ts', "import type { x } from './types.js'"],
    ['src/contracts/a.ts', "import type { x } from '../errors.js'"],
    ['src/wire/control.ts', "import { pack } from 'msgpackr'"],
    ['src/wire/checksum.ts', "import { crc32 } from 'node:zlib'"],
    ['src/store/disk-log.ts', "import { x } from 'node:fs'"],
    ['src/store/key-value.ts', "import { x } from 'lru-cache'"],
    ['src/engine/pump.ts', "import { x } from '../wire/batch.js'"],
    ['src/client/a.ts', "import { x } from '../cache/cache.js'"],
    ['strategies/master-slave/a.ts', "import { x } from './slave.js'"],
    ['strategies/master-slave/a.ts', "import { x } from '../../src/core/assert.js'"],
    ['strategies/partitioned/a.ts', "import { x } from '../master-slave/index.js'"],
    ['transports/tcp.ts', "import { x } from './stream/layer.js'"],
    ['transports/tcp.ts', "import { x } from 'node:net'"],
    ['transports/websocket.ts', "import { x } from 'ws'"],
    ['src/index.ts', "export { x } from '../transports/tcp.js'"],
    ['src/server/a.ts', "import { x } from '../testing/index.js'"],
    ['test/a.test.ts', "import { x } from '../src/engine/pump.js'"],
    ['benchmarks/a.ts', "import { x } from '../src/index.js'"],
  ])('%s may: %s', (path, text) => {
    expect(allowed(path, text)).toEqual([])
  })

  test('the roof may use what package.json names, and types of a host it is an adapter for', () => {
    const manifest = {
      dependencies: { pino: '10' },
      devDependencies: { '@types/express-session': '1', vitest: '4' },
    }
    const at = 'src/integrations/a.ts'
    expect(allowed(at, "import { pino } from 'pino'", manifest)).toEqual([])
    expect(allowed(at, "import type { Store } from 'express-session'", manifest)).toEqual([])
    expect(allowed(at, "import session from 'express-session'", manifest)).toHaveLength(1)
    expect(allowed(at, "import { test } from 'vitest'", manifest)).toHaveLength(1)
    expect(allowed('test/a.ts', "import { test } from 'vitest'", manifest)).toEqual([])
  })

  test('a file in no room is found', () => {
    expect(allowed('src/helpers/a.ts', '')).toHaveLength(1)
    expect(allowed('src/registry.ts', '')).toEqual([])
  })
})

describe('pure folders', () => {
  test.each([
    'const x = Date.now()',
    'const x = new Date()',
    'const x = performance.now()',
    'const x = Math.random()',
    'setTimeout(f, 1)',
    'setInterval(f, 1)',
    'setImmediate(f)',
    'queueMicrotask(f)',
    'const soon = { setImmediate }',
    'process.nextTick(f)',
    'let x: Promise<void>',
    'const f = async () => {}',
    "import { x } from 'node:fs'",
    "const x = await import('./other.js')",
    'const x = globalThis.Date',
  ])('%s is found in a strategy and in core', text => {
    expect(judge(checkPure, { 'strategies/a/b.ts': text })).not.toEqual([])
    expect(judge(checkPure, { 'src/core/b.ts': text })).not.toEqual([])
    expect(judge(checkPure, { 'src/engine/b.ts': text })).toEqual([])
  })

  test('a member of such a name is no clock', () => {
    const text = 'interface A { Date: number }\nconst x = a.Date + b.performance.now\n'
    expect(judge(checkPure, { 'strategies/a/b.ts': text })).toEqual([])
  })

  test('timers below the roof are found outside the one clock', () => {
    const timer = 'setTimeout(f, 1)'
    expect(judge(checkTimers, { 'src/client/a.ts': timer })).toHaveLength(1)
    expect(judge(checkTimers, { 'transports/tcp.ts': timer })).toHaveLength(1)
    expect(judge(checkTimers, { 'src/engine/system-clock.ts': timer })).toEqual([])
    expect(judge(checkTimers, { 'src/server/a.ts': timer })).toEqual([])
    expect(judge(checkTimers, { 'src/client/a.ts': 'socket.setTimeout(0)' })).toEqual([])
  })
})

describe('leftovers', () => {
  // Apart from what they narrow or skip: whoever searches for such tests is to find none here.
  const [ONLY, SKIP] = ['only', 'skip']

  // Texts that the rule must find: no test is narrowed or skipped here.
  test.each([
    ['src/core/a.ts', 'debugger'],
    ['test/a.test.ts', `test.${ONLY}("x", () => {})`],
    ['test/a.test.ts', `describe.${SKIP}.${ONLY}("x", () => {})`],
    ['test/a.test.ts', `test.each([1]).${ONLY}("x", () => {})`],
    ['src/engine/a.ts', 'console.log(1)'],
    ['transports/a.ts', 'console.error(1)'],
    ['src/client/a.ts', 'export default 1'],
  ])('in %s: %s', (path, text) => {
    expect(judge(checkLeftovers, { [path]: text })).toHaveLength(1)
  })

  test('the roof may print, and `only` may be a word', () => {
    expect(judge(checkLeftovers, { 'src/server/a.ts': 'console.log(1)' })).toEqual([])
    expect(judge(checkLeftovers, { 'test/a.test.ts': 'options.only = 1' })).toEqual([])
  })
})

describe('sizes', () => {
  const body = (lines: number) => '  x()\n'.repeat(lines)

  test('a file of 500 lines stands, one of 501 is found', () => {
    expect(judge(checkSizes, { 'src/a.ts': 'x()\n'.repeat(500) })).toEqual([])
    expect(judge(checkSizes, { 'src/a.ts': 'x()\n'.repeat(501) })).toEqual([
      'src/a.ts:501 a file of 501 lines exceeds 500',
    ])
  })

  test.each([
    ['a function', 'function f() {\n', '}'],
    ['an arrow', 'const f = () => {\n', '}'],
    ['a method', 'class A { f() {\n', '}}'],
    ['a test', 'test("x", () => {\n', '})'],
  ])('%s of 70 lines stands, one of 71 is found', (_, head, tail) => {
    expect(judge(checkSizes, { 'src/a.ts': head + body(68) + tail })).toEqual([])
    expect(judge(checkSizes, { 'src/a.ts': head + body(69) + tail })).toHaveLength(1)
  })

  test('a describe only groups its tests', () => {
    const group = `describe("x", () => {\n${body(100)}})`
    expect(judge(checkSizes, { 'test/a.test.ts': group })).toEqual([])
    expect(judge(checkSizes, { 'test/a.test.ts': group.replace('be', 'be.each([1])') })).toEqual([])
  })

  test('a line of 100 columns stands, one of 101 is found', () => {
    expect(judge(checkSizes, { 'src/a.ts': `//${'é'.repeat(98)}` })).toEqual([])
    expect(judge(checkSizes, { 'src/a.ts': `\n//${'é'.repeat(99)}` })).toEqual([
      'src/a.ts:2 a line of 101 columns exceeds 100',
    ])
  })
})

describe('codes', () => {
  const table = 'export const ERROR_CODES = {\n  BUSY: row(),\n  NOT_MASTER: row(),\n}'
  const codes = (text: string) =>
    judge(checkCodes, { 'src/errors.ts': table, 'strategies/a/b.ts': text })

  test('a table whose rows are all thrown stands', () => {
    expect(codes("reject(1, 'BUSY', true)\nconst map = { master: 'NOT_MASTER' }")).toEqual([])
  })

  test('a row that nobody throws is found at its line', () => {
    expect(codes("new GcacheError('BUSY', 'x')")).toEqual([
      'src/errors.ts:3 code NOT_MASTER is never thrown',
    ])
  })

  test.each([
    "new GcacheError('LOST', 'x')",
    "effects.reject(1, 'LOST', true)",
    "new GcacheError(full ? 'BUSY' : 'LOST', 'x')",
    "effects.disconnect(peer, 'LOST')",
  ])('a code without a row is found: %s', text => {
    const used = "const used = ['BUSY', 'NOT_MASTER']\n"
    expect(codes(used + text)).toEqual(['strategies/a/b.ts:2 code LOST has no row'])
  })

  test('a test that names a code does not count as throwing it', () => {
    const files = { 'src/errors.ts': table, 'test/a.ts': "['BUSY', 'NOT_MASTER']" }
    expect(judge(checkCodes, files)).toHaveLength(2)
  })
})

describe('reach', () => {
  const manifest = {
    exports: { '.': { types: './dist/src/index.d.ts', default: './dist/src/index.js' } },
    bin: { gcache: './dist/src/server/cli.js' },
    scripts: { sim: 'npm run build && node dist/test/sim.js' },
  }
  const files = {
    'src/index.ts': "export { a } from './a.js'",
    'src/a.ts': "const load = () => import('./b.js')",
    'src/b.ts': "import type { C } from './c.js'",
    'src/c.ts': '',
    'src/server/cli.ts': "fork(new URL('./child.js', import.meta.url))",
    'src/server/child.ts': "spawn('dist/src/far.js')",
    'src/far.ts': '',
    'test/sim.ts': '',
    'test/a.test.ts': "import './harness/h.js'",
    'test/harness/h.ts': '',
  }

  test('exports, binaries, scripts, tests and started files are reached', () => {
    expect(judge(checkReach, files, manifest)).toEqual([])
  })

  test('what nobody names is dead, and so is what only the dead name', () => {
    const more = { ...files, 'src/x.ts': "import './y.js'", 'src/y.ts': '' }
    expect(judge(checkReach, more, manifest)).toEqual([
      'src/x.ts:1 a dead file',
      'src/y.ts:1 a dead file',
    ])
  })
})

describe('words', () => {
  const words = (text: string, path = 'src/a.ts') => judge(checkWords, { [path]: text })

  test.each([
    'leader',
    'primary',
    'replicas',
    'follower',
    'secondary',
    'terms',
    'generation',
    'journal',
    'logIndex',
    'seqno',
    'confirmed',
    'shard',
    'buckets',
    'migration',
    'switchover',
    'handoff',
    'packet',
    'channel',
    'connection',
    'network partition',
    'split-brain',
  ])('%s is found alone, in comments and inside names', word => {
    const [first, ...rest] = word
    expect(words(`const ${word} = 1`)).toHaveLength(1)
    expect(words(`// a ${word} here`)).toHaveLength(1)
    expect(words(`const old${first.toUpperCase()}${rest.join('')} = 1`)).toHaveLength(1)
    expect(
      words(`const ${word.toUpperCase()}_MAX = 1`.replace('LOGINDEX', 'LOG_INDEX')),
    ).not.toEqual([])
  })

  test.each([
    'terminal determine terminate',
    'replicate replication replicated',
    'leadership primarily',
    'network partition-free'.replace('network ', ''),
    'the log, indexed; a log[index]',
    'confirmable',
    'connected connect',
    'partition the network',
  ])('%s is no such word', text => {
    expect(words(`// ${text}`)).toEqual([])
  })

  test('connection is at home in transports and benchmarks', () => {
    expect(words('// connection', 'transports/stream/layer.ts')).toEqual([])
    expect(words('// connection', 'benchmarks/peers.ts')).toEqual([])
    expect(words('// channel', 'transports/stream/layer.ts')).toHaveLength(1)
  })

  test('an exception with its reason stands, on the line or alone above it', () => {
    expect(words("x('leader') // tidy: allow leader - NATS's own word")).toEqual([])
    expect(words("// tidy: allow leader - NATS's own word\nx('leader')")).toEqual([])
    expect(words('closeConnections() // tidy: allow connection - Node.js calls it so')).toEqual([])
    expect(words('// tidy: allow leader, packet - a quotation\nx(leader, packet)')).toEqual([])
  })

  test('an exception without a reason, or for nothing, is found', () => {
    expect(words('leader() // tidy: allow leader')).toHaveLength(2)
    expect(words('x() // tidy: allow leader - because')).toHaveLength(1)
    expect(words('// tidy: allow leader - because\nx()')).toHaveLength(1)
    expect(words('x() // tidy: allow packet - because\nleader()')).toHaveLength(2)
  })
})

test('a finding prints its place, the fact and a remedy', () => {
  const [found] = checkSizes({
    sources: [parse('src/a.ts', `//${'x'.repeat(100)}`)],
    manifest: house.manifest,
  })
  expect(print(found)).toBe('src/a.ts:1: a line of 102 columns exceeds 100: break it')
})
