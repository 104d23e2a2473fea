/**
 * B8: nobody follows a clock that is surely wrong, and nobody refuses one that is right. What a
 * node lets in is stamped at most 4 s (two clocks 2 s off) above its own clock, or above that of
 * half of those which run, if it is the one behind; and nobody is called ahead who never was.
 */
import { BROADCAST } from '../../config.js'
import { stampMs } from '../../core/hybrid-clock.js'
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Life } from '../life.js'
import type { Watch } from './watch.js'

/** Clocks are looked at so far back: what was measured may be as old. */
const TICKS_KEPT = 100
const SLACK_MS = 200
const LET_IN_MS = 2 * BROADCAST.skewMs + SLACK_MS
/** Stamps may run ahead of the time by many writes in a ms. */
const TICK_MS = 100

export function clocksAreJudgedFairly(
  cluster: SimulatedCluster,
  watch: Watch,
  isSlow: boolean,
): Checker {
  const seen = new SeenClocks(cluster, isSlow)
  const times = new Map<Life, number>()
  const stamped = new Set<Life>()

  watch.onGiven.push((to, { stamp, life }, how) => {
    if (how === 'own' || life === to.life) return
    if (stampMs(stamp) <= seen.reference(to.life) + LET_IN_MS) return
    // A clock may have jumped since the last look.
    seen.note()
    const limit = seen.reference(to.life) + LET_IN_MS
    if (stampMs(stamp) > limit)
      cluster.fail(
        'B8',
        `${to.life} let in a stamp ${Math.round(stampMs(stamp) - limit)} ms too high`,
      )
  })

  function judgeTime(life: Life): void {
    const time = cluster.node(life.node).clusterTime()
    const before = times.get(life) ?? time
    times.set(life, time)
    // Who has stamped nothing may begin once more.
    if (time < before && stamped.has(life))
      cluster.fail('B8', `the time of ${life} fell by ${before - time} ms`)
    if (watch.writes.ofLife(life).size > 0) stamped.add(life)
    // Up to 10 % drift and 10 % slew, and a node that was stopped catches up.
    const rose = before !== 0 && time - before > 1.25 * TICK_MS + SLACK_MS
    const now = cluster.now()
    if (!rose || cluster.disturbances.stopped(life.node, now - 500, now)) return
    const aheadMs = time - seen.reference(life)
    if (aheadMs > LET_IN_MS)
      cluster.fail('B8', `${life} followed a clock ${Math.round(aheadMs)} ms ahead`)
  }

  function judgeAlarm(life: Life, { node, stamp }: { node: string; stamp?: number }): void {
    seen.note()
    if (stamp !== undefined) {
      if (stampMs(stamp) < cluster.node(life.node).wall() + 2 * BROADCAST.skewMs - SLACK_MS)
        cluster.fail('B8', `${life} refused an honest stamp of ${node}`)
      return
    }
    const others = cluster.members.filter(({ id }) => id !== node)
    const most =
      node === life.node
        ? Math.max(...others.map(({ id }) => seen.timeAheadMs(node, id)))
        : seen.aheadMs(node, life.node)
    if (most < BROADCAST.skewMs - SLACK_MS)
      cluster.fail('B8', `${life} called ${node} ahead, which was by ${Math.round(most)} ms`)
  }

  return {
    name: 'clocks are judged fairly',
    onStart: () => seen.note(),
    onHeal: () => seen.note(),
    onTick() {
      seen.note()
      for (const { life } of cluster.live()) judgeTime(life)
    },
    onReport(life, event, fields) {
      if (event === 'clock-skew') judgeAlarm(life, fields as { node: string; stamp?: number })
    },
  }
}

/** Where the clocks stood, from the true time: lately, and ever. */
class SeenClocks {
  readonly #cluster: SimulatedCluster
  readonly #isSlow: boolean
  readonly #highest = new Map<string, number>()
  readonly #lowest = new Map<string, number>()
  readonly #recent: Map<string, number>[] = []
  /** The higher one of clock and time: stamps are ahead for longer than the clock was. */
  readonly #recentTimes: Map<string, number>[] = []

  /** `isSlow`: frames are as old as the line is slow, and what they say is, too. */
  constructor(cluster: SimulatedCluster, isSlow: boolean) {
    this.#cluster = cluster
    this.#isSlow = isSlow
  }

  note(): void {
    const now = this.#cluster.now()
    const offsets = new Map<string, number>()
    const times = new Map<string, number>()
    for (const node of this.#cluster.live()) {
      const { id } = node
      const at = node.wall() - now
      offsets.set(id, at)
      times.set(id, Math.max(at, node.clusterTime() - now))
      this.#highest.set(id, Math.max(this.#highest.get(id) ?? at, at))
      this.#lowest.set(id, Math.min(this.#lowest.get(id) ?? at, at))
    }
    if (this.#recent.push(offsets) > TICKS_KEPT) this.#recent.shift()
    if (this.#recentTimes.push(times) > TICKS_KEPT) this.#recentTimes.shift()
  }

  /** By how much the clock of `a` was ahead of that of `b` lately, at most: both may have been set
   *  between the frame that was measured and now. */
  aheadMs(a: string, b: string): number {
    if (this.#isSlow) return (this.#highest.get(a) ?? 0) - (this.#lowest.get(b) ?? 0)
    return highestOf(this.#recent, a) - this.#lowestOf(b)
  }

  /** By how much the clock of `a`, or its time, was. */
  timeAheadMs(a: string, b: string): number {
    return Math.max(this.aheadMs(a, b), highestOf(this.#recentTimes, a) - this.#lowestOf(b))
  }

  #lowestOf(id: string): number {
    return Math.min(...this.#recent.map(offsets => offsets.get(id) ?? Number.POSITIVE_INFINITY))
  }

  /** The highest clock that `life` may go by. */
  reference(life: Life): number {
    let best = Number.NEGATIVE_INFINITY
    for (const offsets of this.#recent) {
      const own = offsets.get(life.node)
      if (own === undefined) continue
      const all = [...offsets.values()].sort((a, b) => a - b)
      best = Math.max(best, own, all[(all.length - 1) >> 1])
    }
    return best + this.#cluster.now()
  }
}

function highestOf(looks: readonly Map<string, number>[], id: string): number {
  return Math.max(...looks.map(look => look.get(id) ?? Number.NEGATIVE_INFINITY))
}
