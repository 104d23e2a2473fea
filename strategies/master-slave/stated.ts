/**
 * What a witness has said is remembered by those who heard it, too. Its note is its whole memory;
 * whoever puts an old one back (a restored backup, a disk cloned) makes it vote twice, and the note
 * cannot show that. So a data node that hears a witness say less than before under the same id
 * tells it what it had said. The witness has forgotten: it keeps what it is told, and votes again
 * once it is admitted like any process without memory (admission.ts).
 *
 * This finds a restored note only where the witness meets a node that it had told more, before its
 * word matters: ARCHITECTURE.md, Guarantees, says what follows.
 */
import type { Epoch, Offset } from '../../src/contracts/types.js'
import { compareEpochs, isBetterLog } from '../../src/core/epochs.js'
import type { LogEnd } from './owed.js'
import type { Peer, Sink } from './state.js'

/** What a voting witness holds on its disk before it says so: neither part ever falls. */
export interface Stated extends LogEnd {
  readonly promised: Epoch
}

/** `peer` says `said` of itself. True if it is a witness that votes and has forgotten more. */
export function hasForgotten(
  effects: Sink,
  peer: Peer,
  said: Stated & { readonly voter: boolean },
): boolean {
  if (!peer.witness || !said.voter) return false
  const { stated } = peer
  if (stated === undefined || !isLess(said, stated)) {
    const { promised, lastEpoch, next } = said
    peer.stated = { promised, lastEpoch, next }
    return false
  }
  // The note names a process that a charter or a view may vouch for; this one is another.
  peer.process = ''
  const { promised: epoch, lastEpoch, next } = stated
  effects.report('witness-forgot', {
    peer: peer.id,
    promised: said.promised.number,
    of: epoch.number,
  })
  effects.send(peer.id, { type: 'forgotten', epoch, lastEpoch, next })
  return true
}

/** A voting witness has promised `epoch`, and under it acked the log up to `next`; 1: nothing. */
export function noteStated(peer: Peer, epoch: Epoch, next: Offset): void {
  const { stated } = peer
  if (!peer.witness || !peer.voter || stated === undefined) return
  const promised = compareEpochs(epoch, stated.promised) > 0 ? epoch : stated.promised
  const longer = next > 1 && isBetterLog(epoch, next, stated.lastEpoch, stated.next)
  if (!longer && promised === stated.promised) return
  peer.stated = longer ? { promised, lastEpoch: epoch, next } : { ...stated, promised }
}

/** True if `a` is behind `b` in what was promised or in what was acked. */
export function isLess(a: Stated, b: Stated): boolean {
  if (compareEpochs(a.promised, b.promised) < 0) return true
  return isBetterLog(b.lastEpoch, b.next, a.lastEpoch, a.next)
}
