/**
 * One way to a broker, kept open: the first attempt and all later ones, with a line of the log
 * while it cannot be reached, and what of the bytes that it was given it has read. A `nats`
 * connection that the application brought along is used as it is and never closed.
 */
import type { NatsConnection } from 'nats'
import { BROKER } from '../../src/config.js'
import type { Clock, Logger, Timer } from '../../src/contracts/environment.js'
import type { Complaints } from '../stream/complaints.js'

/** What is used of a `nats` connection; its successor, of @nats-io, has the same. */
export type BrokerConnection = Pick<
  NatsConnection,
  'publish' | 'subscribe' | 'flush' | 'status' | 'info' | 'closed' | 'isClosed' | 'close'
>

/** Told from events only. */
export interface BrokerEvents {
  /** It can be reached: for the first time, or again. */
  onBrokerUp(broker: BrokerConnection, again: boolean): void
  /** What was under way may be lost. */
  onBrokerDown(cause: Error): void
  /** mayPublish holds again. */
  onBrokerRead(): void
}

export interface BrokerWorld {
  readonly clock: Clock
  readonly logger: Logger
  readonly complaints: Complaints
}

export class BrokerLine {
  /** Undefined while it cannot be reached. */
  up: BrokerConnection | undefined
  /** Why not, once an attempt has failed. */
  cause: Error | undefined
  upAtMs = 0
  readonly #world: BrokerWorld
  readonly #events: BrokerEvents
  readonly #what: string
  readonly #open: (() => Promise<BrokerConnection>) | undefined
  #broker: BrokerConnection | undefined
  #stopped = false
  #running: Promise<void> = Promise.resolve()
  #pause: (() => void) | undefined
  #complainedAtMs = Number.NEGATIVE_INFINITY
  /** Published bytes that the broker may not have read. */
  #unreadBytes = 0
  #asking = false
  #lives = 0

  /** `what` names it in the log. `open` makes a connection of our own. */
  constructor(
    world: BrokerWorld,
    events: BrokerEvents,
    what: string,
    open: (() => Promise<BrokerConnection>) | undefined,
  ) {
    this.#world = world
    this.#events = events
    this.#what = what
    this.#open = open
  }

  /** `given`: the application's own. */
  start(given?: BrokerConnection): void {
    if (given !== undefined) this.#adopt(given)
    else this.#running = this.#keepOpen()
  }

  get mayPublish(): boolean {
    return this.#unreadBytes < BROKER.unreadBytesMax
  }

  publish(subject: string, message: Uint8Array, reply?: string): boolean {
    if (this.up === undefined) return false
    try {
      this.up.publish(subject, message, reply === undefined ? undefined : { reply })
    } catch (error) {
      // Closed or draining, by whoever owns it: the streams end with it.
      const cause = error as Error
      this.#world.complaints.warn({ broker: this.#what, reason: cause.message }, 'not published')
      return false
    }
    this.#unreadBytes += message.length + subject.length
    if (this.#unreadBytes >= BROKER.unreadBytesStep && !this.#asking) this.#ask()
    return true
  }

  /** Until then nothing is published any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.up = undefined
    this.#pause?.()
    if (this.#open !== undefined) await this.#broker?.close()
    await this.#running
  }

  /** Resolves once the broker has read everything, or after `msMax`. */
  async drained(msMax: number): Promise<void> {
    const { up } = this
    if (up === undefined) return
    let timer: Timer | undefined
    const late = new Promise<void>(resolve => {
      timer = this.#world.clock.after(msMax, resolve)
    })
    await Promise.race([up.flush().catch(() => {}), late])
    timer?.cancel()
  }

  async #keepOpen(): Promise<void> {
    while (!this.#stopped) {
      try {
        const broker = await (this.#open as () => Promise<BrokerConnection>)()
        if (this.#stopped) {
          await broker.close()
          return
        }
        this.#adopt(broker)
        await broker.closed()
        this.#down(new Error('its library has given up'))
      } catch (error) {
        this.#down(error as Error)
      }
      if (this.#stopped) return
      await new Promise<void>(resolve => {
        const timer = this.#world.clock.after(BROKER.retryMs, resolve)
        this.#pause = () => {
          timer.cancel()
          resolve()
        }
      })
    }
  }

  #adopt(broker: BrokerConnection): void {
    this.#broker = broker
    this.#watch(broker).catch(error => this.#down(error as Error))
    if (this.#open === undefined)
      void broker.closed().then(() => this.#down(new Error('it was closed')))
    if (broker.isClosed()) this.#down(new Error('it was closed'))
    else this.#rise(broker, false)
  }

  /** Ends when `broker` is closed. */
  async #watch(broker: BrokerConnection): Promise<void> {
    for await (const { type, data } of broker.status()) {
      if (this.#stopped) return
      const name = String(type)
      if (name === 'disconnect' || name === 'staleConnection') this.#down(new Error('cut off'))
      else if (name === 'reconnect') this.#rise(broker, true)
      else if (name === 'error')
        this.#world.complaints.warn({ broker: this.#what, reason: String(data) }, 'broker')
    }
  }

  #rise(broker: BrokerConnection, again: boolean): void {
    if (this.#stopped) return
    const { logger, clock } = this.#world
    const fields = { broker: this.#what }
    if (this.cause !== undefined) logger.info(fields, 'the broker is reached')
    this.#complainedAtMs = Number.NEGATIVE_INFINITY
    this.up = broker
    this.upAtMs = clock.now()
    this.cause = undefined
    this.#lives++
    this.#unreadBytes = 0
    this.#asking = false
    this.#events.onBrokerUp(broker, again)
  }

  #down(cause: Error): void {
    if (this.#stopped) return
    const { logger, clock } = this.#world
    const wasUp = this.up !== undefined
    this.up = undefined
    this.cause = cause
    const now = clock.now()
    if (wasUp || now - this.#complainedAtMs >= BROKER.complainMs) {
      this.#complainedAtMs = now
      logger.warn(
        { broker: this.#what, reason: cause.message, retryMs: BROKER.retryMs },
        'no broker: it is tried again until it answers',
      )
    }
    this.#events.onBrokerDown(cause)
  }

  #ask(): void {
    const { up } = this
    if (up === undefined) return
    this.#asking = true
    const lives = this.#lives
    const bytes = this.#unreadBytes
    up.flush().then(
      () => this.#answered(lives, bytes),
      () => {},
    )
  }

  #answered(lives: number, bytes: number): void {
    if (lives !== this.#lives || this.#stopped) return
    const held = !this.mayPublish
    this.#asking = false
    this.#unreadBytes -= bytes
    if (this.#unreadBytes >= BROKER.unreadBytesStep) this.#ask()
    if (held && this.mayPublish) this.#events.onBrokerRead()
  }
}
