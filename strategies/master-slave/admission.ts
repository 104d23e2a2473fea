/**
 * Who may vote where W + P > N. A process that starts without memory is an amnesiac: it copies and
 * neither votes, nor counts, nor leads, because it has forgotten what it acked and promised. Two
 * ways lead back:
 *
 *   charter   the node whose very process was empty when the history began, has nothing to forget;
 *             whoever is fed learns who those are, so that no single process holds that alone
 *   admit     R of the N - 1 others hold, under the present epoch, an entry made when the amnesiac
 *             had caught up: so no higher epoch had been promised by enough of them, and what it
 *             once acked lies elsewhere. The entry is a view that names its process (PROTOCOL 15):
 *             whoever holds it counts no other process of that node, such as the one that was
 *             thought dead and had only stopped
 *   force     whoever never voted in a history that was begun by force (force.ts)
 *
 * A witness is not named: its note goes from process to process.
 */
import type { Offset } from '../../src/contracts/types.js'
import { assert } from '../../src/core/assert.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { encodeView, type View } from '../../src/wire/view.js'
import { appendNoop, appendOwn, feedWitnesses } from './feed.js'
import { bindAdmitted, neverVoted } from './force.js'
import type { Charter, Message } from './messages.js'
import { countersHeard, counts } from './quorum.js'
import type { GroupState, Peer, Sink } from './state.js'
import { committedView, currentView, isAnother, isReplaced, nameStart, remembers } from './views.js'

/** Notes who is empty at the birth of a history: they vote as soon as they follow. */
export function writeCharter(s: GroupState): void {
  s.voter = true
  s.charter.clear()
  for (const peer of s.peers.values())
    if (peer.said?.data === 'empty' && !peer.voter) s.charter.set(peer.id, peer.process)
}

/**
 * True if the process of `peer` was empty when the history began. While it is still empty it has
 * acked nothing and has kept what it promised, so its promise counts like that of an empty log;
 * the process that replaces it has another incarnation. Once a view names any process of that
 * node, be it this very one again, another may have voted in between: only a proof helps then.
 */
export function isChartered(s: GroupState, peer: Peer): boolean {
  return peer.process !== '' && peer.incarnation === '' && s.charter.get(peer.id) === peer.process
}

/** For a sync-reply: those who may vote and, as far as is known, have not been told. */
export function charterFor(s: GroupState, to: Peer): { charter?: Charter } {
  if (!s.commitsLate) return {}
  const untold = [...s.charter].filter(([id]) => id !== to.id && !s.peers.get(id)?.voter)
  return untold.length === 0 ? {} : { charter: untold }
}

/** After the history of `m` was adopted. */
export function learnCharter(s: GroupState, m: { charter?: Charter }): void {
  for (const [id, incarnation] of m.charter ?? []) s.charter.set(id, incarnation)
}

/** It has nothing of this history to forget. */
function isFree(s: GroupState, peer: Peer): boolean {
  return isChartered(s, peer) || neverVoted(s, peer)
}

/** The master's, after acks and with each heartbeat: readmits whoever may vote by now. */
export function admitReady(s: GroupState, effects: Sink): void {
  if (!s.commitsLate) return
  for (const peer of s.peers.values()) {
    if (peer.session === 0 || peer.left || saysItVotes(s, peer)) continue
    // A view makes it a voter (membership.ts).
    if (peer.learner && !peer.witness) continue
    // On a new link, until it says which process it is. A view that names none lets the first one
    // count again (strict, seed 4957: one that woke was elected from, past what all five held).
    if (!peer.witness && peer.process === '') continue
    if (!peer.witness && !peer.progress?.inSync) continue
    if (peer.admitFrom === 0) {
      if (!isFree(s, peer) && !mayBeginProof(s, effects, peer)) continue
      beginAdmission(s, effects, peer)
    }
    const own = peer.witness ? peer.admitFrom : (peer.progress?.acked ?? 0)
    if (own < peer.admitFrom) continue
    if (!isFree(s, peer) && !isProved(s, peer)) continue
    if (s.now - peer.admitSentAt < s.settings.heartbeatMs) continue
    peer.admitSentAt = s.now
    bindAdmitted(s, peer)
    const { epoch, history, lastEpoch, next } = s
    effects.send(peer.id, { type: 'admit', epoch, history, lastEpoch, next })
  }
}

/**
 * One that another process has replaced, and that does not know yet, is told by the log first. If
 * it holds that by its acks, it had said so before, and that came late or twice.
 */
