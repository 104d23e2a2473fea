/** Pending calls by id: a ring instead of a map, because every call passes through it. */
import { LIMITS } from '../config.js'
import type { Call } from './call.js'

const FIRST_SIZE = 1_024

/** Holds at most LIMITS.callsMax calls; ids are u32 and wrap around. */
export class CallTable {
  #slots: (Call | undefined)[] = new Array(FIRST_SIZE).fill(undefined)
  #mask = FIRST_SIZE - 1
  #next = 1
  #count = 0

  get count(): number {
    return this.#count
  }

  get full(): boolean {
    return this.#count >= LIMITS.callsMax
  }

  /** Gives `call` its id. */
  add(call: Call): void {
    if (this.#count * 2 > this.#mask) this.#grow()
    // A call that waits long keeps its slot: the ids that would meet it are passed over.
    while (this.#slots[this.#next & this.#mask] !== undefined) this.#next = (this.#next + 1) >>> 0
    call.id = this.#next
    this.#slots[this.#next & this.#mask] = call
    this.#next = (this.#next + 1) >>> 0
    this.#count++
  }

  get(id: number): Call | undefined {
    const call = this.#slots[id & this.#mask]
    return call !== undefined && call.id === id ? call : undefined
  }

  remove(call: Call): void {
    const slot = call.id & this.#mask
    if (this.#slots[slot] !== call) return
    this.#slots[slot] = undefined
    this.#count--
  }

  /** All of them, in the order of their ids. */
  all(): Call[] {
    const calls: Call[] = []
    for (const call of this.#slots) if (call !== undefined) calls.push(call)
    return calls.sort(byId)
  }

  #grow(): void {
    const calls = this.all()
    const size = (this.#mask + 1) * 2
    this.#slots = new Array(size).fill(undefined)
    this.#mask = size - 1
    for (const call of calls) this.#slots[call.id & this.#mask] = call
  }
}

/** Oldest first, across the wrap of u32. */
export function byId(a: Call, b: Call): number {
  return (a.id - b.id) | 0
}
