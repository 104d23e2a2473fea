/**
 * Whether a call came to where its key is served. Without a table there is one group, and nothing
 * to ask.
 */
import type { GroupId } from '../contracts/types.js'
import { groupOfKey } from '../core/key-groups.js'
import type { ErrorCode } from '../errors.js'
import type { Reader } from '../wire/bytes.js'
import type { RequestsEnv } from './requests-env.js'

export class Places {
  readonly #env: Pick<RequestsEnv, 'table'>

  constructor(env: Pick<RequestsEnv, 'table'>) {
    this.#env = env
  }

  /** What a node that does not lead the group says to who asks by the table of this number: where
   *  our table is newer, it tells where to go. */
  notMaster(theirs: number): ErrorCode {
    const { table } = this.#env
    return table !== undefined && theirs < table().number ? 'WRONG_EPOCH' : 'NOT_MASTER'
  }

  /** A key of another group than `group`: who asks here knows no table, or misreads it. The reader
   *  stays where it is. */
  refuse(reader: Reader, group: GroupId, keyAt: number, keyBytes: number): ErrorCode | undefined {
    const { table } = this.#env
    if (table === undefined || keyBytes === 0) return undefined
    const { at } = reader
    reader.at = keyAt
    const key = reader.utf8(keyBytes)
    reader.at = at
    return groupOfKey(key, table().partitions) === group ? undefined : 'WRONG_EPOCH'
  }

  /** The same of a write, by where its cache's name is. */
  refuseWrite(
    reader: Reader,
    group: GroupId,
    nameAt: number,
    nameBytes: number,
  ): ErrorCode | undefined {
    if (this.#env.table === undefined) return undefined
    reader.at = nameAt + nameBytes
    const keyBytes = reader.u16()
    return this.refuse(reader, group, reader.at, keyBytes)
  }
}
