/**
 * One process's event loop in a simulation. While it is shut (SIGSTOP, a long computation) timers
 * and frames wait; when it opens they arrive late, due timers before frames, as Node's own loop
 * runs its phases. Once dead, nothing of that life ever runs again.
 */
import type { Identity } from '../contracts/authentication.js'
import type { Clock, Random, Timer } from '../contracts/environment.js'
import type {
  LinkLoss,
  Transport,
  TransportHandler,
  TransportTraits,
} from '../contracts/transport.js'
import type { PeerId, Session } from '../contracts/types.js'
import { FRAME } from '../wire/requests.js'
import type { Echoes } from './echoes.js'

export class Gate {
  shut = false
  /** Set to torture a strategy (law S4): how likely a frame of an ended session comes again. */
  stale: { chance: number; random: Random } | undefined
  /** Set to torture it more: frames of the same session come again. */
  echoes: Echoes | undefined
  dead = false
  readonly #timers: (() => void)[] = []
  readonly #frames: (() => void)[] = []

  runTimer(task: () => void): void {
    if (this.dead) return
    if (this.shut) this.#timers.push(task)
    else task()
  }

  /** True if the caller must hand its work over to `later`. */
  get holds(): boolean {
    return this.shut && !this.dead
  }

  later(task: () => void): void {
    this.#frames.push(task)
  }

  open(): void {
    if (!this.shut) return
    this.shut = false
    for (const queue of [this.#timers, this.#frames])
      for (const task of queue.splice(0)) if (!this.dead) task()
  }

  die(): void {
    this.dead = true
    this.#timers.length = 0
    this.#frames.length = 0
  }
}

/** A timer that waits while the gate is shut, and may be cancelled even then. */
class GatedTimer implements Timer {
  readonly #gate: Gate
  #task: (() => void) | undefined
  #timer: Timer | undefined

  constructor(gate: Gate, task: () => void) {
    this.#gate = gate
    this.#task = task
  }

  wait(base: Clock, delayMs: number): void {
    this.#timer = base.after(delayMs, () => {
      if (this.#gate.shut) this.#gate.runTimer(() => this.#run())
      else if (!this.#gate.dead) this.#run()
    })
  }

  cancel(): void {
    this.#task = undefined
    this.#timer?.cancel()
  }

  #run(): void {
    this.#task?.()
  }
}

export interface NodeClockOptions {
  /** What now() says when the base says 0, ms. */
  offsetMs?: number
  /** Milliseconds of this clock per millisecond of the base, 0.9..1.1. */
  rate?: number
  /** How far wall() is from the base's, ms. */
  wallOffsetMs?: number
  /** What a turn of the event loop takes: after(0) comes so late, ms. */
  turnMs?: number
}

/** A node's own idea of time, over the clock that everybody shares. */
export class NodeClock implements Clock {
  readonly #base: Clock
  readonly #gate: Gate
  readonly #offsetMs: number
  readonly #rate: number
  readonly #turnMs: number
  #wallOffsetMs: number
  /** Of its wall clock. */
  #wallRate: number

  constructor(base: Clock, gate: Gate, options: NodeClockOptions = {}) {
    this.#base = base
    this.#gate = gate
    this.#offsetMs = options.offsetMs ?? 0
    this.#rate = options.rate ?? 1
    this.#turnMs = options.turnMs ?? 0
    this.#wallOffsetMs = options.wallOffsetMs ?? 0
    this.#wallRate = this.#rate
  }

  now(): number {
    return this.#offsetMs + this.#base.now() * this.#rate
  }

  wall(): number {
    return this.#base.wall() + this.#wallOffsetMs + this.#base.now() * (this.#wallRate - 1)
  }

