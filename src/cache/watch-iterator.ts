/**
 * Pushed events as an async iterator with a bounded buffer: who reads too slowly gets a 'gap' in
 * place of what was lost.
 */
import type { ChangeEvent } from '../contracts/cache.js'

/** Events that wait for a reader; then a 'gap' follows them. */
export const WATCH_BUFFER_MAX = 1_024

type Result<V> = IteratorResult<ChangeEvent<V>, undefined>

interface Reader<V> {
  resolve(result: Result<V>): void
  reject(error: unknown): void
}

export class WatchIterator<V> implements AsyncIterableIterator<ChangeEvent<V>> {
  #events: ChangeEvent<V>[] = []
  #readers: Reader<V>[] = []
  #failure: { error: unknown } | undefined
  #stop: (() => void) | undefined
  #ended = false
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = (): void => this.#end()

  /** `signal` ends the iteration as if the loop had been left. */
  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  /** `subscribe` gets what push() does, and returns what ends it. */
  start(subscribe: (sink: (event: ChangeEvent<V>) => void) => () => void): this {
    if (this.#signal?.aborted) {
      this.#ended = true
      return this
    }
    this.#stop = subscribe(event => this.#push(event))
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true })
    return this
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Result<V>> {
    const event = this.#events.shift()
    if (event !== undefined) return Promise.resolve({ done: false, value: event })
    if (this.#failure !== undefined) {
      const { error } = this.#failure
      this.#failure = undefined
      return Promise.reject(error)
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  return(): Promise<Result<V>> {
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  /** Ends the iteration; the reader gets `error` once. */
  fail(error: unknown): void {
    if (this.#ended) return
    const reader = this.#readers.shift()
    if (reader !== undefined) reader.reject(error)
    else this.#failure = { error }
    this.#end()
  }

  #push(event: ChangeEvent<V>): void {
    if (this.#ended) return
    const reader = this.#readers.shift()
    if (reader !== undefined) {
      reader.resolve({ done: false, value: event })
      return
    }
    const events = this.#events
    if (events.length < WATCH_BUFFER_MAX) events.push(event)
    else if (events[events.length - 1].kind !== 'gap')
      events.push({ kind: 'gap', key: '', value: undefined, version: 0 })
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#events = []
    this.#stop?.()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    for (const reader of this.#readers) reader.resolve({ done: true, value: undefined })
    this.#readers = []
  }
}
