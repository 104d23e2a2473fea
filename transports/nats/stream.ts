/**
 * A virtual connection over a broker that delivers at most once: data is numbered, and the first
 * number that is missing ends the stream, as does a broker that says nobody hears us, or silence.
 * How much may be on its way is what the receiver grants (`limit`), since a broker holds nobody up:
 * it cuts off who is slow.
 *
 *   dialling --accept--> open --close, reset, gap, nobody hears, silence--> over
 *                         | close()
 *                         v
 *                        closing --what waited has left, or lingerMs--> over
 */
import { BROKER } from '../../src/config.js'
import type { Clock, Timer } from '../../src/contracts/environment.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import { GcacheError } from '../../src/errors.js'
import type { StreamConnection, StreamEvents } from '../stream/layer.js'
import type { Share } from './many.js'
import {
  HEAD_BYTES,
  HEARS_MANY,
  type Head,
  KIND,
  LAYOUT,
  messageOf,
  SEALED,
  type StreamKey,
} from './messages.js'
import { digestOf, SEAL_BYTES, Seal } from './seal.js'

/** The way to a broker, as its streams see it. */
export interface StreamHub {
  readonly clock: Clock
  /** Bytes of data that a message may hold. */
  readonly bodyBytesMax: number
  /** False while the broker may not have read enough of what it was given. */
  readonly mayPublish: boolean
  /** False if it cannot be reached: the streams will be told. */
  publish(subject: string, message: Uint8Array, reply?: string): boolean
  /** Data that goes by sendAlone() or, with others that send the same, as one message. */
  offer(share: Share, data: Uint8Array): void
  /** resumed() is called once mayPublish holds again. */
  hold(stream: NatsStream): void
  defer(task: () => void): void
  forget(stream: NatsStream): void
  /** Nobody's death is to be inferred from silence so soon. */
  readonly unsettled: boolean
}

/** Who it is with, as far as the medium goes. */
export interface Way {
  /** Where the other side's messages go; of a dial, where it listens. */
  subject: string
  /** The other side's id, as its subject says. */
  host: string | undefined
  /** Where it speaks to many, if we hear that. */
  many: string | undefined
  readonly windowBytes: () => number
  readonly pulseTicks: number
}

type State = 'dialling' | 'open' | 'closing' | 'over'

export class NatsStream implements StreamConnection {
  events: StreamEvents
  state: State
  /** How the other side knows it. */
  remote: StreamKey | undefined
  /** The other side hears what we publish for many. */
  #isHeard = false
  unsentBytes = 0
  readonly key: StreamKey
  /** Where we are reached. */
  readonly subject: string
  readonly #hub: StreamHub
  readonly #way: Way
  readonly #dialled: boolean
  #seal: Seal | undefined
  #waiting: Uint8Array[] = []
  /** Data sent, and bytes of it; the bytes that may be sent. */
  #sent = 0
  #sentBytes = 0
  #limit = 0
  /** Data received, bytes of it, how many were delivered, and what was granted. */
  #received = 0
  #receivedBytes = 0
  #takenBytes = 0
  #granted: number
  #paused = false
  #unparking = false
  #parked: Buffer[] = []
  #pulseTicks = 0
  #silentTicks = 0
  #awaitsWord = false
  #askedAtMs = -1
  #timer: Timer | undefined

  constructor(hub: StreamHub, key: StreamKey, subject: string, way: Way, events: StreamEvents) {
    this.#hub = hub
    this.key = key
    this.subject = subject
    this.#way = way
    this.#dialled = way.host === undefined
    this.events = events
    this.state = 'dialling'
    this.#granted = way.windowBytes()
  }

  get host(): string | undefined {
    return this.#way.host
  }

  /** Where the other side speaks to many. */
  get many(): string | undefined {
    return this.#way.many
  }

  get flags(): number {
    return this.#way.many === undefined ? 0 : HEARS_MANY
  }

  /** What the other side may have sent, as it was told last. */
  get granted(): number {
    return this.#granted
  }

  // What the hub calls.

