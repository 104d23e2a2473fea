/**
 * Mastership by a lease, where the option `election` is given: whoever would begin a candidacy or a
 * history holds the lease first, leads an epoch by its counter, and is master no longer when it
 * ends. Who holds what, and what an acknowledgement is worth, stays as it is without a lease.
 *
 *   slave --suspects--> wants it --granted--> candidate --> master --untilMs--> slave
 *            ^              | heard a master, or wants it no more: lets it go      |
 *            +--------------+<-----------------------------------------------------+
 */
import type { Heirs } from '../../src/contracts/election.js'
import type { Input } from '../../src/contracts/strategy.js'
import type { Epoch, Offset, PeerId } from '../../src/contracts/types.js'
import { mintEpoch } from '../../src/core/epochs.js'
import { areSameHeirs } from '../../src/core/lease.js'
import { settle, stepDown } from './master.js'
import { giveUp, type Purpose, startPromotion } from './promotion.js'
import { counts } from './quorum.js'
import { orphan } from './slave.js'
import type { GroupState, Peer, Sink } from './state.js'
import { heldBy, settledView } from './views.js'

export interface Leasehold {
  /** One with a counter above it is asked for, said last at `wantedAt`; undefined: none is. */
  above: number | undefined
  wantedAt: number
  /** Those that were said last. */
  heirs: Heirs | undefined
  counter: number
  askedMs: number
  /** -Infinity: none is held. */
  untilMs: number
  /** Those that whoever grants it goes by, or may by now: each of them may be the next master. */
  known: readonly PeerId[] | undefined
  /** Somebody asked this node to lead; it begins once it may. */
  pending: { readonly purpose: Purpose; readonly until: number } | undefined
}

/** Who has not said for so long that it wants the lease lets it go. */
const WANTED_MS = 100
const FORCED_MS = 10_000
/** A node that was asked to lead wants the lease for so long. */
const PENDING_MS = 1_000

export function newLeasehold(): Leasehold {
  return {
    above: undefined,
    wantedAt: 0,
    heirs: undefined,
    counter: 0,
    askedMs: Number.NEGATIVE_INFINITY,
    untilMs: Number.NEGATIVE_INFINITY,
    known: undefined,
    pending: undefined,
  }
}

/** May this node lead, as far as leases go? By its last tick. */
export function holdsLease({ lease, now }: GroupState): boolean {
  return lease === undefined || now < lease.untilMs
}

/** True if an epoch may begin now; else the lease is asked for, again at each call. */
export function mayBegin(s: GroupState, effects: Sink): boolean {
  const { lease } = s
  if (lease === undefined) return true
  const above = Math.floor(s.seen.number / 256)
  lease.wantedAt = Math.max(lease.wantedAt, s.now)
  wantAbove(s, effects, lease, above)
  return holdsLease(s) && lease.counter > above
}

function wantAbove(s: GroupState, effects: Sink, lease: Leasehold, above: number): void {
  if (leadsByCopies(s) && lease.above === above && isSaidInSync(s, lease.heirs)) return
  const heirs = heirsOf(s, lease)
  if (lease.above === above && areSameHeirs(heirs, lease.heirs)) return
  lease.above = above
  lease.heirs = heirs
  effects.lease(above, heirs)
}

/**
 * Who belongs: who is let go belongs until most logs say so, and who is taken in from the first
 * word on. One that was let go while nobody could tell it, and that reaches whoever grants leases,
 * would lead those who know no better, and acknowledge (seed 29 of profile lease).
 */
function heirsOf(s: GroupState, lease: Leasehold): Heirs | undefined {
  // Half a copy knows no members yet. Forced: the operator knows better, and says so for a while,
  // which is over once it leads.
  const forced = lease.wantedAt > s.now && s.role !== 'master'
  if (s.data !== 'ready' || forced) return undefined
  if (leadsByCopies(s)) return { history: s.history, ids: inSyncIds(s) }
  const settled = settledView(s)
  const since = s.views.slice(s.views.findIndex(({ view }) => view === settled))
  const ids = new Set(since.flatMap(({ view }) => view.members.map(({ id }) => id)))
  return { history: s.history, ids: [...ids].sort() }
}

/** True where only a log that holds all that was acknowledged may be granted a lease. */
export function leadsByCopies(s: GroupState): boolean {
  return s.settings.election?.heirs === 'in-sync'
}

export function inSyncIds(s: GroupState): PeerId[] {
  const ids = [s.env.self]
  for (const peer of s.peers.values())
    if (peer.progress?.inSync && counts(s, peer)) ids.push(peer.id)
  return ids.sort()
}

