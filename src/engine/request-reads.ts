/**
 * Reads that are more than a look into the master's store: local ones with a bound on their age,
 * ones that must include what a token names, linearizable ones. What cannot be answered at once is
 * parked, bounded in number, bytes and time, and dies with its link.
 *
 *   ask -> judge -> answered | refused
 *            | the entry is not applied yet ------> parked -> judged again after each step
 *            | linearizable: one 'read' a frame --> parked -> serve(next) -> judged | reject
 */
import { LIMITS, TIMES } from '../config.js'
import type { Place, Standing } from '../contracts/strategy.js'
import type { Offset, PeerId, Position, Session } from '../contracts/types.js'
import { type ErrorCode, errorCode } from '../errors.js'
import { type HowToRead, READ } from '../wire/requests.js'
import type { ReplyLink } from './request-replies.js'

export interface ReadsEnv {
  /** Own monotonic ms. */
  now(): number
  standing(): Standing
  /** Entries `[1, applied)` are in the store. */
  applied(): Offset
  /** As ReplicationStrategy.freshness and place. */
  freshness(): number
  place(position: Position): Place
  /** An id that no other read has. */
  takeId(): number
  /** Feeds a 'read'. serve() and reject() may be called before it returns. */
  read(id: number, key: string): void
  /** A read waits for entries: settle() is due after each step. */
  onPark(): void
  /** True if the strategy wants reads with their key. */
  readonly keyed: boolean
  /** A read of `link` waits, or waits no more. */
  took(link: ReplyLink, bytes: number): void
  gave(link: ReplyLink, bytes: number): void
  /** Writes the answer, or why there is none. `seenLost`: what the client has seen itself is. */
  answer(read: Read): void
  refuse(read: Read, code: ErrorCode, seenLost: boolean): void
}

/** One read with all that it asks for. */
export interface Read {
  readonly link: ReplyLink
  readonly call: number
  readonly op: number
  readonly cache: string
  readonly key: string
  readonly cursor: number
  readonly limit: number
  readonly how: HowToRead
}

interface Parked {
  readonly read: Read
  readonly bytes: number
  readonly until: number
  /** The store must have applied everything below it. */
  readonly next: Offset
}

interface Asked {
  readonly read: Read
  readonly bytes: number
}

/** What a parked read holds besides its texts. */
const PARKED_BYTES = 256
/** Ids of reads go down from here: those of proposals go up from 1, and -1 is nobody's. */
export const FIRST_READ_ID = -2

export class Reads {
  readonly #env: ReadsEnv
  /** Waiting for entries. */
  #parked: Parked[] = []
  /** Of the frame that is being read: one `read` will ask for all of them. */
  #gathered: Asked[] = []
  /** Waiting for the strategy, by id. */
  readonly #asked = new Map<number, Asked[]>()
  #count = 0
  #bytes = 0

  constructor(env: ReadsEnv) {
    this.#env = env
  }

  /** Reads that wait. */
  get waiting(): number {
    return this.#count
  }

  /** Some of them wait for entries. */
  get parks(): boolean {
    return this.#parked.length > 0
  }

  get waitingBytes(): number {
    return this.#bytes
  }

