/**
 * Every log of a run as paths in one tree. A batch's checksum covers all before it, so
 * `(next, crc)` names a whole log; logs that agree share a path, a divergence is a fork. "Does this
 * log hold that entry" is then a question about ancestors, answered without reading any log.
 */
import type { Batch, ClientRef, Epoch, Offset } from '../contracts/types.js'
import { visitEntries } from '../wire/batch.js'

/** A log, named by its last batch. The root is the empty log. */
export interface LogPoint {
  readonly parent: LogPoint | undefined
  readonly next: Offset
  readonly crc: number
  /** Undefined only at the root. */
  readonly batch: Batch | undefined
  readonly branch: Branch
  /** Position within the branch. */
  readonly index: number
  /** What the batch holds, in order. */
  readonly entries: readonly LogEntry[]
}

/** One entry, its command still encoded: `point.batch.bytes[start, end)`. */
export interface LogEntry {
  readonly offset: Offset
  readonly client: ClientRef | null
  readonly seq: number
  readonly start: number
  readonly end: number
}

interface Branch {
  /** Where it left another one. */
  readonly fork: LogPoint | undefined
  length: number
}

/** One occurrence of a write in some log; a retry may occur twice. */
export interface WrittenEntry {
  readonly point: LogPoint
  readonly offset: Offset
}

/** For messages: counter, ordinal and the beginning of the incarnation. */
export function epochName(epoch: Epoch): string {
  return `${Math.floor(epoch.number / 256)}.${epoch.number % 256}-${epoch.incarnation.slice(0, 4)}`
}

export class Lineage {
  readonly root: LogPoint
  /** By next * 2^32 + crc: exact below 2^21 entries, which is what a run may hold. */
  readonly #points = new Map<number, LogPoint>()
  readonly #entries = new Map<string, Map<number, WrittenEntry[]>>()

  constructor() {
    const branch: Branch = { fork: undefined, length: 1 }
    const nothing = { parent: undefined, batch: undefined, entries: [] }
    this.root = { ...nothing, next: 1, crc: 0, branch, index: 0 }
    this.#points.set(keyOf(1, 0), this.root)
  }

  /** The log that ends before `next` with `crc`, if any node ever had it. */
  find(next: Offset, crc: number): LogPoint | undefined {
    return this.#points.get(keyOf(next, crc))
  }

  /** The log `tip` with `batch` behind it. */
  extend(tip: LogPoint, batch: Batch): LogPoint {
    const known = this.find(batch.next, batch.crc)
    if (known !== undefined) return known
    const branch = tip.index === tip.branch.length - 1 ? tip.branch : { fork: tip, length: 0 }
    const entries: LogEntry[] = []
    const point: LogPoint = {
      parent: tip,
      next: batch.next,
      crc: batch.crc,
      batch,
      branch,
      index: branch.length++,
      entries,
    }
    this.#points.set(keyOf(batch.next, batch.crc), point)
    visitEntries(batch, {
      onEntry: (offset, client, seq, _source, start, end) => {
        entries.push({ offset, client, seq, start, end })
        if (client !== null) this.#note(client.id, seq, { point, offset })
      },
    })
    return point
  }

  #note(client: string, seq: number, entry: WrittenEntry): void {
    let bySeq = this.#entries.get(client)
    if (bySeq === undefined) {
      bySeq = new Map()
      this.#entries.set(client, bySeq)
    }
    const list = bySeq.get(seq)
    if (list === undefined) bySeq.set(seq, [entry])
    else list.push(entry)
  }

  /** Everywhere that `(client, seq)` stands, in the order seen. */
  entriesOf(client: string, seq: number): readonly WrittenEntry[] {
    return this.#entries.get(client)?.get(seq) ?? []
  }

  /** The ancestor of `tip` (itself included) that ends before `next`. */
  ancestorAt(tip: LogPoint, next: Offset): LogPoint | undefined {
    let point: LogPoint | undefined = tip
    while (point !== undefined && point.next > next) point = point.parent
    return point?.next === next ? point : undefined
  }

  /** All batches of the log `tip`, oldest first. */
  path(tip: LogPoint): LogPoint[] {
    const path: LogPoint[] = []
    for (let point = tip; point.parent !== undefined; point = point.parent) path.push(point)
    return path.reverse()
  }
}

/** True if the log `tip` holds everything that `point` holds. */
export function contains(tip: LogPoint, point: LogPoint): boolean {
  let at: LogPoint | undefined = tip
  while (at !== undefined && at.branch !== point.branch) at = at.branch.fork
  return at !== undefined && point.index <= at.index
}

function keyOf(next: Offset, crc: number): number {
  return next * 2 ** 32 + crc
}