  after(delayMs: number, task: () => void): Timer {
    const timer = new GatedTimer(this.#gate, task)
    timer.wait(this.#base, Math.max(delayMs, this.#turnMs) / this.#rate)
    return timer
  }

  /** Somebody sets the wall clock; now() does not notice. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** From now on the wall clock is as far from the base's, and does not drift any more. */
  setWall(offsetMs: number): void {
    this.#wallOffsetMs = offsetMs
    this.#wallRate = 1
  }
}

/** A transport whose arriving events pass through the gate of the process it lives in. */
export class GatedTransport implements Transport {
  readonly #inner: Transport
  readonly #gate: Gate
  readonly name: string
  readonly traits: TransportTraits
  readonly flush?: (peer: PeerId) => void

  constructor(inner: Transport, gate: Gate) {
    this.#inner = inner
    this.#gate = gate
    this.name = inner.name
    this.traits = inner.traits
    if (inner.flush !== undefined) this.flush = peer => inner.flush?.(peer)
  }

  get address(): string {
    return this.#inner.address
  }

  start(handler: TransportHandler): Promise<void> {
    return this.#inner.start(new GatedHandler(handler, this.#gate))
  }

  connect(peer: PeerId, address: string): void {
    this.#inner.connect(peer, address)
  }

  disconnect(peer: PeerId, cause?: Error): void {
    this.#inner.disconnect(peer, cause)
  }

  send(peer: PeerId, frame: Uint8Array) {
    return this.#inner.send(peer, frame)
  }

  stop(): Promise<void> {
    return this.#inner.stop()
  }
}

const STALE_FRAMES_KEPT = 16

class GatedHandler implements TransportHandler {
  readonly #to: TransportHandler
  readonly #gate: Gate
  /** Frames of peers, newest last, with their sessions. */
  readonly #kept: { peer: PeerId; session: Session; frame: Uint8Array }[] = []

  constructor(to: TransportHandler, gate: Gate) {
    this.#to = to
    this.#gate = gate
  }

  onLinkUp(peer: PeerId, session: Session, identity?: Identity): void {
    if (this.#gate.dead) return
    if (this.#gate.holds) this.#gate.later(() => this.#to.onLinkUp(peer, session, identity))
    else this.#to.onLinkUp(peer, session, identity)
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void {
    if (this.#gate.dead) return
    if (this.#gate.holds) this.#gate.later(() => this.#to.onLinkDown(peer, session, loss, cause))
    else this.#to.onLinkDown(peer, session, loss, cause)
  }

  onFrame(peer: PeerId, session: Session, frame: Uint8Array): void {
    if (this.#gate.dead) return
    if (this.#gate.stale !== undefined) this.#keep(this.#gate.stale, peer, session, frame)
    if (this.#gate.holds) {
      const own = new Uint8Array(frame)
      this.#gate.later(() => this.#to.onFrame(peer, session, own))
      return
    }
    this.#to.onFrame(peer, session, frame)
    if (this.#gate.echoes === undefined || frame[0] < FRAME.strategyFirst) return
    const echo = this.#gate.echoes.after(peer, session, frame)
    if (echo !== undefined && !this.#gate.dead && !this.#gate.shut)
      this.#to.onFrame(peer, session, echo)
  }

  #keep(
    { chance, random }: NonNullable<Gate['stale']>,
    peer: PeerId,
    session: Session,
    frame: Uint8Array,
  ): void {
    // Frames between nodes only: those of clients are nobody's law.
    if (frame[0] < FRAME.strategyFirst) return
    const index = this.#kept.findIndex(one => one.peer === peer && one.session < session)
    if (index >= 0 && !this.#gate.shut && random.next() < chance) {
      const [old] = this.#kept.splice(index, 1)
      this.#to.onFrame(old.peer, old.session, old.frame)
    }
    this.#kept.push({ peer, session, frame: new Uint8Array(frame) })
    if (this.#kept.length > STALE_FRAMES_KEPT) this.#kept.shift()
  }

  onWritable(peer: PeerId, session: Session): void {
    if (this.#gate.dead) return
    if (this.#gate.holds) this.#gate.later(() => this.#to.onWritable(peer, session))
    else this.#to.onWritable(peer, session)
  }
}
