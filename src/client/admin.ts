/**
 * Asks the master to hand over, for clients and for nodes that are not master themselves. Who is
 * asked and is no master says so; then the next one is asked, until the deadline.
 */
import type { Clock, Timer } from '../contracts/environment.js'
import type { SendResult } from '../contracts/transport.js'
import type { PeerId } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { type AdminReply, type HandoverResult, readHandover } from '../wire/admin.js'
import { encodeControl } from '../wire/control.js'

export interface HandoverOptions {
  /** Who shall lead; default: the in-sync slave of lowest ordinal. */
  to?: PeerId
  /** Settles within it, ms. Default 5,000. */
  timeoutMs?: number
}

export interface AdminEnv {
  readonly clock: Clock
  send(peer: PeerId, frame: Uint8Array): SendResult
  flush(peer: PeerId): void
}

interface Ask {
  readonly peer: PeerId
  readonly timer: Timer
  end(settle: () => HandoverResult): void
}

/** Between two masters nobody leads for a moment: asked again after it. */
const AGAIN_MS = 25
const AGAIN_CODES: readonly string[] = ['NOT_MASTER', 'NOT_READY']
/** The master's own answer comes before the asker gives up on it. */
const DEFAULT_MS = 5_500

export class AdminAsks {
  readonly #env: AdminEnv
  readonly #asks = new Map<number, Ask>()
  #next = 1
  #stopped = false

  constructor(env: AdminEnv) {
    this.#env = env
  }

  /** `master` says whom to ask, each time anew; undefined: nobody is known just now. */
  async handover(
    options: HandoverOptions,
    master: () => PeerId | undefined,
  ): Promise<HandoverResult> {
    const { clock } = this.#env
    const { to = '', timeoutMs = DEFAULT_MS } = options
    const until = clock.now() + timeoutMs
    let last = new GcacheError('NOT_READY', 'no serving master is known')
    for (;;) {
      const peer = master()
      const leftMs = until - clock.now()
      if (leftMs <= 0) throw last
      if (peer !== undefined)
        try {
          return await this.#ask(peer, to, leftMs)
        } catch (error) {
          if (!(error instanceof GcacheError) || !AGAIN_CODES.includes(error.code)) throw error
          last = error
        }
      if (this.#stopped) throw closed()
      await new Promise<void>(resolve => clock.after(AGAIN_MS, resolve))
    }
  }

  onReply(peer: PeerId, reply: AdminReply): void {
    const ask = this.#asks.get(reply.id)
    if (ask?.peer === peer) ask.end(() => readHandover(reply))
  }

  onLinkDown(peer: PeerId): void {
    for (const ask of [...this.#asks.values()])
      if (ask.peer === peer)
        ask.end(() => {
          throw new GcacheError('UNREACHABLE', 'the master was lost before it answered')
        })
  }

  stop(): void {
    this.#stopped = true
    for (const ask of [...this.#asks.values()])
      ask.end(() => {
        throw closed()
      })
  }

  #ask(peer: PeerId, to: string, timeoutMs: number): Promise<HandoverResult> {
    return new Promise((resolve, reject) => {
      const id = this.#next++
      const timer = this.#env.clock.after(timeoutMs, () =>
        ask.end(() => {
          throw new GcacheError('TIMEOUT', `${peer} did not answer within ${timeoutMs} ms`)
        }),
      )
      const ask: Ask = {
        peer,
        timer,
        end: settle => {
          timer.cancel()
          if (!this.#asks.delete(id)) return
          try {
            resolve(settle())
          } catch (error) {
            reject(error)
          }
        },
      }
      this.#asks.set(id, ask)
      const frame = encodeControl({ type: 'admin', id, command: 'handover', to })
      if (this.#env.send(peer, frame) === 'dropped') this.onLinkDown(peer)
      else this.#env.flush(peer)
    })
  }
}

function closed(): GcacheError {
  return new GcacheError('CLOSED', 'closed before the handover was answered')
}
