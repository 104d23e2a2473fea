/** I21: a healthy master is not replaced. Counts promotions; forbids them where none is excused. */
import { epochName } from '../lineage.js'
import type { Checker, World } from './checker.js'

export interface Failovers extends Checker {
  readonly count: number
}

/** `noneAfterMs`: from then on a promotion is a violation; undefined where faults excuse it. */
export function failovers(world: World, noneAfterMs: number | undefined): Failovers {
  let healed = false
  return {
    name: 'no false failover',
    count: 0,
    onHeal: () => {
      healed = true
    },
    onPromotion(life, epoch, before) {
      if (before.parent !== undefined) (this as { count: number }).count++
      if (!healed && noneAfterMs !== undefined && world.now() > noneAfterMs)
        world.fail('I21', `${life} took over as ${epochName(epoch)}, though the master was healthy`)
    },
  }
}
