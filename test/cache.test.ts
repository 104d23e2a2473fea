import { describe, expect, it } from 'vitest'
import { createCache } from '../src/cache/cache.js'
import { codecOf } from '../src/cache/codec.js'
import { checkOptions, KNOWN, unknownOption } from '../src/cache/options.js'
import { WATCH_BUFFER_MAX, WatchIterator } from '../src/cache/watch-iterator.js'
import type { CachePort, ChangeEvent, RawPage } from '../src/contracts/cache.js'
import { GcacheError } from '../src/errors.js'
import { cacheSuite } from '../src/testing/cache-suite.js'
import { World } from './harness/request-world.js'

describe('the cache of a client', () => {
  cacheSuite({
    test: (name, body) => it(name, body),
    async factory() {
      const world = new World()
      world.promote('a')
      world.calls.route('a')
      let open = true
      const running = (async () => {
        while (open) await world.pass(2)
      })()
      return {
        cache: (name, options) => createCache(world.calls, name, options),
        pass: async ms => {
          world.clock.advance(ms)
        },
        async close() {
          open = false
          await running
          world.calls.close()
        },
      }
    },
  })
})

describe('codecs', () => {
  const codec = codecOf<unknown>('msgpack')
  const round = (value: unknown) => codec.decode(codec.encode(value))

  it('msgpack brings back plain data, dates, sets, big numbers and bytes', () => {
    const value = {
      text: 'é\u{1f600}',
      whole: 2 ** 53 - 1,
      big: 2n ** 70n,
      date: new Date(7),
      set: new Set([1, 'a']),
      bytes: Uint8Array.of(1, 2),
      floats: Float32Array.of(1.5),
      none: undefined,
      nothing: null,
      nested: [{ a: [1] }],
    }
    expect(round(value)).toEqual(value)
  })

  it('msgpack takes what toJSON() says, as express-session cookies need', () => {
    class Cookie {
      _expires = 5
      toJSON() {
        return { path: '/' }
      }
    }
    expect(round({ cookie: new Cookie() })).toEqual({ cookie: { path: '/' } })
  })

  it('msgpack refuses a Map wherever it stands, instead of changing it', () => {
    for (const value of [new Map(), { a: [new Map([[1, 2]])] }])
      expect(() => codec.encode(value)).toThrow(GcacheError)
  })

  it('msgpack refuses what is too deep, also when it comes from elsewhere', () => {
    let deep: unknown = 1
    for (let i = 0; i < 200; i++) deep = { deep }
    expect(() => codec.encode(deep)).toThrow(GcacheError)
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(() => codec.encode(cycle)).toThrow(GcacheError)
  })

  it('msgpack leaves prototypes alone, whatever it reads', () => {
    round(JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'))
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  it('decode from lent bytes into values of their own', () => {
    for (const choice of ['msgpack', 'bytes'] as const) {
      const chosen = codecOf<Uint8Array>(choice)
      const lent = Buffer.from(chosen.encode(Buffer.from('abc')))
      const value = chosen.decode(lent)
      lent.fill(0)
      expect(Buffer.from(value).toString()).toBe('abc')
    }
  })
})

describe('options', () => {
  it('are refused by the nearest name', () => {
    expect(unknownOption('tttlMs', Object.keys(KNOWN.set)).message).toContain('ttlMs')
    expect(unknownOption('colour', Object.keys(KNOWN.set)).message).toContain('known are')
  })

  it('are judged by kind and range', () => {
    const code = (options: object, known: Record<string, string> = KNOWN.set) => {
      try {
        checkOptions(options, known)
        return 'fine'
      } catch (error) {
        return (error as GcacheError).code
      }
    }
    expect(code({ ttlMs: 0, idleMs: 2 ** 45, ifVersion: 3, ack: 'all', timeoutMs: 1 })).toBe('fine')
    expect(code({ ttlMs: undefined })).toBe('fine')
    expect(code({ ttlMs: 2 ** 45 + 1 })).toBe('LIMIT')
    expect(code({ ttlMs: '5' })).toBe('CONFIG')
    expect(code({ ttlMs: Number.NaN })).toBe('CONFIG')
    expect(code({ timeoutMs: 0 })).toBe('LIMIT')
    expect(code({ ifAbsent: 1 })).toBe('CONFIG')
    expect(code({ ifAbsent: true, ifVersion: 1 })).toBe('CONFIG')
    expect(code({ toString: 1 })).toBe('CONFIG')
    expect(code({ pageSize: 1_001 }, KNOWN.scan)).toBe('LIMIT')
    expect(code({ prefix: 5 }, KNOWN.watch)).toBe('CONFIG')
  })
})

describe('a scan', () => {
  const page = (keys: string[], cursor: number, epoch: number): RawPage => ({
    keys,
    values: keys.map(() => Buffer.from('0')),
    cursor,
    epoch,
    source: 'a',
  })

  function portOf(answers: (RawPage | Error)[], cursors: number[] = []): CachePort {
    const scan = async (_cache: string, _prefix: string, cursor: number) => {
      cursors.push(cursor)
      const answer = answers.shift()
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('no more')
      return answer
    }
    return { scan } as unknown as CachePort
  }

  const collect = async (port: CachePort) => {
    const keys: string[] = []
    for await (const key of createCache(port, 'c').keys()) keys.push(key)
    return keys
  }

  it('begins again when another master answers, because cursors are its own', async () => {
    const cursors: number[] = []
    const answers = [page(['a'], 7, 1), page(['x'], 9, 2), page(['a'], 5, 2), page(['b'], 0, 2)]
    expect(await collect(portOf(answers, cursors))).toEqual(['a', 'a', 'b'])
    expect(cursors).toEqual([0, 7, 0, 5])
  })

  it('gives up when masters change for ever', async () => {
    const answers = Array.from({ length: 50 }, (_, i) => page(['a'], 7, i))
    await expect(collect(portOf(answers))).rejects.toMatchObject({ code: 'NOT_READY' })
  })

  it('does not count what it began again in the partitions behind it', async () => {
    const answers: RawPage[] = []
    for (let group = 1; group <= 10; group++) {
      const of = (cursor: number, epoch: number) => ({
        ...page([`${group}`], cursor, epoch),
        from: group * 100,
      })
      // Its master changes once while it is read.
      const next = group === 10 ? 0 : (group + 1) * 100
      answers.push(of(group * 100 + 7, 1), of(next, 2), of(group * 100 + 7, 2), of(next, 2))
    }
    expect((await collect(portOf(answers))).at(-1)).toBe('10')
  })

  it('gives up when the masters of one partition change for ever', async () => {
    const answers = Array.from({ length: 50 }, (_, i) => ({ ...page(['a'], 107, i), from: 100 }))
    await expect(collect(portOf(answers))).rejects.toMatchObject({ code: 'NOT_READY' })
  })

  it('leaves no rejection behind when it is left early', async () => {
    const port = portOf([page(['a'], 7, 1), new GcacheError('TIMEOUT', 'late')])
    for await (const key of createCache(port, 'c').keys()) {
      expect(key).toBe('a')
      break
    }
    await new Promise(resolve => setImmediate(resolve))
  })

  it('asks for one page ahead, not more', async () => {
    const cursors: number[] = []
    const port = portOf([page(['a'], 7, 1), page(['b'], 8, 1), page(['c'], 0, 1)], cursors)
    const keys = createCache(port, 'c').keys()
    await keys.next()
    expect(cursors).toEqual([0, 7])
    await keys.return?.()
  })
})

describe('a cache that is called wrongly', () => {
  const world = new World()
  world.promote('a')
  world.calls.route('a')
  const cache = createCache<unknown>(world.calls, 'c')
  const first = async (iterator: () => AsyncIterableIterator<unknown>) => iterator().next()
  const wrong = <T>(value: unknown) => value as T
  const writes = ['set', 'setMany', 'delete', 'deleteMany', 'touch', 'clear']

  it.each<[string, () => Promise<unknown>]>([
    ['get', () => cache.get('k', wrong(null))],
    ['get', () => cache.get('k', wrong(5))],
    ['get', () => cache.get('k', wrong([]))],
    ['get', () => cache.get(wrong(Symbol('k')))],
    ['getEntry', () => cache.getEntry('k', wrong(null))],
    ['has', () => cache.has('k', wrong('x'))],
    ['set', () => cache.set('k', 1, wrong(null))],
    ['set', () => cache.set('k', 1, { ack: wrong(5n) })],
    ['set', () => cache.set('k', 1, { ack: wrong('foo') })],
    ['delete', () => cache.delete('k', wrong(null))],
    ['touch', () => cache.touch('k', wrong(null))],
    ['clear', () => cache.clear(wrong(null))],
    ['size', () => cache.size(wrong(null))],
    ['getMany', () => cache.getMany(wrong(5))],
    ['getMany', () => cache.getMany(wrong(null))],
    ['getMany', () => cache.getMany(wrong('abc'))],
    ['getMany', () => cache.getMany([], wrong(null))],
    ['deleteMany', () => cache.deleteMany(wrong(undefined))],
    ['deleteMany', () => cache.deleteMany([], { tttlMs: 1 } as never)],
    ['setMany', () => cache.setMany(wrong(5))],
    ['setMany', () => cache.setMany(wrong([5]))],
    ['setMany', () => cache.setMany(wrong([null]))],
    ['setMany', () => cache.setMany(wrong('ab'))],
    ['setMany', () => cache.setMany(wrong({ a: 1 }))],
    ['setMany', () => cache.setMany([['k', 1]], wrong(null))],
    ['setMany', () => cache.setMany([['k', 1]], { ack: wrong('foo') })],
    ['deleteMany', () => cache.deleteMany(['k', wrong(5)])],
    ['deleteMany', () => cache.deleteMany(['k'], { ack: wrong('foo') })],
    ['clear', () => cache.clear({ tttlMs: 1 } as never)],
    ['clear', () => cache.clear({ ack: wrong('foo') })],
    ['keys', () => first(() => cache.keys(wrong(null)))],
    ['entries', () => first(() => cache.entries(wrong(5)))],
    ['watch', () => first(() => cache.watch(wrong(null)))],
    ['watch', () => first(() => cache.watch({ signal: wrong(5) }))],
    ['createCache', async () => createCache(world.calls, 'c', null as never)],
    ['createCache', async () => createCache(world.calls, 'c', { codec: 5n as never })],
  ])('%s rejects with CONFIG, case %#', async (name, call) => {
    const error = await call().then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(error).toBeInstanceOf(GcacheError)
    const outcome = writes.includes(name) ? 'rejected' : undefined
    expect(error).toMatchObject({ code: 'CONFIG', outcome })
    expect(world.calls.pending).toBe(0)
  })

  it('a prefix longer than any key is LIMIT, of a scan as of a watch', async () => {
    const prefix = 'é'.repeat(257)
    const limit = { code: 'LIMIT' }
    await expect(first(() => cache.keys({ prefix }))).rejects.toMatchObject(limit)
    await expect(first(() => cache.watch({ prefix }))).rejects.toMatchObject(limit)
    const watch = cache.watch({ prefix: 'x'.repeat(512), signal: new AbortController().signal })
    await watch.return?.()
  })

  it('a key with half a surrogate pair, which UTF-8 lacks, is LIMIT for every write', async () => {
    const limit = { code: 'LIMIT', outcome: 'rejected' }
    for (const key of ['\ud800', 'a\udc00', `${'x'.repeat(300)}\ud800`]) {
      await expect(cache.set(key, 1)).rejects.toMatchObject(limit)
      await expect(cache.delete(key)).rejects.toMatchObject(limit)
      await expect(cache.touch(key)).rejects.toMatchObject(limit)
      await expect(
        cache.setMany([
          ['k', 1],
          [key, 1],
        ]),
      ).rejects.toMatchObject(limit)
      await expect(cache.deleteMany(['k', key])).rejects.toMatchObject(limit)
      expect(world.calls.pending).toBe(0)
    }
    await world.run(cache.set('\u{1f600}', 7))
    expect(await world.run(cache.get('\u{1f600}'))).toBe(7)
  })

  it('ifVersion 0 makes a record, and is VERSION_MISMATCH where there is one', async () => {
    await world.run(cache.set('made', 1, { ifVersion: 0 }))
    const again = world.run(cache.set('made', 2, { ifVersion: 0 }))
    await expect(again).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
    const gone = world.run(cache.set('gone', 1, { ifVersion: 5 }))
    await expect(gone).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await world.run(cache.delete('gone', { ifVersion: 5 }))).toBe(false)
  })

  it('a call with many keys names all that failed, with those not asked for any more', async () => {
    const away = new World()
    const unserved = createCache<number>(away.calls, 'c', { timeoutMs: 100 })
    const pairs = Array.from({ length: 600 }, (_, i) => [`k${i}`, i] as const)
    const keys = pairs.map(([key]) => key)
    const why = (failure: Promise<unknown>) =>
      failure.then(
        () => undefined,
        error => error,
      )
    const failures = [
      [why(unserved.setMany(pairs)), 'rejected'],
      [why(unserved.deleteMany(keys)), 'rejected'],
      [why(unserved.getMany(keys)), undefined],
    ] as const
    for (const [failure, outcome] of failures) {
      const error = await away.run(failure)
      expect(error).toMatchObject({ code: 'TIMEOUT', outcome })
      expect([...error.failed.keys()]).toEqual(keys)
      for (const one of error.failed.values())
        expect(one).toMatchObject({ code: 'TIMEOUT', outcome })
    }
  })

  it('setMany takes a Map, and each pair keeps the options of all', async () => {
    const receipts = await world.run(cache.setMany(new Map([['k', 1]]), { ttlMs: 5_000 }))
    expect(receipts).toHaveLength(1)
    const entry = await world.run(cache.getEntry('k'))
    expect(entry?.expiresAt).toBeGreaterThan(0)
  })
})

describe('a watch', () => {
  const event = (key: string): ChangeEvent<string> => ({ kind: 'set', key, value: 'v', version: 1 })

  function pushed(signal?: AbortSignal) {
    let push: (event: ChangeEvent<string>) => void = () => undefined
    let stopped = 0
    const watch = new WatchIterator<string>(signal).start(sink => {
      push = sink
      return () => {
        stopped++
      }
    })
    return { watch, push: (one: ChangeEvent<string>) => push(one), stopped: () => stopped }
  }

  it('keeps a bounded number of events, then one gap, and goes on behind it', async () => {
    const { watch, push } = pushed()
    for (let i = 0; i < WATCH_BUFFER_MAX + 500; i++) push(event(`k${i}`))
    const seen: ChangeEvent<string>[] = []
    for (let i = 0; i <= WATCH_BUFFER_MAX; i++) seen.push((await watch.next()).value as never)
    expect(seen.filter(one => one.kind === 'gap')).toHaveLength(1)
    expect(seen.at(-1)?.kind).toBe('gap')
    push(event('after'))
    expect((await watch.next()).value?.key).toBe('after')
  })

  it('ends for readers that wait, once it is left or aborted', async () => {
    const stop = new AbortController()
    const { watch, stopped, push } = pushed(stop.signal)
    const waiting = [watch.next(), watch.next()]
    stop.abort()
    expect((await Promise.all(waiting)).map(one => one.done)).toEqual([true, true])
    push(event('late'))
    expect((await watch.next()).done).toBe(true)
    expect(stopped()).toBe(1)
    await watch.return()
    expect(stopped()).toBe(1)
    const never = pushed(AbortSignal.abort())
    expect((await never.watch.next()).done).toBe(true)
    expect(never.stopped()).toBe(0)
  })

  it('ends with CODEC when a value cannot be decoded', async () => {
    let sink: (event: ChangeEvent<Uint8Array>) => void = () => undefined
    const port = {
      watch: (_cache: string, _prefix: string, given: typeof sink) => {
        sink = given
        return () => undefined
      },
    } as unknown as CachePort
    const watch = createCache(port, 'c', { codec: 'json' }).watch()
    sink({ kind: 'set', key: 'k', value: Buffer.from('{'), version: 1 })
    await expect(watch.next()).rejects.toMatchObject({ code: 'CODEC' })
    expect((await watch.next()).done).toBe(true)
  })
})
