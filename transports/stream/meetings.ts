/**
 * Dials and arriving connections until they are links, and which of two links survives (law T10).
 *
 * Two nodes dial each other at once: the dial of the lower id wins. A dial counts from the moment
 * its hello is sent, so each side can decide alone. The lower, having said hello, refuses the
 * other's hello as a tie, and the higher then waits for the lower's. The higher, hearing the
 * lower's hello, drops its own dial. A dial that has not said hello gives way to any that arrives.
 * And one that a frozen process lets run out of time while its heir elsewhere is refused for it:
 * the next time that heir goes before.
 *
 * A hello while a link stands: its speaker believes the link dead, else it would not dial, so the
 * new link replaces the old once it is ready. Unless the hello is older than the link, which shows
 * in the speaker's count of dials: every hello carries it, the dialler's and the acceptor's.
 */
import { AUTH, LIMITS, PROTOCOL_VERSION } from '../../src/config.js'
import type { Authenticator } from '../../src/contracts/authentication.js'
import type { Timer } from '../../src/contracts/environment.js'
import type { LinkLoss, TransportEnv } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import { type ErrorCode, GcacheError } from '../../src/errors.js'
import { Admission, type Place } from './admission.js'
import type { Complaints } from './complaints.js'
import { Handshake, type HandshakeOwner, type Verdict } from './handshake.js'
import { type Hello, isAlias, isClient, plain, refusal } from './hello.js'
import type { StreamConnection, StreamLayer } from './layer.js'
import { type StreamLimits, sendBytesMax } from './limits.js'
import type { Link } from './link.js'

const TIE: Verdict = { accept: false, reason: 'another link goes before this one', tie: true }

/** The transport, as its meetings see it. */
export interface MeetingsOwner {
  /** Links that stand. */
  readonly linkCount: number
  /** The link with whoever bears the id `remote`, under whatever name we know them. */
  linkWith(remote: PeerId): Link | undefined
  /** A handshake is through. */
  linked(handshake: Handshake): void
  /** From an event: connect() to `peer` has failed. */
  notLinked(peer: PeerId, loss: LinkLoss, cause?: Error): void
}

export class Meetings implements HandshakeOwner {
  readonly self: PeerId
  readonly authenticator: Authenticator | undefined
  readonly proofMs: number
  readonly #owner: MeetingsOwner
  readonly #env: TransportEnv
  readonly #layer: StreamLayer
  readonly #limits: StreamLimits
  /** Tells this start from earlier ones of the same id. */
  readonly #life: string
  #dials = 0
  /** Arriving links that were refused; wrong proofs are counted by who judged them. */
  refused = 0
  readonly #admission: Admission
  readonly #complaints: Complaints
  /** Arriving ones have a place. */
  readonly #unfinished = new Map<Handshake, Place | undefined>()
  /** By peer: the handshake that will answer connect(), the newest one. */
  readonly #attempts = new Map<PeerId, Handshake>()
  /** By peer: the life that was refused as a tie for a dial of ours which nobody answered. */
  readonly #heirs = new Map<PeerId, string>()

  constructor(
    owner: MeetingsOwner,
    env: TransportEnv,
    layer: StreamLayer,
    limits: StreamLimits,
    complaints: Complaints,
  ) {
    this.#owner = owner
    this.#env = env
    this.self = env.self
    this.authenticator = env.authenticator
    this.proofMs = limits.handshakeMs + AUTH.delayMsMax
    this.#layer = layer
    this.#limits = limits
    this.#admission = new Admission(limits)
    this.#complaints = complaints
    const chance = Math.floor(env.random.next() * 2 ** 32)
    this.#life = `${Math.floor(env.clock.wall()).toString(36)}-${chance.toString(36)}`
  }

  /** Throws ADDRESS_INVALID. Nothing if an attempt is under way: that one will answer. */
  dial(peer: PeerId, address: string): void {
    const attempt = this.#attempts.get(peer)
    if (attempt !== undefined) {
      attempt.wanted = true
      return
    }
    const handshake = new Handshake(this, peer, LIMITS.helloBytesMax)
    const connection = this.#layer.dial(address, handshake)
    this.#dials++
    this.#attempts.set(peer, handshake)
    this.#begin(handshake, connection, undefined)
  }

