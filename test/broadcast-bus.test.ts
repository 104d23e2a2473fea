/** Strategy broadcast as a bus of invalidations: values stay where they are set. */
import { describe, expect, it } from 'vitest'
import { Writers } from './harness/writers.js'

const ALL = ['a', 'b', 'c']

describe('a bus of invalidations', () => {
  const carry = { carry: 'invalidations' } as const
  const reads = (world: Writers, key: string) => ALL.map(id => world.read(id, key))

  it('keeps a value where it was set, and drops the copies of all others', () => {
    const world = new Writers(3, carry)
    world.set('a', 'k', 'of a')
    world.run(100)
    expect(reads(world, 'k')).toEqual(['of a', undefined, undefined])
    for (const id of ['b', 'c']) world.set(id, 'k', 'loaded', { ifAbsent: true })
    world.run(100)
    expect(reads(world, 'k')).toEqual(['of a', 'loaded', 'loaded'])
    const call = world.set('c', 'k', 'of c')
    expect(world.answer(call)).toBe('ok')
    world.run(100)
    expect(reads(world, 'k')).toEqual([undefined, undefined, 'of c'])
    const gone = world.delete('a', 'k')
    expect(world.answer(gone)).toBe('ok')
    world.run(100)
    expect(reads(world, 'k')).toEqual([undefined, undefined, undefined])
  })

  it('leaves one of two concurrent sets, and conditions are those of the own copy', () => {
    const world = new Writers(3, carry)
    world.set('a', 'k', 'of a')
    world.set('b', 'k', 'of b')
    world.run(100)
    expect(reads(world, 'k').filter(value => value !== undefined)).toHaveLength(1)
    const version = world.version('b', 'k') || world.version('a', 'k')
    const holder = world.read('a', 'k') === undefined ? 'b' : 'a'
    const wrong = world.set(holder, 'k', 'x', { ifVersion: version + 1 })
    const right = world.set(holder, 'k', 'y', { ifVersion: version })
    expect([world.answer(wrong), world.answer(right)]).toEqual(['VERSION_MISMATCH', 'ok'])
    expect(world.answer(world.set('c', 'k', 'x', { ifVersion: version }))).toBe('NOT_FOUND')
  })

  it('knows of no conflict: what was dropped is a copy, and no write is lost', () => {
    const world = new Writers(3, carry)
    for (const id of ['b', 'c']) world.set(id, 'filled', 'old', { ifAbsent: true })
    for (const id of ['b', 'c']) world.set(id, 'set', `of ${id}`)
    world.run(1_000)
    world.delete('a', 'filled')
    world.delete('a', 'set')
    world.set('b', 'cleared', 'x')
    world.clear('c')
    world.run(1_000)
    expect(reads(world, 'filled')).toEqual([undefined, undefined, undefined])
    expect(ALL.map(id => world.conflicts(id))).toEqual([0, 0, 0])
  })

  it('reaches who was cut off, beyond every backlog', () => {
    const world = new Writers(3, carry, { backlogBytesMax: 2_048 })
    for (let i = 0; i < 50; i++) world.set('c', `k${i}`, 'copy', { ifAbsent: true })
    world.set('c', 'kept', 'copy', { ifAbsent: true })
    world.run(200)
    world.cluster.split(['c'])
    world.run(1_000)
    for (let i = 0; i < 50; i++) {
      if (i % 2 === 0) world.set('a', `k${i}`, 'newer')
      else world.delete('b', `k${i}`)
      world.run(10)
    }
    world.cluster.mendAll()
    world.run(4_000)
    for (let i = 0; i < 50; i++) expect(world.read('c', `k${i}`)).toBeUndefined()
    expect(world.read('c', 'kept')).toBe('copy')
    expect(world.read('a', 'k48')).toBe('newer')
    expect(ALL.map(id => world.cluster.node(id).stamped?.endCount)).toEqual([0, 0, 0])
  })

  it('bounds each cache by itself', () => {
    const limits = { maxEntries: 10, maxBytes: 2 ** 20, ttlMs: 0, idleMs: 0 }
    const world = new Writers(2, carry, { caches: { c: { ...limits, eviction: 'lru' } } })
    for (const id of ['a', 'b'])
      for (let i = 0; i < 40; i++) world.set(id, `k${i}`, id, { ifAbsent: true })
    world.run(3_000)
    const entries = ['a', 'b'].map(id => world.cluster.node(id).stamped?.stats().entries)
    expect(entries).toEqual([10, 10])
    expect(world.read('b', 'k39')).toBe('b')
  })
})
