/**
 * Where the handshake of a stream and an Authenticator meet: when an exchange begins, and when the
 * lack of one is a refusal. Both sides have an authenticator, or neither has.
 */
import { PROTOCOL_VERSION } from '../../src/config.js'
import type {
  Authenticator,
  Exchange,
  ExchangeEvents,
  Identity,
  Surroundings,
} from '../../src/contracts/authentication.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { hostOf } from './admission.js'
import { clip, type Hello } from './hello.js'
import type { StreamConnection } from './layer.js'

/** The dialler's exchange, once its connection is open. */
export function dialled(
  authenticator: Authenticator | undefined,
  hello: Hello,
  connection: StreamConnection | undefined,
  events: ExchangeEvents,
): (Exchange & { readonly first: string }) | undefined {
  return authenticator?.prove(hello, around(connection), events)
}

/** The acceptor's exchange; undefined where none is held: nobody asks for one, or the hello will be
 *  refused anyhow, because it is of another version and cannot be read, or says that we dialled
 *  ourselves, which whoever wrote the addresses should hear. */
export function examined(
  authenticator: Authenticator | undefined,
  self: PeerId,
  hello: Hello,
  connection: StreamConnection | undefined,
  events: ExchangeEvents,
): Exchange | undefined {
  if (hello.version !== PROTOCOL_VERSION || hello.from === self) return undefined
  return authenticator?.examine(self, hello, hello.proof, around(connection), events)
}

/** Why the hello of a dialled node is not believed. */
export function unproved(
  authenticator: Authenticator | undefined,
  identity: Identity | undefined,
  speaker: PeerId | undefined,
  hello: Hello,
): GcacheError | undefined {
  if (authenticator === undefined) return undefined
  if (identity === undefined)
    return new GcacheError('AUTH_FAILED', 'the other side asks for no proof and gives none')
  if (speaker === hello.from) return undefined
  return new GcacheError('AUTH_FAILED', `${clip(hello.from)} answers with another's proof`)
}

/** What the other side gave as its reason. Only codes that say what to do next count. */
export function refusedBy(reason: string, code: string | undefined): GcacheError {
  const known = code === 'AUTH_FAILED' || code === 'CONFIG' || code === 'PREAUTH_LIMIT'
  return new GcacheError(known ? code : 'REFUSED', reason)
}

function around(connection: StreamConnection | undefined): Surroundings {
  const binding = connection?.secured?.binding
  // As strangers are counted: else whoever has 64 bits of IPv6 would guess from each address anew.
  const host = connection?.host === undefined ? undefined : hostOf(connection.host)
  return {
    ...(binding === undefined ? {} : { binding }),
    ...(host === undefined ? {} : { host }),
  }
}
