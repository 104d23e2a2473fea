/**
 * Where the engine asks what a link may do: once a link for its Access, then with each control
 * message, and through its requests with each operation. A refusal is an answer, a count, and at
 * most a line a second in the log; only a frame between nodes costs the link.
 */
import { AUTH } from '../config.js'
import type { Identity } from '../contracts/authentication.js'
import type { Access, Authority } from '../contracts/authorisation.js'
import type { Clock, Logger } from '../contracts/environment.js'
import type { PeerId, Session } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { refusalReply } from '../wire/admin.js'
import { OP } from '../wire/command.js'
import { type Control, encodeControl, encodeLinkEnd } from '../wire/control.js'

/** In-process client calls come from this peer, which no link may be called. */
export const LOCAL_PEER = '~local'

export interface RightsEnv {
  /** Undefined: nobody proves anything, and everybody may do everything. */
  readonly authority: Authority | undefined
  /** May who has proved to be this still come in? Default: yes. */
  readonly isCurrent?: ((identity: Identity) => boolean) | undefined
  readonly clock: Clock
  readonly logger: Logger
  send(peer: PeerId, frame: Uint8Array): unknown
  flush(peer: PeerId): void
  disconnect(peer: PeerId, cause: GcacheError): void
}

interface LinkRights {
  readonly session: Session
  readonly access: Access
  readonly identity: Identity | undefined
}

/** Links without a proof whose last hint is remembered; then all are forgotten. */
const HINTERS_MAX = 1_024
/** Of what the other side says in a line of the log. */
const REASON_CHARS_MAX = 200
const NAMES = new Map<number, string>(Object.entries(OP).map(([name, op]) => [op, name]))

export class Rights {
  readonly #env: RightsEnv
  readonly #links = new Map<PeerId, LinkRights>()
  /** When who gave a hint last; by user, or by link where nobody proves anything. */
  readonly #hints = new Map<string, number>()
  #loggedAt = Number.NEGATIVE_INFINITY
  #omitted = 0
  /** Everything that was refused. */
  refused = 0

  constructor(env: RightsEnv) {
    this.#env = env
  }

  /** False: the link is nobody's who may have one, and was ended. */
  onUp(peer: PeerId, session: Session, identity: Identity | undefined): boolean {
    if (peer === LOCAL_PEER) {
      this.#env.disconnect(peer, new GcacheError('FORBIDDEN', `no link is called ${peer}`))
      return false
    }
    const { authority } = this.#env
    if (authority === undefined) return true
    const access = authority.access(peer, identity)
    this.#links.set(peer, { session, access, identity })
    if (access.role === undefined) this.#end(peer, 'a link without a proof')
    // The users may have changed between its proof and now.
    else if (!this.#isStale(identity)) return true
    else this.#endStale(peer)
    return false
  }

  /** Ends the links of users who are gone or changed: AUTH_FAILED. Returns how many. */
  endStale(): number {
    const stale = [...this.#links].filter(([, { identity }]) => this.#isStale(identity))
    for (const [peer] of stale) this.#endStale(peer)
    return stale.length
  }

  onDown(peer: PeerId, session: Session): void {
    if (this.#links.get(peer)?.session === session) this.#links.delete(peer)
  }

  /** For the requests of `peer`. Undefined: it may do everything, being this process, a node, or
   *  anybody where nobody proves anything. */
  of(peer: PeerId): Access | undefined {
    const { authority } = this.#env
    if (authority === undefined || peer === LOCAL_PEER) return undefined
    // Whose coming up was missed has proved nothing.
    const access = this.#links.get(peer)?.access ?? authority.access(peer, undefined)
    return access.role === 'peer' ? undefined : access
  }

  /** A frame that only nodes send, on the link of a client: ends it. */
  intrude(peer: PeerId, kind: number): void {
    if (this.of(peer) === undefined)
      throw new GcacheError('PROTOCOL_ERROR', `a client sent a frame of kind ${kind}`)
    this.#end(peer, `a frame between nodes (kind ${kind})`)
  }

  /** Answers for a control message that the link may not send; true if it may. */
  admits(peer: PeerId, message: Control): boolean {
    const access = this.of(peer)
    if (access === undefined) return true
    const { type } = message
    const cache = type === 'watch' ? message.cache : undefined
    if (access.mayTell(type, cache)) return true
    const id = 'id' in message ? message.id : 0
    const text = this.refuse(peer, access, type === 'admin' ? message.command : type, cache)
    const error = new GcacheError('FORBIDDEN', text)
    const answer: Control =
      type === 'admin'
        ? refusalReply(id, error)
        : { type: 'refused', id, what: type, code: error.code, message: text }
    this.#env.send(peer, encodeControl(answer))
    return false
  }

  /** The other side ends this link, for what it heard from us. */
  onRefused(peer: PeerId, refusal: Extract<Control, { type: 'refused' }>): void {
    const { code, offset, message } = refusal
    const reason = message.slice(0, REASON_CHARS_MAX)
    this.#log({ peer, code: code.slice(0, 64), offset, reason }, 'the other side refuses the link')
  }

  /** May a hint of `peer` be heard, so soon after its last? */
  hears(peer: PeerId): boolean {
    const who = this.of(peer)?.user ?? peer
    const now = this.#env.clock.now()
    if (now - (this.#hints.get(who) ?? Number.NEGATIVE_INFINITY) < AUTH.hintEveryMs) return false
    if (this.#hints.size >= HINTERS_MAX) this.#hints.clear()
    this.#hints.set(who, now)
    return true
  }

  /** Counts and logs; returns what the other side is told. */
  refuseOperation(peer: PeerId, access: Access, op: number, cache: string): string {
    return this.refuse(peer, access, NAMES.get(op) ?? `operation ${op}`, cache)
  }

  refuse(peer: PeerId, { user, role }: Access, what: string, cache?: string): string {
    this.refused++
    const where = cache ? ` in cache ${JSON.stringify(cache.slice(0, 64)).slice(0, 200)}` : ''
    const text = `user ${user} (${role ?? 'unproved'}) may not ${what.slice(0, 64)}${where}`
    this.#log({
      peer,
      user,
      what: what.slice(0, 64),
      ...(cache ? { cache: cache.slice(0, 64) } : {}),
    })
    return text
  }

  #isStale(identity: Identity | undefined): boolean {
    return identity !== undefined && this.#env.isCurrent?.(identity) === false
  }

  #endStale(peer: PeerId): void {
    this.#part(peer, new GcacheError('AUTH_FAILED', 'the users have changed: log in again'))
  }

  #end(peer: PeerId, what: string): void {
    this.refused++
    this.#part(peer, new GcacheError('FORBIDDEN', `${what}, and the link is not a node's`))
  }

  #part(peer: PeerId, error: GcacheError): void {
    this.#env.send(peer, encodeLinkEnd(error))
    this.#env.flush(peer)
    this.#env.disconnect(peer, error)
  }

  #log(fields: Record<string, unknown>, text = 'refused: FORBIDDEN'): void {
    const now = this.#env.clock.now()
    if (now - this.#loggedAt < AUTH.logEveryMs) {
      this.#omitted++
      return
    }
    const omitted = this.#omitted
    this.#loggedAt = now
    this.#omitted = 0
    this.#env.logger.warn(omitted === 0 ? fields : { ...fields, omitted }, text)
  }
}
