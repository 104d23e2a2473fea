/** What `broadcast()` accepts; every time in ms. Defaults and their reasons stand in config.ts. */
import { BROADCAST, TIMES } from '../../src/config.js'
import type { Ack, Member } from '../../src/contracts/types.js'
import { copiesWanted } from '../../src/core/majority.js'
import { suggestion } from '../../src/core/suggest.js'
import { GcacheError } from '../../src/errors.js'
import { isAck } from '../../src/wire/requests.js'

export interface BroadcastOptions {
  /**
   * 'values' (default): every node holds every record. 'invalidations': a bus for caches in front
   * of a database. What is set stays on its own node; the others are told to drop their copies. A
   * set with `ifAbsent` fills a cache and tells nobody; a delete tells all, whether there was a
   * record or not. Nothing is a conflict then. Give every node the same.
   */
  carry?: 'values' | 'invalidations'
  /** What a write without an ack level waits for. Default 'master': this node's own log. */
  ack?: Ack
  heartbeatMs?: number
  ackTimeoutMs?: number
  /** A node begins without the members that it does not reach after this. Default 5,000. */
  bootstrapWaitMs?: number
  /** Records are compared with those of one random member so often. Default 10,000. */
  compareEveryMs?: number
  /** What ended a record is forgotten after this, whoever has not met it. Default 24 h. */
  endsKeptMs?: number
}

export type Settings = Required<BroadcastOptions>

const NUMBERS = [
  'heartbeatMs',
  'ackTimeoutMs',
  'bootstrapWaitMs',
  'compareEveryMs',
  'endsKeptMs',
] as const
const CARRIED: readonly string[] = ['values', 'invalidations']
const MS_MAX = 2 ** 31 - 1

/** CONFIG for an unknown option, a number that is none or out of range, and an unknown ack. */
export function settingsOf(options: BroadcastOptions): Settings {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw refusal("takes an object of options, such as { ack: 'all' }")
  const known: readonly string[] = ['ack', 'carry', ...NUMBERS]
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw refusal(`unknown option ${name}: ${suggestion(name, known)}`)
  for (const name of NUMBERS) {
    const value = options[name]
    if (value !== undefined && !(Number.isInteger(value) && value >= 1 && value <= MS_MAX))
      throw refusal(`option ${name} must be a whole number within 1..${MS_MAX}`)
  }
  const { ack, carry } = options
  if (carry !== undefined && !CARRIED.includes(carry))
    throw refusal(`option carry: unknown ${String(carry)}, ${suggestion(String(carry), CARRIED)}`)
  if (ack !== undefined && !isAck(ack))
    throw refusal('option ack must be none, master, slaves:n, majority, insync or all')
  const { heartbeatMs, ackTimeoutMs, bootstrapWaitMs } = TIMES
  const { compareEveryMs, endsKeptMs } = BROADCAST
  const times = { heartbeatMs, ackTimeoutMs, bootstrapWaitMs, compareEveryMs, endsKeptMs }
  const chosen = Object.entries(options).filter(([, value]) => value !== undefined)
  return { ack: 'master', carry: 'values', ...times, ...Object.fromEntries(chosen) }
}

/** CONFIG where the members cannot do what is asked. */
export function checkMembers({ ack }: Settings, members: readonly Member[]): void {
  const witness = members.find(member => member.witness)
  if (witness !== undefined)
    throw refusal(`member ${witness.id} is a witness, and nobody is elected: leave it out`)
  const wanted = copiesWanted(ack, members.length)
  if (wanted > members.length)
    throw refusal(`ack ${ack} needs ${wanted} logs and there are ${members.length} nodes`)
}

function refusal(text: string): GcacheError {
  return new GcacheError('CONFIG', `broadcast: ${text}`)
}
