/**
 * The cluster as one row of numbers, and the steps that lead from a row to the next ones: a node
 * takes the head of a link, time passes on one node, a write, a crash, a split. Any order of them
 * may happen, so a slow node, a slow link and a late clock need no actions of their own.
 */
import { DOWN, EMPTY, type Queues, UP } from './queues.js'
import { actionOf, type Bounds, NODES } from './scope.js'
import { CRASH, delivery, type Step, type Steps, TICK, WRITE } from './steps.js'

/** Three lives, six links, the past for the laws, and what is left of the bounds. */
export const ROW = 11
export const PAST = 9
const LEFT = 10

/** Numbers within a row's last place. */
const WRITES = { shift: 0, mask: 3 }
const CRASHES = { shift: 2, mask: 3 }
const SPLITS = { shift: 4, mask: 3 }
const CUTS = { shift: 6, mask: 7 }
const TICKS = { shift: 9, mask: 255 }
type Field = typeof WRITES

export type Row = Int32Array

export function link(from: number, to: number): number {
  return NODES + from * (NODES - 1) + (to > from ? to - 1 : to)
}

/** The bit of a pair that is cut. */
function pair(one: number, other: number): number {
  return 1 << (one + other - 1)
}

export function left(row: Row, field: Field): number {
  return (row[LEFT] >> field.shift) & field.mask
}

function spend(row: Row, field: Field): void {
  row[LEFT] -= 1 << field.shift
}

export function rowOf(lives: readonly number[], past: number, bounds: Bounds): Row {
  const row = new Int32Array(ROW)
  row.set(lives)
  row[PAST] = past
  row[LEFT] =
    (bounds.writes << WRITES.shift) |
    (bounds.crashes << CRASHES.shift) |
    (bounds.splits << SPLITS.shift) |
    (bounds.ticks << TICKS.shift)
  return row
}

/** `row` is borrowed until it returns; `broken`: the law that the step broke. */
export type Visit = (action: number, row: Row, broken: string | undefined) => void

export class World {
  /** Steps that were not taken because too many messages would have been in flight. */
  refused = 0
  readonly #next = new Int32Array(ROW)

  constructor(
    readonly steps: Steps,
    readonly queues: Queues,
    readonly bounds: Bounds,
  ) {}

  successors(row: Row, visit: Visit): void {
    for (let node = 0; node < NODES; node++) {
      for (let from = 0; from < NODES; from++)
        if (from !== node) this.#receive(row, node, from, visit)
      if (left(row, TICKS) > 0) {
        const next = this.#from(row, TICKS)
        this.#end(next, node, this.steps.of(row[node], TICK), actionOf('tick', node), row, visit)
      }
      if (left(row, WRITES) > 0 && this.steps.lives[row[node]].serves) {
        const number = this.bounds.writes - left(row, WRITES) + 1
        const step = this.steps.of(row[node], WRITE + number)
        this.#end(this.#from(row, WRITES), node, step, actionOf('write', node), row, visit)
      }
      if (left(row, CRASHES) > 0) this.#crash(row, node, visit)
      if (left(row, SPLITS) > 0 && left(row, CUTS) === 0) this.#isolate(row, node, visit)
    }
    if (left(row, CUTS) > 0) this.#mend(row, visit)
  }

  #from(row: Row, spent?: Field): Row {
    const next = this.#next
    next.set(row)
    if (spent !== undefined) spend(next, spent)
    return next
  }

  /** The head of a link arrives; or, where the link is down, nothing of it but that. */
  #receive(row: Row, node: number, from: number, visit: Visit): void {
    const queue = row[link(from, node)]
    if (queue === EMPTY) return
    const { head, rest, cut } = this.queues.get(queue)
    const next = this.#from(row)
    next[link(from, node)] = rest
    const step = this.steps.of(row[node], delivery(from, head))
    this.#end(next, node, step, actionOf('deliver', node, from), row, visit)
    if (cut === EMPTY) return
    const lost = this.#from(row)
    lost[link(from, node)] = this.queues.get(cut).rest
    const loss = this.steps.of(row[node], delivery(from, DOWN))
    this.#end(lost, node, loss, actionOf('lose', node, from), row, visit)
  }

  /** A message goes only where both ends have the same life of the link in mind. */
  #end(next: Row, node: number, step: Step, action: number, row: Row, visit: Visit): void {
    const { sent } = step
    next[node] = step.life
    for (let i = 0; i < sent.length; i += 2) {
      const to = sent[i]
      if ((left(next, CUTS) & pair(node, to)) !== 0) continue
      if (this.queues.get(next[link(to, node)]).turns) continue
      next[link(node, to)] = this.queues.push(next[link(node, to)], sent[i + 1])
    }
    if (sent.length > 0 && this.#inFlight(next) > this.bounds.messages) {
      this.refused++
      return
    }
    visit(action, next, this.#judge(next, node, step, row))
  }

  #inFlight(row: Row): number {
    let messages = 0
    for (let i = NODES; i < PAST; i++) messages += this.queues.get(row[i]).messages
    return messages
  }

  #judge(next: Row, node: number, step: Step, row: Row): string | undefined {
    const { laws, lives } = this.steps
    let broken: string | undefined
    if (step.event !== 0) {
      const verdict = laws.add(row[PAST], step.event)
      next[PAST] = verdict.past
      broken = verdict.broken
    }
    if (step.life === row[node]) return broken
    for (let other = 0; other < NODES; other++) {
      if (other === node) continue
      const there = next[other]
      broken ??= laws.judgePair(step.life, lives[step.life], there, lives[there])
    }
    return broken
  }

  /** The memory goes; another process of the node begins, and its links come up at some time. */
  #crash(row: Row, node: number, visit: Visit): void {
    const next = this.#from(row, CRASHES)
    for (let other = 0; other < NODES; other++) {
      if (other === node) continue
      const cut = (left(row, CUTS) & pair(node, other)) !== 0
      next[link(other, node)] = cut ? EMPTY : this.queues.push(EMPTY, UP)
      if (cut) continue
      const there = this.queues.push(next[link(node, other)], DOWN)
      next[link(node, other)] = this.queues.push(there, UP)
    }
    this.#end(next, node, this.steps.of(row[node], CRASH), actionOf('crash', node), row, visit)
  }

  #isolate(row: Row, node: number, visit: Visit): void {
    const next = this.#from(row, SPLITS)
    for (let other = 0; other < NODES; other++) {
      if (other === node) continue
      next[LEFT] |= pair(node, other) << CUTS.shift
      for (const at of [link(node, other), link(other, node)])
        next[at] = this.queues.push(next[at], DOWN)
    }
    visit(actionOf('isolate', node), next, undefined)
  }

  #mend(row: Row, visit: Visit): void {
    const next = this.#from(row)
    for (let one = 0; one < NODES; one++)
      for (let other = 0; other < NODES; other++)
        if (other !== one && (left(row, CUTS) & pair(one, other)) !== 0)
          next[link(one, other)] = this.queues.push(next[link(one, other)], UP)
    next[LEFT] &= ~(CUTS.mask << CUTS.shift)
    visit(actionOf('mend'), next, undefined)
  }
}