  accept(connection: StreamConnection): void {
    const place = this.#admission.enter(connection.host)
    const handshake = new Handshake(this, undefined, LIMITS.helloBytesMax)
    connection.events = handshake
    if (typeof place === 'string') {
      handshake.connection = connection
      // Said, not just cut: to a peer a reset would look like the death of this process.
      handshake.turnAway('refused', new GcacheError('PREAUTH_LIMIT', place))
    } else {
      this.#begin(handshake, connection, place)
      const waitMs = this.#admission.waitMs(place, this.#env.clock.now())
      if (waitMs > 0) handshake.delay(waitMs)
    }
  }

  /** A client's link with `host` had to be ended. */
  blame(host: string | undefined): void {
    this.#admission.blame(host, this.#env.clock.now())
  }

  /** Gives up the attempt with `peer`; true if somebody waits for its answer. */
  abandon(peer: PeerId): boolean {
    const attempt = this.#attempts.get(peer)
    if (attempt === undefined) return false
    this.#end(attempt)
    attempt.abandon()
    return attempt.wanted
  }

  stop(): void {
    for (const handshake of this.#unfinished.keys()) handshake.abandon()
    this.#unfinished.clear()
    this.#attempts.clear()
    this.#heirs.clear()
  }

  after(delayMs: number, task: () => void): Timer {
    return this.#env.clock.after(delayMs, task)
  }

  hello(handshake: Handshake): Hello {
    const { self, cluster } = this.#env
    const to = handshake.hello?.from ?? handshake.expected
    const strategy = this.#env.strategy?.()
    return {
      kind: 'hello',
      version: PROTOCOL_VERSION,
      cluster,
      from: self,
      to,
      frameBytesMax: sendBytesMax(this.#limits, to),
      life: this.#life,
      dial: this.#dials,
      ...(strategy === undefined ? {} : { strategy }),
    }
  }

  judge(handshake: Handshake, hello: Hello): Verdict {
    const { self, cluster } = this.#env
    let code: ErrorCode = 'REFUSED'
    const known = (peer: PeerId): string | undefined => {
      const impostor = handshake.connection?.secured?.refusal(peer)
      if (impostor !== undefined) code = 'TLS_IDENTITY'
      return impostor ?? this.#env.admit?.(peer)
    }
    const reason =
      refusal(hello, { self, cluster, admit: known }, handshake.expected) ?? this.#tooSmall(hello)
    if (reason !== undefined) return { accept: false, reason, tie: false, code }
    const strange = this.#strange(hello)
    if (strange !== undefined) return { accept: false, reason: strange, tie: false, code: 'CONFIG' }
    if (!handshake.dialled && this.#isFull(hello.from))
      return { accept: false, reason: `${this.#limits.linksMax} links stand already`, tie: false }
    return handshake.dialled
      ? this.#judgeAnswer(handshake, hello)
      : this.#judgeArrival(handshake, hello)
  }

  established(handshake: Handshake): void {
    const peer = handshake.peer as PeerId
    const hello = handshake.hello as Hello
    this.#end(handshake)
    this.#heirs.delete(hello.from)
    if (!isClient(hello.from)) this.#admission.meetPeer(handshake.connection?.host)
    const link = this.#owner.linkWith(hello.from)
    if (!handshake.dialled && link !== undefined && isOlder(hello, link.facts)) {
      handshake.connection?.destroy()
      return
    }
    this.abandon(peer)
    this.#owner.linked(handshake)
  }

  failed(handshake: Handshake, loss: LinkLoss, cause?: Error): void {
    const { peer } = handshake
    const answers = this.#end(handshake) && handshake.wanted
    if (loss === 'timeout' && handshake.refusedLife !== undefined)
      this.#heirs.set(handshake.expected, handshake.refusedLife)
    // Proofs that fail are logged by who judged them.
    const logged = cause instanceof GcacheError && cause.code === 'AUTH_FAILED'
    if (!handshake.dialled && loss !== 'closed' && !logged) {
      this.refused++
      this.#complaints.warn({ peer, loss, reason: cause?.message }, 'an arriving link was refused')
    }
    if (answers && peer !== undefined) this.#owner.notLinked(peer, loss, cause)
  }

  /** Between nodes: a value of ours would end the link again and again. */
  #tooSmall({ from, frameBytesMax }: Hello): string | undefined {
    const { self, valueBytesMax } = this.#env
    if (valueBytesMax === undefined || isClient(self) || isClient(from)) return undefined
    const needed = valueBytesMax + LIMITS.frameRoomBytes
    if (frameBytesMax >= needed) return undefined
    return (
      `${from} takes frames of ${frameBytesMax} bytes, and values of ${valueBytesMax} bytes on ` +
      `${self} need ${needed}: give every node the same valueBytesMax (--value-max)`
    )
  }

  /** Between nodes: they would not understand each other's words. */
  #strange({ from, strategy }: Hello): string | undefined {
    const own = this.#env.strategy?.()
    if (own === undefined || strategy === undefined || own === strategy) return undefined
    return (
      `${this.#env.self} has strategy ${plain(own)} and ${from} has strategy ${plain(strategy)}: ` +
      'start all nodes of a cluster with the same --strategy'
    )
  }

  /** No place for one more client; peers are few, and one that dials anew keeps its place. */
  #isFull(from: PeerId): boolean {
    if (!isClient(from) || this.#owner.linkCount < this.#limits.linksMax) return false
    return this.#owner.linkWith(from) === undefined
  }

  /** A dial of ours was answered well. An alias must not double a link that has a name. */
  #judgeAnswer(handshake: Handshake, hello: Hello): Verdict {
    const link = this.#owner.linkWith(hello.from)
    if (!isAlias(handshake.expected) || (link === undefined && !this.#attempts.has(hello.from)))
      return { accept: true }
    const name = link?.facts.peer ?? hello.from
    return { accept: false, reason: `${hello.from} is linked already, as ${name}`, tie: false }
  }

  #judgeArrival(handshake: Handshake, hello: Hello): Verdict {
    const link = this.#owner.linkWith(hello.from)
    if (link !== undefined && isOlder(hello, link.facts)) return TIE
    const other = this.#attempts.get(hello.from)
    if (other !== undefined) {
      if (other.dialled && other.phase === 'greeting' && this.#goesFirst(hello)) {
        other.refusedLife = hello.life
        return TIE
      }
      if (other.hello !== undefined && isOlder(hello, other.hello)) return TIE
      handshake.wanted = other.wanted
      other.wanted = false
      // A client that dials one node by two addresses decides itself which link it keeps.
      if (other.dialled || other.hello?.to === hello.to) {
        this.#end(other)
        other.abandon()
      }
    }
    this.#attempts.set(hello.from, handshake)
    return { accept: true }
  }

  /** True if a dial of ours to the speaker of `hello` goes before the one that brought it. */
  #goesFirst({ from, life }: Hello): boolean {
    return this.#env.self < from && this.#heirs.get(from) !== life
  }

  #begin(handshake: Handshake, connection: StreamConnection, place: Place | undefined): void {
    this.#unfinished.set(handshake, place)
    const { clock } = this.#env
    handshake.begin(
      connection,
      clock.after(this.#limits.handshakeMs, () => handshake.onTimeout()),
    )
  }

  /** Forgets a handshake; true if it was the one to answer connect(). */
  #end(handshake: Handshake): boolean {
    const place = this.#unfinished.get(handshake)
    if (!this.#unfinished.delete(handshake)) return false
    if (place !== undefined) this.#admission.leave(place)
    const { peer } = handshake
    if (peer === undefined || this.#attempts.get(peer) !== handshake) return false
    this.#attempts.delete(peer)
    return true
  }
}

/** True if `hello` was said before what made `known`, by the same life of its speaker. */
function isOlder(hello: Hello, known: { readonly life: string; readonly dial: number }): boolean {
  return hello.life === known.life && hello.dial <= known.dial
}