/** As inSyncIds() would say; without a list, for every tick of many groups. */
function isSaidInSync(s: GroupState, heirs: Heirs | undefined): boolean {
  if (heirs === undefined || heirs.history !== s.history) return false
  let count = 1
  for (const peer of s.peers.values()) {
    if (!peer.progress?.inSync || !counts(s, peer)) continue
    if (!heirs.ids.includes(peer.id)) return false
    count++
  }
  return count === heirs.ids.length
}

/**
 * What all that may be the next master hold, where that is decided by copies: entries below it.
 * Nothing, while nobody has said who they are.
 */
export function heldByHeirs(s: GroupState): Offset {
  const known = s.lease?.known
  if (known === undefined) return 0
  let held = s.next
  for (const id of known) {
    if (id === s.env.self) continue
    const peer = s.peers.get(id)
    held = Math.min(held, (peer === undefined ? 0 : heldBy(peer)) ?? 0)
  }
  return held
}

/** As mayBegin(), for who was asked to lead: it begins by itself once it may. */
export function mayPromote(s: GroupState, effects: Sink, purpose: Purpose): boolean {
  const may = mayBegin(s, effects)
  if (s.lease === undefined) return true
  // A hunt asks again by itself, for as long as it lasts.
  const lasts = !may && s.hunt === undefined
  s.lease.pending = lasts
    ? { purpose, until: s.lease.pending?.until ?? s.now + PENDING_MS }
    : undefined
  return may
}

/** An epoch of this node, above all that it has seen: by the lease's counter, which nobody else
 *  has, or the next one. */
export function ownEpoch(s: GroupState): Epoch {
  const { ordinal } = s.self
  const { incarnation } = s.env
  if (s.lease === undefined) return mintEpoch(s.seen, ordinal, incarnation)
  return { number: s.lease.counter * 256 + ordinal, incarnation }
}

/** An operator will ask again: it is kept until then, even by a node that was let go. */
export function mayForce(s: GroupState, effects: Sink): boolean {
  if (s.lease !== undefined) s.lease.wantedAt = s.now + FORCED_MS
  return mayBegin(s, effects)
}

/** It is not held any more, whatever still arrives. */
export function letGo(s: GroupState, effects: Sink): void {
  const { lease } = s
  if (lease === undefined) return
  lease.pending = undefined
  lease.untilMs = Number.NEGATIVE_INFINITY
  if (lease.above === undefined) return
  lease.above = undefined
  effects.lease(undefined)
}

export function onLease(
  s: GroupState,
  effects: Sink,
  { counter, askedMs, untilMs, heirs }: Extract<Input<never>, { kind: 'lease' }>,
): void {
  const { lease } = s
  // Let go meanwhile: it is nobody's here.
  if (lease === undefined || lease.above === undefined) return
  lease.counter = counter
  lease.askedMs = askedMs
  lease.untilMs = counter === 0 ? Number.NEGATIVE_INFINITY : untilMs
  lease.known = heirs
  tickLease(s, effects)
  if (s.role === 'master') settle(s, effects)
}

/** Every turn whose clock moved, before anything else is done; and when there is news of it. */
export function tickLease(s: GroupState, effects: Sink): void {
  const { lease } = s
  if (lease === undefined) return
  if (!holdsLease(s)) {
    // A master that gives its place away has let it go itself, and only waits for the other one.
    if (s.role === 'master' && s.handover?.phase !== 'sent') demote(s, effects)
    else if (s.role === 'candidate') giveUp(s)
  }
  const { pending } = lease
  if (pending !== undefined && s.role !== 'candidate') {
    if (s.now >= pending.until) lease.pending = undefined
    else startPromotion(s, effects, pending.purpose)
  }
  if (s.role !== 'slave') {
    lease.wantedAt = Math.max(lease.wantedAt, s.now)
    if (lease.above !== undefined) wantAbove(s, effects, lease, lease.above)
  } else if (s.now - lease.wantedAt > WANTED_MS) letGo(s, effects)
}

/** The lease has ended: somebody else may lead from now on. */
function demote(s: GroupState, effects: Sink): void {
  const { epoch } = s
  stepDown(s, effects)
  orphan(s, effects)
  effects.report('lease', { state: 'ended', epoch: epoch.number }, 'warn')
  s.tell(effects)
}

/**
 * A slave that is silent is waited for until the lease was prolonged well after its last word: a
 * master that is cut off from everybody at once then acknowledges nothing alone before it ends.
 * Where leases go by copies the ack itself waits for each heir (heldByHeirs).
 */
export function mayMiss(s: GroupState, peer: Peer): boolean {
  if (s.lease === undefined || leadsByCopies(s)) return true
  return s.lease.askedMs >= peer.heardAt + s.settings.heardWithinMs
}
