/** What the store promises, case by case; store-random.test.ts proves the rest under seeds. */
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../src/config.js'
import { seededRandom } from '../src/core/prng.js'
import { Reader } from '../src/wire/bytes.js'
import { OP } from '../src/wire/command.js'
import { Bench, CACHE, configure, DEFAULTS, del, set, touch, writer } from './store-driver.js'
import type { Command, EntryOf } from './store-model.js'

describe('values, versions and conditions', () => {
  test('a set is read back with its offset as version', () => {
    const bench = new Bench()
    expect(bench.run(set('k', 'one'), set('k', 'two'))).toEqual(['ok 1', 'ok 2'])
    expect(bench.get('k')).toEqual({ value: 'two', version: 2, expiresAt: 0 })
  })

  test('what was read does not change under the reader, and is never stale', () => {
    const bench = new Bench()
    bench.run(set('k', 'one'))
    const before = bench.get('k')
    bench.run(set('k', 'two'))
    expect(before?.value).toBe('one')
    expect(bench.get('k')?.value).toBe('two')
    bench.run(del('k'), set('other', 'three'))
    expect(bench.get('k')).toBeUndefined()
    expect(bench.get('other')?.value).toBe('three')
    bench.run({ op: 'clear', cache: CACHE }, set('third', 'four'))
    expect(bench.get('third')?.value).toBe('four')
  })

  test('every byte value and an empty value come back', () => {
    const bench = new Bench()
    const value = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))
    bench.run(set('all', value), set('none', ''))
    expect(bench.get('all')?.value).toBe(value)
    expect(bench.get('none')?.value).toBe('')
  })

  test('conditions are decided in order within one batch', () => {
    const bench = new Bench()
    expect(
      bench.run(
        set('k', 'a', { ifAbsent: true }),
        set('k', 'b', { ifAbsent: true }),
        set('k', 'c', { ifVersion: 1 }),
        set('k', 'd', { ifVersion: 1 }),
        set('other', 'e', { ifVersion: 1 }),
        del('k', { ifVersion: 1 }),
        del('k', { ifVersion: 3 }),
        del('k'),
        touch('k'),
      ),
    ).toEqual([
      'ok 1',
      'exists 1',
      'ok 3',
      'version 3',
      'missing 0',
      'version 3',
      'ok 0',
      'missing 0',
      'missing 0',
    ])
  })

  test('caches of one name length do not mix, and reading makes none', () => {
    const bench = new Bench()
    bench.store.get('x', 'k', 0)
    expect(bench.store.caches().size).toBe(0)
    bench.run(set('k', '1'), { ...set('k', '2'), cache: 'd' } as Command, set('k', '3'))
    expect(bench.get('k')?.value).toBe('3')
    expect(bench.store.get('d', 'k', 0)?.value).toBe('2')
    expect([...bench.store.caches()]).toEqual([
      ['c', DEFAULTS],
      ['d', DEFAULTS],
    ])
  })
})

