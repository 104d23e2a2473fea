/**
 * GcacheError and the one table of codes. A code is a condition; its row says when it is thrown,
 * whether the same call may succeed later, and what to do about it.
 */

export interface ErrorRow {
  readonly when: string
  readonly retryable: boolean
  readonly remedy: string
}

const row = (retryable: boolean, when: string, remedy: string): ErrorRow => ({
  when,
  retryable,
  remedy,
})

export const ERROR_CODES = {
  ACK_TIMEOUT: row(
    true,
    'the wanted copies were not reached in time; the write may survive',
    'read back, or repeat it with the same condition; look at `gcache status`',
  ),
  ADDRESS_IN_USE: row(
    false,
    'the listen address is taken',
    'stop the other process or choose another port',
  ),
  ADDRESS_INVALID: row(
    false,
    'an address cannot be parsed or bound',
    'write it as tcp://host:port',
  ),
  ALREADY_EXISTS: row(false, 'ifAbsent met a record', 'read it, or set without ifAbsent'),
  AUTH_FAILED: row(
    false,
    'one side of a link did not prove who it is; the reason is never told',
    "check user and password, or the cluster's secret, on both sides",
  ),
  BUSY: row(
    true,
    'too many bytes or calls wait unanswered, or another change is under way',
    'slow down and try again',
  ),
  CACHE_FULL: row(
    true,
    'the value alone is too large for the cache, or it is full and may not evict',
    'raise maxEntries or maxBytes, delete, or allow eviction',
  ),
  CLIENT_EXPIRED: row(
    false,
    'a retried write came after its idempotency window was gone',
    'read back what the write should have done',
  ),
  CLOSED: row(false, 'the node or client was closed', 'use an open one'),
  CLOCK_SKEW: row(
    true,
    'the clock of this node is more than 2 s ahead of the others: they would refuse what it writes',
    'set the clock; another node takes the write meanwhile',
  ),
  CODEC: row(false, 'a value could not be encoded or decoded', 'use the codec that wrote it'),
  CONFIG: row(
    false,
    'a configuration is wrong or names an unknown option',
    'the message names the option and a remedy',
  ),
  DIVERGED: row(
    false,
    'what the token stands for was lost in a divergence, or its epoch is too old to be known',
    'read again without that token; a client has dropped its own by then',
  ),
  FORBIDDEN: row(
    false,
    'the role or the grants of a user do not allow it',
    'log in as another user, or give this one the grant (`gcache user add --grant`)',
  ),
  FRAME_TOO_BIG: row(false, 'a frame is larger than the limit', 'raise the limit on every node'),
  HANDOVER_FAILED: row(
    true,
    'the node that was to take over did not; the old master leads on',
    'look at `gcache status`, then try again or name another node',
  ),
  HANDOVER_REFUSED: row(
    true,
    'no slave, or not the named one, is in sync and answers',
    'wait until `gcache status` shows it online, or name another node',
  ),
  HEALTHY: row(
    false,
    'the cluster has a serving master, or the partition has copies: nothing to begin anew',
    'leave it as it is; look at `gcache status`',
  ),
  ID_TAKEN: row(
    false,
    'another process has the id of this node, and lives',
    'give this node an id of its own, or stop the other one first',
  ),
  INSECURE: row(
    false,
    'a node would listen beyond loopback without authentication or without encryption',
    'configure auth and tls, listen on loopback, or say insecure: true',
  ),
  INTERNAL: row(false, 'an invariant was broken', 'report it with the message'),
  LIMIT: row(
    false,
    'a key, name, value or count is larger than its limit',
    'the message names the limit',
  ),
  MEMBER_LEADS: row(
    true,
    'the member that is to leave is the master',
    'hand over first; leave() of a node or client does so by itself',
  ),
  NAME_UNRESOLVED: row(
    true,
    'discovery asked a name server, and no address came back',
    'check the name, its records and the name server; it is asked again',
  ),
  NODE_EMPTY: row(
    false,
    'a node without data is to be forced, and another one holds some',
    'force the node with the most entries; say empty to give up what the others hold',
  ),
  NOT_A_MEMBER: row(
    false,
    'the node does not belong to the cluster, or no longer',
    'let it join (`gcache join`), or name a member of `gcache status`',
  ),
  NOT_ENOUGH_COPIES: row(
    true,
    'the ack level needs more copies than there are',
    'bring nodes back, or ask for fewer copies',
  ),
  NOT_FOUND: row(false, 'there is no such record', 'nothing to do'),
  NOT_MASTER: row(true, 'the node is not master', 'ask the master; clients do so by themselves'),
  NOT_READY: row(true, 'the node is not serving yet', 'wait for ready'),
  NO_MAJORITY: row(
    true,
    'the master cannot reach more than half of the voters',
    'mend the network or start nodes; another master may serve meanwhile',
  ),
  NO_SUCH_CACHE: row(
    false,
    'no configuration names the cache and auto caches are off',
    'name it under caches',
  ),
  PARTITION_LOST: row(
    false,
    'every copy of the partition that the key lies in is gone',
    'bring back a node that holds one, or begin it anew, empty (`gcache reset-partition N`)',
  ),
  PREAUTH_LIMIT: row(
    true,
    'a stranger says or asks for more than the handshake allows, or too many knock at once',
    'check that gcache dials there; if many share an address, raise timeoutMs or spread dials',
  ),
  PROTOCOL_ERROR: row(
    false,
    'bytes that are no frame of this protocol',
    'check that both sides are gcache of like versions',
  ),
  READ_MODE: row(
    false,
    'the strategy has no such reads: linearizable ones need profile majority',
    "read from the master (read: 'master'), or change the profile",
  ),
  REFUSED: row(false, 'the other side refused the handshake', 'the message has its reason'),
  SLOW_CONSUMER: row(
    true,
    'a client does not read what waits for it',
    'read replies and events as they come; it may dial again at once',
  ),
  TIMEOUT: row(
    true,
    'the call did not settle before its deadline',
    'check the servers; raise timeoutMs',
  ),
  TLS_FAILED: row(
    false,
    'TLS with the other side failed: a certificate is not trusted, or the versions differ',
    'the message has the reason; look at cert, key and ca on both sides',
  ),
  TLS_IDENTITY: row(
    false,
    'a certificate does not name the node that shows it',
    'issue one whose subjectAltName is the id of the node',
  ),
  TOO_STALE: row(
    true,
    'the node is further behind than maxStaleMs allows, and no master answers either',
    'check the servers; raise maxStaleMs',
  ),
  UNREACHABLE: row(
    true,
    'none of the servers could be reached',
    'check the list and that a server runs',
  ),
  VERSION_MISMATCH: row(false, 'ifVersion met another version', 'read again and decide again'),
  WRONG_EPOCH: row(
    true,
    'the client knows no table of groups, or an old one, and asked where the key is not served',
    'take the newest table that the node said, and ask whom it names; clients do so by themselves',
  ),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERROR_CODES

/** With these a living process turned a handshake down, or would be: no evidence of its death.
 *  Whether another dial may be let in is for each to say, by `retryable`. */
export const REFUSALS: ReadonlySet<unknown> = new Set<ErrorCode>([
  'AUTH_FAILED',
  'PREAUTH_LIMIT',
  'REFUSED',
  'TLS_FAILED',
  'TLS_IDENTITY',
])

export interface GcacheErrorOptions {
  cause?: unknown
  /** For a write: surely not done, or nobody can say. */
  outcome?: 'rejected' | 'unknown'
  /** For bytes that are none of this protocol: where, counted from 0. */
  offset?: number
  /** For a call with many keys: those that failed, each with its own error. */
  failed?: ReadonlyMap<string, GcacheError>
}

/** Every rejected call and every refused configuration. Never holds a value or a secret. */
export class GcacheError extends Error {
  override readonly name = 'GcacheError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly outcome: 'rejected' | 'unknown' | undefined
  readonly offset: number | undefined
  readonly failed: ReadonlyMap<string, GcacheError> | undefined

  constructor(code: ErrorCode, message: string, options: GcacheErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = ERROR_CODES[code].retryable
    this.outcome = options.outcome
    this.offset = options.offset
    this.failed = options.failed
  }
}

/** Narrows an unknown code from the wire; anything foreign is a PROTOCOL_ERROR. */
export function errorCode(text: string): ErrorCode {
  return Object.hasOwn(ERROR_CODES, text) ? (text as ErrorCode) : 'PROTOCOL_ERROR'
}
