/**
 * The sockets of a layer over node:net, dialled and arrived: how many there may be, the server that
 * they arrive at, and how all of it ends.
 */
import type { Server, Socket } from 'node:net'
import { assert } from '../../src/core/assert.js'
import { GcacheError } from '../../src/errors.js'
import { arrivingMax } from './descriptors.js'
import { listenError } from './sockets.js'

/** A connection over a socket. */
export interface OnSocket {
  readonly socket: Socket
  /** It ends by itself, in bounded time. */
  readonly closing: boolean
  destroy(): void
}

export class OpenSockets<C extends OnSocket> {
  /** Ends what outlives the connections: listeners, followed certificates. */
  release: (() => void) | undefined
  readonly #connections = new Set<C>()
  #connectionsMax = Number.POSITIVE_INFINITY
  #server: Server | undefined
  #listening: Promise<unknown> | undefined
  #stopped = false
  #onEmpty: (() => void) | undefined

  /** What stop() waits for as well. */
  begin(listening: Promise<string>): Promise<string> {
    this.#listening = listening
    return listening
  }

  /** From here on no more connections than the process has descriptors for. */
  limit(): void {
    this.#connectionsMax = arrivingMax()
  }

  /** Resolves with the port. ADDRESS_IN_USE, ADDRESS_INVALID for `address`; CLOSED if it was
   *  stopped before. `server` is its own from here on. */
  listen(server: Server, at: { host: string; port: number }, address: string): Promise<number> {
    this.limit()
    this.#server = server
    return new Promise((resolve, reject) => {
      // Later errors, running out of descriptors say, cost an arriving connection, not the server.
      server.on('error', cause => reject(listenError(address, cause)))
      server.listen({ host: at.host, port: at.port }, () => {
        if (this.#stopped) {
          server.close(() => reject(new GcacheError('CLOSED', 'stopped before it listened')))
          return
        }
        const bound = server.address()
        assert(typeof bound === 'object' && bound !== null, 'a listening server has an address')
        resolve(bound.port)
      })
    })
  }

  /** False: `socket` is one too many, or comes too late, and is gone. */
  admits(socket: Socket): boolean {
    if (!this.#stopped && this.#connections.size < this.#connectionsMax) return true
    socket.on('error', () => {}).destroy()
    return false
  }

  /** Counts `connection` until its socket is closed. */
  adopt(connection: C): C {
    this.#connections.add(connection)
    connection.socket.once('close', () => {
      this.#connections.delete(connection)
      if (this.#connections.size === 0) this.#onEmpty?.()
    })
    return connection
  }

  /** Resolves when no socket is open any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.release?.()
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
}
