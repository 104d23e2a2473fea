/**
 * TLS over sockets: a dialled TLSSocket, and a listener whose connections count from the moment
 * they arrive, so that the limits on strangers hold while TLS is still being agreed on. Both give
 * up a handshake after handshakeTimeoutMs by the clock: node:tls waits 120 s, and by silence only.
 */
import type { Socket } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  type Server,
  type TLSSocket,
  type TlsOptions,
} from 'node:tls'
import type { Clock } from '../../src/contracts/environment.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import type { HostPort } from './address.js'
import type { Secured } from './layer.js'
import { lookupOnce } from './sockets.js'
import type { Credentials } from './tls.js'
import { SecuredSocket, type Standpoint, tlsFailure } from './tls-identity.js'

export interface TlsWorld {
  readonly clock: Clock
  readonly self: PeerId
  readonly credentials: Credentials
  /** TLS ends before the node: only the host's name counts, and nothing is bound to it. */
  readonly proxyEndsTls?: boolean
}

/** A medium's connection, as far as TLS goes. */
export interface Securable {
  /** What it was opened with. */
  readonly socket: Socket
  secured: Secured | undefined
  /** An accepted connection speaks through `socket` from here on, which wraps its own. */
  secure(socket: TLSSocket, secured: Secured): void
  /** It could not be opened: as if its socket had failed so. */
  fail(cause: Error): void
}

/** Opens a connection through `adopt`, which makes it from what `open` returns. */
export function dialSecurely<C extends Securable>(
  { clock, self, credentials, proxyEndsTls = false }: TlsWorld,
  { host, port }: HostPort,
  adopt: (open: (more?: object) => TLSSocket) => C,
): C {
  const { context, demand, handshakeTimeoutMs } = credentials
  const from: Standpoint = { self, dialled: true, demand, hostError: undefined }
  const options: ConnectionOptions = {
    host,
    port,
    secureContext: context,
    rejectUnauthorized: true,
    // The id decides for nodes, once it is known; the host is remembered for clients.
    checkServerIdentity: (host, certificate) => {
      from.hostError = checkServerIdentity(host, certificate)
      return proxyEndsTls ? from.hostError : undefined
    },
  }
  const connection = adopt(more => connect({ ...options, ...more, lookup: lookupOnce }))
  const socket = connection.socket as TLSSocket
  socket.setNoDelay(true)
  if (!proxyEndsTls) connection.secured = new SecuredSocket(socket, from)
  socket.once('connect', () => {
    const timer = clock.after(handshakeTimeoutMs, () =>
      connection.fail(tooLate(handshakeTimeoutMs)),
    )
    socket.once('secureConnect', () => timer.cancel())
    socket.once('close', () => timer.cancel())
  })
  return connection
}

/** What a server of node:tls, or one above it, is made with. */
export function secureOptions({ credentials }: TlsWorld): TlsOptions {
  const { demand, handshakeTimeoutMs } = credentials
  return {
    ...credentials.contextOptions,
    requestCert: demand !== 'none',
    // Where only nodes must show one, a hello has to say first who is a node.
    rejectUnauthorized: demand === 'all',
    handshakeTimeout: handshakeTimeoutMs,
  }
}

/**
 * Calls `arrived` for every socket that reaches `server`, made with secureOptions(); what that
 * returns is secured later. Returns what ends following exchanged certificates.
 */
export function securing(
  { clock, self, credentials }: TlsWorld,
  server: Server,
  arrived: (socket: Socket) => Securable | undefined,
): () => void {
  const { demand, handshakeTimeoutMs } = credentials
  const from: Standpoint = { self, dialled: false, demand, hostError: undefined }
  const unfinished = new Map<string, { connection: Securable; secured(): void }>()
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
    // openssl's note of a signature that does not verify, left behind, would fail the next read
    // before any reason can be told; asking for a certificate clears it (Node 20).
    if (!socket.authorized) socket.getPeerX509Certificate()
    if (entry === undefined || entry.connection.socket.destroyed)
      socket.on('error', () => {}).destroy()
    else entry.connection.secure(socket, new SecuredSocket(socket, from))
  })
  // Before whoever destroys the socket: a destroyed one has no addresses.
  server.prependListener('tlsClientError', (cause: NodeJS.ErrnoException, socket) => {
    const entry = unfinished.get(keyOf(socket))
    if (entry === undefined) socket.destroy()
    else entry.connection.fail(tlsFailure(cause) ?? cause)
  })
  return credentials.follow(() => server.setSecureContext(credentials.contextOptions))
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
