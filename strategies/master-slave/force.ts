/**
 * A forced beginning. Where more memories were lost than the profile survives, nobody is elected
 * any more, which is right: the cluster cannot know what it has lost. The operator then names one
 * node, whose log becomes the truth of a new history and continues the entries of the old one.
 *
 *   history O, no master      b forced: history F, forced from O
 *   a, c without memory  -->  b votes alone (P = 1) --copy--> a, c learners --admit--> voters of F
 *   d, away with O data  -->  back: follows F, is copied, says `divergence` for what it had beyond
 *
 * No vote of O is one in F: to F all others are amnesiacs. Each may be admitted once without proof,
 * because who never voted in F has forgotten nothing of it. A node of O that serves, or heard a
 * master of O that does, does not yield: then it was the forced node that was cut off.
 */
import type { Input } from '../../src/contracts/strategy.js'
import type { PeerId } from '../../src/contracts/types.js'
import type { ErrorCode } from '../../src/errors.js'
import { encodeView } from '../../src/wire/view.js'
import { dropHalfCopy } from './bootstrap.js'
import { appendOwn } from './feed.js'
import { mayForce } from './lease.js'
import { stepDown } from './master.js'
import { FORCED_FROM_MAX, type Message } from './messages.js'
import { bootstrap, leadAnew, mintHistory } from './promotion.js'
import { orphan } from './slave.js'
import type { GroupState, Peer, Sink } from './state.js'
import { applyView, currentView } from './views.js'

/** In the history that this process has forced. Replaced, never changed. */
export interface Forced {
  /** Nobody else was ever told that it may vote in it: one promise is enough, its own. */
  readonly sole: boolean
  /** Who was never told so, and may be without proof. */
  readonly unadmitted: readonly PeerId[]
}

/** An admin's command, answered in this step. */
export function onForce(s: GroupState, effects: Sink): void {
  const { self } = s.env
  const serving = servingMaster(s)
  if (s.view === 0) return refuse(effects, 'NOT_READY', `${self} knows no members yet`)
  if (!s.isMember) return refuse(effects, 'NOT_A_MEMBER', `${self} has left`)
  if (serving !== undefined)
    return refuse(effects, 'HEALTHY', `${serving} is master and serves: nothing to force`)
  if (s.self.learner)
    return refuse(effects, 'CONFIG', `${self} is still joining: force a node that votes`)
  if (!mayForce(s, effects))
    return refuse(
      effects,
      'NOT_READY',
      `${self} has asked for the lease: try again in some seconds`,
    )
  const forcedFrom = s.data === 'ready' ? s.history : ''
  stepDown(s, effects)
  orphan(s, effects)
  s.role = 'slave'
  s.candidacy = undefined
  s.hunt = undefined
  if (!s.commitsLate) forceOrdinal(s, effects)
  else begin(s, effects)
  const { epoch, history } = s
  const facts = { history, forcedFrom, epoch: epoch.number, entries: s.next - 1 }
  effects.report('force-bootstrap', { state: 'done', ...facts })
}

export function refuse(effects: Sink, code: ErrorCode, message: string): void {
  effects.report('force-bootstrap', { state: 'refused', code, message })
}

/** P = 1: it may lead in the history that it has, and the others' entries are merged into it. */
function forceOrdinal(s: GroupState, effects: Sink): void {
  if (s.data === 'ready') return leadAnew(s, effects)
  if (s.half) dropHalfCopy(s, effects)
  bootstrap(s, effects)
}

function begin(s: GroupState, effects: Sink): void {
  if (s.half || s.data === 'copying') dropHalfCopy(s, effects)
  // Half a log or none is no truth that anybody's data should give way to.
  const before = s.data === 'ready' ? [s.history, ...s.forcedFrom] : []
  s.commitTo(effects, s.next)
  if (before.length === 0) s.clock.raise(s.wall)
  mintHistory(s)
  s.forcedFrom = before.slice(0, FORCED_FROM_MAX)
  s.data = 'ready'
  s.voter = true
  const named = forgetProcesses(s)
  const others = [...s.peers.values()].filter(peer => !peer.learner && !peer.left)
  s.forced = { sole: true, unadmitted: others.map(({ id }) => id) }
  s.charter.clear()
  for (const peer of s.peers.values()) peer.voter = false
  leadAnew(s, effects)
  // Who finds the old names in the log, and not in this node's mind, would count nobody.
  const { number, ...rest } = currentView(s)
  if (named) appendOwn(s, effects, encodeView({ number: number + 1, ...rest }))
}