describe('lives', () => {
  test('a record ends at its deadline, judged by cluster time', () => {
    const bench = new Bench()
    bench.run(set('k', 'v', { ttlMs: 100 }))
    expect(bench.get('k')?.expiresAt).toBe(1_100)
    bench.time = 1_099.5
    expect(bench.get('k')).toBeDefined()
    bench.time = 1_100
    expect(bench.get('k')).toBeUndefined()
    expect(bench.store.has(CACHE, 'k', bench.time)).toBe(false)
    expect(bench.store.size(CACHE, bench.time)).toBe(0)
    expect(bench.run(del('k'), touch('k'), set('k', 'w', { ifVersion: 1 }))).toEqual(
      Array(3).fill('missing 0'),
    )
    expect(bench.run(set('k', 'w', { ifAbsent: true }))).toEqual(['ok 5'])
    expect(bench.get('k')).toEqual({ value: 'w', version: 5, expiresAt: 0 })
  })

  test('a touch restarts the idle time, never passes the deadline, and keeps the version', () => {
    const bench = new Bench()
    bench.run(set('k', 'v', { ttlMs: 100, idleMs: 30 }))
    expect(bench.get('k')?.expiresAt).toBe(1_030)
    bench.time = 1_020
    expect(bench.run(touch('k'))).toEqual(['ok 1'])
    expect(bench.get('k')).toEqual({ value: 'v', version: 1, expiresAt: 1_050 })
    bench.time = 1_049
    bench.run(touch('k'))
    bench.time = 1_078
    bench.run(touch('k'))
    expect(bench.get('k')?.expiresAt).toBe(1_100)
    bench.run(touch('k', { ttlMs: 500 }))
    expect(bench.get('k')?.expiresAt).toBe(1_108)
  })

  test('the cache gives lives to sets that name none, and 0 refuses them', () => {
    const bench = new Bench()
    bench.run(configure({ ttlMs: 50, idleMs: 20 }))
    bench.run(set('a'), set('b', 'v', { ttlMs: 0 }), set('c', 'v', { ttlMs: 0, idleMs: 0 }))
    expect(['a', 'b', 'c'].map(key => bench.get(key)?.expiresAt)).toEqual([1_020, 1_020, 0])
  })

  test('the sweep proposes what is past its life, once a second, and only that', () => {
    const bench = new Bench()
    for (let i = 0; i < 3_000; i++) bench.run(set(`k${i}`, 'v', { ttlMs: 1 + (i % 100) }))
    bench.time = 1_050
    const first = bench.store.housekeeping(bench.time, 10_000)
    expect(first.length).toBe(1_500)
    expect(bench.store.housekeeping(bench.time + 999, 10_000).length).toBe(1_500)
    const again = bench.store.housekeeping(bench.time + 1_000, 10_000)
    expect(again.length).toBe(3_000)
    expect(bench.runRaw(first).every(result => result === 'ok 0')).toBe(true)
    expect(bench.store.stats().entries).toBe(1_500)
    const outcomes = bench.runRaw(again)
    expect(outcomes.filter(result => result === 'ok 0').length).toBe(1_500)
    expect(outcomes.filter(result => result === 'missing 0').length).toBe(1_500)
    expect(bench.store.stats()).toEqual({ entries: 0, bytes: 0, windows: 0 })
  })

  test('a limit cuts the sweep, and the next call goes on behind it', () => {
    const bench = new Bench()
    for (let i = 0; i < 1_000; i++) bench.run(set(`k${i}`, 'v', { ttlMs: 1 }))
    bench.time = 2_000
    const keys = new Set<string>()
    for (let calls = 0; calls < 143; calls++)
      for (const bytes of bench.store.housekeeping(bench.time, 7)) {
        const reader = new Reader(bytes)
        expect(reader.u8()).toBe(OP.expire)
        reader.skip(3)
        keys.add(reader.text16())
      }
    expect(keys.size).toBe(1_000)
  })

  test('a record touched after its expiry was proposed stays', () => {
    const bench = new Bench()
    bench.run(set('k', 'v', { idleMs: 10 }))
    const early = bench.store.housekeeping(1_010, 10)
    bench.time = 1_009
    bench.run(touch('k'))
    expect(bench.runRaw(early)).toEqual(['missing 0'])
    expect(bench.get('k')).toBeDefined()
  })

  test('a storm of touches costs the sweep nothing, and the record still ends in time', () => {
    const bench = new Bench()
    bench.run(...Array.from({ length: 100 }, (_, i) => set(`k${i}`, 'v', { idleMs: 50 })))
    let ended = 0
    for (let i = 0; i < 2_000; i++) {
      bench.time += 1
      bench.run(touch(`k${i % 10}`))
      ended += bench.keepHouse()
    }
    expect(ended).toBe(90)
    bench.time += 50
    expect(bench.keepHouse()).toBe(10)
  })
})

