/**
 * From a bare connection to a link or a refusal, within handshakeMs for connect and hello together.
 *
 *   dialler    connecting --open, hello--> greeting --hello, ready--> link
 *                                             | refused as a tie
 *                                             v
 *                                          yielded: the other side's dial will answer
 *   acceptor   listening --hello, hello--> promised --ready--> link
 *
 * With an authenticator the acceptor is `proving` between listening and its hello, and the dialler
 * greets on; nothing that a hello says is acted upon before its proof. A failed one is `refusing`
 * for as long as the authenticator wants, then told.
 */
import { LIMITS } from '../../src/config.js'
import type {
  Authenticator,
  Exchange,
  ExchangeEvents,
  Identity,
} from '../../src/contracts/authentication.js'
import type { Timer } from '../../src/contracts/environment.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import { type ErrorCode, GcacheError } from '../../src/errors.js'
import { FrameDecoder, framed } from '../../src/wire/frame.js'
import { Allowance, strangersError } from './allowance.js'
import { decodeGreeting, encodeGreeting, type Greeting, type Hello, isAlias } from './hello.js'
import type { StreamConnection, StreamEvents } from './layer.js'
import { isProtocolError, located } from './link.js'
import { dialled, examined, refusedBy, unproved } from './proofs.js'

export type Phase =
  | 'connecting'
  | 'greeting'
  | 'yielded'
  | 'listening'
  | 'proving'
  | 'promised'
  | 'refusing'
  | 'over'

/** What a handshake may be told to do with a hello that arrived. */
export type Verdict =
  | { accept: true }
  /** `code` of our own side's error; by default REFUSED. */
  | { accept: false; reason: string; tie: boolean; code?: ErrorCode }

/** The transport, as its handshakes see it. */
export interface HandshakeOwner {
  readonly self: PeerId
  readonly authenticator: Authenticator | undefined
  /** How long a dialler waits for its proof to be judged, ms. */
  readonly proofMs: number
  after(delayMs: number, task: () => void): Timer
  /** Our hello for this handshake. */
  hello(handshake: Handshake): Hello
  judge(handshake: Handshake, hello: Hello): Verdict
  established(handshake: Handshake): void
  /** From an event: it ended without a link. */
  failed(handshake: Handshake, loss: LinkLoss, cause?: Error): void
}

export class Handshake implements StreamEvents, ExchangeEvents {
  phase: Phase
  readonly dialled: boolean
  /** Whom we expect: as connect() named it, or '*' for an accepted one. */
  readonly expected: PeerId
  /** Somebody called connect() and waits for an answer. */
  wanted: boolean
  connection: StreamConnection | undefined
  /** Of a dial: whose arriving one was refused as a tie meanwhile. */
  refusedLife: string | undefined
  /** What the other side said; with an authenticator, not yet proved while `proving`. */
  hello: Hello | undefined
  /** Who the other side has proved to be. */
  identity: Identity | undefined
  readonly decoder: FrameDecoder
  readonly #owner: HandshakeOwner
  readonly #allowance = new Allowance()
  #timer: Timer | undefined
  /** Until then it is not read from. */
  #wait: Timer | undefined
  #exchange: Exchange | undefined
  /** What the proofs of both sides left behind. */
  #key: Uint8Array | undefined
  /** The acceptor's id, as its proof covers it. */
  #speaker: PeerId | undefined

  constructor(owner: HandshakeOwner, expected: PeerId | undefined, helloBytesMax: number) {
    this.#owner = owner
    this.dialled = expected !== undefined
    this.expected = expected ?? '*'
    this.wanted = this.dialled
    this.phase = this.dialled ? 'connecting' : 'listening'
    this.decoder = new FrameDecoder(helloBytesMax, this)
  }

  /** The id under which the handler knows the other side; undefined before its hello. */
  get peer(): PeerId | undefined {
    return this.dialled ? this.expected : this.hello?.from
  }

  begin(connection: StreamConnection, timer: Timer): void {
    this.connection = connection
    this.#timer = timer
  }

  /** Nothing is read for `waitMs`. */
  delay(waitMs: number): void {
    this.connection?.pause()
    this.#wait = this.#owner.after(waitMs, () => this.connection?.resume())
  }

  /** Ends it without a word to anybody. */
  abandon(): void {
    this.#finish()
    this.connection?.destroy()
  }

  onTimeout(): void {
    this.#fail('timeout', new GcacheError('TIMEOUT', `no link with ${this.peer ?? 'a stranger'}`))
  }

