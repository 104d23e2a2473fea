/**
 * One direction of a simulated connection: bytes wait, depart as datagrams, travel, arrive. Below,
 * datagrams are lost, repeated and reordered; above, the session law (wire/link-session.ts) makes a
 * stream of them, or ends it. Under `suspendLaw` every frame travels loose, without a number.
 */
import type { Clock, Random, Timer } from '../../src/contracts/environment.js'
import { keptCopy } from '../../src/wire/copy.js'
import { FRAME_HEAD_BYTES } from '../../src/wire/frame.js'
import { SessionReceiver, SessionSender } from '../../src/wire/link-session.js'
import type { MemoryFaults } from './faults.js'

/** What the network knows of the way between two nodes. */
export interface Medium {
  readonly clock: Clock
  readonly random: Random
  readonly faults: MemoryFaults
  latencyMs(): number
  isCut(from: string, to: string): boolean
  /** Nothing arrives before this time, ms of the clock. */
  clogEndMs(from: string, to: string): number
}

/** The end of a connection that a line leads to or from. */
export interface LineEnd {
  readonly node: string
  readonly over: boolean
  readonly paused: boolean
  arrived(bytes: Uint8Array): void
  /** The other side has closed. */
  finished(): void
  /** unsentBytes has fallen. */
  drained(): void
  /** The session law is broken. */
  broken(): void
  /** Something arrived here although this end is over. */
  strayed(): void
}

interface Datagram {
  number: number
  /** Undefined: the end of the stream. */
  readonly bytes: Uint8Array | undefined
  /** The stream is between two frames after it. */
  readonly whole: boolean
  readonly loose: boolean
}

/** As much as TCP reads at once. */
const DATAGRAM_BYTES_MAX = 65_536
/** Departed and not yet taken by the receiver; a receiver that pauses stops the sender by this. */
const WINDOW_BYTES = 262_144
const EARLY_MAX = 1_024
const GONE = 0xdd
/** A loose frame that comes again comes up to so many latencies later. */
const REPLAY_LATENCIES = 20

export class Line {
  /** Bytes that have not departed. */
  unsentBytes = 0
  /** Something was lost in a cut and nobody knows yet. */
  lossy = false
  readonly #medium: Medium
  readonly #from: LineEnd
  readonly #to: LineEnd
  #waiting: Datagram[] = []
  #parked: Datagram[] = []
  /** A datagram that leaves byte by byte. */
  #departing: { readonly timer: Timer; readonly gone: () => void } | undefined
  #travellingBytes = 0
  #lastArrivalMs = 0
  #betweenFrames = true
  readonly #sender = new SessionSender()
  readonly #receiver = new SessionReceiver<Datagram>(EARLY_MAX, datagram => this.#take(datagram))

  constructor(medium: Medium, from: LineEnd, to: LineEnd) {
    this.#medium = medium
    this.#from = from
    this.#to = to
  }

  /** Queues a copy of `bytes`, which are whole frames. `loose`: they may be harmed one by one. */
  offer(bytes: Uint8Array, loose: boolean): void {
    const own = keptCopy(bytes, 0, bytes.length)
    if (loose) for (const frame of framesOf(own)) this.#queue(frame, true, true)
    // A slow stream still brings each frame as soon as its last byte has left (seed 936).
    else if (this.#medium.faults.bytesPerMs > 0) for (const frame of framesOf(own)) this.#cut(frame)
    else this.#cut(own)
    this.#pump()
  }

  /** Queues whole frames in the pieces in which they travel. */
  #cut(bytes: Uint8Array): void {
    const { faults, random } = this.#medium
    for (let at = 0; at < bytes.length; ) {
      let next = Math.min(bytes.length, at + DATAGRAM_BYTES_MAX)
      if (faults.split > 0 && random.next() < faults.split)
        next = at + 1 + Math.floor(random.next() * (next - at))
      const whole = at === 0 && next === bytes.length
      this.#queue(whole ? bytes : bytes.subarray(at, next), next === bytes.length, false)
      at = next
    }
  }

  /** The stream ends after what waits; `atOnce` drops that first. */
  finish(atOnce: boolean): void {
    if (atOnce) this.drop()
    this.#waiting.push({ number: 0, bytes: undefined, whole: true, loose: false })
    this.#pump()
  }

  /** Forgets what waits. */
  drop(): void {
    this.#waiting = []
    this.unsentBytes = 0
  }

