/**
 * What nodes of strategy partitioned say to each other: the words of their groups, gathered in one
 * frame a step and a peer, and a few of their own about who hosts what and who may lead.
 */
import type { GroupId, Offset, PeerId } from '../../src/contracts/types.js'
import type { DataState, Message as GroupMessage } from '../master-slave/messages.js'
import type { RowNews } from './table.js'

export interface Part {
  readonly group: GroupId
  readonly message: GroupMessage
}

/** What a node says of its part in a group; only what has changed since it was heard. */
export interface Fact {
  readonly group: GroupId
  /** Of which beginning; 0: it has no part in it any more, and the rest says nothing. */
  readonly born: number
  readonly data: DataState
  readonly history: string
  /** It wants the lease, with a counter above this one; -1: it does not. */
  readonly above: number
  /** It will never act by a counter up to this one. */
  readonly released: number
  /** It leads by this counter; 0: it does not. */
  readonly counter: number
  /** A master's: its word number `ask` on who is in sync. */
  readonly ask: number
  readonly heirs: readonly PeerId[]
  /** A master's view: all, and those of them that are learners; `settled`: nobody will undo it. */
  readonly members: readonly PeerId[]
  readonly learners: readonly PeerId[]
  readonly settled: boolean
}

/** A node to the control group's master. */
export interface Renew {
  type: 'renew'
  life: string
  zone: string
  /** The sender's clock: what is granted is held from here on. */
  asked: number
  /** Those of its facts that are news, of the numbers above `after` up to `upTo`. */
  after: number
  upTo: number
  facts: readonly Fact[]
}

/** The sender has, or begins anew, a part in these groups; or has none any more. */
export interface Turn {
  type: 'open' | 'close'
  /** Grows with each that its process says: one that comes again is known by it. */
  number: number
  groups: readonly GroupId[]
}

export type OrderKind = 'join' | 'leave' | 'handover'

export type Message =
  /** All words of one step. */
  | { type: 'groups'; parts: readonly Part[] }
  /** The first on each link; both sides must have alike all but the last two. `hosts`: groups
   *  that the sender has a part in. */
  | {
      type: 'hello'
      strategy: string
      partitions: number
      backups: number
      life: string
      hosts: readonly GroupId[]
    }
  | Turn
  | Renew
  /** What `asked` is answered by: a lease of `ttlMs`, for who knows the table up to `need`. Facts
   *  up to `heard` were heard. */
  | { type: 'lease'; asked: number; ttlMs: number; need: Offset; heard: number }
  | ({ type: 'rows' } & RowNews)
  /** To the master of a group: let `peer` join or leave, or hand over to it. */
  | { type: 'order'; group: GroupId; order: OrderKind; peer: PeerId }
