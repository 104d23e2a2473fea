/** What an engine is made of, and what it tells. */
import type { Identity } from '../contracts/authentication.js'
import type { Authority } from '../contracts/authorisation.js'
import type { Clock, Logger, Random } from '../contracts/environment.js'
import type { MergeFunction } from '../contracts/merge.js'
import type { StampedState } from '../contracts/stamped.js'
import type { CacheOptions, LogStore, StateMachine } from '../contracts/store.js'
import type { GroupTable, Standing, StrategyFactory } from '../contracts/strategy.js'
import type { LinkLoss, Transport } from '../contracts/transport.js'
import type { GroupId, Member, PeerId, Session } from '../contracts/types.js'

/** Where a group lies on this node. */
export interface GroupHost {
  readonly log: LogStore
  readonly store: StateMachine
}

export interface EngineOptions<M> {
  readonly self: PeerId
  readonly cluster: string
  readonly incarnation: string
  /** All voters, this node included. */
  readonly members: readonly Member[]
  /** The members are not known yet: until Engine.meet() tells them nobody is dialled, no node is
   *  let in, and the strategy hears no view. `members` is this node alone until then. */
  readonly late?: boolean | undefined
  readonly transport: Transport
  readonly strategy: StrategyFactory<M>
  readonly log: LogStore
  readonly store: StateMachine
  /** Where another group than 0 lies, empty: called when the strategy first uses it, and again if
   *  it does so after it dropped it. Needed by strategies that have several groups. */
  readonly host?: ((group: GroupId) => GroupHost) | undefined
  /** Where the strategy's factory says records: 'stamped'. */
  readonly stamped?: StampedState | undefined
  readonly durability: 'memory' | 'os' | 'fsync'
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** What each link may do. Undefined: nobody proves anything, everybody may do everything. */
  readonly authority?: Authority | undefined
  /** May who has proved to be this still come in? Default: yes. */
  readonly isCurrent?: ((identity: Identity) => boolean) | undefined
  readonly caches: Readonly<Record<string, CacheOptions>>
  readonly autoCaches: boolean
  /** One value. Default LIMITS.valueBytesMax. */
  readonly valueBytesMax?: number
  /** Where a few bytes outlive the process; save() returns once they do. */
  readonly notes?: { readonly last: Uint8Array | undefined; save(note: Uint8Array): void }
  /** Said with the status to whoever asks; called for each. */
  readonly facts?: () => Readonly<Record<string, unknown>>
  /** Decides keys that both sides of a network split changed, in place of the newest. */
  readonly onMerge?: MergeFunction | undefined
  /** Replies and events on a link with a member: answers to this node's own calls. */
  readonly onClientFrame?: (peer: PeerId, session: Session, frame: Uint8Array) => void
  /** One line an input and an effect. */
  readonly onTrace?: (line: string) => void
}

export interface EngineEvents {
  standing: [standing: Standing]
  /** Of a group other than 0. */
  'group-standing': [group: GroupId, standing: Standing]
  /** Who serves which group changed. */
  table: [table: GroupTable]
  report: [event: string, fields: Record<string, unknown>]
  /** Who belongs to the cluster from now on, and the number of that view; without this node once
   *  it has left. */
  members: [members: readonly Member[], view: number]
  'link-up': [peer: PeerId]
  'link-down': [peer: PeerId, loss: LinkLoss]
  /** A congested link takes frames again. */
  writable: [peer: PeerId]
  /** A broken invariant: the engine has stopped. */
  fatal: [error: unknown]
}
