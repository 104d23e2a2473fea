/**
 * Every write of a run as its origin appended it, by its stamp: what checkers hold the nodes to.
 * Decoded once, where it was made; whoever receives it must receive the same.
 */
import type { Batch, Offset } from '../../contracts/types.js'
import { visitEntries } from '../../wire/batch.js'
import { Reader } from '../../wire/bytes.js'
import { readClear } from '../../wire/clears.js'
import { FLAG, OP } from '../../wire/command.js'
import type { Life } from '../life.js'

export type WriteKind = 'set' | 'delete' | 'touch' | 'clear' | 'evict' | 'other'

export interface Write {
  readonly life: Life
  readonly offset: Offset
  readonly stamp: number
  readonly kind: WriteKind
  readonly cache: string
  /** '' for a clear, and for what concerns no record. */
  readonly key: string
  /** What its origin had met of the key, as it says: a version, or the stamp of what ended it; of a
   *  touch the version it is for, of an eviction the stamp up to which it ends changes. */
  readonly base: number
  /** Of an eviction: the version that it ends. */
  readonly evicts: number
  /** Of a clear: the stamps up to which its origin had met each other one, as it says. */
  readonly knew: ReadonlyMap<number, number>
  /** 0: none. */
  readonly ttlMs: number
  readonly idleMs: number
  /** One byte a char. */
  readonly value: string
  /** Window and number of its writer, '' for the node's own. */
  readonly name: string
  /** What its origin's records said of the key just before; set by who watches it. */
  met: { readonly version: number; readonly mortal: boolean }
  /** A later one has replaced or ended it somewhere. */
  over: boolean
}

const KINDS: Readonly<Record<number, WriteKind>> = {
  [OP.set]: 'set',
  [OP.delete]: 'delete',
  [OP.touch]: 'touch',
  [OP.clear]: 'clear',
  [OP.evict]: 'evict',
}
const NOTHING_KNOWN: ReadonlyMap<number, number> = new Map()
const NOTHING_MET = { version: 0, mortal: false }

/** `step`: from one stamp of an origin to its next. */
export function writesOf(life: Life, batch: Batch, step: number): Write[] {
  const writes: Write[] = []
  const reader = new Reader()
  visitEntries(batch, {
    onEntry(offset, client, seq, source, start, end) {
      const stamp = batch.time + (offset - batch.first) * step
      reader.open(source, start, end)
      const kind = KINDS[reader.u8()] ?? 'other'
      const flags = reader.u8()
      const at = { life, offset, stamp, kind, cache: reader.text8(), key: '' }
      const name = client === null ? '' : `${client.id}${seq}`
      const rest = {
        base: 0,
        evicts: 0,
        ttlMs: 0,
        idleMs: 0,
        value: '',
        name,
        met: NOTHING_MET,
        over: false,
      }
      const knew = (kind === 'clear' && readClear(reader)) || NOTHING_KNOWN
      const write = { ...at, ...rest, knew }
      writes.push(write)
      if (kind === 'other' || kind === 'clear') return
      write.key = reader.text16()
      if (kind === 'evict') {
        write.evicts = reader.f64()
        write.base = reader.f64()
      } else if ((flags & FLAG.ifVersion) !== 0) write.base = reader.f64()
      if (kind === 'evict' || kind === 'delete') return
      if ((flags & FLAG.ttl) !== 0) write.ttlMs = reader.f64()
      if ((flags & FLAG.idle) !== 0) write.idleMs = reader.f64()
      if (kind === 'set') write.value = reader.source.latin1Slice(reader.at, reader.end)
    },
  })
  return writes
}

/** By stamp, and by life and offset. */
export class Writes {
  readonly #byStamp = new Map<number, Write>()
  readonly #byLife = new Map<Life, Map<Offset, Write>>()

  /** False if another one has its stamp. */
  add(write: Write): boolean {
    if (this.#byStamp.has(write.stamp)) return false
    this.#byStamp.set(write.stamp, write)
    this.ofLife(write.life).set(write.offset, write)
    return true
  }

  at(stamp: number): Write | undefined {
    return this.#byStamp.get(stamp)
  }

  ofLife(life: Life): Map<Offset, Write> {
    let writes = this.#byLife.get(life)
    if (writes === undefined) {
      writes = new Map()
      this.#byLife.set(life, writes)
    }
    return writes
  }

  all(): Iterable<Write> {
    return this.#byStamp.values()
  }
}

/** Expires one day: whether it is still there is a matter of clocks. */
export function isMortal(write: Pick<Write, 'ttlMs' | 'idleMs'>): boolean {
  return write.ttlMs > 0 || write.idleMs > 0
}
