/**
 * Follows the master: hears the views of all linked nodes, and sends the calls to the one of the
 * highest epoch that says of itself that it serves. What a node says of another only tells where to
 * look.
 */
import { LIMITS } from '../config.js'
import type { Clock, Logger, Random } from '../contracts/environment.js'
import type { GroupTable } from '../contracts/strategy.js'
import type { LinkLoss, Transport, TransportHandler } from '../contracts/transport.js'
import type { PeerId, Session } from '../contracts/types.js'
import { errorCode, GcacheError } from '../errors.js'
import { decodeControl, encodeControl, encodeLinkEnd } from '../wire/control.js'
import { FRAME } from '../wire/requests.js'
import { AdminAsks } from './admin.js'
import type { Calls } from './calls.js'
import type { GroupedCalls, Owner } from './grouped-calls.js'
import { ClientLinks, type ServerLink, type View } from './links.js'
import { type Moves, OwnerMoves } from './owner-moves.js'
import { StatusAsks } from './status.js'

/** Calls go to another node. With partitions: one for each pair of nodes between which some went,
 *  and one without `groups` for group 0, which holds no keys. */
export interface Failover extends Moves {
  /** With `groups`: the number of the table that says so. */
  readonly epoch: number
}

export interface LinkChange {
  readonly address: string
  readonly node: PeerId | undefined
  readonly up: boolean
  /** Why it is down. */
  readonly reason: string | undefined
}

export interface RoutingEnv {
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly calls: Calls
  /** Made once, when a node says a table of groups: from then on keys are asked for by it. */
  makeGroups(table: GroupTable): GroupedCalls
  onRoute(): void
  onLink(change: LinkChange): void
  onFailover(failover: Failover): void
}

/** Unanswered calls become evidence for the other nodes (PROTOCOL 7). */
const HINT_AFTER_MS = 400
const HINT_EVERY_MS = 200
/** A master of a lower epoch than one we followed is believed only after this: it may be a deposed
 *  one that does not know yet. */
const LOWER_EPOCH_AFTER_MS = 1_000

