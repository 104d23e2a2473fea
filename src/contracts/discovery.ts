/**
 * Discovery says where to dial, and nothing else: neither who may be trusted (the handshake of a
 * link decides) nor who leads or belongs (the strategy decides). What it says may be wrong, old or
 * forged, so whoever acts on it asks the process at that address first.
 *
 * D1  start() resolves once it listens, or could begin to ask; it rejects with CONFIG, INSECURE,
 *     ADDRESS_IN_USE or ADDRESS_INVALID for what no waiting mends
 * D2  known() is bounded (DISCOVERY.sightingsMax), costs no I/O and never throws
 * D3  trouble in between (a name server that does not answer) keeps what was known and is told by
 *     trouble(); it ends by itself
 * D4  `changed` is called from an event, never from inside start(), announce() or stop()
 * D5  stop() is idempotent; afterwards nothing is called and no handle is open
 */
import type { GcacheError } from '../errors.js'
import type { Clock, Logger, Random } from './environment.js'
import type { PeerId } from './types.js'

/** 'forming': it has no cluster yet; 'member': it is in one; 'leaving': it says good-bye. */
export type Presence = 'forming' | 'member' | 'leaving'

/** What a node says of itself. */
export interface Announcement {
  readonly id: PeerId
  /** 0..255 */
  readonly ordinal: number
  /** What others dial, at most DISCOVERY.addressBytesMax bytes of UTF-8. */
  readonly address: string
  readonly presence: Presence
  /** 16 hex digits, new with every process. */
  readonly process: string
  /** Wall ms at which that process began. */
  readonly since: number
  /** 16 hex digits that stand for the history of its data; zeros: none. */
  readonly history: string
}

/** An address, and what was said of it where the medium says more than addresses. */
export interface Sighting {
  readonly address: string
  readonly said?: Announcement
}

export interface DiscoveryEnv {
  readonly cluster: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** 32 bytes that only who knows the cluster's secret can make. Undefined: there is none. */
  readonly sign?: ((bytes: Uint8Array) => Uint8Array) | undefined
  /** Of the addresses that are dialled here, such as 'ws'. Undefined: nobody has said. */
  readonly scheme?: string | undefined
  /** There is a proof of who is who, but not a secret that signs: a client with a password. */
  readonly proved: boolean
  /** Unsigned beyond loopback was allowed. */
  readonly insecure: boolean
  /** Asked anew for each announcement. Undefined: a client, which only listens. */
  readonly self?: (() => Announcement) | undefined
}

export interface Discovery {
  readonly name: string
  /** `changed`: known() is not what it was. */
  start(changed: () => void): Promise<void>
  known(): readonly Sighting[]
  /** self() says something else than before. */
  announce?(): void
  /** Why it finds nothing, or nothing new, just now. */
  trouble?(): GcacheError | undefined
  /** Since the start: what was heard, and dropped by reason. Names as a status shows them. */
  counts?(): Readonly<Record<string, number>>
  /** A node that was announced is said to go. */
  stop(): Promise<void>
}

/** What `multicast()` and its like return: called once by the node or client that will use it.
 *  Throws CONFIG or INSECURE for what can be judged before anything is open. */
export type DiscoveryFactory = (env: DiscoveryEnv) => Discovery