  /** Asks for a stream; again as long as nobody answers. */
  dial(): void {
    if (this.state !== 'dialling') return
    const message = messageOf(KIND.open, this.key, LAYOUT, this.#granted)
    this.#hub.publish(this.#way.subject, message, this.subject)
  }

  /** The other side is `remote`, reached at `subject`; `head` is what said so. */
  open(remote: StreamKey, subject: string, host: string, head: Head): void {
    this.#timer?.cancel()
    this.state = 'open'
    this.remote = remote
    this.#way.subject = subject
    this.#way.host = host
    this.#limit = head.limit
    this.#isHeard = head.hearsMany
  }

  /** We hear what the other side says to many. */
  hears(many: string): void {
    this.#way.many = many
  }

  /** Data, pulse or close of the other side; `data` is what stands behind its head and `seal`. */
  receive(head: Head, data: Uint8Array, seal?: Uint8Array): void {
    if (this.state !== 'open' && this.state !== 'closing') return
    this.#silentTicks = 0
    this.#awaitsWord = false
    if (head.seq !== this.#received) {
      const lost = (head.seq - this.#received) | 0
      const text = `${lost < 0 ? 'a message came again' : `${lost} messages did not arrive`}`
      this.#fail('closed', new GcacheError('UNREACHABLE', text))
      return
    }
    if (head.kind === KIND.data && !this.#isTheirs(head, data, seal)) {
      const text = 'a message of the stream was not sent by the other side'
      this.#fail('protocol', new GcacheError('PROTOCOL_ERROR', text))
      return
    }
    if (head.limit > this.#limit) {
      this.#limit = head.limit
      if (this.unsentBytes > 0) this.#pumpAndTell()
    }
    if (head.hearsMany) this.#isHeard = true
    if (head.kind === KIND.data) this.#take(data)
    else if (head.kind === KIND.close) this.end('closed')
  }

  /** The broker: nobody hears what this stream sends. */
  unheard(): void {
    if (this.state !== 'dialling') {
      this.end('closed', new Error('nobody is there any more'))
      return
    }
    const { clock, unsettled } = this.#hub
    if (this.#askedAtMs < 0) this.#askedAtMs = clock.now()
    const cause = new GcacheError('UNREACHABLE', `nobody listens at ${this.#way.subject}`)
    if (unsettled) this.end('unreachable', cause)
    else if (clock.now() - this.#askedAtMs >= BROKER.goneMs) this.end('refused', cause)
    else this.#timer = clock.after(BROKER.askAgainMs, () => this.dial())
  }

  /** From an event: it is over, and the other side needs no word of it. */
  end(loss: LinkLoss, cause?: Error): void {
    if (this.state === 'over') return
    const told = this.state !== 'closing'
    this.#over()
    if (told) this.events.onClose(loss, cause)
  }

  /** Once in tickMs. */
  tick(): void {
    if (this.state !== 'open') return
    if (++this.#silentTicks > BROKER.silentTicks) {
      this.#say(KIND.close)
      const silentMs = BROKER.silentTicks * BROKER.tickMs
      this.end('timeout', new GcacheError('TIMEOUT', `nothing was heard for ${silentMs} ms`))
    } else if (++this.#pulseTicks >= this.#way.pulseTicks || this.#awaitsWord) this.#say(KIND.pulse)
  }

  /** mayPublish holds again. */
  resumed(): void {
    if (this.state === 'open' || this.state === 'closing') this.#pumpAndTell()
  }

  // What the transport calls.

  write(bytes: Uint8Array): boolean {
    if (this.state !== 'open') return true
    this.#waiting.push(bytes)
    this.unsentBytes += bytes.length
    this.#pump()
    return this.unsentBytes === 0
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    if (this.#parked.length === 0 || this.#unparking) return
    this.#unparking = true
    this.#hub.defer(() => this.#unpark())
  }

  seal(key: Uint8Array): void {
    this.#seal = new Seal(key, this.#dialled)
  }

  close(): void {
    if (this.state === 'open' && this.unsentBytes > 0) {
      this.state = 'closing'
      // What waits may be written from a buffer that is its owner's again.
      this.#waiting = this.#waiting.map(bytes => Buffer.from(bytes))
      this.#timer = this.#hub.clock.after(BROKER.lingerMs, () => this.destroy())
    } else this.destroy()
  }

  destroy(): void {
    if (this.state === 'over') return
    if (this.remote !== undefined) this.#say(KIND.close)
    this.#over()
  }

  #over(): void {
    this.state = 'over'
    this.#timer?.cancel()
    this.#waiting = []
    this.#parked = []
    this.unsentBytes = 0
    this.#hub.forget(this)
  }

  /** From an event: the session's law is broken, or the way is. */
  #fail(loss: LinkLoss, cause: GcacheError): void {
    this.#say(KIND.close)
    this.end(loss, cause)
  }

  /** Where nothing was proved, nothing is sealed, and the other way round. */
  #isTheirs(head: Head, data: Uint8Array, seal: Uint8Array | undefined): boolean {
    if (this.#seal === undefined || seal === undefined) return this.#seal === seal
    return this.#seal.isTheirs(seal, head, digestOf(data))
  }

  #pumpAndTell(): void {
    const before = this.unsentBytes
    this.#pump()
    if (this.state === 'open' && this.unsentBytes < before) this.events.onDrain()
    if (this.state === 'closing' && this.unsentBytes === 0) this.destroy()
  }

  /** Sends what waits, as far as the receiver and the broker take it. */
  #pump(): void {
    while (this.#waiting.length > 0) {
      const room = Math.min(this.#limit - this.#sentBytes, this.#hub.bodyBytesMax)
      if (room <= 0) return
      if (!this.#hub.mayPublish) {
        this.#hub.hold(this)
        return
      }
      const bytes = this.#waiting[0]
      const part = bytes.length <= room ? bytes : bytes.subarray(0, room)
      if (part === bytes) this.#waiting.shift()
      else this.#waiting[0] = bytes.subarray(room)
      this.#sendData(part)
      this.unsentBytes -= part.length
    }
  }

  #sendData(part: Uint8Array): void {
    const share = { stream: this, seq: this.#sent, limit: this.#grant(), seal: this.#seal }
    this.#sent = (this.#sent + 1) >>> 0
    this.#sentBytes += part.length
    this.#awaitsWord = this.#way.pulseTicks === BROKER.clientPulseTicks
    if (this.#isHeard) this.#hub.offer(share, part)
    else this.sendAlone(share, part)
  }

  /** Publishes it to the inbox of the other side. */
  sendAlone(share: Share, data: Uint8Array): void {
    if (this.remote === undefined) return
    const { seq, limit, seal } = share
    const room = seal === undefined ? 0 : SEAL_BYTES
    const flags = this.flags | (seal === undefined ? 0 : SEALED)
    const message = messageOf(KIND.data, this.remote, seq, limit, room + data.length, flags)
    if (seal !== undefined) message.set(seal.make(share, digestOf(data)), HEAD_BYTES)
    message.set(data, HEAD_BYTES + room)
    this.#pulseTicks = 0
    this.#hub.publish(this.#way.subject, message, this.subject)
  }

  #grant(): number {
    this.#granted = Math.max(this.#granted, this.#takenBytes + this.#way.windowBytes())
    return this.#granted
  }

  #say(kind: number): void {
    if (this.remote === undefined) return
    const reply = kind === KIND.pulse ? this.subject : undefined
    if (kind === KIND.pulse) this.#pulseTicks = 0
    const message = messageOf(kind, this.remote, this.#sent, this.#grant(), 0, this.flags)
    this.#hub.publish(this.#way.subject, message, reply)
  }

  #take(data: Uint8Array): void {
    this.#received = (this.#received + 1) >>> 0
    this.#receivedBytes += data.length
    if (this.#receivedBytes > this.#granted) {
      const text = 'more bytes came than were granted'
      this.#fail('protocol', new GcacheError('PROTOCOL_ERROR', text))
      return
    }
    if (this.#paused || this.#parked.length > 0) this.#parked.push(Buffer.from(data))
    else this.#deliver(data)
  }

  #deliver(data: Uint8Array): void {
    this.#takenBytes += data.length
    if (this.state === 'open') this.events.onData(data)
    const window = this.#way.windowBytes()
    const more = this.#takenBytes + window - this.#granted
    if (this.state !== 'over' && more * 4 >= window) this.#say(KIND.pulse)
  }

  #unpark(): void {
    this.#unparking = false
    while (this.#parked.length > 0 && !this.#paused && this.state === 'open')
      this.#deliver(this.#parked.shift() as Buffer)
  }
}
