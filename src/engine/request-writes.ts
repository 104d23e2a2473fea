/**
 * Writes between their proposal and their answer, as columns instead of objects: who waits for a
 * proposal, and what apply decided for the newest offsets.
 */
import { LIMITS } from '../config.js'
import type { Outcome, ResultSink } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'
import type { ReplyLink } from './request-replies.js'

/** Power of two above LIMITS.unackedWritesMax. */
const SLOTS = 16_384
const SLOT_MASK = SLOTS - 1

/** Who waits for which proposal id. Ids grow from 1 and never return. */
export class WaitingWrites {
  readonly #ids = new Float64Array(SLOTS)
  readonly #calls = new Float64Array(SLOTS)
  readonly #bytes = new Float64Array(SLOTS)
  readonly #links: (ReplyLink | undefined)[] = new Array(SLOTS).fill(undefined)
  #next = 1
  #count = 0

  get count(): number {
    return this.#count
  }

  /** The id under which `call` of `link`, of `bytes`, waits; 0 if too many wait already. */
  add(link: ReplyLink, call: number, bytes: number): number {
    if (this.#count >= LIMITS.unackedWritesMax) return 0
    // A write that waits long keeps its slot: the ids that would meet it are passed over.
    while (this.#links[this.#next & SLOT_MASK] !== undefined) this.#next++
    const id = this.#next++
    const slot = id & SLOT_MASK
    this.#ids[slot] = id
    this.#calls[slot] = call
    this.#bytes[slot] = bytes
    this.#links[slot] = link
    this.#count++
    return id
  }

  /** Who waits for `id`; undefined if it is not ours or was answered. */
  link(id: number): ReplyLink | undefined {
    const slot = id & SLOT_MASK
    return this.#ids[slot] === id ? this.#links[slot] : undefined
  }

  /** Of an id that link() knows. */
  bytes(id: number): number {
    return this.#bytes[id & SLOT_MASK]
  }

  /** Ends the wait of an id that link() knows, and returns its call. */
  remove(id: number): number {
    const slot = id & SLOT_MASK
    this.#links[slot] = undefined
    this.#count--
    return this.#calls[slot]
  }
}

/** The results of the newest offsets. An older one is recovered by a retry: its window knows it. */
export class RecentResults implements ResultSink {
  readonly #offsets = new Float64Array(SLOTS)
  readonly #versions = new Float64Array(SLOTS)
  readonly #outcomes: Outcome[] = new Array(SLOTS).fill('ok')

  onResult(offset: Offset, outcome: Outcome, version: Offset): void {
    const slot = offset & SLOT_MASK
    this.#offsets[slot] = offset
    this.#versions[slot] = version
    this.#outcomes[slot] = outcome
  }

  has(offset: Offset): boolean {
    return this.#offsets[offset & SLOT_MASK] === offset
  }

  /** Only where has(). */
  outcome(offset: Offset): Outcome {
    return this.#outcomes[offset & SLOT_MASK]
  }

  version(offset: Offset): Offset {
    return this.#versions[offset & SLOT_MASK]
  }
}
