/**
 * The windows of a client's writes, one after the other: the next one begins when one has lapsed,
 * by a write of its own that goes ahead of those in it.
 */
import { LIMITS } from '../config.js'
import type { Random } from '../contracts/environment.js'
import type { ErrorCode } from '../errors.js'
import { OP } from '../wire/command.js'
import { Call } from './call.js'
import { WriteWindow } from './write-window.js'

export interface Opening extends Call {
  readonly window: WriteWindow
}

export class WriteWindows {
  /** That of new writes; perhaps one that has lapsed. */
  newest: WriteWindow | undefined
  /** The last one could not be opened as safely as the node answers by default. */
  #isScarce = false
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** That of new writes; undefined if it has lapsed or there was none: one must be opened. */
  usable(now: number): WriteWindow | undefined {
    const { newest } = this
    if (newest === undefined || newest.expired) return undefined
    return now - newest.usedAt < LIMITS.windowIdleMs / 2 ? newest : undefined
  }

  /**
   * Begins a window for a write of level `ack` and returns the call that opens it. It opens at the
   * node's own level, so that it outlives the master as the writes in it do; where that level is
   * out of reach, at the write's: it was refused for ever while it asked for more than its write.
   */
  open(ack: number): Opening {
    const window = new WriteWindow(this.#random)
    this.newest = window
    const call = new Call(OP.openWindow, this.#isScarce ? ack : 0, '', '')
    call.window = window
    call.seq = window.take()
    const noteDone = () => {
      if (call.ack === 0) this.#isScarce = false
    }
    call.promise.then(noteDone, () => {})
    return call as Opening
  }

  /** `call` ended without an answer that is good: if it was to open a window, that is not open. */
  onFailure({ op, window }: Call, code?: ErrorCode): void {
    if (op !== OP.openWindow || window === undefined) return
    window.expired = true
    if (code === 'NOT_ENOUGH_COPIES') this.#isScarce = true
  }
}
