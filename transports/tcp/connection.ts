/**
 * One TCP socket as a StreamConnection. It reads into a buffer that the whole layer shares, and
 * asks after each write whether the kernel took all, so that the writer's buffer is free at once.
 * With TLS the same code drives the TLSSocket, whose writes end a moment later.
 */
import { type OnReadOpts, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Clock, Timer } from '../../src/contracts/environment.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { Secured, StreamConnection, StreamEvents } from '../stream/layer.js'
import { heldBytesOf, LINGER_MS, lossOf } from '../stream/sockets.js'
import { tlsFailure } from '../stream/tls-identity.js'

export class TcpConnection implements StreamConnection {
  events: StreamEvents
  closing = false
  secured: Secured | undefined
  /** What it was opened with; closes last. */
  readonly socket: Socket
  /** What it speaks through: `socket`, or TLS around it. */
  #socket: Socket
  readonly #clock: Clock
  readonly #onread: OnReadOpts
  #linger: Timer | undefined
  /** Something was not taken by the kernel at once. */
  #behind = false
  #over = false
  #paused = false

  constructor(
    events: StreamEvents,
    clock: Clock,
    buffer: Buffer,
    open: (onread: OnReadOpts) => Socket,
    opened: 'connect' | 'secureConnect' = 'connect',
  ) {
    this.#clock = clock
    this.events = events
    const callback = (count: number, bytes: Uint8Array): boolean => {
      if (!this.#over) this.events.onData(bytes.subarray(0, count))
      return true
    }
    this.#onread = { buffer, callback }
    this.socket = open(this.#onread)
    this.#socket = this.socket
    this.#attach(this.socket)
    this.socket.on(opened, () => this.events.onOpen())
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  /** An accepted connection speaks through `socket` from here on, which wraps its own. */
  secure(socket: TLSSocket, secured: Secured): void {
    this.secured = secured
    this.#socket = socket
    this.#attach(socket)
    socket.on('data', chunk => this.#onread.callback(chunk.length, chunk))
    // What it speaks through until now is read by TLS alone, paused or not.
    if (this.#paused) socket.pause()
  }

  /** It could not be opened: as if its socket had failed so. */
  fail(cause: Error): void {
    this.#end(lossOf(cause), cause)
  }

  get heldBytes(): number {
    return heldBytesOf(this.socket)
  }

  get host(): string | undefined {
    return this.socket.remoteAddress
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket
    socket.write(bytes, this.#written)
    // libuv tries to write at once; nothing left means that the kernel has copied it all.
    if (socket.writableLength === 0) return true
    this.#behind = true
    return false
  }

  /** Before TLS is agreed on it holds for what comes after it. */
  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    this.#socket.resume()
  }

  close(): void {
    if (this.closing || this.#socket.destroyed) return
    this.#over = true
    this.closing = true
    this.#linger = this.#clock.after(LINGER_MS, () => this.#socket.destroy())
    this.#socket.resume()
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#over = true
    this.#socket.destroy()
  }

  readonly #written = (): void => {
    if (!this.#behind || this.#over) return
    if (this.#socket.writableLength === 0) this.#behind = false
    this.events.onDrain()
  }

  #attach(socket: Socket): void {
    socket.on('error', cause => this.fail(tlsFailure(cause) ?? cause))
    socket.on('end', () => this.#end('closed'))
    socket.on('close', () => {
      this.#linger?.cancel()
      this.#end('closed')
    })
  }

  #end(loss: LinkLoss, cause?: Error): void {
    if (this.#over) return
    this.#over = true
    this.destroy()
    this.events.onClose(loss, cause)
  }
}

/**
 * The accepted connection as a socket that reads into our buffer. Node offers `onread` to diallers
 * only, so the handle moves to a new socket: else every read allocates 64 KiB, and a call to and
 * fro costs 26 us instead of 22 (Node 20). Where there is no handle to move, data events do.
 */
export function readingInto(accepted: Socket, onread: OnReadOpts): Socket {
  const shell = accepted as unknown as { _handle: object | null | undefined }
  const handle = shell._handle
  if (typeof handle !== 'object' || handle === null) {
    accepted.on('data', chunk => onread.callback(chunk.length, chunk))
    return accepted.resume()
  }
  shell._handle = null
  accepted.destroy()
  return new Socket({ handle, onread } as object)
}