  /** The receiver reads on. */
  resume(): void {
    if (this.#parked.length > 0) this.#medium.clock.after(0, () => this.#unpark())
  }

  /** The rate has changed: what leaves by the old one is gone at once, and no longer holds up the
   *  line for as much as 64 KiB take at a byte a millisecond (seed 5804). */
  onRate(): void {
    if (this.#departing === undefined) return
    const { timer, gone } = this.#departing
    timer.cancel()
    this.#departing = { timer: this.#medium.clock.after(0, gone), gone }
  }

  #queue(bytes: Uint8Array, whole: boolean, loose: boolean): void {
    this.unsentBytes += bytes.length
    this.#waiting.push({ number: 0, bytes, whole, loose })
  }

  /** Lets depart what the window and the rate allow. */
  #pump(): void {
    const { clock, faults } = this.#medium
    while (this.#waiting.length > 0 && this.#departing === undefined) {
      if (this.#travellingBytes >= WINDOW_BYTES) return
      const datagram = this.#waiting.shift() as Datagram
      const size = datagram.bytes?.length ?? 0
      if (faults.bytesPerMs > 0 && size > 0) {
        const gone = () => {
          this.#departing = undefined
          this.unsentBytes = Math.max(0, this.unsentBytes - size)
          this.#depart(datagram, size)
          this.#pump()
          this.#from.drained()
        }
        this.#departing = { timer: clock.after(size / faults.bytesPerMs, gone), gone }
      } else {
        this.unsentBytes -= size
        this.#depart(datagram, size)
      }
    }
  }

  #depart(datagram: Datagram, size: number): void {
    const { faults, random } = this.#medium
    if (!datagram.loose) {
      datagram.number = this.#sender.next()
      this.#travellingBytes += size
    }
    if (this.#lostInCut(datagram)) return
    if (faults.loss > 0 && random.next() < faults.loss) {
      if (!datagram.loose) this.#from.broken()
      return
    }
    this.#travel(datagram, 0)
    if (faults.duplicate > 0 && random.next() < faults.duplicate)
      this.#travel(datagram, datagram.loose ? REPLAY_LATENCIES : 2)
  }

  /** `spread`: up to so many latencies late, free to be overtaken. */
  #travel(datagram: Datagram, spread: number): void {
    const { clock, faults, random } = this.#medium
    const now = clock.now()
    let delayMs = this.#medium.latencyMs()
    if (spread === 0 && faults.reorder > 0 && random.next() < faults.reorder) spread = 3
    if (spread > 0) delayMs += random.next() * spread * Math.max(1, faults.latencyMsMax)
    else {
      delayMs = Math.max(delayMs, this.#lastArrivalMs - now)
      this.#lastArrivalMs = now + delayMs
    }
    clock.after(delayMs, () => this.#arrive(datagram))
  }

  #arrive(datagram: Datagram): void {
    const { clock } = this.#medium
    const { node } = this.#from
    if (this.#lostInCut(datagram)) return
    const clogMs = this.#medium.clogEndMs(node, this.#to.node) - clock.now()
    if (this.#to.over) this.#stray(datagram)
    else if (clogMs > 0) clock.after(clogMs, () => this.#arrive(datagram))
    else if (this.#to.paused || this.#parked.length > 0) this.#parked.push(datagram)
    else this.#receive(datagram)
  }

  /** Nobody is there: the bytes have left the window, so the next ones may find out as well. */
  #stray(datagram: Datagram): void {
    const size = datagram.bytes?.length ?? 0
    this.#travellingBytes = Math.max(0, this.#travellingBytes - size)
    this.#to.strayed()
    this.#pump()
  }

  #receive(datagram: Datagram): void {
    if (datagram.loose) {
      if (this.#betweenFrames && datagram.bytes !== undefined) this.#to.arrived(datagram.bytes)
      return
    }
    if (!this.#receiver.accept(datagram.number, datagram)) {
      this.#from.broken()
      return
    }
    const unsentBytes = this.unsentBytes
    this.#pump()
    if (this.unsentBytes < unsentBytes) this.#from.drained()
  }

  #take(datagram: Datagram): void {
    if (this.#to.over) return
    this.#betweenFrames = datagram.whole
    if (datagram.bytes === undefined) this.#to.finished()
    else {
      this.#travellingBytes -= datagram.bytes.length
      this.#to.arrived(datagram.bytes)
      // Frames are borrowed for the call; who keeps one shall notice it here, not on sockets.
      datagram.bytes.fill(GONE)
    }
  }

  #unpark(): void {
    while (this.#parked.length > 0 && !this.#to.paused && !this.#to.over)
      this.#receive(this.#parked.shift() as Datagram)
  }

  #lostInCut(datagram: Datagram): boolean {
    if (!this.#medium.isCut(this.#from.node, this.#to.node)) return false
    if (!datagram.loose) this.lossy = true
    return true
  }
}

/** The frames of what a link writes at once, each with its head. */
function* framesOf(bytes: Buffer): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const next = at + FRAME_HEAD_BYTES + bytes.readUInt32LE(at)
    yield bytes.subarray(at, next)
    at = next
  }
}
