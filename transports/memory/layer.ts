/** One node's view of the simulated network: a StreamLayer whose addresses are `memory://<id>`. */
import { GcacheError } from '../../src/errors.js'
import type { StreamConnection, StreamEvents, StreamLayer } from '../stream/layer.js'

/** The network, as the layers see it. */
export interface Exchange {
  defer(task: () => void): void
  /** Rejects with ADDRESS_IN_USE. */
  enter(layer: MemoryLayer, accept: (connection: StreamConnection) => void): void
  leave(layer: MemoryLayer): void
  dial(layer: MemoryLayer, to: string, events: StreamEvents): StreamConnection
}

export class MemoryLayer implements StreamLayer {
  readonly scheme = 'memory'
  readonly detectsPeerLoss = true
  readonly node: string
  readonly #exchange: Exchange

  constructor(exchange: Exchange, node: string) {
    this.#exchange = exchange
    this.node = node
  }

  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    try {
      if (nodeOf(address) !== this.node)
        throw new GcacheError('ADDRESS_INVALID', `${address} is not memory://${this.node}`)
      this.#exchange.enter(this, accept)
      return Promise.resolve(address)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  dial(address: string, events: StreamEvents): StreamConnection {
    return this.#exchange.dial(this, nodeOf(address), events)
  }

  defer(task: () => void): void {
    this.#exchange.defer(task)
  }

  stop(): Promise<void> {
    this.#exchange.leave(this)
    return Promise.resolve()
  }
}

function nodeOf(address: string): string {
  const match = /^memory:\/\/([~A-Za-z0-9_-]+)$/.exec(address)
  if (match === null)
    throw new GcacheError(
      'ADDRESS_INVALID',
      `address ${JSON.stringify(address)} is not of the form memory://<id>`,
    )
  return match[1]
}