/** Processes that the view names have no vote in this history. True if it named any. */
function forgetProcesses(s: GroupState): boolean {
  const { number, members, past } = currentView(s)
  const bare = members.map(({ incarnation: _, amnesiac: __, ...member }) => member)
  s.views = [{ first: 0, view: { number, members: bare, past } }]
  applyView(s)
  return members.some(({ incarnation }) => incarnation !== undefined)
}

/** Who leads, as far as this node hears: itself, or another that says it has its voters. */
function servingMaster(s: GroupState): PeerId | undefined {
  if (s.serving) return s.env.self
  const { suspectAfterMs } = s.settings
  for (const peer of s.linked()) {
    const heardAt = peer.inTouchAt ?? Number.NEGATIVE_INFINITY
    if (s.now - heardAt <= suspectAfterMs) return peer.id
    // One that is followed and has not said that it lacks voters may not have had time to.
    const follows = s.master === peer.id && s.outOfTouchAt === 0
    if (follows && s.now - s.masterHeardAt <= suspectAfterMs) return peer.id
  }
  return undefined
}

/** A heartbeat of any master, followed or not. */
export function noteMaster(s: GroupState, peer: Peer, inTouch: boolean): void {
  peer.inTouchAt = inTouch ? s.now : Number.NEGATIVE_INFINITY
  if (inTouch && s.master === peer.id) s.ruledAt = s.now
}

/**
 * The history of `peer` was forced from this node's, and counts: by the very master that this node
 * follows, or nobody has ruled here for as long as an ordinal cluster waits before it begins. A
 * stall of a serving master must not give its data away.
 */
export function yieldsTo(s: GroupState, peer: Peer): boolean {
  if (!peer.said?.forcedFrom?.includes(s.history)) return false
  return s.master === peer.id || s.now - s.ruledAt >= s.settings.bootstrapWaitMs
}

/** This node's history was forced from that of `peer`. */
export function isForebear(s: GroupState, peer: Peer): boolean {
  return peer.said !== undefined && s.forcedFrom.includes(peer.said.history)
}

/** The master's history becomes this node's. A vote in another one is none in it. */
export function adopt(s: GroupState, m: { history: string; forcedFrom?: readonly string[] }): void {
  if (s.history !== m.history) s.charter.clear()
  if (s.history !== '' && s.history !== m.history) {
    s.voter = false
    s.owed = undefined
    s.forced = undefined
  }
  s.history = m.history
  s.forcedFrom = m.forcedFrom ?? []
}

/** True if nobody can have forgotten a vote of `peer` in this history: there was none. */
export function neverVoted(s: GroupState, peer: Peer): boolean {
  return s.forced?.unadmitted.includes(peer.id) === true
}

/** Told that it may vote: from now on it is that very process, or one with a proof. */
export function bindAdmitted(s: GroupState, peer: Peer): void {
  if (!neverVoted(s, peer) || s.forced === undefined || peer.process === '') return
  s.charter.set(peer.id, peer.process)
  const unadmitted = s.forced.unadmitted.filter(id => id !== peer.id)
  s.forced = { sole: false, unadmitted }
}

/** Master no longer: another may admit by proof whom this one thinks new. */
export function endForced(s: GroupState): void {
  if (s.forced?.sole === false) s.forced = undefined
}

/** The command, for who cannot carry it out. */
export function refuseWitness(
  effects: Sink,
  input: Extract<Input<Message>, { kind: 'admin' }>,
): void {
  if (input.command !== 'force-bootstrap') return
  refuse(effects, 'CONFIG', 'a witness holds no data: force a node that does')
}
