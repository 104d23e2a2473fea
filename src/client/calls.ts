/**
 * Calls to the serving master: the calls of a turn leave in a few frames, are asked again where no
 * answer came and nothing can go wrong by it, and settle before their deadlines.
 *
 *   submitted -> waiting <-> in flight -> answered | timed out | closed
 *                   ^-- target down, next route, NOT_MASTER, NOT_READY, NO_MAJORITY, BUSY
 *
 * A write keeps its window and number however often it is sent, so it has one effect (PROTOCOL 10).
 */
import { LIMITS, TIMES } from '../config.js'
import type { CachePort } from '../contracts/cache.js'
import type { Clock, Random, Timer } from '../contracts/environment.js'
import type { SendResult } from '../contracts/transport.js'
import type { Epoch, GroupId, Offset, PeerId } from '../contracts/types.js'
import { Seen } from '../core/positions.js'
import { type ErrorCode, GcacheError } from '../errors.js'
import { FIRST_WRITE_OP, OP } from '../wire/command.js'
import type { GroupHead } from '../wire/requests.js'
import type { Call } from './call.js'
import { CallMaker } from './call-maker.js'
import { CallTable } from './call-table.js'
import { ClientWatches } from './client-watches.js'
import { LocalLane } from './local-lane.js'
import { Outbox } from './outbox.js'
import { ReplyReader } from './reply-reader.js'
import type { WriteWindow } from './write-window.js'
import { WriteWindows } from './write-windows.js'

/** Answers of a node that cannot serve now: another may, or this one again. */
const RETRIED: readonly ErrorCode[] = [
  'NOT_MASTER',
  'WRONG_EPOCH',
  'NOT_READY',
  'NO_MAJORITY',
  'BUSY',
]

export interface CallsEnv {
  readonly clock: Clock
  readonly random: Random
  /** Deadline of a write that names none, ms. */
  readonly timeoutMs: number
  /** The group that all its calls are for, and the table by which they are routed; absent: group 0.
   *  Windows and positions are a group's own, so each group has Calls of its own. */
  to?(): GroupHead
  /** The cluster's name: tokens of another one are refused. */
  readonly cluster?: string
  /** As Transport.send. Replies may come from inside it, where the master is this process. */
  send(target: PeerId, frame: Uint8Array): SendResult
  flush(target: PeerId): void
  /** Runs `task` at the end of the turn. Default: process.nextTick. */
  defer?(task: () => void): void
  /** Told every 25 ms while calls are pending and none was answered for `silentMs`. */
  onSilence?(silentMs: number): void
  /** The node that local reads go to does not answer them. */
  onLocalSilence?(): void
}

