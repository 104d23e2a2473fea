/**
 * What the entries from a common point on did, as far as records alone do not tell it: which keys
 * they name, what they removed, and which writes of a losing side they have merged already. Read
 * from the log in pieces, because a backlog of a million entries takes most of a second.
 */
import type { Origin } from '../contracts/merge.js'
import type { LogStore } from '../contracts/store.js'
import type { Batch, ClientRef, Offset } from '../contracts/types.js'
import { NO_EPOCH } from '../core/epochs.js'
import { type EntryVisitor, visitEntries } from '../wire/batch.js'
import { Reader } from '../wire/bytes.js'
import { FLAG, OP, readMerged } from '../wire/command.js'

/** Read at once: some ms of work. */
const BYTES_A_TURN = 512 * 1_024

const UNKNOWN: Origin = { epoch: NO_EPOCH, offset: 0, time: 0 }

/**
 * Bounded by what the log holds: at most a key for each entry of the backlog.
 */
export class Suffix implements EntryVisitor {
  /** Named by set, delete or touch, by cache; only if asked for. */
  readonly keys: Map<string, Set<string>> | undefined
  clears = 0
  /** False: the log begins behind `from`, so keys and removals before it are unknown. */
  whole = true
  readonly #log: LogStore
  readonly #reader = new Reader()
  readonly #removed = new Map<string, Map<string, Origin>>()
  readonly #cleared = new Map<string, Origin>()
  /** The writes that merging entries repeat, by the offsets of those. */
  readonly #repeats = new Map<Offset, Origin>()
  readonly #names = new Set<string>()
  #at: Offset
  #batch: Batch | undefined

  /** `from`: where a batch begins, in this log too if it reaches back so far. */
  constructor(
    log: LogStore,
    readonly from: Offset,
    keepKeys: boolean,
  ) {
    this.#log = log
    this.#at = from
    this.keys = keepKeys ? new Map() : undefined
  }

  /** Reads on; true once it has read the whole log as it is now. */
  read(): boolean {
    const log = this.#log
    if (this.#at < log.first) {
      this.#at = log.first
      this.whole = false
    }
    const batches = log.read(this.#at, BYTES_A_TURN)
    if (batches === undefined) {
      // No batch begins there: the other side speaks of another log. Whole batches count.
      this.#at = log.batchAt(this.#at)?.next ?? log.next
      this.whole = false
    }
    for (const batch of batches ?? []) {
      this.#batch = batch
      visitEntries(batch, this)
      this.#at = batch.next
    }
    this.#batch = undefined
    return this.#at >= log.next
  }

  onEntry(
    offset: Offset,
    _client: ClientRef | null,
    _seq: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void {
    const reader = this.#reader.open(source, start, end)
    const op = reader.u8()
    if (op !== OP.set && op !== OP.delete && op !== OP.touch && op !== OP.clear && op !== OP.expire)
      return
    const flags = reader.u8()
    const cache = reader.text8()
    const key = reader.text16()
    const { epoch, time } = this.#batch as Batch
    let origin: Origin = { epoch, offset, time }
    if (op === OP.clear) {
      this.clears++
      this.#cleared.set(cache, origin)
      return
    }
    if (op === OP.expire) return this.#onExpire(cache, key, reader.f64())
    if ((flags & FLAG.merged) !== 0) {
      if ((flags & FLAG.ifVersion) !== 0) reader.skip(8)
      origin = readMerged(reader)
      this.#repeats.set(offset, origin)
      this.#names.add(nameOf(origin))
    }
    this.#note(cache, key)
    if (op === OP.delete) this.#remove(cache, key, origin)
  }

  /** A record past its life counts as removed when its value was set: newer than what was before,
   *  older than what came after. */
  #onExpire(cache: string, key: string, changed: Offset): void {
    if (changed < this.from) return
    this.#note(cache, key)
    this.#remove(cache, key, this.origin(changed))
  }

  #note(cache: string, key: string): void {
    if (this.keys === undefined) return
    const keys = this.keys.get(cache)
    if (keys === undefined) this.keys.set(cache, new Set([key]))
    else keys.add(key)
  }

  /** A set in between changes nothing: if it was carried out and its record is gone, something
   *  else has removed that; and it may be a repeat, which was not. */
  #remove(cache: string, key: string, origin: Origin): void {
    const removed = this.#removed.get(cache)
    if (removed === undefined) this.#removed.set(cache, new Map([[key, origin]]))
    else if (origin.time >= (removed.get(key)?.time ?? 0)) removed.set(key, origin)
  }

  /** Of a key that is not there now: what removed it; undefined if nothing is known to have. */
  removal(cache: string, key: string): Origin | undefined {
    const removed = this.#removed.get(cache)?.get(key)
    const cleared = this.#cleared.get(cache)
    if (removed === undefined || cleared === undefined) return removed ?? cleared
    return cleared.time > removed.time ? cleared : removed
  }

  /** The write that entry `offset` is, or that it repeats. */
  origin(offset: Offset): Origin {
    const repeated = this.#repeats.get(offset)
    if (repeated !== undefined) return repeated
    const batch = this.#log.batchAt(offset)
    return batch === undefined ? UNKNOWN : { epoch: batch.epoch, offset, time: batch.time }
  }

  /** True if an entry of this log repeats that very write. */
  repeats(origin: Origin): boolean {
    return origin.offset !== 0 && this.#names.has(nameOf(origin))
  }
}

function nameOf({ epoch, offset }: Origin): string {
  return `${epoch.number}:${epoch.incarnation}:${offset}`
}