export class Routing implements TransportHandler {
  readonly links: ClientLinks
  readonly asks: StatusAsks
  readonly admin: AdminAsks
  readonly lastWords = encodeLinkEnd
  readonly #env: RoutingEnv
  readonly #moves = new OwnerMoves()
  #groups: GroupedCalls | undefined
  #routed: ServerLink | undefined
  /** Where every node serves, one that did not answer: any other is better. */
  #silent: ServerLink | undefined
  #master: { node: PeerId; epoch: number } | undefined
  #local: PeerId | undefined
  #highest = 0
  #lostAt = 0
  #hintAt = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(env: RoutingEnv) {
    this.#env = env
    this.links = new ClientLinks(env)
    this.asks = new StatusAsks(env, this.links)
    const { clock, transport } = env
    this.admin = new AdminAsks({
      clock,
      send: (peer, frame) => transport.send(peer, frame),
      flush: peer => transport.flush?.(peer),
    })
    this.#lostAt = env.clock.now()
  }

  /** The serving master that calls go to; undefined: none is known. */
  get master(): { node: PeerId; epoch: number } | undefined {
    return this.#routed === undefined ? undefined : this.#master
  }

  /** The link that calls go over. */
  get route(): PeerId | undefined {
    return this.#routed?.peer
  }

  /** Undefined where there is only one group. */
  get groups(): GroupedCalls | undefined {
    return this.#groups
  }

  stop(): void {
    this.#stopped = true
    this.links.stop()
    this.asks.stop()
    this.admin.stop()
  }

  onLinkUp(peer: PeerId, session: Session): void {
    const link = this.links.get(peer)
    if (link === undefined) return
    this.links.onUp(link, session)
    this.asks.onLink(link)
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void {
    const link = this.links.get(peer)
    if (link === undefined || this.#stopped) return
    const wasUp = session !== 0
    this.links.onDown(link, session, loss, cause ?? link.told)
    this.asks.onLink(link)
    if (wasUp) this.#env.calls.onTargetDown(peer)
    if (wasUp) this.#groups?.onTargetDown(peer)
    if (wasUp) this.admin.onLinkDown(peer)
    this.#choose()
    const { address, node, reason } = link
    this.#env.onLink({ address, node, up: false, reason })
  }

  onWritable(peer: PeerId): void {
    this.#env.calls.onWritable(peer)
    this.#groups?.onWritable(peer)
  }

  onFrame(peer: PeerId, _session: Session, frame: Uint8Array): void {
    const kind = frame[0]
    if (kind === FRAME.reply) this.#env.calls.onReply(peer, frame)
    else if (kind === FRAME.groupReply) this.#groups?.onReply(peer, frame)
    else if (kind === FRAME.event) (this.#groups ?? this.#env.calls).onEvent(peer, frame)
    else if (kind === FRAME.control) this.#onControl(peer, frame)
    else throw new GcacheError('PROTOCOL_ERROR', `a node sent a frame of kind ${kind}`)
  }

  /** Calls are unanswered for `silentMs`: tells the other nodes, who judge for themselves. */
  onSilence(silentMs: number): void {
    if (this.#routed === undefined) this.#choose()
    if (silentMs < HINT_AFTER_MS) return
    if (this.#routed?.view?.everybody === true) {
      this.#silent = this.#routed
      this.#choose()
      return
    }
    const now = this.#env.clock.now()
    if (now - this.#hintAt < HINT_EVERY_MS) return
    this.#hintAt = now
    const hint = encodeControl({ type: 'hint', epoch: this.#highest })
    for (const link of this.links)
      if (link.session !== 0 && link !== this.#routed) this.#env.transport.send(link.peer, hint)
  }

  #onControl(peer: PeerId, frame: Uint8Array): void {
    const link = this.links.get(peer)
    const message = decodeControl(frame)
    if (link === undefined) return
    switch (message.type) {
      case 'view':
        this.#onView(link, message)
        return
      case 'farewell':
        link.view = undefined
        this.#choose()
        return
      case 'admin-reply':
        this.admin.onReply(peer, message)
        return
      case 'status-reply':
        this.asks.onReply(link, message.id, message.status)
        return
      case 'refused': {
        const error = new GcacheError(errorCode(message.code), message.message)
        if (message.what === 'link') link.told = error
        if (message.what === 'watch')
          (this.#groups ?? this.#env.calls).onWatchRefused(peer, message.id, error)
        else if (message.what === 'status') this.asks.onRefused(link, message.id, error)
        return
      }
      default:
        throw new GcacheError('PROTOCOL_ERROR', `a node sent ${message.type}`)
    }
  }

  #onView(link: ServerLink, view: View): void {
    const first = link.view === undefined
    link.view = view
    link.node = view.node
    this.links.learn(view)
    this.#choose()
    if (first)
      this.#env.onLink({ address: link.address, node: view.node, up: true, reason: undefined })
  }

  #choose(): void {
    this.#chooseOwners()
    this.#chooseMaster()
    this.#chooseLocal()
  }

  /** Local reads stay with one slave, chosen by chance so that clients spread; without any they go
   *  where all other calls go. */
  #chooseLocal(): void {
    const slaves = [...this.links].filter(link => isSlave(link) && link !== this.#routed)
    if (slaves.some(link => link.peer === this.#local)) return
    this.#pickLocal(slaves)
  }

  /** The slave that local reads go to says nothing: another one, if there is one. */
  onLocalSilence(): void {
    const others = [...this.links].filter(link => isSlave(link) && link.peer !== this.#local)
    if (others.length > 0) this.#pickLocal(others)
  }

  #pickLocal(slaves: readonly ServerLink[]): void {
    this.#local = slaves[Math.floor(this.#env.random.next() * slaves.length)]?.peer
    this.#env.calls.routeLocal(this.#local)
  }

  /** By the newest table of those that a linked node says: one that began anew has lower numbers
   *  than what is gone. */
  #chooseOwners(): void {
    let said: View['table']
    const owners = new Map<PeerId, Owner>()
    for (const { peer, session, view } of this.links) {
      if (session === 0 || view === undefined) continue
      const { node, table, valueBytesMax = LIMITS.valueBytesMax } = view
      if (table !== undefined && table.number > (said?.number ?? -1)) said = table
      if (!owners.has(node)) owners.set(node, { peer, valueBytesMax })
    }
    if (said === undefined) return
    // Of a node that has met nobody yet: it may turn out to be no part of this cluster.
    if (this.#groups === undefined && !said.masters.some(node => node !== '')) return
    const { number, partitions } = said
    const masters = said.masters.map(node => (node === '' ? undefined : node))
    this.#groups ??= this.#env.makeGroups({ number, masters, partitions })
    this.#groups.route({ number, masters, partitions }, node => owners.get(node))
    const serving = masters.map(node => (node !== undefined && owners.has(node) ? node : undefined))
    for (const move of this.#moves.note(serving, this.#env.clock.now()))
      this.#env.onFailover({ ...move, epoch: number })
  }

  #chooseMaster(): void {
    let best: Serving | undefined = serves(this.#routed) ? this.#routed : undefined
    for (const link of this.links) if (serves(link) && epochOf(link) > epochOf(best)) best = link
    const now = this.#env.clock.now()
    if (best?.view?.everybody === true) best = this.#stays(best)
    else if (best !== undefined && epochOf(best) < this.#highest && best !== this.#routed)
      if (this.#routed !== undefined || now - this.#lostAt < LOWER_EPOCH_AFTER_MS) best = undefined
    const view = best?.view
    if (best === this.#routed && this.#master?.epoch === view?.epoch) return
    if (this.#routed !== undefined) this.#lostAt = now
    this.#routed = best
    if (best === undefined || view === undefined) {
      this.#env.calls.route(undefined)
      return
    }
    const former = this.#master
    this.#master = { node: view.node, epoch: view.epoch }
    this.#highest = Math.max(this.#highest, view.epoch)
    this.#env.calls.limitValues(view.valueBytesMax ?? LIMITS.valueBytesMax)
    this.#env.calls.route(best.peer)
    this.#env.onRoute()
    if (former === undefined || former.node === view.node) return
    const { node: to, epoch } = view
    this.#env.onFailover({ from: former.node, to, epoch, pausedMs: now - this.#lostAt })
  }

  /** Every node serves, and epochs order none: a client stays where it is, and begins anywhere. */
  #stays(other: Serving): Serving {
    const former = this.#routed
    if (serves(former) && former !== this.#silent) return former
    const all = [...this.links].filter(serves).filter(link => link !== this.#silent)
    return all[Math.floor(this.#env.random.next() * all.length)] ?? other
  }
}

type Serving = ServerLink & { view: View }

/** Only what a node says of itself counts. */
function serves(link: ServerLink | undefined): link is Serving {
  const view = link?.view
  return link?.session !== 0 && view !== undefined && view.serving && view.node === view.master
}

function isSlave(link: ServerLink): boolean {
  const view = link.view
  return link.session !== 0 && view !== undefined && view.node !== view.master
}

function epochOf(link: ServerLink | undefined): number {
  return link?.view?.epoch ?? -1
}
