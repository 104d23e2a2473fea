/**
 * A client's batch in, one batch of replies out. Reads are answered from the store, the writes of a
 * frame become one `propose`, and what the step settles at once leaves with the reads in one frame:
 * nothing waits for the end of the turn.
 *
 *   frame -> read ------------------------------> reply
 *         -> write -> propose -> settle | reject -> reply     (now, or in a later turn)
 */
import { LIMITS } from '../config.js'
import type { Access } from '../contracts/authorisation.js'
import type { Outcome, ResultSink } from '../contracts/store.js'
import type { Standing } from '../contracts/strategy.js'
import type { ClientRef, GroupId, Offset, PeerId, Receipt, Session } from '../contracts/types.js'
import { ERROR_CODES, type ErrorCode, errorCode, GcacheError } from '../errors.js'
import { Reader } from '../wire/bytes.js'
import { type CommandLimits, checkCommand, FIRST_WRITE_OP, OP } from '../wire/command.js'
import {
  ackOf,
  FRAME,
  READ,
  readGroupHead,
  readReadTail,
  writeAbsent,
  writeError,
  writeNumber,
  writeValue,
  writeWritten,
} from '../wire/requests.js'
import type { OpenCalls } from './open-calls.js'
import { CacheNames, PendingKeys } from './request-keys.js'
import { readPage, writePage } from './request-pages.js'
import { Places } from './request-places.js'
import { type Read, Reads } from './request-reads.js'
import type { Replies, ReplyLink, ReplySource } from './request-replies.js'
import { NO_BYTES, PooledProposal, RecentResults, type WaitingWrites } from './request-writes.js'
import type { RequestsEnv } from './requests-env.js'

const REPLY_BYTES_MAX = 64
const ERROR_BYTES_MAX = 512
const LOWEST_MAX = Number.MAX_SAFE_INTEGER - LIMITS.windowWritesMax

const OUTCOME_CODES: Record<Exclude<Outcome, 'ok'>, ErrorCode> = {
  exists: 'ALREADY_EXISTS',
  version: 'VERSION_MISMATCH',
  missing: 'NOT_FOUND',
  full: 'CACHE_FULL',
  expired: 'CLIENT_EXPIRED',
}

export class Requests implements ResultSink {
  readonly #env: RequestsEnv
  readonly #limits: CommandLimits
  readonly #replies: Replies
  readonly #reads: Reads
  readonly #calls: OpenCalls
  readonly #waiting: WaitingWrites<Requests>
  #source: ReplySource
  readonly #head = { group: 0, table: 0 }
  readonly #results = new RecentResults()
  /** Settled before they were applied: receipts by offset. */
  readonly #late = new Map<Offset, { id: number; receipt: Receipt }>()
  readonly #reader = new Reader()
  readonly #names = new CacheNames()
  readonly #places: Places
  readonly #pending = new PendingKeys()
  readonly #pool: PooledProposal[] = []
  #batch: PooledProposal[] = []
  /** The last window seen, so that frames share one object and its id. */
  #window: ClientRef = { id: '', lowest: 0 }
  #standing: Standing
  #time = 0

  /** `calls`: of all groups of this node. */
  constructor(env: RequestsEnv, calls: OpenCalls) {
    this.#env = env
    this.#calls = calls
    this.#places = new Places(env)
    calls.add(this)
    this.#waiting = calls.waiting
    this.#source = { group: env.group ?? 0, applied: () => env.applied() }
    this.#limits = { ...LIMITS, valueBytesMax: env.valueBytesMax ?? LIMITS.valueBytesMax }
    this.#replies = calls.replies
    this.#standing = env.standing()
    this.#reads = new Reads({
      now: env.now,
      standing: env.standing,
      applied: () => env.store.applied,
      freshness: env.freshness,
      place: env.place,
      takeId: () => calls.takeReadId(),
      onPark: () => calls.awaits(this),
      read: env.read,
      keyed: env.keyed,
      took: (link, bytes) => this.#replies.took(link, bytes),
      gave: (link, bytes) => this.#replies.gave(link, bytes),
      answer: read => this.#answerRead(read),
      refuse: ({ link, call }, code, seenLost) => {
        const { epoch } = env.standing()
        const out = this.#replies.reply(link, this.#source, epoch.number, ERROR_BYTES_MAX)
        writeError(out, call, code, true, whenOf(code, this.#source.group), seenLost)
      },
    })
  }

  /** Reads that wait for an entry or for the strategy. */
  get waitingReads(): number {
    return this.#reads.waiting
  }

  /** Writes that wait for their answer. */
  get waiting(): number {
    return this.#waiting.count
  }