const SWEEP_MS = 25
/** A sweep this late says that the event loop was blocked. */
const LATE_MS = 100
const BACKOFF_MS_MIN = 20
const BACKOFF_MS_MORE = 30
/** Between two masters somebody serves in some ms: asked again after it, then twice as long ... */
const BACKOFF_MS_FIRST = 3
export class Calls extends CallMaker implements CachePort {
  readonly #env: CallsEnv
  readonly #defer: (task: () => void) => void
  /** What this client has written or read: its token. */
  readonly seen = new Seen()
  readonly #table = new CallTable()
  readonly #outbox: Outbox
  readonly #lane: LocalLane
  readonly #replies = new ReplyReader()
  readonly #watches: ClientWatches
  readonly #endTurn = (): void => {
    this.#turnOpen = false
    this.#outbox.finish()
    this.#lane.finish()
  }
  #target: PeerId | undefined
  /** Calls without a target, oldest first, from #head on. */
  #waiting: Call[] = []
  #head = 0
  #bytes = 0
  readonly #windows: WriteWindows
  #turnOpen = false
  #pumping = false
  #now = 0
  #soonest = Number.POSITIVE_INFINITY
  #sweepAt = Number.POSITIVE_INFINITY
  #sweepTimer: Timer | undefined
  #backoff: Timer | undefined
  #backoffCode: ErrorCode | undefined
  /** Pauses since the last call that ended. */
  #backoffs = 0
  #congested = false
  #answers = 0
  #answersSeen = 0
  #silentSince = 0
  #spared = false
  #closed = false
  #refusing = false
  #reopening = false

  constructor(env: CallsEnv) {
    super(env.timeoutMs, env.cluster ?? '', env.clock)
    this.#env = env
    this.#windows = new WriteWindows(env.random)
    this.#defer = env.defer ?? process.nextTick
    this.#outbox = new Outbox({
      to: env.to?.bind(env),
      pending: () => this.#table.count,
      send: (target, frame) => env.send(target, frame),
      flush: target => env.flush(target),
      onCongested: () => {
        this.#congested = true
      },
      onDropped: calls => {
        for (const call of calls) this.#bounce(call, 'BUSY')
      },
    })
    this.#lane = new LocalLane({
      clock: env.clock,
      pending: () => this.#table.count,
      send: (target, frame) => env.send(target, frame),
      flush: target => env.flush(target),
      onReturned: () => this.#reopenLater(),
      onSilence: () => this.#env.onLocalSilence?.(),
    })
    this.#watches = new ClientWatches((target, frame) => env.send(target, frame))
  }

  /** Calls without an answer. */
  get pending(): number {
    return this.#table.count
  }

  /** Their values. */
  get pendingBytes(): number {
    return this.#bytes
  }

  watch(...wanted: Parameters<CachePort['watch']>): () => void {
    if (this.#closed) throw new GcacheError('CLOSED', 'the client was closed')
    return this.#watches.watch(...wanted)
  }

  /** The node that was asked to does not let this client watch. */
  onWatchRefused(target: PeerId, id: number, error: GcacheError): void {
    this.#watches.onRefused(target, id, error)
  }

  /** Values that the master takes, bytes; said before it is routed. What is larger and waits for
   *  it ends with LIMIT. */
  limitValues(bytes: number): void {
    // No node takes more, and our own transport carries no larger frame, whatever a server claims.
    this.valueBytesMax = Math.min(bytes, LIMITS.valueBytesCeiling)
    this.#outbox.frameBytesMax = this.valueBytesMax + LIMITS.frameRoomBytes
  }

  /** The master that serves now; undefined while none is known: calls wait. What is in flight
   *  elsewhere is asked again here, oldest first. */
  route(target: PeerId | undefined): void {
    if (this.#closed) return
    if (target !== this.#target) {
      this.#outbox.route(undefined)
      this.#target = target
      this.#congested = false
      this.#watches.route(target)
      if (target !== undefined)
        for (const call of this.#table.all())
          if (call.target !== target && call.target !== this.#lane.target) call.target = undefined
    }
    this.#lane.route(this.#lane.target, target)
    if (target !== undefined) this.#endBackoff()
    this.#reopen()
  }

  /** The node near by that local reads ask first; undefined: they ask the master. */
  routeLocal(target: PeerId | undefined): void {
    if (this.#closed || target === this.#lane.target) return
    this.#lane.route(target, this.#target)
    this.#reopen()
  }

  /** Its link is gone: what was in flight there waits for the next route. */
  onTargetDown(target: PeerId): void {
    if (target === this.#target) {
      this.#outbox.route(undefined)
      this.#target = undefined
      this.#congested = false
      this.#watches.route(undefined)
    }
    if (target === this.#lane.target) this.#lane.route(undefined, this.#target)
    for (const call of this.#table.all()) if (call.target === target) call.target = undefined
    this.#reopen()
  }

  onWritable(target: PeerId): void {
    if (target === this.#lane.target) this.#lane.onWritable()
    if (target !== this.#target) return
    this.#congested = false
    this.#reopen()
  }

  /** A frame of kind reply. Throws PROTOCOL_ERROR for what is none: the caller ends the link. */
  onReply(target: PeerId, frame: Uint8Array): void {
    // What a slave answers says nothing of the master.
    if (target !== this.#lane.target || target === this.#target) this.#answers++
    this.#lane.onAnswer(target)
    this.#replies.read(this, target, frame)
    if (this.#waiting.length > 0) this.#pump()
  }

  /** A frame of kind event. */
  onEvent(target: PeerId, frame: Uint8Array): void {
    this.#watches.onEvent(target, frame)
  }

  /** Takes no new calls (CLOSED); those under way end as ever. */
  refuseNew(): void {
    this.#refusing = true
  }

  /** Rejects every pending call with CLOSED. Idempotent. */
  close(): void {
    this.#closed = true
    this.#outbox.route(undefined)
    this.#lane.route(undefined, undefined)
    this.#watches.close(new GcacheError('CLOSED', 'the client was closed'))
    this.#sweepTimer?.cancel()
    this.#backoff?.cancel()
    for (const call of this.#table.all()) this.#fail(call, 'CLOSED', 'the client was closed')
    this.#waiting = []
    this.#head = 0
  }

  /** For the reader of replies: the pending call `id` if it is in flight at `target`. */
  inFlight(id: number, target: PeerId): Call | undefined {
    const call = this.#table.get(id)
    return call !== undefined && call.target === target ? call : undefined
  }

  /** For the reader of replies: `call` has its answer, and is settled by who calls this. */
  remove(call: Call): void {
    this.#table.remove(call)
    this.#bytes -= call.value.length
    this.#backoffs = 0
    call.settled = true
    if (call.window !== undefined) call.window.answer(call.seq)
  }

  /** For the reader of replies: the call got an error. */
  onError(call: Call, code: ErrorCode, surely: boolean, message: string): void {
    if (surely && call.unsure > 0) call.unsure--
    if (this.#lane.takesBack(call, code)) return
    if (RETRIED.includes(code)) {
      call.without = code === 'NO_MAJORITY'
      this.#bounce(call, code)
      return
    }
    if (code === 'CLIENT_EXPIRED' && call.window !== undefined) {
      call.window.expired = true
      if (call.unsure === 0 && call.op !== OP.openWindow) {
        // It was sent only once and surely did nothing: it may be another window's write.
        call.window.answer(call.seq)
        call.window = undefined
        this.#bounce(call, code)
        return
      }
    }
    this.#windows.onFailure(call, code)
    this.#fail(call, code, message)
  }

  /** For the reader of replies: `call` was answered from a log that ends with this entry. */
  onSeen(call: Call, epoch: Epoch, offset: Offset): void {
    if (call.how === undefined) this.seen.note(epoch, offset)
    else this.seen.replace(call.how.seen, epoch, offset)
  }

  protected groupOf(): GroupId {
    return this.#env.to?.().group ?? 0
  }

  /** For those who make calls for several groups, too. */
  submit(call: Call, timeoutMs: number): Promise<unknown> {
    if (this.#closed || this.#refusing) return this.refuse(call, 'CLOSED', 'the client was closed')
    const bytes = this.#bytes + call.value.length
    if (this.#table.full || (bytes > LIMITS.callQueueBytesMax && call.value.length > 0))
      return this.refuse(call, 'BUSY', `${this.pending} calls, ${bytes} bytes are unanswered`)
    if (!this.#turnOpen) this.#beginTurn()
    this.#add(call, timeoutMs)
    const waits = this.#waiting.length > 0 && call.how?.isLocal !== true
    if (waits || !this.#encode(call)) this.#waiting.push(call)
    return call.promise
  }

  #add(call: Call, timeoutMs: number): void {
    const due = this.#now + timeoutMs - Math.min(SWEEP_MS, timeoutMs * 0.1)
    call.due = due
    if (due < this.#soonest) this.#soonest = due
    if (due < this.#sweepAt) this.#armSweep(due)
    this.#table.add(call)
    this.#bytes += call.value.length
  }

  #beginTurn(): void {
    this.#turnOpen = true
    this.#now = this.#env.clock.now()
    this.#defer(this.#endTurn)
  }

  /** Writes the call into the open frame; false if it has to wait. */
  #encode(call: Call): boolean {
    const outbox = this.#outbox
    const { how } = call
    if (how?.isLocal) {
      how.seen = this.seen.positions
      if (this.#lane.write(call, this.#now)) return true
    }
    if (!outbox.open) return false
    if (call.value.length > this.valueBytesMax) {
      this.#fail(call, 'LIMIT', this.tooLarge(call))
      return true
    }
    how?.goToMaster()
    if (call.op >= FIRST_WRITE_OP && call.window === undefined) {
      const window = this.#windows.usable(this.#now) ?? this.#openWindow(call.ack)
      if (window.full || !outbox.open) return false
      window.usedAt = this.#now
      call.window = window
      call.seq = window.take()
    }
    return outbox.write(call, call.window ?? this.#windows.newest)
  }

  #openWindow(ack: number): WriteWindow {
    const call = this.#windows.open(ack)
    this.#add(call, this.#env.timeoutMs)
    this.#encode(call)
    return call.window
  }

  /** Asked again after a pause, or at once on the next route. All calls pause, to keep order. */
  #bounce(call: Call, code: ErrorCode): void {
    call.target = undefined
    this.#backoffCode = code
    if (this.#backoff !== undefined) return
    this.#outbox.route(undefined)
    const fullMs = BACKOFF_MS_MIN + this.#env.random.next() * BACKOFF_MS_MORE
    const soonMs = code === 'BUSY' ? fullMs : BACKOFF_MS_FIRST * 2 ** this.#backoffs++
    const delayMs = Math.min(fullMs, soonMs)
    this.#backoff = this.#env.clock.after(delayMs, () => {
      this.#endBackoff()
      this.#reopen()
    })
  }

  #endBackoff(): void {
    this.#backoff?.cancel()
    this.#backoff = undefined
  }

  /** At the end of the turn: who finds this out may be in the middle of a frame. */
  #reopenLater(): void {
    if (this.#reopening) return
    this.#reopening = true
    this.#defer(() => {
      this.#reopening = false
      this.#reopen()
    })
  }

  /** Something about the route changed: sends what waits, if it may. */
  #reopen(): void {
    if (this.#closed) return
    const open = this.#backoff === undefined && !this.#congested
    this.#outbox.route(open ? this.#target : undefined)
    this.#watches.retry()
    const waiting = this.#table.all().filter(call => call.target === undefined)
    // A window must be open before its writes come, though it was asked for after the first.
    this.#waiting = [
      ...waiting.filter(call => call.op === OP.openWindow),
      ...waiting.filter(call => call.op !== OP.openWindow),
    ]
    this.#head = 0
    this.#pump()
  }

  /** Sends what waits, oldest first, as far as it may go. */
  #pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    if (this.#waiting.length > 0 && !this.#turnOpen) this.#beginTurn()
    if (!this.#outbox.open) this.#offerLocal()
    while (this.#head < this.#waiting.length) {
      const call = this.#waiting[this.#head]
      if (!call.settled && call.target === undefined && !this.#encode(call)) break
      this.#head++
    }
    if (this.#head === this.#waiting.length) {
      this.#waiting = []
      this.#head = 0
    }
    this.#pumping = false
  }

  /** Local reads need no master: they pass what waits for one. */
  #offerLocal(): void {
    for (const call of this.#waiting)
      if (call.how?.isLocal && !call.settled && call.target === undefined) this.#encode(call)
  }

  #armSweep(due: number): void {
    const idle = this.#sweepAt === Number.POSITIVE_INFINITY
    if (idle) this.#silentSince = this.#now
    const at = Math.min(due, this.#now + SWEEP_MS)
    if (at >= this.#sweepAt) return
    this.#sweepAt = at
    this.#sweepTimer?.cancel()
    this.#sweepTimer = this.#env.clock.after(Math.max(0, at - this.#now), () => this.#sweep())
  }

  #sweep(): void {
    const now = this.#env.clock.now()
    const lateMs = now - this.#sweepAt
    this.#now = now
    this.#sweepAt = Number.POSITIVE_INFINITY
    this.#sweepTimer = undefined
    if (lateMs > LATE_MS && !this.#spared) {
      // This process stood still: answers may have arrived, and are read before anybody judges.
      this.#spared = true
      this.#armSweep(now + 1)
      return
    }
    this.#spared = false
    if (now >= this.#soonest) this.#settleOverdue(now)
    this.#lane.sweep(now, () => this.#table.all())
    if (this.#target === undefined && this.#waiting.length > 0) this.#pump()
    if (this.#table.count === 0) {
      this.#soonest = Number.POSITIVE_INFINITY
      return
    }
    const silentSince = this.#silentSince
    const answered = this.#answers !== this.#answersSeen
    this.#answersSeen = this.#answers
    this.#armSweep(this.#soonest)
    this.#silentSince = answered ? now : silentSince
    if (!answered) this.#env.onSilence?.(now - silentSince)
  }

  #settleOverdue(now: number): void {
    let soonest = Number.POSITIVE_INFINITY
    for (const call of this.#table.all()) {
      if (call.due <= now) {
        this.#windows.onFailure(call)
        const refused = call.without ? 'NO_MAJORITY' : 'TIMEOUT'
        const code = call.how?.tooStale === true ? 'TOO_STALE' : refused
        this.#fail(call, code, this.#timeoutText(call))
      } else if (call.due < soonest) soonest = call.due
    }
    this.#soonest = soonest
    if (this.#waiting.length > 0) this.#pump()
  }

  #timeoutText(call: Call): string {
    const where =
      call.target !== undefined
        ? `sent to ${call.target}, no answer`
        : this.#target === undefined
          ? 'no serving master is known'
          : `waiting (${this.#backoffCode ?? 'its window is full'})`
    return `${call.op >= FIRST_WRITE_OP ? 'write' : 'read'} not settled in time: ${where}`
  }

  /** Ends a pending call. A write that may have been executed says so. */
  #fail(call: Call, code: ErrorCode, message: string): void {
    this.remove(call)
    const outcome =
      call.op < FIRST_WRITE_OP
        ? undefined
        : // Even what apply decided: an earlier send may stand on the other side of a split.
          call.unsure > 0
          ? 'unknown'
          : 'rejected'
    call.reject(new GcacheError(code, message, { outcome }))
  }
}

/** The deadline of calls that name none, ms. */
export const DEFAULT_TIMEOUT_MS = TIMES.timeoutMs
