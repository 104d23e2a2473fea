/**
 * I11, session guarantees: a read that carries what its client has seen never answers from a state
 * without it, unless it says DIVERGED, which it may only where that is true. And a local read is
 * never further behind than asked for: at some moment within its bound a node that led had nothing
 * more than what was answered from. Positions name logs in the lineage; values are held against the
 * client's own books.
 */
import { TIMES } from '../../config.js'
import type { Epoch, PeerId, Position } from '../../contracts/types.js'
import { Reader } from '../../wire/bytes.js'
import { OP } from '../../wire/command.js'
import type { Life } from '../life.js'
import { contains, type LogPoint } from '../lineage.js'
import type { Call, Reply } from '../simulated-client.js'
import type { Checker, World } from './checker.js'
import { lifeMsOf } from './expiry.js'

/** Clocks of nodes run up to a fifth apart in a simulation. */
const CLOCK_SLACK = 1.25
const SLACK_MS = 50
const REMOVALS: readonly number[] = [OP.delete, OP.expire, OP.evict, OP.clear]

/** What one client knows. */
interface Books {
  /** Logs that it was answered from, none of which holds another. */
  floors: readonly LogPoint[]
  /** Times that it was told DIVERGED: what it had asked before then may be answered without. */
  losses: number
  /** By cache and key: the highest version it met, and a log that holds it. */
  readonly versions: Map<string, { version: number; point: LogPoint }>
}

interface Begun {
  readonly floors: readonly LogPoint[]
  readonly losses: number
  readonly version: number
  readonly point: LogPoint
}

/** The time in which one life led, with the ends of its log from its epoch's first entry on: what
 *  it held before is not all its own, and may be cut in the step that makes it master. */
interface Reign {
  readonly life: Life
  until: number
  readonly tips: { readonly at: number; readonly point: LogPoint }[]
}

export interface Sessions extends Checker {
  /** Reads judged: answered with what the client had seen, and answered by a node near by. */
  readonly counts: { withToken: number; local: number; diverged: number }
}

/** `late`: entries count only once W voters hold them. */
export function sessionsAreKept(world: World, late = false): Sessions {
  return new SessionChecker(world, late)
}

class SessionChecker implements Sessions {
  readonly name = 'sessions are kept'
  readonly counts = { withToken: 0, local: 0, diverged: 0 }
  readonly #world: World
  readonly #points = new Map<string, LogPoint>()
  readonly #removals = new Map<string, { point: LogPoint; offset: number }[]>()
  readonly #books = new Map<PeerId, Books>()
  /** What the client knew when the call began. */
  readonly #begun = new Map<Call, Begun>()
  readonly #reigns: Reign[] = []
  readonly #late: boolean
  /** Where entries count late: what each life has applied. */
  readonly #applied = new Map<Life, LogPoint>()

  constructor(world: World, late: boolean) {
    this.#world = world
    this.#late = late
  }

