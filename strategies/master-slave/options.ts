/**
 * What `masterSlave()` accepts; every time in ms. Defaults and their reasons stand in config.ts.
 */

import { TIMES } from '../../src/config.js'
import type { Ack } from '../../src/contracts/types.js'
import { suggestion } from '../../src/core/suggest.js'
import { GcacheError } from '../../src/errors.js'

export interface MasterSlaveOptions {
  /** Only 'ordinal' in this version: the lowest live ordinal takes over, with the best log. */
  profile?: 'ordinal'
  /** What a write without an ack level waits for. Default 'insync'. */
  ack?: Ack
  /** In-sync logs, the master's included, below which `insync` is refused. Default 2, but 1 for
   *  clusters of one or two nodes. */
  inSyncMin?: number
  /** Live slaves below which every write is refused. Default 1, but 0 for one or two nodes. */
  slavesToWriteMin?: number
  heartbeatMs?: number
  suspectAfterMs?: number
  heardWithinMs?: number
  ordinalStepMs?: number
  promiseWaitMs?: number
  ackTimeoutMs?: number
  bootstrapWaitMs?: number
}

const NUMBERS = [
  'inSyncMin',
  'slavesToWriteMin',
  'heartbeatMs',
  'suspectAfterMs',
  'heardWithinMs',
  'ordinalStepMs',
  'promiseWaitMs',
  'ackTimeoutMs',
  'bootstrapWaitMs',
] as const

export type Settings = Required<Omit<MasterSlaveOptions, 'inSyncMin' | 'slavesToWriteMin'>> &
  Pick<MasterSlaveOptions, 'inSyncMin' | 'slavesToWriteMin'>

/** CONFIG for an unknown option or a number that is none. */
export function settingsOf(options: MasterSlaveOptions): Settings {
  const known: readonly string[] = ['profile', 'ack', ...NUMBERS]
  for (const name of Object.keys(options))
    if (!known.includes(name))
      throw new GcacheError(
        'CONFIG',
        `masterSlave: unknown option ${name}: ${suggestion(name, known)}`,
      )
  for (const name of NUMBERS) {
    const value = options[name]
    if (value !== undefined && !(Number.isFinite(value) && value >= 0))
      throw new GcacheError('CONFIG', `masterSlave: ${name} must be a number from 0 on`)
  }
  if (options.profile !== undefined && options.profile !== 'ordinal')
    throw new GcacheError(
      'CONFIG',
      `profile ${JSON.stringify(options.profile)} is not in this version, 'ordinal' is`,
    )
  return { profile: 'ordinal', ack: 'insync', ...TIMES, ...options }
}
