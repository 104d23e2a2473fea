/**
 * Who belongs to the cluster: the configuration, then each view entry of the log, the newest one
 * in force as soon as it is appended and until it is truncated. A view differs from the one before
 * it in one voter, so quorums of both meet (Ongaro, Consensus: Bridging Theory and Practice, 4.1):
 *
 *   entries below it    commit as the view before it says, or beneath it
 *   the view itself     commits once the smaller of both sets of voters holds it as it must
 *   the next view       waits for that, and for an entry of the master's own epoch
 *
 * Who joins is a learner first. The view that makes it a voter names its process: one that never
 * forgot anything counts at once, so that a master that dies just then leaves no voter that none
 * may ask. A data node that came back without memory is named as well (admission.ts): from there
 * on no other process of that node counts, such as one that was stopped, replaced, and wakes.
 */
import type { Epoch, Member, Offset, PeerId } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { reachedBy } from '../../src/core/majority.js'
import { bareMember } from '../../src/wire/admin.js'
import { decodeView, encodeView, type View, type ViewMember } from '../../src/wire/view.js'
import { stopCopy } from './copy.js'
import type { Message } from './messages.js'
import { isOfHistory } from './owed.js'
import { type Quorum, quorumOf } from './quorum.js'
import { GROUP, type GroupState, type Peer, type Sink } from './state.js'

/** `first`: the offset of its entry; 0: it was not in this log. */
export interface ViewStart {
  readonly first: Offset
  /** Of its entry; undefined: it was not in this log. */
  readonly epoch?: Epoch
  readonly view: View
  /** It names processes, and changes nothing else: the voters are those of the view before it. */
  readonly renames?: boolean
  /** Where each process that it names was named first, as far as this log saw it. Views are
   *  forgotten once a later one is settled; this is not (seed 1607). */
  readonly names?: ReadonlyMap<PeerId, NameStart>
}

/** The offset of the view that named a process, and the epoch of that entry. */
interface NameStart {
  readonly first: Offset
  readonly epoch: Epoch
}

/** Who left is fed for so long after that is committed, so that it learns of it. */
const FAREWELL_MS = 300

export function currentView(s: GroupState): View {
  return s.views[s.views.length - 1].view
}

/** The newest view that no later log will lack. Of those above it, each deposed master may have
 *  its own, and any number of them: theirs are not compared. */
export function committedView(s: GroupState): View {
  return newestBelow(s, s.commit)
}

/** As committedView(), but in profile ordinal the newest that is in most logs. */
export function settledView(s: GroupState): View {
  return newestBelow(s, settledTo(s))
}

function newestBelow({ views }: GroupState, to: Offset): View {
  for (let i = views.length - 1; i > 0; i--) if (views[i].first < to) return views[i].view
  return views[0].view
}

/** The newest view that changes who belongs, while it may still be truncated. */
export function openView(s: GroupState): ViewStart | undefined {
  const last = s.views.findLast(({ renames }) => !renames)
  return last !== undefined && last.first >= settledTo(s) ? last : undefined
}

/** Views below it stay. In profile ordinal one log commits, which says nothing about the others. */
function settledTo(s: GroupState): Offset {
  return s.commitsLate ? s.commit : s.settled
}

/** The view that `open` replaces. */
export function viewReplacedBy(s: GroupState, open: ViewStart): View {
  return s.views[Math.max(0, s.views.indexOf(open) - 1)].view
}

/** `view` was just appended at `first`. */
export function pushView(s: GroupState, effects: Sink, first: Offset, view: View): void {
  const bare = ({ members, past }: View) => JSON.stringify([members.map(bareMember), past])
  const renames = bare(view) === bare(currentView(s))
  const names = namesIn(s, view, first)
  s.views.push({ first, epoch: s.lastEpoch, view, renames, names })
  adoptView(s, effects)
}

function namesIn(s: GroupState, view: View, first: Offset): Map<PeerId, NameStart> {
  const before = s.views[s.views.length - 1]
  const names = new Map<PeerId, NameStart>()
  for (const { id, incarnation } of view.members) {
    if (incarnation === undefined) continue
    const known = before.names?.get(id)
    const stood = before.view.members.some(one => one.id === id && one.incarnation === incarnation)
    if (!stood) names.set(id, { first, epoch: s.lastEpoch })
    else if (known !== undefined) names.set(id, known)
  }
  return names
}

/** Where the process that the view in force names for `peer` was named first; undefined: before
 *  this log began. */
export function nameStart(s: GroupState, peer: Peer): NameStart | undefined {
  return s.views[s.views.length - 1].names?.get(peer.id)
}

function isSame(a: View, b: View): boolean {
  return Buffer.compare(encodeView(a), encodeView(b)) === 0
}

/** N, W, P and R of a view. */
export function quorumIn(s: GroupState, view: View): Quorum {
  const voters = view.members.filter(member => !member.learner)
  const witnesses = voters.filter(member => member.witness).length
  return quorumOf(s.settings.profile, voters.length - witnesses, witnesses)
}

