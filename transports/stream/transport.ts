/**
 * A Transport from a StreamLayer: links by peer, frames to and from them, and the order in which
 * the handler hears of it. Meetings make the links; a link frames, queues and writes.
 */
import type {
  LinkLoss,
  SendResult,
  Transport,
  TransportCounts,
  TransportEnv,
  TransportHandler,
  TransportTraits,
} from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import { assert } from '../../src/core/assert.js'
import { GcacheError } from '../../src/errors.js'
import { FRAME_HEAD_BYTES } from '../../src/wire/frame.js'
import { OutBuffers } from './buffers.js'
import { Complaints } from './complaints.js'
import type { Handshake } from './handshake.js'
import { type Hello, isClient } from './hello.js'
import type { StreamConnection, StreamLayer } from './layer.js'
import {
  fitted,
  queueBytesMax,
  type StreamLimits,
  type StreamOptions,
  sendBytesMax,
  streamLimits,
} from './limits.js'
import { Link, type LinkOwner } from './link.js'
import { Meetings, type MeetingsOwner } from './meetings.js'
import { Pace } from './pace.js'
import { Unread } from './unread.js'

const ENDED = 'a link was ended for what came, or did not come, by it'

/** `layer` is the transport's own from here on. */
export function streamTransport(
  env: TransportEnv,
  layer: StreamLayer,
  options: StreamOptions = {},
): Transport {
  const limits = fitted(streamLimits(options, layer.scheme), env.valueBytesMax)
  return new StreamTransport(env, layer, limits)
}

class StreamTransport implements Transport, LinkOwner, MeetingsOwner {
  readonly name: string
  readonly traits: TransportTraits
  readonly buffers = new OutBuffers()
  address = ''
  readonly #env: TransportEnv
  readonly #layer: StreamLayer
  readonly #limits: StreamLimits
  readonly #meetings: Meetings
  readonly #pace: Pace
  readonly #unread: Unread<Link>
  readonly #complaints: Complaints
  #handler: TransportHandler | undefined
  #stopping: Promise<void> | undefined
  #sessions = 0
  #protocolErrors = 0
  #slowConsumers = 0
  readonly #links = new Map<PeerId, Link>()
  /** Links that were dialled by an alias, by the id that answered. */
  readonly #aliased = new Map<PeerId, Link>()
  #awake: Link[] = []
  /** What the handler must hear, but not from inside its own call (T8). */
  #notices: (() => void)[] = []

