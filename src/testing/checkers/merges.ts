/**
 * I22: when the losing side of a split gives way, nothing that it alone wrote is lost. Judged when
 * its log is dropped for a copy, from facts: the entries of the branch that is abandoned, what
 * apply decided of them, and the log that takes their place.
 *
 *   told      a node that drops a branch of its own says so, and the master that it follows has
 *             told before what became of it; a merge is given up only under faults. One that led
 *             the epoch of entries which its new master never held may not keep silent
 *   merged    each key of cache 'plain' that the abandoned branch set last and kept has an entry,
 *             or a clear, in the surviving log behind the common point
 *   end       the same for every acknowledged set, if the log that it was merged into survived
 */
import type { Outcome } from '../../contracts/store.js'
import type { Offset } from '../../contracts/types.js'
import { Reader } from '../../wire/bytes.js'
import { OP } from '../../wire/command.js'
import type { Life } from '../life.js'
import { contains, type LogEntry, type LogPoint } from '../lineage.js'
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'

/** Its records neither expire nor are evicted. */
const CACHE = 'plain'
/** Faults so long before a merge was given up excuse it. */
const GIVEN_UP_MS = 10_000

/** What a node said when its branch was replaced. */
interface Told {
  readonly entries: number
  readonly master: string
}

/** A branch that was merged: its end, and the log that took it in. */
interface Merged {
  readonly lost: LogPoint
  readonly into: LogPoint
  /** What both began with. */
  readonly common: LogPoint
}

export interface Merges extends Checker {
  /** Branches that were merged. */
  readonly merged: number
  /** Branches that were not, under faults that excuse it. */
  readonly givenUp: number
}

export type OutcomeAt = (
  point: LogPoint,
  offset: Offset,
) => { outcome: Outcome; version: Offset } | undefined

export function losersAreMerged(world: World, outcomeAt: OutcomeAt): Merges {
  return new Judge(world, outcomeAt)
}

class Judge implements Merges {
  readonly name = 'the losing side is merged'
  merged = 0
  givenUp = 0
  readonly #world: World
  readonly #outcomeAt: OutcomeAt
  /** By loser and master: what the master told last and the loser has not used yet. */
  readonly #reports = new Map<string, { lost: boolean; entries: number }>()
  /** Said in the very step that drops the log. */
  readonly #told = new Map<Life, Told>()
  /** Said in the very step that drops a half copy, which was nobody's state. */
  readonly #ended = new Set<Life>()
  readonly #branches: Merged[] = []
  readonly #acked: Call[] = []

  constructor(world: World, outcomeAt: OutcomeAt) {
    this.#world = world
    this.#outcomeAt = outcomeAt
  }

  onReport(life: Life, event: string, fields: Readonly<Record<string, unknown>>): void {
    if (event !== 'divergence') return
    const { peer, entries, into, master, lost } = fields
    if (peer !== undefined) {
      const report = { lost: lost !== undefined, entries: entries as number }
      this.#reports.set(`${peer}<${life.node}`, report)
    } else if (into !== '')
      this.#told.set(life, { entries: entries as number, master: master as string })
    else this.#ended.add(life)
  }

  onDrop(life: Life, before: LogPoint): void {
    const told = this.#told.get(life)
    this.#told.delete(life)
    if (told === undefined) return this.#mayKeepSilent(life, before)
    const { master, entries } = told
    const report = this.#reports.get(`${life.node}<${master}`)
    this.#reports.delete(`${life.node}<${master}`)
    if (report === undefined)
      this.#world.fail('I22', `${life} dropped ${entries} entries that ${master} never asked for`)
    if (report.lost) {
      const now = this.#world.now()
      const since = now - GIVEN_UP_MS
      if (!this.#world.disturbances.disturbed(life.node, master, since, now))
        this.#world.fail('I22', `${master} gave up to merge ${life}, though nothing disturbed it`)
      this.givenUp++
      return
    }
    const branch = { lost: before, into: life.tip, common: commonOf(before, life.tip) }
    this.merged++
    this.#branches.push(branch)
    const there = this.#namedIn(branch)
    for (const [key, offset] of this.#keptIn(branch))
      if (!there.has(key) && !there.has(''))
        this.#world.fail(
          'I22',
          `${life} set ${key} at ${offset} of ${entries} entries that ${master} merged, and ` +
            'nothing of it is in the log that replaced them',
        )
  }

  /** From facts: whoever led the epoch of an entry knows that it is its own. */
  #mayKeepSilent(life: Life, before: LogPoint): void {
    if (this.#ended.delete(life)) return
    const master = life.standing?.master
    const lives = this.#world.lives().filter(one => one.node === master)
    if (lives.some(one => one.everHeld(before))) return
    const own = after(commonOf(before, life.tip), before).filter(
      ({ batch }) => batch?.epoch.incarnation === life.incarnation,
    )
    const entries = own.reduce((sum, { entries }) => sum + entries.length, 0)
    if (entries > 0)
      this.#world.fail(
        'I22',
        `${life} dropped ${entries} entries that it had led, and said nothing`,
      )
  }

