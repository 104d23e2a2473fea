/**
 * The rules of `Cache` as tests, for any face: Node's, Client's, or one over your own port. Ship
 * the proof with the plug point: one factory, one line that calls the suite.
 */
import assert from 'node:assert/strict'
import type { Cache, ChangeEvent, CodecChoice, SetOptions } from '../contracts/cache.js'
import { type ErrorCode, GcacheError } from '../errors.js'

export interface CacheUnderTest {
  /** Any name, also one that was never used; empty at first. */
  cache<V>(name: string, options?: { codec?: CodecChoice<V> }): Cache<V>
  /** Lets cluster time pass. Without it the suite waits for what must come, with a deadline. */
  pass?(ms: number): Promise<void>
  close(): Promise<void>
}

export interface CacheSuiteOptions {
  /** The test runner's function. */
  test(name: string, body: () => Promise<void>): void
  /** A fresh cluster with one serving master, for each test. */
  factory(): Promise<CacheUnderTest>
}

const DEADLINE_MS = 5_000

type Body = (under: CacheUnderTest, cache: Cache<unknown>) => Promise<void>

/** Registers one test a rule. */
export function cacheSuite(options: CacheSuiteOptions): void {
  for (const [name, body] of Object.entries({ ...RECORDS, ...MANY, ...LIVES, ...REFUSALS }))
    options.test(name, async () => {
      const under = await options.factory()
      try {
        await body(under, under.cache('suite'))
      } finally {
        await under.close()
      }
    })
}

const RECORDS: Record<string, Body> = {
  'a value set is the value got, and an absent key is undefined': async (_, cache) => {
    const values = [
      'text',
      '',
      0,
      -1.5,
      true,
      null,
      { deep: [{ a: 1 }] },
      [1, 'é\u{1f600}'],
      new Date(5),
    ]
    for (const [i, value] of values.entries()) await cache.set(`k${i}`, value)
    for (const [i, value] of values.entries()) assert.deepEqual(await cache.get(`k${i}`), value)
    assert.equal(await cache.get('none'), undefined)
    assert.equal(await cache.getEntry('none'), undefined)
  },
  'versions grow with every set, and an entry tells its own': async (_, cache) => {
    const first = await cache.set('k', 1)
    const second = await cache.set('k', 2)
    assert.ok(second.version > first.version)
    assert.equal(second.version, second.offset)
    assert.ok(second.copies >= 1)
    const entry = await cache.getEntry('k')
    assert.deepEqual(entry, { value: 2, version: second.version, expiresAt: undefined })
  },
  'ifAbsent and ifVersion decide whether a set happens': async (_, cache) => {
    const first = await cache.set('k', 1, { ifAbsent: true })
    await rejects(cache.set('k', 2, { ifAbsent: true }), 'ALREADY_EXISTS', 'rejected')
    await rejects(cache.set('k', 2, { ifVersion: first.version + 1 }), 'VERSION_MISMATCH')
    const second = await cache.set('k', 2, { ifVersion: first.version })
    await rejects(cache.set('k', 3, { ifVersion: first.version }), 'VERSION_MISMATCH', 'rejected')
    assert.equal(await cache.get('k'), 2)
    await rejects(cache.delete('k', { ifVersion: first.version }), 'VERSION_MISMATCH')
    assert.equal(await cache.delete('k', { ifVersion: second.version }), true)
    await rejects(cache.set('k', 4, { ifVersion: second.version }), 'NOT_FOUND', 'rejected')
  },
  'of writes at once with one version exactly one wins': async (_, cache) => {
    const { version } = await cache.set('k', 0)
    const writes = Array.from({ length: 20 }, (_, i) => cache.set('k', i, { ifVersion: version }))
    const settled = await Promise.allSettled(writes)
    assert.equal(settled.filter(one => one.status === 'fulfilled').length, 1)
  },
  'delete, has and touch tell whether there was a record': async (_, cache) => {
    assert.equal(await cache.has('k'), false)
    assert.equal(await cache.touch('k'), false)
    assert.equal(await cache.delete('k'), false)
    await cache.set('k', 1)
    assert.equal(await cache.has('k'), true)
    assert.equal(await cache.touch('k'), true)
    assert.equal(await cache.delete('k'), true)
    assert.equal(await cache.has('k'), false)
  },
  'a touch leaves version and value alone': async (_, cache) => {
    const { version } = await cache.set('k', 'v')
    await cache.touch('k', { ttlMs: 60_000 })
    const entry = await cache.getEntry('k')
    assert.equal(entry?.version, version)
    assert.equal(entry?.value, 'v')
    assert.ok((entry?.expiresAt ?? 0) > 0)
  },
  'caches do not see each other, and clear empties one of them': async ({ cache }, suite) => {
    const other = cache<string>('another')
    await suite.set('k', 'suite')
    await other.set('k', 'another')
    assert.equal(await suite.get('k'), 'suite')
    const receipt = await suite.clear()
    assert.equal(receipt.version, 0)
    assert.ok(receipt.offset > 0)
    assert.equal(await suite.size(), 0)
    assert.equal(await other.get('k'), 'another')
  },
  'calls made without waiting take effect in their order': async (_, cache) => {
    const calls: Promise<unknown>[] = []
    for (let i = 0; i < 100; i++) calls.push(cache.set('k', i))
    const read = cache.get('k')
    await Promise.all(calls)
    assert.equal(await read, 99)
  },
  'codecs keep what they take': async ({ cache }) => {
    const bytes = cache<Uint8Array>('bytes', { codec: 'bytes' })
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    await bytes.set('k', all)
    const found = await bytes.get('k')
    assert.deepEqual(Uint8Array.from(found ?? []), all)
    const json = cache<unknown>('json', { codec: 'json' })
    await json.set('k', { at: new Date(5), list: [1, null] })
    assert.deepEqual(await json.get('k'), { at: '1970-01-01T00:00:00.005Z', list: [1, null] })
    const upper = cache<string>('upper', {
      codec: {
        encode: value => Buffer.from(value.toUpperCase()),
        decode: kept => Buffer.from(kept).toString(),
      },
    })
    await upper.set('k', 'abc')
    assert.equal(await upper.get('k'), 'ABC')
    await rejects(json.set('k', undefined), 'CODEC', 'rejected')
    await rejects(bytes.set('k', 'text' as never), 'CODEC', 'rejected')
    // The head of a list of two, and nothing else.
    await bytes.set('j', Uint8Array.of(0x92))
    await rejects(cache('bytes').get('j'), 'CODEC')
  },
}

