/**
 * The table of SECURITY 6: which role may send which frame, and do which operation to a cache.
 * Whatever has no row is refused, so a frame that comes later is nobody's until it gets one.
 *
 * Words of the table: yes; no; read, write, admin: a client with that grant for the cache; own: of
 * a node, for the application in its own process. No node forwards calls of others.
 */
import { createHash } from 'node:crypto'
import { AUTH, LIMITS } from '../config.js'
import type { Grant, Identity, Role } from '../contracts/authentication.js'
import type { Access, Authority } from '../contracts/authorisation.js'
import type { PeerId } from '../contracts/types.js'
import { OP } from '../wire/command.js'
import type { Control } from '../wire/control.js'
import { covers } from './grants.js'

export type Cell = 'yes' | 'no' | 'own' | 'read' | 'write' | 'admin'

/** In the order of the columns. */
export const ROLES = ['client', 'peer', 'observer', 'admin'] as const satisfies readonly Role[]
export type Row = readonly [client: Cell, peer: Cell, observer: Cell, admin: Cell]

const EVERYBODY: Row = ['yes', 'yes', 'yes', 'yes']
const READS: Row = ['read', 'own', 'no', 'yes']
const WRITES: Row = ['write', 'own', 'no', 'yes']
const NODES: Row = ['no', 'yes', 'no', 'no']
const NOBODY: Row = ['no', 'no', 'no', 'no']

/** Operations of a request (wire/command.ts). */
export const OPERATIONS: Readonly<Record<keyof typeof OP, Row>> = {
  get: READS,
  has: READS,
  size: READS,
  scan: READS,
  set: WRITES,
  delete: WRITES,
  touch: WRITES,
  clear: WRITES,
  /** It names no cache: whoever may write to any may open one. */
  openWindow: WRITES,
  // Entries of the master itself, which no request may hold.
  configure: NOBODY,
  expire: NOBODY,
  evict: NOBODY,
  noop: NOBODY,
  closeWindow: NOBODY,
  view: NOBODY,
}

/** Control messages (wire/control.ts). */
export const CONTROLS: Readonly<Record<Control['type'], Row>> = {
  watch: READS,
  /** Of one's own watch: who has none ends none. */
  unwatch: ['yes', 'own', 'no', 'yes'],
  hint: ['yes', 'yes', 'no', 'yes'],
  status: ['no', 'yes', 'yes', 'yes'],
  /** Handover, join, leave, force-bootstrap, reset-partition. */
  admin: ['no', 'own', 'no', 'yes'],
  // What a node says, by itself or as an answer.
  view: NODES,
  farewell: NODES,
  refused: NODES,
  'status-reply': NODES,
  'admin-reply': NODES,
}

/** Kinds of frames (wire/requests.ts), and what goes before a link is up. */
export const FRAMES = {
  handshake: EVERYBODY,
  /** As its operations. */
  request: EVERYBODY,
  /** As its message. */
  control: EVERYBODY,
  reply: NODES,
  groupReply: NODES,
  event: NODES,
  /** All from 0x40 on: sync, append, acks, heartbeat, probe, prepare, promise, pull, copies ... */
  strategyFirst: NODES,
} as const satisfies Readonly<Record<string, Row>>

const READ = 1
const WRITE = 2
const ADMIN = 4
/** What a cell asks of the rights to a cache; -1: nothing gives it. */
const NEEDS: Readonly<Record<Cell, number>> = {
  no: -1,
  yes: 0,
  own: 0,
  read: READ,
  write: WRITE,
  admin: ADMIN,
}

/** What each role needs for each operation, by its number. */
const OPERATION_NEEDS: Readonly<Record<Role, Int8Array>> = {
  client: needsOf('client'),
  peer: needsOf('peer'),
  observer: needsOf('observer'),
  admin: needsOf('admin'),
}

function needsOf(role: Role): Int8Array {
  const needs = new Int8Array(256).fill(-1)
  const column = ROLES.indexOf(role)
  for (const [name, row] of Object.entries(OPERATIONS))
    needs[OP[name as keyof typeof OP]] = NEEDS[row[column]]
  return needs
}

const NOTHING = new Int8Array(256).fill(-1)

/** Judges by the table. */
export const AUTHORITY: Authority = {
  access: (peer: PeerId, identity: Identity | undefined): Access => new LinkAccess(peer, identity),
}

class LinkAccess implements Access {
  readonly user: string
  readonly role: Role | undefined
  readonly #grants: readonly Grant[]
  readonly #needs: Int8Array
  /** Rights to caches that were asked for, newest last. */
  readonly #judged = new Map<string, number>()
  /** Rights to any cache at all. */
  readonly #somewhere: number
  #lastCache: string | undefined
  #lastRights = 0
  #lastWindow = ''
  #ownWindow = ''

  constructor(peer: PeerId, identity: Identity | undefined) {
    // A node's name without a node's proof, or the other way round, is nobody.
    const isNode = !peer.startsWith('~')
    const role = identity !== undefined && isNode === (identity.role === 'peer')
    this.role = role ? identity.role : undefined
    this.user = identity?.user ?? 'nobody'
    this.#needs = this.role === undefined ? NOTHING : OPERATION_NEEDS[this.role]
    this.#grants = this.role === 'client' ? (identity?.grants ?? []) : []
    this.#somewhere = this.#grants.reduce((all, grant) => all | bitsOf(grant), 0)
  }

  mayDo(op: number, cache: string): boolean {
    const need = this.#needs[op]
    if (need <= 0) return need === 0
    const rights = op === OP.openWindow ? this.#somewhere : this.#rightsTo(cache)
    return (rights & need) !== 0
  }

  mayTell(type: string, cache?: string): boolean {
    if (this.role === undefined || !Object.hasOwn(CONTROLS, type)) return false
    const need = NEEDS[CONTROLS[type as Control['type']][ROLES.indexOf(this.role)]]
    if (need <= 0) return need === 0
    return cache !== undefined && (this.#rightsTo(cache) & need) !== 0
  }

  window(id: string): string {
    // A node's own calls keep their name: after a failover they come over another way.
    if (this.role === 'peer') return id
    if (id === this.#lastWindow) return this.#ownWindow
    this.#lastWindow = id
    // The id is always as long, so no two pairs read alike.
    const hash = createHash('sha256').update(this.user, 'utf8').update(id, 'latin1').digest()
    this.#ownWindow = hash.subarray(0, 16).toString('latin1')
    return this.#ownWindow
  }

  #rightsTo(cache: string): number {
    if (cache === this.#lastCache) return this.#lastRights
    // No cache has such a name, and nobody makes us remember it.
    if (cache.length > LIMITS.cacheNameBytesMax) return 0
    let rights = this.#judged.get(cache)
    if (rights === undefined) {
      rights = 0
      for (const grant of this.#grants) if (covers(grant, cache)) rights |= bitsOf(grant)
      if (this.#judged.size >= AUTH.cachesJudgedMax) this.#judged.clear()
      this.#judged.set(cache, rights)
    }
    this.#lastCache = cache
    this.#lastRights = rights
    return rights
  }
}

function bitsOf({ rights }: Grant): number {
  if (rights.includes('a')) return READ | WRITE | ADMIN
  return (rights.includes('r') ? READ : 0) | (rights.includes('w') ? WRITE : 0)
}
