/**
 * I15: cluster time never falls, and never runs faster than drift and slew allow, along every log
 * and through every failover: whoever leads continues what was heard.
 */
import type { Life } from '../life.js'
import type { LogPoint } from '../lineage.js'
import type { Checker, World } from './checker.js'
import { Rest } from './rest.js'

/** Drift of 10 % and slew of 10 % at once. */
const RATE_MAX = 1.1 * 1.1
const TOLERANCE_MS = 250
/** Times that differ this long after a split have been carried by its clocks. */
const SEPARATE_MS = 20_000
/** While nobody leads each goes by its own clock: one 10 % fast, the other 10 % slow. */
const PARTING_RATE = 0.2

/** Of a log. */
interface Pace {
  /** The least of (cluster time - RATE_MAX * true time) along it, since it was raised last. */
  readonly least: number
  /** So much of all that clocks parted while nobody led it has had, ms. */
  readonly spentMs: number
}

export function clusterTimeIsHonest(world: World): Checker {
  const paces = new Map<LogPoint, Pace>()
  /** The most of the same over all histories, at their beginnings. */
  let fastest = Number.NEGATIVE_INFINITY
  /** By life; within one history it never falls. */
  const times = new Map<Life, { history: string; time: number }>()
  const rest = new Rest(world)
  /** How long nobody had led in all, at the entries of the last SEPARATE_MS. */
  const rests: { readonly at: number; readonly ms: number }[] = []
  const restBefore = () => {
    const from = world.now() - SEPARATE_MS
    while (rests.length > 1 && rests[1].at <= from) rests.shift()
    rests.push({ at: world.now(), ms: rest.ms })
    return rests[0].ms
  }
  return {
    name: 'cluster time is honest',
    onBecome(life, { role, serving }) {
      rest.lead(life, role === 'master' && serving)
    },
    onEnd(life) {
      rest.lead(life, false)
    },
    onAppend(life, batch, before) {
      const point = life.tip
      if (paces.has(point)) return
      const mine = batch.time - RATE_MAX * world.now()
      const nothing = { least: Number.POSITIVE_INFINITY, spentMs: 0 }
      const { least, spentMs } = paces.get(before) ?? nothing
      fastest = Math.max(fastest, before.parent === undefined ? mine : Number.NEGATIVE_INFINITY)
      // Where two led at once, the faster one's time may come to the slower one's log.
      const apart = world.disturbances.separated(world.now() - SEPARATE_MS, world.now())
      // Who ran ahead while nobody led keeps that, though a slower one led since (lease, seed 21):
      // once, or a clock that runs fast from then on would be taken for it again and again.
      const partedMs = PARTING_RATE * rest.ms
      const hadMs = Math.max(spentMs, PARTING_RATE * restBefore())
      const limit = apart ? fastest : least + partedMs - hadMs
      if (mine > limit + TOLERANCE_MS)
        world.fail(
          'I15',
          `cluster time of ${life} ran ${Math.round(mine - limit)} ms ahead of drift and slew`,
        )
      if (apart) paces.set(point, { least: mine, spentMs })
      else if (mine <= least + TOLERANCE_MS)
        paces.set(point, { least: Math.min(least, mine), spentMs })
      else paces.set(point, { least: mine, spentMs: Math.min(partedMs, hadMs + mine - least) })
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
