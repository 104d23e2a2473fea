/**
 * A voter that is copied (PROTOCOL 12). It has dropped the log that it acked, not its memory: it
 * knows what it promised and how far the log went. So it votes on as if it still held that log:
 * for a candidate whose log is at least as good (Raft, section 5.4.1). Without its vote one crash
 * during a copy is two voters fewer, and nobody leads though nothing is lost.
 *
 *   voter with its log --copy-begin--> owes what the log ended with --copy-end--> voter with a log
 *                                        |        ^
 *                                        +--------+ the next copy: it has acked nothing since
 *
 * Until the copy is whole it neither leads, counts nor begins a history.
 */
import type { Epoch, Offset } from '../../src/contracts/types.js'
import { isBetterLog } from '../../src/core/epochs.js'
import type { GroupState } from './state.js'

/** What a log ends with. */
export interface LogEnd {
  readonly lastEpoch: Epoch
  readonly next: Offset
}

/** Before the log goes. What was owed before is kept: half a copy was never acked. */
export function oweLog(s: GroupState): void {
  const { lastEpoch, next } = s
  if (s.commitsLate && s.voter) s.owed ??= { lastEpoch, next }
}

/** True if this node's promise counts for whoever holds `log`. */
export function votesFor(s: GroupState, log: LogEnd): boolean {
  const { owed } = s
  if (!s.voter) return false
  // A view that came with a copy may have made it one: it has acked nothing as such.
  if (owed === undefined) return s.data === 'ready'
  return !isBetterLog(owed.lastEpoch, owed.next, log.lastEpoch, log.next)
}

/** True if this node belongs to a history: it holds its data, or owes what it has acked of it. */
export function isOfHistory(s: GroupState): boolean {
  return s.data === 'ready' || s.owed !== undefined
}
