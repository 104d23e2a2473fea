/**
 * Is there an order of these operations, each taking effect between its start and its end, that a
 * sequential object could have gone through? The search of Wing and Gong (1993) with Lowe's memory
 * of configurations (2017), by hand: a list of starts and ends from which placed operations are
 * lifted, and a way back when an end comes up whose operation has found no place.
 *
 * Operations without an end (nobody knows how they ended) may take effect any time after their
 * start, or never. They would double the search each, so two laws keep them cheap: of open
 * operations that act alike only the one that started first is tried, for any order can be
 * rewritten to use it; and a configuration is not searched again if one with the same operations
 * placed, the same state and no more open ones spent has been.
 */
import { CallOrder } from './call-order.js'
import { CallRanks } from './call-ranks.js'
import { SeenConfigurations } from './seen-configurations.js'

/** A sequential object. `apply` is pure. */
export interface Model<State, Operation> {
  readonly initial: State
  /**
   * The state after `operation`, result included, or undefined if it cannot have happened in
   * `state`. States are compared by ===, so they are primitives. An operation that is open to the
   * end gives the same state where it would do nothing.
   */
  apply(state: State, operation: Operation): State | undefined
  /** Open operations with equal texts act alike in every state. Without it none are alike. */
  likeness?(operation: Operation): string
  /**
   * Spares the search what apply() would refuse in the end: of two operations with an end and with
   * ranks, the one of the higher rank can never be followed by the other. Undefined: no such law.
   */
  rank?(operation: Operation): number | undefined
}

/** `start <= end`, on one clock of any unit; undefined: open to the end of the history. Intervals
 *  that only touch overlap. */
export interface Interval<Operation> {
  readonly operation: Operation
  readonly start: number
  readonly end: number | undefined
}

/** 'undecided': a limit was reached first, nothing is known. */
export type Verdict = 'linearizable' | 'violated' | 'undecided'

export interface SearchLimits {
  /** Operations tried. */
  readonly stepsMax: number
  /** Configurations remembered, estimated. */
  readonly cacheBytesMax: number
}

export interface Judgement<Operation> {
  readonly verdict: Verdict
  readonly steps: number
  /** Of a violated history: the operation that no order could get past, after most were placed. */
  readonly stuck: Interval<Operation> | undefined
}

/** About 20 s and 400 MB of a process, at the worst. */
export const SEARCH_LIMITS: SearchLimits = { stepsMax: 20_000_000, cacheBytesMax: 256 * 2 ** 20 }

/** Deterministic: equal intervals in equal order give equal answers and steps. */
export function checkLinearizable<State, Operation>(
  intervals: readonly Interval<Operation>[],
  model: Model<State, Operation>,
  limits: SearchLimits = SEARCH_LIMITS,
): Judgement<Operation> {
  return new Search(intervals, model, limits).run()
}

/**
 * Every key by itself: a history is linearizable if the history of each of its keys is (Herlihy and
 * Wing 1990). The limits hold for each key. The first violated key ends it and is named.
 */
export function checkByKey<State, Operation>(
  keys: ReadonlyMap<string, readonly Interval<Operation>[]>,
  model: Model<State, Operation>,
  limits: SearchLimits = SEARCH_LIMITS,
): Judgement<Operation> & { readonly key: string | undefined } {
  let steps = 0
  let undecided: string | undefined
  for (const [key, intervals] of keys) {
    const judgement = checkLinearizable(intervals, model, limits)
    steps += judgement.steps
    if (judgement.verdict === 'violated') return { ...judgement, steps, key }
    if (judgement.verdict === 'undecided') undecided ??= key
  }
  const verdict = undecided === undefined ? 'linearizable' : 'undecided'
  return { verdict, steps, stuck: undefined, key: undecided }
}

/** No node: the candidates that have an end are all tried. */
const NONE = 0
const STATE_BYTES = 80

/** What one placed operation must give back. */
interface Placed<State> {
  /** Its start in the list; NONE for an open one. */
  readonly node: number
  /** Which kind of open operation. */
  readonly kind: number
  readonly before: State
}

class Search<State, Operation> {
  readonly #intervals: readonly Interval<Operation>[]
  readonly #model: Model<State, Operation>
  readonly #limits: SearchLimits
  readonly #order: CallOrder<Operation>
  readonly #ranks: CallRanks
  readonly #seen = new SeenConfigurations()
  readonly #stateIds = new Map<State, number>()
  readonly #path: Placed<State>[] = []
  /** Of each kind of open operations, how many are placed. */
  readonly #spent: number[]
  #state: State
  #steps = 0
  /** The next candidate: a node, or NONE and then a kind of open operations. */
  #node: number
  #kind = 0
  /** The first end in the list: nothing that starts behind it may be placed yet. */
  #wall = NONE
  #fewestLeft = Number.POSITIVE_INFINITY
  #stuck: Interval<Operation> | undefined

