/**
 * I6: an acknowledged write is lost only where the injected faults excuse it. The rule, for a write
 * `w` acknowledged to its client, whoever holds it, and profile ordinal:
 *
 *   promotion  when a node takes over with a log without `w`, no live node whose data includes `w`
 *              was within its reach: each was dead, copying, or disturbed (cut, clogged, reset,
 *              paused, stalled, just started) towards it within the last 1.5 s; one that promised
 *              this epoch only if disturbed since. Out of reach is also whom it has not among its
 *              members, or who has not it. Or an earlier such promotion, on which this log builds,
 *              had lost `w` already.
 *   fencing    when `w` is acknowledged while a master of a higher epoch lacks it, each holder was
 *              disturbed towards that master between 1.5 s before the write was settled and now.
 *   dropping   a log loses `w` only after one of these has.
 *   end        the surviving log holds `w`, or builds on a promotion that is excused for losing it,
 *              or nobody who ever held it lives.
 *
 * Histories minted apart (two nodes, each 5 s alone) are never joined: of such a meeting the older
 * wins, so a write in another history than the promoted log's is excused.
 *
 * Copying excuses because a full resync drops the slave's data first; such losses are counted.
 */
import type { Epoch } from '../../contracts/types.js'
import { compareEpochs } from '../../core/epochs.js'
import type { Life } from '../life.js'
import { contains, epochName, type LogPoint, type WrittenEntry } from '../lineage.js'
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'

/** Suspicion is older; the promises of one candidacy are all taken within this. */
export const CANDIDACY_MS = 1_500

interface Acked {
  readonly call: Call
  readonly entries: readonly WrittenEntry[]
  /** Promotions that may lack it. */
  readonly excused: Promotion[]
}

interface Promotion {
  readonly life: Life
  readonly epoch: Epoch
  readonly at: number
  /** Its first batch. */
  readonly point: LogPoint
}

export interface AckedWrites extends Checker {
  readonly acked: number
  /** Acknowledged writes that did not survive, each excused. */
  readonly lost: number
}

/** `mayLose`: false where the scenario leaves no excuse at all for writes with two copies. */
export function ackedWritesSurvive(world: World, mayLose: boolean): AckedWrites {
  return new Oracle(world, mayLose)
}

class Oracle implements AckedWrites {
  readonly name = 'acknowledged writes survive'
  acked = 0
  lost = 0
  readonly #world: World
  readonly #mayLose: boolean
  readonly #writes: Acked[] = []
  readonly #promotions: Promotion[] = []
  readonly #settledAt = new Map<string, number>()

  constructor(world: World, mayLose: boolean) {
    this.#world = world
    this.#mayLose = mayLose
  }