describe('limits', () => {
  test('where eviction is none a set beyond maxEntries or maxBytes is refused', () => {
    const bench = new Bench()
    bench.run(configure({ eviction: 'none', maxEntries: 2, maxBytes: 2 * 66 + 10 }))
    expect(bench.run(set('a'), set('b'), set('c'))).toEqual(['ok 2', 'ok 3', 'full 0'])
    expect(bench.run(set('a', 'x'.repeat(11)), set('a', 'x'.repeat(12)))).toEqual([
      'ok 5',
      'full 5',
    ])
    expect(bench.run(del('b'), set('c'))).toEqual(['ok 0', 'ok 8'])
    expect(bench.store.housekeeping(bench.time, 10)).toEqual([])
  })

  test('records past their life count until an entry removes them', () => {
    const bench = new Bench()
    bench.run(configure({ eviction: 'none', maxEntries: 1 }), set('a', 'v', { ttlMs: 5 }))
    bench.time += 5
    expect(bench.run(set('b'))).toEqual(['full 0'])
    bench.keepHouse()
    expect(bench.run(set('b'))).toEqual(['ok 5'])
  })

  test('a record that alone exceeds maxBytes is refused under lru too', () => {
    const bench = new Bench()
    bench.run(configure({ maxBytes: 100 }))
    expect(bench.run(set('a', 'x'.repeat(35)), set('a', 'x'.repeat(36)))).toEqual([
      'ok 2',
      'full 2',
    ])
  })

  test('under lru the least recently used go, until the cache is within its limits', () => {
    const bench = new Bench()
    bench.run(configure({ maxEntries: 10 }))
    for (let i = 0; i < 14; i++) bench.run(set(`k${i}`))
    bench.get('k0')
    bench.run(touch('k1'))
    bench.store.has(CACHE, 'k2', bench.time)
    expect(bench.store.stats().entries).toBe(14)
    expect(bench.keepHouse()).toBe(4)
    const { keys } = bench.store.scan(CACHE, '', 0, 100, bench.time)
    expect([...keys].sort()).toEqual(
      ['k0', 'k1', 'k6', 'k7', 'k8', 'k9', 'k10', 'k11', 'k12', 'k13'].sort(),
    )
  })

  test('of many records the victims are exactly those unused for longest, in their order', () => {
    const bench = new Bench()
    const keys = Array.from({ length: 5_000 }, (_, i) => `k${i}`)
    bench.run(...keys.map(key => set(key)))
    const random = seededRandom(3)
    let order = keys
    for (let n = 0; n < 3_000; n++) {
      const used = `k${random.below(5_000)}`
      if (random.chance(0.5)) bench.get(used)
      else bench.run(set(used, 'again'))
      order = order.filter(key => key !== used)
      order.push(used)
    }
    bench.run(configure({ maxEntries: 4_000 }))
    const victims = bench.store.housekeeping(bench.time, 2_000).map(bytes => {
      const reader = new Reader(bytes)
      expect(reader.u8()).toBe(OP.evict)
      reader.skip(3)
      return reader.text16()
    })
    expect(victims).toEqual(order.slice(0, 1_000))
  })

  test('one cache too many is refused, and those that are there go on', () => {
    const bench = new Bench()
    const at = (cache: string): Command => ({ ...set('k'), cache }) as Command
    for (let i = 0; i < LIMITS.cachesMax; i++) bench.run(at(`cache-${i}`))
    const one = { cache: 'one-more' }
    const configureOne = { ...configure({}), ...one } as Command
    expect(
      bench.run(
        at('one-more'),
        configureOne,
        { ...touch('k'), ...one },
        { ...del('k'), ...one },
        { op: 'clear', ...one },
        at('cache-7'),
      ),
    ).toEqual(['full 0', 'full 0', 'missing 0', 'missing 0', 'ok 0', 'ok 1030'])
    expect(bench.store.caches().size).toBe(LIMITS.cachesMax)
    expect(bench.store.caches().has('one-more')).toBe(false)
  })

  test('a cache that ran empty gives its slots back and works on, for scans and copies too', () => {
    const bench = new Bench()
    const keys = Array.from({ length: 5_000 }, (_, i) => `k${i}`)
    bench.run(...keys.map(key => set(key)))
    bench.store.openSnapshot(1)
    const { cursor } = bench.store.scan(CACHE, '', 0, 10, bench.time)
    bench.run(...keys.map(key => del(key)), set('new'))
    expect(bench.store.scan(CACHE, '', cursor, 10, bench.time).cursor).toBe(0)
    expect(bench.store.scan(CACHE, '', 0, 10, bench.time).keys).toEqual(['new'])
    expect(bench.store.stats()).toEqual({ entries: 1, bytes: 68, windows: 0 })
    let records = 0
    for (let state = 'more'; state === 'more'; ) {
      const read = bench.store.readSnapshot(1, 20_000)
      records += read.slice.length
      state = read.state
    }
    expect(records).toBeGreaterThan(5_000 * 25)
  })

  test('maxBytes evicts as well', () => {
    const bench = new Bench()
    bench.run(configure({ maxBytes: 1_000 }))
    for (let i = 0; i < 20; i++) bench.run(set(`k${i + 10}`, 'x'.repeat(33)))
    expect(bench.keepHouse()).toBe(10)
    expect(bench.store.stats().bytes).toBe(1_000)
  })

  test('victims under way are not proposed again before a second has passed', () => {
    const bench = new Bench()
    bench.run(configure({ maxEntries: 10 }))
    for (let i = 0; i < 60; i++) bench.run(set(`k${i}`))
    const first = bench.store.housekeeping(bench.time, 30)
    expect(first.length).toBe(30)
    expect(bench.store.housekeeping(bench.time, 30).length).toBe(20)
    expect(bench.store.housekeeping(bench.time + 999, 30).length).toBe(0)
    expect(bench.store.housekeeping(bench.time + 1_000, 100).length).toBe(50)
    expect(bench.runRaw(first).every(result => result === 'ok 0')).toBe(true)
    expect(bench.store.housekeeping(bench.time + 1_001, 100).length).toBe(0)
    expect(bench.store.housekeeping(bench.time + 2_000, 100).length).toBe(20)
  })

  test('a victim that was set again stays', () => {
    const bench = new Bench()
    bench.run(configure({ maxEntries: 1 }), set('a'), set('b'))
    const victims = bench.store.housekeeping(bench.time, 10)
    bench.run(set('a', 'new'))
    expect(bench.runRaw(victims)).toEqual(['missing 0'])
    expect(bench.get('a')?.value).toBe('new')
  })
})

