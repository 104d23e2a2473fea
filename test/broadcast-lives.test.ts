/**
 * Strategy broadcast, where lives of nodes begin: beside others that have nothing, alone, or with a
 * clock that is wrong. Whatever they take for the whole must be it.
 */
import { describe, expect, it } from 'vitest'
import { JOIN_GROUP } from '../src/contracts/stamped.js'
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
})

describe('a clock that is set while records come', () => {
  it('does not make up for those that it has refused', () => {
    const world = new Writers(2, {}, { backlogBytesMax: 4_096, sliceBytesMax: 200 })
    world.cluster.cut('a', 'b')
    world.run(2_000)
    for (let i = 0; i < 100; i++) world.set('b', `k${i}`, `${i}`.repeat(20))
    const jump = (ms: number) => ['a', 'b'].map(id => world.cluster.node(id).jumpWall(ms))
    jump(-3_600_000)
    let slices = 0
    const onInstall = (_life: unknown, group: number, _at: number, slice: Uint8Array) => {
      if (group === JOIN_GROUP && slice.length > 100) slices++
    }
    world.cluster.checkers.push({ name: 'slices', onInstall })
    Object.assign(world.cluster.network.faults, { bytesPerMs: 10 })
    world.cluster.mendAll()
    expect(world.cluster.runUntil(() => slices > 2, 10_000)).toBe(true)
    jump(3_600_000)
    const a = world.cluster.node('a')
    expect(world.cluster.runUntil(() => a.status().self.lag === 0, 30_000)).toBe(true)
    expect(a.stamped?.stats().entries).toBe(100)
  })
})
