/**
 * One WebSocket as a StreamConnection. It exists from the moment its socket does, so that limits on
 * strangers span TLS and the upgrade as well; what is said before the upgrade waits for it. Each
 * write is one binary message, or several of 64 KiB: where messages begin means nothing.
 *
 *   socket --(TLS)--> secured --upgrade--> speaking --> over
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { WebSocket } from 'ws'
import type { Clock, Timer } from '../../src/contracts/environment.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import { GcacheError } from '../../src/errors.js'
import type { Secured, StreamConnection, StreamEvents } from '../stream/layer.js'
import type { Securable } from '../stream/secure.js'
import { heldBytesOf, LINGER_MS, lossOf } from '../stream/sockets.js'
import { tlsFailure } from '../stream/tls-identity.js'

/** The largest message, either way: what a link writes at once. */
export const MESSAGE_BYTES_MAX = 65_536

const BINARY = { binary: true, compress: false }
const NORMAL = 1_000
const UNSUPPORTED_DATA = 1_003
const NOTHING = Buffer.alloc(0)

/** Which connection speaks through a socket. */
export type Speakers = WeakMap<object, WebSocketConnection>

export class WebSocketConnection implements StreamConnection, Securable {
  events: StreamEvents
  closing = false
  secured: Secured | undefined
  readonly socket: Socket
  /** What it speaks through: `socket`, or TLS around it. */
  #socket: Socket
  readonly #clock: Clock
  readonly #speakers: Speakers
  #web: WebSocket | undefined
  /** Said before the upgrade: why a stranger is turned away, at most. */
  #early: Uint8Array[] = []
  #linger: Timer | undefined
  /** Something was not taken by the kernel at once. */
  #behind = false
  #over = false
  #paused = false
  /** A message has ended in the chunk that is being read. */
  #heard = false
  /** Read since then, of a message that has begun. */
  #partBytes = 0
  partsBegun = 0

  constructor(events: StreamEvents, clock: Clock, socket: Socket, speakers: Speakers) {
    this.events = events
    this.#clock = clock
    this.#speakers = speakers
    this.socket = socket
    this.#socket = socket
    this.#attach(socket)
  }

