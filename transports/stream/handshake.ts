/**
 * From a bare connection to a link or a refusal, within handshakeMs for connect and hello together.
 *
 *   dialler    connecting --open, hello--> greeting --hello, ready--> link
 *                                             | refused as a tie
 *                                             v
 *                                          yielded: the other side's dial will answer
 *   acceptor   listening --hello, hello--> promised --ready--> link
 */
import type { Timer } from '../../src/contracts/environment.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import { type ErrorCode, GcacheError } from '../../src/errors.js'
import { FrameDecoder, framed } from '../../src/wire/frame.js'
import { decodeGreeting, encodeGreeting, type Greeting, type Hello, isAlias } from './hello.js'
import type { StreamConnection, StreamEvents } from './layer.js'
import { isProtocolError } from './link.js'

export type Phase = 'connecting' | 'greeting' | 'yielded' | 'listening' | 'promised' | 'over'

/** What a handshake may be told to do with a hello that arrived. */
export type Verdict =
  | { accept: true }
  /** `code` of our own side's error; by default REFUSED. */
  | { accept: false; reason: string; tie: boolean; code?: ErrorCode }

/** The transport, as its handshakes see it. */
export interface HandshakeOwner {
  /** Our hello for this handshake. */
  hello(handshake: Handshake): Hello
  judge(handshake: Handshake, hello: Hello): Verdict
  established(handshake: Handshake): void
  /** From an event: it ended without a link. */
  failed(handshake: Handshake, loss: LinkLoss, cause?: Error): void
}

export class Handshake implements StreamEvents {
  phase: Phase
  readonly dialled: boolean
  /** Whom we expect: as connect() named it, or '*' for an accepted one. */
  readonly expected: PeerId
  /** Somebody called connect() and waits for an answer. */
  wanted: boolean
  connection: StreamConnection | undefined
  /** What the other side said. */
  hello: Hello | undefined
  readonly decoder: FrameDecoder
  readonly #owner: HandshakeOwner
  #timer: Timer | undefined

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
    this.#say(this.#owner.hello(this))
  }

  onData(chunk: Uint8Array): void {
    try {
      this.decoder.push(chunk)
    } catch (error) {
      if (!isProtocolError(error)) throw error
      const heir = this.connection?.events
      // The chunk that ended the handshake may hold frames of the link, which fails on its own.
      if (heir !== undefined && heir !== this) heir.onClose('protocol', error)
      else this.#fail('protocol', error)
    }
  }

  onDrain(): void {}

  onClose(loss: LinkLoss, cause?: Error): void {
    if (this.phase !== 'yielded') this.#fail(loss, cause)
  }

  onFrame(frame: Uint8Array): void {
    const greeting = decodeGreeting(frame)
    const { phase } = this
    if (greeting.kind === 'refused') this.#refused(greeting.reason, greeting.tie)
    else if (greeting.kind === 'hello' && (phase === 'greeting' || phase === 'listening'))
      this.#answer(greeting)
    else if (greeting.kind === 'ready' && phase === 'promised') this.#establish()
    else throw new GcacheError('PROTOCOL_ERROR', `${greeting.kind} in phase ${phase}`)
  }

  #answer(hello: Hello): void {
    this.hello = hello
    const verdict = this.#owner.judge(this, hello)
    if (!verdict.accept) {
      this.#say({ kind: 'refused', reason: verdict.reason, tie: verdict.tie })
      this.#finish()
      this.connection?.close()
      const loss = verdict.tie ? 'closed' : 'refused'
      this.#owner.failed(this, loss, new GcacheError(verdict.code ?? 'REFUSED', verdict.reason))
      return
    }
    if (this.dialled) {
      this.#say({ kind: 'ready' })
      this.#establish()
    } else {
      this.phase = 'promised'
      this.#say(this.#owner.hello(this))
    }
  }

  #refused(reason: string, tie: boolean): void {
    if (tie && this.phase === 'greeting' && !isAlias(this.expected)) {
      this.phase = 'yielded'
      this.decoder.stop()
      this.connection?.destroy()
      return
    }
    this.#fail('refused', new GcacheError('REFUSED', reason))
  }

  #establish(): void {
    this.phase = 'over'
    this.#timer?.cancel()
    this.#owner.established(this)
  }

  #fail(loss: LinkLoss, cause?: Error): void {
    if (this.phase === 'over') return
    this.abandon()
    this.#owner.failed(this, loss, cause)
  }

  #finish(): void {
    this.phase = 'over'
    this.#timer?.cancel()
    this.decoder.stop()
  }

  #say(greeting: Greeting): void {
    this.connection?.write(framed(encodeGreeting(greeting)))
  }
}
