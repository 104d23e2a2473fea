/**
 * On the losing side of a network split: the records that its log's entries from the common point
 * on changed, as pieces of bytes, read from the store when they are asked for. Where the log does
 * not reach back, all records of the store are looked at, and removals are unknown.
 */
import type { LogStore, StateMachine, WholeRecord } from '../contracts/store.js'
import type { Offset } from '../contracts/types.js'
import { Writer } from '../wire/bytes.js'
import {
  recordBytesMax,
  writeInto,
  writePieceHead,
  writeRecord,
  writeRemoved,
} from '../wire/merge-records.js'
import { Suffix } from './merge-suffix.js'

/** In a piece: what one turn of the other side decides and proposes, some ms of work. */
const RECORDS_A_PIECE = 1_000
/** Looked at before another turn, whether changed or not. */
const KEYS_A_TURN = 2_000

type Named = [cache: string, key: string, record: WholeRecord | undefined]
/** Nothing found for a while: let others work. */
const PAUSE = 'pause'

const OUT = new Writer(65_536)

export class Collector {
  readonly #store: StateMachine
  readonly #suffix: Suffix
  #items: Iterator<Named | typeof PAUSE> | undefined
  #held: Named | undefined
  #through = false

  /** The state machine must not change while it is used. */
  constructor(
    store: StateMachine,
    log: LogStore,
    readonly id: number,
    from: Offset,
  ) {
    this.#store = store
    this.#suffix = new Suffix(log, from, true)
  }

  /** The next piece, at most `bytesMax` or one record; undefined: call again in another turn. */
  piece(bytesMax: number): { records: Uint8Array; last: boolean } | undefined {
    if (this.#items === undefined) {
      if (!this.#suffix.read()) return undefined
      this.#items = this.#suffix.whole ? this.#ofKeys() : this.#ofAll()
    }
    const out = OUT
    out.reset()
    writePieceHead(out, { removalsKnown: this.#suffix.whole, clears: this.#suffix.clears })
    let into = ''
    let records = 0
    for (;;) {
      const item = this.#next()
      if (item === undefined) break
      if (item === PAUSE) {
        if (records > 0) break
        return undefined
      }
      const [cache, key, record] = item
      const full = records > 0 && out.length + recordBytesMax(key, record) > bytesMax
      if (full || records === RECORDS_A_PIECE) {
        this.#held = item
        break
      }
      if (cache !== into) writeInto(out, cache)
      into = cache
      this.#write(out, cache, key, record)
      records++
    }
    return { records: out.copy(), last: this.#through }
  }

  #next(): Named | typeof PAUSE | undefined {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) return held
    const next = this.#items?.next()
    if (next?.done === false) return next.value
    this.#through = true
    return undefined
  }

  #write(out: Writer, cache: string, key: string, record: WholeRecord | undefined): void {
    const suffix = this.#suffix
    if (record === undefined) {
      const removal = suffix.removal(cache, key)
      if (removal !== undefined) writeRemoved(out, key, removal)
    } else {
      const touchedAt = suffix.origin(record.changed).time
      writeRecord(out, key, record, suffix.origin(record.version), touchedAt)
    }
  }

  /** Keys that the entries name: changed ones, and those that are gone. */
  *#ofKeys(): Generator<Named | typeof PAUSE> {
    const { from } = this.#suffix
    let looked = 0
    for (const [cache, keys] of this.#suffix.keys ?? [])
      for (const key of keys) {
        if (++looked % KEYS_A_TURN === 0) yield PAUSE
        const record = this.#store.peek(cache, key)
        // What eviction took is not missed: it would have to go there as well.
        const isGone = record === undefined && this.#suffix.removal(cache, key) !== undefined
        if (isGone || (record !== undefined && record.changed >= from)) yield [cache, key, record]
      }
  }

  *#ofAll(): Generator<Named | typeof PAUSE> {
    const { from } = this.#suffix
    for (const cache of this.#store.caches().keys()) {
      let cursor = 0
      do {
        const page = this.#store.scan(cache, '', cursor, KEYS_A_TURN, 0)
        cursor = page.cursor
        for (const key of page.keys) {
          const record = this.#store.peek(cache, key)
          if (record !== undefined && record.changed >= from) yield [cache, key, record]
        }
        yield PAUSE
      } while (cursor !== 0)
    }
  }
}
