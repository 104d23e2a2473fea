/**
 * The frame being written for the master: commands are encoded into it as the calls are made, and
 * it leaves once it is large enough and at the end of the turn, so that both sides work at once.
 */
import { LIMITS } from '../config.js'
import type { SendResult } from '../contracts/transport.js'
import type { PeerId } from '../contracts/types.js'
import { Writer } from '../wire/bytes.js'
import { FIRST_WRITE_OP } from '../wire/command.js'
import {
  beginRequest,
  beginRequests,
  endRequest,
  type GroupHead,
  readByte,
  writeReadTail,
} from '../wire/requests.js'
import { FrameSlab } from '../wire/slab.js'
import { type Call, callBytesMax, writeCall } from './call.js'
import type { WriteWindow } from './write-window.js'

/** A frame takes as many calls as the server has unanswered when it begins, within these: whole
 *  batches make client and server take turns (DESIGN 2), small ones cost a write each. */
const FRAME_CALLS_MIN = 25
const FRAME_CALLS_MAX = 256
const FRAME_BYTES = 65_536

export interface OutboxEnv {
  /** Asked at each frame; undefined: group 0. */
  to?: (() => GroupHead) | undefined
  /** Calls without an answer. */
  pending(): number
  send(target: PeerId, frame: Uint8Array): SendResult
  flush(target: PeerId): void
  /** The link took the last frame and wants no more. The outbox is closed by then. */
  onCongested(): void
  /** The link refused the frame with these calls. The outbox is closed by then. */
  onDropped(calls: readonly Call[]): void
}

export class Outbox {
  readonly #env: OutboxEnv
  readonly #slab = new FrameSlab()
  #out = new Writer(16)
  #target: PeerId | undefined
  #countAt = 0
  #callsMax = FRAME_CALLS_MIN
  #calls: Call[] = []
  #window: WriteWindow | undefined
  #lowest = 0
  /** What the target takes. */
  frameBytesMax: number = LIMITS.clientFrameBytesMax

  constructor(env: OutboxEnv) {
    this.#env = env
  }

  /** True if write() takes calls. */
  get open(): boolean {
    return this.#target !== undefined
  }

  /** Where calls go from now on; undefined closes. Takes back the frame begun for another. */
  route(target: PeerId | undefined): void {
    if (target === this.#target) return
    this.takeBack()
    this.#target = target
  }

  /** Writes `call` into the frame; false if the outbox closed before that. `window` must be the
   *  call's own if it is a write. */
  write(call: Call, window: WriteWindow | undefined): boolean {
    // Not only once: what send() answers from inside may have begun another frame.
    while (this.#calls.length > 0 && !this.#fits(call, window)) this.finish()
    const target = this.#target
    if (target === undefined) return false
    if (this.#calls.length === 0) this.#begin(window)
    const out = this.#out
    const delta = call.op >= FIRST_WRITE_OP ? call.seq - this.#lowest : 0
    const { how } = call
    const start = beginRequest(out, call.id, how === undefined ? call.ack : readByte(how), delta)
    writeCall(out, call)
    if (how !== undefined) writeReadTail(out, how)
    endRequest(out, start)
    call.target = target
    call.unsure++
    if (this.#calls.push(call) >= this.#callsMax || this.#slab.frameBytes >= FRAME_BYTES)
      this.finish()
    return true
  }

  /** Sends the frame, if one was begun, and has it written at once. */
  finish(): void {
    const calls = this.#calls
    const target = this.#target
    if (calls.length === 0 || target === undefined) return
    this.#calls = []
    this.#out.patchU16(this.#countAt, calls.length)
    const result = this.#env.send(target, this.#slab.end())
    if (result !== 'dropped') this.#env.flush(target)
    if (result === 'sent') return
    this.route(undefined)
    if (result === 'congested') this.#env.onCongested()
    else {
      forget(calls)
      this.#env.onDropped(calls)
    }
  }

  /** The frame that was begun is not sent; its calls are without a target again. */
  takeBack(): void {
    const calls = this.#calls
    if (calls.length === 0) return
    this.#calls = []
    this.#slab.cancel()
    forget(calls)
  }

  #fits(call: Call, window: WriteWindow | undefined): boolean {
    if (this.#slab.frameBytes + callBytesMax(call) > this.frameBytesMax) return false
    if (call.op < FIRST_WRITE_OP) return true
    return window === this.#window && call.seq - this.#lowest < LIMITS.windowWritesMax
  }

  #begin(window: WriteWindow | undefined): void {
    this.#out = this.#slab.begin()
    this.#callsMax = Math.min(Math.max(this.#env.pending(), FRAME_CALLS_MIN), FRAME_CALLS_MAX)
    this.#window = window
    this.#lowest = window?.lowest ?? 0
    this.#countAt = beginRequests(this.#out, window, this.#env.to?.())
  }
}

function forget(calls: readonly Call[]): void {
  for (const call of calls) {
    call.target = undefined
    call.unsure--
  }
}
