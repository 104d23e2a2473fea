/** Strategy broadcast beside a clock that was wrong at the start: its stamps are, for longer. */
import { describe, expect, it } from 'vitest'
import { Writers } from './harness/writers.js'

const ALL = ['a', 'b', 'c']
const AHEAD_MS = 60_000
const beside = { clocks: [{}, {}, { wallOffsetMs: AHEAD_MS }] }

/** How far the time of `id` is ahead of what it is. */
function leadMs(world: Writers, id: string): number {
  const { clock } = world.cluster
  return world.cluster.node(id).engine.time() - clock.wall()
}

describe('a node that starts a minute ahead', () => {
  it.each(ALL)('keeps nobody else from serving: %s', wrong => {
    const clocks = ALL.map(id => ({ wallOffsetMs: id === wrong ? AHEAD_MS : 0 }))
    const world = new Writers(3, {}, { clocks })
    const right = ALL.filter(id => id !== wrong)
    const states = () => right.map(id => world.cluster.node(id).status().self.state)
    expect(states()).toEqual(['online', 'online'])
    expect(world.answer(world.set(right[0], 'k', 'x'))).toBe('ok')
    world.run(100)
    // Whose records do not enter is not asked for them.
    world.cluster.crash(right[1])
    world.start(right[1])
    world.run(6_000)
    expect(states()).toEqual(['online', 'online'])
    expect(world.read(right[1], 'k')).toBe('x')
  })

  it('and has written nothing begins anew once its clock is set right', () => {
    const world = new Writers(3, { compareEveryMs: 1_000 }, beside as never)
    world.set('a', 'k', 'before')
    expect(world.answer(world.set('c', 'k', 'x'))).toBe('CLOCK_SKEW')
    world.cluster.node('c').jumpWall(-AHEAD_MS)
    // Never in between does it stamp what others refuse.
    for (let i = 0; i < 100 && leadMs(world, 'c') > 1_000; i++) {
      expect(world.answer(world.set('c', 'k', 'x'))).toBe('CLOCK_SKEW')
      world.run(100)
    }
    world.run(5_000)
    expect(leadMs(world, 'c')).toBeLessThan(1_000)
    expect(world.read('c', 'k')).toBe('before')
    expect(world.answer(world.set('c', 'k', 'of c'))).toBe('ok')
    world.run(200)
    expect(ALL.map(id => world.read(id, 'k'))).toEqual(ALL.map(() => 'of c'))
    expect(world.answer(world.set('b', 'k', 'of b'))).toBe('ok')
    world.run(2 * AHEAD_MS)
    expect(ALL.map(id => world.read(id, 'k'))).toEqual(ALL.map(() => 'of b'))
    world.expectEqual()
  })

  it('and wrote while it was alone refuses until the time has come to its stamps', () => {
    const world = new Writers(3, { compareEveryMs: 1_000 }, beside as never)
    for (const id of ['a', 'b']) world.cluster.crash(id)
    world.cluster.crash('c')
    world.start('c')
    world.run(6_000)
    expect(world.answer(world.set('c', 'k', 'of tomorrow'))).toBe('ok')
    for (const id of ['a', 'b']) world.start(id)
    world.run(6_000)
    world.cluster.node('c').jumpWall(-AHEAD_MS)
    world.run(5_000)
    expect(leadMs(world, 'c')).toBeGreaterThan(AHEAD_MS / 2)
    expect(world.cluster.node('c').status().self.state).toBe('skewed')
    expect(world.answer(world.set('c', 'k', 'x'))).toBe('CLOCK_SKEW')
    // A tenth of each second is made good.
    world.run(10 * AHEAD_MS)
    expect(world.answer(world.set('c', 'k', 'in time'))).toBe('ok')
    world.run(200)
    expect(ALL.map(id => world.read(id, 'k'))).toEqual(ALL.map(() => 'in time'))
    world.expectEqual()
  })
})
