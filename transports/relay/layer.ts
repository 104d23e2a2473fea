/** Relayed connections as a StreamLayer: what ends here, of the circuits that neighbours know. */
import { LIMITS } from '../../src/config.js'
import type { TransportEnv } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import type { StreamConnection, StreamEvents, StreamLayer } from '../stream/layer.js'
import { RelayConnection } from './connection.js'
import { type Circuit, keyOf, type Message } from './envelope.js'
import type { Posts } from './posts.js'

export interface RelayRoutes {
  /** The relays to `peer`, best first; empty: it is reached directly. */
  via(peer: PeerId): readonly PeerId[]
  readonly hopsMax: number
  readonly defer: (task: () => void) => void
}

const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }

export class RelayLayer implements StreamLayer {
  readonly scheme = 'relay'
  readonly detectsPeerLoss = false
  readonly defer: (task: () => void) => void
  readonly #env: TransportEnv
  readonly #posts: Posts
  readonly #routes: RelayRoutes
  readonly #connections = new Map<string, RelayConnection>()
  #accept: ((connection: StreamConnection) => void) | undefined
  #number: number

  constructor(env: TransportEnv, posts: Posts, routes: RelayRoutes) {
    this.#env = env
    this.#posts = posts
    this.#routes = routes
    this.defer = routes.defer
    // Not that of an earlier life, of which relays may still know.
    this.#number = Math.floor(env.random.next() * 2 ** 32)
  }

  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    this.#accept = accept
    return Promise.resolve(address)
  }

  dial(address: string, events: StreamEvents): StreamConnection {
    const acceptor = address.slice('relay://'.length)
    this.#number = (this.#number + 1) % 2 ** 32
    const circuit = { dialler: this.#env.self, acceptor, number: this.#number }
    const via = this.#routes.via(acceptor)
    const neighbour = via.find(peer => this.#posts.isLinked(peer))
    if (neighbour === undefined)
      throw new GcacheError('UNREACHABLE', `no relay to ${acceptor} is linked: ${via.join(', ')}`)
    const connection = this.#adopt(events, circuit, neighbour)
    this.#posts.say(neighbour, circuit, { kind: 'open', hops: this.#routes.hopsMax })
    return connection
  }

  onMessage(from: PeerId, circuit: Circuit, message: Message): void {
    const connection = this.#connections.get(keyOf(circuit))
    if (message.kind === 'open') this.#arrived(from, circuit, connection !== undefined)
    // Anybody else's word about it counts for nothing.
    else if (connection?.neighbour === from) connection.onMessage(message)
  }

  onWritable(neighbour: PeerId): void {
    for (const connection of this.#through(neighbour)) connection.advance()
  }

  onDown(neighbour: PeerId): void {
    const cause = new GcacheError('UNREACHABLE', `the relay ${neighbour} is gone`)
    for (const connection of this.#through(neighbour)) connection.end('unreachable', cause)
  }

  stop(): Promise<void> {
    this.#accept = undefined
    for (const connection of [...this.#connections.values()]) {
      connection.pump(Number.POSITIVE_INFINITY)
      connection.destroy()
    }
    return Promise.resolve()
  }

  #arrived(from: PeerId, circuit: Circuit, isKnown: boolean): void {
    const isFull = this.#connections.size >= LIMITS.relayCircuitsMax
    const mine = circuit.acceptor === this.#env.self && this.#accept !== undefined
    if (!mine || isKnown || isFull) {
      const reason = isFull ? 'too many circuits' : mine ? 'known already' : 'a loop'
      this.#posts.say(from, circuit, { kind: 'broken', reason })
      return
    }
    const connection = this.#adopt(SILENT, circuit, from)
    this.#posts.say(from, circuit, { kind: 'opened' })
    this.#accept?.(connection)
  }

  #through(neighbour: PeerId): RelayConnection[] {
    return [...this.#connections.values()].filter(each => each.neighbour === neighbour)
  }

  #adopt(events: StreamEvents, circuit: Circuit, neighbour: PeerId): RelayConnection {
    const connection = new RelayConnection(events, circuit, neighbour, {
      posts: this.#posts,
      clock: this.#env.clock,
      ended: each => this.#connections.delete(keyOf(each.circuit)),
    })
    this.#connections.set(keyOf(circuit), connection)
    return connection
  }
}
