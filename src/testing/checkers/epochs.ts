/** I1: one master per epoch. I3: a promise never falls. An epoch belongs to one process life. */
import type { Standing } from '../../contracts/strategy.js'
import type { Epoch } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import type { Life } from '../life.js'
import { epochName } from '../lineage.js'
import type { Checker, World } from './checker.js'

export function oneMasterPerEpoch(world: World): Checker {
  const masters = new Map<string, Life>()
  /** Epochs that a life has led and left. */
  const left = new Map<Life, Set<string>>()
  return {
    name: 'one master per epoch',
    onBecome(life: Life, standing: Standing) {
      const epoch = `${standing.epoch.number}-${standing.epoch.incarnation}`
      if (standing.role === 'master') {
        const other = masters.get(epoch)
        if (other !== undefined && other !== life)
          world.fail('I1', `${other} and ${life} are both master of ${epochName(standing.epoch)}`)
        masters.set(epoch, life)
        if (left.get(life)?.has(epoch))
          world.fail('I1', `${life} leads ${epochName(standing.epoch)} again after leaving it`)
      } else if (life.leads !== undefined) {
        const mine = left.get(life) ?? new Set()
        left.set(life, mine.add(`${life.leads.number}-${life.leads.incarnation}`))
      }
    },
  }
}

export function promisesNeverFall(world: World): Checker {
  const promised = new Map<Life, Epoch>()
  return {
    name: 'promises never fall',
    onPersist(life, epoch) {
      const before = promised.get(life)
      if (before !== undefined && compareEpochs(epoch, before) < 0)
        world.fail('I3', `${life} promised ${epochName(epoch)} after ${epochName(before)}`)
      promised.set(life, epoch)
    },
    onPromotion(life, epoch) {
      const before = promised.get(life)
      if (before !== undefined && compareEpochs(epoch, before) < 0)
        world.fail('I3', `${life} leads ${epochName(epoch)}, having promised ${epochName(before)}`)
    },
    onAppend(life, batch) {
      // Older entries arrive while catching up, but never an epoch above what was promised.
      const before = promised.get(life)
      if (before !== undefined && compareEpochs(batch.epoch, before) > 0)
        world.fail('I19', `${life} appended ${epochName(batch.epoch)} above its promise`)
    },
  }
}
