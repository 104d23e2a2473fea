/**
 * 256 records as columns, by slot: half the memory of as many objects, with their headers, padding
 * and boxed offsets; and pages, unlike one long column, grow without a pause. Times are ms of
 * cluster time, and 0 says none.
 */
import { Values } from './values.js'

/** A power of two. A cache with one record pays for one page, 10 KiB. */
export const PAGE_SLOTS = 256
export const PAGE_SHIFT = 8
export const PAGE_MASK = PAGE_SLOTS - 1

/** Fields of a life, side by side. */
const LIFE_FIELDS = 3

/** `at`: a slot's place in its page, `[0, PAGE_SLOTS)`. */
export class Page {
  /** Undefined where no record lies. The very string that lru-cache holds. */
  readonly keys: (string | undefined)[] = new Array(PAGE_SLOTS).fill(undefined)
  readonly values: Values
  /** Records in use. */
  used = 0
  /** No record of this page expires before it: a lower bound. */
  soonest = Number.POSITIVE_INFINITY
  /** Version and changed, side by side: past 2^31 a plain field is boxed. */
  readonly #offsets = new Float64Array(PAGE_SLOTS * 2)
  /** expiresAt, deadline, idleMs; made with the first record that does not live for ever. */
  #lives: Float64Array | undefined = undefined

  /** `valueBytesExpected`: what the values will come to, as far as is known. */
  constructor(valueBytesExpected: number) {
    this.values = new Values(PAGE_SLOTS, valueBytesExpected)
  }

  /** The offset that last set the value. */
  version(at: number): number {
    return this.#offsets[at * 2]
  }

  /** The offset that last altered anything: `version <= changed`. */
  changed(at: number): number {
    return this.#offsets[at * 2 + 1]
  }

  stamp(at: number, version: number, changed: number): void {
    this.#offsets[at * 2] = version
    this.#offsets[at * 2 + 1] = changed
  }

  /** True if a record of this page may have a life. */
  get mortal(): boolean {
    return this.#lives !== undefined
  }

  /** The smaller of `deadline` and last use + `idleMs`. */
  expiresAt(at: number): number {
    return this.#lives === undefined ? 0 : this.#lives[at * LIFE_FIELDS]
  }

  deadline(at: number): number {
    return this.#lives === undefined ? 0 : this.#lives[at * LIFE_FIELDS + 1]
  }

  idleMs(at: number): number {
    return this.#lives === undefined ? 0 : this.#lives[at * LIFE_FIELDS + 2]
  }

  /** True if the record is past its life at `time`. */
  expired(at: number, time: number): boolean {
    const expiresAt = this.expiresAt(at)
    return expiresAt !== 0 && expiresAt <= time
  }

  setLife(at: number, deadline: number, idleMs: number, expiresAt: number): void {
    if (this.#lives === undefined) {
      if (expiresAt === 0 && deadline === 0 && idleMs === 0) return
      this.#lives = new Float64Array(PAGE_SLOTS * LIFE_FIELDS)
    }
    this.#lives[at * LIFE_FIELDS] = expiresAt
    this.#lives[at * LIFE_FIELDS + 1] = deadline
    this.#lives[at * LIFE_FIELDS + 2] = idleMs
    if (expiresAt !== 0 && expiresAt < this.soonest) this.soonest = expiresAt
  }
}

/** When a record used at `time` ends; 0: never. */
export function endOfLife(time: number, deadline: number, idleMs: number): number {
  if (idleMs === 0) return deadline
  const idleEnd = time + idleMs
  return deadline !== 0 && deadline < idleEnd ? deadline : idleEnd
}
