/**
 * The table as it truly is: each row from the moment in which the first node applied it. What a
 * node believes may be older; what nobody has applied is no row.
 */

import {
  decodeRow,
  groupOf,
  partitionOfGroup,
  type Row,
  TABLE,
} from '../../../strategies/partitioned/table.js'
import type { GroupId, Offset, PeerId } from '../../contracts/types.js'
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Life } from '../life.js'

export interface Grant {
  readonly holder: PeerId
  readonly life: string
}

export class Rows implements Checker {
  readonly name = 'the table'
  /** By partition. */
  readonly newest: (Row | undefined)[]
  /** Since when each newest row is so. */
  readonly sinceMs: number[]
  readonly #cluster: SimulatedCluster
  readonly #versions: Offset[]
  readonly #grants = new Map<string, Grant>()
  /** The newest entry that anybody has applied. */
  #applied: Offset = 0
  readonly #onRow: (row: Row, before: Row | undefined) => void

  constructor(
    cluster: SimulatedCluster,
    partitions: number,
    onRow: (row: Row, before: Row | undefined) => void,
  ) {
    this.#cluster = cluster
    this.#onRow = onRow
    this.newest = new Array<Row | undefined>(partitions).fill(undefined)
    this.sinceMs = new Array<number>(partitions).fill(0)
    this.#versions = new Array<Offset>(partitions).fill(0)
  }

  of(group: GroupId): Row | undefined {
    return this.newest[partitionOfGroup(group)]
  }

  groups(): GroupId[] {
    return this.newest.map((_, partition) => groupOf(partition))
  }

  /** To whom the group was ever granted under `counter`. */
  grantOf(group: GroupId, counter: number): Grant | undefined {
    return this.#grants.get(`${group} ${counter}`)
  }

  /** An entry of the control group was applied: here first, or as elsewhere before. */
  onResult(life: Life, offset: Offset): void {
    if (offset <= this.#applied) return
    this.#applied = offset
    const node = this.#cluster.node(life.node)
    for (let partition = 0; partition < this.newest.length; partition++) {
      const record = node.record(TABLE, String(partition))
      if (record === undefined || record.version <= this.#versions[partition]) continue
      this.#versions[partition] = record.version
      this.#take(decodeRow(Buffer.from(record.value, 'latin1')))
    }
  }

  #take(row: Row): void {
    const before = this.newest[row.partition]
    this.newest[row.partition] = row
    this.sinceMs[row.partition] = this.#cluster.now()
    if (row.holder !== '') {
      const { holder, life } = row
      const name = `${groupOf(row.partition)} ${row.counter}`
      const known = this.#grants.get(name)
      if (known !== undefined && (known.holder !== holder || known.life !== life))
        this.#cluster.fail('P3', `counter ${name} was granted to ${known.holder} and to ${holder}`)
      this.#grants.set(name, { holder, life })
    }
    this.#onRow(row, before)
  }
}