export function isVoterIn(view: View, id: string): boolean {
  return view.members.some(member => member.id === id && !member.learner)
}

/** After `s.views` changed: peers come, change and go; the engine is told. */
export function adoptView(s: GroupState, effects: Sink): void {
  const { voter } = s
  applyView(s)
  sayMembers(s, effects)
  // Others go by what this process said of itself before it knew.
  if (voter && !s.voter) s.tell(effects)
}

/**
 * A log that begins in the middle knows no view but the one of its copy. Where entries count late
 * that one is committed; in profile ordinal nothing says yet that most logs hold it.
 */
export function rebaseView(s: GroupState, effects: Sink, view: View): void {
  const same = isSame(view, currentView(s))
  s.views = [{ first: s.commitsLate ? 0 : s.next - 1, view }]
  if (!same) adoptView(s, effects)
}

export function applyView(s: GroupState): void {
  const view = currentView(s)
  const told = newerTold(s)
  s.quorum = quorumIn(s, view)
  s.isMember = false
  for (const peer of s.peers.values()) peer.left = true
  for (const member of told?.members ?? []) meet(s, { ...bareMember(member), learner: true })
  for (const member of view.members) meet(s, member)
  if (told === undefined || told.number <= view.number) return
  // It is committed: this process will not count again before a newer one names it.
  const named = told.members.find(({ id }) => id === s.env.self)?.incarnation
  if (named !== undefined && named !== s.env.incarnation) s.voter = false
}

function meet(s: GroupState, member: ViewMember): void {
  if (member.id === s.env.self) {
    s.self = member
    s.isMember = true
    if (isAnother(s)) s.voter = false
    else if (member.incarnation === s.env.incarnation && !member.amnesiac) s.voter = true
    return
  }
  const known = s.peers.get(member.id)
  if (known === undefined) s.peers.set(member.id, newPeer(member))
  else Object.assign(known, factsOf(member), { left: false, stranger: false })
}

function factsOf(member: ViewMember) {
  const { ordinal, address, witness = false, learner = false } = member
  const { incarnation = '', amnesiac = false } = member
  return { ordinal, address, witness, learner, incarnation, amnesiac }
}

/** What others said, while this log does not say it yet: whom to link with, and nothing more. */
function newerTold(s: GroupState): View | undefined {
  if (s.told === undefined) return undefined
  const newer = s.told.view.number > committedView(s).number || isOfHigherSide(s, s.told.epoch)
  return newer ? s.told.view : undefined
}

/** In profile ordinal two sides may change their members apart, and the higher epoch wins: its view
 *  says whom to join, whatever number the other side has come to (seed 102 of style membership). */
function isOfHigherSide(s: GroupState, epoch: Epoch): boolean {
  return !s.commitsLate && compareEpochs(epoch, s.epoch) > 0
}

/** Tells the engine whom to link with: who left stays linked until it has heard so. */
function sayMembers(s: GroupState, effects: Sink): void {
  const members: Member[] = s.isMember ? [bareMember(s.self)] : []
  for (const peer of s.peers.values()) members.push(bareMember(peer))
  members.sort((a, b) => a.ordinal - b.ordinal)
  effects.view(GROUP, currentView(s).number, members)
}

/** A witness has no log that tells it, and one that knows old members may not find the master. */
export function tellView(s: GroupState, effects: Sink, peer: Peer): void {
  // One that may yet be truncated would never be taken back (strict, seed 9 of style membership).
  const view = committedView(s)
  const { epoch, history } = s
  if (s.data !== 'ready' || peer.said === undefined) return
  const { said } = peer
  const deposed = !s.commitsLate && said.view !== 0 && compareEpochs(said.epoch, epoch) < 0
  if (said.view >= view.number && !deposed) return
  effects.send(peer.id, { type: 'members', epoch, history, view: encodeView(view) })
}

/** An empty node may have an old list of members: whoever holds data and dials it knows better. */
export function welcomesStrangers(s: GroupState): boolean {
  return s.data === 'empty' && s.role === 'slave'
}

/** Whom to link with until the own log says it: its older views must not end the very links that
 *  bring the newer ones. */
export function onMembers(
  s: GroupState,
  effects: Sink,
  m: Extract<Message, { type: 'members' }>,
): void {
  const view = decodeView(m.view)
  if (isOfHistory(s) && m.history !== s.history) return
  // In profile ordinal, of a side that this master's epoch deposes: what its own log does not say
  // is lost with it. A member of that view stood in the status for ever, as a learner (seed 6357).
  // Where entries count late such a view is committed, and wins (strict, seed 1950).
  if (!s.commitsLate && s.role === 'master' && compareEpochs(m.epoch, s.epoch) < 0) return
  if (!isNewer(s, m.epoch, view) || s.views.some(known => isSame(known.view, view))) return
  s.told = { epoch: m.epoch, view }
  adoptView(s, effects)
}

function isNewer(s: GroupState, epoch: Epoch, { number }: View): boolean {
  const { told } = s
  if (isOfHigherSide(s, epoch)) {
    const higher = told === undefined ? 1 : compareEpochs(epoch, told.epoch)
    return higher > 0 || (higher === 0 && number > (told?.view.number ?? 0))
  }
  return number > Math.max(committedView(s).number, told?.view.number ?? 0)
}

