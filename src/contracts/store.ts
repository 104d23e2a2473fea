/**
 * The log and the state machine that strategies replicate. Both are synchronous in memory; a
 * durable log makes its barrier known through `durable`.
 */
import type { SnapshotState } from './strategy.js'
import type { Batch, Epoch, Offset } from './types.js'

/** What a strategy may see of a log: entries `[first, next)`, `1 <= first <= next`. */
export interface LogView {
  readonly first: Offset
  readonly next: Offset
  /** Entries below it survive what the durability promises; equals next in memory. */
  readonly durable: Offset
  /** The next entry that the state machine will apply, `applied <= next`. */
  readonly applied: Offset
  /** Epoch and chain checksum of entry `next - 1`; of the snapshot if the log is empty. */
  readonly last: { readonly epoch: Epoch | undefined; readonly crc: number }
  /** The epoch of the entry before the batch boundary `at`, `first <= at <= next`; undefined if
   *  unknown. */
  epochBefore(at: Offset): Epoch | undefined
  /** The chain checksum before the batch boundary `at`; undefined if unknown or no boundary. */
  crcBefore(at: Offset): number | undefined
  /**
   * Whole batches from the boundary `from` on, at least one if there is one, then up to
   * `bytesMax`. Undefined if `from` is below first or no boundary.
   */
  read(from: Offset, bytesMax: number): readonly Batch[] | undefined
}

export interface LogStore extends LogView {
  /** `batch.first === next`. Trims from the front past `backlogBytesMax` or `backlogEntriesMax`. */
  append(batch: Batch): void
  truncate(from: Offset): void
  /** Forgets everything; the log is then empty at `at`, and continues `epoch` and `crc`. */
  reset(at: Offset, epoch: Epoch | undefined, crc: number): void
  /** The batch that holds entry `offset`; undefined unless `first <= offset < next`. */
  batchAt(offset: Offset): Batch | undefined
  /** The engine says how far the state machine is. */
  markApplied(next: Offset): void
}

/** How a command ended. Anything but 'ok' changed nothing. */
export type Outcome =
  | 'ok'
  | 'exists' // ifAbsent met a record
  | 'version' // ifVersion met another version
  | 'missing' // delete or touch of an absent key, ifVersion of an absent key
  | 'full' // CACHE_FULL
  | 'expired' // the writer's window is not there: CLIENT_EXPIRED

/**
 * Receives what apply decided, entry by entry, in order. `version` is the record's version after
 * the command: the entry's own offset for a set, the met version for a refused condition, 0 for
 * none. A repeated (client, seq) reports what the first one reported.
 */
export interface ResultSink {
  onResult(offset: Offset, outcome: Outcome, version: Offset): void
}

export type ChangeKind = 'set' | 'delete' | 'touch' | 'expire' | 'evict' | 'clear'

/** Told of every change while set; value is borrowed. Key is '' for clear. */
export interface ChangeSink {
  onChange(
    cache: string,
    kind: ChangeKind,
    key: string,
    value: string | undefined,
    version: Offset,
  ): void
}

/** A record as readers see it. `value` holds one byte a char (latin1), opaque to every server. */
export interface StoredRecord {
  readonly value: string
  readonly version: Offset
  /** Cluster time in ms; 0: never. */
  readonly expiresAt: number
}

/** A record with all that decides its end and its place in the log. */
export interface WholeRecord extends StoredRecord {
  /** The entry that last altered anything, `version <= changed`. */
  readonly changed: Offset
  /** Cluster time in ms, 0: none. `expiresAt` is the earlier of it and last use + `idleMs`. */
  readonly deadline: number
  readonly idleMs: number
}

export interface CacheOptions {
  /** Entries above it are evicted, or refused where eviction is 'none'. */
  maxEntries: number
  /** Keys plus values plus 64 bytes a record. */
  maxBytes: number
  /** Default time-to-live in ms; 0: none. */
  ttlMs: number
  /** Default idle time in ms; 0: none. */
  idleMs: number
  eviction: 'lru' | 'none'
}

export interface ScanPage {
  readonly keys: readonly string[]
  readonly records: readonly StoredRecord[]
  /** Where the next page begins; 0: the scan is complete. */
  readonly cursor: number
}

/** The deterministic machine: same batches, same state, same digest. */
export interface StateMachine {
  /** Entries `[1, applied)` are in the state. */
  readonly applied: Offset
  changes: ChangeSink | undefined
  /** `batch.first === applied`. */
  apply(batch: Batch, results?: ResultSink): void
  /** Undefined if absent or expired at cluster time `time`. Counts as a use for eviction. */
  get(cache: string, key: string, time: number): StoredRecord | undefined
  has(cache: string, key: string, time: number): boolean
  /** As it lies there, expired or not; no use in the eyes of eviction. */
  peek(cache: string, key: string): WholeRecord | undefined
  size(cache: string, time: number): number
  /** At most `limit` records whose key begins with `prefix`; `cursor` 0 begins. A key that lives
   *  through the whole scan on one node is met exactly once. */
  scan(cache: string, prefix: string, cursor: number, limit: number, time: number): ScanPage
  caches(): ReadonlyMap<string, CacheOptions>
  /**
   * What the master should propose now: encoded 'expire', 'evict' and 'close-window' commands, at
   * most `limit`. A command proposed and not yet applied may come again: it is conditioned on the
   * record's `changed`, so a second one does nothing.
   */
  housekeeping(time: number, limit: number): readonly Uint8Array[]
  /** Fixes S = applied; a walk of all records with changed < S begins. */
  openSnapshot(id: number, what?: Uint8Array): void
  readSnapshot(
    id: number,
    bytesMax: number,
  ): { slice: Uint8Array; next: Offset; state: SnapshotState }
  closeSnapshot(id: number): void
  /** `first`: drop the old state; applied becomes `at`. Throws PROTOCOL_ERROR on a bad slice. */
  install(at: Offset, slice: Uint8Array, first: boolean): void
  /** Order-independent hash of all records, windows and options: 16 hex digits. Walks them all. */
  digest(): string
  stats(): { entries: number; bytes: number; windows: number }
}
