/**
 * A master behind a split whose own loop is blocked again and again: what its stalls excuse must
 * not let it believe for ever that the others are there. Virtual time.
 */
import { describe, expect, it } from 'vitest'
import type { MasterSlaveOptions } from '../strategies/master-slave/index.js'
import { World } from './harness/profile-world.js'

/** Its loop is blocked for so long, and free for so long, ms. */
const STALLS = [
  [0, 50],
  [300, 100],
  [400, 50],
  [700, 100],
  [750, 10],
] as const
const SPLIT_MS = 6_000

describe.each([1_000, 300])('suspected after %i ms', suspectAfterMs => {
  it.each(STALLS)('profile majority: blocked for %i ms, free for %i', (stallMs, freeMs) => {
    const world = new World(3, { profile: 'majority', suspectAfterMs })
    const { cluster, master: old } = world
    world.set(old, 'k', Buffer.from('1'))
    cluster.run(500)
    cluster.split([old.id])
    const began = cluster.now()
    let newer: number | undefined
    while (cluster.now() - began < SPLIT_MS) {
      if (stallMs > 0) cluster.stall(old.id, stallMs)
      cluster.run(stallMs + freeMs)
      const { role, serving } = old.engine.standing
      const answer = newer === undefined ? undefined : world.answers.get(newer)
      if (answer === 'written') expect([role, serving]).not.toEqual(['master', true])
      const heir = cluster.live().find(node => node !== old && node.engine.standing.serving)
      if (heir?.engine.standing.role === 'master') newer ??= world.set(heir, 'k', Buffer.from('2'))
    }
    expect(world.answers.get(newer ?? 0)).toBe('written')
  })
})

it('profile ordinal: it misses the slaves that it must have to write', () => {
  const options: MasterSlaveOptions = { slavesToWriteMin: 1 }
  const world = new World(3, options)
  const { cluster, master: old } = world
  cluster.split([old.id])
  for (let i = 0; i < 4; i++) {
    cluster.stall(old.id, 750)
    cluster.run(760)
  }
  const call = world.set(old, 'k', Buffer.from('1'))
  cluster.run(100)
  expect(world.answers.get(call)).toBe('NOT_ENOUGH_COPIES')
})
