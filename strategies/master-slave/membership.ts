/**
 * Joining and leaving, the master's side: an admin's command becomes a view entry, one change at a
 * time (PROTOCOL 15). Who joins is copied as a learner; once it is within 1,000 entries of the
 * master a second view makes it a voter. Asked again for what is done, it says so.
 */
import type { Input } from '../../src/contracts/strategy.js'
import type { Member, Offset, PeerId } from '../../src/contracts/types.js'
import { mayBeSame } from '../../src/core/addresses.js'
import { majorityOf } from '../../src/core/majority.js'
import { type ErrorCode, GcacheError } from '../../src/errors.js'
import { encodeView, type View, type ViewMember } from '../../src/wire/view.js'
import { appendNoop, appendOwn, feedWitnesses } from './feed.js'
import { heldByHeirs, leadsByCopies } from './lease.js'
import { liveSlaves, settle } from './master.js'
import { checkMembers } from './options.js'
import { counts, ownEpochCommitted } from './quorum.js'
import type { GroupState, Peer, Sink } from './state.js'
import { currentView, heldBy, openView, viewReplacedBy } from './views.js'

type Admin = Extract<Input<never>, { kind: 'admin' }>

/** A learner that lacks fewer entries becomes a voter. */
const NEAR_ENTRIES = 1_000

export function onJoin(s: GroupState, effects: Sink, { member }: Admin): void {
  if (member === undefined) return refuse(effects, 'CONFIG', 'join takes a member')
  change(s, effects, view => {
    const { id, ordinal, address, witness = false } = member
    if (view.members.some(other => isSame(other, member))) return undefined
    const others = view.members.filter(other => other.id !== id)
    const holder = [...others, ...view.past].find(other => other.ordinal === ordinal)
    if (holder !== undefined && holder.id !== id)
      throw new GcacheError('CONFIG', `ordinal ${ordinal} is, or was, that of ${holder.id}`)
    const before = [...view.members, ...view.past].find(other => other.id === id)
    if (before !== undefined && before.ordinal !== ordinal)
      throw new GcacheError('CONFIG', `${id} has ordinal ${before.ordinal} for all time`)
    if (view.members.length !== others.length)
      throw new GcacheError('CONFIG', `${id} is a member already: let it leave first`)
    checkAddress(s, others, address)
    const newcomer = { id, ordinal, address, ...(witness ? { witness } : {}), learner: true }
    checkMembers(s.settings, votersOf([...others, { ...newcomer, learner: false }]))
    const past = view.past.filter(other => other.id !== id)
    return { number: view.number + 1, members: sorted([...others, newcomer]), past }
  })
}

/** CONFIG for an address that another member has, or that its transport does not dial. */
function checkAddress(s: GroupState, others: readonly Member[], address: string): void {
  const taken = others.find(other => mayBeSame(other.address, address))
  if (taken !== undefined)
    throw new GcacheError('CONFIG', `${address} is the address of ${taken.id} already`)
  const scheme = schemeOf(s.self.address)
  if (schemeOf(address) !== scheme)
    throw new GcacheError('CONFIG', `${address} is not dialled here: write it as ${scheme}...`)
}

/** With the two slashes; '' for an address without one. */
function schemeOf(address: string): string {
  return /^[^/:]+:\/\//.exec(address)?.[0].toLowerCase() ?? ''
}

function isSame(a: Member, b: Member): boolean {
  const { id, ordinal, address, witness = false } = a
  const same = id === b.id && ordinal === b.ordinal && address === b.address
  return same && witness === (b.witness ?? false)
}

export function onLeave(s: GroupState, effects: Sink, { peer: id = '' }: Admin): void {
  change(s, effects, view => {
    if (view.past.some(other => other.id === id)) return undefined
    const leaving = view.members.find(member => member.id === id)
    if (leaving === undefined) throw new GcacheError('NOT_A_MEMBER', `${id} is no member`)
    const members = view.members.filter(member => member !== leaving)
    checkMembers(s.settings, votersOf(members))
    // Last: nobody hands over for a change that would be refused.
    if (id === s.env.self)
      throw new GcacheError('MEMBER_LEADS', `${id} is master: hand over before it leaves`)
    const past = [...view.past, { id, ordinal: leaving.ordinal }]
    return { number: view.number + 1, members, past }
  })
}

/** Every turn whose clock moved, on a master: a learner that has caught up becomes a voter. */
export function tickMembership(s: GroupState, effects: Sink): void {
  answer(s, effects)
  for (const peer of s.peers.values()) {
    if (!peer.learner || peer.left || !hasCaughtUp(s, peer)) continue
    if (mayNotChange(s) !== undefined) return
    const incarnation = peer.process
    const view = currentView(s)
    const members = view.members.map(member =>
      member.id === peer.id ? { ...member, learner: false, incarnation } : member,
    )
    append(s, effects, { ...view, number: view.number + 1, members })
    return
  }
}

function hasCaughtUp(s: GroupState, peer: Peer): boolean {
  if (peer.session === 0 || peer.process === '') return false
  if (peer.witness) return true
  const { progress } = peer
  return progress?.state === 'stream' && progress.inSync && s.next - progress.acked < NEAR_ENTRIES
}

/** Appends the view that `make` returns, undefined for done already, or refuses as it throws. */
function change(s: GroupState, effects: Sink, make: (view: View) => View | undefined): void {
  const why = mayNotChange(s)
  if (why !== undefined) return refuse(effects, why.code, why.message)
  const learner = [...s.peers.values()].find(peer => peer.learner && !peer.left)
  try {
    const view = make(currentView(s))
    if (view === undefined) return whenCommitted(s, effects)
    if (learner !== undefined && view.members.some(member => member.id === learner.id))
      throw new GcacheError('BUSY', `${learner.id} is joining: one change at a time`)
    if (!hasMajority(s, view)) {
      const text = 'more than half of the voters must answer before one side decides who they are'
      throw new GcacheError('NO_MAJORITY', text)
    }
    append(s, effects, view)
  } catch (error) {
    if (!(error instanceof GcacheError)) throw error
    return refuse(effects, error.code, error.message)
  }
  whenCommitted(s, effects)
}

/** In profile ordinal either side of a split may write, and only one may say who is a member. */
function hasMajority(s: GroupState, view: View): boolean {
  if (s.commitsLate || leadsByCopies(s)) return true
  // Of those before the change as well: half of four are two of three.
  return [currentView(s), view].every(each => mostAnswer(s, each))
}

function mostAnswer(s: GroupState, view: View): boolean {
  const voters = votersOf(view.members)
  const heard = voters.filter(({ id }) => {
    const peer = s.peers.get(id)
    if (peer === undefined || !counts(s, peer)) return id === s.env.self
    return peer.session !== 0 && s.now - peer.heardAt <= s.settings.suspectAfterMs
  })
  return heard.length >= majorityOf(voters.length)
}

/**
 * The master's, in profile ordinal: a view is settled once most voters hold it, of those before it
 * as well; or all that may lead next, where leases go by copies. Until then nobody acts on who
 * left: a master that was cut off just now may have let go whom the other side follows, and must
 * find it again. Slaves learn it with the next entry.
 */
export function settleView(s: GroupState, effects: Sink): void {
  const open = openView(s)
  if (open !== undefined) {
    const views = [viewReplacedBy(s, open), open.view]
    const isSettled = leadsByCopies(s)
      ? heldByHeirs(s) > open.first
      : views.every(view => mostHold(s, view, open.first))
    if (!isSettled) return
    s.settled = s.next
    appendNoop(s, effects)
  }
  s.settled = s.next
}

function mostHold(s: GroupState, view: View, at: Offset): boolean {
  const voters = votersOf(view.members)
  const holding = voters.filter(({ id }) => {
    const peer = s.peers.get(id)
    return peer === undefined ? id === s.env.self : (heldBy(peer) ?? 0) > at
  })
  return holding.length >= majorityOf(voters.length)
}

/** Why no view may be appended now. */
function mayNotChange(s: GroupState): GcacheError | undefined {
  const { self } = s.env
  if (s.role !== 'master') return new GcacheError('NOT_MASTER', `${s.master ?? 'nobody'} is master`)
  // Where all must hold a view no two can be chosen at once, and the dead must be let go.
  const settled = s.settings.profile === 'strict' || (s.serving && ownEpochCommitted(s))
  if (!settled || s.doubtAt > 0 || liveSlaves(s) < s.slavesToWriteMin)
    return new GcacheError('NOT_READY', `${self} may not write just now`)
  if (openView(s) !== undefined || s.handover !== undefined)
    return new GcacheError('BUSY', 'another change is under way')
  return undefined
}

function append(s: GroupState, effects: Sink, view: View): void {
  appendOwn(s, effects, encodeView(view))
  feedWitnesses(s, effects)
  settle(s, effects)
}

function whenCommitted(s: GroupState, effects: Sink): void {
  s.asked = true
  answer(s, effects)
}

function answer(s: GroupState, effects: Sink): void {
  if (!s.asked || openView(s) !== undefined || !inSyncHold(s)) return
  s.asked = false
  const { number, members } = currentView(s)
  effects.report('members', { state: 'done', view: number, members })
}

/** In profile ordinal one log commits: the answer waits for those that may lead next. */
function inSyncHold(s: GroupState): boolean {
  const { first } = s.views[s.views.length - 1]
  for (const peer of s.peers.values())
    if (counts(s, peer) && peer.progress?.inSync && peer.progress.acked <= first) return false
  return true
}

/** This node is master no longer: whether the change survives is the next one's to say. */
export function refuseAsked(s: GroupState, effects: Sink): void {
  if (!s.asked) return
  s.asked = false
  refuse(effects, 'NOT_MASTER', `${s.env.self} leads no more: ask again`)
}

function refuse(effects: Sink, code: ErrorCode, message: string): void {
  effects.report('members', { state: 'refused', code, message })
}

function votersOf(members: readonly Member[]): Member[] {
  return members.filter(member => !member.learner)
}

function sorted(members: readonly ViewMember[]): ViewMember[] {
  return [...members].sort((a, b) => a.ordinal - b.ordinal)
}

export function isPast(s: GroupState, id: PeerId): boolean {
  return currentView(s).past.some(other => other.id === id)
}