  onOpen(): void {
    this.phase = 'greeting'
    const hello = this.#owner.hello(this)
    const proof = dialled(this.#owner.authenticator, hello, this.connection, this)
    this.#exchange = proof
    this.#say(proof === undefined ? hello : { ...hello, proof: proof.first })
  }

  onData(chunk: Uint8Array): void {
    try {
      this.decoder.push(chunk)
    } catch (error) {
      if (!isProtocolError(error)) throw error
      const cause = located(error, this.decoder)
      const heir = this.connection?.events
      // The chunk that ended the handshake may hold frames of the link, which fails on its own.
      if (heir !== undefined && heir !== this) heir.onClose('protocol', cause)
      else this.turnAway('protocol', strangersError(cause))
    }
  }

  /** Tells an arriving stranger why, and ends. */
  turnAway(loss: LinkLoss, cause: GcacheError): void {
    const { phase, connection } = this
    if (phase === 'over') return
    if (this.dialled || connection === undefined || connection.unsentBytes > 0) {
      this.#fail(loss, cause)
      return
    }
    const { code, message } = cause
    // Before the hello: who shows only the reason, as older peers do, has to show the code as well.
    this.#say({ kind: 'refused', reason: `${code}: ${message}`, tie: false, code })
    this.#finish()
    connection.close()
    this.#owner.failed(this, loss, cause)
  }

  onDrain(): void {}

  onClose(loss: LinkLoss, cause?: Error): void {
    if (this.phase !== 'yielded') this.#fail(loss, cause)
  }

  onFrame(frame: Uint8Array): void {
    this.decoder.frameBytesMax = this.#allowance.take(frame.length)
    const greeting = decodeGreeting(frame)
    const { phase } = this
    const exchange = phase === 'greeting' || phase === 'proving' ? this.#exchange : undefined
    if (greeting.kind === 'refused') this.#refused(greeting.reason, greeting.tie, greeting.code)
    else if (greeting.kind === 'hello' && phase === 'greeting') this.#answered(greeting)
    else if (greeting.kind === 'hello' && phase === 'listening') this.#greeted(greeting)
    else if (greeting.kind === 'proof' && exchange !== undefined) this.#received(exchange, greeting)
    else if (greeting.kind === 'ready' && phase === 'promised') this.#establish()
    else throw new GcacheError('PROTOCOL_ERROR', `${greeting.kind} in phase ${phase}`)
  }

  // What an exchange tells.

  say(message: string): void {
    this.#say({ kind: 'proof', message })
  }

  proved(identity: Identity, speaker: PeerId | undefined, key?: Uint8Array): void {
    this.identity = identity
    this.#key = key
    this.#speaker = speaker
    this.#exchange = undefined
    if (!this.dialled) this.#answer(this.hello as Hello)
  }

  failed(error: Error, delayMs: number): void {
    if (this.dialled) {
      this.#fail('refused', error)
      return
    }
    this.phase = 'refusing'
    this.decoder.stop()
    this.#timer?.cancel()
    const { code } = error as GcacheError
    const tell = () => {
      // In a timer's event nobody would catch that its answers are not read.
      if ((this.connection?.unsentBytes ?? 0) > 0) this.#fail('refused', error)
      else this.#refuse({ reason: error.message, tie: false }, code)
    }
    this.#timer = this.#owner.after(delayMs, tell)
  }

  /** A dialler's proof may be judged late: it must hear of it. */
  #received(exchange: Exchange, { message }: { readonly message: string }): void {
    if (this.dialled) {
      this.#timer?.cancel()
      this.#timer = this.#owner.after(this.#owner.proofMs, () => this.onTimeout())
    }
    exchange.receive(message)
  }

  /** Arrived. Nothing else of it counts before its proof, but what it can be read by. */
  #greeted(hello: Hello): void {
    this.hello = hello
    const { authenticator, self } = this.#owner
    this.phase = 'proving'
    const exchange = examined(authenticator, self, hello, this.connection, this)
    if (exchange === undefined) this.#answer(hello)
    else this.#exchange = exchange
  }

  #answered(hello: Hello): void {
    const { authenticator } = this.#owner
    const wrong = unproved(authenticator, this.identity, this.#speaker, hello)
    if (wrong === undefined) this.#answer(hello)
    else this.#fail('refused', wrong)
  }

  #answer(hello: Hello): void {
    this.hello = hello
    const verdict = this.#owner.judge(this, hello)
    if (!verdict.accept) {
      this.#refuse(verdict, verdict.code)
    } else if (this.dialled) {
      this.#say({ kind: 'ready' })
      this.#establish()
    } else {
      this.phase = 'promised'
      this.#say(this.#owner.hello(this))
    }
  }

  #refuse({ reason, tie }: { reason: string; tie: boolean }, code: ErrorCode = 'REFUSED'): void {
    this.#say({ kind: 'refused', reason, tie, ...(code === 'REFUSED' ? {} : { code }) })
    this.#finish()
    this.connection?.close()
    this.#owner.failed(this, tie ? 'closed' : 'refused', new GcacheError(code, reason))
  }

  #refused(reason: string, tie: boolean, code: string | undefined): void {
    if (tie && this.phase === 'greeting' && !isAlias(this.expected)) {
      this.phase = 'yielded'
      this.#exchange?.stop()
      this.decoder.stop()
      this.connection?.destroy()
      return
    }
    this.#fail('refused', refusedBy(reason, code))
  }

  #establish(): void {
    this.phase = 'over'
    this.#timer?.cancel()
    if (this.#key !== undefined) this.connection?.seal?.(this.#key)
    this.#owner.established(this)
  }

  #fail(loss: LinkLoss, cause?: Error): void {
    if (this.phase === 'over') return
    this.abandon()
    this.#owner.failed(this, loss, cause)
  }

  #finish(): void {
    this.phase = 'over'
    this.#exchange?.stop()
    this.#timer?.cancel()
    this.#wait?.cancel()
    this.decoder.stop()
  }

  /** A stranger that reads nothing gets no more than greetingQueueBytesMax. */
  #say(greeting: Greeting): void {
    const { connection } = this
    if (connection === undefined) return
    const bytes = framed(encodeGreeting(greeting))
    if (connection.unsentBytes + bytes.length > LIMITS.greetingQueueBytesMax)
      throw new GcacheError('PREAUTH_LIMIT', 'a stranger does not read its answers')
    connection.write(bytes)
  }
}