describe('idempotency windows', () => {
  const open: EntryOf = { client: writer(1), seq: 1, command: { op: 'openWindow' } }

  test('a retry reports what the first try reported and has no second effect', () => {
    const bench = new Bench()
    const write = { client: writer(1), seq: 2, command: set('k', 'one', { ifAbsent: true }) }
    expect(bench.runEntries([open, write])).toEqual(['ok 0', 'ok 2'])
    bench.run(set('k', 'two'))
    expect(bench.runEntries([write])).toEqual(['ok 2'])
    expect(bench.get('k')?.value).toBe('two')
    const refused = { client: writer(1), seq: 3, command: set('k', 'x', { ifAbsent: true }) }
    expect(bench.runEntries([refused])).toEqual(['exists 3'])
    bench.run(del('k'))
    expect(bench.runEntries([refused])).toEqual(['exists 3'])
  })

  test('without a window nothing is done, and nothing is remembered', () => {
    const bench = new Bench()
    const write = { client: writer(1), seq: 2, command: set('k') }
    expect(bench.runEntries([write])).toEqual(['expired 0'])
    expect(bench.store.caches().size).toBe(0)
    expect(bench.runEntries([open, write])).toEqual(['ok 0', 'ok 3'])
  })

  test('a duplicate whose result was received long ago does not execute', () => {
    const bench = new Bench()
    const late = { client: writer(1), seq: 2, command: set('k', 'late') }
    bench.runEntries([open, late, { client: writer(3), seq: 3, command: del('k') }])
    expect(bench.runEntries([late])).toEqual(['expired 0'])
    expect(bench.get('k')).toBeUndefined()
  })

  test('a window holds 1,024 results and no more', () => {
    const bench = new Bench()
    bench.runEntries([open])
    for (let seq = 1; seq <= LIMITS.windowWritesMax; seq++)
      bench.runEntries([{ client: writer(1), seq, command: set(`k${seq}`) }])
    const beyond = { client: writer(1), seq: 1_025, command: set('beyond') }
    expect(bench.runEntries([beyond])).toEqual(['expired 0'])
    const oldest = { client: writer(1), seq: 1, command: set('k1', 'again') }
    expect(bench.runEntries([oldest])).toEqual(['ok 2'])
    expect(bench.runEntries([{ ...beyond, client: writer(2) }])).toEqual(['ok 1028'])
  })

  test('idle windows are closed, and one used since then is not', () => {
    const bench = new Bench()
    bench.runEntries([open, { ...open, client: writer(1, 'other') }])
    bench.time += LIMITS.windowIdleMs
    const proposed = bench.store.housekeeping(bench.time, 10)
    expect(proposed.length).toBe(2)
    expect(bench.store.housekeeping(bench.time + 1, 10).length).toBe(0)
    bench.runEntries([{ client: writer(1), seq: 2, command: set('k') }])
    expect(bench.runRaw(proposed).sort()).toEqual(['missing 0', 'ok 0'])
    expect(bench.store.stats().windows).toBe(1)
  })

  test('beyond the limit the windows used longest ago are closed', () => {
    const bench = new Bench()
    const entries = Array.from({ length: LIMITS.windowsMax + 5 }, (_, i) => ({
      ...open,
      client: writer(1, `w${i}`),
    }))
    bench.runEntries(entries)
    bench.runEntries(entries.slice(0, 3))
    expect(bench.keepHouse()).toBe(5)
    expect(bench.store.stats().windows).toBe(LIMITS.windowsMax)
    const writes = [2, 3, 7, 8].map(i => ({
      client: writer(1, `w${i}`),
      seq: 9,
      command: set(`k${i}`),
    }))
    const outcomes = bench.runEntries(writes).map(result => result.split(' ')[0])
    expect(outcomes).toEqual(['ok', 'expired', 'expired', 'ok'])
  })
})

