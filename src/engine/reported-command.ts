/**
 * An admin's command that the strategy answers by a report of its own: given once, answered once.
 * One of a kind at a time, each with an end.
 */
import type { Clock, Timer } from '../contracts/environment.js'
import type { Standing } from '../contracts/strategy.js'
import type { PeerId } from '../contracts/types.js'
import { errorCode, GcacheError } from '../errors.js'

/** Called once, with an error or a result. `master`, with NOT_MASTER: who is. */
export type CommandEnd<T> = (error: GcacheError | undefined, result?: T, master?: PeerId) => void

/** True if this node leads; otherwise `end` is told who does. */
export function isMaster(
  self: PeerId,
  { role, master }: Standing,
  end: CommandEnd<never>,
): boolean {
  if (role === 'master') return true
  const text = `${self} is not master, ${master ?? 'nobody it knows'} is`
  end(new GcacheError('NOT_MASTER', text), undefined, master)
  return false
}

interface Open<T> {
  readonly what: string
  readonly timer: Timer
  readonly end: CommandEnd<T>
}

export class ReportedCommand<T> {
  readonly #clock: Clock
  readonly #event: string
  readonly #read: (fields: Record<string, unknown>) => T
  #open: Open<T> | undefined

  /** `read` makes the result of a report `event` of state 'done'. */
  constructor(clock: Clock, event: string, read: (fields: Record<string, unknown>) => T) {
    this.#clock = clock
    this.#event = event
    this.#read = read
  }

  /** What is under way, in words; undefined: nothing. */
  get open(): string | undefined {
    return this.#open?.what
  }

  /** `give` hands it to the strategy. Ends with BUSY if another one is open, with what a report
   *  refuses, with TIMEOUT after `timeoutMs`, or as fail() says. */
  begin(what: string, timeoutMs: number, give: () => void, end: CommandEnd<T>): void {
    if (this.#open !== undefined)
      return end(new GcacheError('BUSY', `${this.#open.what} is under way`))
    const timer = this.#clock.after(timeoutMs, () =>
      this.fail(new GcacheError('TIMEOUT', `${what} was not done within ${timeoutMs} ms`)),
    )
    this.#open = { what, timer, end }
    give()
  }

  onReport(event: string, fields: Record<string, unknown>): void {
    if (this.#open === undefined || event !== this.#event) return
    const { state, code, message } = fields
    if (state === 'done') this.#end(undefined, this.#read(fields))
    else if (state === 'refused') this.fail(new GcacheError(errorCode(String(code)), `${message}`))
  }

  /** Ends the open one, if there is one. */
  fail(error: GcacheError): void {
    this.#end(error)
  }

  #end(error: GcacheError | undefined, result?: T): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    open.timer.cancel()
    open.end(error, result)
  }
}
