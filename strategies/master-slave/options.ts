/**
 * What `masterSlave()` accepts; every time in ms. Defaults and their reasons stand in config.ts.
 */

import { TIMES } from '../../src/config.js'
import type { Ack } from '../../src/contracts/types.js'
import { suggestion } from '../../src/core/suggest.js'
import { GcacheError } from '../../src/errors.js'
import { ackCode } from '../../src/wire/requests.js'

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
  /** What becomes of the losing side's writes after a network split: the newer value of a key
   *  wins, by cluster time, or all of them are dropped and counted. Default 'lww'. */
  merge?: 'lww' | 'discard'
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

const MERGES: readonly string[] = ['lww', 'discard']
const COUNTS: readonly string[] = ['inSyncMin', 'slavesToWriteMin']
const COUNT_MAX = 255
const MS_MAX = 2 ** 31 - 1

/** CONFIG for an unknown option, a number that is none or out of range, and an unknown ack. */
export function settingsOf(options: MasterSlaveOptions): Settings {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw refusal("takes an object of options, such as { ack: 'majority' }")
  const known: readonly string[] = ['profile', 'ack', 'merge', ...NUMBERS]
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw refusal(`unknown option ${name}: ${suggestion(name, known)}`)
  for (const name of NUMBERS) {
    const value = options[name]
    if (value === undefined) continue
    const max = COUNTS.includes(name) ? COUNT_MAX : MS_MAX
    if (!Number.isInteger(value) || value < 0 || value > max)
      throw refusal(`option ${name} must be a whole number within 0..${max}`)
  }
  const { ack, merge, profile } = options
  if (merge !== undefined && !MERGES.includes(merge))
    throw refusal(`option merge: unknown ${String(merge)}, ${suggestion(String(merge), MERGES)}`)
  if (ack !== undefined && !isAck(ack))
    throw refusal('option ack must be none, master, slaves:n, majority, insync or all')
  if (profile !== undefined && profile !== 'ordinal')
    throw new GcacheError(
      'CONFIG',
      `profile "${String(profile)}" is not in this version, 'ordinal' is`,
    )
  const chosen = Object.entries(options).filter(([, value]) => value !== undefined)
  return {
    profile: 'ordinal',
    ack: 'insync',
    merge: 'lww',
    ...TIMES,
    ...Object.fromEntries(chosen),
  }
}

function isAck(ack: unknown): boolean {
  if (typeof ack !== 'string') return false
  try {
    return ackCode(ack as Ack) !== 0
  } catch {
    return false
  }
}

function refusal(text: string): GcacheError {
  return new GcacheError('CONFIG', `masterSlave: ${text}`)
}
