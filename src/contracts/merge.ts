/**
 * How the records that two sides of a network split changed become one state: what a side says of a
 * key, who decides where both changed it, and what came of it. PROTOCOL 9 of the design.
 */
import type { Epoch, Offset } from './types.js'

/** The write that a value, or its absence, goes back to: unique in the life of a cluster. */
export interface Origin {
  readonly epoch: Epoch
  readonly offset: Offset
  /** Cluster time in ms of its entry; 0 if the log does not tell any more. */
  readonly time: number
}

/** One side's record of a key that both sides changed. Undefined: that side removed it. */
export interface MergeSide {
  /** As it was written: the cache's codec decodes it. The function's own copy. */
  readonly value: Uint8Array
  /** Cluster time in ms at which the value was set; 0: the log does not tell any more. */
  readonly time: number
  /** Cluster time in ms; 0: never. */
  readonly expiresAt: number
}

/**
 * Decides a key that both sides changed: 'mine' keeps what the surviving side has, 'theirs' takes
 * what the losing side has, bytes become the new value (with the life of the newer side). Called on
 * the master, synchronously, once for each such key; keys that one side alone changed never come
 * here. Same arguments, same answer. Where it throws or answers anything else the newest wins, and
 * that is logged.
 */
export type MergeFunction = (
  cache: string,
  key: string,
  mine: MergeSide | undefined,
  theirs: MergeSide | undefined,
) => 'mine' | 'theirs' | Uint8Array

/** What became of the losing side's records. `records = merged + discarded`. */
export interface MergeCounts {
  /** Keys that the losing side changed, as far as it still knew them. */
  records: number
  /** Whose state on the losing side is now that of the cluster, or part of it. */
  merged: number
  /** Whose state on the losing side is dropped, because the other one's is newer or preferred. */
  discarded: number
  /** Changed on both sides; counted in one of the two above as well. */
  conflicts: number
  /** `clear` calls of the losing side: they are not carried out again. */
  clears: number
  /** False: the losing side's log did not reach back to the split, so its removals are unknown. */
  removalsKnown: boolean
}
