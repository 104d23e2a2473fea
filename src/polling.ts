/**
 * A process that polls for a moment after a frame instead of going to sleep: the next frame then
 * finds it awake. To wake a sleeping core costs more than the work on a small frame; kernels of
 * virtual machines poll before they halt for the same reason (Linux, `haltpoll`).
 *
 *   a number   always, so long: a write alone in flight that waits for a slave takes 102 us instead
 *              of 197 to 257 on two cores, for processor time; somebody must ask for it
 *   'busy'     only while small frames follow each other within 60 us, so that the process would
 *              sleep for no longer than it polls: 14 % more gets and 18 % more sets a second with
 *              100 in flight; and while a lone caller makes one small call after the other: each
 *              takes half the time where no core has to be woken
 */
import { performance } from 'node:perf_hooks'
import type { Transport, TransportFactory, TransportHandler } from './contracts/transport.js'

export type Polling = number | 'busy'

/** Longer makes no answer sooner: a slave's ack comes within 85 us. */
export const POLL_US_MAX = 1_000

export function isPolling(value: unknown): value is Polling {
  if (value === 'busy') return true
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= POLL_US_MAX
}

/** Many calls. */
const BUSY = {
  /** Between two frames, on average: 100 took 15 % of the sets from a master and its slave, who
   *  share two cores with a client. */
  pauseUs: 60,
  /** Of a frame, on average: larger ones were read in pieces, 6 to 11 % fewer calls a second. */
  bytes: 8_192,
} as const

/** One call after the other. */
const LONE = {
  /** Between two frames, on average: a write that waits for a slave asleep takes so long. */
  pauseUs: 250,
  /** Of a frame, on average; many calls make larger ones. */
  bytes: 1_024,
  /** A frame that comes sooner than a reply travels is not a lone caller's. Of frames that come by
   *  chance, 250 us apart on average, 8 % do: a crowd of callers is let wait. */
  crowdUs: 20,
  crowdShare: 0.05,
  /** Of the newest frame in that share. */
  weight: 1 / 256,
} as const

/** Of the newest frame in the averages. */
const WEIGHT = 1 / 16
/** A longer pause counts as this one, so that a crowd is noticed soon, us. */
const PAUSE_US_MAX = 1_000

/** `factory`, whose transports keep the process awake after a frame as `polling` says; 0: never.
 *  `now`: monotonic, ms with fractions. */
export function polled(
  factory: TransportFactory,
  polling: Polling,
  now = () => performance.now(),
): TransportFactory {
  return polling === 0 ? factory : env => watched(factory(env), new Vigil(polling, now))
}

/** Turns of the event loop that follow each other without a sleep, for a moment after a frame. */
class Vigil {
  readonly #now: () => number
  /** Of each frame; undefined: as its pace says. */
  readonly #pollMs: number | undefined
  readonly #pace: Pace | undefined
  #until = 0
  #next: NodeJS.Immediate | undefined

  constructor(polling: Polling, now: () => number) {
    this.#now = now
    this.#pollMs = polling === 'busy' ? undefined : polling / 1_000
    this.#pace = polling === 'busy' ? new Pace() : undefined
  }

  /** A frame came. */
  begin(bytes: number): void {
    this.#pace?.begin(bytes, this.#now())
  }

  /** The work on it is done. */
  linger(): void {
    const now = this.#now()
    const pollMs = this.#pollMs ?? this.#pace?.pollMsAt(now) ?? 0
    if (pollMs === 0) return
    this.#until = now + pollMs
    this.#next ??= setImmediate(this.#turn)
  }

  end(): void {
    if (this.#next !== undefined) clearImmediate(this.#next)
    this.#next = undefined
    this.#until = 0
  }

  readonly #turn = (): void => {
    this.#next = this.#now() < this.#until ? setImmediate(this.#turn) : undefined
  }
}

/** How fast frames follow each other, how large they are, and whether they come one by one. */
class Pace {
  #pauseUs: number = PAUSE_US_MAX
  #bytes = 0
  /** Of the frames, those that came at once after another. */
  #crowd = 1
  #endedAt = 0

  begin(bytes: number, now: number): void {
    const pauseUs = Math.min(PAUSE_US_MAX, (now - this.#endedAt) * 1_000)
    this.#pauseUs += (pauseUs - this.#pauseUs) * WEIGHT
    this.#bytes += (bytes - this.#bytes) * WEIGHT
    this.#crowd += ((pauseUs < LONE.crowdUs ? 1 : 0) - this.#crowd) * LONE.weight
  }

  /** The work on the frame ended at `now`. So long is the process to stay awake, ms. */
  pollMsAt(now: number): number {
    this.#endedAt = now
    if (this.#isLone()) return LONE.pauseUs / 1_000
    return this.#pauseUs < BUSY.pauseUs && this.#bytes < BUSY.bytes ? BUSY.pauseUs / 1_000 : 0
  }

  #isLone(): boolean {
    const { pauseUs, bytes, crowdShare } = LONE
    return this.#pauseUs < pauseUs && this.#bytes < bytes && this.#crowd < crowdShare
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
      vigil.begin(frame.length)
      handler.onFrame(peer, session, frame)
      vigil.linger()
    },
  }
}
