/**
 * An idempotency window: every write has a number in it, so that a cluster executes it once however
 * often it is sent. `lowest <= seq < next <= lowest + 1024` for every unanswered write.
 */
import { LIMITS } from '../config.js'
import type { Random } from '../contracts/environment.js'

const SIZE = LIMITS.windowWritesMax

export class WriteWindow {
  /** 16 random bytes, one a char. */
  readonly id: string
  /** The lowest unanswered number. */
  lowest = 1
  next = 1
  /** Monotonic ms of the last write. */
  usedAt = 0
  /** Said to be expired: no new write joins it. */
  expired = false
  readonly #answered = new Uint8Array(SIZE)

  constructor(random: Random) {
    let id = ''
    for (let i = 0; i < 16; i++) id += String.fromCharCode(Math.floor(random.next() * 256))
    this.id = id
  }

  get full(): boolean {
    return this.next - this.lowest >= SIZE
  }

  /** A number for the next write; only if not full. */
  take(): number {
    const seq = this.next++
    this.#answered[seq % SIZE] = 0
    return seq
  }

  /** Nobody asks for the answer of `seq` again. */
  answer(seq: number): void {
    this.#answered[seq % SIZE] = 1
    while (this.lowest < this.next && this.#answered[this.lowest % SIZE] === 1) this.lowest++
  }
}
