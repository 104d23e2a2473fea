/**
 * Inputs -> step -> effects, run to completion: an input that arrives while effects are executed
 * waits its turn, so a strategy never meets itself half done. The pump alone calls step(), and a
 * tick opens every turn whose clock moved.
 */
import type { Clock } from '../contracts/environment.js'
import type { Input, ReplicationStrategy } from '../contracts/strategy.js'
import { type Effect, EffectQueue, traceLine } from './effect-queue.js'
import { refusePromise } from './strategy-answers.js'

export interface PumpEnv<M> {
  readonly clock: Clock
  readonly strategy: ReplicationStrategy<M>
  /** A tick is due at least this often, ms; what comes later is the process's own delay. */
  readonly tickMs: number
  execute(effect: Effect<M>): void
  /** After the last effect of a run. */
  finish(): void
  onTrace?: ((line: string) => void) | undefined
}

export class Pump<M> {
  readonly #env: PumpEnv<M>
  readonly #effects = new EffectQueue<M>()
  #queue: Input<M>[] = []
  #tickAt = Number.NEGATIVE_INFINITY
  #running = false

  constructor(env: PumpEnv<M>) {
    this.#env = env
  }

  get running(): boolean {
    return this.#running
  }

  /** Takes one input; it is done when this returns, unless a run is under way. */
  feed(input: Input<M>): void {
    this.#queue.push(input)
    if (!this.#running) this.#run()
  }

  /** Lets time in, if it moved by 1 ms. */
  tick(): void {
    if (!this.#running) this.#run()
  }

  #run(): void {
    this.#running = true
    const env = this.#env
    try {
      this.#stepTick()
      for (let i = 0; i < this.#queue.length; i++) this.#step(this.#queue[i])
    } finally {
      this.#queue.length = 0
      this.#running = false
    }
    env.finish()
  }

  #stepTick(): void {
    const { clock, tickMs } = this.#env
    const now = clock.now()
    const passed = now - this.#tickAt
    if (passed < 1) return
    const lateMs = Number.isFinite(passed) ? Math.max(0, passed - tickMs) : 0
    this.#tickAt = now
    this.#step({ kind: 'tick', now, wall: clock.wall(), lateMs })
  }

  #step(input: Input<M>): void {
    const { strategy, onTrace } = this.#env
    const effects = this.#effects
    const result: unknown = strategy.step(input, effects)
    if (result !== undefined) refusePromise(strategy.name, result)
    const items = effects.items
    if (onTrace !== undefined && (items.length > 0 || input.kind !== 'tick')) {
      onTrace(`> ${traceLine(input)}`)
      for (const item of items) onTrace(`  ${traceLine(item)}`)
    }
    for (let i = 0; i < items.length; i++) this.#env.execute(items[i])
    items.length = 0
  }
}
