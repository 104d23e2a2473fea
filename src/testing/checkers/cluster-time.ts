/**
 * I15: cluster time never falls, and never runs faster than drift and slew allow, along every log
 * and through every failover: whoever leads continues what was heard.
 */
import type { Life } from '../life.js'
import type { LogPoint } from '../lineage.js'
import type { Checker, World } from './checker.js'

/** Drift of 10 % and slew of 10 % at once. */
const RATE_MAX = 1.1 * 1.1
const TOLERANCE_MS = 250
/** Times that differ this long after a split have been carried by its clocks. */
const SEPARATE_MS = 20_000

export function clusterTimeIsHonest(world: World): Checker {
  /** The least of (cluster time - RATE_MAX * true time) along each log. */
  const slowest = new Map<LogPoint, number>()
  /** The most of the same over all histories, at their beginnings. */
  let fastest = Number.NEGATIVE_INFINITY
  /** By life; within one history it never falls. */
  const times = new Map<Life, { history: string; time: number }>()
  return {
    name: 'cluster time is honest',
    onAppend(life, batch, before) {
      const point = life.tip
      if (slowest.has(point)) return
      const mine = batch.time - RATE_MAX * world.now()
      const least = slowest.get(before) ?? Number.POSITIVE_INFINITY
      fastest = Math.max(fastest, before.parent === undefined ? mine : Number.NEGATIVE_INFINITY)
      // Where two led at once, the faster one's time may come to the slower one's log.
      const apart = world.disturbances.separated(world.now() - SEPARATE_MS, world.now())
      const limit = apart ? fastest : least
      if (mine > limit + TOLERANCE_MS)
        world.fail(
          'I15',
          `cluster time of ${life} ran ${Math.round(mine - limit)} ms ahead of drift and slew`,
        )
      slowest.set(point, apart ? mine : Math.min(least, mine))
    },
    onTick() {
      for (const node of world.live()) {
        const time = node.clusterTime()
        const { history } = node.status()
        const before = times.get(node.life)
        if (before?.history === history && time < before.time)
          world.fail('I15', `cluster time of ${node.life} fell by ${before.time - time} ms`)
        times.set(node.life, { history, time })
      }
    },
  }
}
