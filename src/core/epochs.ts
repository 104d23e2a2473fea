/**
 * Epochs compared, minted and searched. The list of epoch starts names where each epoch's entries
 * begin, so two logs find their common point without sending entries (KIP-101, KIP-279).
 */
import type { Epoch, Offset } from '../contracts/types.js'

/** Below every real epoch. */
export const NO_EPOCH: Epoch = { number: 0, incarnation: '0'.repeat(16) }

/** Newest pairs that are kept; an older divergence needs a full copy. PROTOCOL 2. */
export const EPOCH_STARTS_MAX = 64

export interface EpochStart {
  readonly epoch: Epoch
  /** The first offset of that epoch. */
  readonly first: Offset
}

/** Negative, 0 or positive, as for sort(). */
export function compareEpochs(a: Epoch, b: Epoch): number {
  if (a === b) return 0
  if (a.number !== b.number) return a.number - b.number
  return a.incarnation < b.incarnation ? -1 : a.incarnation > b.incarnation ? 1 : 0
}

/** The next epoch of a node, above `highest`: a new counter, the node's own ordinal and life. */
export function mintEpoch(highest: Epoch, ordinal: number, incarnation: string): Epoch {
  return { number: (Math.floor(highest.number / 256) + 1) * 256 + ordinal, incarnation }
}

/** True if a log that ends with (`epoch`, `next`) is better than one that ends with the other. */
export function isBetterLog(
  epoch: Epoch,
  next: Offset,
  otherEpoch: Epoch,
  otherNext: Offset,
): boolean {
  const order = compareEpochs(epoch, otherEpoch)
  return order !== 0 ? order > 0 : next > otherNext
}

/** Notes that `epoch` begins at `first`, unless it already has; keeps the newest 64. */
export function noteEpochStart(starts: EpochStart[], epoch: Epoch, first: Offset): void {
  const last = starts.at(-1)
  if (last !== undefined && compareEpochs(last.epoch, epoch) === 0) return
  starts.push({ epoch, first })
  if (starts.length > EPOCH_STARTS_MAX) starts.shift()
}

/**
 * The offset up to which two logs are equal: the end, in the shorter of both, of the newest epoch
 * that both know. An epoch has one master, so within it equal offsets hold equal entries. 1 if
 * both are whole from the start and share nothing; undefined if the answer is forgotten.
 */
export function commonPoint(
  mine: readonly EpochStart[],
  myNext: Offset,
  theirs: readonly EpochStart[],
  theirNext: Offset,
): Offset | undefined {
  for (let i = theirs.length - 1; i >= 0; i--) {
    const at = mine.findIndex(start => compareEpochs(start.epoch, theirs[i].epoch) === 0)
    if (at < 0) continue
    const myEnd = at + 1 < mine.length ? mine[at + 1].first : myNext
    const theirEnd = i + 1 < theirs.length ? theirs[i + 1].first : theirNext
    return Math.min(myEnd, theirEnd)
  }
  return theirNext === 1 || myNext === 1 ? 1 : undefined
}
