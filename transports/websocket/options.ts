/** What websocket() may be told, judged. */
import type { Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { TlsCredentials, TlsOptions } from '../../src/contracts/tls.js'
import { GcacheError } from '../../src/errors.js'
import { type StreamLimits, type StreamOptions, streamLimits } from '../stream/limits.js'
import { type Credentials, credentialsOf } from '../stream/tls.js'

export interface WebSocketOptions extends StreamOptions {
  /** For wss://. A node's own port needs it, with a certificate; a client trusts as Node.js does
   *  without it. */
  tls?: TlsOptions | TlsCredentials
  /** Listen as a part of this server, which is the application's: it listens before the node
   *  starts, and stop() leaves it open. Default: a port of its own, that of the address. */
  server?: Server | SecureServer
  /** Where WebSockets are served, such as '/gcache'. Default: the path of the address. */
  path?: string
  /** Web pages that may connect, such as 'https://shop.example'. Default: none. */
  origins?: readonly string[]
  /** For a client whose TLS ends at a proxy, not at the node: its certificate must be that of the
   *  host, and proofs are not bound to the connection. */
  proxyEndsTls?: boolean
}

export interface WebSocketSettings {
  readonly limits: StreamLimits
  readonly credentials: Credentials | undefined
  readonly server: Server | SecureServer | undefined
  readonly path: string | undefined
  readonly origins: readonly string[]
  readonly proxyEndsTls: boolean
}

const OTHERS = ['tls', 'server', 'path', 'origins', 'proxyEndsTls']

/** CONFIG for an option that is unknown or out of range. */
export function settingsOf(options: WebSocketOptions): WebSocketSettings {
  const limits = streamLimits(options, 'websocket', OTHERS)
  const { server, path, origins = [], proxyEndsTls = false } = options
  if (server !== undefined && typeof (server as { listening?: unknown }).listening !== 'boolean')
    throw refusal('option server must be a server of node:http or node:https')
  if (path !== undefined && !/^\/[\x21-\x7e]*$/.test(String(path)))
    throw refusal('option path must begin with /, such as /gcache')
  if (!Array.isArray(origins) || origins.some(origin => typeof origin !== 'string'))
    throw refusal("option origins must be a list such as ['https://shop.example']")
  if (typeof proxyEndsTls !== 'boolean') throw refusal('option proxyEndsTls must be true or false')
  const credentials = credentialsOf(options.tls, 'websocket: option tls')
  return { limits, credentials, server, path, origins, proxyEndsTls }
}

function refusal(text: string): GcacheError {
  return new GcacheError('CONFIG', `websocket: ${text}`)
}
