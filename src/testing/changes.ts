/**
 * Nodes that join, leave and join again at random times. Newcomers are made up as they are needed;
 * who has left goes on for a while, as a process that nobody stopped would. Whoever thinks that it
 * leads is asked, on either side of a split and before it serves: an operator knows no better, and
 * goes by what he was answered.
 */
import type { StrategyStatus } from '../contracts/strategy.js'
import type { Member, PeerId } from '../contracts/types.js'
import { isBetterLog, NO_EPOCH } from '../core/epochs.js'
import type { SeededRandom } from '../core/prng.js'
import { viewOf } from '../wire/view.js'
import type { Checker } from './checkers/checker.js'
import type { SimulatedCluster } from './cluster.js'
import type { Life } from './life.js'
import type { LogPoint } from './lineage.js'
import type { SimulatedNode } from './simulated-node.js'

/** Nodes that are added to a cluster in one run. */
const ADDED_MAX = 6
/** Data nodes at once. */
const NODES_MAX = 6
/** Voters that are left at least, founders or not; with one there would be nothing to agree on. */
const VOTERS_MIN = 2
/** Some ask as soon as they hear that somebody leads, which may be before it has written a word. */
const HASTY_CHANCE = 0.2
const HASTY_MS = 6
/** All members are there and agree so long after the last change. */
const SETTLED_MS = 30_000
/** So long after heal who is in order has found the others, ms. */
const WON_MS = 10_000

export class Changes implements Checker {
  readonly name = 'an operator remembers what was answered'
  readonly #cluster: SimulatedCluster
  readonly #random: SeededRandom
  /** Of the newest change that was said to be done. */
  #done: { readonly view: number; readonly members: readonly Member[] }
  #added = 0
  #over = false

  constructor(cluster: SimulatedCluster, random: SeededRandom) {
    this.#cluster = cluster
    this.#random = random
    this.#done = { view: 0, members: [...cluster.members] }
  }

  onReport(_life: Life, event: string, fields: Readonly<Record<string, unknown>>): void {
    if (event !== 'members' || fields.state !== 'done') return
    const done = fields as unknown as { view: number; members: readonly Member[] }
    if (done.view > this.#done.view) this.#done = done
  }

  onPromotion({ node }: Life): void {
    if (this.#over || !this.#random.chance(HASTY_CHANCE)) return
    this.#cluster.clock.after(this.#random.next() * HASTY_MS, () => {
      const master = this.#cluster.node(node)
      if (!this.#over && mayBeAsked(master)) this.leave(master)
    })
  }

  /** Nobody asks any more. */
  stop(): void {
    this.#over = true
  }

  /** Whoever thinks that it leads. */
  #anyMaster(): SimulatedNode | undefined {
    const masters = this.#cluster.live().filter(mayBeAsked)
    return masters.length === 0 ? undefined : this.#random.pick(masters)
  }

