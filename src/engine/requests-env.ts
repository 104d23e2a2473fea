/** What the requests of one group need of its engine. */
import type { Access } from '../contracts/authorisation.js'
import type { StateMachine } from '../contracts/store.js'
import type { GroupTable, Place, Proposal, Standing } from '../contracts/strategy.js'
import type { Ack, Epoch, GroupId, Offset, PeerId, Position } from '../contracts/types.js'

export interface RequestsEnv {
  /** Absent: group 0. */
  readonly group?: GroupId
  applied(): { readonly epoch: Epoch; readonly next: Offset }
  readonly store: StateMachine
  /** The ack of a write that names none. */
  readonly defaultAck: Ack
  /** True if the strategy wants proposals with their key. */
  readonly keyed: boolean
  /** False refuses caches that `caches` does not name. */
  readonly autoCaches: boolean
  readonly caches: { has(name: string): boolean }
  /** One value. Default LIMITS.valueBytesMax. */
  readonly valueBytesMax?: number | undefined
  /** Runs steps to completion; settle() and reject() may be called before it returns. The array and
   *  its proposals are lent for the call. */
  propose(proposals: readonly Proposal[]): void
  standing(): Standing
  /** Cluster time in ms. */
  time(): number
  /** Own monotonic ms. */
  now(): number
  /** As ReplicationStrategy.freshness and place. */
  freshness(): number
  place(position: Position): Place
  /** As ReplicationStrategy.table, where calls name groups. */
  table?: (() => GroupTable) | undefined
  /** A link's `access` does not let it do `op` to `cache`: what it is told. */
  forbid?(peer: PeerId, access: Access, op: number, cache: string): string
  /** Feeds a linearizable 'read'; serve() and reject() may be called before it returns. */
  read(id: number, key: string): void
}
