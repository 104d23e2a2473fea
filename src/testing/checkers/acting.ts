/**
 * I25: where mastership is leased, one node acts as master at a moment, whatever the nodes can hear
 * of each other. Acting is settling a write, or being ready to answer a read of mode master.
 * I26: an epoch's counter is above that of every epoch led before, unless the store forgot.
 */
import type { Standing } from '../../contracts/strategy.js'
import type { Epoch, Receipt } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import type { Life } from '../life.js'
import { epochName } from '../lineage.js'
import type { Checker, World } from './checker.js'

export function oneActsAtATime(world: World, forgets: boolean): Checker {
  let last: { readonly life: Life; readonly epoch: Epoch } | undefined
  let led: Epoch | undefined
  const alone = (life: Life) => {
    for (const node of world.live())
      if (node.life !== life && node.acts())
        world.fail('I25', `${life} acts as master, and so does ${node.life}`)
  }
  return {
    name: 'one acts at a time',
    onTick() {
      for (const node of world.live()) if (node.acts()) alone(node.life)
    },
    onBecome(life: Life, { role, serving }: Standing) {
      if (role === 'master' && serving) alone(life)
    },
    onSettle(life: Life, _id: number, { epoch }: Receipt) {
      alone(life)
      if (!forgets && last !== undefined && compareEpochs(epoch, last.epoch) < 0)
        world.fail('I25', `${life} settles in ${epochName(epoch)} after ${last.life} in a higher`)
      if (last?.epoch !== epoch) last = { life, epoch }
    },
    onPromotion(life: Life, epoch: Epoch) {
      const before = Math.floor((led?.number ?? 0) / 256)
      if (!forgets && Math.floor(epoch.number / 256) <= before)
        world.fail('I26', `${life} leads ${epochName(epoch)}, and ${before} was led before`)
      if (led === undefined || compareEpochs(epoch, led) > 0) led = epoch
    },
  }
}
