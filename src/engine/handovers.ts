/**
 * An admin's handover between the engine and its strategy: the command goes in as an input, what
 * became of it is read from reports and from who leads afterwards. One at a time, each with an end.
 */
import type { Clock, Timer } from '../contracts/environment.js'
import type { Standing } from '../contracts/strategy.js'
import type { PeerId } from '../contracts/types.js'
import { compareEpochs } from '../core/epochs.js'
import { errorCode, GcacheError } from '../errors.js'
import type { HandoverResult } from '../wire/admin.js'
import { type CommandEnd, isMaster } from './reported-command.js'

export interface HandoversEnv {
  readonly self: PeerId
  readonly clock: Clock
  standing(): Standing
  /** Gives the command to the strategy. */
  command(to: PeerId | undefined): void
}

interface Open {
  readonly before: Standing
  readonly began: number
  readonly timer: Timer
  readonly end: CommandEnd<HandoverResult>
  /** The strategy has taken it up. */
  begun: boolean
}

export class Handovers {
  readonly #env: HandoversEnv
  #open: Open | undefined

  constructor(env: HandoversEnv) {
    this.#env = env
  }

  /** Ends with NOT_MASTER, NOT_READY, BUSY, CONFIG (no such member), HANDOVER_REFUSED, and nothing
   *  was tried; with HANDOVER_FAILED, TIMEOUT or CLOSED. To whom leads already: done at once. */
  begin(to: PeerId | undefined, timeoutMs: number, end: CommandEnd<HandoverResult>): void {
    const { self, clock } = this.#env
    const before = this.#env.standing()
    if (!isMaster(self, before, end)) return
    if (to === self)
      return end(undefined, { from: self, to: self, epoch: before.epoch.number, tookMs: 0 })
    if (this.#open !== undefined)
      return end(new GcacheError('BUSY', `a handover from ${self} is under way`))
    const timer = clock.after(timeoutMs, () =>
      this.#end(new GcacheError('TIMEOUT', `nobody took over within ${timeoutMs} ms`)),
    )
    const open = { before, began: clock.now(), timer, end, begun: false }
    this.#open = open
    this.#env.command(to)
    // Its step has run by then.
    clock.after(0, () => {
      if (this.#open !== open || open.begun) return
      this.#end(new GcacheError('HANDOVER_REFUSED', 'this strategy knows no handover'))
    })
  }

  onReport(event: string, fields: Record<string, unknown>): void {
    if (this.#open === undefined || event !== 'handover') return
    const { state, code, message } = fields
    if (state === 'begun') this.#open.begun = true
    if (state !== 'refused' && state !== 'failed') return
    this.#end(new GcacheError(errorCode(String(code)), String(message)))
  }

  onStanding(standing: Standing): void {
    const open = this.#open
    if (open === undefined) return
    const { self, clock } = this.#env
    const { master, epoch } = standing
    if (master === undefined || compareEpochs(epoch, open.before.epoch) <= 0) return
    if (master === self)
      return this.#end(new GcacheError('HANDOVER_FAILED', `${self} leads on, in a new epoch`))
    const tookMs = clock.now() - open.began
    this.#end(undefined, { from: self, to: master, epoch: epoch.number, tookMs })
  }

  stop(error: GcacheError): void {
    this.#end(error)
  }

  #end(error: GcacheError | undefined, result?: HandoverResult): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    open.timer.cancel()
    open.end(error, result)
  }
}
