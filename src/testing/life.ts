/**
 * One life of a node as the checkers see it: what its log holds (as a point in the lineage), what
 * it believes to be, when it ran. A memory-only node that restarts is a new life without data.
 */
import type { Standing } from '../contracts/strategy.js'
import type { Epoch, Offset, PeerId } from '../contracts/types.js'
import { contains, type LogPoint } from './lineage.js'

export class Life {
  /** Undefined while it runs. */
  endedAt: number | undefined
  tip: LogPoint
  /** A full copy is under way: what the log seems to hold is not there yet. */
  copying = false
  /** It has been a voter; it remembers what it promised and acked, even while it is copied anew. */
  voted = false
  /** It stood still while another process of its node voted: until it learns of that, its word is
   *  worth nothing. */
  replaced = false
  /** The history that it is, or was last, a full copy of. */
  copiedHistory = ''
  standing: Standing | undefined
  /** The epoch it leads, from `become` until it steps down. */
  leads: Epoch | undefined
  /** The highest epoch promised, and when. */
  promised: { readonly epoch: Epoch; readonly at: number } | undefined
  /** Logs that it held whole, before it lost their ends. */
  readonly peaks: LogPoint[] = []
  /** The batch that was found last, and the log in which it was. */
  #found: LogPoint | undefined
  #foundIn: LogPoint | undefined

  constructor(
    readonly node: PeerId,
    readonly ordinal: number,
    readonly incarnation: string,
    readonly startedAt: number,
    root: LogPoint,
  ) {
    this.tip = root
  }

  get alive(): boolean {
    return this.endedAt === undefined
  }

  /** True if its data now includes everything up to `point`. */
  holds(point: LogPoint): boolean {
    return !this.copying && contains(this.tip, point)
  }

  /** The batch of its log that holds entry `offset`; the log's end if none does yet. */
  pointOf(offset: Offset): LogPoint {
    // Several laws ask for each entry of a batch in turn.
    const found = this.#found
    if (found?.batch !== undefined && this.#foundIn === this.tip)
      if (found.batch.first <= offset && offset < found.next) return found
    let point = this.tip
    while (point.parent !== undefined && point.parent.next > offset) point = point.parent
    this.#found = point
    this.#foundIn = this.tip
    return point
  }

  everHeld(point: LogPoint): boolean {
    return this.holds(point) || this.peaks.some(peak => contains(peak, point))
  }

  /** Before the log shrinks or the life ends. */
  notePeak(): void {
    if (!this.copying && this.tip.parent !== undefined) this.peaks.push(this.tip)
  }

  toString(): string {
    return `${this.node}/${this.incarnation.slice(0, 4)}`
  }
}
