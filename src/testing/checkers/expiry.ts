/**
 * I13: no record expires before its life is over, and none is read long after it. Caches of a
 * simulation say in their names how long their records live: `ttl3000`, `idle2000`.
 */

import { Reader } from '../../wire/bytes.js'
import { FLAG, OP, readMerged } from '../../wire/command.js'
import type { LogPoint } from '../lineage.js'
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'
import { Rest } from './rest.js'

/** Asked for at each call and each entry, of a handful of names. */
const lives = new Map<string, number>()
const LIVES_KEPT = 1_000

/** The life of records in `cache`, ms; 0 for ever. */
export function lifeMsOf(cache: string): number {
  const known = lives.get(cache)
  if (known !== undefined) return known
  const match = /^(?:ttl|idle)(\d+)$/.exec(cache)
  const lifeMs = match === null ? 0 : Number(match[1])
  if (lives.size < LIVES_KEPT) lives.set(cache, lifeMs)
  return lifeMs
}

/** When a record ends whose life came from the losing side of a split, in the entry `offset`. */
function mergedEnd(point: LogPoint, offset: number): number | undefined {
  const { batch } = point
  const entry = point.entries.find(one => one.offset === offset)
  if (batch === undefined || entry === undefined) return undefined
  const reader = new Reader().open(batch.bytes, entry.start, entry.end)
  reader.skip(1)
  const flags = reader.u8()
  if ((flags & FLAG.merged) === 0) return undefined
  reader.text8()
  reader.text16()
  if ((flags & FLAG.ifVersion) !== 0) reader.skip(8)
  return readMerged(reader).expiresAt
}

/** An entry of the engine's own, `[start, stop)` of its batch, if it expires a record. */
function checkExpiry(world: World, point: LogPoint, start: number, stop: number): void {
  const batch = point.batch as NonNullable<LogPoint['batch']>
  const reader = new Reader().open(batch.bytes, start, stop)
  if (reader.u8() !== OP.expire) return
  reader.u8()
  const cache = reader.text8()
  const key = reader.text16()
  const changed = reader.f64()
  const lifeMs = lifeMsOf(cache)
  if (lifeMs === 0) world.fail('I13', `${cache}/${key} expired, though it lives for ever`)
  let from: LogPoint | undefined = point
  while (from?.batch !== undefined && from.batch.first > changed) from = from.parent
  const end = from === undefined ? undefined : mergedEnd(from, changed)
  if (end !== undefined) {
    if (batch.time < end)
      world.fail('I15', `${cache}/${key}, merged, expired ${end - batch.time} ms early`)
    return
  }
  if (from?.batch !== undefined && batch.time < from.batch.time + lifeMs)
    world.fail(
      'I15',
      `${cache}/${key} expired after ${batch.time - from.batch.time} ms, not ${lifeMs}`,
    )
}

export function nothingExpiresEarly(world: World): Checker {
  /** When a record could last have been extended, and how long nobody had led until then, by cache
   *  and key; how many calls still may. */
  const extended = new Map<string, { readonly at: number; readonly restedMs: number }>()
  const open = new Map<string, number>()
  /** What is changed by a write whose end nobody knows, by window and number. */
  const doubtful = new Map<string, string>()
  const checked = new Set<LogPoint>()
  const rest = new Rest(world)

  /** Its frame lay in a slow network for longer than any retry takes: 70 s in seed 5804. */
  function comesLate(name: string | undefined): void {
    const at = world.now()
    if (name !== undefined && at > (extended.get(name)?.at ?? 0))
      extended.set(name, { at, restedMs: rest.ms })
  }

  return {
    name: 'nothing expires early',
    onBecome(life, { role, serving }) {
      rest.lead(life, role === 'master' && serving)
    },
    onEnd(life) {
      rest.lead(life, false)
    },
    onAppend(life) {
      const point = life.tip
      if (checked.has(point)) return
      checked.add(point)
      for (const entry of point.entries)
        if (entry.client === null) checkExpiry(world, point, entry.start, entry.end)
        else comesLate(doubtful.get(`${entry.client.id} ${entry.seq}`))
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
        if (slack > 0) doubtful.set(`${call.window} ${call.seq}`, name)
        const at = Math.max(extended.get(name)?.at ?? 0, world.now() + slack)
        extended.set(name, { at, restedMs: rest.ms })
      } else if (reply?.kind === 'value') {
        const last = open.get(name) ? undefined : extended.get(name)
        if (last === undefined) return
        // Cluster time may run 19 % slow, and rests while nobody leads: for 85 s in seed 5661.
        const aloneMs = rest.ms - last.restedMs
        if (call.startedAt > last.at + aloneMs + lifeMs * 1.25 + 20_000)
          world.fail(
            'I13',
            `${name} was read ${Math.round(call.startedAt - last.at)} ms after its last change`,
          )
      }
    },
  }
}
