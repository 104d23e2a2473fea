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
  const byWriter = new AppliedWrites()
  /** Of each batch, by the entry's place in it. */
  const all = new Map<LogPoint, (Applied | undefined)[]>()

  function note(life: Life, offset: Offset, outcome: Outcome, version: Offset): void {
    // Half a copy decides nothing that anybody will ever see.
    if (life.copying) return
    const point = life.pointOf(offset)
    if (point.batch === undefined || point.next <= offset) return
    const index = offset - point.batch.first
    let ofPoint = all.get(point)
    if (ofPoint === undefined) {
      ofPoint = []
      all.set(point, ofPoint)
    }
    const same = ofPoint[index]
    if (same?.outcome === outcome && same.version === version) return
    const mine: Applied = { point, offset, outcome, version }
    if (same !== undefined)
      world.fail('I5', `entry ${offset} ended ${show(same)} on one node, ${show(mine)} on ${life}`)
    ofPoint[index] = mine
    const entry = point.entries[index]
    if (entry.client === null) return
    const list = byWriter.toAddTo(entry.client.id, entry.seq)
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
      const list = byWriter.of(call.window, call.seq)
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
      const list = byWriter.of(call.window, call.seq)
      if (!list.some(one => one.outcome === 'ok' && one.version === again.version))
        world.fail(
          'I8',
          `${call.client}#${call.seq} was told version ${call.reply?.version}, ` +
            `then ${again.version}, which no node decided`,
        )
    },
  }
}

/** What was applied of each write, by its window and number. */
class AppliedWrites {
  readonly #byWindow = new Map<string, Map<number, Applied[]>>()

  of(window: string, seq: number): readonly Applied[] {
    return this.#byWindow.get(window)?.get(seq) ?? []
  }

  toAddTo(window: string, seq: number): Applied[] {
    let bySeq = this.#byWindow.get(window)
    if (bySeq === undefined) {
      bySeq = new Map()
      this.#byWindow.set(window, bySeq)
    }
    let list = bySeq.get(seq)
    if (list === undefined) {
      list = []
      bySeq.set(seq, list)
    }
    return list
  }
}

function show(applied: Applied): string {
  return `${applied.outcome} version ${applied.version}`
}
