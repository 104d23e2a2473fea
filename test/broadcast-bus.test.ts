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

  it('leaves none of two concurrent sets: which one is newer, only their source knows', () => {
    const world = new Writers(3, carry)
    world.set('a', 'k', 'of a')
    world.set('b', 'k', 'of b')
    world.run(100)
    expect(reads(world, 'k')).toEqual([undefined, undefined, undefined])
    world.expectEqual()
  })

  it('decides conditions by the own copy', () => {
    const world = new Writers(3, carry)
    world.set('a', 'k', 'of a')
    world.run(100)
    const version = world.version('a', 'k')
    const wrong = world.set('a', 'k', 'x', { ifVersion: version + 1 })
    const right = world.set('a', 'k', 'y', { ifVersion: version })
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

describe('clocks that are 1.5 s apart, on a bus', () => {
  const carry = { carry: 'invalidations' } as const
  const apart = { clocks: [{ wallOffsetMs: 1_500 }, { wallOffsetMs: 0 }, { wallOffsetMs: 0 }] }
  const fill = (world: Writers) => {
    const call = world.set('a', 'k', 'old', { ifAbsent: true })
    expect(world.answer(call)).toBe('ok')
  }

  it.each(['delete', 'set', 'clear'] as const)('save no copy from a %s elsewhere', what => {
    const world = new Writers(3, carry, apart)
    Object.assign(world.cluster.network.faults, { latencyMsMin: 20, latencyMsMax: 20 })
    world.run(2_000)
    fill(world)
    world.run(10)
    // Stamped below the copy, and made after it.
    if (what === 'delete') world.delete('b', 'k')
    else if (what === 'set') world.set('b', 'k', 'new')
    else world.clear('b')
    world.run(100)
    expect(world.read('a', 'k')).toBeUndefined()
    expect(world.read('b', 'k')).toBe(what === 'set' ? 'new' : undefined)
  })

  it.each(['delete', 'clear'] as const)('save none from a %s beyond every backlog', what => {
    const world = new Writers(3, carry, { ...apart, backlogBytesMax: 2_048 })
    world.cluster.split(['a'])
    world.run(30_000)
    fill(world)
    world.run(1_000)
    if (what === 'delete') world.delete('b', 'k')
    else world.clear('b')
    for (let i = 0; i < 50; i++) world.set('b', `k${i}`, 'x'.repeat(100))
    world.run(100)
    world.cluster.mendAll()
    world.run(10_000)
    expect(world.read('a', 'k')).toBeUndefined()
    fill(world)
    world.run(30_000)
    // What was told once is no news.
    expect(world.read('a', 'k')).toBe('old')
  })
})
