/**
 * Raw TCP, the default transport: a StreamLayer over node:net. Addresses are `tcp://host:port` and
 * `tcp://[::1]:port`; port 0 listens on a free one. Everything above bytes stands in stream/.
 */
import { connect, createServer, type OnReadOpts, type Server, type Socket } from 'node:net'
import { createServer as createSecureServer } from 'node:tls'
import type { Clock } from '../src/contracts/environment.js'
import type { TlsCredentials, TlsOptions } from '../src/contracts/tls.js'
import type { Transport, TransportEnv, TransportFactory } from '../src/contracts/transport.js'
import { assert } from '../src/core/assert.js'
import { GcacheError } from '../src/errors.js'
import { formatAddress, parseAddress } from './stream/address.js'
import { arrivingMax } from './stream/descriptors.js'
import type { StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
import { type StreamOptions, streamLimits } from './stream/limits.js'
import { dialSecurely, secureOptions, securing, type TlsWorld } from './stream/secure.js'
import { listenError, lookupOnce } from './stream/sockets.js'
import { credentialsOf } from './stream/tls.js'
import { streamTransport } from './stream/transport.js'
import { readingInto, TcpConnection } from './tcp/connection.js'

export interface TcpOptions extends StreamOptions {
  /** Links are encrypted, and a node shows by its certificate who it is; without it, neither. */
  tls?: TlsOptions | TlsCredentials
}

/** `transport: tcp()`. Throws CONFIG for an option that is unknown or out of range. */
export function tcp(options: TcpOptions = {}): TransportFactory {
  const limits = streamLimits(options, 'tcp', ['tls'])
  const credentials = credentialsOf(options.tls, 'tcp: option tls')
  const factory = (env: TransportEnv): Transport => {
    if (credentials !== undefined && env.listen !== undefined) credentials.assertListens()
    const tls = credentials && { clock: env.clock, self: env.self, credentials }
    return streamTransport(env, new TcpLayer(env.clock, tls), limits)
  }
  return Object.assign(factory, { encrypts: credentials !== undefined })
}

/** One for all connections of a layer: reads never overlap, and chunks are borrowed. */
const READ_BUFFER_BYTES = 65_536

export class TcpLayer implements StreamLayer {
  readonly scheme = 'tcp'
  readonly detectsPeerLoss = true
  readonly #clock: Clock
  #server: Server | undefined
  #listening: Promise<string> | undefined
  #stopped = false
  #connectionsMax = Number.POSITIVE_INFINITY
  readonly #connections = new Set<TcpConnection>()
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  #onEmpty: (() => void) | undefined
  readonly #tls: TlsWorld | undefined
  #unfollow: (() => void) | undefined

  constructor(clock: Clock, tls?: TlsWorld) {
    this.#clock = clock
    this.#tls = tls
  }

  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    const listening = this.#listen(address, accept)
    this.#listening = listening
    return listening
  }

  dial(address: string, events: StreamEvents): StreamConnection {
    const { host, port } = parseAddress('tcp', address)
    if (port === 0) throw new GcacheError('ADDRESS_INVALID', 'port 0 cannot be dialled')
    if (this.#tls === undefined)
      return this.#adopt(events, onread =>
        connect({ host, port, noDelay: true, lookup: lookupOnce, onread }),
      )
    return dialSecurely(this.#tls, { host, port }, open =>
      this.#adopt(events, onread => open({ onread }), 'secureConnect'),
    )
  }

  defer(task: () => void): void {
    process.nextTick(task)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#unfollow?.()
    for (const connection of this.#connections) if (!connection.closing) connection.destroy()
    // What begins to listen ends by itself once it can.
    await this.#listening?.catch(() => {})
    const server = this.#server
    if (server?.listening) await new Promise<void>(resolve => server.close(() => resolve()))
    if (this.#connections.size > 0)
      await new Promise<void>(resolve => {
        this.#onEmpty = resolve
      })
  }

  #listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    return new Promise((resolve, reject) => {
      const { host, port } = parseAddress('tcp', address)
      this.#connectionsMax = arrivingMax()
      const server = this.#serverFor(accept)
      this.#server = server
      // Later errors, running out of descriptors say, cost an arriving connection, not the server.
      server.on('error', cause => reject(listenError(address, cause)))
      server.listen({ host, port }, () => {
        if (this.#stopped) {
          server.close(() => reject(new GcacheError('CLOSED', 'stopped before it listened')))
          return
        }
        const bound = server.address()
        assert(typeof bound === 'object' && bound !== null, 'a listening server has an address')
        resolve(formatAddress('tcp', { host, port: bound.port }))
      })
    })
  }

  #serverFor(accept: (connection: StreamConnection) => void): Server {
    const arrived = (socket: Socket, open: (onread: OnReadOpts) => Socket) => {
      if (this.#stopped || this.#connections.size >= this.#connectionsMax) {
        socket.destroy()
        return undefined
      }
      const connection = this.#adopt(SILENT, open)
      accept(connection)
      return connection
    }
    if (this.#tls === undefined)
      return createServer({ noDelay: true, pauseOnConnect: true }, socket => {
        arrived(socket, onread => readingInto(socket, onread))
      })
    const server = createSecureServer({ ...secureOptions(this.#tls), noDelay: true })
    this.#unfollow = securing(this.#tls, server, socket => arrived(socket, () => socket))
    return server
  }

  #adopt(
    events: StreamEvents,
    open: (onread: OnReadOpts) => Socket,
    opened?: 'connect' | 'secureConnect',
  ): TcpConnection {
    const connection = new TcpConnection(events, this.#clock, this.#readBuffer, open, opened)
    this.#connections.add(connection)
    connection.socket.once('close', () => {
      this.#connections.delete(connection)
      if (this.#connections.size === 0) this.#onEmpty?.()
    })
    return connection
  }
}

const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }
