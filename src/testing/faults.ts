/**
 * A Transport around a Transport, over any medium: what its owner wants to see an application
 * survive. Faults act on what arrives here, so to part two nodes both of them are cut. Idle, it
 * changes nothing: the transport suite passes through it.
 *
 *   const links = linkFaults()
 *   createNode({ ..., transport: withFaults(tcp(), links) })
 *   links.cut('b')      links.hold('b')      links.delay('b', 200)      links.mend('b')
 */
import type { Identity } from '../contracts/authentication.js'
import type { Clock } from '../contracts/environment.js'
import type {
  LinkLoss,
  Transport,
  TransportFactory,
  TransportHandler,
  TransportTraits,
} from '../contracts/transport.js'
import type { PeerId, Session } from '../contracts/types.js'
import type { GcacheError } from '../errors.js'

/** Frames that a held or delayed link keeps, bytes; then its session ends with `reset`. */
const HELD_BYTES_MAX = 16 * 2 ** 20

type Listener = (peer: PeerId) => void

/** The switches. One object may serve several transports; a peer is named by its id. */
export class LinkFaults {
  readonly #cut = new Set<PeerId>()
  readonly #held = new Set<PeerId>()
  readonly #delays = new Map<PeerId, number>()
  readonly #listeners = new Set<Listener>()

  /** Ends the link with `peer` (`unreachable`) and refuses new ones. */
  cut(peer: PeerId): void {
    this.#cut.add(peer)
    this.#tell(peer)
  }

  /** What `peer` says waits, in order, until mend(): like a peer that is stopped. */
  hold(peer: PeerId): void {
    this.#held.add(peer)
  }

  /** What `peer` says comes `ms` later, in order. */
  delay(peer: PeerId, ms: number): void {
    this.#delays.set(peer, ms)
  }

  /** Undoes all of it for `peer`. */
  mend(peer: PeerId): void {
    this.#cut.delete(peer)
    this.#held.delete(peer)
    this.#delays.delete(peer)
    this.#tell(peer)
  }

  isCut(peer: PeerId): boolean {
    return this.#cut.has(peer)
  }

  isHeld(peer: PeerId): boolean {
    return this.#held.has(peer)
  }

  delayMs(peer: PeerId): number {
    return this.#delays.get(peer) ?? 0
  }

  /** Called at each cut and mend, until the returned function is called. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(peer: PeerId): void {
    for (const listener of this.#listeners) listener(peer)
  }
}

export function linkFaults(): LinkFaults {
  return new LinkFaults()
}

/** The transport of `factory` behind the switches of `faults`. */
export function withFaults(factory: TransportFactory, faults: LinkFaults): TransportFactory {
  return env => new FaultyTransport(factory(env), faults, env.clock)
}

interface Arrival {
  readonly due: number
  readonly bytes: number
  deliver(): void
}

interface Inbox {
  readonly arrivals: Arrival[]
  bytes: number
}

class FaultyTransport implements Transport, TransportHandler {
  readonly name: string
  readonly traits: TransportTraits
  readonly flush?: (peer: PeerId) => void
  readonly hold?: (peer: PeerId, onHold: boolean) => void
  readonly broadcast?: (frame: Uint8Array) => ReturnType<Transport['send']>
  readonly #inner: Transport
  readonly #faults: LinkFaults
  readonly #clock: Clock
  readonly #inboxes = new Map<PeerId, Inbox>()
  /** Sessions that the handler knows to be up. */
  readonly #up = new Map<PeerId, Session>()
  #handler: TransportHandler | undefined
  #unlisten: () => void

  constructor(inner: Transport, faults: LinkFaults, clock: Clock) {
    this.#inner = inner
    this.#faults = faults
    this.#clock = clock
    this.name = inner.name
    this.traits = inner.traits
    if (inner.flush !== undefined) this.flush = peer => inner.flush?.(peer)
    if (inner.hold !== undefined) this.hold = (peer, onHold) => inner.hold?.(peer, onHold)
    if (inner.broadcast !== undefined)
      this.broadcast = frame => inner.broadcast?.(frame) ?? 'dropped'
    this.#unlisten = faults.onChange(peer => this.#changed(peer))
  }

  get address(): string {
    return this.#inner.address
  }

  start(handler: TransportHandler): Promise<void> {
    this.#handler = handler
    return this.#inner.start(this)
  }

  connect(peer: PeerId, address: string): void {
    if (!this.#faults.isCut(peer)) return this.#inner.connect(peer, address)
    this.#clock.after(0, () => this.#handler?.onLinkDown(peer, 0, 'unreachable'))
  }

  disconnect(peer: PeerId, cause?: Error): void {
    this.#inner.disconnect(peer, cause)
  }

  send(peer: PeerId, frame: Uint8Array) {
    return this.#faults.isCut(peer) ? 'dropped' : this.#inner.send(peer, frame)
  }

  stop(): Promise<void> {
    this.#handler = undefined
    this.#inboxes.clear()
    this.#unlisten()
    return this.#inner.stop()
  }

  counts() {
    const none = { protocolErrors: 0, preauthRefusals: 0, slowConsumers: 0 }
    return this.#inner.counts?.() ?? none
  }

  lastWords(cause: GcacheError): Uint8Array | undefined {
    return this.#handler?.lastWords?.(cause)
  }

  onLinkUp(peer: PeerId, session: Session, identity?: Identity): void {
    if (this.#faults.isCut(peer)) {
      this.#clock.after(0, () => this.#inner.disconnect(peer))
      return
    }
    this.#arrive(peer, 0, () => {
      this.#up.set(peer, session)
      this.#handler?.onLinkUp(peer, session, identity)
    })
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void {
    const seen = this.#faults.isCut(peer) ? 'unreachable' : loss
    this.#arrive(peer, 0, () => {
      // A link that came up while it was cut was never heard of.
      if (session !== 0 && this.#up.get(peer) !== session) return
      if (session !== 0) this.#up.delete(peer)
      this.#handler?.onLinkDown(peer, session, seen, cause)
    })
  }

  onFrame(peer: PeerId, session: Session, frame: Uint8Array): void {
    if (this.#isIdle(peer)) {
      if (this.#up.get(peer) === session) this.#handler?.onFrame(peer, session, frame)
      return
    }
    const own = new Uint8Array(frame)
    this.#arrive(peer, own.length, () => {
      if (this.#up.get(peer) === session) this.#handler?.onFrame(peer, session, own)
    })
  }

  onWritable(peer: PeerId, session: Session): void {
    this.#arrive(peer, 0, () => {
      if (this.#up.get(peer) === session) this.#handler?.onWritable(peer, session)
    })
  }

  #isIdle(peer: PeerId): boolean {
    const waiting = this.#inboxes.get(peer)?.arrivals.length ?? 0
    return waiting === 0 && !this.#faults.isHeld(peer) && this.#faults.delayMs(peer) === 0
  }

  /** In order, whatever changes meanwhile. */
  #arrive(peer: PeerId, bytes: number, deliver: () => void): void {
    if (this.#isIdle(peer)) return deliver()
    const inbox = this.#inboxes.get(peer) ?? { arrivals: [], bytes: 0 }
    this.#inboxes.set(peer, inbox)
    const delayMs = this.#faults.delayMs(peer)
    inbox.arrivals.push({ due: this.#clock.now() + delayMs, bytes, deliver })
    inbox.bytes += bytes
    if (inbox.bytes > HELD_BYTES_MAX) this.#inner.disconnect(peer)
    this.#clock.after(delayMs, () => this.#drain(peer))
  }

  #drain(peer: PeerId): void {
    const inbox = this.#inboxes.get(peer)
    if (inbox === undefined) return
    while (inbox.arrivals.length > 0 && !this.#faults.isHeld(peer)) {
      if (inbox.arrivals[0].due > this.#clock.now()) return
      const arrival = inbox.arrivals.shift() as Arrival
      inbox.bytes -= arrival.bytes
      arrival.deliver()
    }
  }

  #changed(peer: PeerId): void {
    if (this.#faults.isCut(peer)) this.#inner.disconnect(peer)
    // Later arrivals must not overtake what is due later: the drain is asked for again.
    for (const { due } of this.#inboxes.get(peer)?.arrivals ?? [])
      this.#clock.after(Math.max(0, due - this.#clock.now()), () => this.#drain(peer))
  }
}
