/**
 * Who listens under a name. A broker gives a subject to whoever asks for it, so nodes settle it
 * among themselves: a newcomer asks whether somebody hears the name, then hears it as well, and
 * asks once more, because two that begin at once may both have found it free. So does one that was
 * away from the broker, where somebody may have taken its name meanwhile.
 *
 *   none --> asking --nobody hears it--> claiming --settleMs, nobody objects--> held
 *    ^          | taken                      | taken, or a rival's claim goes before
 *    +----------+----------------------------+
 */
import { BROKER } from '../../src/config.js'
import type { Clock, Logger, Timer } from '../../src/contracts/environment.js'

/** The way to a broker, as a claim uses it. */
export interface ClaimWay {
  /** False while the broker cannot be reached. */
  readonly isUp: boolean
  /** Asks whoever hears `name`; what comes back is told by answered(). */
  probe(name: string, how: number): void
  /** Answers a probe that came from `inbox`. */
  object(inbox: string): void
  /** Hears `name` from now on, and no more. */
  hear(name: string): void
  unhear(): void
}

/** How a probe is meant: its sender hears the name not yet, or by now. */
export const PROBE = { ask: 0, claim: 1 } as const
/** Who asks for a stream before the name is ours has to wait; those beyond ask again. */
const EARLY_MAX = 64

type Answer = 'free' | 'taken'

export class Claim {
  readonly #way: ClaimWay
  readonly #world: { readonly clock: Clock; readonly logger: Logger }
  /** Where answers reach us: of two claims at once the one of the lower goes before. */
  readonly #inbox: string
  #state: 'none' | 'asking' | 'claiming' | 'held' = 'none'
  #name: string | undefined
  #isHeard = false
  /** Times that the broker was reached. */
  #ups = 0
  #running = false
  #stopped = false
  #early: (() => void)[] = []
  #onAnswer: ((answer: Answer) => void) | undefined
  #onPauseEnd: (() => void) | undefined

  constructor(
    way: ClaimWay,
    world: { readonly clock: Clock; readonly logger: Logger },
    inbox: string,
  ) {
    this.#way = way
    this.#world = world
    this.#inbox = inbox
  }

  /** The first time. False if somebody has `name`; who does not answer is taken for dead. While
   *  the broker cannot be reached it is true, and settled later. */
  async begin(name: string): Promise<boolean> {
    const ups = this.#ups
    this.#running = true
    const ours = !this.#way.isUp || (await this.#take(name))
    this.#running = false
    if (!ours) return false
    this.#name = name
    if (ups === this.#ups) this.#settled()
    else void this.#run(name)
    return true
  }

  /** `again`: what was heard before is heard again. */
  onBrokerUp(again: boolean): void {
    this.#ups++
    if (!again) this.#isHeard = false
    this.#onPauseEnd?.()
    if (this.#name !== undefined && !this.#running) void this.#run(this.#name)
  }

  /** What a broker, or whoever holds the name, says of it. */
  answered(answer: Answer): void {
    if (answer === 'taken' || this.#state === 'asking') this.#onAnswer?.(answer)
  }

  /** Somebody asks for the name that we hear. */
  probed(inbox: string, how: number): void {
    if (inbox === this.#inbox) return
    const yields = this.#state === 'claiming' && how === PROBE.claim && inbox < this.#inbox
    if (yields) this.#onAnswer?.('taken')
    else this.#way.object(inbox)
  }

  /** Does `open` once the name is ours. */
  whenOurs(open: () => void): void {
    if (this.#state === 'held' && this.#name !== undefined) open()
    else if (this.#early.length < EARLY_MAX) this.#early.push(open)
  }

  stop(): void {
    this.#stopped = true
    this.#early = []
    this.#onAnswer?.('free')
    this.#onPauseEnd?.()
    this.#unhear()
  }

  /** Until the name is ours, or the broker is away. */
  async #run(name: string): Promise<void> {
    this.#running = true
    for (;;) {
      const ups = this.#ups
      const ours = await (this.#isHeard ? this.#settle(name) : this.#take(name))
      if (this.#stopped || !this.#way.isUp) break
      if (ups !== this.#ups) continue
      if (ours) {
        this.#settled()
        break
      }
      this.#world.logger.error({ name }, 'another node listens under our name: we cannot')
      await this.#pause()
      if (this.#stopped || !this.#way.isUp) break
    }
    this.#running = false
  }

  async #take(name: string): Promise<boolean> {
    this.#state = 'asking'
    const answer = await this.#ask(name, PROBE.ask, BROKER.claimMs)
    this.#state = 'none'
    if (answer === 'taken' || this.#stopped) return false
    this.#isHeard = true
    this.#way.hear(name)
    return await this.#settle(name)
  }

  async #settle(name: string): Promise<boolean> {
    this.#state = 'claiming'
    const answer = await this.#ask(name, PROBE.claim, BROKER.claimSettleMs)
    const ours = answer === 'free' && !this.#stopped
    this.#state = ours ? 'held' : 'none'
    if (!ours) this.#unhear()
    return ours
  }

  #ask(name: string, how: number, msMax: number): Promise<Answer> {
    return new Promise(resolve => {
      const timer = this.#world.clock.after(msMax, () => this.#onAnswer?.('free'))
      this.#onAnswer = answer => {
        this.#onAnswer = undefined
        timer.cancel()
        resolve(answer)
      }
      this.#way.probe(name, how)
    })
  }

  #pause(): Promise<void> {
    return new Promise(resolve => {
      let timer: Timer | undefined
      this.#onPauseEnd = () => {
        this.#onPauseEnd = undefined
        timer?.cancel()
        resolve()
      }
      timer = this.#world.clock.after(BROKER.complainMs, this.#onPauseEnd)
    })
  }

  #settled(): void {
    const early = this.#early
    this.#early = []
    for (const open of early) open()
  }

  #unhear(): void {
    this.#early = []
    if (this.#isHeard) this.#way.unhear()
    this.#isHeard = false
  }
}