  get unsentBytes(): number {
    let bytes = this.#socket.writableLength
    for (const early of this.#early) bytes += early.length
    return bytes
  }

  get heldBytes(): number {
    return heldBytesOf(this.socket)
  }

  get partBytes(): number {
    return this.#partBytes
  }

  get host(): string | undefined {
    return this.socket.remoteAddress
  }

  secure(socket: TLSSocket, secured: Secured): void {
    this.secured = secured
    this.#socket = socket
    this.#attach(socket)
  }

  /** A dialled one, which speaks once it is open. */
  dialled(web: WebSocket): void {
    web.on('open', () => {
      if (this.#over) return
      this.speak(web)
      this.events.onOpen()
    })
    web.on('error', cause => this.fail(handshakeFailure(cause)))
    web.on('unexpected-response', (_, { statusCode = 0, statusMessage = '' }) => {
      // A proxy without a node behind it says so by 5xx: another time it may have one.
      const code = statusCode >= 500 ? 'UNREACHABLE' : 'REFUSED'
      const answer = `${statusCode} ${statusMessage.slice(0, 80)}`.trim()
      this.fail(new GcacheError(code, `no WebSocket there, but the answer ${answer}`))
    })
  }

  /** The upgrade is through. */
  speak(web: WebSocket): void {
    this.#web = web
    web.on('message', (data, isBinary) => this.#onMessage(data as Buffer, isBinary))
    const heard = () => {
      this.#heard = true
    }
    web.on('ping', heard).on('pong', heard)
    if (web.listenerCount('error') === 0) web.on('error', cause => this.fail(failureOf(cause)))
    web.on('close', () => this.#end('closed'))
    // ws listens first: whatever ends in a chunk has been told when this comes.
    this.#socket.on('data', chunk => this.#onChunk(chunk.length))
    if (this.#paused) web.pause()
    const early = this.#early
    this.#early = []
    for (const bytes of early) this.#send(web, bytes)
    if (this.closing) this.#leave(web, NORMAL)
    else if (this.#over) this.#socket.destroy()
  }

  /** Answers a request that is no upgrade of ours, and ends. */
  answer(response: string, cause: GcacheError): void {
    if (this.#over) return
    this.#over = true
    this.#lingerOn()
    this.#socket.end(response)
    this.events.onClose('refused', cause)
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true
    const web = this.#web
    if (web === undefined) {
      this.#early.push(Buffer.from(bytes))
      return true
    }
    // The other side has begun to close: nobody will read it.
    if (web.readyState !== web.OPEN) return true
    this.#send(web, bytes)
    if (this.#socket.writableLength === 0) return true
    this.#behind = true
    return false
  }

  /** Before the upgrade it holds for what comes after it. */
  pause(): void {
    this.#paused = true
    this.#web?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#web?.resume()
  }

  close(): void {
    if (this.closing || this.#socket.destroyed) return
    this.#over = true
    this.#lingerOn()
    if (this.#web !== undefined) this.#leave(this.#web, NORMAL)
  }

  destroy(): void {
    this.#over = true
    if (!this.closing) this.#socket.destroy()
  }

  fail(cause: Error): void {
    const loss = lossOf(cause)
    if (loss !== 'protocol' || this.#web === undefined) this.#end(loss, cause)
    else this.#hangUp(this.#web, cause)
  }

  #send(web: WebSocket, bytes: Uint8Array): void {
    const { length } = bytes
    if (length <= MESSAGE_BYTES_MAX) {
      web.send(bytes, BINARY, this.#written)
      return
    }
    this.#socket.cork()
    for (let at = 0; at < length; at += MESSAGE_BYTES_MAX) {
      const next = Math.min(length, at + MESSAGE_BYTES_MAX)
      web.send(bytes.subarray(at, next), BINARY, this.#written)
    }
    this.#socket.uncork()
  }

  readonly #written = (): void => {
    if (!this.#behind || this.#over) return
    if (this.#socket.writableLength === 0) this.#behind = false
    this.events.onDrain()
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    this.#heard = true
    if (this.#over) return
    if (isBinary) this.events.onData(data)
    else if (this.#web !== undefined) {
      const cause = new GcacheError('PROTOCOL_ERROR', 'a text message, where all are binary')
      this.#hangUp(this.#web, cause, UNSUPPORTED_DATA)
    }
  }

  /** A message that has begun and does not end is judged by its pace, as a frame is. */
  #onChunk(length: number): void {
    if (this.#over) return
    const began = this.#partBytes === 0
    this.#partBytes = this.#heard ? 0 : this.#partBytes + length
    this.#heard = false
    if (!began || this.#partBytes === 0) return
    this.partsBegun++
    this.events.onData(NOTHING)
  }

  /** Ends with a code that says why. */
  #hangUp(web: WebSocket, cause: Error, code = NORMAL): void {
    if (this.#over) return
    this.#over = true
    this.#lingerOn()
    this.#leave(web, code)
    this.events.onClose('protocol', cause)
  }

  #lingerOn(): void {
    this.closing = true
    this.#linger = this.#clock.after(LINGER_MS, () => this.#socket.destroy())
  }

  /** A close frame behind what is unsent, and the end of the stream behind that. */
  #leave(web: WebSocket, code: number): void {
    web.resume()
    web.close(code)
    this.#socket.end()
  }

  #attach(socket: Socket): void {
    this.#speakers.set(socket, this)
    socket.on('error', cause => this.fail(failureOf(cause)))
    socket.on('end', () => this.#end('closed'))
    socket.on('close', () => {
      this.#linger?.cancel()
      this.#end('closed')
    })
  }

  #end(loss: LinkLoss, cause?: Error): void {
    if (this.#over) return
    this.destroy()
    this.events.onClose(loss, cause)
  }
}

const OURS = new Set(['FRAME_TOO_BIG', 'PROTOCOL_ERROR'])

/** Errors of TLS, HTTP and WebSocket in our words; those of sockets as they are. */
function failureOf(cause: NodeJS.ErrnoException): Error {
  const { code = '' } = cause
  if (OURS.has(code)) return cause
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') {
    const text = `a message of more than ${MESSAGE_BYTES_MAX} bytes`
    return new GcacheError('FRAME_TOO_BIG', text, { cause })
  }
  if (!/^(WS_ERR|HPE)_/.test(code)) return tlsFailure(cause) ?? cause
  return new GcacheError('PROTOCOL_ERROR', `${cause.message} (${code})`, { cause })
}

/** What answered a dial is no WebSocket. */
function handshakeFailure(cause: NodeJS.ErrnoException): Error {
  if (cause.code !== undefined) return failureOf(cause)
  return new GcacheError('PROTOCOL_ERROR', cause.message, { cause })
}
