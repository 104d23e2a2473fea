/**
 * The client's links: one to every server it was given or has heard of, dialled again for as long
 * as the client lives, when core/redial.ts says.
 */
import type { Clock, Random, Timer } from '../contracts/environment.js'
import type { LinkLoss, Transport } from '../contracts/transport.js'
import type { PeerId, Session } from '../contracts/types.js'
import { Redial } from '../core/redial.js'
import { type ErrorCode, type GcacheError, REFUSALS } from '../errors.js'
import type { Control } from '../wire/control.js'

export type View = Extract<Control, { type: 'view' }>

/** Servers that views may add to the given ones: as many as there are ordinals. */
const LEARNED_MAX = 256

/** A server by its address. `peer` stands for whoever answers there. */
export interface ServerLink {
  readonly peer: PeerId
  readonly address: string
  /** Given by the user, or learned from a view. */
  readonly given: boolean
  /** 0: not linked. */
  session: Session
  /** Who answered there last. */
  node: PeerId | undefined
  /** What it said on this session. */
  view: View | undefined
  /** At least one attempt has ended. */
  tried: boolean
  readonly redial: Redial
  /** Why the server ends this session, in its own words. */
  told: Error | undefined
  /** Why it is not linked. */
  reason: string
  /** Of `reason`, if that is an error with a code. */
  code: ErrorCode | undefined
  /** It will refuse the next dial as well. */
  refused: boolean
  timer: Timer | undefined
}

export interface ClientLinksEnv {
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
}

export class ClientLinks {
  readonly #env: ClientLinksEnv
  readonly #links = new Map<PeerId, ServerLink>()
  #stopped = false

  constructor(env: ClientLinksEnv) {
    this.#env = env
  }

  [Symbol.iterator](): IterableIterator<ServerLink> {
    return this.#links.values()
  }

  get(peer: PeerId): ServerLink | undefined {
    return this.#links.get(peer)
  }

  /** Dials `address` from now on. Throws what the transport throws for a bad address. */
  add(address: string, given: boolean): void {
    const peer = `*${address}`
    if (this.#links.has(peer)) return
    const link: ServerLink = {
      peer,
      address,
      given,
      session: 0,
      node: undefined,
      view: undefined,
      tried: false,
      redial: new Redial(),
      told: undefined,
      reason: 'no answer',
      code: undefined,
      refused: false,
      timer: undefined,
    }
    this.#links.set(peer, link)
    this.#dial(link)
  }

  /** Discovery has seen somebody there. A view that does not name it may forget it again. */
  sight(address: string): void {
    if (this.#links.size < LEARNED_MAX) this.#addLearned(address)
  }

  /** Dials servers that a view names and nobody dials yet; forgets those that none names now. */
  learn(view: View): void {
    const nodes = new Set<PeerId>()
    for (const link of this.#links.values()) if (link.node !== undefined) nodes.add(link.node)
    const named = new Set(view.members.map(member => member.address))
    let learned = 0
    for (const link of this.#links.values())
      if (!link.given && link.session === 0 && !named.has(link.address)) {
        link.timer?.cancel()
        this.#links.delete(link.peer)
      } else if (!link.given) learned++
    // Those that stand count as well: else each view could bring as many new ones.
    for (const { id, address } of view.members) {
      if (learned >= LEARNED_MAX) return
      if (address !== '' && !nodes.has(id) && this.#addLearned(address)) learned++
    }
  }

  onUp(link: ServerLink, session: Session): void {
    link.session = session
    link.redial.up(this.#env.clock.now())
    link.tried = true
    link.code = undefined
    link.refused = false
    link.view = undefined
    link.told = undefined
    link.timer?.cancel()
    link.timer = undefined
  }

  /** Session 0: a dial that failed. Dials again later; at once if the lost link had lasted. */
  onDown(link: ServerLink, session: Session, loss: LinkLoss, cause: Error | undefined): void {
    const { clock, random } = this.#env
    link.session = 0
    link.view = undefined
    link.tried = true
    link.reason = cause === undefined ? loss : cause.message
    const { code, retryable } = (cause ?? {}) as Partial<GcacheError>
    link.code = code
    link.refused = REFUSALS.has(code) && retryable === false
    const delayMs =
      session === 0 ? link.redial.afterFailure(random) : link.redial.afterLoss(clock.now(), random)
    link.timer?.cancel()
    link.timer = clock.after(delayMs, () => {
      link.timer = undefined
      this.#dial(link)
    })
  }

  stop(): void {
    this.#stopped = true
    for (const link of this.#links.values()) link.timer?.cancel()
  }

  /** True if it is dialled now and was not before. */
  #addLearned(address: string): boolean {
    const known = this.#links.size
    try {
      this.add(address, false)
    } catch {
      // A view only tells where to look; an address that cannot be dialled is nowhere.
      this.#links.delete(`*${address}`)
    }
    return this.#links.size > known
  }

  #dial(link: ServerLink): void {
    if (!this.#stopped && link.session === 0) this.#env.transport.connect(link.peer, link.address)
  }
}
