/**
 * What a node tells about itself and the others, and the guarantee that follows from the numbers.
 */
import type { MemberStatus, StrategyStatus } from '../../src/contracts/strategy.js'
import { copiesWanted } from '../../src/core/majority.js'
import type { GroupState, Peer } from './state.js'

export function statusOf(s: GroupState): StrategyStatus {
  const self: MemberStatus = {
    id: s.env.self,
    ordinal: s.self.ordinal,
    role: s.role === 'master' ? 'master' : 'slave',
    state: ownState(s),
    offset: s.next - 1,
    lag: s.role === 'master' ? 0 : Math.max(0, s.masterNext - s.next),
    address: s.self.address,
  }
  const members = [self, ...[...s.peers.values()].map(peer => peerStatus(s, peer))]
  members.sort((a, b) => a.ordinal - b.ordinal)
  return {
    strategy: 'master-slave',
    profile: s.settings.profile,
    guarantee: guarantee(s),
    epoch: s.epoch.number,
    history: s.history,
    master: s.master,
    self,
    members,
  }
}

function ownState(s: GroupState): string {
  if (s.role === 'master') return s.serving ? 'online' : 'starting'
  if (s.data === 'empty') return 'empty'
  if (s.data === 'copying') return 'copying'
  if (s.role === 'candidate') return 'candidate'
  return s.master === undefined ? 'searching' : s.synced ? 'online' : 'syncing'
}

function peerStatus(s: GroupState, peer: Peer): MemberStatus {
  const { id, ordinal, address, progress } = peer
  const next = progress?.acked ?? peer.said?.next ?? 1
  const role = s.master === id ? 'master' : 'slave'
  let state = peer.session === 0 ? 'down' : 'online'
  if (peer.session !== 0 && s.role === 'master')
    state = progress === undefined ? 'syncing' : progress.state === 'copy' ? 'copying' : 'online'
  if (state === 'online' && progress !== undefined && !progress.inSync) state = 'lagging'
  const lag = progress === undefined ? 0 : Math.max(0, s.next - progress.acked)
  return { id, ordinal, role, state, offset: next - 1, lag, address }
}

/** Computed from N, W and P = 1: profile ordinal has W + P > N only where W = N. */
export function guarantee(s: GroupState): string {
  const n = s.voters
  const nodes = n === 1 ? '1 node' : `${n} nodes`
  if (n === 1) return `${nodes}, ordinal: survives no crash; data lives in this process only`
  const { ack } = s.settings
  const w = ack === 'insync' ? s.inSyncMin : copiesWanted(ack, n)
  const alone = s.slavesToWriteMin === 0
  const writes = Math.max(0, n - Math.max(w, s.slavesToWriteMin + 1))
  const lost = w - 1
  return (
    `${nodes}, ordinal, ack ${s.settings.ack} (W >= ${w}, P 1): failover with ${n - 1} dead, ` +
    `writes with ${writes} down; ` +
    (lost === 0
      ? 'a crash of the master may lose what it alone acknowledged; '
      : `any ${lost} ${lost === 1 ? 'crash loses' : 'crashes lose'} nothing acknowledged; `) +
    (alone
      ? 'a network split can make two masters that both write'
      : 'a network split can make two masters; one without a slave refuses writes')
  )
}
