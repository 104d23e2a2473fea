/**
 * A process that polls for a moment after each frame instead of going to sleep: the next frame then
 * finds it awake. With one write in flight that waits for a slave, waking cores costs more than all
 * the work: 102 us a write instead of 197 to 257 on two cores. It buys latency with processor time,
 * at most `pollUs` after a frame, so it is an option that somebody must ask for.
 */
import { performance } from 'node:perf_hooks'
import type { Transport, TransportFactory, TransportHandler } from './contracts/transport.js'

/** Longer makes no answer sooner: a slave's ack comes within 85 us. */
export const POLL_US_MAX = 1_000

/** `factory`, whose transports keep the process awake for `pollUs` microseconds after a frame. */
export function polling(factory: TransportFactory, pollUs: number): TransportFactory {
  return pollUs === 0 ? factory : env => watched(factory(env), new Vigil(pollUs / 1_000))
}

/** Turns of the event loop that follow each other without a sleep, until `pollMs` after a call. */
class Vigil {
  #until = 0
  #next: NodeJS.Immediate | undefined

  constructor(readonly pollMs: number) {}

  extend(): void {
    this.#until = performance.now() + this.pollMs
    this.#next ??= setImmediate(this.#turn)
  }

  end(): void {
    if (this.#next !== undefined) clearImmediate(this.#next)
    this.#next = undefined
    this.#until = 0
  }

  readonly #turn = (): void => {
    this.#next = performance.now() < this.#until ? setImmediate(this.#turn) : undefined
  }
}

function watched(transport: Transport, vigil: Vigil): Transport {
  const start = transport.start.bind(transport)
  const stop = transport.stop.bind(transport)
  transport.start = handler => start(extending(handler, vigil))
  transport.stop = () => {
    vigil.end()
    return stop()
  }
  return transport
}

function extending(handler: TransportHandler, vigil: Vigil): TransportHandler {
  return {
    onLinkUp: (peer, session, identity) => handler.onLinkUp(peer, session, identity),
    onLinkDown: (peer, session, loss, cause) => handler.onLinkDown(peer, session, loss, cause),
    onWritable: (peer, session) => handler.onWritable(peer, session),
    lastWords: cause => handler.lastWords?.(cause),
    onFrame: (peer, session, frame) => {
      handler.onFrame(peer, session, frame)
      vigil.extend()
    },
  }
}
