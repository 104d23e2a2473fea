/**
 * Strategy broadcast, where lives of nodes begin: beside others that have nothing, alone, or with a
 * clock that is wrong. Whatever they take for the whole must be it.
 */
import { describe, expect, it } from 'vitest'
import { Writers } from './harness/writers.js'

/** `origin` writes k, `other` deletes it, all have met that and forget it. */
function writeAndForget(world: Writers, origin: string, other: string): void {
  world.set(origin, 'k', 'x')
  world.run(100)
  world.delete(other, 'k')
  world.run(2_000)
  expect(world.cluster.live().map(node => node.stamped?.endCount)).toEqual(
    world.cluster.live().map(() => 0),
  )
}

describe('a node that begins', () => {
  it('beside another one that has nothing does not take that for a copy', () => {
    const world = new Writers(3)
    writeAndForget(world, 'c', 'a')
    world.run(10_000)
    for (const id of ['a', 'b']) {
      world.cluster.crash(id)
      world.cluster.cut(id, 'c')
    }
    for (const id of ['a', 'b']) world.start(id)
    world.run(1_000)
    expect(world.answer(world.set('a', 'early', 'x'))).toBe('NOT_READY')
    world.cluster.mendAll()
    world.run(3_000)
    expect(['a', 'b', 'c'].map(id => world.read(id, 'k'))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    world.expectEqual()
  })

  it('alone does not read a log from its start, whose deletions nobody remembers', () => {
    const world = new Writers(2)
    writeAndForget(world, 'b', 'a')
    world.cluster.crash('a')
    world.cluster.cut('a', 'b')
    world.start('a')
    world.run(8_000)
    expect(world.answer(world.set('a', 'alone', 'x'))).toBe('ok')
    world.set('b', 'other', 'y')
    world.cluster.mendAll()
    world.run(4_000)
    expect(['a', 'b'].map(id => world.read(id, 'k'))).toEqual([undefined, undefined])
    expect(world.read('a', 'other')).toBe('y')
    expect(world.read('b', 'alone')).toBe('x')
    world.expectEqual()
  })
})