  onAppend(life: Life, batch: { epoch: Epoch; next: number }): void {
    const point = life.tip
    const name = nameOf({ epoch: batch.epoch, offset: batch.next - 1 })
    if (!this.#points.has(name)) {
      this.#points.set(name, point)
      this.#noteRemovals(point)
    }
    if (!this.#late) this.#extend(life, point)
  }

  /** Where entries count late, readers are shown what is committed, not what is in the log. */
  onResult(life: Life, offset: number): void {
    if (!this.#late || this.#applied.get(life)?.next === offset + 1) return
    const point = life.pointOf(offset)
    if (this.#applied.get(life) === point) return
    this.#applied.set(life, point)
    this.#extend(life, point)
  }

  #extend(life: Life, point: LogPoint): void {
    const reign = this.#reigns.findLast(one => one.life === life)
    if (reign !== undefined && reign.until === Number.POSITIVE_INFINITY)
      reign.tips.push({ at: this.#world.now(), point })
  }

  onBecome(life: Life, standing: { role: string }): void {
    const now = this.#world.now()
    const reign = this.#reigns.findLast(one => one.life === life)
    const leads = reign !== undefined && reign.until === Number.POSITIVE_INFINITY
    if (standing.role !== 'master') {
      if (leads) reign.until = now
    } else if (!leads) {
      // One that cannot commit leads all the same, and shows what it has applied.
      const shown = this.#applied.get(life) ?? this.#world.lineage.root
      const tips = this.#late ? [{ at: now, point: shown }] : []
      this.#reigns.push({ life, until: Number.POSITIVE_INFINITY, tips })
    }
  }

  onEnd(life: Life): void {
    for (const reign of this.#reigns)
      if (reign.life === life) reign.until = Math.min(reign.until, this.#world.now())
  }

  onCallStart(call: Call): void {
    if (call.kind !== 'get') return
    const { floors, losses, versions } = this.#booksOf(call.client)
    const known = versions.get(`${call.cache}/${call.key}`)
    const { root } = this.#world.lineage
    this.#begun.set(call, { floors, losses, version: 0, point: root, ...known })
  }

  onCallEnd(call: Call): void {
    const begun = this.#begun.get(call)
    this.#begun.delete(call)
    const { reply } = call
    if (reply === undefined) return
    const books = this.#booksOf(call.client)
    if (reply.code === 'DIVERGED') return this.#checkLoss(call, reply, books)
    if (call.outcome !== 'ok') return
    const point = this.#pointOf(reply.position)
    if (point === undefined)
      this.#world.fail('I11', `${reply.from} answered from ${nameOf(reply.position)}, no log's end`)
    const judged = begun !== undefined && begun.losses === books.losses
    if (judged && (call.withToken || call.read === 'local')) {
      this.counts.withToken++
      const missed = begun.floors.find(floor => !contains(point, floor))
      if (missed !== undefined)
        this.#world.fail(
          'I11',
          `${whatOf(call)} was answered from ${nameOf(reply.position)}, without ` +
            `${missed.next - 1} of ${missed.batch?.epoch.number}, which the client had seen`,
        )
      if (contains(point, begun.point)) this.#checkVersion(call, reply, begun.version, point)
    }
    if (call.local) this.#checkAge(call, reply, point)
    this.#learn(books, call, reply, point)
  }

  #learn(books: Books, call: Call, reply: Reply, point: LogPoint): void {
    if (!books.floors.some(floor => contains(floor, point)))
      books.floors = [...books.floors.filter(floor => !contains(point, floor)), point]
    if (reply.version > 0)
      books.versions.set(`${call.cache}/${call.key}`, { version: reply.version, point })
  }

  /** DIVERGED is said only of what is not in the log of who says it. */
  #checkLoss(call: Call, reply: Reply, books: Books): void {
    this.counts.diverged++
    const mine = this.#pointOf(reply.position)
    const holds = (position: Position): boolean => {
      const point = this.#pointOf(position)
      return mine !== undefined && point !== undefined && contains(mine, point)
    }
    if (call.sent.every(holds))
      this.#world.fail(
        'I11',
        `${reply.from} called ${call.sent.map(nameOf)} lost, all of which ` +
          `${nameOf(reply.position)} holds`,
      )
    books.floors = mine === undefined ? [] : [mine]
    books.losses++
    books.versions.clear()
  }

  /** Not older than what the client met, nor absent without a reason in that log. */
  #checkVersion(call: Call, reply: Reply, version: number, point: LogPoint): void {
    if (version === 0) return
    if (reply.kind === 'value' && reply.version >= version) return
    if (reply.kind === 'absent') {
      if (lifeMsOf(call.cache) > 0) return
      for (const key of [call.key, ''])
        for (const removal of this.#removals.get(`${call.cache}/${key}`) ?? [])
          if (removal.offset > version && contains(point, removal.point)) return
    }
    this.#world.fail(
      'I11',
      `${whatOf(call)} gave ${reply.kind} ${reply.version}, though the client had met ${version}`,
    )
  }

  #checkAge(call: Call, reply: Reply, point: LogPoint): void {
    this.counts.local++
    const boundMs = (call.maxStaleMs ?? TIMES.maxStaleMs) * CLOCK_SLACK + SLACK_MS
    const from = call.startedAt - boundMs
    for (const { until, tips } of this.#reigns) {
      if (until < from) continue
      const first = tips.findLast(tip => tip.at <= from) ?? tips[0]
      if (first !== undefined && contains(point, first.point)) return
    }
    this.#world.fail(
      'I11',
      `${whatOf(call)} was answered by ${reply.from} from ${nameOf(reply.position)}, ` +
        `more than ${boundMs} ms behind every node that led`,
    )
  }

  #noteRemovals(point: LogPoint): void {
    if (point.batch === undefined) return
    const reader = new Reader()
    for (const { offset, start, end } of point.entries) {
      reader.open(point.batch.bytes, start, end)
      const op = reader.u8()
      if (!REMOVALS.includes(op)) continue
      reader.u8()
      const name = `${reader.text8()}/${reader.text16()}`
      const list = this.#removals.get(name)
      if (list === undefined) this.#removals.set(name, [{ point, offset }])
      else list.push({ point, offset })
    }
  }

  #booksOf(client: PeerId): Books {
    let books = this.#books.get(client)
    if (books === undefined) {
      books = { floors: [], losses: 0, versions: new Map() }
      this.#books.set(client, books)
    }
    return books
  }

  #pointOf(position: Position): LogPoint | undefined {
    return position.offset === 0 ? this.#world.lineage.root : this.#points.get(nameOf(position))
  }
}

function nameOf({ epoch, offset }: Position): string {
  return `${epoch.number}.${epoch.incarnation}:${offset}`
}

function whatOf(call: Call): string {
  return `get ${call.cache}/${call.key} of ${call.client} (${call.read ?? 'master'})`
}