  /** Answers, refuses or parks `read`, whose cache may be read here. */
  ask(read: Read): void {
    if (read.how.mode !== READ.linearizable) {
      this.#judge(read, 0, undefined)
      return
    }
    const refusal = this.#standingRefusal()
    const bytes = bytesOf(read)
    if (refusal !== undefined) this.#env.refuse(read, refusal, false)
    else if (this.#take(read, bytes)) this.#gathered.push({ read, bytes })
  }

  /** The frame is read: asks the strategy for what it must vouch for. */
  flush(): void {
    const gathered = this.#gathered
    if (gathered.length === 0) return
    this.#gathered = []
    const groups = this.#env.keyed ? gathered.map(asked => [asked]) : [gathered]
    for (const group of groups) {
      const id = this.#env.takeId()
      this.#asked.set(id, group)
      this.#env.read(id, this.#env.keyed ? group[0].read.key : '')
    }
  }

  /** True if `id` is one of a read, answered or not. */
  isRead(id: number): boolean {
    return id <= FIRST_READ_ID
  }

  /** The strategy vouches: answer once everything below `next` is applied. */
  serve(id: number, next: Offset): void {
    const group = this.#asked.get(id)
    if (group === undefined) return
    this.#asked.delete(id)
    for (const { read, bytes } of group) {
      this.#release(read, bytes)
      if (!read.link.down) this.#judge(read, next, undefined)
    }
  }

  reject(id: number, code: ErrorCode): void {
    const group = this.#asked.get(id)
    if (group === undefined) return
    this.#asked.delete(id)
    for (const { read, bytes } of group) {
      this.#release(read, bytes)
      if (!read.link.down) this.#env.refuse(read, code, false)
    }
  }

  /** After each step: entries may have come, time may be over. */
  settle(): void {
    if (this.#parked.length === 0) return
    const parked = this.#parked
    this.#parked = []
    for (const one of parked) {
      this.#release(one.read, one.bytes)
      if (!one.read.link.down) this.#judge(one.read, one.next, one.until)
    }
  }

  /** All that waits ends with NOT_MASTER. */
  stop(): void {
    const asked = [...this.#asked.values(), this.#gathered].flat()
    const waiting: Asked[] = [...asked, ...this.#parked]
    this.#asked.clear()
    this.#gathered = []
    this.#parked = []
    for (const { read, bytes } of waiting) {
      this.#release(read, bytes)
      if (!read.link.down) this.#env.refuse(read, 'NOT_MASTER', false)
    }
  }

  /** Nobody waits for its answers any more. */
  onLinkDown(peer: PeerId, session: Session): void {
    if (this.#count === 0) return
    const stays = ({ read, bytes }: Asked): boolean => {
      if (read.link.peer !== peer || read.link.session !== session) return true
      this.#release(read, bytes)
      return false
    }
    this.#parked = this.#parked.filter(stays)
    this.#gathered = this.#gathered.filter(stays)
    for (const [id, group] of this.#asked) this.#asked.set(id, group.filter(stays))
  }

  /** `until`: when it stops waiting; undefined: it begins to wait now. */
  #judge(read: Read, next: Offset, until: number | undefined): void {
    const env = this.#env
    const { how } = read
    const now = env.now()
    const refusal = how.mode === READ.local ? this.#stale(how, now) : this.#standingRefusal()
    if (refusal !== undefined) return env.refuse(read, refusal, false)
    const serving = this.#serves()
    let waits = env.applied() < next
    let ahead: Position | undefined
    for (const position of [...how.after, ...how.seen]) {
      const place = env.place(position)
      // Only the master's log is the truth: a slave's may be the one that will be cut.
      if (place === 'lost') {
        if (!serving) return env.refuse(read, 'NOT_MASTER', false)
        return env.refuse(read, 'DIVERGED', how.seen.includes(position))
      }
      if (place === 'ahead') ahead = position
      else if (place === 'here' && position.offset >= env.applied()) waits = true
    }
    if (!waits && ahead === undefined) return env.answer(read)
    const due = until ?? now + (serving ? TIMES.lostEpochMs : TIMES.tokenWaitMs)
    if (now < due) return this.#park(read, next, due)
    if (!serving) return env.refuse(read, 'NOT_MASTER', false)
    // In its log, but not applied in all the time: it cannot commit.
    if (ahead === undefined) return env.refuse(read, 'NOT_READY', false)
    env.refuse(read, 'DIVERGED', how.seen.includes(ahead))
  }

  #stale(how: HowToRead, now: number): ErrorCode | undefined {
    return now - this.#env.freshness() <= how.maxStaleMs ? undefined : 'TOO_STALE'
  }

  #standingRefusal(): ErrorCode | undefined {
    const { role, serving, why = 'NOT_READY' } = this.#env.standing()
    if (role !== 'master') return 'NOT_MASTER'
    return serving ? undefined : errorCode(why)
  }

  #serves(): boolean {
    const { role, serving } = this.#env.standing()
    return role === 'master' && serving
  }

  #park(read: Read, next: Offset, until: number): void {
    const bytes = bytesOf(read)
    if (!this.#take(read, bytes)) return
    this.#parked.push({ read, bytes, until, next })
    this.#env.onPark()
  }

  /** Room for one more; refuses it with BUSY if there is none. */
  #take(read: Read, bytes: number): boolean {
    const { parkedReadsMax, parkedReadsBytesMax } = LIMITS
    if (this.#count >= parkedReadsMax || this.#bytes + bytes > parkedReadsBytesMax) {
      this.#env.refuse(read, 'BUSY', false)
      return false
    }
    this.#count++
    this.#bytes += bytes
    this.#env.took(read.link, bytes)
    return true
  }

  #release({ link }: Read, bytes: number): void {
    this.#count--
    this.#bytes -= bytes
    this.#env.gave(link, bytes)
  }
}

function bytesOf(read: Read): number {
  return PARKED_BYTES + 2 * (read.cache.length + read.key.length)
}