  constructor(
    intervals: readonly Interval<Operation>[],
    model: Model<State, Operation>,
    limits: SearchLimits,
  ) {
    this.#intervals = intervals
    this.#model = model
    this.#limits = limits
    this.#order = new CallOrder(intervals, operation => model.likeness?.(operation))
    this.#ranks = new CallRanks(
      intervals.map(({ operation, end }) =>
        end === undefined ? undefined : model.rank?.(operation),
      ),
    )
    this.#spent = this.#order.open.map(() => 0)
    this.#state = model.initial
    this.#node = this.#order.first
  }

  run(): Judgement<Operation> {
    while (this.#order.left > 0) {
      if (this.#place()) continue
      if (this.#isSpent()) return this.#end('undecided')
      if (!this.#takeBack()) return this.#end('violated')
    }
    return this.#end('linearizable')
  }

  #end(verdict: Verdict): Judgement<Operation> {
    const stuck = verdict === 'violated' ? this.#stuck : undefined
    return { verdict, steps: this.#steps, stuck }
  }

  #isSpent(): boolean {
    const bytes = this.#seen.bytes + this.#stateIds.size * STATE_BYTES
    return this.#steps >= this.#limits.stepsMax || bytes >= this.#limits.cacheBytesMax
  }

  /** Places the next candidate that leads to a configuration not seen yet. Those that must be
   *  placed come before those that may be. */
  #place(): boolean {
    const order = this.#order
    while (this.#node !== NONE) {
      const node = this.#node
      if (order.isEnd(node)) {
        this.#meetWall(node)
        break
      }
      if (this.#isSpent()) return false
      if (this.#placeNode(node)) return true
      this.#node = order.after(node)
    }
    for (; this.#kind < order.open.length; this.#kind++) {
      const kind = this.#kind
      const next = order.open[kind][this.#spent[kind]]
      // Later ones of a kind start later, so none of them is free either.
      if (next === undefined || next.behind >= this.#wall) continue
      if (this.#isSpent()) return false
      const after = this.#apply(this.#intervals[next.index].operation)
      if (after === undefined || after === this.#state) continue
      this.#spent[kind]++
      if (this.#enter(NONE, kind, after)) return true
      this.#spent[kind]--
    }
    return false
  }

  #placeNode(node: number): boolean {
    const index = this.#order.operationAt(node)
    if (!this.#ranks.isNext(index)) return false
    const after = this.#apply(this.#intervals[index].operation)
    if (after === undefined) return false
    this.#order.lift(node)
    this.#ranks.take(index)
    if (this.#enter(node, 0, after)) return true
    this.#giveBack(node)
    return false
  }

  #giveBack(node: number): void {
    this.#order.restore(node)
    this.#ranks.giveBack(this.#order.operationAt(node))
  }

  #meetWall(node: number): void {
    this.#node = NONE
    this.#kind = 0
    this.#wall = node
    if (this.#order.left >= this.#fewestLeft) return
    this.#fewestLeft = this.#order.left
    this.#stuck = this.#intervals[this.#order.operationAt(node)]
  }

  #apply(operation: Operation): State | undefined {
    this.#steps++
    return this.#model.apply(this.#state, operation)
  }

  /** Goes on from the configuration that the list now shows, unless it was searched before. */
  #enter(node: number, kind: number, after: State): boolean {
    let id = this.#stateIds.get(after)
    if (id === undefined) {
      id = this.#stateIds.size
      this.#stateIds.set(after, id)
    }
    if (!this.#seen.add(this.#order.placedText(id), this.#spent)) return false
    this.#path.push({ node, kind, before: this.#state })
    this.#state = after
    this.#node = this.#order.first
    return true
  }

  /** Undoes the last one placed and goes on behind it. False at the very beginning. */
  #takeBack(): boolean {
    const last = this.#path.pop()
    if (last === undefined) return false
    this.#state = last.before
    if (last.node !== NONE) {
      this.#giveBack(last.node)
      this.#node = this.#order.after(last.node)
      return true
    }
    this.#spent[last.kind]--
    this.#node = NONE
    this.#kind = last.kind + 1
    this.#wall = this.#order.firstEnd()
    return true
  }
}