function saysItVotes(s: GroupState, peer: Peer): boolean {
  if (!peer.voter || !isReplaced(s, peer)) return peer.voter
  const first = nameStart(s, peer)?.first ?? s.views[0].first
  if (peer.progress?.state === 'stream' && peer.progress.acked > first) peer.voter = false
  return peer.voter
}

/**
 * An ack from before says nothing: its sender may have promised a higher epoch since, together with
 * the process that this one has replaced, and nobody else remembers that (found by the model). So
 * the proof is an entry made after this process began.
 */
function beginAdmission(s: GroupState, effects: Sink, peer: Peer): void {
  if (!isFree(s, peer)) {
    if (peer.witness) appendNoop(s, effects)
    else if (isUnnamed(s, peer)) appendOwn(s, effects, naming(s, peer))
    feedWitnesses(s, effects)
  }
  peer.admitFrom = s.next
}

/**
 * As many answer as must hold the entry, and before a name is written they hold one that was made
 * when its process had caught up. A master that is cut off would name one that it cannot admit;
 * whoever holds that name takes it for the only one, for ever if that master dies.
 */
function mayBeginProof(s: GroupState, effects: Sink, peer: Peer): boolean {
  const own = s.voter ? 1 : 0
  if (own + countersHeard(s, s.settings.heardWithinMs) < s.quorum.readmits) return false
  if (peer.witness || !isUnnamed(s, peer) || own >= s.quorum.readmits) return true
  if (peer.askFrom === 0) {
    appendNoop(s, effects)
    feedWitnesses(s, effects)
    peer.askFrom = s.next
  }
  return holders(s, peer, peer.askFrom) >= s.quorum.readmits
}

/** A name waits for an ack, whoever's: it must be written while that is news. */
export function isAsked(s: GroupState): boolean {
  if (!s.commitsLate) return false
  for (const peer of s.peers.values()) if (peer.askFrom > 0 && peer.admitFrom === 0) return true
  return false
}

function isUnnamed(s: GroupState, peer: Peer): boolean {
  return isReplaced(s, peer) || peer.incarnation === ''
}

/** The view in force, but that the process of `peer` is the one that may vote as it. */
function naming(s: GroupState, peer: Peer): Uint8Array {
  assert(peer.process !== '', `a view that names no process of ${peer.id}`)
  const { number, members, past } = currentView(s)
  const named = members.map(member =>
    member.id === peer.id ? { ...member, incarnation: peer.process, amnesiac: true } : member,
  )
  return encodeView({ number: number + 1, members: named, past } satisfies View)
}

/**
 * R hold it. Where one vote is enough to lead (strict) the rest must say that they have forgotten,
 * too: one that is out of reach may have let this very node go, together with the process that
 * `newcomer` has replaced, and acknowledges without it.
 */
function isProved(s: GroupState, newcomer: Peer): boolean {
  const { promises, readmits } = s.quorum
  if (holders(s, newcomer, newcomer.admitFrom) < readmits) return false
  if (promises > 1) return true
  // A view that is not committed yet lets nobody go: its own commit hangs on this very vote.
  for (const { id, learner } of committedView(s).members) {
    const peer = s.peers.get(id)
    if (learner || peer === undefined || peer === newcomer) continue
    if (peer.session === 0 || peer.process === '') return false
    if (remembers(s, peer) && (peer.progress?.acked ?? 0) < newcomer.admitFrom) return false
  }
  return true
}

/** Of the others than `newcomer`, this node included, who hold what lies below `at`. */
function holders(s: GroupState, newcomer: Peer, at: Offset): number {
  let holding = s.voter ? 1 : 0
  for (const peer of s.peers.values()) {
    if (peer === newcomer || !counts(s, peer)) continue
    const next = peer.witness
      ? peer.headed
      : peer.progress?.state === 'stream'
        ? peer.progress.acked
        : 0
    if (next >= at) holding++
  }
  return holding
}

/** The slave's: it votes from now on. */
export function onAdmit(
  s: GroupState,
  effects: Sink,
  peer: Peer,
  m: Extract<Message, { type: 'admit' }>,
): void {
  if (s.role !== 'slave' || s.master !== peer.id || compareEpochs(m.epoch, s.epoch) !== 0) return
  if (compareEpochs(m.epoch, s.promised) !== 0 || s.data !== 'ready') return
  if (s.history !== m.history || isAnother(s)) return
  s.voter = true
  // Said again if it was asked again: the master may have missed it.
  s.tell(effects)
}

export function becomeVoter(s: GroupState, effects: Sink): void {
  if (s.voter || isAnother(s)) return
  s.voter = true
  s.tell(effects)
}
