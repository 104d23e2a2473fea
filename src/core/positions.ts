/**
 * What somebody has written or read, as few positions as say it (PROTOCOL 11). Within an epoch the
 * highest offset is enough. Whether the log of a later epoch holds what an earlier one had is not
 * known until a node that holds both has answered: until then both are kept.
 */
import { LIMITS } from '../config.js'
import type { Epoch, Offset, Position } from '../contracts/types.js'
import { compareEpochs } from './epochs.js'

export class Seen {
  /** Newest epoch first, one position an epoch. Never changed, but replaced. */
  positions: readonly Position[] = []

  /** An answer came from a log that ends with entry `offset` of `epoch`. */
  note(epoch: Epoch, offset: Offset): void {
    const known = this.positions
    if (offset === 0) return
    // Nearly always: every frame of replies comes here.
    if (known.length > 0 && known[0].epoch === epoch && known[0].offset >= offset) return
    const at = known.findIndex(position => compareEpochs(position.epoch, epoch) <= 0)
    const same = at >= 0 && compareEpochs(known[at].epoch, epoch) === 0
    if (same && known[at].offset >= offset) return
    const before = at < 0 ? known : known.slice(0, at)
    const after = at < 0 ? [] : known.slice(same ? at + 1 : at)
    this.positions = [...before, { epoch, offset }, ...after].slice(0, LIMITS.positionsMax)
  }

  /** That log holds all of `sent` too, which was in `positions`: its end stands for them. */
  replace(sent: readonly Position[], epoch: Epoch, offset: Offset): void {
    if (sent.length > 1 || (sent.length === 1 && compareEpochs(sent[0].epoch, epoch) !== 0))
      this.positions = this.positions.filter(position => !sent.includes(position))
    this.note(epoch, offset)
  }
}
