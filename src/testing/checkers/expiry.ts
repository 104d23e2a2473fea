/**
 * I13 and I15: cluster time never falls and never runs faster than drift and slew allow; no record
 * expires before its life is over, and none is read long after it. Caches of a simulation say in
 * their names how long their records live: `ttl3000`, `idle2000`.
 */

import { Reader } from '../../wire/bytes.js'
import { OP } from '../../wire/command.js'
import type { Life } from '../life.js'
import type { LogPoint } from '../lineage.js'
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'

/** Drift of 10 % and slew of 10 % at once. */
const RATE_MAX = 1.1 * 1.1
const TOLERANCE_MS = 250
/** Times that differ this long after a split have been carried by its clocks. */
const SEPARATE_MS = 20_000

/** The life of records in `cache`, ms; 0 for ever. */
export function lifeMsOf(cache: string): number {
  const match = /^(?:ttl|idle)(\d+)$/.exec(cache)
  return match === null ? 0 : Number(match[1])
}

export function nothingExpiresEarly(world: World): Checker {
  /** The least of (cluster time - RATE_MAX * true time) along each log. */
  const slowest = new Map<LogPoint, number>()
  /** The most of the same over all histories, at their beginnings. */
  let fastest = Number.NEGATIVE_INFINITY
  /** By life; within one history it never falls. */
  const times = new Map<Life, { history: string; time: number }>()
  /** When a record could last have been extended, by cache and key; how many calls still may. */
  const extended = new Map<string, number>()
  const open = new Map<string, number>()
  const reader = new Reader()

  function checkExpiry(point: LogPoint, start: number, end: number): void {
    const batch = point.batch as NonNullable<LogPoint['batch']>
    reader.open(batch.bytes, start, end)
    if (reader.u8() !== OP.expire) return
    reader.u8()
    const cache = reader.text8()
    const key = reader.text16()
    const changed = reader.f64()
    const lifeMs = lifeMsOf(cache)
    if (lifeMs === 0) world.fail('I13', `${cache}/${key} expired, though it lives for ever`)
    let from: LogPoint | undefined = point
    while (from?.batch !== undefined && from.batch.first > changed) from = from.parent
    if (from?.batch !== undefined && batch.time < from.batch.time + lifeMs)
      world.fail(
        'I15',
        `${cache}/${key} expired ${batch.time - from.batch.time} ms after it was changed, not ${lifeMs}`,
      )
  }

  return {
    name: 'nothing expires early',
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
      for (const entry of point.entries)
        if (entry.client === null) checkExpiry(point, entry.start, entry.end)
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
    onCallStart(call: Call) {
      if (call.kind !== 'set' && call.kind !== 'touch') return
      const name = `${call.cache}/${call.key}`
      open.set(name, (open.get(name) ?? 0) + 1)
    },
    onCallEnd(call: Call) {
      const lifeMs = lifeMsOf(call.cache)
      if (lifeMs === 0) return
      const name = `${call.cache}/${call.key}`
      const { reply } = call
      if (call.kind === 'set' || call.kind === 'touch') {
        // One whose end nobody knows may still come; retries end within a deadline or two.
        open.set(name, (open.get(name) ?? 1) - 1)
        const slack = call.outcome === 'unknown' ? 15_000 : 0
        extended.set(name, Math.max(extended.get(name) ?? 0, world.now() + slack))
      } else if (reply?.kind === 'value') {
        const last = open.get(name) ? undefined : extended.get(name)
        // Cluster time may run 19 % slow, and rests while nobody leads.
        if (last !== undefined && call.startedAt > last + lifeMs * 1.25 + 20_000)
          world.fail(
            'I13',
            `${name} was read ${Math.round(call.startedAt - last)} ms after its last change`,
          )
      }
    },
  }
}
