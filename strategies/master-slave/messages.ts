/**
 * What nodes of strategy master-slave say to each other; its bytes stand in message-codec.ts.
 */
import type { Batch, Epoch, Offset, PeerId } from '../../src/contracts/types.js'
import type { EpochStart } from '../../src/core/epochs.js'

/** 'empty': nothing yet; 'copying': a copy is under way; 'ready': holds data of its history. */
export type DataState = 'empty' | 'copying' | 'ready'

/** Who I am and what my log ends with; said on link-up and when it changes. */
export interface StateMessage {
  type: 'state'
  role: 'master' | 'slave'
  data: DataState
  /** Votes and counts; false for a learner or amnesiac. Without meaning in profile ordinal. */
  voter: boolean
  history: string
  /** The sender's. */
  profile: string
  incarnation: string
  promised: Epoch
  /** Epoch led or followed, and its master ('' for none). */
  epoch: Epoch
  master: string
  lastEpoch: Epoch
  next: Offset
  /** Number of the newest view that is committed. */
  view: number
  /** Histories that this one was forced from, the newest first; at most 8. */
  forcedFrom?: readonly string[]
}

/** Older histories that a history remembers it was forced from. */
export const FORCED_FROM_MAX = 8

/** In a heartbeat's `slices`: no copy is under way to you. `feed` 0: you are not being fed. */
export const NO_COPY = 0xffff_ffff

/** What a log is, for finding the common point, and of which process. */
export interface LogFacts {
  data: DataState
  incarnation: string
  history: string
  starts: EpochStart[]
  lastEpoch: Epoch
  next: Offset
  /** Entries below it are committed; no log of the history will ever lack them. */
  commit: Offset
  voter: boolean
}

/** Processes that were empty when the history began: [id, incarnation]. */
export type Charter = readonly (readonly [PeerId, string])[]

export type Message =
  | {
      type: 'append'
      epoch: Epoch
      previous: Epoch
      time: number
      /** Entries below it are committed; in profile ordinal: views below it are in most logs. */
      commit: Offset
      batches: readonly Batch[]
    }
  | {
      type: 'append-ack'
      epoch: Epoch
      feed: number
      next: Offset
      durable: Offset
      echo: number
      /** The newest round of heartbeats heard under this epoch, and the slave's own clock, which
       *  the next heartbeat returns (reads.ts). */
      round: number
      stamp: number
    }
  | {
      type: 'heartbeat'
      epoch: Epoch
      next: Offset
      commit: Offset
      time: number
      feed: number
      sent: Offset
      slices: number
      /** False: the master reaches no majority, so nobody should wait for it. */
      inTouch: boolean
      round: number
      /** The newest `stamp` of this slave on this session; -1: none. */
      stamp: number
    }
  | StateMessage
  | { type: 'probe'; epoch: Epoch; nonce: number }
  | { type: 'probe-reply'; epoch: Epoch; nonce: number; hears: boolean }
  /** `handover`: the epoch whose master gives its place to the sender. */
  | ({ type: 'prepare'; epoch: Epoch; handover?: Epoch } & LogFacts)
  | ({ type: 'promise'; epoch: Epoch } & LogFacts)
  | { type: 'refuse'; epoch: Epoch; promised: Epoch; hears: boolean }
  | { type: 'pull'; epoch: Epoch; from: Offset }
  | { type: 'pull-reply'; epoch: Epoch; batches: readonly Batch[] }
  | { type: 'nominate'; epoch: Epoch }
  /** `feed`: the newest that this slave has been told of in the epoch; 0: none. */
  | ({ type: 'sync'; epoch: Epoch; distrust: boolean; feed: number } & LogFacts)
  | {
      type: 'sync-reply'
      epoch: Epoch
      feed: number
      history: string
      from: Offset
      next: Offset
      voter: boolean
      /** Who else may vote and may not know it yet; absent for nobody. */
      charter?: Charter
      forcedFrom?: readonly string[]
    }
  | { type: 'merge-ask'; epoch: Epoch; merge: number; from: Offset; index: number }
  | {
      type: 'merge-records'
      epoch: Epoch
      merge: number
      index: number
      last: boolean
      bytes: Uint8Array
    }
  | {
      type: 'copy-begin'
      epoch: Epoch
      history: string
      copy: number
      at: Offset
      crc: number
      time: number
      diverged: number
      starts: EpochStart[]
      /** The view in force before `at`, as wire/view.ts writes it. */
      view: Uint8Array
      forcedFrom?: readonly string[]
    }
  | {
      type: 'copy-slice'
      epoch: Epoch
      copy: number
      index: number
      next: Offset
      slice: Uint8Array
    }
  | { type: 'copy-end'; epoch: Epoch; copy: number; slices: number; next: Offset }
  | { type: 'admit'; epoch: Epoch; history: string; lastEpoch: Epoch; next: Offset }
  /** To a witness: the log goes up to `next`, and its last entry is of `lastEpoch`. */
  | { type: 'header'; epoch: Epoch; lastEpoch: Epoch; next: Offset }
  /** To a witness: you had promised `epoch` and acked a log that ended so. */
  | { type: 'forgotten'; epoch: Epoch; lastEpoch: Epoch; next: Offset }
  /** To whom no log tells it: who belongs to the cluster, as wire/view.ts writes it. */
  | { type: 'members'; epoch: Epoch; history: string; view: Uint8Array }
  | { type: 'fenced'; epoch: Epoch; promised: Epoch; master: string }
  /** To a slave whose log ends at `next`, as the master's does: take over. */
  | { type: 'handover'; epoch: Epoch; next: Offset }
