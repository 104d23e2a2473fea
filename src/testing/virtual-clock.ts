/**
 * Time as a priority queue: nothing happens between two events, so an hour passes in the time its
 * events take. Tasks due at one instant run in the order they were asked for.
 */
import type { Clock, Timer } from '../contracts/environment.js'

interface Task extends Timer {
  readonly due: number
  readonly order: number
  run: (() => void) | undefined
}

export class VirtualClock implements Clock {
  #now = 0
  #order = 0
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
    const entry: Task = {
      due: this.#now + Math.max(0, delayMs),
      order: this.#order++,
      run: task,
      cancel() {
        entry.run = undefined
      },
    }
    this.#push(entry)
    return entry
  }

  /** Runs the next task, if it is due at or before `until` ms. False if there was none. */
  step(until = Number.POSITIVE_INFINITY): boolean {
    while (this.#heap.length > 0 && this.#heap[0].due <= until) {
      const task = this.#pop()
      this.#now = Math.max(this.#now, task.due)
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

  #push(task: Task): void {
    const heap = this.#heap
    let i = heap.push(task) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(task, heap[parent])) break
      heap[i] = heap[parent]
      i = parent
    }
    heap[i] = task
  }

  #pop(): Task {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop() as Task
    if (heap.length === 0) return top
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
      if (!before(heap[child], last)) break
      heap[i] = heap[child]
      i = child
    }
    heap[i] = last
    return top
  }
}

function before(a: Task, b: Task): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order)
}
