/**
 * A Transport over a Transport: nodes of two networks meet through one in the middle.
 *
 *   a ---- b ---- c     a: relay(tcp(), { via: { c: ['b'] } })
 *                       b: relay(tcp())
 *                       c: relay(tcp(), { via: { a: ['b'] } })
 *
 * Links with neighbours are those of the inner transport. A relayed link is a stream of its own
 * between its two ends, with hello and proofs end to end, so all laws hold for it as for TCP.
 */

import { LIMITS } from '../src/config.js'
import type { Identity } from '../src/contracts/authentication.js'
import type {
  LinkLoss,
  SendResult,
  Transport,
  TransportCounts,
  TransportEnv,
  TransportFactory,
  TransportHandler,
  TransportTraits,
} from '../src/contracts/transport.js'
import type { PeerId, Session } from '../src/contracts/types.js'
import { suggestion } from '../src/core/suggest.js'
import { GcacheError } from '../src/errors.js'
import { decodeEnvelope, escaped, unescaped } from './relay/envelope.js'
import { RelayLayer, type RelayRoutes } from './relay/layer.js'
import { Passage } from './relay/passage.js'
import { Posts } from './relay/posts.js'
import { isClient } from './stream/hello.js'
import { streamTransport } from './stream/transport.js'

export interface RelayOptions {
  /**
   * Nodes that are out of reach, and the neighbours to reach them through, best first. Both ends
   * must name each other: a peer is either a neighbour or relayed. Default: none, this node only
   * relays for others.
   */
  via?: Readonly<Record<PeerId, readonly PeerId[]>> | ((peer: PeerId) => readonly PeerId[])
  /** Relays that a link of ours may pass, 1 to 255; default 4. */
  hopsMax?: number
  /** How to wait for the end of a turn; only simulated time needs another than process.nextTick. */
  defer?: (task: () => void) => void
}

/**
 * `inner` for neighbours, and through them for the rest. A client is given `inner` alone. What ends
 * a relayed link says nothing of the peer, because each node and link on the way may be to blame:
 * its loss is `unreachable`, `closed` or `timeout`, never `reset` or `refused` by the medium.
 * CONFIG for options that are none.
 */
export function relay(inner: TransportFactory, options: RelayOptions = {}): TransportFactory {
  if (typeof inner !== 'function')
    throw new GcacheError('CONFIG', 'relay: takes what tcp() returns, such as relay(tcp())')
  const routes = routesOf(options)
  const factory = (env: TransportEnv): Transport =>
    isClient(env.self) ? inner(env) : new RelayTransport(inner, env, routes)
  const { encrypts = false, brokers, listens } = inner
  return Object.assign(factory, {
    encrypts,
    ...(brokers === undefined ? {} : { brokers }),
    ...(listens === undefined ? {} : { listens }),
  })
}

const NAMES = ['via', 'hopsMax', 'defer']

function routesOf(options: RelayOptions): RelayRoutes {
  if (typeof options !== 'object' || options === null)
    throw new GcacheError(
      'CONFIG',
      "relay: takes an object of options, such as { via: { c: ['b'] } }",
    )
  for (const name of Object.keys(options))
    if (!NAMES.includes(name))
      throw new GcacheError('CONFIG', `relay: unknown option ${name}: ${suggestion(name, NAMES)}`)
  const { via = {}, hopsMax = LIMITS.relayHopsMax, defer } = options
  if (defer !== undefined && typeof defer !== 'function')
    throw new GcacheError('CONFIG', 'relay: option defer must be a function')
  if (!Number.isInteger(hopsMax) || hopsMax < 1 || hopsMax > 255)
    throw new GcacheError('CONFIG', 'relay: option hopsMax must be a whole number within 1..255')
  if (typeof via !== 'function') checkVia(via)
  return {
    via: typeof via === 'function' ? via : peer => (Object.hasOwn(via, peer) ? via[peer] : []),
    hopsMax,
    defer: defer ?? process.nextTick,
  }
}

function checkVia(via: unknown): void {
  const isObject = typeof via === 'object' && via !== null
  const lists = isObject ? Object.values(via) : []
  const isList = (list: unknown) =>
    Array.isArray(list) && list.length > 0 && list.every(id => typeof id === 'string')
  if (isObject && lists.every(isList)) return
  throw new GcacheError('CONFIG', "relay: option via names relays in lists: { c: ['b'] }")
}

class RelayTransport implements Transport, TransportHandler {
  readonly name: string
  readonly traits: TransportTraits
  readonly #routes: RelayRoutes
  readonly #inner: Transport
  readonly #relayed: Transport
  readonly #posts: Posts
  readonly #passage: Passage
  readonly #layer: RelayLayer
  readonly #self: PeerId
  #handler: TransportHandler | undefined
  #stopping: Promise<void> | undefined

