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
  /** Candidates looked at, and configurations compared. */
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

/** At the worst about 20 s a key. */
export const SEARCH_LIMITS: SearchLimits = { stepsMax: 50_000_000, cacheBytesMax: 256 * 2 ** 20 }

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

const STATE_BYTES = 80

/** Where open operations alone can lead from one configuration. */
interface Member<State> {
  readonly state: State
  /** Of each kind of open operations, how many are placed. */
  readonly spent: readonly number[]
}

/** One operation with an end, placed; and the way on from there. */
interface Level<State> {
  /** Its start in the list; 0 for the level on which nothing is placed yet. */
  readonly node: number
  /** Which operations with an end are placed. */
  readonly placed: string
  /** The thriftiest first, so that the wasteful find their better already known. */
  readonly members: Member<State>[]
  /** The next candidate: of this member, at this node. */
  member: number
  cursor: number
}

class Search<State, Operation> {
  readonly #intervals: readonly Interval<Operation>[]
  readonly #model: Model<State, Operation>
  readonly #limits: SearchLimits
  readonly #order: CallOrder<Operation>
  readonly #ranks: CallRanks
  readonly #seen = new SeenConfigurations()
  readonly #stateIds = new Map<State, number>()
  readonly #path: Level<State>[] = []
  #steps = 0
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
  }

  run(): Judgement<Operation> {
    const order = this.#order
    const none = order.open.map(() => 0)
    this.#enter(0, { state: this.#model.initial, spent: none })
    while (order.left > 0) {
      const level = this.#path.at(-1)
      if (level === undefined) return this.#end('violated')
      if (this.#isSpent()) return this.#end('undecided')
      if (level.member === level.members.length) this.#takeBack(level)
      else this.#tryNext(level, level.members[level.member])
    }
    return this.#end('linearizable')
  }

  #end(verdict: Verdict): Judgement<Operation> {
    const stuck = verdict === 'violated' ? this.#stuck : undefined
    return { verdict, steps: this.#stepsTaken, stuck }
  }

  get #stepsTaken(): number {
    return this.#steps + this.#seen.comparisons
  }

  #isSpent(): boolean {
    const bytes = this.#seen.bytes + this.#stateIds.size * STATE_BYTES
    return this.#stepsTaken >= this.#limits.stepsMax || bytes >= this.#limits.cacheBytesMax
  }

  /** Those that must be placed come before those that may be. */
  #tryNext(level: Level<State>, member: Member<State>): void {
    const node = level.cursor
    if (this.#order.isEnd(node)) {
      this.#noteWall(node)
      this.#addMembers(level, member, node)
      level.member++
      level.cursor = this.#order.first
      return
    }
    level.cursor = this.#order.after(node)
    const index = this.#order.operationAt(node)
    if (!this.#ranks.isNext(index)) {
      this.#steps++
      return
    }
    const state = this.#apply(member.state, index)
    if (state === undefined) return
    this.#order.lift(node)
    this.#ranks.take(index)
    if (!this.#enter(node, { state, spent: member.spent })) this.#giveBack(node)
  }

  /** Open operations that start before `wall`, one more of each kind. */
  #addMembers(level: Level<State>, { state, spent }: Member<State>, wall: number): void {
    const { open } = this.#order
    for (let kind = 0; kind < open.length; kind++) {
      const next = open[kind][spent[kind]]
      // Later ones of a kind start later, so none of them is free either.
      if (next === undefined || next.behind >= wall) continue
      const after = this.#apply(state, next.index)
      if (after === undefined || after === state) continue
      const member = { state: after, spent: spent.with(kind, spent[kind] + 1) }
      if (this.#isNew(level.placed, member)) level.members.push(member)
    }
  }

  #apply(state: State, index: number): State | undefined {
    this.#steps++
    return this.#model.apply(state, this.#intervals[index].operation)
  }

  /** Goes on from what the list now shows, unless that was searched before. */
  #enter(node: number, member: Member<State>): boolean {
    const placed = this.#order.placedText()
    if (!this.#isNew(placed, member)) return false
    const cursor = this.#order.first
    this.#path.push({ node, placed, members: [member], member: 0, cursor })
    return true
  }

  #isNew(placed: string, { state, spent }: Member<State>): boolean {
    let id = this.#stateIds.get(state)
    if (id === undefined) {
      id = this.#stateIds.size
      this.#stateIds.set(state, id)
    }
    return this.#seen.add(String.fromCharCode(id & 0xffff, id >>> 16) + placed, spent)
  }

  #takeBack({ node }: Level<State>): void {
    this.#path.pop()
    if (node !== 0) this.#giveBack(node)
  }

  #giveBack(node: number): void {
    this.#order.restore(node)
    this.#ranks.giveBack(this.#order.operationAt(node))
  }

  /** Nothing behind the end at `node` may be placed before its operation is. */
  #noteWall(node: number): void {
    if (this.#order.left >= this.#fewestLeft) return
    this.#fewestLeft = this.#order.left
    this.#stuck = this.#intervals[this.#order.operationAt(node)]
  }
}
