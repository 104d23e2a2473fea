/**
 * I7: each (client, seq) has at most one effect. I8: a retry gets the first answer. Both follow
 * from what apply decides: the same entry the same everywhere, a repeated one as its first.
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
  /** Of each batch, by the entry's place in it. */
  const all = new Map<LogPoint, (Applied | undefined)[]>()

  function note(life: Life, offset: Offset, outcome: Outcome, version: Offset): void {
    // Half a copy decides nothing that anybody will ever see.
    if (life.copying) return
    let point: LogPoint | undefined = life.tip
    while (point?.batch !== undefined && point.batch.first > offset) point = point.parent
    if (point?.batch === undefined || point.next <= offset) return
    const index = offset - point.batch.first
    const ofPoint = all.get(point) ?? []
    all.set(point, ofPoint)
    const same = ofPoint[index]
    if (same?.outcome === outcome && same.version === version) return
    const mine: Applied = { point, offset, outcome, version }
    if (same !== undefined)
      world.fail('I5', `entry ${offset} ended ${show(same)} on one node, ${show(mine)} on ${life}`)
    ofPoint[index] = mine
    const entry = point.entries[index]
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
    outcomeAt: (point, offset) => point.batch && all.get(point)?.[offset - point.batch.first],
    onCallEnd(call) {
      const { reply } = call
      if (call.seq === 0 || call.kind === 'open' || reply?.kind !== 'written') return
      if (call.ack === 'none') return
      const list = byWriter.get(`${call.window}:${call.seq}`) ?? []
      if (!list.some(one => one.outcome === 'ok' && one.version === reply.version))
        world.fail(
          'I8',
          `${call.client}#${call.seq} was told version ${reply.version}, ` +
            `which no node decided: ${list.map(show)}`,
        )
    },
    onRepeat(call, again) {
      if (again.kind !== 'written') return
      // Another log may have decided otherwise; onResult compares those within one log.
      const list = byWriter.get(`${call.window}:${call.seq}`) ?? []
      if (!list.some(one => one.outcome === 'ok' && one.version === again.version))
        world.fail(
          'I8',
          `${call.client}#${call.seq} was told version ${call.reply?.version}, ` +
            `then ${again.version}, which no node decided`,
        )
    },
  }
}

function show(applied: Applied): string {
  return `${applied.outcome} version ${applied.version}`
}