const MANY: Record<string, Body> = {
  'many-key methods answer in the order of their keys': async (_, cache) => {
    const keys = Array.from({ length: 1_500 }, (_, i) => `k${i}`)
    const receipts = await cache.setMany(keys.map(key => [key, `v${key}`] as const))
    assert.equal(new Set(receipts.map(receipt => receipt.offset)).size, keys.length)
    const values = await cache.getMany([...keys, 'none'])
    assert.deepEqual(values, [...keys.map(key => `v${key}`), undefined])
    assert.equal(await cache.size(), keys.length)
    assert.deepEqual(await cache.deleteMany(['k0', 'none', 'k1']), [true, false, true])
    assert.deepEqual(await cache.getMany(['k0', 'k2']), [undefined, 'vk2'])
  },
  'keys and entries meet each record once, by prefix': async (_, cache) => {
    const pairs = Array.from(
      { length: 700 },
      (_, i) => [`${i % 2 ? 'odd' : 'even'}${i}`, i] as const,
    )
    await cache.setMany(pairs)
    const keys: string[] = []
    for await (const key of cache.keys({ pageSize: 64 })) keys.push(key)
    assert.deepEqual(keys.sort(), pairs.map(([key]) => key).sort())
    const odd = new Map<string, unknown>()
    for await (const [key, value] of cache.entries({ prefix: 'odd', pageSize: 100 }))
      odd.set(key, value)
    assert.deepEqual(odd, new Map(pairs.filter(([key]) => key.startsWith('odd'))))
    for await (const key of cache.keys({ pageSize: 1 })) {
      assert.ok(key)
      break
    }
    const none: string[] = []
    for await (const key of cache.keys({ prefix: 'zzz' })) none.push(key)
    assert.deepEqual(none, [])
  },
  'a watch tells changes in their order, until it is left': async (_, cache) => {
    const events: ChangeEvent<unknown>[] = []
    const watch = cache.watch({ prefix: 'w' })
    await cache.set('w1', 'one')
    await cache.set('other', 1)
    await cache.touch('w1', { ttlMs: 60_000 })
    await cache.delete('w1')
    await cache.clear()
    for await (const event of watch) {
      if (event.kind !== 'gap') events.push(event)
      if (event.kind === 'clear') break
    }
    assert.deepEqual(
      events.map(({ kind, key, value }) => [kind, key, value]),
      [
        ['set', 'w1', 'one'],
        ['touch', 'w1', undefined],
        ['delete', 'w1', undefined],
        ['clear', '', undefined],
      ],
    )
    const stop = new AbortController()
    const stopped = cache.watch({ signal: stop.signal }).next()
    stop.abort()
    assert.equal((await stopped).done, true)
  },
}

