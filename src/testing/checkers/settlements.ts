/**
 * S7 and I20: every proposal is settled once or rejected once, and in time, by a node that runs. A
 * node that was stopped meanwhile is asked for nothing.
 */
import type { Life } from '../life.js'
import type { Checker, World } from './checker.js'

const TOLERANCE_MS = 1_000

export function everyProposalEnds(world: World, ackTimeoutMs: number): Checker {
  const open = new Map<Life, Map<number, number>>()

  function end(life: Life, id: number, how: string): void {
    // The engine's own entries: nobody waits for them.
    if (id < 0) return
    if (!open.get(life)?.delete(id))
      world.fail('S7', `${life} ${how} proposal ${id}, which is unknown or has ended before`)
  }

  return {
    name: 'every proposal ends once',
    onStart: life => void open.set(life, new Map()),
    onEnd: life => void open.delete(life),
    onPropose(life, ids) {
      const mine = open.get(life)
      for (const id of ids) {
        if (mine?.has(id)) world.fail('S7', `${life} was given proposal ${id} twice`)
        mine?.set(id, world.now())
      }
    },
    onSettle: (life, id) => end(life, id, 'settled'),
    onReject: (life, id) => end(life, id, 'rejected'),
    onTick() {
      const now = world.now()
      for (const [life, mine] of open)
        for (const [id, since] of mine) {
          // In order of their making.
          if (now - since <= ackTimeoutMs * 1.1 + TOLERANCE_MS) break
          if (world.disturbances.stopped(life.node, since, now)) continue
          world.fail('I20', `proposal ${id} of ${life} has waited ${now - since} ms`)
        }
    },
  }
}
