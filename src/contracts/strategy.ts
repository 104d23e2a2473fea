/**
 * A replication strategy is a function of its inputs: `step(input, effects)` is synchronous and
 * total, has no clock, no I/O and no randomness but the seeded one. The engine's pump is its only
 * driver, on sockets and in the simulator alike.
 */
import type { ElectionFactory, Heirs } from './election.js'
import type { Random } from './environment.js'
import type { MergeCounts } from './merge.js'
import type { StampedState } from './stamped.js'
import type { LogView, WholeRecord } from './store.js'
import type { LinkLoss } from './transport.js'
import type {
  Ack,
  Batch,
  ClientRef,
  Epoch,
  GroupId,
  Member,
  Offset,
  PeerId,
  Position,
  Receipt,
  Session,
} from './types.js'

/**
 * One write that asks for a place in the log. The command is `bytes[start, end)`, borrowed for the
 * step: whoever keeps it copies it (encodeBatch does). `key` is set only for a strategy that
 * declares `keyed`. `client` is null for the engine's own entries (expiry, eviction).
 */
export interface Proposal {
  readonly id: number
  /** Whose log it is for; absent: group 0. */
  readonly group?: GroupId | undefined
  readonly key?: string
  readonly ack: Ack
  readonly client: ClientRef | null
  /** The writer's sequence number, `client.lowest <= seq < client.lowest + 1024`. */
  readonly seq: number
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

export type AdminCommand =
  | 'promote'
  | 'demote'
  | 'handover'
  | 'join'
  | 'leave'
  | 'force-bootstrap'
  | 'reset-partition'

export type Input<M> =
  /** The only way time enters. Opens every turn whose clock moved by 1 ms; comes at least every
   *  25 ms. `lateMs`: how late this process's own event loop ran. */
  | { kind: 'tick'; now: number; wall: number; lateMs: number }
  | { kind: 'link-up'; peer: PeerId; session: Session }
  /** Pause until writable. `lost`: the link refused this message and queued nothing of it. */
  | { kind: 'congested'; peer: PeerId; session: Session; lost?: M }
  | { kind: 'writable'; peer: PeerId; session: Session }
  /** session 0: a dial that failed. */
  | { kind: 'link-down'; peer: PeerId; session: Session; loss: LinkLoss }
  | { kind: 'message'; peer: PeerId; session: Session; message: M }
  /** All of one turn. */
  | { kind: 'propose'; proposals: readonly Proposal[] }
  /** Reads of mode master and local never reach step(): the engine answers them from the last
   *  `become` and freshness(). `id` is negative, and may stand for many reads; `key` is '' unless
   *  the strategy declares `keyed`. Ends with one serve() or reject(), within a bounded time. */
  | {
      kind: 'read'
      id: number
      key: string
      mode: 'linearizable' | 'lease'
      /** Absent: group 0. */
      group?: GroupId | undefined
    }
  | {
      kind: 'snapshot'
      group: GroupId
      id: number
      next: Offset
      slice: Uint8Array
      state: SnapshotState
    }
  /** A piece of what this log's entries changed, as `collect` asked. */
  | { kind: 'collected'; group: GroupId; id: number; records: Uint8Array; last: boolean }
  /** What the records of one `merge` came to: commands to propose, none for those that change
   *  nothing. Undefined counts: the records were no such. */
  | {
      kind: 'merged'
      group: GroupId
      id: number
      commands: readonly Uint8Array[]
      counts: MergeCounts | undefined
    }
  | { kind: 'view'; view: number; members: readonly Member[] }
  /** Of the election: what is held now. counter 0: nothing. Its law stands in election.ts; times
   *  are those of tick.now. `heirs`: those that whoever grants it knows, or may have been told. */
  | {
      kind: 'lease'
      counter: number
      askedMs: number
      untilMs: number
      heirs?: readonly PeerId[] | undefined
    }
  /** A client has not heard the master: evidence, never authority. */
  | { kind: 'hint'; identity: string }
  /** 'handover' (to `peer`, or to whom the strategy chooses) is answered in this step by a report
   *  'handover' of state 'begun', or 'refused' with `code` and `message`; later by another master
   *  in `become`, or by one of state 'failed'. 'join' (of `member`) and 'leave' (of `peer`) are
   *  answered, in this step or a later one, by a report 'members' of state 'done' with `view`
   *  (number) and `members` (Member[]), or 'refused' with `code` and `message`. 'force-bootstrap'
   *  is answered in this step by a report 'force-bootstrap' of state 'done', with `epoch` (number),
   *  `history` and `forcedFrom`, or 'refused' with `code` and `message`. 'reset-partition' (of
   *  `partition`) is answered, in this step or a later one, by a report 'reset-partition' of state
   *  'done' with `partition` and `born` (numbers), or 'refused' as above. What a strategy does not
   *  know it passes over. */
  | {
      kind: 'admin'
      command: AdminCommand
      group: GroupId
      peer?: PeerId
      member?: Member
      partition?: number
    }

export type SnapshotState = 'more' | 'done' | 'overflow'

/** What `become` tells. `serving`: reads and writes may be answered now. */
export interface Standing {
  readonly role: 'master' | 'slave'
  readonly epoch: Epoch
  readonly master: PeerId | undefined
  readonly serving: boolean
  /** The code of a refusal while a master does not serve; NOT_READY if absent. */
  readonly why?: string
}

/** What a log that begins in the middle continues. */
export interface LogBase {
  readonly epoch: Epoch | undefined
  readonly crc: number
}

/** Filled during step(), executed in order after it. */
export interface Effects<M> {
  /** Barrier: held at the set durability before later effects run. */
  append(group: GroupId, batch: Batch): void
  /** Drops `[from, next)`; `from` is a batch boundary. */
  truncate(group: GroupId, from: Offset): void
  /** Barrier, as append. `note`: instead of the promise alone, all that a node without a log must
   *  not forget; env.note gives it back to the next process. */
  persist(group: GroupId, promised: Epoch, note?: Uint8Array): void
  /** The state machine applies `[applied, next)`; `next` is a batch boundary. */
  commit(group: GroupId, next: Offset): void
  /** On the current session; dropped without one. The same object sent twice in a row is encoded
   *  once. */
  send(peer: PeerId, message: M): void
  /** To every linked member. */
  broadcast(message: M): void
  /** Answers a proposal; what apply decided for it is added by the engine. */
  settle(id: number, receipt: Receipt): void
  /** The proposal or read ends with this code of errors.ts. `surely`: it is not and will not be in
   *  any log. */
  reject(id: number, code: string, surely: boolean): void
  /** Answer the read once applied >= next. */
  serve(id: number, group: GroupId, next: Offset): void
  /** Fixes S = applied. `what`: which part of the state, as a store that has parts understands. */
  openSnapshot(group: GroupId, id: number, what?: Uint8Array): void
  /** Answered by a 'snapshot' input in a later turn. */
  readSnapshot(group: GroupId, id: number, bytesMax: number): void
  /** Stops the walk, frees what is pending. */
  closeSnapshot(group: GroupId, id: number): void
  /** With `base`, the first of a copy: drop the old state and log; the log is then empty at `at`
   *  and continues the base. */
  install(group: GroupId, at: Offset, slice: Uint8Array, base?: LogBase): void
  /**
   * Answered by a 'collected' input in a later turn: the next piece of the records that entries
   * `[from, next)` changed, at most `bytesMax` or one record. An `id` not met before begins anew
   * and ends the one before; so does any change of the log.
   */
  collect(group: GroupId, id: number, from: Offset, bytesMax: number): void
  /**
   * Answered by a 'merged' input in a later turn: a piece that another node collected is compared
   * with this one's records, which it shares up to entry `from`. `last`: no other follows for `id`.
   */
  merge(group: GroupId, id: number, from: Offset, records: Uint8Array, last: boolean): void
  /** Tells engine and application. */
  become(group: GroupId, standing: Standing): void
  /** Something the operator or application should know: 'divergence', 'failover', 'lag' ...
   *  `level`: of the log line; 'info' unless told. */
  report(event: string, fields: Record<string, unknown>, level?: 'warn'): void
  /** Asks the election for a lease with a counter above this one, or keeps it; undefined: lets it
   *  go. `heirs`: who may have it next. Answered by 'lease' inputs, whenever there is something to
   *  say. */
  lease(above: number | undefined, heirs?: Heirs): void
  /** Ends the session. `message`: why the peer is not wanted at all, so that it is dialled again
   *  seldom. */
  disconnect(peer: PeerId, code: string, message?: string): void
  /** This node has no part in a group (never 0) any more: its log, its store and what runs on them
   *  are freed, its calls end with NOT_MASTER. Used again, it begins anew, empty. */
  drop(group: GroupId): void
  /** Who belongs to the cluster from now on: the engine dials who is new, ends its links with who
   *  is not named and refuses them. Without this node: it has left. */
  view(group: GroupId, number: number, members: readonly Member[]): void
}

/** Frames of a strategy begin with a byte of 0x40..0xff, which the codec writes and reads. */
export interface MessageCodec<M> {
  /** The whole frame. May return a view of a buffer that the next encode() overwrites. */
  encode(message: M): Uint8Array
  /** Throws PROTOCOL_ERROR. `frame` is borrowed: what the message keeps is copied. */
  decode(frame: Uint8Array): M
}

export interface MemberStatus {
  readonly id: PeerId
  readonly ordinal: number
  readonly role: 'master' | 'slave' | 'witness'
  /** 'online', 'copying', 'syncing', 'lagging', 'learner', 'down', 'empty' ... */
  readonly state: string
  readonly offset: Offset
  readonly lag: number
  readonly address: string
}

/** Who holds which part of the keys; counts, by member where they are records. */
export interface PartitionsStatus {
  readonly number: number
  /** Copies of each that are wanted beside its owner's. */
  readonly backups: number
  /** Led; had a part in, as owner or backup; and of those so many with all that was acknowledged.
   *  Without those that are lost. */
  readonly owned: Readonly<Record<PeerId, number>>
  readonly copies: Readonly<Record<PeerId, number>>
  readonly inSync: Readonly<Record<PeerId, number>>
  /** Led by nobody just now, lost ones included. */
  readonly unowned: number
  readonly moving: number
  /** Those of which no copy is left, by number, from 0 on. */
  readonly lost: readonly number[]
}

export interface StrategyStatus {
  readonly strategy: string
  readonly profile: string
  /** One sentence, computed from N, W, P and durability. */
  readonly guarantee: string
  readonly epoch: number
  readonly history: string
  /** How often the members have changed, as far as this node knows; 0: as configured. */
  readonly view?: number
  readonly master: PeerId | undefined
  /** Where every node accepts writes: those of this node that concurrent ones have replaced; 0
   *  where no values travel. */
  readonly conflicts?: number
  readonly self: MemberStatus
  /** What this node knows of all members, itself included. */
  readonly members: readonly MemberStatus[]
  /** Of a strategy whose keys lie in partitions. */
  readonly partitions?: PartitionsStatus | undefined
}

/** Who serves which group, as far as this node knows. */
export interface GroupTable {
  /** Grows with each change; the same on every node for the same table. */
  readonly number: number
  /** By group, group 0 included: calls may name these groups and no others. Of a group that nobody
   *  will ever serve as it is, a node that says why: calls wait where nobody is named. */
  readonly masters: readonly (PeerId | undefined)[]
  /** Keys lie in the groups 1 to this number, 1..16,384, as core/key-groups.ts tells: the same for
   *  the life of the cluster. Calls without a key go to all of them. */
  readonly partitions: number
}

/** Where an entry stands on this node: in its log, in its log and applied, perhaps still to come,
 *  or surely in none that this one will be. */
export type Place = 'here' | 'applied' | 'ahead' | 'lost'

export interface ReplicationStrategy<M> {
  readonly name: string
  readonly codec: MessageCodec<M>
  /** True if proposals must carry their key. */
  readonly keyed: boolean
  /** The ack that a write without one gets. */
  readonly defaultAck: Ack
  /** Why the option onMerge of createNode is never asked, which is CONFIG then. Without it, it may
   *  be. */
  readonly neverMerges?: string | undefined
  /** True if every node serves reads and writes, and clients stay with any of them. */
  readonly everybodyServes?: boolean
  /** A new object at each change, else the same one: asked after every run of steps. Without it,
   *  group 0 serves all keys. */
  table?(): GroupTable
  /** Of 'join', 'leave', 'force-bootstrap' and 'reset-partition' those that it answers; without it,
   *  none. */
  readonly commands?: readonly AdminCommand[]
  /** Who may lead is decided by this plug-in: the engine starts it, and stops it in the end. */
  readonly election?: ElectionFactory
  /**
   * Own monotonic time (that of tick.now) from which on this node does not act as master, whatever
   * its last `become` said and even if no tick came: the engine neither answers nor settles as
   * master then. Without it, there is no such time.
   */
  actsUntil?(group: GroupId): number
  /** True while this node knows so little that a node which its list of members lacks may link all
   *  the same: whoever dials it as a member knows better. Without it, nobody may. */
  welcomesStrangers?(): boolean
  /** Done when it returns: what comes back must be no promise (INTERNAL, and the node stops), since
   *  `effects` is carried out then and used again. What it throws stops the node as well. */
  step(input: Input<M>, effects: Effects<M>): void
  /** Cluster time in ms: never falls. Judges expiry for reads. */
  time(group: GroupId): number
  /**
   * Own monotonic time (that of tick.now) at which what this node has applied was surely all that
   * a serving master had applied: on a serving master its last tick; -Infinity where there was no
   * such moment. Never later than the truth, whatever was delayed or stopped. Without it only a
   * serving master answers reads of mode local.
   */
  freshness?(group: GroupId): number
  /** Judges a reader's token; an entry may be 'here' and not applied yet. Without it a token of
   *  another epoch than the led or followed one is 'lost'. */
  place?(group: GroupId, position: Position): Place
  /** Asked at any time after the first inputs, and once by createNode, which judges the answer: a
   *  promise, or a field that is missing or of another type than above, is CONFIG. Never throws. */
  status(): StrategyStatus
}

export interface StrategyEnv {
  readonly self: PeerId
  /** 16 hex digits, new with every process start. */
  readonly incarnation: string
  readonly random: Random
  /** The largest message that the transport carries. */
  readonly frameBytesMax: number
  readonly durability: 'memory' | 'os' | 'fsync'
  /** All members of the configuration, this node included. */
  readonly members: readonly Member[]
  /** What an earlier process of this node persisted as its note. */
  readonly note?: Uint8Array | undefined
  /** A group other than 0 begins with its first use, here or in an effect, empty. */
  log(group: GroupId): LogView
  /** Where the factory says records: 'stamped'. */
  readonly stamped?: StampedState | undefined
  /** What a group's entries made of a record, as it lies there: not a use in the eyes of eviction.
   *  Undefined: there is none, or no such group here. */
  read?(group: GroupId, cache: string, key: string): WholeRecord | undefined
}

export interface StrategyFactory<M = unknown> {
  (env: StrategyEnv): ReplicationStrategy<M>
  /** Its groups share one store of stamped records: env.stamped is there (contracts/stamped.ts).
   *  'apart': each node has records of its own, and only what ends them is everybody's. */
  readonly records?: 'stamped' | 'apart'
}
