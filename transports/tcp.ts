/**
 * Raw TCP, the default transport: a StreamLayer over node:net. Addresses are `tcp://host:port` and
 * `tcp://[::1]:port`; port 0 listens on a free one. Everything above bytes stands in stream/.
 */
import { connect, createServer, type OnReadOpts, type Server, type Socket } from 'node:net'
import { createServer as createSecureServer } from 'node:tls'
import type { Clock } from '../src/contracts/environment.js'
import type { TlsCredentials, TlsOptions } from '../src/contracts/tls.js'
import type { Transport, TransportEnv, TransportFactory } from '../src/contracts/transport.js'
import { GcacheError } from '../src/errors.js'
import { formatAddress, parseAddress } from './stream/address.js'
import type { StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
import { type StreamOptions, streamLimits } from './stream/limits.js'
import { OpenSockets } from './stream/open-sockets.js'
import { dialSecurely, secureOptions, securing, type TlsWorld } from './stream/secure.js'
import { lookupOnce } from './stream/sockets.js'
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
  readonly #sockets = new OpenSockets<TcpConnection>()
  readonly #readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  readonly #tls: TlsWorld | undefined

  constructor(clock: Clock, tls?: TlsWorld) {
    this.#clock = clock
    this.#tls = tls
  }

  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    return this.#sockets.begin(this.#listen(address, accept))
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

  stop(): Promise<void> {
    return this.#sockets.stop()
  }

  async #listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    const { host, port } = parseAddress('tcp', address)
    const bound = await this.#sockets.listen(this.#serverFor(accept), { host, port }, address)
    return formatAddress('tcp', { host, port: bound })
  }

  #serverFor(accept: (connection: StreamConnection) => void): Server {
    const arrived = (socket: Socket, open: (onread: OnReadOpts) => Socket) => {
      if (!this.#sockets.admits(socket)) return undefined
      const connection = this.#adopt(SILENT, open)
      accept(connection)
      return connection
    }
    if (this.#tls === undefined)
      return createServer({ noDelay: true, pauseOnConnect: true }, socket => {
        arrived(socket, onread => readingInto(socket, onread))
      })
    const server = createSecureServer({ ...secureOptions(this.#tls), noDelay: true })
    this.#sockets.release = securing(this.#tls, server, socket => arrived(socket, () => socket))
    return server
  }

  #adopt(
    events: StreamEvents,
    open: (onread: OnReadOpts) => Socket,
    opened?: 'connect' | 'secureConnect',
  ): TcpConnection {
    return this.#sockets.adopt(
      new TcpConnection(events, this.#clock, this.#readBuffer, open, opened),
    )
  }
}

const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }
