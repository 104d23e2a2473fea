/**
 * What ended records is forgotten: once every member has met it and nothing older is on its way, or
 * by its age. After the latter a member that was away for so long may still hold, or carry, what it
 * ended. So whoever lacks anything up to the horizon begins anew, and is not listened to before.
 */
import { compareEpochs } from '../../src/core/epochs.js'
import { firstStampOf } from '../../src/core/hybrid-clock.js'
import { covers, type Known, type Vector } from '../../src/core/version-vector.js'
import type { BroadcastState, Peer } from './state.js'

/** Every heartbeat. */
export function forget(s: BroadcastState): void {
  const isWhole = lacksNothing(s)
  const isCovered = (stamp: number): boolean => {
    if (!isWhole) return false
    const origin = s.clock.originOf(stamp)
    for (const peer of s.peers.values()) if (!covers(peer.vector.get(origin), stamp)) return false
    return true
  }
  const before = firstStampOf(s.clock.ms - s.settings.endsKeptMs)
  s.horizon = Math.max(s.horizon, s.stamped.forgetEnds(isCovered, before))
}

/**
 * True if all is held here that any member said to hold. Only then what a member wrote before it
 * met an end has arrived: its word that it has met it came later.
 */
function lacksNothing(s: BroadcastState): boolean {
  for (const peer of s.peers.values())
    if (!isOutdated(s, peer) && lacks(s.vector, peer.vector, Number.POSITIVE_INFINITY)) return false
  return true
}

/** True if what `peer` holds may have been ended by what is forgotten here. A node that does not
 *  serve holds nothing but copies. */
export function isOutdated(s: BroadcastState, peer: Peer): boolean {
  if (s.horizon === 0 || !s.copied || !peer.serving) return false
  return lacks(peer.vector, s.vector, s.horizon)
}

/**
 * True if what lies here may have been ended by what `peer` has forgotten, all of it up to
 * `horizon`. If the same is true the other way round, the one of lower ordinal keeps its data.
 */
export function mustBeginAnew(s: BroadcastState, peer: Peer, horizon: number): boolean {
  if (!s.copied || horizon === 0 || !lacks(s.vector, peer.vector, horizon)) return false
  const both = lacks(peer.vector, s.vector, Math.max(s.horizon, horizon))
  return !both || s.self.ordinal > peer.ordinal
}

/** True if `theirs` names an entry stamped up to `horizon` that `mine` does not. */
function lacks(mine: Vector, theirs: Vector, horizon: number): boolean {
  for (const [ordinal, known] of theirs)
    if (known.next > 1 && known.from < horizon && isBehind(mine.get(ordinal), known, horizon))
      return true
  return false
}

function isBehind(mine: Known | undefined, theirs: Known, horizon: number): boolean {
  const order = mine === undefined ? -1 : compareEpochs(mine.life, theirs.life)
  if (mine === undefined || order !== 0) return order < 0
  return mine.next < theirs.next && mine.upto < Math.min(horizon, theirs.upto)
}
