/**
 * I13: no record expires before its life is over, and none is read long after it. Caches of a
 * simulation say in their names how long their records live: `ttl3000`, `idle2000`.
 */

import { Reader } from '../../wire/bytes.js'
import { FLAG, OP, readMerged } from '../../wire/command.js'
import type { Life } from '../life.js'
import { contains, type LogPoint } from '../lineage.js'
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'

/** Of each key: more are not under way at once. */
const DONE_KEPT = 100

/** The life of records in `cache`, ms; 0 for ever. */
export function lifeMsOf(cache: string): number {
  const match = /^(?:ttl|idle)(\d+)$/.exec(cache)
  return match === null ? 0 : Number(match[1])
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

export function nothingExpiresEarly(world: World): Checker {
  /** When a record could last have been extended, by cache and key; how many calls still may. */
  const extended = new Map<string, number>()
  const open = new Map<string, number>()
  const checked = new Set<LogPoint>()
  const reader = new Reader()

  function checkExpiry(point: LogPoint, start: number, stop: number): void {
    const batch = point.batch as NonNullable<LogPoint['batch']>
    reader.open(batch.bytes, start, stop)
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

  /** Sets and touches that were done, by cache and key. */
  const done = new Map<string, { point: LogPoint; offset: number }[]>()

  /** An expiry that is carried out ends what it was proposed for, and nothing that came after. */
  function checkDone(life: Life, offset: number): void {
    let point: LogPoint | undefined = life.tip
    while (point?.batch !== undefined && point.batch.first > offset) point = point.parent
    const entry = point?.batch && point.entries[offset - point.batch.first]
    if (point?.batch === undefined || entry === undefined) return
    reader.open(point.batch.bytes, entry.start, entry.end)
    const op = reader.u8()
    if (op !== OP.set && op !== OP.touch && op !== OP.expire) return
    reader.u8()
    const cache = reader.text8()
    if (lifeMsOf(cache) === 0) return
    const name = `${cache}/${reader.text16()}`
    const list = done.get(name) ?? []
    if (op !== OP.expire) {
      // A retry is answered and changes nothing.
      const { client, seq } = entry
      if (client === null || world.lineage.entriesOf(client.id, seq).length > 1) return
      if (!list.some(one => one.point === point && one.offset === offset))
        done.set(name, [...list.slice(-DONE_KEPT), { point, offset }])
      return
    }
    const changed = reader.f64()
    for (const one of list)
      if (one.offset > changed && one.offset < offset && contains(point, one.point))
        world.fail('I13', `entry ${offset} expired ${name}, which ${one.offset} had changed since`)
  }

  return {
    name: 'nothing expires early',
    onResult(life, offset, outcome) {
      if (outcome === 'ok' && !life.copying) checkDone(life, offset)
    },
    onAppend(life) {
      const point = life.tip
      if (checked.has(point)) return
      checked.add(point)
      for (const entry of point.entries)
        if (entry.client === null) checkExpiry(point, entry.start, entry.end)
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
