/**
 * The table: who holds which partition. A row a partition, each a record of a hidden cache of the
 * control group, written by that group's master alone. What a row says is committed; a node acts
 * on it only together with a lease of its own (tenant.ts).
 */
import type { WholeRecord } from '../../src/contracts/store.js'
import type { Proposal, StrategyEnv } from '../../src/contracts/strategy.js'
import type { GroupId, Offset, PeerId } from '../../src/contracts/types.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import { writeSet } from '../../src/wire/command.js'

export const CONTROL: GroupId = 0
/** The hidden cache; a key a partition. */
export const TABLE = '$partitions'

export interface Row {
  readonly partition: number
  /** How often it began: one more with each reset. Copies of one before are worth nothing. */
  readonly born: number
  /** Whom its group consists of, as far as that is settled; before it began: who shall found it. */
  readonly owners: readonly PeerId[]
  /** Who is copied, to become one of them; '': nobody. */
  readonly joining: PeerId
  /** Of its data; '': it has not begun. */
  readonly history: string
  /** Whose logs hold all that was acknowledged: nobody else is granted it. */
  readonly heirs: readonly PeerId[]
  /** Who may lead it, as which process, by which counter; '': nobody. */
  readonly holder: PeerId
  readonly life: string
  readonly counter: number
  /** The holder's word that `heirs` go by: it numbers them, from 1, with each counter anew. */
  readonly ask: number
  /** No copy is left. */
  readonly lost: boolean
}

export function groupOf(partition: number): GroupId {
  return partition + 1
}

export function partitionOfGroup(group: GroupId): number {
  return group - 1
}

export function hosts(row: Row, id: PeerId): boolean {
  return row.owners.includes(id) || row.joining === id
}

export function newRow(partition: number, born: number, owners: readonly PeerId[]): Row {
  const nobody = { joining: '', history: '', heirs: [], holder: '', life: '', counter: 0, ask: 0 }
  return { partition, born, owners, ...nobody, lost: false }
}

/**
 *   u16 partition | u32 born | u8 lost | f64 counter | u32 ask | u8 n, each of joining, history,
 *   holder, life | u8 n, owners | u8 n, heirs
 */
export function encodeRow(row: Row): Uint8Array {
  const out = new Writer(128)
  out.u16(row.partition)
  out.u32(row.born)
  out.u8(row.lost ? 1 : 0)
  out.f64(row.counter)
  out.u32(row.ask)
  for (const text of [row.joining, row.history, row.holder, row.life]) out.text8(text)
  for (const ids of [row.owners, row.heirs]) {
    out.u8(ids.length)
    for (const id of ids) out.text8(id)
  }
  return out.copy()
}

/** PROTOCOL_ERROR for anything else. */
export function decodeRow(bytes: Uint8Array): Row {
  const reader = new Reader(bytes)
  const partition = reader.u16()
  const born = reader.u32()
  const lost = reader.u8() === 1
  const counter = reader.whole()
  const ask = reader.u32()
  const [joining, history, holder, life] = Array.from({ length: 4 }, () => reader.text8())
  const [owners, heirs] = Array.from({ length: 2 }, () =>
    Array.from({ length: reader.u8() }, () => reader.text8()),
  )
  reader.finish()
  return { partition, born, owners, joining, history, heirs, holder, life, counter, ask, lost }
}

/** True for a client's command on the hidden cache itself: without a key nobody else refuses it. */
export function isOnTable({ bytes, start }: Pick<Proposal, 'bytes' | 'start'>): boolean {
  const reader = new Reader().open(bytes, start + 2)
  return reader.text8() === TABLE
}

/** The command that writes it. */
export function rowCommand(row: Row): Uint8Array {
  const out = new Writer(192)
  writeSet(out, TABLE, String(row.partition), encodeRow(row), {})
  return out.copy()
}

/** Rows that the control group's master pushed: all that changed in `[from, next)`. */
export interface RowNews {
  readonly from: Offset
  readonly next: Offset
  readonly rows: readonly { readonly version: Offset; readonly bytes: Uint8Array }[]
}

/** A node's own copy of the table: what its log holds, or the master has pushed ahead of it. */
export class Table {
  /** It knows all that was committed below. */
  known: Offset = 1
  readonly rows: (Row | undefined)[]
  readonly #versions: Offset[]
  readonly #env: StrategyEnv
  readonly #onPart: (peer: PeerId) => void
  #readAt: Offset = 1

  /** `onPart`: `peer` holds or inherits a partition in which it had no part. */
  constructor(env: StrategyEnv, partitions: number, onPart: (peer: PeerId) => void) {
    this.#env = env
    this.#onPart = onPart
    this.rows = new Array<Row | undefined>(partitions).fill(undefined)
    this.#versions = new Array<Offset>(partitions).fill(0)
  }

  get isEmpty(): boolean {
    return this.rows[0] === undefined
  }

  /** Grows with each change. */
  get version(): Offset {
    return this.#versions.reduce((newest, version) => Math.max(newest, version), 0)
  }

  /** The control group's state was replaced: what was known may never have been. */
  reset(): void {
    this.known = 1
    this.#readAt = 1
    this.#versions.fill(0)
    this.rows.fill(undefined)
  }

  /** Something was applied that it has not read. */
  get isBehind(): boolean {
    return this.#env.log(CONTROL).applied !== this.#readAt
  }

  /** Reads what was applied since; returns the rows that changed. */
  refresh(): Row[] {
    const { applied } = this.#env.log(CONTROL)
    this.#readAt = applied
    const changed: Row[] = []
    for (let partition = 0; partition < this.rows.length; partition++) {
      const record = this.#read(partition)
      if (record === undefined || record.version <= this.#versions[partition]) continue
      changed.push(this.#take(record.version, decodeRow(Buffer.from(record.value, 'latin1'))))
    }
    this.known = Math.max(this.known, applied)
    return changed
  }

  #read(partition: number): WholeRecord | undefined {
    return this.#env.read?.(CONTROL, TABLE, String(partition))
  }

  /** Returns the rows that changed. */
  learn({ from, next, rows }: RowNews): Row[] {
    const changed: Row[] = []
    for (const { version, bytes } of rows) {
      const row = decodeRow(bytes)
      if (row.partition >= this.rows.length || version <= this.#versions[row.partition]) continue
      changed.push(this.#take(version, row))
    }
    if (from <= this.known) this.known = Math.max(this.known, next)
    return changed
  }

  #take(version: Offset, row: Row): Row {
    const before = this.rows[row.partition]
    if (row.holder !== '' && row.life !== before?.life) this.#onPart(row.holder)
    for (const id of row.heirs) if (before?.heirs.includes(id) !== true) this.#onPart(id)
    this.rows[row.partition] = row
    this.#versions[row.partition] = version
    return row
  }

  /** All that changed in `[from, known)`. */
  news(from: Offset): RowNews {
    const rows: { version: Offset; bytes: Uint8Array }[] = []
    for (const row of this.rows) {
      const version = row === undefined ? 0 : this.#versions[row.partition]
      if (row !== undefined && version >= from) rows.push({ version, bytes: encodeRow(row) })
    }
    return { from, next: this.known, rows }
  }
}
