/**
 * How a call reads, where that is more than "from the master": what the application asked for, and
 * what this client has seen itself, so that its local reads never fall behind it (PROTOCOL 11).
 */
import { TIMES } from '../config.js'
import type { ReadHow } from '../contracts/cache.js'
import type { GroupId, Position } from '../contracts/types.js'
import { type HowToRead, READ } from '../wire/requests.js'
import { decodeToken } from '../wire/token.js'

export class CallHow implements HowToRead {
  mode: number
  readonly maxStaleMs: number
  readonly after: readonly Position[]
  seen: readonly Position[] = []
  /** It was asked for as local, wherever it goes now. */
  readonly isLocal: boolean
  /** A node near by was too far behind. */
  tooStale = false

  /** Of a token, what it says of `group` counts; CONFIG for one that is none of `cluster`. */
  constructor(how: ReadHow, cluster: string, group: GroupId) {
    this.isLocal = how.read === 'local'
    this.mode = READ[how.read ?? 'master']
    this.maxStaleMs = how.maxStaleMs ?? TIMES.maxStaleMs
    this.after = how.after === undefined ? [] : decodeToken(cluster, how.after, group)
  }

  /** No node near by answers: the master is asked instead. */
  goToMaster(): void {
    if (this.isLocal) this.mode = READ.master
  }
}
