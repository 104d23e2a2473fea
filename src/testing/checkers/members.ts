/**
 * I24: who belongs to a cluster is changed one voter at a time, and by a master that may. Judged
 * when a master appends a view, from facts: the log before it, who holds that, who could be heard.
 *
 *   one      its voters differ from those of the view before it by one at most
 *   held     where entries count late W logs hold the view before it and, in profile majority, an
 *            entry of the master's own epoch: else two masters change different ones of the same
 *            voters, and the quorums of both do not meet (Ongaro, raft-dev, July 2015)
 *   half     in profile ordinal more than half of the voters, before and after, may have been heard
 *            lately: else both sides of a split leave each other out
 */
import type { Batch, Member, PeerId } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import { majorityOf } from '../../core/majority.js'
import { bareMember } from '../../wire/admin.js'
import { type View, viewOf } from '../../wire/view.js'
import type { Life } from '../life.js'
import { contains, type LogPoint } from '../lineage.js'
import type { Checker, World } from './checker.js'

/** Who said nothing for so long cannot count as heard: 1 s by a slow clock, and what was on its way
 *  in a clogged link or waited in a stopped process. */
const UNHEARD_MS = 3_500

interface Rules {
  readonly profile: 'ordinal' | 'strict' | 'majority'
  /** View 0. */
  readonly founders: readonly Member[]
}

interface Placed {
  readonly view: View
  /** Its batch; undefined: the configuration. */
  readonly point: LogPoint | undefined
}

export function membersChangeByRule(world: World, { profile, founders }: Rules): Checker {
  const configured: View = { number: 0, members: founders, past: [] }

  /** Who belongs by the log `tip`, and the view that said so first: later ones name processes. */
  function newestIn(tip: LogPoint | undefined): Placed {
    let found: Placed | undefined
    for (let point = tip; point?.batch !== undefined; point = point.parent) {
      const view = viewOf(point.batch)
      if (view === undefined) continue
      if (found !== undefined && !haveSameMembers(found.view, view)) return found
      found = { view, point }
    }
    if (found === undefined || haveSameMembers(found.view, configured))
      return { view: configured, point: undefined }
    return found
  }

  function checkHeld(life: Life, batch: Batch, before: LogPoint, last: Placed): void {
    const older = newestIn(last.point?.parent).view
    const witnesses = last.view.members.filter(({ witness }) => witness).length
    const voters = Math.min(votersOf(last.view).length, votersOf(older).length)
    const copies = profile === 'strict' ? voters : majorityOf(voters)
    const counted = [...votersOf(last.view), ...votersOf(older)]
    const isHeld = (point: LogPoint) => holders(world, point, counted) + witnesses >= copies
    if (last.point !== undefined && !isHeld(last.point))
      fail(life, batch, `before ${copies} logs held the one before it`)
    if (profile === 'strict') return
    const first = firstOf(before, batch)
    if (first === undefined || !isHeld(first))
      fail(life, batch, `before ${copies} logs held an entry of its epoch`)
  }

  function checkHalf(life: Life, batch: Batch, last: View, view: View): void {
    for (const voters of [votersOf(last), votersOf(view)]) {
      const silent = voters.filter(id => id !== life.node && silentFor(world, life, id))
      if (voters.length - silent.length < majorityOf(voters.length))
        fail(life, batch, `though ${silent} of ${voters} had not been heard for ${UNHEARD_MS} ms`)
    }
  }

  function fail(life: Life, batch: Batch, why: string): never {
    world.fail('I24', `${life} appended view ${viewOf(batch)?.number} at ${batch.first}, ${why}`)
  }

  return {
    name: 'members change by rule',
    onAppend(life, batch, before) {
      const view = viewOf(batch)
      if (view === undefined || life.leads === undefined) return
      if (compareEpochs(batch.epoch, life.leads) !== 0) return
      const last = newestIn(before)
      if (haveSameMembers(last.view, view)) return
      const changed = difference(votersOf(last.view), votersOf(view))
      if (changed.length > 1) fail(life, batch, `which changes ${changed}`)
      if (profile !== 'ordinal') checkHeld(life, batch, before, last)
      // A learner that has caught up was joined by more than half already.
      else if (view.members.length !== last.view.members.length)
        checkHalf(life, batch, last.view, view)
    },
  }
}

/** One of them only names processes of the other's members. */
function haveSameMembers(a: View, b: View): boolean {
  const bare = ({ members }: View) => JSON.stringify(members.map(bareMember))
  return bare(a) === bare(b)
}

function votersOf(view: View): PeerId[] {
  return view.members.filter(({ learner }) => !learner).map(({ id }) => id)
}

function difference(a: readonly PeerId[], b: readonly PeerId[]): PeerId[] {
  return [...a.filter(id => !b.includes(id)), ...b.filter(id => !a.includes(id))]
}

/** The first batch of the epoch of `batch` in the log `tip`. */
function firstOf(tip: LogPoint, { epoch }: Batch): LogPoint | undefined {
  let first: LogPoint | undefined
  for (let point: LogPoint | undefined = tip; point?.batch !== undefined; point = point.parent) {
    if (compareEpochs(point.batch.epoch, epoch) !== 0) break
    first = point
  }
  return first
}

function holders(world: World, point: LogPoint, voters: readonly PeerId[]): number {
  const nodes = new Set<PeerId>()
  for (const life of world.lives())
    if (voters.includes(life.node) && (contains(life.tip, point) || life.everHeld(point)))
      nodes.add(life.node)
  return nodes.size
}

function silentFor(world: World, life: Life, id: PeerId): boolean {
  const since = world.now() - UNHEARD_MS
  // What waited while this process was stopped was heard late.
  return (
    !world.disturbances.stopped(life.node, since, world.now()) &&
    world.apartMs(life.node, id) > UNHEARD_MS
  )
}
