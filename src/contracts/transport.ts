/**
 * A transport carries opaque frames to a peer, and knows nothing of what they say. Its laws T1-T13
 * are stated here in prose and shipped as tests in `gcache/testing` (transport-suite).
 */

import type { GcacheError } from '../errors.js'
import type { Authenticator, Identity } from './authentication.js'
import type { Clock, Logger, Random } from './environment.js'
import type { PeerId, Session } from './types.js'

/** Why a link is down. `local`: this side ended it. */
export type LinkLoss =
  | 'refused'
  | 'reset'
  | 'closed'
  | 'timeout'
  | 'unreachable'
  | 'protocol'
  | 'local'

/** Accepted; accepted, pause until writable; refused and nothing queued. */
export type SendResult = 'sent' | 'congested' | 'dropped'

export interface TransportTraits {
  topology: 'direct' | 'broker' | 'relayed'
  /** A dead peer process is noticed by the medium itself, without waiting for silence. */
  detectsPeerLoss: boolean
  /** The largest frame that send() accepts, in bytes. */
  frameBytesMax: number
  /** The most bytes that wait unsent for one peer. */
  queueBytesMax: number
}

/** Since the start. Names as a status shows them. */
export interface TransportCounts {
  /** Links that ended for a frame that was malformed or too large. */
  readonly protocolErrors: number
  /** Arriving links that were refused before they stood, wrong proofs aside; over a broker also
   *  messages that belong to no link. */
  readonly preauthRefusals: number
  /** Clients that were cut off for what they left unread. */
  readonly slowConsumers: number
}

export interface Transport {
  readonly name: string
  /** What peers dial; valid once start() has resolved. '' for one that only dials. */
  readonly address: string
  readonly traits: TransportTraits
  /** T1: resolves once peers can reach us. Rejects with ADDRESS_IN_USE, ADDRESS_INVALID. */
  start(handler: TransportHandler): Promise<void>
  /**
   * One attempt to reach `peer` at `address`, answered by link up or down (session 0) within
   * `handshakeMs` (T9), and AUTH.delayMsMax more once a proof was begun. The caller redials. While
   * a link or an attempt to `peer` exists this does nothing. T10: two nodes that dial each other at
   * once end with one link.
   */
  connect(peer: PeerId, address: string): void
  /** Ends the session; queued frames are dropped; link-down says `local` (not from inside). */
  disconnect(peer: PeerId, cause?: Error): void
  /**
   * Offers `frame` (1..frameBytesMax bytes, more asserts: T7) to the link with `peer`.
   * Synchronous; never throws for the network (T4); the queue stays under queueBytesMax (T6);
   * every 'congested' is followed by onWritable or onLinkDown (T5); no handler call from inside
   * (T8). `frame` must not change before the current turn ends, then it is the caller's again.
   */
  send(peer: PeerId, frame: Uint8Array): SendResult
  /**
   * Writes what is queued for `peer` now instead of at the end of the turn. Only a hint: an early
   * flush every 25 calls or so lets both sides work at once.
   */
  flush?(peer: PeerId): void
  /**
   * Delivers no frames of `peer`, a client, until it is told to go on; what was read already may
   * still come. Only a hint, and none at all for a link between nodes, whose acks must flow.
   */
  hold?(peer: PeerId, onHold: boolean): void
  /** Only where one call reaches everyone (a broker). */
  broadcast?(frame: Uint8Array): SendResult
  /** What it has refused so far; says nothing of who. */
  counts?(): TransportCounts
  /** T12: idempotent; afterwards no handler call and no open handle. */
  stop(): Promise<void>
}

/**
 * The engine, or a client. Never called from inside send(), connect() or disconnect() (T8).
 * T2: up precedes the first frame; exactly one down per up; nothing after down.
 */
export interface TransportHandler {
  /** `identity`: who the other side has proved to be; undefined without an authenticator. */
  onLinkUp(peer: PeerId, session: Session, identity?: Identity): void
  /** A failed attempt says session 0. */
  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss, cause?: Error): void
  /** T3: whole, in order, at most once, gapless. `frame` is borrowed for the call. */
  onFrame(peer: PeerId, session: Session, frame: Uint8Array): void
  onWritable(peer: PeerId, session: Session): void
  /**
   * A session ends for what came by it, `cause`: the frame that tells the other side so, sent
   * before its link is closed. From an event, before onLinkDown.
   */
  lastWords?(cause: GcacheError): Uint8Array | undefined
}

/** Who we are to the other side, and the world we run in. */
export interface TransportEnv {
  /** Our own id; `~...` for a client. */
  readonly self: PeerId
  readonly cluster: string
  /** Where to listen; undefined for a client, which only dials. Port 0 asks for a free one. */
  readonly listen?: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /**
   * Asked for every arriving hello. Undefined admits; a reason refuses, and is told to both sides
   * (T11). Clients (`~`) and peers are told apart by their ids.
   */
  readonly admit?: (peer: PeerId) => string | undefined
  /**
   * Values that this side may carry, bytes: frames then hold one of it and LIMITS.frameRoomBytes,
   * both ways, unless the transport was told otherwise. A node refuses a node whose frames hold
   * less. Undefined: as the transport's own options say, and nobody is refused for it.
   */
  readonly valueBytesMax?: number
  /** What this node replicates by, asked at each hello: a node that says another name is refused
   *  with both (CONFIG). Undefined: it is no node's transport, or does not know yet. */
  readonly strategy?: () => string | undefined
  /** With it no link comes up before both sides have proved who they are: AUTH_FAILED otherwise.
   *  Without it the other side may have none either. */
  readonly authenticator?: Authenticator
}

/** What `tcp()` and its like return: called once by the node or client that will use it. */
export interface TransportFactory {
  (env: TransportEnv): Transport
  /** Bytes between nodes, and between them and clients, are encrypted. */
  readonly encrypts?: boolean
  /** What they travel by instead of straight to where a node listens, as `scheme://host:port`. */
  readonly brokers?: readonly string[]
  /** Where the application's server, of which a node becomes a part, listens, in the same form: so
   *  far can it be reached from, whatever the node's address says. Undefined if it does not. */
  readonly listens?: () => string | undefined
}