  /** False if nobody may join now. */
  join(): boolean {
    const cluster = this.#cluster
    const master = this.#anyMaster()
    if (master === undefined) return false
    const members = master.status().members.map(({ id }) => id)
    if (members.length >= NODES_MAX) return false
    // Who was let go by a side that could not is a member yet, and may not be stopped for it.
    const known = [...members, ...this.#done.members.map(({ id }) => id)]
    const gone = cluster.members.filter(({ id }) => !known.includes(id))
    const again = gone.length > 0 && (this.#added >= ADDED_MAX || this.#random.chance(0.4))
    if (!again && this.#added >= ADDED_MAX) return false
    const member = again ? this.#random.pick(gone) : this.#newcomer(members)
    // A process that has left must end before its id comes again.
    if (again) cluster.crash(member.id)
    master.engine.feed({ kind: 'admin', command: 'join', group: 0, member })
    cluster.clock.after(this.#random.next() * 1_000, () => {
      if (this.prepare(member.id)) cluster.start(member.id)
    })
    return true
  }

  /** False if nobody may leave now. */
  leave(master = this.#anyMaster()): boolean {
    if (master === undefined) return false
    const { members } = master.status()
    const voters = members.filter(({ state }) => state !== 'left' && state !== 'learner')
    const others = voters.filter(({ id }) => id !== master.id)
    if (others.length < VOTERS_MIN) return false
    const peer = this.#random.pick(others).id
    master.engine.feed({ kind: 'admin', command: 'leave', group: 0, peer })
    return true
  }

  /** Whoever starts `id` again sees to it that its list names somebody who is there; false for one
   *  that has left, which nobody starts again. */
  prepare(id: PeerId): boolean {
    const cluster = this.#cluster
    if (!cluster.belongs(id)) return false
    const node = cluster.node(id)
    const there = cluster.live().filter(other => cluster.belongs(other.id))
    if (there.some(other => node.members.some(member => member.id === other.id))) return true
    node.members = cluster.members.filter(member => cluster.belongs(member.id))
    return true
  }

  #newcomer(members: readonly PeerId[]): Member {
    const cluster = this.#cluster
    this.#added++
    const ordinal = cluster.members.length
    const known = cluster.members.filter(({ id }) => members.includes(id))
    return cluster.add({ id: String.fromCharCode(97 + ordinal), ordinal }, known)
  }
}

function mayBeAsked({ awake, engine }: SimulatedNode): boolean {
  return awake && engine.standing.role === 'master'
}

/** False where a memory must not be lost: all others of the one view that all know vote. */
export function mayForgetAmidChanges(cluster: SimulatedCluster, id: PeerId): boolean {
  const master = cluster.master()
  if (master === undefined) return false
  const { members, view } = master.status()
  const ids = members.map(member => member.id)
  if (!ids.includes(id)) return true
  return ids.every(other => {
    const node = cluster.node(other)
    return node.votes && node.status().view === view && !node.paused
  })
}

/** A list of which nobody is left leads nowhere: the operator hands out a new one. */
function giveNewLists(cluster: SimulatedCluster): void {
  const knowing = cluster.live().filter(node => (node.status().view ?? 0) > 0)
  const belongs = knowing.filter(node => node.status().self.state !== 'left')
  const newest = belongs.sort((a, b) => (b.status().view ?? 0) - (a.status().view ?? 0))[0]
  if (newest === undefined) return
  const ids = newest.status().members.map(({ id }) => id)
  for (const id of ids) {
    const node = cluster.node(id)
    if (node.running && node.status().self.state !== 'empty') continue
    cluster.crash(id)
    node.members = cluster.members.filter(member => ids.includes(member.id))
    cluster.start(id)
  }
}

/** One let go that still ran has won it over: it is started anew, as master-slave/README.md says of
 *  strict (seed 59 of style membership). Whoever knows better holds everything. */
function restartWon(cluster: SimulatedCluster): void {
  const there = cluster.live().filter(({ id }) => cluster.belongs(id))
  const won = there.filter(node => node.status().self.state === 'left')
  const knows = there.some(node => node.votes && !won.includes(node))
  if (won.length !== 1 || !knows || won[0].status().profile !== 'strict') return
  cluster.crash(won[0].id)
  cluster.start(won[0].id)
}

/** Faults are over: who belongs to the cluster runs, and everybody agrees who that is. */
export function settleMembers(cluster: SimulatedCluster): PeerId[] {
  for (const { id } of cluster.members) cluster.resume(id)
  giveNewLists(cluster)
  const healedAt = cluster.now()
  const settled = () => {
    for (const node of cluster.live()) {
      if (node.status().self.state === 'left') continue
      for (const { id } of node.status().members) cluster.start(id)
    }
    // Who was let go unawares is to be stopped: under strict the rest may wait for that.
    for (const { id } of cluster.live()) if (!cluster.belongs(id)) cluster.crash(id)
    if (cluster.now() - healedAt > WON_MS) restartWon(cluster)
    const master = cluster.master()
    if (master === undefined) return false
    const { members, view } = master.status()
    return members.every(({ id, state }) => {
      const node = cluster.node(id)
      return state !== 'left' && node.running && node.votes && node.status().view === view
    })
  }
  if (!cluster.runUntil(settled, SETTLED_MS)) {
    const states = cluster
      .live()
      .map(node => `${node.id} ${node.status().self.state} in view ${node.status().view}`)
    const named = cluster
      .master()
      ?.status()
      .members.map(({ id }) => id)
    const who = `members ${named ?? '?'} do not settle ${SETTLED_MS} ms after heal`
    cluster.fail('I18', `${who}: ${states}`)
  }
  const ids = (cluster.master()?.status().members ?? []).map(({ id }) => id)
  for (const { id } of cluster.members) if (!ids.includes(id)) cluster.crash(id)
  return ids
}

/**
 * What says who belongs. In profile majority the best log: what a master wrote while it was cut off
 * is in force nowhere else. In ordinal, where anybody may lead alone, the highest view, but not of
 * one that is alone in it and looks for a master: that is what is left of a deposed side (seed 102
 * of style membership). Of two such the one that more hold: a master that was cut off just now made
 * the other by what it had heard before, and that is never settled (ordinal, seed 5918).
 */
export function newestView(nodes: readonly SimulatedNode[]): StrategyStatus | undefined {
  const views = nodes
    .filter(({ life }) => life.tip.batch !== undefined && !life.copying)
    .map(node => ({ tip: node.life.tip, status: node.status() }))
  const names = ({ view, members }: StrategyStatus) =>
    `${view} ${members.filter(({ state }) => state !== 'left').map(({ id }) => id)}`
  const holders = (status: StrategyStatus) =>
    views.filter(other => names(other.status) === names(status)).length
  const isLeft = (status: StrategyStatus) =>
    status.profile === 'ordinal' && status.master === undefined && holders(status) === 1
  views.sort((a, b) => {
    if (a.status.profile === 'majority')
      return Number(isBetter(b.tip, a.tip)) - Number(isBetter(a.tip, b.tip))
    const left = Number(isLeft(a.status)) - Number(isLeft(b.status))
    if (left !== 0) return left
    const newer = (b.status.view ?? 0) - (a.status.view ?? 0)
    return newer !== 0 ? newer : holders(b.status) - holders(a.status)
  })
  return views[0]?.status
}

function isBetter(a: LogPoint, b: LogPoint): boolean {
  return isBetterLog(a.batch?.epoch ?? NO_EPOCH, a.next, b.batch?.epoch ?? NO_EPOCH, b.next)
}

/** By the longest of the logs, as far as they are committed: one is the beginning of the other.
 *  `founders`: where no view is. */
export function committedMembers(
  nodes: readonly SimulatedNode[],
  founders: readonly Member[],
): readonly Member[] {
  const whole = nodes.filter(({ life, member }) => !life.copying && !member.witness)
  const [longest] = whole.sort((a, b) => b.applied() - a.applied())
  let point: LogPoint | undefined = longest?.life.pointOf(longest.applied() - 1)
  for (; point?.batch !== undefined; point = point.parent) {
    const view = viewOf(point.batch)
    if (view !== undefined) return view.members
  }
  return founders
}
