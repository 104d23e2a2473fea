/**
 * The starts and ends of a history in a doubly linked list, after Lowe (2017): an operation that is
 * placed is lifted out of it in O(1) and put back as it was. What may be placed next is whatever
 * starts before the first end in the list. Open operations have no end and stand beside it.
 */
import type { Interval } from './linearizability.js'

/** An open operation. */
export interface OpenStart {
  /** In the history. */
  readonly index: number
  /** It starts behind this node, and behind all nodes below. */
  readonly behind: number
}

interface Edge {
  /** In the history. */
  readonly index: number
  readonly at: number
  readonly isEnd: boolean
  readonly isOpen: boolean
}

const HEAD = 0
const BITS = 16

export class CallOrder<Operation> {
  /** By likeness, each in the order of their starts. */
  readonly open: readonly (readonly OpenStart[])[]
  /** Operations with an end that are still in the list. */
  left: number
  readonly #next: Int32Array
  readonly #previous: Int32Array
  /** Of each node: the operation in the history, and that operation's other node. */
  readonly #operation: Int32Array
  readonly #partner: Int32Array
  /** Of a start: how many start before it. Of any node: that number at this place. */
  readonly #rank: Int32Array
  readonly #startsBefore: Int32Array
  /** Bit by rank: lifted. */
  readonly #lifted: Uint16Array

  /** Open operations whose `likeness` is undefined are like no other. */
  constructor(
    intervals: readonly Interval<Operation>[],
    likeness: (operation: Operation) => string | undefined,
  ) {
    const edges = edgesOf(intervals)
    const nodes = edges.length + 1
    this.#next = new Int32Array(nodes)
    this.#previous = new Int32Array(nodes)
    this.#operation = new Int32Array(nodes)
    this.#partner = new Int32Array(nodes)
    this.#rank = new Int32Array(nodes)
    this.#startsBefore = new Int32Array(nodes)
    this.#lifted = new Uint16Array(Math.ceil(nodes / 2 / BITS))
    const starts = new Map<number, number>()
    const open = new Map<string | number, OpenStart[]>()
    let last = HEAD
    for (const { index, isEnd, isOpen } of edges) {
      if (isOpen) {
        const kind = likeness(intervals[index].operation) ?? index
        const alike = open.get(kind)
        if (alike === undefined) open.set(kind, [{ index, behind: last }])
        else alike.push({ index, behind: last })
        continue
      }
      const node = last + 1
      this.#previous[node] = last
      this.#next[last] = node
      this.#operation[node] = index
      if (isEnd) this.#pair(starts.get(index) as number, node)
      else starts.set(index, node)
      this.#rank[node] = isEnd ? 0 : starts.size - 1
      this.#startsBefore[node] = starts.size
      last = node
    }
    this.#previous[HEAD] = last
    this.open = [...open.values()]
    this.left = starts.size
  }

  /** The first node; 0 if all are lifted. */
  get first(): number {
    return this.#next[HEAD]
  }

  after(node: number): number {
    return this.#next[node]
  }

  isEnd(node: number): boolean {
    return this.#partner[node] < node
  }

  operationAt(node: number): number {
    return this.#operation[node]
  }

  /** Takes the start `node` and its end out. */
  lift(node: number): void {
    this.#unlink(node)
    this.#unlink(this.#partner[node])
    this.left--
    const rank = this.#rank[node]
    this.#lifted[Math.floor(rank / BITS)] |= 1 << (rank % BITS)
  }

  /** Undoes the last lift, which was `node`. */
  restore(node: number): void {
    this.#link(this.#partner[node])
    this.#link(node)
    this.left++
    const rank = this.#rank[node]
    this.#lifted[Math.floor(rank / BITS)] &= ~(1 << (rank % BITS))
  }

  /** What is lifted, as a text. All ranks below the first start in the list are lifted,
   *  and nothing that starts behind the first end is. */
  placedText(): string {
    const { first } = this
    const base = first === HEAD ? this.#lifted.length * BITS : this.#rank[first]
    let text = String.fromCharCode(base & 0xffff, base >>> 16)
    if (first === HEAD) return text
    const words = this.#startsBefore[this.#firstEnd()] / BITS
    for (let word = Math.floor(base / BITS); word < words; word++)
      text += String.fromCharCode(this.#lifted[word])
    return text
  }

  #firstEnd(): number {
    let node = this.first
    while (!this.isEnd(node)) node = this.#next[node]
    return node
  }

  #pair(start: number, end: number): void {
    this.#partner[start] = end
    this.#partner[end] = start
  }

  #unlink(node: number): void {
    const next = this.#next[node]
    const previous = this.#previous[node]
    this.#next[previous] = next
    this.#previous[next] = previous
  }

  #link(node: number): void {
    this.#next[this.#previous[node]] = node
    this.#previous[this.#next[node]] = node
  }
}

/** In the order of time; at one instant starts come first, so that intervals that touch overlap. */
function edgesOf<Operation>(intervals: readonly Interval<Operation>[]): Edge[] {
  const edges: Edge[] = []
  intervals.forEach(({ start, end }, index) => {
    edges.push({ index, at: start, isEnd: false, isOpen: end === undefined })
    if (end !== undefined) edges.push({ index, at: end, isEnd: true, isOpen: false })
  })
  return edges.sort((a, b) => a.at - b.at || Number(a.isEnd) - Number(b.isEnd))
}
