/**
 * Calls with many keys: one call an item, a bounded number of them at once, and one deadline for
 * all. Where keys lie in several partitions some may fail while others do not, so every item is
 * asked for whatever became of the others, and the error tells which keys failed, and why each.
 */
import { type ErrorCode, GcacheError } from '../errors.js'

/** Calls that are under way at once. */
const MANY_CALLS = 512
/** ... and their values: no more is asked while they have so many. */
const MANY_BYTES = 8 * 2 ** 20
/** With so little left, or a tenth of the whole, a call gives up before anybody can answer. */
const LEFT_MS_MIN = 25

export interface Many<T, R> {
  /** Errors of writes have an outcome. */
  readonly kind: 'read' | 'write'
  /** All have settled before it. */
  readonly timeoutMs: number
  /** Monotonic ms. */
  now(): number
  keyOf(item: T): string
  /** Settles within `leftMs`. */
  ask(item: T, leftMs: number): Promise<R>
  /** Of its value. */
  bytesOf?(item: T): number
}

/** Results in the order of `items`. Rejects, once all have settled, with the failure of the first
 *  item that failed; `failed` has each key that did with its own. A write of which a part was done,
 *  or may have been, has the outcome 'unknown'. Not asked for is what the deadline left no time
 *  for, and what a closed port would refuse: TIMEOUT, CLOSED. */
export function askMany<T, R>(items: readonly T[], many: Many<T, R>): Promise<R[]> {
  return new Promise((resolve, reject) => new ManyCalls(items, many, resolve, reject).askOn())
}

class ManyCalls<T, R> {
  readonly #items: readonly T[]
  readonly #many: Many<T, R>
  readonly #resolve: (results: R[]) => void
  readonly #reject: (reason: unknown) => void
  readonly #results: R[] = []
  /** By the place of their items. */
  readonly #failures = new Map<number, GcacheError>()
  readonly #dueAt: number
  #asked = 0
  #underWay = 0
  #bytes = 0
  /** Why no more is asked. */
  #stopped: unknown

  constructor(
    items: readonly T[],
    many: Many<T, R>,
    resolve: (results: R[]) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#items = items
    this.#many = many
    this.#resolve = resolve
    this.#reject = reject
    this.#dueAt = many.now() + many.timeoutMs
  }

  /** Asks for as many as may be under way; what settles makes room for the next. */
  askOn(): void {
    const leftMs = this.#dueAt - this.#many.now()
    const late = leftMs <= Math.min(LEFT_MS_MIN, this.#many.timeoutMs / 10)
    while (this.#stopped === undefined && this.#asked < this.#items.length) {
      if (this.#underWay === MANY_CALLS || this.#bytes >= MANY_BYTES) return
      if (late) this.#stopped = this.#unasked('TIMEOUT', 'not asked for before the deadline')
      else this.#ask(this.#asked++, leftMs)
    }
    if (this.#underWay === 0) this.#end()
  }

  #ask(index: number, leftMs: number): void {
    const item = this.#items[index]
    const bytes = this.#many.bytesOf?.(item) ?? 0
    this.#underWay++
    this.#bytes += bytes
    const settled = (): void => {
      this.#underWay--
      this.#bytes -= bytes
      this.askOn()
    }
    begun(() => this.#many.ask(item, leftMs)).then(
      result => {
        this.#results[index] = result
        settled()
      },
      reason => {
        this.#onFailure(index, reason)
        settled()
      },
    )
  }

  #onFailure(index: number, reason: unknown): void {
    if (!(reason instanceof GcacheError)) this.#stopped = reason ?? new Error('failed')
    else {
      this.#failures.set(index, reason)
      if (reason.code === 'CLOSED') this.#stopped ??= this.#unasked('CLOSED', reason.message)
    }
  }

  #unasked(code: ErrorCode, message: string): GcacheError {
    return new GcacheError(code, message, { outcome: this.#outcome('rejected') })
  }

  #outcome(ofWrites: 'rejected' | 'unknown'): 'rejected' | 'unknown' | undefined {
    return this.#many.kind === 'write' ? ofWrites : undefined
  }

  #end(): void {
    const stopped = this.#stopped
    if (stopped instanceof GcacheError)
      for (let i = this.#asked; i < this.#items.length; i++) this.#failures.set(i, stopped)
    else if (stopped !== undefined) return this.#reject(stopped)
    if (this.#failures.size === 0) this.#resolve(this.#results)
    else this.#reject(this.#failure())
  }

  #failure(): GcacheError {
    const failed = new Map<string, GcacheError>()
    const errors: GcacheError[] = []
    for (const [index, error] of [...this.#failures].sort(([a], [b]) => a - b)) {
      const key = this.#many.keyOf(this.#items[index])
      if (!failed.has(key)) failed.set(key, error)
      errors.push(error)
    }
    const [first] = errors
    const count = this.#items.length
    const nothing = errors.length === count && errors.every(one => one.outcome === 'rejected')
    const outcome = this.#outcome(nothing ? 'rejected' : 'unknown')
    const text = `${failed.size} of ${count} keys failed: ${first.message}`
    return new GcacheError(first.code, text, { cause: first, outcome, failed })
  }
}

/** What throws at once has failed like what rejects. */
function begun<R>(ask: () => Promise<R>): Promise<R> {
  try {
    return ask()
  } catch (error) {
    return Promise.reject(error)
  }
}