  constructor(env: TransportEnv, layer: StreamLayer, limits: StreamLimits) {
    this.#env = env
    this.#layer = layer
    this.#limits = limits
    this.#complaints = new Complaints(env.logger, env.clock)
    this.#meetings = new Meetings(this, env, layer, limits, this.#complaints)
    this.#pace = new Pace(env.clock, limits)
    this.#unread = new Unread(limits.clientQueuesBytesMax, (link, cause) =>
      this.lostLater(link, 'local', cause),
    )
    this.name = layer.scheme
    const frameBytesMax = sendBytesMax(limits, env.self)
    const queue = Math.max(
      limits.clientQueueBytesMax,
      isClient(env.self) ? 0 : limits.queueBytesMax,
    )
    this.traits = {
      topology: layer.topology ?? 'direct',
      detectsPeerLoss: layer.detectsPeerLoss,
      frameBytesMax,
      // A frame larger than the whole queue may be on its way, with a queue behind it.
      queueBytesMax: queue + (frameBytesMax < queue ? 0 : frameBytesMax + FRAME_HEAD_BYTES),
    }
  }

  async start(handler: TransportHandler): Promise<void> {
    assert(this.#handler === undefined, 'a transport starts once')
    this.#handler = handler
    const { listen } = this.#env
    if (listen === undefined || this.#stopping !== undefined) return
    this.address = await this.#layer.listen(listen, connection => this.#meetings.accept(connection))
  }

  connect(peer: PeerId, address: string): void {
    assert(this.#handler !== undefined, 'connect() comes after start()')
    if (this.#stopping !== undefined || this.#links.has(peer)) return
    try {
      this.#meetings.dial(peer, address)
    } catch (cause) {
      this.#later(() => this.notLinked(peer, 'unreachable', cause as Error))
    }
  }

  disconnect(peer: PeerId, cause?: Error): void {
    const link = this.#links.get(peer)
    if (link !== undefined) this.lostLater(link, 'local', cause)
    else if (this.#meetings.abandon(peer)) this.#later(() => this.notLinked(peer, 'local', cause))
  }

  send(peer: PeerId, frame: Uint8Array): SendResult {
    const { length } = frame
    const { frameBytesMax } = this.traits
    if (length === 0 || length > frameBytesMax)
      assert(false, `frame of ${length} bytes, frameBytesMax is ${frameBytesMax}`)
    const link = this.#links.get(peer)
    return link === undefined ? 'dropped' : link.send(frame)
  }

  flush(peer: PeerId): void {
    if (!this.#layer.gathers) this.#links.get(peer)?.flush()
  }

  hold(peer: PeerId, onHold: boolean): void {
    const link = this.#links.get(peer)
    if (link?.facts.pausesReading) link.hold(onHold)
  }

  /** Its own at any distance: a transport that is wrapped by its prototype counts as well. */
  readonly counts = (): TransportCounts => ({
    protocolErrors: this.#protocolErrors,
    preauthRefusals: this.#meetings.refused + (this.#layer.strays ?? 0),
    slowConsumers: this.#slowConsumers,
  })

  stop(): Promise<void> {
    if (this.#stopping !== undefined) return this.#stopping
    this.#notices = []
    this.#meetings.stop()
    this.#pace.stop()
    for (const link of this.#links.values()) {
      link.close()
      link.end().close()
    }
    this.#links.clear()
    this.#aliased.clear()
    this.#stopping = this.#layer.stop()
    return this.#stopping
  }

  // What links tell.

  wake(link: Link): void {
    link.awake = true
    if (this.#awake.push(link) === 1) this.#layer.defer(this.#settle)
  }

  frameArrived(link: Link, frame: Uint8Array): void {
    this.#handler?.onFrame(link.facts.peer, link.facts.session, frame)
  }

  becameWritable(link: Link): void {
    this.#handler?.onWritable(link.facts.peer, link.facts.session)
  }

  lost(link: Link, loss: LinkLoss, cause?: Error): void {
    const { host } = link
    const told = !link.over && loss === 'protocol' && this.#tellWhy(link, cause)
    if (!this.#remove(link, told)) return
    if (cause instanceof GcacheError) this.#complain(link, loss, cause, host)
    this.#tellDown(link, loss, cause)
  }

  lostLater(link: Link, loss: LinkLoss, cause?: Error): void {
    const { host } = link
    if (!this.#remove(link)) return
    if (cause instanceof GcacheError) this.#complain(link, loss, cause, host)
    this.#later(() => this.#tellDown(link, loss, cause))
  }

  count(link: Link): void {
    this.#unread.count(link)
  }

  watch(link: Link): void {
    this.#pace.watch(link)
  }

  // What meetings tell.

  get linkCount(): number {
    return this.#links.size
  }

  linkWith(remote: PeerId): Link | undefined {
    return this.#links.get(remote) ?? this.#aliased.get(remote)
  }

  linked(handshake: Handshake): void {
    // Downs that wait come before this up.
    this.#tellNotices()
    const hello = handshake.hello as Hello
    const old = this.linkWith(hello.from)
    if (old !== undefined) this.#remove(old)
    const link = this.#makeLink(handshake, hello)
    // The link is in its place before the handler hears of the old one: a redial then does nothing.
    if (old !== undefined) this.#tellDown(old, 'closed', new Error('a newer link took its place'))
    if (link.over || this.#stopping !== undefined) return
    link.announced = true
    const { peer, session, identity } = link.facts
    this.#handler?.onLinkUp(peer, session, identity)
  }

  notLinked(peer: PeerId, loss: LinkLoss, cause?: Error): void {
    if (this.#stopping === undefined) this.#handler?.onLinkDown(peer, 0, loss, cause)
  }

  #makeLink(handshake: Handshake, hello: Hello): Link {
    const { self } = this.#env
    const peer = handshake.peer as PeerId
    const connection = handshake.connection as StreamConnection
    handshake.decoder.frameBytesMax = sendBytesMax(this.#limits, hello.from)
    const link = new Link(this, connection, handshake.decoder, {
      peer,
      remote: hello.from,
      session: ++this.#sessions,
      identity: handshake.identity,
      life: hello.life,
      dial: hello.dial,
      sendBytesMax: Math.min(this.traits.frameBytesMax, hello.frameBytesMax),
      queueBytesMax: queueBytesMax(this.#limits, self, peer),
      pausesReading: isClient(hello.from),
    })
    this.#links.set(peer, link)
    if (peer !== hello.from) this.#aliased.set(hello.from, link)
    connection.opened?.()
    return link
  }

  /** True if it was there: the handler must then hear that it is down, once. */
  #remove(link: Link, told = false): boolean {
    if (link.over) return false
    const connection = link.end()
    if (told) connection.close()
    else connection.destroy()
    this.#unread.forget(link)
    this.#links.delete(link.facts.peer)
    if (link.facts.peer !== link.facts.remote) this.#aliased.delete(link.facts.remote)
    return true
  }

  /** True if last words are on their way. */
  #tellWhy(link: Link, cause: Error | undefined): boolean {
    if (!link.announced || !(cause instanceof GcacheError)) return false
    const words = this.#handler?.lastWords?.(cause)
    if (words !== undefined) link.close(words)
    return words !== undefined
  }

  /** It sent what it must not, or held something up: nobody else would say so. */
  #complain(link: Link, loss: LinkLoss, error: GcacheError, host: string | undefined): void {
    const { code, offset, message } = error
    const itsFault = loss === 'protocol' || code === 'SLOW_CONSUMER' || code === 'TIMEOUT'
    if (itsFault && link.facts.pausesReading) this.#meetings.blame(host)
    if (loss === 'protocol') this.#protocolErrors++
    else if (code === 'SLOW_CONSUMER') this.#slowConsumers++
    const place = offset === undefined ? {} : { offset }
    this.#complaints.warn({ peer: link.facts.peer, loss, code, ...place, reason: message }, ENDED)
  }

  #tellDown(link: Link, loss: LinkLoss, cause?: Error): void {
    if (!link.announced || this.#stopping !== undefined) return
    this.#handler?.onLinkDown(link.facts.peer, link.facts.session, loss, cause)
  }

  #later(notice: () => void): void {
    if (this.#notices.push(notice) === 1) this.#layer.defer(() => this.#tellNotices())
  }

  #tellNotices(): void {
    for (let notice = this.#notices.shift(); notice !== undefined; notice = this.#notices.shift())
      notice()
  }

  /** The turn's end. What the handler sends meanwhile waits for the next. */
  readonly #settle = (): void => {
    const awake = this.#awake
    this.#awake = []
    for (const link of awake) {
      link.awake = false
      link.settle()
    }
  }
}
