/**
 * Time as a priority queue: nothing happens between two events, so an hour passes in the time its
 * events take. Tasks due at one instant run in the order they were asked for.
 */
import type { Clock, Timer } from '../contracts/environment.js'

class Task implements Timer {
  readonly order: number
  run: (() => void) | undefined

  constructor(order: number, run: () => void) {
    this.order = order
    this.run = run
  }

  cancel(): void {
    this.run = undefined
  }
}

export class VirtualClock implements Clock {
  #now = 0
  #order = 0
  /** Two columns of one heap: times side by side are compared without a look at their tasks. */
  readonly #dues: number[] = []
  readonly #heap: Task[] = []
  readonly #wallStart: number

  /** `wallStart`: what wall() says at time 0, ms since 1970. */
  constructor(wallStart = 1_700_000_000_000) {
    this.#wallStart = wallStart
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#wallStart + this.#now
  }

  after(delayMs: number, task: () => void): Timer {
    const entry = new Task(this.#order++, task)
    this.#push(this.#now + Math.max(0, delayMs), entry)
    return entry
  }

  /** Runs the next task, if it is due at or before `until` ms. False if there was none. */
  step(until = Number.POSITIVE_INFINITY): boolean {
    while (this.#heap.length > 0 && this.#dues[0] <= until) {
      this.#now = Math.max(this.#now, this.#dues[0])
      const task = this.#pop()
      if (task.run === undefined) continue
      const run = task.run
      task.run = undefined
      run()
      return true
    }
    return false
  }

  /** Runs everything due within `ms` from now; the clock then stands exactly there. */
  advance(ms: number): void {
    const until = this.#now + ms
    while (this.step(until));
    this.#now = until
  }

  /** Advances until `condition` holds; false if `msMax` passed without it. */
  advanceUntil(condition: () => boolean, msMax: number): boolean {
    const until = this.#now + msMax
    while (!condition()) {
      if (this.step(until)) continue
      this.#now = until
      return condition()
    }
    return true
  }

  #push(due: number, task: Task): void {
    const dues = this.#dues
    const heap = this.#heap
    let i = heap.push(task) - 1
    dues.push(due)
    while (i > 0) {
      const parent = (i - 1) >> 1
      // Younger than all, it stays behind what is due at the same time.
      if (!(due < dues[parent])) break
      dues[i] = dues[parent]
      heap[i] = heap[parent]
      i = parent
    }
    dues[i] = due
    heap[i] = task
  }

  #pop(): Task {
    const dues = this.#dues
    const heap = this.#heap
    const top = heap[0]
    const due = dues.pop() as number
    const last = heap.pop() as Task
    const { length } = heap
    if (length === 0) return top
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= length) break
      if (child + 1 < length && this.#isBefore(child + 1, dues[child], heap[child])) child++
      if (!this.#isBefore(child, due, last)) break
      dues[i] = dues[child]
      heap[i] = heap[child]
      i = child
    }
    dues[i] = due
    heap[i] = last
    return top
  }

  /** True if the task at `at` runs before `task`, which is due at `due`. */
  #isBefore(at: number, due: number, task: Task): boolean {
    const its = this.#dues[at]
    return its < due || (its === due && this.#heap[at].order < task.order)
  }
}
