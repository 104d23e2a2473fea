/**
 * I2: logs that name the same (epoch, offset) agree on everything before it; each batch continues
 * the log that it is appended to; only the master of an epoch makes its entries.
 */

import type { Epoch } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import { continuesChain } from '../../wire/batch.js'
import { epochName } from '../lineage.js'
import type { Checker, World } from './checker.js'

export function prefixesAgree(world: World): Checker {
  /** By epoch, then by the offset behind the batch. */
  const crcs = new Map<string, Map<number, number>>()

  function crcsOf({ number, incarnation }: Epoch): Map<number, number> {
    const key = `${number}-${incarnation}`
    let ofEpoch = crcs.get(key)
    if (ofEpoch === undefined) {
      ofEpoch = new Map()
      crcs.set(key, ofEpoch)
    }
    return ofEpoch
  }

  return {
    name: 'prefixes agree',
    onAppend(life, batch, before) {
      const where = () => `${epochName(batch.epoch)}:${batch.next - 1}`
      if (life.tip.parent !== before || !continuesChain(batch, before.crc))
        world.fail('I2', `${life} appended ${where()} to a log that it does not continue`)
      const ofEpoch = crcsOf(batch.epoch)
      const crc = ofEpoch.get(batch.next)
      if (crc === undefined) {
        if (life.leads === undefined || compareEpochs(life.leads, batch.epoch) !== 0)
          world.fail('I2', `${life} made ${where()} without leading that epoch`)
        ofEpoch.set(batch.next, batch.crc)
      } else if (crc !== batch.crc) world.fail('I2', `two logs have different entries ${where()}`)
      const last = before.batch
      if (last === undefined) return
      if (compareEpochs(batch.epoch, last.epoch) < 0)
        world.fail('I2', `${life} appended ${where()} after ${epochName(last.epoch)}`)
      if (batch.time < last.time)
        world.fail(
          'I15',
          `entry ${where()} is ${last.time - batch.time} ms older than the one before`,
        )
    },
  }
}
