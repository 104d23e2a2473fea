/**
 * I23: a master that was stopped asks before it answers. What lay in its sockets was sent before it
 * woke and proves nothing, so at the very moment in which it has worked that off it may not serve:
 * somebody else may lead, and what it reads to its clients may be of the past (PROTOCOL 9).
 */
import { TIMES } from '../../config.js'
import type { Epoch } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import type { Life } from '../life.js'
import { epochName } from '../lineage.js'
import type { Checker, World } from './checker.js'

/** By the slowest clock, and a tick late, this is a stop that must be noticed. */
const NOTICED_MS = TIMES.stoppedMs / 0.9 + 4 * TIMES.tickMs

export function whoWokeAsks(world: World): Checker {
  return {
    name: 'who woke asks before it answers',
    onWoken(life: Life, stoppedMs: number, led: Epoch | undefined) {
      if (led === undefined || stoppedMs < NOTICED_MS) return
      if (life.leads === undefined || compareEpochs(life.leads, led) !== 0) return
      const node = world.live().find(one => one.life === life)
      if (node === undefined || node.status().members.length < 2) return
      if (life.standing?.serving === true)
        world.fail(
          'I23',
          `${life} was stopped for ${Math.round(stoppedMs)} ms and serves ${epochName(led)} ` +
            'before anybody has answered it',
        )
    },
  }
}
