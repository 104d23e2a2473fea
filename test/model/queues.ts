/**
 * Links as queues of items, each queue known by a number. A link is first in, first out; when it
 * breaks, what is in it may still arrive up to any point, then DOWN, then UP of the next one.
 */
export const EMPTY = 0
export const DOWN = 1
export const UP = 2
/** Items from here on are messages. */
export const FIRST_MESSAGE = 3

interface Queue {
  readonly head: number
  /** Without the head. */
  readonly rest: number
  readonly messages: number
  /** DOWN or UP is in it: who receives from it has another link in mind than who sends to it. */
  readonly turns: boolean
  /** The queue from the first DOWN on, if messages stand before it; else 0. */
  readonly cut: number
}

const PLACES = 2 ** 24

export class Queues {
  readonly #queues: Queue[] = [{ head: 0, rest: 0, messages: 0, turns: false, cut: 0 }]
  /** head and rest -> number */
  readonly #numbers = new Map<number, number>()
  readonly #pushed = new Map<number, number>()

  get(queue: number): Queue {
    return this.#queues[queue]
  }

  push(queue: number, item: number): number {
    if (queue === EMPTY) return this.#cons(item, EMPTY)
    const key = queue * PLACES + item
    let result = this.#pushed.get(key)
    if (result === undefined) {
      const { head, rest } = this.#queues[queue]
      result = this.#cons(head, this.push(rest, item))
      this.#pushed.set(key, result)
    }
    return result
  }

  items(queue: number): number[] {
    if (queue === EMPTY) return []
    const { head, rest } = this.#queues[queue]
    return [head, ...this.items(rest)]
  }

  #cons(head: number, rest: number): number {
    const key = head * PLACES + rest
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const behind = this.#queues[rest]
    const isMessage = head >= FIRST_MESSAGE
    const number = this.#queues.length
    const down = behind.head === DOWN ? rest : behind.cut
    this.#queues.push({
      head,
      rest,
      messages: behind.messages + (isMessage ? 1 : 0),
      turns: behind.turns || !isMessage,
      cut: isMessage ? down : 0,
    })
    this.#numbers.set(key, number)
    return number
  }
}