  /** A frame of kind request. Throws PROTOCOL_ERROR for what is none: the caller ends the link.
   *  `frame` is lent for the call. */
  onFrame(peer: PeerId, session: Session, frame: Uint8Array): void {
    const link = this.#replies.link(peer, session)
    this.#calls.inFrame = true
    try {
      this.#standing = this.#env.standing()
      this.#time = this.#env.time()
      this.#readFrame(link, frame)
      this.#propose()
      this.#reads.flush()
    } finally {
      this.#calls.inFrame = false
      if (this.#batch.length > 0) this.#discard()
    }
    this.#calls.finish()
    this.#replies.judge(link)
  }

  /** Nobody waits for its reads any more; its writes go on. */
  onLinkDown(peer: PeerId, session: Session): void {
    this.#reads.onLinkDown(peer, session)
  }

  /** Its group is not here any more: all that waits ends with NOT_MASTER. */
  stop(): void {
    this.#calls.remove(this)
    for (const id of this.#waiting.idsOf(this)) this.reject(id, 'NOT_MASTER', false)
    this.#reads.stop()
  }

  /** What apply decided, in the order of offsets. */
  onResult(offset: Offset, outcome: Outcome, version: Offset): void {
    this.#results.onResult(offset, outcome, version)
    if (this.#late.size === 0) return
    const late = this.#late.get(offset)
    if (late === undefined) return
    this.#late.delete(offset)
    this.settle(late.id, late.receipt)
  }

  /** The strategy answers a proposal. Ids that are not ours are passed over. */
  settle(id: number, receipt: Receipt): void {
    const link = this.#waiting.link(id)
    if (link === undefined) return
    const offset = receipt.offset
    if (!this.#results.has(offset)) {
      if (offset >= this.#env.store.applied) {
        this.#late.set(offset, { id, receipt })
        this.#calls.awaits(this)
      }
      // Its result was pushed out by newer ones; a retry of the same write brings it back.
      else this.reject(id, 'BUSY', false)
      return
    }
    const call = this.#answered(link, id)
    if (link.down) return
    const outcome = this.#results.outcome(offset)
    const epoch = receipt.epoch.number
    if (outcome !== 'ok') {
      this.#refuse(link, call, OUTCOME_CODES[outcome], true, epoch)
      return
    }
    const out = this.#replies.reply(link, this.#source, epoch, REPLY_BYTES_MAX)
    const version = this.#results.version(offset)
    writeWritten(out, call, offset, version, receipt.copies, receipt.durableCopies)
  }

  /** The strategy lets the reads `id` be answered once everything below `next` is applied. */
  serve(id: number, next: Offset): void {
    this.#reads.serve(id, next)
  }

  /** The strategy refuses a proposal; `surely`: it is in no log and will not be. Or a read. */
  reject(id: number, code: string, surely: boolean): void {
    if (this.#reads.isRead(id)) return this.#reads.reject(id, errorCode(code))
    const link = this.#waiting.link(id)
    if (link === undefined) return
    const call = this.#answered(link, id)
    if (link.down) return
    this.#refuse(link, call, errorCode(code), surely, this.#standing.epoch.number)
  }

  #answered(link: ReplyLink, id: number): number {
    this.#replies.gave(link, this.#waiting.bytes(id))
    return this.#waiting.remove(id)
  }

  /** After the effects of a step, and outside a frame: writes what became known. True if something
   *  waits for the next one. */
  finish(): boolean {
    if (this.#late.size > 0) this.#giveUpSkipped()
    this.#reads.settle()
    return this.#late.size > 0 || this.#reads.parks
  }

  /** A snapshot may carry the state past an offset without a result for it. */
  #giveUpSkipped(): void {
    const applied = this.#env.store.applied
    for (const [offset, late] of this.#late) {
      if (offset >= applied) continue
      this.#late.delete(offset)
      this.reject(late.id, 'BUSY', false)
    }
  }

  #readFrame(link: ReplyLink, frame: Uint8Array): void {
    const reader = this.#reader.open(frame)
    if (reader.u8() !== FRAME.request) reader.fail('no request frame')
    let window: ClientRef | null = null
    if (readGroupHead(reader, this.#head)) {
      const named = reader.latin1(16)
      const id = link.access === undefined ? named : link.access.window(named)
      const lowest = reader.whole()
      // Beyond, numbers are no longer one apart and a loop over them would not end.
      if (lowest > LOWEST_MAX) reader.fail(`window of ${lowest}`)
      const last = this.#window
      if (last.id !== id) this.#window = { id, lowest }
      else if (last.lowest !== lowest) this.#window = { id: last.id, lowest }
      window = this.#window
    }
    const { group } = this.#head
    // Of groups that are not here.
    if (group !== this.#source.group) this.#source = { group, applied: this.#source.applied }
    const count = reader.u16()
    if (count > LIMITS.requestsPerFrameMax)
      reader.fail(`${count} requests exceed ${LIMITS.requestsPerFrameMax}`)
    for (let i = 0; i < count; i++) {
      const call = reader.u32()
      const ack = reader.u8()
      const delta = reader.u16()
      const length = reader.u32()
      const start = reader.skip(length)
      const end = reader.at
      const frameEnd = reader.end
      reader.at = start
      reader.end = end
      const op = reader.u8()
      if (link.access !== undefined && !this.#mayDo(link, link.access, call, op)) reader.at = end
      else if (op < FIRST_WRITE_OP) this.#read(link, call, op, ack)
      else this.#write(link, call, op, window, delta, ack, frame, start, end)
      reader.at = end
      reader.end = frameEnd
    }
    reader.finish()
  }

  /** The reader stands behind the op, and stays there. Answers FORBIDDEN where it may not. */
  #mayDo(link: ReplyLink, access: Access, call: number, op: number): boolean {
    const reader = this.#reader
    const { at } = reader
    reader.u8()
    const nameBytes = reader.u8()
    const nameAt = reader.skip(nameBytes)
    // A longer one is no cache's: LIMIT is said of it.
    const isName = nameBytes <= LIMITS.cacheNameBytesMax
    const cache = isName ? this.#names.read(reader, nameAt, nameBytes) : ''
    reader.at = at
    if (!isName || access.mayDo(op, cache)) return true
    const text = this.#env.forbid?.(link.peer, access, op, cache)
    this.#refuse(link, call, 'FORBIDDEN', true, undefined, text)
    return false
  }

  /** The reader stands behind the op of a read; `how`: 0, or what its tail is. */
  #read(link: ReplyLink, call: number, op: number, how: number): void {
    const reader = this.#reader
    reader.u8()
    const nameBytes = reader.u8()
    const nameAt = reader.skip(nameBytes)
    const keyBytes = reader.u16()
    const keyAt = reader.skip(keyBytes)
    let cursor = 0
    let limit = 0
    if (op === OP.scan) {
      cursor = reader.whole()
      limit = reader.u16()
    } else if (op !== OP.get && op !== OP.has && op !== OP.size)
      reader.fail(`unknown operation ${op}`)
    const special = how === READ.master ? undefined : readReadTail(reader, how)
    reader.finish()
    const exact = op === OP.get || op === OP.has
    if (
      (nameBytes - 1) >>> 0 >= LIMITS.cacheNameBytesMax ||
      keyBytes > LIMITS.keyBytesMax ||
      (exact && keyBytes === 0)
    ) {
      this.#refuse(link, call, 'LIMIT', true)
      return
    }
    const cache = this.#names.read(reader, nameAt, nameBytes)
    const refusal =
      (special === undefined ? this.#refusal(cache) : this.#unnamed(cache)) ??
      (exact && this.#env.table !== undefined
        ? this.#places.refuse(reader, this.#source.group, keyAt, keyBytes)
        : undefined)
    if (refusal !== undefined || link.full) {
      this.#refuse(link, call, refusal ?? 'BUSY', true)
      return
    }
    if (this.#batch.length > 0)
      if (
        !exact ||
        special !== undefined ||
        this.#pending.mayHold(this.#batch, reader.source, keyAt, keyBytes)
      )
        this.#propose()
    reader.at = keyAt
    const key = reader.utf8(keyBytes)
    if (special === undefined) this.#answer(link, call, op, cache, key, cursor, limit)
    else this.#reads.ask({ link, call, op, cache, key, cursor, limit, how: special })
  }

  /** A read that was judged, perhaps outside a frame: standing and time are asked for anew. */
  #answerRead({ link, call, op, cache, key, cursor, limit }: Read): void {
    this.#standing = this.#env.standing()
    this.#time = this.#env.time()
    this.#answer(link, call, op, cache, key, cursor, limit)
  }

  #answer(
    link: ReplyLink,
    call: number,
    op: number,
    cache: string,
    key: string,
    cursor: number,
    limit: number,
  ): void {
    const epoch = this.#standing.epoch.number
    const store = this.#env.store
    if (op === OP.get) {
      const record = store.get(cache, key, this.#time)
      if (record === undefined)
        writeAbsent(this.#replies.reply(link, this.#source, epoch, REPLY_BYTES_MAX), call)
      else {
        const value = record.value
        if (!this.#replies.hasRoom(link, value.length))
          return this.#refuse(link, call, 'BUSY', true)
        const out = this.#replies.reply(link, this.#source, epoch, REPLY_BYTES_MAX + value.length)
        writeValue(out, call, record.version, record.expiresAt, value)
      }
    } else if (op === OP.scan) {
      const page = readPage(store, cache, key, cursor, limit, this.#time)
      if (!this.#replies.hasRoom(link, page.bytes)) return this.#refuse(link, call, 'BUSY', true)
      writePage(this.#replies.reply(link, this.#source, epoch, page.bytes), call, page.page)
    } else {
      const isSize = op === OP.size
      const number = isSize ? store.size(cache, this.#time) : +store.has(cache, key, this.#time)
      writeNumber(this.#replies.reply(link, this.#source, epoch, REPLY_BYTES_MAX), call, number)
    }
  }

  #write(
    link: ReplyLink,
    call: number,
    op: number,
    window: ClientRef | null,
    delta: number,
    ackByte: number,
    frame: Uint8Array,
    start: number,
    end: number,
  ): void {
    const reader = this.#reader
    const ack = ackOf(ackByte, reader) ?? this.#env.defaultAck
    if (delta >= LIMITS.windowWritesMax) reader.fail(`write ${delta} beyond its window`)
    if (!this.#withinLimits(link, call, frame, start, end)) return
    reader.u8()
    const nameBytes = reader.u8()
    const nameAt = reader.skip(nameBytes)
    const named = this.#env.autoCaches || op === OP.openWindow
    const cache = named ? undefined : this.#names.read(reader, nameAt, nameBytes)
    const refusal =
      this.#refusal(cache) ??
      this.#places.refuseWrite(reader, this.#source.group, nameAt, nameBytes)
    if (refusal !== undefined) {
      this.#refuse(link, call, refusal, true)
      return
    }
    // A large one comes alone: what it finds waiting is held in memory beside it.
    const crowded = end - start > LIMITS.largeValueBytes && link.calls > 0
    const id = crowded ? 0 : this.#waiting.add(link, call, end - start, this)
    if (id === 0) {
      this.#refuse(link, call, 'BUSY', true)
      return
    }
    this.#replies.took(link, end - start)
    const at = this.#batch.length
    if (at === this.#pool.length) this.#pool.push(new PooledProposal())
    const proposal = this.#pool[at]
    proposal.id = id
    proposal.ack = ack
    proposal.client = window
    proposal.group = this.#env.group
    proposal.seq = window === null ? 0 : window.lowest + delta
    proposal.bytes = frame
    proposal.start = start
    proposal.end = end
    if (this.#env.keyed) {
      reader.at = nameAt + nameBytes
      proposal.key = reader.text16()
    }
    this.#batch.push(proposal)
  }

  /** Answers LIMIT for that call alone; a PROTOCOL_ERROR goes through. */
  #withinLimits(
    link: ReplyLink,
    call: number,
    frame: Uint8Array,
    start: number,
    end: number,
  ): boolean {
    try {
      checkCommand(frame, start, end, this.#limits)
      return true
    } catch (error) {
      if (!(error instanceof GcacheError) || error.code !== 'LIMIT') throw error
      this.#refuse(link, call, 'LIMIT', true, undefined, error.message)
      return false
    }
  }

  /** Why nothing may be asked of `cache` here and now. */
  #refusal(cache: string | undefined): ErrorCode | undefined {
    const standing = this.#standing
    if (standing.role !== 'master') return this.#places.notMaster(this.#head.table)
    if (!standing.serving) return errorCode(standing.why ?? 'NOT_READY')
    return this.#unnamed(cache)
  }

  #unnamed(cache: string | undefined): ErrorCode | undefined {
    if (cache === undefined || this.#env.autoCaches || this.#env.caches.has(cache)) return undefined
    return 'NO_SUCH_CACHE'
  }

  #refuse(
    link: ReplyLink,
    call: number,
    code: ErrorCode,
    surely: boolean,
    epoch: number = this.#standing.epoch.number,
    message: string = whenOf(code, this.#source.group),
  ): void {
    writeError(
      this.#replies.reply(link, this.#source, epoch, ERROR_BYTES_MAX),
      call,
      code,
      surely,
      message,
    )
  }

  /** Proposes what the frame holds so far. */
  #propose(): void {
    const batch = this.#batch
    if (batch.length === 0) return
    this.#batch = []
    this.#pending.clear()
    this.#env.propose(batch)
    // The pool must not hold on to frames.
    for (const proposal of batch) proposal.bytes = NO_BYTES
    this.#standing = this.#env.standing()
  }

  /** A frame that broke off half-way: what it had not proposed yet never is. */
  #discard(): void {
    for (const { id } of this.#batch) {
      const link = this.#waiting.link(id)
      if (link !== undefined) this.#answered(link, id)
    }
    this.#batch = []
    this.#pending.clear()
  }
}

/** Its number is what an admin needs, and no user can compute it. */
function whenOf(code: ErrorCode, group: GroupId): string {
  if (code !== 'PARTITION_LOST' || group === 0) return ERROR_CODES[code].when
  const partition = group - 1
  return (
    `every copy of partition ${partition}, in which the key lies, is gone: bring back a node ` +
    `that holds one, or begin it anew, empty (gcache reset-partition ${partition})`
  )
}
