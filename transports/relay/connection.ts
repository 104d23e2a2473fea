/**
 * One end of a relayed connection: bytes go out in pieces while fewer than a window of them are on
 * the way, so that no queue of a relay grows by more than that for one link.
 */
import { LIMITS } from '../../src/config.js'
import type { Clock, Timer } from '../../src/contracts/environment.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { keptCopy } from '../../src/wire/copy.js'
import type { StreamConnection, StreamEvents } from '../stream/layer.js'
import { LINGER_MS } from '../stream/sockets.js'
import type { Circuit, Message } from './envelope.js'
import type { Posts } from './posts.js'

const PIECE_BYTES_MAX = 32_768
/** Said in one word when so much has been taken. */
const TAKEN_BYTES = LIMITS.relayWindowBytes / 4

export class RelayConnection implements StreamConnection {
  events: StreamEvents
  unsentBytes = 0
  readonly circuit: Circuit
  /** The neighbour that it goes through. */
  readonly neighbour: PeerId
  readonly #posts: Posts
  readonly #clock: Clock
  readonly #ended: (connection: RelayConnection) => void
  #queue: Uint8Array[] = []
  #travellingBytes = 0
  #takenBytes = 0
  #paused = false
  #over = false
  #linger: Timer | undefined
  /** Its ways know it. */
  #known = true

  constructor(
    events: StreamEvents,
    circuit: Circuit,
    neighbour: PeerId,
    world: { posts: Posts; clock: Clock; ended(connection: RelayConnection): void },
  ) {
    this.events = events
    this.circuit = circuit
    this.neighbour = neighbour
    this.#posts = world.posts
    this.#clock = world.clock
    this.#ended = connection => world.ended(connection)
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true
    for (let at = 0; at < bytes.length; at += PIECE_BYTES_MAX)
      this.#queue.push(keptCopy(bytes, at, Math.min(bytes.length, at + PIECE_BYTES_MAX)))
    this.unsentBytes += bytes.length
    this.pump()
    return true
  }

  /** What arrives is delivered, and the window closes. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#sayTaken(TAKEN_BYTES)
  }

  close(): void {
    if (this.#over) return
    this.#over = true
    if (this.#queue.length === 0) this.#leave()
    else this.#linger = this.#clock.after(LINGER_MS, () => this.#leave())
  }

  destroy(): void {
    this.#over = true
    this.#leave()
  }

  onMessage(message: Message): void {
    if (message.kind === 'opened' && !this.#over) this.events.onOpen()
    else if (message.kind === 'data') this.#arrived(message.bytes)
    else if (message.kind === 'taken') {
      this.#travellingBytes = Math.max(0, this.#travellingBytes - message.count)
      this.advance()
    } else if (message.kind === 'close') this.end('closed')
    else if (message.kind === 'broken')
      this.end('unreachable', new GcacheError('UNREACHABLE', `relayed: ${message.reason}`))
  }

  /** There may be room: from an event. */
  advance(): void {
    const before = this.unsentBytes
    this.pump()
    if (this.unsentBytes < before && !this.#over) this.events.onDrain()
  }

  /** Sends what waits, as far as the window and the neighbour's queue take it. */
  pump(windowBytes: number = LIMITS.relayWindowBytes): void {
    while (this.#queue.length > 0 && this.#travellingBytes < windowBytes) {
      const [bytes] = this.#queue
      if (!this.#posts.offer(this.neighbour, this.circuit, { kind: 'data', bytes })) return
      this.#queue.shift()
      this.#travellingBytes += bytes.length
      this.unsentBytes -= bytes.length
    }
    if (this.#over && this.#queue.length === 0) this.#leave()
  }

  /** Ended from outside. */
  end(loss: LinkLoss, cause?: Error): void {
    const told = this.#over
    this.#over = true
    this.#forget()
    if (!told) this.events.onClose(loss, cause)
  }

  #arrived(bytes: Uint8Array): void {
    this.#takenBytes += bytes.length
    if (!this.#paused) this.#sayTaken(TAKEN_BYTES)
    if (!this.#over) this.events.onData(bytes)
  }

  #sayTaken(least: number): void {
    if (this.#takenBytes < least) return
    const count = this.#takenBytes
    this.#takenBytes = 0
    this.#posts.say(this.neighbour, this.circuit, { kind: 'taken', count })
  }

  #leave(): void {
    if (this.#forget()) this.#posts.say(this.neighbour, this.circuit, { kind: 'close' })
  }

  /** True the first time. */
  #forget(): boolean {
    const first = this.#known
    this.#known = false
    this.#linger?.cancel()
    this.#queue = []
    this.unsentBytes = 0
    if (first) this.#ended(this)
    return first
  }
}
