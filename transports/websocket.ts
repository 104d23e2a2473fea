/**
 * WebSockets, for where only HTTP passes: a StreamLayer over ws. Addresses: `ws://host:port/path`,
 * `wss://...`; a node listens at a port of its own, or as a part of the application's server.
 * Everything above bytes stands in stream/.
 */
import { createServer, type Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { TLSSocket, Server as TlsServer } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'
import type { Transport, TransportEnv, TransportFactory } from '../src/contracts/transport.js'
import { GcacheError } from '../src/errors.js'
import type { StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
import { OpenSockets } from './stream/open-sockets.js'
import { dialSecurely, secureOptions, securing, type TlsWorld } from './stream/secure.js'
import { lookupOnce } from './stream/sockets.js'
import { Credentials } from './stream/tls.js'
import { SecuredSocket } from './stream/tls-identity.js'
import { streamTransport } from './stream/transport.js'
import { formatWebAddress, parseWebAddress, type WebAddress } from './websocket/address.js'
import { MESSAGE_BYTES_MAX, type Speakers, WebSocketConnection } from './websocket/connection.js'
import { settingsOf, type WebSocketOptions, type WebSocketSettings } from './websocket/options.js'
import {
  attach,
  HEADER_BYTES_MAX,
  type OnUpgrade,
  refusalOf,
  response,
} from './websocket/upgrades.js'

export type { WebSocketOptions } from './websocket/options.js'

/** `transport: websocket()`. Throws CONFIG for an option that is unknown or out of range. */
export function websocket(options: WebSocketOptions = {}): TransportFactory {
  const settings = settingsOf(options)
  const { credentials, server, limits } = settings
  const factory = (env: TransportEnv): Transport => {
    if (env.listen !== undefined && server === undefined) credentials?.assertListens()
    return streamTransport(env, new WebSocketLayer(env, settings), limits)
  }
  const encrypts = server === undefined ? credentials !== undefined : server instanceof TlsServer
  const listens = server === undefined ? undefined : () => boundAddress(server)
  return Object.assign(factory, { encrypts, ...(listens === undefined ? {} : { listens }) })
}

/** Where `server` is bound; undefined for one that is not, or not to a network. */
function boundAddress(server: Server): string | undefined {
  const bound = server.address()
  if (typeof bound !== 'object' || bound === null) return undefined
  return formatWebAddress({ scheme: 'ws', host: bound.address, port: bound.port, path: '/' })
}

/** SECURITY 13. No message is larger than what a link writes at once. */
const RECEIVING = {
  perMessageDeflate: false,
  maxPayload: MESSAGE_BYTES_MAX,
  maxFragments: 64,
  maxBufferedChunks: 1_024,
  skipUTF8Validation: true,
}
const NO_UPGRADE = 'Gcache is here, for WebSockets only\n'
const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }

export class WebSocketLayer implements StreamLayer {
  readonly scheme: 'ws' | 'wss'
  readonly detectsPeerLoss = true
  readonly #env: Pick<TransportEnv, 'clock' | 'self'>
  readonly #settings: WebSocketSettings
  readonly #upgrader = new WebSocketServer({ noServer: true, clientTracking: false, ...RECEIVING })
  readonly #sockets = new OpenSockets<WebSocketConnection>()
  readonly #speakers: Speakers = new WeakMap()

  constructor(env: Pick<TransportEnv, 'clock' | 'self'>, settings = settingsOf({})) {
    this.#env = env
    this.#settings = settings
    this.scheme = settings.credentials === undefined ? 'ws' : 'wss'
  }

  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    const { server } = this.#settings
    return this.#sockets.begin(
      server === undefined ? this.#listen(address, accept) : this.#join(server, address, accept),
    )
  }

  dial(address: string, events: StreamEvents): StreamConnection {
    const to = parseWebAddress(address)
    if (to.port === 0) throw new GcacheError('ADDRESS_INVALID', 'port 0 cannot be dialled')
    const { clock, self } = this.#env
    const { credentials, proxyEndsTls } = this.#settings
    const adopt = (open: () => Socket): WebSocketConnection => this.#adopt(events, open())
    if (to.scheme === 'wss') {
      const world = { clock, self, credentials: credentials ?? new Credentials({}), proxyEndsTls }
      return this.#ask(to, dialSecurely(world, to, adopt))
    }
    if (credentials !== undefined)
      throw new GcacheError(
        'ADDRESS_INVALID',
        `${address} is not encrypted, tls is given: use wss:`,
      )
    return this.#ask(
      to,
      adopt(() => connect({ host: to.host, port: to.port, noDelay: true, lookup: lookupOnce })),
    )
  }

  defer(task: () => void): void {
    process.nextTick(task)
  }

  stop(): Promise<void> {
    return this.#sockets.stop()
  }

  /** Asks the other side for a WebSocket over what was dialled. */
  #ask(to: WebAddress, connection: WebSocketConnection): WebSocketConnection {
    const { socket } = connection
    const options = { ...RECEIVING, createConnection: () => socket } as object
    connection.dialled(new WebSocket(formatWebAddress(to), options))
    return connection
  }

  /** A port of its own. */
  async #listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    const at = this.#served(address)
    const server = this.#serverFor(this.#onUpgrade(at), socket => this.#arrived(socket, accept))
    return formatWebAddress({ ...at, port: await this.#sockets.listen(server, at, address) })
  }

  /** A part of the application's server. */
  async #join(
    server: Server,
    address: string,
    accept: (connection: StreamConnection) => void,
  ): Promise<string> {
    const at = this.#served(address)
    if (!server.listening)
      throw new GcacheError(
        'ADDRESS_INVALID',
        `${address}: option server does not listen yet: wait for that, then start the node`,
      )
    const onUpgrade = this.#onUpgrade(at)
    this.#sockets.limit()
    this.#sockets.release = attach(server, at.path, (request, socket, head) => {
      const connection = this.#arrived(socket, accept)
      if (connection === undefined) return
      if (socket instanceof TLSSocket) connection.secured = this.#securedBy(socket)
      onUpgrade(request, socket, head)
    })
    const bound = server.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : at.port
    return formatWebAddress({ ...at, port: at.port === 0 ? port : at.port })
  }

  /** The address to listen at, if tls and it agree. */
  #served(address: string): WebAddress {
    const at = parseWebAddress(address)
    const { credentials, server, path = at.path } = this.#settings
    const encrypts = server === undefined ? credentials !== undefined : server instanceof TlsServer
    if (encrypts !== (at.scheme === 'wss') && server === undefined)
      throw new GcacheError(
        'ADDRESS_INVALID',
        encrypts
          ? `${address} is not encrypted, tls is given: use wss:`
          : `${address} is to be encrypted: give tls, with cert and key`,
      )
    return { ...at, path }
  }

  #serverFor(onUpgrade: OnUpgrade, arrived: (socket: Socket) => WebSocketConnection | undefined) {
    const { credentials } = this.#settings
    const limits = { maxHeaderSize: HEADER_BYTES_MAX, noDelay: true, keepAlive: false }
    const world: TlsWorld | undefined = credentials && { ...this.#env, credentials }
    const server =
      world === undefined
        ? createServer(limits)
        : createSecureServer({ ...limits, ...secureOptions(world) })
    if (world === undefined) server.on('connection', arrived)
    else this.#sockets.release = securing(world, server as TlsServer & Server, arrived)
    server.on('request', (_, answer) => {
      const headers = { Connection: 'close', Upgrade: 'websocket', 'Content-Type': 'text/plain' }
      answer.writeHead(426, headers).end(NO_UPGRADE)
    })
    server.on('upgrade', (request, socket, head) => onUpgrade(request, socket as Socket, head))
    return server
  }

  #arrived(
    socket: Socket,
    accept: (connection: StreamConnection) => void,
  ): WebSocketConnection | undefined {
    if (!this.#sockets.admits(socket)) return undefined
    const connection = this.#adopt(SILENT, socket)
    accept(connection)
    return connection
  }

  #onUpgrade(at: WebAddress): OnUpgrade {
    return (request, socket, head) => {
      const connection = this.#speakers.get(socket)
      if (connection === undefined || socket.destroyed) {
        socket.destroy()
        return
      }
      const refused = refusalOf(request, at.path, this.#settings.origins)
      if (refused !== undefined) {
        connection.answer(response(refused.status, `${refused.cause.message}\n`), refused.cause)
        return
      }
      this.#upgrader.handleUpgrade(request, socket, head, web => connection.speak(web))
    }
  }

  #securedBy(socket: TLSSocket): SecuredSocket {
    const { self } = this.#env
    const demand = this.#settings.credentials?.demand ?? 'none'
    return new SecuredSocket(socket, { self, dialled: false, demand, hostError: undefined })
  }

  #adopt(events: StreamEvents, socket: Socket): WebSocketConnection {
    const { clock } = this.#env
    return this.#sockets.adopt(new WebSocketConnection(events, clock, socket, this.#speakers))
  }
}
