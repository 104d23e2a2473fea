/**
 * What `masterSlave()` accepts; every time in ms. Defaults and their reasons stand in config.ts.
 */

import { TIMES } from '../../src/config.js'
import type { ElectionFactory } from '../../src/contracts/election.js'
import type { Ack, Member } from '../../src/contracts/types.js'
import { copiesWanted } from '../../src/core/majority.js'
import { suggestion } from '../../src/core/suggest.js'
import { GcacheError } from '../../src/errors.js'
import { isAck } from '../../src/wire/requests.js'

export type Profile = 'ordinal' | 'strict' | 'majority'

export interface MasterSlaveOptions {
  /**
   * Default 'ordinal': any node with data may lead, the lowest ordinal first, with the best log it
   * reaches. 'strict': what is acknowledged lies on every node. 'majority': writes and promotions
   * need more than half of the voters, and nothing acknowledged is ever lost.
   */
  profile?: Profile
  /** What a write without an ack level waits for. Default 'insync', 'all' or 'majority', as the
   *  profile says. */
  ack?: Ack
  /** In-sync logs, the master's included, below which `insync` is refused. Default 2, but 1 for
   *  clusters of one or two nodes. */
  inSyncMin?: number
  /** Live slaves below which every write is refused. Default 1, but 0 for one or two nodes. */
  slavesToWriteMin?: number
  /** What becomes of the losing side's writes after a network split: the newer value of a key
   *  wins, by cluster time, or all of them are dropped and counted. Default 'lww'. Profile ordinal
   *  only. */
  merge?: 'lww' | 'discard'
  /**
   * Who may lead is decided elsewhere, by a lease that one node at a time holds, such as
   * `natsLease({ servers })` of gcache/transports/nats: at no moment do two nodes act as master,
   * even where they cannot hear each other, and none does while whoever grants leases is away.
   * Profile ordinal only. Give it to every node.
   */
  election?: ElectionFactory
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

const MASTER_SLAVE = 'masterSlave'

type Open = 'inSyncMin' | 'slavesToWriteMin' | 'election'

export type Settings = Required<Omit<MasterSlaveOptions, Open>> & Pick<MasterSlaveOptions, Open>

const DEFAULT_ACKS: Record<Profile, Ack> = {
  ordinal: 'insync',
  strict: 'all',
  majority: 'majority',
}
const PROFILES = Object.keys(DEFAULT_ACKS)
const MERGES: readonly string[] = ['lww', 'discard']
const COUNTS: readonly string[] = ['inSyncMin', 'slavesToWriteMin']
const COUNT_MAX = 255
/** Times of which 0 is none: a heartbeat in every turn, an ack that is late at once. */
const TIMED: readonly string[] = ['heartbeatMs', 'ackTimeoutMs']
const MS_MAX = 2 ** 31 - 1

/** CONFIG for an unknown option, a number that is none or out of range, and an unknown ack, all in
 *  the name of `strategy`: the one that the user named. */
export function settingsOf(options: MasterSlaveOptions, strategy = MASTER_SLAVE): Settings {
  const refused = (text: string) => refusal(text, strategy)
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw refused("takes an object of options, such as { ack: 'majority' }")
  const known: readonly string[] = ['profile', 'ack', 'merge', 'election', ...NUMBERS]
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw refused(`unknown option ${name}: ${suggestion(name, known)}`)
  for (const name of NUMBERS) {
    const value = options[name]
    if (value === undefined) continue
    const max = COUNTS.includes(name) ? COUNT_MAX : MS_MAX
    const min = TIMED.includes(name) ? 1 : 0
    if (!Number.isInteger(value) || value < min || value > max)
      throw refused(`option ${name} must be a whole number within ${min}..${max}`)
  }
  const { ack, merge, profile } = options
  if (merge !== undefined && !MERGES.includes(merge))
    throw refused(`option merge: unknown ${String(merge)}, ${suggestion(String(merge), MERGES)}`)
  if (ack !== undefined && !isAck(ack))
    throw refused('option ack must be none, master, slaves:n, majority, insync or all')
  if (profile !== undefined && !Object.hasOwn(DEFAULT_ACKS, profile))
    throw refused(`unknown profile ${String(profile)}: ${suggestion(String(profile), PROFILES)}`)
  const dropped = neverMerges({ profile: profile ?? 'ordinal', merge: 'lww' })
  if (merge !== undefined && dropped !== undefined)
    throw refused(`option merge is for profile ordinal: ${dropped}`)
  checkElection(options)
  const chosen = Object.entries(options).filter(([, value]) => value !== undefined)
  const byProfile = DEFAULT_ACKS[profile ?? 'ordinal']
  const defaults = { profile: 'ordinal', ack: byProfile, merge: 'lww' } as const
  const settings: Settings = { ...defaults, ...TIMES, ...Object.fromEntries(chosen) }
  const wrong = wrongTimes(settings)
  if (wrong !== undefined) throw refused(wrong)
  return settings
}

/** Why the application is never asked how two values become one; undefined: it may be. */
export function neverMerges({
  profile,
  merge,
}: Pick<Settings, 'profile' | 'merge'>): string | undefined {
  if (profile !== 'ordinal')
    return (
      `under ${profile} what the losing side of a network split wrote was never committed, and ` +
      'is dropped'
    )
  return merge === 'discard' ? "merge: 'discard' drops the losing side's writes" : undefined
}

/** One heartbeat may be lost or late without a suspicion, and none is older than what vouches. */
function wrongTimes({ heartbeatMs, suspectAfterMs, heardWithinMs }: Settings): string | undefined {
  if (2 * heartbeatMs >= suspectAfterMs)
    return (
      `2 x heartbeatMs ${heartbeatMs} >= suspectAfterMs ${suspectAfterMs}: every late heartbeat ` +
      'would be a suspicion, raise suspectAfterMs or lower heartbeatMs'
    )
  if (heartbeatMs >= heardWithinMs)
    return (
      `heartbeatMs ${heartbeatMs} >= heardWithinMs ${heardWithinMs}: between two heartbeats ` +
      'nobody would vouch for a master that lives, raise heardWithinMs or lower heartbeatMs'
    )
  return undefined
}

/** CONFIG where the members cannot do what is asked, with the sum that does not work out. */
export function checkMembers(settings: Settings, members: readonly Member[]): void {
  const { profile, ack, inSyncMin, slavesToWriteMin } = settings
  const witnesses = members.filter(member => member.witness).length
  const data = members.length - witnesses
  const nodes = data === 1 ? '1 data node' : `${data} data nodes`
  if (witnesses > 0 && profile !== 'majority')
    throw refusal(
      `a witness votes in profile majority only, not in ${profile}: leave it out` +
        (settings.election === undefined ? '' : ', the lease is in its place'),
    )
  if (witnesses >= data) {
    const others = witnesses === 1 ? '1 witness' : `${witnesses} witnesses`
    const sum = `${data} of ${members.length} ${data === 1 ? 'does' : 'do'} not suffice`
    throw refusal(`${nodes} and ${others}: more than half of the voters must hold data, ${sum}`)
  }
  if (profile === 'majority' && members.length === 2)
    throw refusal(
      'profile majority with 2 voters needs floor(2/2) + 1 = 2 of them, so none may fail: add a ' +
        'witness (gcache witness) or a third node, or choose ordinal or strict',
    )
  const wanted = copiesWanted(ack, data)
  if (wanted > data) throw refusal(`ack ${ack} needs ${wanted} logs and there are ${nodes}`)
  if (inSyncMin !== undefined && inSyncMin > data)
    throw refusal(`inSyncMin ${inSyncMin} exceeds what there is: ${nodes}`)
  if (slavesToWriteMin !== undefined && slavesToWriteMin > data - 1)
    throw refusal(`slavesToWriteMin ${slavesToWriteMin} exceeds what there is: ${data - 1} slaves`)
}

function checkElection({ election, profile = 'ordinal' }: MasterSlaveOptions): void {
  if (election === undefined) return
  if (typeof election !== 'function' || typeof election.from !== 'string')
    throw refusal('option election takes a plug-in, such as natsLease({ servers })')
  if (profile !== 'ordinal')
    throw refusal(
      `option election decides who leads, and so does profile ${profile} by promises of its ` +
        'voters: leave one of them out',
    )
}

function refusal(text: string, strategy = MASTER_SLAVE): GcacheError {
  return new GcacheError('CONFIG', `${strategy}: ${text}`)
}
