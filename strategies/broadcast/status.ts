/** What a node tells about itself and the others. */
import type { MemberStatus, StrategyStatus } from '../../src/contracts/strategy.js'
import { guarantee } from './guarantee.js'
import { isRefused } from './skew.js'
import type { BroadcastState, Peer } from './state.js'

export function statusOf(s: BroadcastState): StrategyStatus {
  const { id, ordinal, address } = s.self
  const at = { offset: s.vector.size === 0 ? 0 : s.own.next - 1, lag: lagOf(s) }
  const self: MemberStatus = { id, ordinal, role: 'master', state: ownState(s), ...at, address }
  const members = [self, ...[...s.peers.values()].map(peer => peerStatus(s, peer))]
  return {
    strategy: 'broadcast',
    profile: s.apart ? 'invalidations' : 'last-write-wins',
    guarantee: guarantee(s),
    epoch: s.epoch.number,
    history: '',
    master: id,
    conflicts: s.stamped.conflicts,
    self,
    members: members.sort((a, b) => a.ordinal - b.ordinal),
  }
}

function ownState(s: BroadcastState): string {
  if (isRefused(s)) return 'skewed'
  if (s.serving) return 'online'
  return s.asking === undefined ? 'starting' : 'copying'
}

/** Entries of others that others hold and this node does not. */
function lagOf(s: BroadcastState): number {
  let lag = 0
  for (const peer of s.peers.values()) {
    const theirs = peer.vector.get(peer.ordinal)
    if (theirs === undefined) continue
    lag += Math.max(0, theirs.next - (s.vector.get(peer.ordinal)?.next ?? 1))
  }
  return lag
}

function peerStatus(s: BroadcastState, peer: Peer): MemberStatus {
  const { id, ordinal, address } = peer
  const next = peer.vector.get(ordinal)?.next ?? 1
  const held = peer.vector.get(s.self.ordinal)?.next ?? 1
  const lag = s.vector.size === 0 ? 0 : Math.max(0, s.own.next - held)
  const state = peer.session === 0 ? 'down' : peer.serving ? 'online' : 'starting'
  return { id, ordinal, role: 'master', state, offset: next - 1, lag, address }
}
