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
  /** The highest and the lowest that a clock ever stood at, from the true time. */
  const highest = new Map<string, number>()
  const lowest = new Map<string, number>()
  const recent: Map<string, number>[] = []
  const times = new Map<Life, number>()

  function note(): void {
    const offsets = new Map<string, number>()
    for (const { id } of cluster.live()) offsets.set(id, cluster.node(id).wall() - cluster.now())
    recent.push(offsets)
    if (recent.length > TICKS_KEPT) recent.shift()
    for (const [id, at] of offsets) {
      highest.set(id, Math.max(highest.get(id) ?? at, at))
      lowest.set(id, Math.min(lowest.get(id) ?? at, at))
    }
  }

  /** By how much the clock of `a` was ahead of that of `b` lately, at most: both may have been set
   *  between the frame that was measured and now. */
  function aheadMs(a: string, b: string): number {
    if (isSlow) return (highest.get(a) ?? 0) - (lowest.get(b) ?? 0)
    let high = Number.NEGATIVE_INFINITY
    let low = Number.POSITIVE_INFINITY
    for (const offsets of recent) {
      high = Math.max(high, offsets.get(a) ?? high)
      low = Math.min(low, offsets.get(b) ?? low)
    }
    return high - low
  }

  /** The highest clock that `life` may go by. */
  function reference(life: Life): number {
    let best = Number.NEGATIVE_INFINITY
    for (const offsets of recent) {
      const own = offsets.get(life.node)
      if (own === undefined) continue
      const all = [...offsets.values()].sort((a, b) => a - b)
      best = Math.max(best, own, all[(all.length - 1) >> 1])
    }
    return best + cluster.now()
  }

  watch.onGiven.push((to, { stamp, life }, how) => {
    if (how === 'own' || life === to.life) return
    if (stampMs(stamp) <= reference(to.life) + LET_IN_MS) return
    // A clock may have jumped since the last look.
    note()
    const limit = reference(to.life) + LET_IN_MS
    if (stampMs(stamp) > limit)
      cluster.fail(
        'B8',
        `${to.life} let in a stamp ${Math.round(stampMs(stamp) - limit)} ms too high`,
      )
  })

  return {
    name: 'clocks are judged fairly',
    onStart: note,
    onHeal: note,
    onTick() {
      note()
      for (const { life } of cluster.live()) {
        const time = cluster.node(life.node).clusterTime()
        const before = times.get(life) ?? time
        times.set(life, time)
        if (time < before) cluster.fail('B8', `the time of ${life} fell by ${before - time} ms`)
        // Up to 10 % drift and 10 % slew, and a node that was stopped catches up.
        const rose = before !== 0 && time - before > 1.25 * TICK_MS + SLACK_MS
        if (rose && !cluster.disturbances.stopped(life.node, cluster.now() - 500, cluster.now()))
          if (time > reference(life) + LET_IN_MS)
            cluster.fail(
              'B8',
              `${life} followed a clock ${Math.round(time - reference(life))} ms ahead`,
            )
      }
    },
    onReport(life, event, fields) {
      if (event !== 'clock-skew') return
      const { node, stamp } = fields as { node: string; stamp?: number }
      note()
      if (stamp !== undefined) {
        if (stampMs(stamp) < cluster.node(life.node).wall() + 2 * BROADCAST.skewMs - SLACK_MS)
          cluster.fail('B8', `${life} refused an honest stamp of ${node}`)
        return
      }
      const isOwn = node === life.node
      const others = cluster.members.filter(({ id }) => id !== node)
      const most = isOwn
        ? Math.max(...others.map(({ id }) => aheadMs(node, id)))
        : aheadMs(node, life.node)
      if (most < BROADCAST.skewMs - SLACK_MS)
        cluster.fail('B8', `${life} called ${node} ahead, which was by ${Math.round(most)} ms`)
    },
  }
}