  onCallEnd(call: Call): void {
    const { reply } = call
    if (call.kind !== 'set' || call.cache !== CACHE || call.outcome !== 'ok') return
    if (reply?.kind === 'written' && call.ack !== 'none') this.#acked.push(call)
  }

  onQuiet(core: readonly string[]): void {
    const last = this.#world.live().find(node => core.includes(node.life.node))
    if (last === undefined) return
    const { tip } = last.life
    const survived = this.#branches.filter(({ into }) => contains(tip, into))
    for (const branch of survived) {
      const kept = this.#keptIn(branch)
      for (const call of this.#acked) this.#checkAcked(branch, call, kept, tip)
    }
  }

  /** Still the last word on the branch, so it or a later entry must stand in the surviving log. */
  #checkAcked(branch: Merged, call: Call, kept: Map<string, Offset>, tip: LogPoint): void {
    const { lost, common } = branch
    const entry = this.#world.lineage
      .entriesOf(call.window, call.seq)
      .find(({ point }) => contains(lost, point) && !contains(common, point))
    if (entry === undefined || kept.get(call.key) !== entry.offset) return
    for (const point of after(common, tip))
      for (const one of point.entries) {
        const { op, cache, key } = commandOf(point, one)
        if (cache === CACHE && (key === call.key || op === OP.clear)) return
      }
    this.#world.fail(
      'I22',
      `set of ${call.key} by ${call.client}#${call.seq} was acknowledged and merged, and is gone`,
    )
  }

  /** Keys that the abandoned branch set, kept to its end, and where the last set stands. */
  #keptIn({ lost, common }: Merged): Map<string, Offset> {
    const kept = new Map<string, Offset>()
    for (const point of after(common, lost))
      for (const entry of point.entries) {
        const { op, cache, key } = commandOf(point, entry)
        const { outcome, version } = this.#outcomeAt(point, entry.offset) ?? {}
        if (cache !== CACHE || outcome !== 'ok') continue
        if (op === OP.set) {
          // A repeat has the version that the first one set, and sets nothing.
          if (version === entry.offset) kept.set(key, entry.offset)
        } else if (op === OP.clear) kept.clear()
        else if (op !== OP.touch) kept.delete(key)
      }
    return kept
  }

  /** Keys that entries of the surviving log behind the common point name; '' for a clear. */
  #namedIn({ into, common }: Merged): Set<string> {
    const named = new Set<string>()
    for (const point of after(common, into))
      for (const entry of point.entries) {
        const { op, cache, key } = commandOf(point, entry)
        if (cache !== CACHE) continue
        if (op === OP.set || op === OP.delete || op === OP.clear) named.add(key)
      }
    return named
  }
}

const READER = new Reader()

function commandOf(point: LogPoint, { start, end }: LogEntry) {
  const reader = READER.open((point.batch as NonNullable<LogPoint['batch']>).bytes, start, end)
  const op = reader.u8()
  reader.skip(1)
  return { op, cache: reader.text8(), key: reader.text16() }
}

/** The newest log that both continue. */
function commonOf(a: LogPoint, b: LogPoint): LogPoint {
  let point: LogPoint = a
  while (point.parent !== undefined && !contains(b, point)) point = point.parent
  return point
}

/** Batches of `tip` behind `common`, which it holds; oldest first. */
function after(common: LogPoint, tip: LogPoint): LogPoint[] {
  const points: LogPoint[] = []
  for (let at = tip; at !== common && at.parent !== undefined; at = at.parent) points.push(at)
  return points.reverse()
}
