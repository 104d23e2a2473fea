/**
 * I9, for a master that gave its place away: once it has told another to take over, its epoch is
 * over for it. A write that came afterwards is acknowledged under a newer epoch or not at all,
 * whatever became of the handover.
 */
import type { Epoch } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import type { Life } from '../life.js'
import { epochName } from '../lineage.js'
import type { Checker, World } from './checker.js'

interface Given {
  readonly epoch: Epoch
  /** Proposals that came afterwards. */
  readonly later: Set<number>
}

export function givenEpochsStayOver(world: World): Checker {
  const given = new Map<Life, Given>()
  return {
    name: 'a given epoch stays over',
    onEnd: life => void given.delete(life),
    onReport(life, event, { state }) {
      if (event !== 'handover' || state !== 'sent' || life.leads === undefined) return
      given.set(life, { epoch: life.leads, later: new Set() })
    },
    onBecome(life, { epoch }) {
      const old = given.get(life)
      if (old !== undefined && compareEpochs(epoch, old.epoch) > 0) given.delete(life)
    },
    onPropose(life, ids) {
      const old = given.get(life)
      for (const id of ids) old?.later.add(id)
    },
    onSettle(life, id, receipt) {
      const old = given.get(life)
      if (old === undefined || !old.later.delete(id)) return
      if (compareEpochs(receipt.epoch, old.epoch) > 0) return
      world.fail('I9', `${life} acknowledges in ${epochName(old.epoch)}, which it had given away`)
    },
    onReject: (life, id) => void given.get(life)?.later.delete(id),
  }
}
