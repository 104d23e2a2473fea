/**
 * A state machine whose records are ordered by stamps instead of a log's offsets: entries of many
 * origins meet in it in any order, and the same entries leave the same records (a join of each
 * key's versions). What a strategy of that kind asks of its state, beside the effects.
 */
import type { CacheOptions, Outcome } from './store.js'

/** What is known of one key: of its record, and of what ended those before it. */
export interface Met {
  /** The stamp that last set the value; 0: there is no record. */
  readonly version: number
  /** The stamp that last altered anything, `version <= changed`; 0 as above. */
  readonly changed: number
  /** The highest stamp that deleted or cleared it; 0: none that is remembered. */
  readonly ended: number
  /** Time in ms from which it is dead; 0: never. */
  readonly expiresAt: number
}

/** What the window of a writer says of one number: an outcome, or that it was not met, or that it
 *  cannot be known any more. */
export type Remembered = Outcome | 'fresh' | 'outside'

/** Not a log: `openSnapshot`, `readSnapshot` and `install` of it exchange records between stores.
 *  Groups 1 to 256 are the logs of the origins with ordinals 0 to 255, but this node's own: 0. */
export const JOIN_GROUP = 257

export interface StampedState {
  /** This node's own writes that a concurrent one has replaced. */
  readonly conflicts: number
  /** The highest stamp that came with records of JOIN_GROUP. */
  readonly newestJoined: number
  meet(cache: string, key: string): Met
  /** Of the cache, its defaults if nobody has used it yet; undefined: it would be one too many. */
  options(cache: string): CacheOptions | undefined
  /** Records and bytes of it. */
  counts(cache: string): { readonly entries: number; readonly bytes: number }
  /** What became of write `seq` of the writer `client`, as far as entries of any origin told. */
  remembered(client: string, seq: number): Remembered
  /** Sums of the live records by leaf: equal sums, equal records. 1,024 leaves, each 8 bytes. */
  leaves(): Uint8Array
  /** Drops the ends of records that `isCovered` says every member has met, and those that are
   *  minted before `before`; returns the highest stamp of the latter, 0 if none went. */
  forgetEnds(isCovered: (stamp: number) => boolean, before: number): number
}

/** A write of this node that a concurrent one of another node, which had not seen it, is about to
 *  replace: values are to be read at once or never. */
export interface Lost {
  readonly cache: string
  readonly key: string
  /** Values hold one byte a char; undefined: it was, or is, a deletion or a clear. */
  readonly mine: () => string | undefined
  readonly mineVersion: number
  readonly theirs: () => string | undefined
  readonly theirsVersion: number
}
