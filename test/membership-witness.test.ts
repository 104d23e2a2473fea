/** A witness among members that change: it holds no log, so it can neither read nor drop a view. */
import { expect, it } from 'vitest'
import { MAJORITY, World } from './harness/profile-world.js'

const value = Buffer.from('v')

/** What `count` writes end with, one after the other. */
function writes(world: World, count: number): (string | undefined)[] {
  return Array.from({ length: count }, (_, i) => {
    const call = world.set(world.master, `k${i}`, value)
    world.cluster.run(5_000)
    return world.answers.get(call)
  })
}

it('a node joins in place of a dead one: the witness completes the old voters for the view', () => {
  const world = new World(3, MAJORITY, true)
  const { cluster } = world
  cluster.crash('c')
  cluster.run(3_000)
  const member = cluster.add({ id: 'd', ordinal: 3 })
  cluster.start('d')
  world.master.engine.feed({ kind: 'admin', command: 'join', group: 0, member })
  cluster.run(5_000)
  expect(writes(world, 3)).toEqual(Array(3).fill('written'))
  world.master.engine.feed({ kind: 'admin', command: 'leave', group: 0, peer: 'c' })
  cluster.run(2_000)
  expect(world.master.status().members.map(({ id }) => id)).toEqual(['a', 'b', 'd', 'w'])
})

it('a witness that came as a stranger is known for one', () => {
  const world = new World(3, MAJORITY, true)
  const { cluster } = world
  const member = cluster.add({ id: 'd', ordinal: 3 }, cluster.members.slice(0, 3))
  world.master.engine.feed({ kind: 'admin', command: 'join', group: 0, member })
  cluster.run(2_000)
  for (const id of ['a', 'b', 'c']) cluster.cut(id, 'd')
  cluster.start('d')
  cluster.run(1_500)
  cluster.mendAll()
  cluster.run(5_000)
  world.master.engine.feed({ kind: 'admin', command: 'handover', group: 0, peer: 'd' })
  cluster.run(2_000)
  expect(world.master.id).toBe('d')
  expect(world.master.status().guarantee).toMatch(/^4 nodes, one witness/)
  // Two of five voters are down; the witness is one of the three.
  cluster.crash('b')
  cluster.crash('c')
  cluster.run(3_000)
  expect(writes(world, 2)).toEqual(['written', 'written'])
})

it('a view that was truncated never reaches the witness', () => {
  const world = new World(4, MAJORITY, true)
  const { cluster } = world
  expect(world.master.id).toBe('a')
  for (const id of ['b', 'c', 'd']) cluster.cut('a', id)
  world.master.engine.feed({ kind: 'admin', command: 'leave', group: 0, peer: 'b' })
  cluster.run(50)
  cluster.crash('a')
  cluster.mendAll()
  cluster.run(10_000)
  const known = cluster.node('w').status().members
  expect(known.map(({ id, state }) => `${id} ${state}`)).toContain('b online')
})
