/**
 * What a node has received of each origin. Entries of one life of an origin come in order, without
 * a gap: one number says them all. `from` and `upto` say the same in stamps, so that it can be
 * judged of a tombstone, whose offset nobody keeps, whether its origin's entries cover it.
 */
import type { Epoch, Offset } from '../contracts/types.js'
import { compareEpochs } from './epochs.js'

/** All entries of one life below `next`; of that origin's stamps, all within `(from, upto]`. */
export interface Known {
  /** One life of one origin: its number ends with the origin's ordinal. */
  readonly life: Epoch
  readonly next: Offset
  readonly from: number
  readonly upto: number
  /** The chain checksum before `next`. */
  readonly crc: number
}

/** By the origin's ordinal. */
export type Vector = ReadonlyMap<number, Known>

/** The ordinal within a life's number, as in every epoch's. */
export function originOfLife(life: Epoch): number {
  return life.number % 256
}

/** A life begins: nothing of it is there yet, and nothing of those before it is vouched for. */
export function newLife(life: Epoch, bornAt: number): Known {
  return { life, next: 1, from: bornAt, upto: bornAt, crc: 0 }
}

/** What is known by who knows all of `mine` and all of `theirs`. A later life counts for more. */
export function joined(mine: Known | undefined, theirs: Known): Known {
  if (mine === undefined) return theirs
  const order = compareEpochs(mine.life, theirs.life)
  if (order !== 0) return order > 0 ? mine : theirs
  const [low, high] = mine.next <= theirs.next ? [mine, theirs] : [theirs, mine]
  // What was received from both ends may leave a hole between them.
  return high.from <= low.upto ? { ...high, from: Math.min(low.from, high.from) } : high
}

/** True if whoever is at `known` has met every write of that origin with this stamp. */
export function covers(known: Known | undefined, stamp: number): boolean {
  return known !== undefined && known.from < stamp && stamp <= known.upto
}