describe('clear', () => {
  test('empties one cache at once and leaves its options and the others', () => {
    const bench = new Bench()
    bench.run(configure({ maxEntries: 77 }), set('a'), { ...set('a'), cache: 'd' } as Command)
    expect(bench.run({ op: 'clear', cache: CACHE })).toEqual(['ok 0'])
    expect(bench.get('a')).toBeUndefined()
    expect(bench.store.size(CACHE, 0)).toBe(0)
    expect(bench.store.scan(CACHE, '', 0, 10, 0).keys).toEqual([])
    expect(bench.store.caches().get(CACHE)?.maxEntries).toBe(77)
    expect(bench.store.size('d', 0)).toBe(1)
    expect(bench.run(set('a', 'v', { ifAbsent: true }))).toEqual(['ok 5'])
  })
})

describe('scan', () => {
  test('meets a key that lives through it exactly once, whatever else is written', () => {
    const bench = new Bench()
    for (let i = 0; i < 1_000; i++) bench.run(set(`a${i}`), set(`b${i}`))
    const met = new Map<string, number>()
    let cursor = 0
    let extra = 0
    do {
      const page = bench.store.scan(CACHE, 'a', cursor, 10, bench.time)
      for (const key of page.keys) met.set(key, (met.get(key) ?? 0) + 1)
      cursor = page.cursor
      bench.run(set(`a${extra % 1_000}`, 'again'), del(`b${extra % 1_000}`), set(`x${extra}`))
      extra += 7
    } while (cursor !== 0)
    expect(met.size).toBe(1_000)
    expect(new Set(met.values())).toEqual(new Set([1]))
  })
})

describe('changes', () => {
  test('are told while a sink is set, and refused commands tell nothing', () => {
    const bench = new Bench()
    const told: unknown[][] = []
    bench.store.changes = { onChange: (...change) => told.push(change) }
    bench.run(set('k', 'v', { ttlMs: 5 }), set('k', 'w', { ifAbsent: true }), touch('k'))
    bench.time += 5
    bench.keepHouse()
    bench.run(set('l'), del('l'), del('l'), { op: 'clear', cache: CACHE })
    expect(told).toEqual([
      ['c', 'set', 'k', 'v', 1],
      ['c', 'touch', 'k', undefined, 1],
      ['c', 'expire', 'k', undefined, 4],
      ['c', 'set', 'l', 'v', 5],
      ['c', 'delete', 'l', undefined, 6],
      ['c', 'clear', '', undefined, 8],
    ])
    bench.store.changes = undefined
    bench.run(set('m'))
    expect(told.length).toBe(6)
  })
})
