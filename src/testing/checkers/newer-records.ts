/**
 * I13: an expiry that is carried out ends what it was proposed for, and nothing that came after: an
 * entry on its way may extend the life of a record that its master already holds for dead.
 */
import type { Offset } from '../../contracts/types.js'
import { Reader } from '../../wire/bytes.js'
import { OP } from '../../wire/command.js'
import type { Life } from '../life.js'
import { contains, type LogPoint } from '../lineage.js'
import type { Checker, World } from './checker.js'
import { lifeMsOf } from './expiry.js'

/** Of each key: more are not under way at once. */
const KEPT = 100

export function expiriesSpareTheNewer(world: World): Checker {
  /** Sets and touches that were done, by cache and key. */
  const done = new Map<string, { point: LogPoint; offset: Offset }[]>()
  /** Entries below it of a batch were looked at: their outcome is the same on every node (I5). */
  const seen = new Map<LogPoint, Offset>()
  const reader = new Reader()

  function check(life: Life, offset: Offset): void {
    const point = life.pointOf(offset)
    const entry = point.batch && point.entries[offset - point.batch.first]
    if (point.batch === undefined || entry === undefined) return
    if (offset < (seen.get(point) ?? 0)) return
    seen.set(point, offset + 1)
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
        done.set(name, [...list.slice(-KEPT), { point, offset }])
      return
    }
    const changed = reader.f64()
    for (const one of list)
      if (one.offset > changed && one.offset < offset && contains(point, one.point))
        world.fail('I13', `entry ${offset} expired ${name}, which ${one.offset} had changed since`)
  }

  return {
    name: 'expiries spare the newer',
    onResult(life, offset, outcome) {
      if (outcome === 'ok' && !life.copying) check(life, offset)
    },
  }
}
