/** When a node has joined its cluster: it serves as master, or is a slave that has caught up. */
import type { PeerId } from './contracts/types.js'
import type { Engine } from './engine/engine.js'
import { GcacheError } from './errors.js'

/** Throws what the strategy's status() does. */
export function isReady(id: PeerId, engine: Engine): boolean {
  const { role, serving, master } = engine.standing
  if (role === 'master' ? !serving : master === undefined) return false
  const { self, partitions } = engine.status()
  if (role !== 'master' && self.state !== 'online') return false
  if (partitions === undefined) return true
  const { unowned, lost, copies, inSync } = partitions
  // Whoever waits for it stops the next node then: what lies here must be all there.
  return unowned === lost.length && (inSync[id] ?? 0) >= (copies[id] ?? 0)
}

/** NOT_READY. `why`: what a discovery or an election knows of it. */
export function notReady(
  id: PeerId,
  engine: Engine,
  timeoutMs: number,
  why: string | undefined,
): GcacheError {
  const { self, master, members } = engine.status()
  const down = members.filter(member => member.state === 'down').map(member => member.id)
  return new GcacheError(
    'NOT_READY',
    `node ${id} is not ready after ${timeoutMs} ms: it is ${self.state}, ` +
      `master ${master ?? 'unknown'}, unreachable ${down.join(', ') || 'nobody'}` +
      (why ? `; ${why}` : ''),
  )
}
