/**
 * Who may do what (SECURITY 6), as the engine sees it: an Authority judges a link once, when it
 * comes up, and what it returns answers for every frame of that link. The table behind it stands in
 * src/security/roles.ts; the engine only asks.
 */
import type { Identity, Role } from './authentication.js'
import type { PeerId } from './types.js'

/** What one link may do. Answers are the same for as long as the link lasts. */
export interface Access {
  readonly user: string
  /** Undefined: nothing was proved, so nothing may be done. */
  readonly role: Role | undefined
  /** May it do the operation `op` of wire/command.ts to `cache`? False for an `op` without a row,
   *  and for a cache that no grant names. Allocates nothing for a cache met before. */
  mayDo(op: number, cache: string): boolean
  /** May it send the control message `type` of wire/control.ts; `cache`: the one it names. */
  mayTell(type: string, cache?: string): boolean
  /** The idempotency window that it calls `id`, 16 chars of one byte, as its user's own: another
   *  user who names the same `id` gets another window. */
  window(id: string): string
}

export interface Authority {
  /** Once a link; `identity` undefined: the transport proved nothing. */
  access(peer: PeerId, identity: Identity | undefined): Access
}
