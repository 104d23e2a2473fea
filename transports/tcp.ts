/**
 * Raw TCP, the default transport: a StreamLayer over node:net. Addresses are `tcp://host:port` and
 * `tcp://[::1]:port`; port 0 listens on a free one. Everything above bytes stands in stream/.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '../src/contracts/environment.js'
import type { LinkLoss, TransportFactory } from '../src/contracts/transport.js'
import { assert } from '../src/core/assert.js'
import { GcacheError } from '../src/errors.js'
import { formatAddress, parseAddress } from './stream/address.js'
import type { StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
import type { StreamOptions } from './stream/limits.js'
import { streamTransport } from './stream/transport.js'

export type TcpOptions = StreamOptions

/** `transport: tcp()`. */
export function tcp(options: TcpOptions = {}): TransportFactory {
  return env => streamTransport(env, new TcpLayer(env.clock), options)
}

/** What a closed connection may still take to send its last bytes, ms. */
const LINGER_MS = 250

export class TcpLayer implements StreamLayer {
  readonly scheme = 'tcp'
  readonly detectsPeerLoss = true
  readonly #clock: Clock
  #server: Server | undefined
  #stopped = false
  readonly #connections = new Set<TcpConnection>()
  #onEmpty: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    return new Promise((resolve, reject) => {
      const { host, port } = parseAddress('tcp', address)
      const server = createServer({ noDelay: true }, socket => {
        if (this.#stopped) socket.destroy()
        else accept(this.#adopt(socket, SILENT))
      })
      this.#server = server
      const failed = (cause: Error) => reject(listenError(address, cause))
      server.once('error', failed)
      server.once('close', () => failed(new Error('stopped while it began to listen')))
      server.listen({ host, port }, () => {
        server.off('error', failed)
        // Running out of descriptors, say: the arriving connection is lost, the server stays.
        server.on('error', () => {})
        const bound = server.address()
        assert(typeof bound === 'object' && bound !== null, 'a listening server has an address')
        resolve(formatAddress('tcp', { host, port: bound.port }))
      })
    })
  }

  dial(address: string, events: StreamEvents): StreamConnection {
    const { host, port } = parseAddress('tcp', address)
    if (port === 0) throw new GcacheError('ADDRESS_INVALID', 'port 0 cannot be dialled')
    return this.#adopt(connect({ host, port, noDelay: true }), events)
  }

  defer(task: () => void): void {
    process.nextTick(task)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    const server = this.#server
    const closed = server?.listening
      ? new Promise<void>(resolve => server.close(() => resolve()))
      : undefined
    if (!server?.listening) server?.close()
    for (const connection of this.#connections) if (!connection.closing) connection.destroy()
    if (this.#connections.size > 0)
      await new Promise<void>(resolve => {
        this.#onEmpty = resolve
      })
    await closed
  }

  #adopt(socket: Socket, events: StreamEvents): TcpConnection {
    const connection = new TcpConnection(socket, events, this.#clock)
    this.#connections.add(connection)
    socket.once('close', () => {
      this.#connections.delete(connection)
      if (this.#connections.size === 0) this.#onEmpty?.()
    })
    return connection
  }
}

class TcpConnection implements StreamConnection {
  events: StreamEvents
  closing = false
  readonly #socket: Socket
  readonly #clock: Clock
  #linger: Timer | undefined
  /** Something was not taken by the kernel at once. */
  #behind = false
  #over = false

  constructor(socket: Socket, events: StreamEvents, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    this.events = events
    socket.on('connect', () => this.events.onOpen())
    socket.on('data', chunk => {
      if (!this.#over) this.events.onData(chunk)
    })
    socket.on('error', cause => this.#end(lossOf(cause), cause))
    socket.on('end', () => this.#end('closed'))
    socket.on('close', () => {
      this.#linger?.cancel()
      this.#end('closed')
    })
  }

  get unsentBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket
    socket.write(bytes, this.#written)
    // libuv tries to write at once; nothing left means that the kernel has copied it all.
    if (socket.writableLength === 0) return true
    this.#behind = true
    return false
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
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

  #end(loss: LinkLoss, cause?: Error): void {
    if (this.#over) return
    this.#over = true
    this.#socket.destroy()
    this.events.onClose(loss, cause)
  }
}

const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }

const LOSSES: Record<string, LinkLoss> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
}

/** EHOSTUNREACH, ENETUNREACH, ENOTFOUND and all others: it could not be reached. */
function lossOf(cause: NodeJS.ErrnoException): LinkLoss {
  return LOSSES[cause.code ?? ''] ?? 'unreachable'
}

function listenError(address: string, cause: NodeJS.ErrnoException): GcacheError {
  if (cause instanceof GcacheError) return cause
  const code = cause.code === 'EADDRINUSE' ? 'ADDRESS_IN_USE' : 'ADDRESS_INVALID'
  const fact = code === 'ADDRESS_IN_USE' ? 'is in use' : `cannot be bound: ${cause.message}`
  return new GcacheError(code, `address ${address} ${fact}`, { cause })
}
