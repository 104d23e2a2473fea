/**
 * How a transport has each new link proved, without knowing what a proof is: it carries the
 * messages of an exchange in its handshake, and hears at the end who is on the other side. The
 * built-in exchange is SCRAM-SHA-256 (src/security); both sides prove themselves to each other.
 */
import type { PeerId } from './types.js'

/** What somebody may be; the frames that each may send stand in SECURITY section 6. */
export type Role = 'client' | 'peer' | 'observer' | 'admin'

/** What a client may do to caches. */
export interface Grant {
  /** A cache's name, 1 to 64 bytes; or what names begin with, '' for every cache. */
  readonly cache: string
  readonly prefix: boolean
  /** Of r (read), w (write), a (all of it, and what changes the cache itself); at least one. */
  readonly rights: string
}

/** Who is on the other side of a link, proved. */
export interface Identity {
  readonly user: string
  readonly role: Role
  /** Of role client; none: it may touch no cache. */
  readonly grants?: readonly Grant[]
}

/** What the dialler's hello says; every field is covered by the proofs of both sides. */
export interface Claims {
  readonly version: number
  readonly cluster: string
  readonly from: PeerId
  readonly to: PeerId
  readonly frameBytesMax: number
  readonly life: string
  readonly dial: number
}

/** What the medium knows of the link. */
export interface Surroundings {
  /** What only the two ends of an encrypted link know (RFC 9266, tls-exporter); with it, a proof
   *  that is not bound to it is refused. Undefined where the medium is in the clear. */
  readonly binding?: Uint8Array
  /** The other side's address without its port; failures are counted by it. */
  readonly host?: string
}

/** Told by an exchange, from inside receive() or from an event of its own; nothing after stop(). */
export interface ExchangeEvents {
  /** For the other side, at most a few hundred characters. */
  say(message: string): void
  /** The other side has proved to be `identity`. `speaker` is the acceptor's id, which the
   *  dialler's hello only guessed; undefined on the acceptor. `key`: 32 bytes that only the two
   *  sides of this exchange know, to seal what follows where others carry it. */
  proved(identity: Identity, speaker: PeerId | undefined, key?: Uint8Array): void
  /** AUTH_FAILED, the same for every cause. The other side must not hear of it before `delayMs`. */
  failed(error: Error, delayMs: number): void
}

export interface Exchange {
  /** A message of the other side. Never throws. */
  receive(message: string): void
  /** The link is gone, or the exchange is of no use any more. Idempotent. */
  stop(): void
}

export interface Authenticator {
  /** The dialler's part; `first` travels in its hello. */
  prove(
    claims: Claims,
    around: Surroundings,
    events: ExchangeEvents,
  ): Exchange & { readonly first: string }
  /** The acceptor's part, `self`'s. `first` is undefined where the hello brought none: refused. */
  examine(
    self: PeerId,
    claims: Claims,
    first: string | undefined,
    around: Surroundings,
    events: ExchangeEvents,
  ): Exchange
}

/** A secret that prints nothing of itself, as `new Secret(text)` of `gcache` makes it. */
export interface Redacted {
  readonly length: number
  expose<T>(use: (bytes: Uint8Array) => T): T
}

/** The option `auth` of a node. The secret is the same on every node, at least 32 bytes. */
export interface NodeAuth {
  /** The cluster's secret: who has it is a node, or as a client an admin. */
  secret?: string | Uint8Array | Redacted
  /** A file whose one line it is. */
  secretFile?: string
  /** Lines of `gcache user add`: who else may come in. */
  users?: string
  usersFile?: string
  /** PBKDF2's count for the secret, 4,096 to 10,000,000. Default 600,000. */
  iterations?: number
}

/** The option `auth` of a client: the cluster's secret, or one of the nodes' users. */
export interface ClientAuth {
  secret?: string | Uint8Array | Redacted
  secretFile?: string
  user?: string
  password?: string | Redacted
  passwordFile?: string
}
