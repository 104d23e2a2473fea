/**
 * The client's way to a node near by, beside its way to the master: local reads leave here, and
 * whatever goes wrong with one sends it to the master, once. A node that refuses or is silent is
 * left alone for a while, so that reads do not pay for two ways each.
 */
import { LIMITS } from '../config.js'
import type { Clock } from '../contracts/environment.js'
import type { SendResult } from '../contracts/transport.js'
import type { PeerId } from '../contracts/types.js'
import type { ErrorCode } from '../errors.js'
import { READ } from '../wire/requests.js'
import type { Call } from './call.js'
import { Outbox } from './outbox.js'

export interface LocalLaneEnv {
  readonly clock: Clock
  /** Calls without an answer. */
  pending(): number
  send(target: PeerId, frame: Uint8Array): SendResult
  flush(target: PeerId): void
  /** These calls go to the master instead. */
  onReturned(calls: readonly Call[]): void
  /** The target has not answered for 300 ms. */
  onSilence(): void
}

/** What the master may answer where a slave does not. */
const REDIRECTS = new Set<ErrorCode>([
  'NOT_MASTER',
  'WRONG_EPOCH',
  'NOT_READY',
  'TOO_STALE',
  'BUSY',
])
/** Pause after a refusal: a slave hears of its freshness every 100 ms. */
const REFUSED_MS = 100
/** Nothing was answered for so long: the node is stopped, or its link dead. */
const SILENT_MS = 300
const SILENT_PAUSE_MS = 1_000

export class LocalLane {
  readonly #env: LocalLaneEnv
  readonly #outbox: Outbox
  #target: PeerId | undefined
  #master: PeerId | undefined
  #congested = false
  #closedUntil = 0
  /** The first call since the last answer was sent then. */
  #askedAt: number | undefined

  constructor(env: LocalLaneEnv) {
    this.#env = env
    this.#outbox = new Outbox({
      pending: () => env.pending(),
      send: (target, frame) => env.send(target, frame),
      flush: target => env.flush(target),
      onCongested: () => {
        this.#congested = true
      },
      onDropped: calls => this.#giveBack(calls),
    })
    // Reads fit into the frames of any node.
    this.#outbox.frameBytesMax = LIMITS.valueBytesFloor + LIMITS.frameRoomBytes
  }

  get target(): PeerId | undefined {
    return this.#target
  }

  /** Where local reads go, and where all other calls do: never the same way twice. */
  route(target: PeerId | undefined, master: PeerId | undefined): void {
    if (target !== this.#target) {
      this.#congested = false
      this.#closedUntil = 0
      this.#askedAt = undefined
    }
    this.#target = target
    this.#master = master
    this.#reopen()
  }

  onWritable(): void {
    this.#congested = false
    this.#reopen()
  }

  /** Sends `call` at the end of the turn; false if it has to take the other way. */
  write(call: Call, now: number): boolean {
    if (call.how?.mode !== READ.local || this.#target === undefined) return false
    if (!this.#outbox.open && (now < this.#closedUntil || !this.#reopen())) return false
    this.#askedAt ??= now
    return this.#outbox.write(call, undefined)
  }

  /** The turn is over. */
  finish(): void {
    this.#outbox.finish()
  }

  onAnswer(target: PeerId): void {
    if (target === this.#target) this.#askedAt = undefined
  }

  /** True if this refusal only says: not here. The call takes the other way by then. */
  takesBack(call: Call, code: ErrorCode): boolean {
    if (call.how?.mode !== READ.local || !REDIRECTS.has(code)) return false
    if (code === 'TOO_STALE') call.how.tooStale = true
    this.#close(REFUSED_MS)
    this.#giveBack([call])
    return true
  }

  /** Every 25 ms while calls are pending; `calls()`: all of them. */
  sweep(now: number, calls: () => readonly Call[]): void {
    if (this.#askedAt === undefined || now - this.#askedAt < SILENT_MS) return
    this.#askedAt = undefined
    this.#close(SILENT_PAUSE_MS)
    this.#giveBack(calls().filter(({ target, how }) => target === this.#target && isLocal(how)))
    this.#env.onSilence()
  }

  #giveBack(calls: readonly Call[]): void {
    for (const call of calls) {
      call.target = undefined
      call.how?.goToMaster()
    }
    this.#env.onReturned(calls)
  }

  #close(ms: number): void {
    this.#closedUntil = this.#env.clock.now() + ms
    this.#outbox.route(undefined)
  }

  #reopen(): boolean {
    const { clock } = this.#env
    const open = this.#target !== this.#master && !this.#congested
    const opened = open && clock.now() >= this.#closedUntil
    this.#outbox.route(opened ? this.#target : undefined)
    return this.#outbox.open
  }
}

function isLocal(how: Call['how']): boolean {
  return how?.mode === READ.local
}