  constructor(inner: TransportFactory, env: TransportEnv, routes: RelayRoutes) {
    this.#self = env.self
    this.#routes = routes
    const admits = (relayed: boolean) => (peer: PeerId) =>
      this.#isRelayed(peer) === relayed ? env.admit?.(peer) : wrongWay(env.self, peer, relayed)
    this.#inner = inner({ ...env, admit: admits(false) })
    this.#posts = new Posts(this.#inner)
    this.#passage = new Passage(this.#posts, routes.via)
    this.#layer = new RelayLayer(env, this.#posts, routes)
    const { name, traits } = this.#inner
    const { frameBytesMax } = traits
    const own = { ...env, listen: `relay://${env.self}`, admit: admits(true) }
    this.#relayed = streamTransport(own, this.#layer, { frameBytesMax })
    this.name = `relay over ${name}`
    this.traits = {
      topology: 'relayed',
      detectsPeerLoss: false,
      frameBytesMax,
      queueBytesMax: Math.max(traits.queueBytesMax, this.#relayed.traits.queueBytesMax),
    }
  }

  get address(): string {
    return this.#inner.address
  }

  async start(handler: TransportHandler): Promise<void> {
    this.#handler = handler
    await Promise.all([this.#relayed.start(handler), this.#inner.start(this)])
  }

  connect(peer: PeerId, address: string): void {
    if (this.#isRelayed(peer)) this.#relayed.connect(peer, `relay://${peer}`)
    else this.#inner.connect(peer, address)
  }

  disconnect(peer: PeerId, cause?: Error): void {
    this.#to(peer).disconnect(peer, cause)
  }

  send(peer: PeerId, frame: Uint8Array): SendResult {
    if (this.#isRelayed(peer)) return this.#relayed.send(peer, frame)
    if (isClient(peer)) return this.#inner.send(peer, frame)
    return this.#inner.send(peer, escaped(frame))
  }

  flush(peer: PeerId): void {
    this.#to(peer).flush?.(peer)
  }

  hold(peer: PeerId, onHold: boolean): void {
    this.#to(peer).hold?.(peer, onHold)
  }

  readonly counts = (): TransportCounts => {
    const [inner, relayed] = [this.#inner.counts?.(), this.#relayed.counts?.()]
    const sum = (name: keyof TransportCounts) => (inner?.[name] ?? 0) + (relayed?.[name] ?? 0)
    return {
      protocolErrors: sum('protocolErrors'),
      preauthRefusals: sum('preauthRefusals'),
      slowConsumers: sum('slowConsumers'),
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#relayed.stop().then(() => this.#inner.stop())
    return this.#stopping
  }

  // What the inner transport tells.

  onLinkUp(peer: PeerId, session: Session, identity?: Identity): void {
    if (this.#stopping !== undefined) return
    if (!isClient(peer)) this.#posts.onUp(peer)
    this.#handler?.onLinkUp(peer, session, identity)
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void {
    if (this.#stopping !== undefined) return
    if (session !== 0 && this.#posts.isLinked(peer)) {
      this.#posts.onDown(peer)
      this.#layer.onDown(peer)
      this.#passage.onDown(peer)
    }
    this.#handler?.onLinkDown(peer, session, loss, cause)
  }

  onFrame(peer: PeerId, session: Session, frame: Uint8Array): void {
    if (this.#stopping !== undefined) return
    const own = isClient(peer) ? frame : unescaped(frame)
    if (own !== undefined) {
      this.#handler?.onFrame(peer, session, own)
      return
    }
    const { circuit, message } = decodeEnvelope(frame)
    const mine = circuit.acceptor === this.#self || circuit.dialler === this.#self
    if (mine) this.#layer.onMessage(peer, circuit, message)
    else this.#passage.onMessage(peer, circuit, message)
  }

  onWritable(peer: PeerId, session: Session): void {
    if (this.#stopping !== undefined) return
    this.#posts.onWritable(peer)
    this.#layer.onWritable(peer)
    this.#handler?.onWritable(peer, session)
  }

  lastWords(cause: GcacheError): Uint8Array | undefined {
    return this.#handler?.lastWords?.(cause)
  }

  #isRelayed(peer: PeerId): boolean {
    return this.#routes.via(peer).length > 0
  }

  #to(peer: PeerId): Transport {
    return this.#isRelayed(peer) ? this.#relayed : this.#inner
  }
}

function wrongWay(self: PeerId, peer: PeerId, relayed: boolean): string {
  return relayed
    ? `${self} reaches ${peer} directly: name it in option via of relay() there, or nowhere`
    : `${self} reaches ${peer} by relay alone: name ${self} in option via of relay() there`
}
