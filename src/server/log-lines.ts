/**
 * Log lines on their way to a place that may be unwritable for a while: a full disk, a terminal
 * that was closed, a reader that stalls. A server outlives that: lines wait, beyond a bound they
 * are lost and counted, and the log says so where they are missing.
 */

/** What waits, at most; the oldest lines, for they tell how it began. */
export const WAITING_BYTES_MAX = 1 << 20
/** The next line tries again as well; this is for the last line before a silence. */
const RETRY_MS = 1_000

export class LogLines {
  readonly #put: (bytes: Uint8Array) => number
  readonly #lostLine: (count: number) => string
  readonly #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #lost = 0
  #retry: NodeJS.Timeout | undefined

  /** `put` writes at once and says how many bytes it took, or throws; `lostLine`: the line that
   *  says how many are missing. */
  constructor(put: (bytes: Uint8Array) => number, lostLine: (count: number) => string) {
    this.#put = put
    this.#lostLine = lostLine
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#waiting.length > 0) this.#drain()
    if (this.#waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      this.#lost++
      return
    }
    this.#wait(bytes)
    this.#drain()
  }

  #wait(bytes: Uint8Array): void {
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
  }

  #drain(): void {
    try {
      while (this.#waiting.length > 0) {
        const [first] = this.#waiting
        const taken = this.#put(first)
        this.#waitingBytes -= taken
        // What was begun is ended before anything else, so that no line is torn.
        if (taken < first.length) this.#waiting[0] = first.subarray(taken)
        else this.#waiting.shift()
        if (this.#waiting.length === 0 && this.#lost > 0) {
          this.#wait(Buffer.from(this.#lostLine(this.#lost)))
          this.#lost = 0
        }
      }
    } catch {
      this.#later()
    }
  }

  #later(): void {
    if (this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#drain()
    }, RETRY_MS)
    // An unwritable log keeps no process alive.
    this.#retry.unref()
  }
}