const LIVES: Record<string, Body> = {
  'a record with ttlMs is absent afterwards, everywhere': async (under, cache) => {
    await cache.setMany([['short', 1]], { ttlMs: 80 })
    await cache.set('long', 2, { ttlMs: 3_600_000 })
    await gone(under, cache, 'short', 80)
    assert.equal(await cache.has('short'), false)
    assert.equal(await cache.getEntry('short'), undefined)
    assert.equal(await cache.size(), 1)
    assert.deepEqual(await all(cache.keys()), ['long'])
    assert.equal(await cache.delete('short'), false)
    const receipt = await cache.set('short', 3, { ifAbsent: true })
    assert.ok(receipt.version > 0)
  },
  'a record with idleMs is absent when nobody touched it': async (under, cache) => {
    await cache.set('idle', 1, { idleMs: 80 })
    assert.equal(await cache.get('idle'), 1)
    await gone(under, cache, 'idle', 80)
  },
}

const REFUSALS: Record<string, Body> = {
  'keys and names out of their limits are refused': async ({ cache }, suite) => {
    await rejects(suite.get(''), 'LIMIT')
    await rejects(suite.set('k'.repeat(513), 1), 'LIMIT', 'rejected')
    await rejects(suite.has('é'.repeat(257)), 'LIMIT')
    await suite.set('é'.repeat(256), 1)
    assert.equal(await suite.get('é'.repeat(256)), 1)
    assert.throws(() => cache('n'.repeat(65)), isCode('LIMIT'))
    assert.throws(() => cache(''), isCode('LIMIT'))
    const bytes = cache<Uint8Array>('bytes', { codec: 'bytes' })
    await bytes.set('most', Buffer.alloc(2 ** 20))
    assert.equal((await bytes.get('most'))?.length, 2 ** 20)
    await rejects(bytes.set('more', Buffer.alloc(2 ** 20 + 1)), 'LIMIT', 'rejected')
  },
  'unknown options are refused by name, with a suggestion': async ({ cache }, suite) => {
    const slip = { tlMs: 5 } as SetOptions
    const error = await suite.set('k', 1, slip).catch(caught => caught)
    assert.ok(isCode('CONFIG')(error))
    assert.match(String(error.message), /tlMs.*ttlMs/)
    await rejects(suite.set('k', 1, { ttlMs: 1.5 }), 'CONFIG', 'rejected')
    await rejects(suite.set('k', 1, { ttlMs: -1 }), 'LIMIT', 'rejected')
    await rejects(suite.set('k', 1, { ack: 'most' as never }), 'CONFIG', 'rejected')
    await rejects(suite.get('k', { timeout: 5 } as never), 'CONFIG')
    await rejects(suite.get(5 as never), 'CONFIG')
    assert.throws(() => cache('c', { code: 'json' } as never), isCode('CONFIG'))
    assert.throws(() => cache('c', { codec: 'yaml' as never }), isCode('CONFIG'))
    assert.equal(await suite.has('k'), false)
  },
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

async function gone(
  under: CacheUnderTest,
  cache: Cache<unknown>,
  key: string,
  afterMs: number,
): Promise<void> {
  if (under.pass !== undefined) {
    await under.pass(afterMs + 1)
    assert.equal(await cache.get(key), undefined)
    return
  }
  const until = performance.now() + DEADLINE_MS
  while ((await cache.get(key)) !== undefined)
    assert.ok(performance.now() < until, `${key} is still there`)
}

function isCode(code: ErrorCode): (error: unknown) => boolean {
  return error => error instanceof GcacheError && error.code === code
}

async function rejects(
  promise: Promise<unknown>,
  code: ErrorCode,
  outcome?: 'rejected',
): Promise<void> {
  const error = await promise.then(
    () => assert.fail(`not rejected with ${code}`),
    caught => caught as unknown,
  )
  assert.ok(error instanceof GcacheError, String(error))
  assert.equal(error.code, code)
  if (outcome !== undefined) assert.equal(error.outcome, outcome)
}
