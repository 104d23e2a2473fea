/**
 * What a node tells about itself and the others, and the guarantee that follows from the numbers.
 */
import type { MemberStatus, StrategyStatus } from '../../src/contracts/strategy.js'
import type { Epoch, Offset, PeerId } from '../../src/contracts/types.js'
import type { View } from '../../src/wire/view.js'
import { guarantee } from './guarantee.js'
import { inSyncIds } from './lease.js'
import { counts, mayStand } from './quorum.js'
import type { GroupState, Peer } from './state.js'
import { currentView, openView } from './views.js'

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
  const members = [self]
  for (const peer of s.peers.values()) insert(members, peerStatus(s, peer))
  return {
    strategy: 'master-slave',
    profile: s.settings.profile,
    guarantee: [guarantee(s), ...mismatches(s)].join('; but '),
    epoch: s.epoch.number,
    history: s.history,
    view: currentView(s).number,
    master: s.master,
    self,
    members,
  }
}

/** What a strategy that is made of several of these goes by. */
export interface Census {
  readonly role: GroupState['role']
  readonly data: GroupState['data']
  readonly history: string
  readonly epoch: Epoch
  readonly next: Offset
  /** The view in force, learners included; `settled`: no later master will lack it. */
  readonly view: View
  readonly settled: boolean
  /** Of a master: who could take over now, itself included. */
  readonly inSync: readonly PeerId[]
}

export function censusOf(s: GroupState): Census {
  const { role, data, history, epoch, next } = s
  const settled = openView(s) === undefined
  const inSync = role === 'master' ? inSyncIds(s) : []
  return { role, data, history, epoch, next, view: currentView(s), settled, inSync }
}

/** By ordinal; most come in order. */
function insert(members: MemberStatus[], member: MemberStatus): void {
  let at = members.length
  while (at > 0 && members[at - 1].ordinal > member.ordinal) at--
  if (at === members.length) members.push(member)
  else members.splice(at, 0, member)
}

/** Nobody counts such a peer, so the guarantee holds; it is what is to be mended. */
function mismatches(s: GroupState): string[] {
  if (!s.mixed.any) return []
  return [...s.peers.keys()].flatMap(id => s.mixed.textOf(id) ?? [])
}

function ownState(s: GroupState): string {
  if (s.role === 'master') return s.serving ? 'online' : 'starting'
  if (s.data === 'empty') return 'empty'
  if (s.data === 'copying') return 'copying'
  if (!s.isMember) return 'left'
  if (!mayStand(s)) return 'learner'
  if (s.role === 'candidate') return 'candidate'
  return s.master === undefined ? 'searching' : s.synced ? 'online' : 'syncing'
}

function peerStatus(s: GroupState, peer: Peer): MemberStatus {
  const { id, ordinal, address, progress } = peer
  const next = progress?.acked ?? peer.said?.next ?? 1
  const role = s.master === id ? 'master' : peer.witness ? 'witness' : 'slave'
  let state = peer.left ? 'left' : peer.session === 0 ? 'down' : 'online'
  if (s.mixed.has(id)) state = 'other-profile'
  if (peer.session !== 0 && !counts(s, peer) && !peer.left) state = 'learner'
  if (peer.session !== 0 && s.role === 'master' && !peer.witness && counts(s, peer))
    state = progress === undefined ? 'syncing' : progress.state === 'copy' ? 'copying' : 'online'
  if (state === 'online' && progress !== undefined && !progress.inSync) state = 'lagging'
  const lag = progress === undefined ? 0 : Math.max(0, s.next - progress.acked)
  return { id, ordinal, role, state, offset: next - 1, lag, address }
}
