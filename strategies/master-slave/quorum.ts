/**
 * The one rule of every profile, W + P > N: W logs hold an entry before it counts, P voters promise
 * before anybody leads. Where it holds, the logs of a promotion meet those of every acknowledged
 * write, so nothing acknowledged is lost and no deposed master acknowledges (PROTOCOL 1 and 6).
 *
 *   profile    W                 P                 applies
 *   ordinal    1                 1                 what its log holds
 *   strict     N                 1                 what all hold
 *   majority   floor(N/2) + 1    floor(N/2) + 1    what W hold, a witness among them
 */
import type { Ack, Offset } from '../../src/contracts/types.js'
import { isBetterLog } from '../../src/core/epochs.js'
import { copiesWanted, majorityOf } from '../../src/core/majority.js'
import type { Profile } from './options.js'
import type { LogEnd } from './owed.js'
import type { GroupState, Peer, Sink } from './state.js'
import { nameStart, openView, reachedAmong, reachedToView, remembers } from './views.js'

export interface Quorum {
  /** N: nodes that vote, witnesses included. */
  readonly voters: number
  /** W: voters, the master included, that must hold an entry. */
  readonly copies: number
  /** P: voters, the candidate included, that must promise. */
  readonly promises: number
  /** R: of the N - 1 others, how many must hold all that the master has before a node without
   *  memory votes again. */
  readonly readmits: number
}

export function quorumOf(profile: Profile, dataNodes: number, witnesses: number): Quorum {
  const voters = dataNodes + witnesses
  const majority = majorityOf(voters)
  const copies = profile === 'majority' ? majority : profile === 'strict' ? voters : 1
  const promises = profile === 'majority' ? majority : 1
  // With P = 1 nobody leads by a promise that was forgotten, so only acks must meet: N - W + 1.
  const meet = promises === 1 ? voters - copies + 1 : Math.max(copies, voters - copies + 1)
  const readmits = Math.max(1, Math.min(voters - 1, meet))
  return { voters, copies, promises, readmits }
}

/** Logs that `ack` asks for beside the commit, which in profile majority is a majority's own; 0:
 *  insync, which has its own rule. */
export function copiesOf(s: GroupState, ack: Ack): number {
  if (ack === 'majority' && s.settings.profile === 'majority') return 1
  return copiesWanted(ack, s.dataNodes)
}

/** P, but 1 while nobody else has ever had a vote in a history that this node forced. */
export function promisesWanted(s: GroupState): number {
  return s.forced?.sole ? 1 : s.quorum.promises
}

type Claim = LogEnd & { readonly voter: boolean; readonly history: string }

/** `peer` says `m`: it votes, and in this history. A vote in another one is none here. */
export function votesHere(s: GroupState, peer: Peer, m: Claim): boolean {
  if (!m.voter || (s.history !== '' && m.history !== s.history)) return false
  return !peer.amnesiac || knowsItsName(s, peer, m)
}

/** One that woke, and was named, had said before that it votes. That may come late or twice; its
 *  log was without the name then. */
function knowsItsName(s: GroupState, peer: Peer, m: Claim): boolean {
  const start = nameStart(s, peer)
  return start === undefined || !isBetterLog(start.epoch, start.first + 1, m.lastEpoch, m.next)
}

/** True if what `peer` says and acks counts: a learner or an amnesiac never does (I17). */
export function counts(s: GroupState, peer: Peer): boolean {
  return !peer.learner && !peer.left && (!s.commitsLate || remembers(s, peer))
}

/** True if this node may vote for itself: no learner, no amnesiac, and it has not left. */
export function mayStand(s: GroupState): boolean {
  return s.isMember && !s.self.learner && (!s.commitsLate || s.voter)
}

/** Nodes other than this one that count and of which a frame was read within `withinMs`, whatever
 *  held this process up: nobody follows another for its sake. */
export function countersHeard(s: GroupState, withinMs: number): number {
  let heard = 0
  for (const peer of s.peers.values())
    if (peer.session !== 0 && counts(s, peer) && s.now - peer.frameAt <= withinMs) heard++
  return heard
}

/**
 * The master's: commits what W voters hold, but older entries only beneath one of its own epoch
 * (Raft section 5.4.2).
 */
export function advanceCommit(s: GroupState, effects: Sink): void {
  const open = openView(s)
  const reached =
    open === undefined
      ? reachedAmong(s, s.quorum.copies, peer => counts(s, peer))
      : reachedToView(s, open)
  if (reached > s.epochFirst) s.commitTo(effects, reached)
}

/** True once the master's first own entry is committed: all before it is, too. */
export function ownEpochCommitted(s: GroupState): boolean {
  return !s.commitsLate || s.commit > s.epochFirst
}

/** A slave's: the master says that entries below `next` are committed. */
export function learnCommit(s: GroupState, effects: Sink, next: Offset): void {
  if (s.commitsLate && s.synced) s.commitTo(effects, Math.min(next, s.next))
}
