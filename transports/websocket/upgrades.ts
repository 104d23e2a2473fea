/**
 * Requests that want to become WebSockets: which are ours, which are turned away, and how to stand
 * beside other users of one HTTP server. Only the path decides whose an upgrade is.
 */
import { type IncomingMessage, type Server, ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GcacheError } from '../../src/errors.js'
import { pathOf } from './address.js'

/** Of the request that asks for an upgrade, SECURITY 13. */
export const HEADER_BYTES_MAX = 8_192

export type OnUpgrade = (request: IncomingMessage, socket: Socket, head: Buffer) => void

/** What is turned away, by its status. */
export interface Refused {
  readonly status: number
  readonly cause: GcacheError
}

/** Undefined: the upgrade may go on. A browser names its page's origin, other programs none. */
export function refusalOf(
  { url = '', headers, rawHeaders }: IncomingMessage,
  path: string,
  origins: readonly string[],
): Refused | undefined {
  const no = (status: number, text: string) => {
    return { status, cause: new GcacheError('REFUSED', text) }
  }
  if (rawHeaders.reduce((sum, text) => sum + text.length + 2, url.length) > HEADER_BYTES_MAX)
    return no(431, `a request of more than ${HEADER_BYTES_MAX} bytes`)
  if (pathOf(url) !== path) return no(404, `no WebSocket at ${JSON.stringify(url.slice(0, 80))}`)
  const { origin } = headers
  if (origin !== undefined && !origins.includes(origin))
    return no(403, `origin ${JSON.stringify(origin.slice(0, 80))} is not among option origins`)
  return undefined
}

/** A whole response, after which the connection ends. */
export function response(status: number, text: string, ...headers: string[]): string {
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain',
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...headers,
    '',
    text,
  ].join('\r\n')
}

/** Servers of applications, and whose paths on them are ours. */
const ATTACHED = new WeakMap<Server, Attached>()

/**
 * From now on upgrades of `server` at `path` are given to `onUpgrade`; all else is served as
 * before. Returns what ends that. ADDRESS_IN_USE if the path is taken.
 */
export function attach(server: Server, path: string, onUpgrade: OnUpgrade): () => void {
  const attached = ATTACHED.get(server) ?? new Attached(server)
  ATTACHED.set(server, attached)
  return attached.add(path, onUpgrade)
}

/** One listener for all paths: so it can tell whether anybody else listens. */
class Attached {
  readonly #server: Server
  readonly #paths = new Map<string, OnUpgrade>()

  constructor(server: Server) {
    this.#server = server
  }

  add(path: string, onUpgrade: OnUpgrade): () => void {
    if (this.#paths.has(path))
      throw new GcacheError('ADDRESS_IN_USE', `path ${path} of this server is in use`)
    if (this.#paths.size === 0) this.#server.on('upgrade', this.#listener)
    this.#paths.set(path, onUpgrade)
    return () => {
      this.#paths.delete(path)
      if (this.#paths.size === 0) this.#server.off('upgrade', this.#listener)
    }
  }

  readonly #listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const ours = this.#paths.get(pathOf(request.url ?? ''))
    if (ours !== undefined) ours(request, socket as Socket, head)
    else if (this.#server.listenerCount('upgrade') === 1) this.#serve(request, socket as Socket)
  }

  /** Without our listener node:http would have taken it for an ordinary request. */
  #serve(request: IncomingMessage, socket: Socket): void {
    const answer = new ServerResponse(request)
    answer.shouldKeepAlive = false
    socket.on('error', () => socket.destroy())
    answer.assignSocket(socket)
    answer.once('finish', () => {
      answer.detachSocket(socket)
      socket.destroySoon()
    })
    this.#server.emit('request', request, answer)
  }
}