  onSettle(_life: Life, _id: number, receipt: { epoch: Epoch; offset: number }): void {
    const key = `${receipt.epoch.number}:${receipt.offset}`
    if (!this.#settledAt.has(key)) this.#settledAt.set(key, this.#world.now())
  }

  onPromotion(life: Life, epoch: Epoch, before: LogPoint): void {
    const now = this.#world.now()
    const promotion: Promotion = { life, epoch, at: now, point: life.tip }
    this.#promotions.push(promotion)
    const others = this.#others(life)
    for (const write of this.#writes) {
      if (isIn(write, before) || isExcusedIn(write, before)) continue
      for (const other of others) {
        if (!holds(other, write)) continue
        if (this.#outOfReach(other, life, epoch)) continue
        if (originOf(other.tip) !== originOf(before)) continue
        this.#world.fail(
          'I6',
          `${life} took over as ${epochName(epoch)} without ${nameOf(write)}, ` +
            `which ${other} held within reach`,
        )
      }
      write.excused.push(promotion)
    }
  }

  onCallEnd(call: Call): void {
    const { reply } = call
    if (call.seq === 0 || reply?.kind !== 'written' || call.ack === 'none') return
    if (call.outcome !== 'ok') return
    const entries = this.#world.lineage.entriesOf(call.window, call.seq)
    const write: Acked = { call, entries, excused: [] }
    this.acked++
    this.#writes.push(write)
    const settledAt = this.#settledAt.get(`${reply.epoch}:${reply.offset}`) ?? this.#world.now()
    for (const promotion of this.#promotions) this.#checkFencing(write, promotion, settledAt)
  }

  #checkFencing(write: Acked, promotion: Promotion, settledAt: number): void {
    const { life, epoch, point } = promotion
    // What a dead master had taken a second time lives on only in logs that got it (seed 2524).
    if (isIn(write, life.alive ? life.tip : point)) return
    if (write.entries.some(entry => compareEpochs(entryEpoch(entry), epoch) > 0)) return
    // One that is gone cannot fence, but its entries live on, without the write.
    const leads = life.leads !== undefined && compareEpochs(life.leads, epoch) === 0
    for (const other of life.alive && leads ? this.#others(life) : []) {
      if (!holds(other, write)) continue
      if (this.#strangers(other, life)) continue
      if (this.#disturbed(other, life, settledAt - CANDIDACY_MS)) continue
      this.#world.fail(
        'I6',
        `${nameOf(write)} was acknowledged with a copy on ${other}, ` +
          `within reach of ${life}, master of the higher ${epochName(epoch)} that lacks it`,
      )
    }
    write.excused.push(promotion)
  }

  onDrop(life: Life, before: LogPoint): void {
    for (const write of this.#writes) {
      if (write.excused.length > 0 || isIn(write, life.tip) || !isIn(write, before)) continue
      if (this.#standsAbove(write, life, before)) continue
      this.#world.fail('I6', `${life} dropped ${nameOf(write)}, which no promotion had lost`)
    }
  }

  onQuiet(core: readonly string[]): void {
    const last = this.#world.live().find(node => core.includes(node.life.node))
    if (last === undefined) return
    const { tip } = last.life
    for (const write of this.#writes) {
      if (isIn(write, tip)) continue
      this.lost++
      if (!isExcusedIn(write, tip) && this.#anyHolderLives(write))
        this.#world.fail('I6', `${nameOf(write)} has vanished, and no fault excuses it`)
      if (!this.#mayLose && (write.call.reply?.copies ?? 0) >= 2)
        this.#world.fail(
          'I6',
          `${nameOf(write)} is lost, though one fault at a time cannot do that`,
        )
    }
  }

  /**
   * `life` had an earlier try of the write; another node holds one that a higher epoch took. It was
   * acknowledged while this log was replaced, and comes to it behind the copy (seed 2817).
   */
  #standsAbove(write: Acked, life: Life, before: LogPoint): boolean {
    const dropped = write.entries.filter(({ point }) => contains(before, point))
    const above = write.entries.filter(entry =>
      dropped.every(one => compareEpochs(entryEpoch(entry), entryEpoch(one)) > 0),
    )
    return this.#others(life).some(other => above.some(({ point }) => other.holds(point)))
  }

  /** The living that belong, as `life` must: let go while cut off it reaches none of them. */
  #others(life: Life): Life[] {
    const world = this.#world
    if (!world.belongs(life.node)) return []
    return world.lives().filter(one => one !== life && one.alive && world.belongs(one.node))
  }

  /** Two sides in ordinal that changed their members apart: who is nobody's member on the other one
   *  is refused its link there (seed 177 of style membership). */
  #strangers(one: Life, other: Life): boolean {
    const knows = (who: Life, whom: Life) => {
      const status = this.#world
        .live()
        .find(({ life }) => life === who)
        ?.status()
      if (status?.profile !== 'ordinal') return true
      return status.members.some(({ id, state }) => id === whom.node && state !== 'left')
    }
    return !knows(one, other) || !knows(other, one)
  }

  /** One that promised this very epoch was heard, so only what happened since excuses. */
  #outOfReach(other: Life, candidate: Life, epoch: Epoch): boolean {
    if (this.#strangers(other, candidate)) return true
    const { promised } = other
    const now = this.#world.now()
    if (promised === undefined || compareEpochs(promised.epoch, epoch) !== 0)
      return this.#disturbed(other, candidate, now - CANDIDACY_MS)
    const { disturbances } = this.#world
    return disturbances.disturbed(other.node, candidate.node, promised.at, now, true)
  }

  #anyHolderLives(write: Acked): boolean {
    return this.#world
      .lives()
      .some(life => life.alive && write.entries.some(entry => life.everHeld(entry.point)))
  }

  #disturbed(a: Life, b: Life, from: number): boolean {
    return this.#world.disturbances.disturbed(a.node, b.node, from, this.#world.now())
  }
}

/** The first batch: logs of one history share it. */
function originOf(tip: LogPoint): LogPoint {
  let point = tip
  while (point.parent?.parent !== undefined) point = point.parent
  return point
}

function isIn(write: Acked, tip: LogPoint): boolean {
  return write.entries.some(entry => contains(tip, entry.point))
}

function isExcusedIn(write: Acked, tip: LogPoint): boolean {
  return write.excused.some(promotion => contains(tip, promotion.point))
}

function holds(life: Life, write: Acked): boolean {
  return write.entries.some(entry => life.holds(entry.point))
}

function entryEpoch(entry: WrittenEntry): Epoch {
  return (entry.point.batch as NonNullable<LogPoint['batch']>).epoch
}

function nameOf(write: Acked): string {
  const { call } = write
  const { kind, client, seq, ack = 'default' } = call
  const offset = write.entries[0]?.offset
  return `${kind} ${client}#${seq} at ${offset} (ack ${ack}, ${call.reply?.copies} copies)`
}
