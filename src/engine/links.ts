/**
 * The peer table: which members are linked, and redials of those that are not, when core/redial.ts
 * says.
 */
import type { Clock, Random, Timer } from '../contracts/environment.js'
import type { SendResult, Transport } from '../contracts/transport.js'
import type { Member, PeerId, Session } from '../contracts/types.js'
import { Redial } from '../core/redial.js'
import { errorCode, GcacheError } from '../errors.js'

interface Link {
  member: Member
  session: Session
  redial: Redial
  timer: Timer | undefined
  /** The strategy ended its session, and would end the next one. */
  unwanted: boolean
  /** It came by itself, and no list names it. */
  stranger: boolean
  /** Where discovery has seen it, if that is another place than its member's. */
  seenAt: string | undefined
  /** Dials so far: the two places take turns. */
  dials: number
}

export interface LinksEnv {
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
}

export class Links {
  readonly #env: LinksEnv
  readonly #links = new Map<PeerId, Link>()
  #stopped = false

  constructor(env: LinksEnv, members: readonly Member[]) {
    this.#env = env
    for (const member of members) this.#links.set(member.id, newLink(member))
  }

  /** These and no others from now on: dials who is new or has another address, ends the links with
   *  the rest. */
  update(members: readonly Member[]): void {
    const { transport } = this.#env
    for (const [id, link] of this.#links) {
      const member = members.find(other => other.id === id)
      if (member !== undefined && (link.session !== 0 || member.address === link.member.address)) {
        link.member = member
        link.stranger = false
        continue
      }
      link.timer?.cancel()
      this.#links.delete(id)
      transport.disconnect(id)
    }
    for (const member of members) {
      if (this.#links.has(member.id)) continue
      const link = newLink(member)
      this.#links.set(member.id, link)
      this.#dial(link)
    }
  }

  /** A stranger that was let in: like a member, but never dialled. */
  meet(peer: PeerId): void {
    if (this.#links.has(peer)) return
    const member = { id: peer, ordinal: 255, address: '' }
    this.#links.set(peer, { ...newLink(member), stranger: true })
  }

  start(): void {
    for (const link of this.#links.values()) this.#dial(link)
  }

  /** Who answers there has to prove, or at least to say, that it is this peer. */
  sight(peer: PeerId, address: string): void {
    const link = this.#links.get(peer)
    if (link === undefined || link.stranger) return
    const news = address !== link.member.address && address !== link.seenAt
    link.seenAt = address === link.member.address ? undefined : address
    if (!news || link.session !== 0) return
    link.timer?.cancel()
    link.timer = undefined
    link.dials |= 1
    this.#dial(link)
  }

  /** It was seen elsewhere than its member's address: what a dial finds there proves nothing. */
  isMoved(peer: PeerId): boolean {
    return this.#links.get(peer)?.seenAt !== undefined
  }

  stop(): void {
    this.#stopped = true
    for (const link of this.#links.values()) link.timer?.cancel()
  }

  isMember(peer: PeerId): boolean {
    return this.#links.has(peer)
  }

  isLinked(peer: PeerId): boolean {
    return (this.#links.get(peer)?.session ?? 0) !== 0
  }

  onUp(peer: PeerId, session: Session): void {
    const link = this.#links.get(peer)
    if (link === undefined) return
    link.session = session
    link.redial.up(this.#env.clock.now())
    link.timer?.cancel()
    link.timer = undefined
  }

  /** Session 0: a dial that failed. */
  onDown(peer: PeerId, session: Session): void {
    const link = this.#links.get(peer)
    if (link === undefined || (session !== 0 && link.session !== session)) return
    if (session !== 0) link.session = 0
    if (link.stranger) this.#links.delete(peer)
    if (link.session !== 0 || link.timer !== undefined || this.#stopped) return
    link.timer = this.#env.clock.after(this.#pauseMs(link, session), () => {
      link.timer = undefined
      this.#dial(link)
    })
  }

  /** Ends the session. `message`: the peer is not wanted, so it is not dialled again at once. */
  disconnect(peer: PeerId, code: string, message?: string): void {
    const link = this.#links.get(peer)
    if (link !== undefined && message !== undefined) link.unwanted = true
    const cause = message === undefined ? undefined : new GcacheError(errorCode(code), message)
    this.#env.transport.disconnect(peer, cause)
  }

  /** To every linked member; the worst answer. */
  broadcast(frame: Uint8Array): SendResult {
    let worst: SendResult = 'sent'
    for (const [id, link] of this.#links) {
      if (link.session === 0) continue
      const result = this.#env.transport.send(id, frame)
      if (result !== 'sent') worst = result
    }
    return worst
  }

  #pauseMs(link: Link, session: Session): number {
    const { redial, unwanted } = link
    const { clock, random } = this.#env
    link.unwanted = false
    if (unwanted) return redial.whenUnwanted(random)
    if (session === 0) return redial.afterFailure(random)
    return redial.afterLoss(clock.now(), random)
  }

  #dial(link: Link): void {
    if (this.#stopped || link.session !== 0 || link.stranger) return
    const { member, seenAt } = link
    const address = link.dials++ % 2 === 1 ? (seenAt ?? member.address) : member.address
    this.#env.transport.connect(member.id, address)
  }
}

function newLink(member: Member): Link {
  const redial = new Redial()
  const nowhere = { timer: undefined, seenAt: undefined, dials: 0 }
  return { member, session: 0, redial, ...nowhere, unwanted: false, stranger: false }
}
