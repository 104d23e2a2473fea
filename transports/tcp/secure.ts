/**
 * TLS over TCP: a dialled TLSSocket, and a listener whose connections count from the moment they
 * arrive, so that the limits on strangers hold while TLS is still being agreed on. Both give up a
 * handshake after handshakeTimeoutMs by the clock: node:tls waits 120 s, and by silence only.
 */
import type { OnReadOpts, Socket } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  createServer,
  type Server,
  type TLSSocket,
} from 'node:tls'
import type { Clock } from '../../src/contracts/environment.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import type { HostPort } from '../stream/address.js'
import type { Credentials } from '../stream/tls.js'
import { SecuredSocket, type Standpoint, tlsFailure } from '../stream/tls-identity.js'
import type { TcpConnection } from './connection.js'

export interface TlsWorld {
  readonly clock: Clock
  readonly self: PeerId
  readonly credentials: Credentials
}

/** Opens a connection through `adopt`, which makes it from a socket. */
export function dialSecurely(
  { clock, self, credentials }: TlsWorld,
  to: HostPort,
  adopt: (open: (onread: OnReadOpts) => Socket) => TcpConnection,
): TcpConnection {
  const { context, demand, handshakeTimeoutMs } = credentials
  const from: Standpoint = { self, dialled: true, demand, hostError: undefined }
  const options: ConnectionOptions = {
    ...to,
    secureContext: context,
    rejectUnauthorized: true,
    // The id decides for nodes, once it is known; the host is remembered for clients.
    checkServerIdentity: (host, certificate) => {
      from.hostError = checkServerIdentity(host, certificate)
      return undefined
    },
  }
  const connection = adopt(onread => connect({ ...options, ...{ onread } }))
  const socket = connection.socket as TLSSocket
  socket.setNoDelay(true)
  connection.secured = new SecuredSocket(socket, from)
  socket.once('connect', () => {
    const timer = clock.after(handshakeTimeoutMs, () =>
      connection.fail(tooLate(handshakeTimeoutMs)),
    )
    socket.once('secureConnect', () => timer.cancel())
    socket.once('close', () => timer.cancel())
  })
  return connection
}

/** A server that calls `arrived` for every socket; what that returns is secured later. */
export function secureServer(
  { clock, self, credentials }: TlsWorld,
  arrived: (socket: Socket) => TcpConnection | undefined,
): { server: Server; unfollow: () => void } {
  const { demand, handshakeTimeoutMs } = credentials
  const from: Standpoint = { self, dialled: false, demand, hostError: undefined }
  const server = createServer({
    ...credentials.contextOptions,
    noDelay: true,
    requestCert: demand !== 'none',
    // Where only nodes must show one, a hello has to say first who is a node.
    rejectUnauthorized: demand === 'all',
    handshakeTimeout: handshakeTimeoutMs,
  })
  const unfinished = new Map<string, { connection: TcpConnection; secured(): void }>()
  server.on('connection', (socket: Socket) => {
    const key = keyOf(socket)
    const connection = arrived(socket)
    if (connection === undefined || socket.destroyed) return
    const late = clock.after(handshakeTimeoutMs, () => connection.fail(tooLate(handshakeTimeoutMs)))
    const entry = { connection, secured: () => late.cancel() }
    unfinished.set(key, entry)
    socket.once('close', () => {
      late.cancel()
      if (unfinished.get(key) === entry) unfinished.delete(key)
    })
  })
  server.on('secureConnection', socket => {
    const key = keyOf(socket)
    const entry = unfinished.get(key)
    unfinished.delete(key)
    entry?.secured()
    if (entry === undefined || entry.connection.socket.destroyed)
      socket.on('error', () => {}).destroy()
    else entry.connection.secure(socket, new SecuredSocket(socket, from))
  })
  server.on('tlsClientError', (cause: NodeJS.ErrnoException, socket) => {
    const entry = unfinished.get(keyOf(socket))
    if (entry === undefined) socket.destroy()
    else entry.connection.fail(tlsFailure(cause) ?? cause)
  })
  const unfollow = credentials.follow(() => server.setSecureContext(credentials.contextOptions))
  return { server, unfollow }
}

/**
 * What a socket that arrived and the TLSSocket around it have in common and no other open one has:
 * node:tls does not tell which belongs to which.
 */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}

function tooLate(ms: number): GcacheError {
  return new GcacheError('TIMEOUT', `the TLS handshake took more than ${ms} ms`)
}