/** This log has all that there is in its epoch: what was told of that or of an earlier one, and the
 *  log does not say, was lost with a deposed master. A deposed one knows nothing of a later one's
 *  (seed 74 of style membership). */
export function dropTold(s: GroupState, effects: Sink): void {
  if (s.told === undefined || compareEpochs(s.told.epoch, s.epoch) > 0) return
  const newer = newerTold(s) !== undefined
  s.told = undefined
  if (newer) adoptView(s, effects)
}

/** Every turn whose clock moved: who left is forgotten once that is committed and told. */
export function forgetLeft(s: GroupState, effects: Sink): void {
  if (openView(s) !== undefined) return
  let gone = false
  for (const peer of s.peers.values()) {
    if (!peer.left) peer.leftAt = 0
    else if (peer.leftAt === 0) peer.leftAt = s.now
    if (!peer.left || (s.now - peer.leftAt < FAREWELL_MS && peer.session !== 0)) continue
    stopCopy(s, effects, peer)
    s.peers.delete(peer.id)
    gone = true
  }
  const settled = s.views.findLastIndex(({ first }) => first < settledTo(s))
  if (settled > 0) {
    s.views.splice(0, settled)
    for (const peer of s.linked()) if (peer.witness) tellView(s, effects, peer)
  }
  if (gone) sayMembers(s, effects)
}

/** If a view was adopted meanwhile it was said among those to link with, and is not any more: else
 *  it would pass for linked here once it joins (partitioned, seed 12 of style membership). */
export function forgetStranger(s: GroupState, effects: Sink, peer: Peer): void {
  s.peers.delete(peer.id)
  if (peer.left) sayMembers(s, effects)
}

/** How far the log commits while `open` is not committed; see above. */
export function reachedToView(s: GroupState, open: ViewStart): Offset {
  const before = viewReplacedBy(s, open)
  const smaller = quorumIn(s, before).voters < s.quorum.voters ? before : open.view
  return reachedIn(s, smaller) > open.first
    ? Math.max(open.first + 1, reachedIn(s, open.view))
    : Math.min(reachedIn(s, before), open.first)
}

function reachedIn(s: GroupState, view: View): Offset {
  const isVoter = (peer: Peer) => isVoterIn(view, peer.id) && remembers(s, peer)
  return reachedAmong(s, quorumIn(s, view).copies, isVoter)
}

/** The entries below it are in the logs of `copies` of the voters, this node's among them. */
export function reachedAmong(
  s: GroupState,
  copies: number,
  isVoter: (peer: Peer) => boolean,
): Offset {
  const held: Offset[] = []
  for (const peer of s.peers.values()) {
    const at = isVoter(peer) ? heldBy(peer) : undefined
    if (at !== undefined) held.push(at)
  }
  return reachedBy(copies, s.next, held)
}

/** How far a peer's log surely goes; undefined while that says nothing. */
export function heldBy(peer: Peer): Offset | undefined {
  if (peer.witness) return peer.headed
  if (peer.progress === undefined || peer.progress.state === 'copy') return undefined
  return peer.progress.acked
}

/** Its process has forgotten nothing, or what it had forgotten was proved to lie elsewhere: it says
 *  so, or the view does. */
export function remembers(s: GroupState, peer: Peer): boolean {
  if (isReplaced(s, peer)) return false
  if (peer.voter) return true
  return peer.incarnation !== '' && !peer.amnesiac && peer.process === peer.incarnation
}

/**
 * Another process of this node votes, or none: its word is one of before. A witness remembers from
 * process to process what its note holds; in profile ordinal no vote counts, and none is named when
 * it comes back.
 */
export function isReplaced(s: GroupState, peer: Peer): boolean {
  if (!s.commitsLate || peer.witness || peer.incarnation === '') return false
  return peer.process !== peer.incarnation
}

/** The view names another process of this node than this one. */
export function isAnother({ self, env }: GroupState): boolean {
  return self.incarnation !== undefined && self.incarnation !== env.incarnation
}

/** It counts for nothing, and says who the members are. */
export function newStranger(id: PeerId): Peer {
  return { ...newPeer({ id, ordinal: 255, address: '', learner: true }), stranger: true }
}

export function newPeer(member: ViewMember): Peer {
  return {
    id: member.id,
    ...factsOf(member),
    stranger: false,
    left: false,
    leftAt: 0,
    session: 0,
    congested: false,
    frameAt: Number.NEGATIVE_INFINITY,
    heardAt: Number.NEGATIVE_INFINITY,
    gone: false,
    said: undefined,
    unsaidAt: 0,
    process: '',
    voter: false,
    progress: undefined,
    copyAfter: 0,
    copiesFailed: 0,
    headed: 0,
    stated: undefined,
    echo: 0,
    askFrom: 0,
    admitFrom: 0,
    admitSentAt: Number.NEGATIVE_INFINITY,
  }
}
