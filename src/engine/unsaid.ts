/** What the engine goes by where a strategy leaves it unsaid. */
import type { Clock } from '../contracts/environment.js'
import type { LogView } from '../contracts/store.js'
import type { Place, ReplicationStrategy, Standing } from '../contracts/strategy.js'
import type { GroupId, Position } from '../contracts/types.js'
import { compareEpochs } from '../core/epochs.js'

/** A serving master's copy is fresh, and nobody else's. */
export function freshnessOf<M>(
  strategy: ReplicationStrategy<M>,
  group: GroupId,
  { role, serving }: Standing,
  clock: Clock,
): number {
  if (strategy.freshness !== undefined) return strategy.freshness(group)
  return role === 'master' && serving ? clock.now() : Number.NEGATIVE_INFINITY
}

/** An entry of another epoch than the present one is lost. */
export function placeIn<M>(
  strategy: ReplicationStrategy<M>,
  group: GroupId,
  { epoch }: Standing,
  log: Pick<LogView, 'next'>,
  position: Position,
): Place {
  if (strategy.place !== undefined) return strategy.place(group, position)
  if (compareEpochs(position.epoch, epoch) !== 0) return 'lost'
  return position.offset < log.next ? 'here' : 'ahead'
}
