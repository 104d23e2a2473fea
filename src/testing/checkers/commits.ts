/**
 * Where entries count late, none is applied before W voters have held it: what a node shows its
 * readers is never replaced. A witness may be one of the W, and only the strategy knows whether.
 */
import type { Life } from '../life.js'
import { contains, type LogPoint } from '../lineage.js'
import type { Checker, World } from './checker.js'

/** `copiesOf`: W, voters that must hold an entry, by how many there are; `witnesses`: how many of
 *  them hold no log. Where members change, the fewest that there ever were: I24 judges the rest. */
export function onlyTheHeldIsApplied(
  world: World,
  copiesOf: (voters: number) => number,
  witnesses: number,
): Checker {
  const held = new Set<LogPoint>()

  function isHeld(point: LogPoint): boolean {
    const nodes = new Set<string>()
    const copies = copiesOf(world.votersMin() + witnesses)
    if (witnesses >= copies) return true
    for (const life of world.lives()) {
      if (nodes.has(life.node)) continue
      // A copy may have ended just now, unnoticed.
      if (!contains(life.tip, point) && !life.everHeld(point)) continue
      nodes.add(life.node)
      if (nodes.size + witnesses >= copies) return true
    }
    return false
  }

  return {
    name: 'only what is held is applied',
    onResult(life: Life, offset) {
      // Half a copy brings entries that its master has applied already.
      if (life.copying) return
      const point = life.pointOf(offset)
      if (held.has(point)) return
      if (!isHeld(point))
        world.fail('I4', `${life} applied entry ${offset} before W voters held it`)
      held.add(point)
    },
  }
}
