/**
 * The faces of a stamped store beside the one that readers see: one for the log of each other
 * origin, and one for the records that two stores exchange when they compare each other.
 */
import type { CacheOptions, ScanPage, StateMachine } from '../contracts/store.js'
import type { SnapshotState } from '../contracts/strategy.js'
import type { Batch, Offset } from '../contracts/types.js'
import { assert } from '../core/assert.js'

const NOTHING = new Uint8Array(0)
const NO_CACHES: ReadonlyMap<string, CacheOptions> = new Map()
const NO_PAGE: ScanPage = { keys: [], records: [], cursor: 0 }

/** Nothing is read here, and nothing proposed. */
class Face implements StateMachine {
  applied: Offset = 1
  changes = undefined

  apply(_batch: Batch): void {}
  get(): undefined {}
  has(): boolean {
    return false
  }
  peek(): undefined {}
  size(): number {
    return 0
  }
  scan(): ScanPage {
    return NO_PAGE
  }
  caches(): ReadonlyMap<string, CacheOptions> {
    return NO_CACHES
  }
  housekeeping(): readonly Uint8Array[] {
    return []
  }
  openSnapshot(_id: number, _what?: Uint8Array): void {}
  readSnapshot(
    _id: number,
    _bytesMax: number,
  ): { slice: Uint8Array; next: Offset; state: SnapshotState } {
    return { slice: NOTHING, next: this.applied, state: 'overflow' }
  }
  closeSnapshot(_id: number): void {}
  install(_at: Offset, _slice: Uint8Array, _first: boolean): void {}
  digest(): string {
    return ''
  }
  stats(): { entries: number; bytes: number; windows: number } {
    return { entries: 0, bytes: 0, windows: 0 }
  }
}

/** Of the log of another origin. */
export class OriginFace extends Face {
  readonly #apply: (batch: Batch) => void

  constructor(apply: (batch: Batch) => void) {
    super()
    this.#apply = apply
  }

  override apply(batch: Batch): void {
    const { applied } = this
    assert(batch.first === applied, `batch begins at ${batch.first}, applied is ${applied}`)
    this.#apply(batch)
    this.applied = batch.next
  }

  /** The log begins anew, at `at`: another life of its origin, or beyond a gap that was filled. */
  override install(at: Offset, _slice: Uint8Array, first: boolean): void {
    if (first) this.applied = at
  }
}

export interface Joins {
  open(id: number, what: Uint8Array): void
  read(id: number, bytesMax: number): { slice: Uint8Array; state: SnapshotState }
  close(id: number): void
  /** What is stamped above `stampMax` is left out. */
  join(slice: Uint8Array, stampMax: number): void
  /** All records go, as if they had never been here. */
  forget(): void
}

/** Of no log: its slices are records of some leaves, its `at` is the highest stamp let in. */
export class JoinFace extends Face {
  readonly #joins: Joins

  constructor(joins: Joins) {
    super()
    this.#joins = joins
  }

  override openSnapshot(id: number, what: Uint8Array = NOTHING): void {
    this.#joins.open(id, what)
  }

  override readSnapshot(id: number, bytesMax: number) {
    return { ...this.#joins.read(id, bytesMax), next: this.applied }
  }

  override closeSnapshot(id: number): void {
    this.#joins.close(id)
  }

  override install(at: Offset, slice: Uint8Array, first: boolean): void {
    if (first) this.#joins.forget()
    if (slice.length > 0) this.#joins.join(slice, at)
  }
}
