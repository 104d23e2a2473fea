/**
 * What nodes of strategy broadcast say to each other.
 *
 *   origin                 others                  two that compare each other
 *     entries ------------->                         ask (root) ------------>
 *     heartbeat <---------->                         <------------- nodes, or 'same'
 *              <------- pull (a gap)                 leaves ---------------->
 *     entries | gone ------>                         <--------------- differ
 *              <-------- ack (if asked for)          records <-------> records
 */
import type { Batch, Epoch, Offset } from '../../src/contracts/types.js'
import type { Known } from '../../src/core/version-vector.js'

/** Entries of one life of one origin, by whoever holds them. */
export interface Entries {
  readonly type: 'entries'
  /** The sender's own clock, ms since 1970. */
  readonly wall: number
  /** The origin wants to hear at once what is held of it. */
  readonly ack: boolean
  readonly batches: readonly Batch[]
}

/** Every 100 ms, and the first frame of a link. */
export interface Heartbeat {
  readonly type: 'heartbeat'
  readonly wall: number
  /** By how much the receiver's clock is surely ahead of the sender's, ms; negative: it is not. */
  readonly ahead: number
  /** Cluster time, ms. */
  readonly time: number
  readonly serving: boolean
  /** It carries invalidations, and no values. */
  readonly apart: boolean
  /** A member that has not met this stamp, and is not new, must begin anew: what ended records up
   *  to it is forgotten here. */
  readonly horizon: number
  /** What the sender holds of each origin, itself included. */
  readonly vector: readonly Known[]
}

export interface Ack {
  readonly type: 'ack'
  readonly life: Epoch
  readonly next: Offset
}

export interface Pull {
  readonly type: 'pull'
  readonly life: Epoch
  readonly from: Offset
}

/** The asked one does not hold what was pulled: compare instead. */
export interface Gone {
  readonly type: 'gone'
  readonly life: Epoch
}

/** One round of comparing; `round` is the asking side's number of it. */
export interface Ask {
  readonly type: 'ask'
  readonly round: number
  /** What the sender holds of each origin. */
  readonly vector: readonly Known[]
  /** 8 bytes over all records. */
  readonly root: Uint8Array
}

export interface Nodes {
  readonly type: 'nodes'
  readonly round: number
  /** What the sender held before it looked at its records. */
  readonly vector: readonly Known[]
  /** 32 times 8 bytes, each over 32 leaves; empty: roots and vectors are the same. */
  readonly nodes: Uint8Array
}

export interface LeavesSaid {
  readonly type: 'leaves'
  readonly round: number
  readonly vector: readonly Known[]
  /** A bit for each node that differs, and its 32 leaves of 8 bytes, in order. */
  readonly differ: number
  readonly leaves: Uint8Array
}

export interface Differ {
  readonly type: 'differ'
  readonly round: number
  /** 128 bytes: a bit for each of the 1,024 leaves. */
  readonly leaves: Uint8Array
}

/** Of the leaves that differ, from either side. */
export interface RecordsSaid {
  readonly type: 'records'
  readonly round: number
  /** From the side that asked for the round. */
  readonly asker: boolean
  readonly index: number
  readonly last: boolean
  readonly slice: Uint8Array
}

export type Message =
  | Entries
  | Heartbeat
  | Ack
  | Pull
  | Gone
  | Ask
  | Nodes
  | LeavesSaid
  | Differ
  | RecordsSaid
