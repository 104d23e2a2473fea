/**
 * The default log: whole batches in memory, trimmed from the front. It is the backlog from which
 * slaves resume (PROTOCOL 4 of the design); nothing in it survives the process, so `durable` is
 * simply `next`.
 */
import { LIMITS } from '../config.js'
import type { LogStore } from '../contracts/store.js'
import type { Batch, Epoch, Offset } from '../contracts/types.js'
import { assert } from '../core/assert.js'

export interface MemoryLogOptions {
  /** Bytes of applied batches kept for partial resyncs. Default 64 MiB. */
  readonly backlogBytesMax?: number
  /** Entries of applied batches kept. Default 1 M. */
  readonly backlogEntriesMax?: number
}

interface End {
  readonly epoch: Epoch | undefined
  readonly crc: number
}

const NOTHING: End = { epoch: undefined, crc: 0 }
/** Dead places at the front of the array before they are cut off: O(1) amortised. */
const DEAD_BATCHES_MAX = 1_024

/**
 * `1 <= first <= applied <= next`. Batches that the state machine has not applied are never
 * trimmed, and neither is the newest batch; so the bounds hold up to what waits for its commit.
 */
export class MemoryLog implements LogStore {
  readonly #bytesMax: number
  readonly #entriesMax: number
  #batches: (Batch | undefined)[] = []
  /** Batches below it are gone. */
  #head = 0
  #bytes = 0
  #first: Offset = 1
  #next: Offset = 1
  #applied: Offset = 1
  /** What lies before `first`. */
  #base: End = NOTHING
  #last: End = NOTHING

  constructor(options: MemoryLogOptions = {}) {
    this.#bytesMax = options.backlogBytesMax ?? LIMITS.backlogBytesMax
    this.#entriesMax = options.backlogEntriesMax ?? LIMITS.backlogEntriesMax
  }

  get first(): Offset {
    return this.#first
  }

  get next(): Offset {
    return this.#next
  }

  get durable(): Offset {
    return this.#next
  }

  get applied(): Offset {
    return this.#applied
  }

  get last(): End {
    return this.#last
  }

  /** Bytes of the batches held. */
  get bytes(): number {
    return this.#bytes
  }

  append(batch: Batch): void {
    assert(batch.first === this.#next, `batch begins at ${batch.first}, log ends at ${this.#next}`)
    assert(batch.next > batch.first, 'an empty batch')
    this.#batches.push(batch)
    this.#bytes += batch.bytes.length
    this.#next = batch.next
    this.#last = batch
    this.#trim()
  }

  truncate(from: Offset): void {
    assert(from >= this.#applied, `truncation to ${from} below applied ${this.#applied}`)
    assert(from <= this.#next, `truncation to ${from} beyond ${this.#next}`)
    while (this.#next > from) {
      const batch = this.#batches.pop() as Batch
      assert(batch.first >= from, `truncation to ${from} inside a batch`)
      this.#bytes -= batch.bytes.length
      this.#next = batch.first
    }
    this.#last = this.#batches.length > this.#head ? (this.#batches.at(-1) as Batch) : this.#base
  }

  reset(at: Offset, epoch: Epoch | undefined, crc: number): void {
    assert(at >= 1, 'offsets begin at 1')
    this.#batches = []
    this.#head = 0
    this.#bytes = 0
    this.#first = at
    this.#next = at
    this.#applied = at
    this.#base = { epoch, crc }
    this.#last = this.#base
  }

  markApplied(next: Offset): void {
    assert(next >= this.#applied, `applied fell from ${this.#applied} to ${next}`)
    assert(next <= this.#next, `applied ${next} beyond the log's end ${this.#next}`)
    this.#applied = next
    this.#trim()
  }

  epochBefore(at: Offset): Epoch | undefined {
    if (at < this.#first || at > this.#next) return undefined
    if (at === this.#first) return this.#base.epoch
    return (this.#batches[this.#find(at - 1)] as Batch).epoch
  }

  crcBefore(at: Offset): number | undefined {
    if (at < this.#first || at > this.#next) return undefined
    if (at === this.#first) return this.#base.crc
    const batch = this.#batches[this.#find(at - 1)] as Batch
    return batch.next === at ? batch.crc : undefined
  }

  read(from: Offset, bytesMax: number): readonly Batch[] | undefined {
    if (from === this.#next) return []
    if (from < this.#first || from > this.#next) return undefined
    let i = this.#find(from)
    if ((this.#batches[i] as Batch).first !== from) return undefined
    const found: Batch[] = []
    let bytes = 0
    for (; i < this.#batches.length; i++) {
      const batch = this.#batches[i] as Batch
      bytes += batch.bytes.length
      if (bytes > bytesMax && found.length > 0) break
      found.push(batch)
    }
    return found
  }

  batchAt(offset: Offset): Batch | undefined {
    if (offset < this.#first || offset >= this.#next) return undefined
    return this.#batches[this.#find(offset)]
  }

  /** The place of the batch that holds entry `offset`, `first <= offset < next`. */
  #find(offset: Offset): number {
    let low = this.#head
    let high = this.#batches.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#batches[middle] as Batch).first <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  #trim(): void {
    const batches = this.#batches
    while (
      (this.#bytes > this.#bytesMax || this.#next - this.#first > this.#entriesMax) &&
      this.#head < batches.length - 1
    ) {
      const oldest = batches[this.#head] as Batch
      if (oldest.next > this.#applied) break
      batches[this.#head++] = undefined
      this.#bytes -= oldest.bytes.length
      this.#first = oldest.next
      this.#base = { epoch: oldest.epoch, crc: oldest.crc }
    }
    if (this.#head > DEAD_BATCHES_MAX && this.#head * 2 > batches.length) {
      this.#batches = batches.slice(this.#head)
      this.#head = 0
    }
  }
}
