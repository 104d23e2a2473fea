/**
 * Who is in sync: a slave that within half a second has all that the master had. The set shrinks
 * when one is silent, lags for 2 s or is surely dead, but never below `inSyncMin` under a write
 * that waits for it: that write must end in ACK_TIMEOUT, not in a smaller promise (KIP-966).
 */
import type { Offset } from '../../src/contracts/types.js'
import { mayMiss } from './lease.js'
import { counts } from './quorum.js'
import type { GroupState, Peer, Progress, Sink } from './state.js'

const LAG_MS_MAX = 2_000
/** A slave joins once it needed no longer than this for all that the master had when it began. */
const JOIN_MS_MAX = 500

export function noteAck(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  progress: Progress,
  next: Offset,
  durable: Offset,
): void {
  progress.acked = next
  progress.durable = durable
  if (next < progress.mark) return
  const roundMs = s.now - progress.markAt
  progress.mark = s.next
  progress.markAt = s.now
  if (progress.inSync || roundMs > JOIN_MS_MAX) return
  progress.inSync = true
  peer.copiesFailed = 0
  effects.report('in-sync', { peer: peer.id, inSync: true })
}

/** Takes out who is dead, silent or late. */
export function maintainInSync(s: GroupState, effects: Sink): void {
  for (const peer of s.peers.values()) {
    const progress = peer.progress
    if (progress === undefined) continue
    const silentMs = s.now - peer.heardAt
    const reason = peer.gone
      ? 'gone'
      : silentMs > s.settings.suspectAfterMs
        ? 'silent'
        : progress.inSync && progress.acked < progress.mark && s.now - progress.markAt > LAG_MS_MAX
          ? 'lag'
          : undefined
    if (reason === undefined || (reason === 'silent' && !mayMiss(s, peer))) continue
    if (progress.inSync) {
      const left = countInSync(s) - (counts(s, peer) ? 1 : 0)
      if (left < s.inSyncMin && s.waiting?.waitsInSync()) continue
      progress.inSync = false
      effects.report('in-sync', { peer: peer.id, inSync: false, reason })
      s.waiting?.settle(s, effects)
    }
    if (peer.session === 0 && reason !== 'lag') peer.progress = undefined
  }
}

function countInSync(s: GroupState): number {
  let count = 1
  for (const peer of s.peers.values()) if (peer.progress?.inSync && counts(s, peer)) count++
  return count
}
