/**
 * The log and the state machine side by side: what is appended, what of it is applied, and how a
 * copy replaces both.
 */
import type { LogStore, ResultSink, StateMachine } from '../contracts/store.js'
import type { LogBase } from '../contracts/strategy.js'
import type { Batch, Epoch, Offset } from '../contracts/types.js'
import { NO_EPOCH } from '../core/epochs.js'
import { GcacheError } from '../errors.js'

const READ_BYTES = 2 ** 20

export class Applier {
  readonly #log: LogStore
  readonly #store: StateMachine
  /** The newest batch: mostly what is committed next, without a search in the log. */
  #newest: Batch | undefined
  readonly #applied = { epoch: NO_EPOCH, next: 1 }

  constructor(log: LogStore, store: StateMachine) {
    this.#log = log
    this.#store = store
  }

  /** Entries `[1, next)` are in the store; the last one is of `epoch`. The object is reused. */
  applied(): { readonly epoch: Epoch; readonly next: Offset } {
    this.#applied.next = this.#store.applied
    return this.#applied
  }

  append(batch: Batch): void {
    this.#log.append(batch)
    this.#newest = batch
  }

  truncate(from: Offset): void {
    this.#newest = undefined
    this.#log.truncate(from)
  }

  /** Applies `[applied, next)`; `results` hears what each entry did. */
  commit(next: Offset, results: ResultSink | undefined): void {
    const newest = this.#newest
    if (newest !== undefined && newest.next === next && newest.first === this.#store.applied)
      this.#apply(newest, results)
    while (this.#store.applied < next) {
      const batches = this.#log.read(this.#store.applied, READ_BYTES) ?? []
      if (batches.length === 0) throw new GcacheError('INTERNAL', 'committed entries are not there')
      // Another node named an entry inside a batch: the next boundary that is named applies it.
      if (batches[0].next > next) break
      for (const batch of batches) {
        if (batch.next > next) break
        this.#apply(batch, results)
      }
    }
    this.#log.markApplied(this.#store.applied)
  }

  /** With `base` the old state and log go first. Returns what is wrong with a bad slice. */
  install(at: Offset, slice: Uint8Array, base: LogBase | undefined): GcacheError | undefined {
    if (base !== undefined) {
      this.#newest = undefined
      this.#log.reset(at, base.epoch, base.crc)
      this.#applied.epoch = base.epoch ?? NO_EPOCH
    }
    try {
      this.#store.install(at, slice, base !== undefined)
      return undefined
    } catch (error) {
      if (error instanceof GcacheError && error.code === 'PROTOCOL_ERROR') return error
      throw error
    } finally {
      this.#log.markApplied(this.#store.applied)
    }
  }

  #apply(batch: Batch, results: ResultSink | undefined): void {
    this.#store.apply(batch, results)
    this.#applied.epoch = batch.epoch
  }
}
