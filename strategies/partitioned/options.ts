/**
 * What `partitioned()` accepts; every time in ms. What all nodes of a cluster must have alike
 * (`partitions`, `backups`) travels in the first statement of each link.
 */
import type { Ack } from '../../src/contracts/types.js'
import { copiesWanted } from '../../src/core/majority.js'
import { suggestion } from '../../src/core/suggest.js'
import { GcacheError } from '../../src/errors.js'
import { type Settings as GroupSettings, settingsOf } from '../master-slave/options.js'

export interface PartitionedOptions {
  /** How many parts the keys are cut into, 1..1024. Default 256. All nodes the same. */
  partitions?: number
  /** Copies of a partition beside its owner's, 0..7. Default 1. All nodes the same. */
  backups?: number
  /** What a write without an ack level waits for. Default 'insync': the owner and every backup
   *  that keeps up. Nothing that needs more logs than the owner's and its `backups`. */
  ack?: Ack
  /** Logs in sync, the owner's included, below which `insync` is refused. Default 1: where the
   *  owner is alone, as long as nobody else may follow it, its word is enough. */
  inSyncMin?: number
  /** Where this node stands: copies of a partition lie in zones apart while there are enough. */
  zone?: string
  /** A node that is away for so long is not waited for: its partitions get other copies. Default
   *  10,000. */
  graceMs?: number
  /** Bytes a second that one node copies for moves. Default 20 MB. */
  copyBytesPerSec?: number
  heartbeatMs?: number
  suspectAfterMs?: number
  heardWithinMs?: number
  ackTimeoutMs?: number
  bootstrapWaitMs?: number
}

export interface Settings {
  readonly partitions: number
  readonly backups: number
  readonly zone: string
  readonly graceMs: number
  readonly copyBytesPerSec: number
  /** Those of each partition's group, without the election. */
  readonly group: GroupSettings
}

const STRATEGY = 'partitioned'
const BOUNDS = {
  partitions: [1, 1_024],
  backups: [0, 7],
  inSyncMin: [1, 8],
  graceMs: [0, 2 ** 31 - 1],
  copyBytesPerSec: [65_536, 2 ** 40],
} as const
const GROUP_NUMBERS = [
  'heartbeatMs',
  'suspectAfterMs',
  'heardWithinMs',
  'ackTimeoutMs',
  'bootstrapWaitMs',
] as const
const ZONE_CHARS_MAX = 64
/** Twice that of a single group: there are 85 of them on each of three nodes. */
const HEARTBEAT_MS = 200

/** CONFIG for an unknown option and for a value out of range. */
export function partitionedSettings(options: PartitionedOptions): Settings {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw refusal('takes an object of options, such as { backups: 1 }')
  const known = [...Object.keys(BOUNDS), ...GROUP_NUMBERS, 'ack', 'zone']
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw refusal(`unknown option ${name}: ${suggestion(name, known)}`)
  for (const [name, [min, max]] of Object.entries(BOUNDS)) {
    const value = options[name as keyof typeof BOUNDS]
    if (value === undefined) continue
    if (!Number.isInteger(value) || value < min || value > max)
      throw refusal(`option ${name} must be a whole number within ${min}..${max}`)
  }
  const { partitions = 256, backups = 1, zone = '', ack = 'insync', inSyncMin = 1 } = options
  if (typeof zone !== 'string' || zone.length > ZONE_CHARS_MAX)
    throw refusal(`option zone must be a text of at most ${ZONE_CHARS_MAX} characters`)
  const copies = backups + 1
  const there = copies === 1 ? '1 copy' : `${copies} copies`
  if (inSyncMin > copies) throw refusal(`inSyncMin ${inSyncMin} exceeds what there is: ${there}`)
  const given = GROUP_NUMBERS.map(name => [name, options[name]])
  const times = {
    heartbeatMs: HEARTBEAT_MS,
    ...Object.fromEntries(given.filter(([, ms]) => ms !== undefined)),
  }
  const own = { profile: 'ordinal', ack, inSyncMin, slavesToWriteMin: 0, ...times } as const
  const group = settingsOf(own, STRATEGY)
  const wanted = copiesWanted(ack, copies)
  if (wanted > copies)
    throw refusal(`ack ${ack} needs ${wanted} logs and there are ${there}: backups is ${backups}`)
  const { graceMs = 10_000, copyBytesPerSec = 20_000_000 } = options
  return { partitions, backups, zone, graceMs, copyBytesPerSec, group }
}

function refusal(text: string): GcacheError {
  return new GcacheError('CONFIG', `${STRATEGY}: ${text}`)
}
