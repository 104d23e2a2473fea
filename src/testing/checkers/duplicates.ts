/**
 * I7: each (client, seq) has at most one effect. I8: a retry gets the first answer. Both follow from
 * what apply decides: the same entry the same everywhere, a repeated one the same as its first.
 */
import type { Outcome } from '../../contracts/store.js'
import type { Offset } from '../../contracts/types.js'
import type { Life } from '../life.js'
import { contains, type LogPoint } from '../lineage.js'
import type { Call, Reply } from '../simulated-client.js'
import type { Checker, World } from './checker.js'

interface Applied {
  readonly point: LogPoint
  readonly offset: Offset
  readonly outcome: Outcome
  readonly version: Offset
}

export interface Duplicates extends Checker {
  onRepeat(call: Call, again: Reply): void
  outcomeAt(point: LogPoint, offset: Offset): Applied | undefined
}

export function noWriteTwice(world: World): Duplicates {
  const byWriter = new Map<string, Applied[]>()
  const all = new Map<LogPoint, Map<Offset, Applied>>()

  function note(life: Life, offset: Offset, outcome: Outcome, version: Offset): void {
    // Half a copy decides nothing that anybody will ever see.
    if (life.copying) return
    let point: LogPoint | undefined = life.tip
    while (point?.batch !== undefined && point.batch.first > offset) point = point.parent
    if (point?.batch === undefined || point.next <= offset) return
    const entry = point.entries[offset - point.batch.first]
    const mine: Applied = { point, offset, outcome, version }
    const ofPoint = all.get(point) ?? new Map<Offset, Applied>()
    const same = ofPoint.get(offset)
    if (same === undefined) all.set(point, ofPoint.set(offset, mine))
    else {
      if (same.outcome !== outcome || same.version !== version)
        world.fail(
          'I5',
          `entry ${offset} ended ${show(same)} on one node, ${show(mine)} on ${life}`,
        )
      return
    }
    if (entry.client === null) return
    const writer = `${entry.client.id}:${entry.seq}`
    const list = byWriter.get(writer) ?? []
    byWriter.set(writer, list)
    for (const first of list) {
      if (first.offset >= offset || !contains(point, first.point)) continue
      // Below the window the answer is forgotten, and so is the write: it must do nothing.
      if (outcome === 'expired') break
      if (first.outcome !== outcome || first.version !== version)
        world.fail(
          'I7',
          `entry ${offset} repeats ${first.offset}: first ${show(first)}, then ${show(mine)}`,
        )
    }
    list.push(mine)
  }

  return {
    name: 'no write twice',
    onResult: note,
    outcomeAt: (point, offset) => all.get(point)?.get(offset),
    onCallEnd(call) {
      const { reply } = call
      if (call.seq === 0 || call.kind === 'open' || reply?.kind !== 'written') return
      if (call.ack === 'none') return
      const list = byWriter.get(`${call.window}:${call.seq}`) ?? []
      if (!list.some(one => one.outcome === 'ok' && one.version === reply.version))
        world.fail(
          'I8',
          `${call.client}#${call.seq} was told version ${reply.version}, which no node decided: ${list.map(show)}`,
        )
    },
    onRepeat(call, again) {
      if (again.kind !== 'written') return
      // Another log may have decided otherwise; onResult compares those within one log.
      const list = byWriter.get(`${call.window}:${call.seq}`) ?? []
      if (!list.some(one => one.outcome === 'ok' && one.version === again.version))
        world.fail(
          'I8',
          `${call.client}#${call.seq} was told version ${call.reply?.version}, then ${again.version}, which no node decided`,
        )
    },
  }
}

function show(applied: Applied): string {
  return `${applied.outcome} version ${applied.version}`
}
