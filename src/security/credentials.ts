/**
 * Who may log in, one line each, in the form that PostgreSQL made known; with it a server judges
 * proofs and can make none:
 *
 *   NAME ROLE SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY [GRANT,GRANT]
 *
 * Grants are a client's (grants.ts). A line without them, as all were once, gives a client none.
 */
import { randomBytes } from 'node:crypto'
import { AUTH } from '../config.js'
import type { Grant, Role } from '../contracts/authentication.js'
import { GcacheError } from '../errors.js'
import { formatGrant, GRANT_FORM, parseGrants } from './grants.js'
import { base64, bytesOf, deriveKeys, hmac, type StoredKeys, storedKeys } from './scram.js'
import type { Secret } from './secret.js'

export interface Credential extends StoredKeys {
  readonly user: string
  readonly role: Role
  /** Of role client; the others need none. */
  readonly grants: readonly Grant[]
}

/** What users may be; nodes are known by the cluster's secret. */
export const USER_ROLES: readonly Role[] = ['client', 'observer', 'admin']

/** The name under which the cluster's secret logs in. */
export const SECRET_USER = 'peer'

const NAME = /^[A-Za-z0-9._@-]{1,64}$/
const FORM = /^SCRAM-SHA-256\$([1-9]\d{0,9}):([^$:]+)\$([^$:]+):([^$:]+)$/
const SALT_BYTES = 16
const KEY_BYTES = 32

/** CONFIG for what is no name of a user, or a reserved one. */
export function checkUser(user: string): string {
  if (!NAME.test(user))
    throw config(`user ${JSON.stringify(user.slice(0, 80))}: 1 to 64 of A-Z a-z 0-9 . _ @ -`)
  if (user === SECRET_USER)
    throw config(`user ${SECRET_USER} is the cluster's secret: another name`)
  return user
}

/** CONFIG for what is no role of a user. */
export function checkRole(role: string): Role {
  if ((USER_ROLES as readonly string[]).includes(role)) return role as Role
  throw config(`role ${JSON.stringify(role.slice(0, 80))}: choose of ${USER_ROLES.join(', ')}`)
}

const NO_GRANTS: readonly Grant[] = []

/** CONFIG for grants of a role that takes none. */
export function checkGrants(role: Role, grants: readonly Grant[]): readonly Grant[] {
  if (role === 'client' || grants.length === 0) return grants
  const may = role === 'admin' ? 'do everything' : 'ask for the status and nothing else'
  throw config(`grants are for clients: role ${role} may ${may}, leave --grant out`)
}

/** A credential for `password`, which is only read. Takes some hundred ms, on another thread. */
export async function makeCredential(
  user: string,
  role: Role,
  password: Secret,
  iterations: number = AUTH.iterations,
  grants: readonly Grant[] = NO_GRANTS,
): Promise<Credential> {
  const salt = randomBytes(SALT_BYTES)
  return { user, role, grants, ...(await storedOf(password, salt, iterations)) }
}

/** What a server stores of `password`. */
export function storedOf(
  password: Secret,
  salt: Uint8Array,
  iterations: number,
): Promise<StoredKeys> {
  return new Promise((resolve, reject) => {
    password.expose(bytes =>
      deriveKeys(bytes, salt, iterations, (error, keys) => {
        if (keys === undefined) reject(error)
        else resolve(storedKeys(keys, salt, iterations))
      }),
    )
  })
}

export function formatCredential(credential: Credential): string {
  const { user, role, grants, iterations, salt, storedKey, serverKey } = credential
  const keys = `${base64(storedKey)}:${base64(serverKey)}`
  const granted = grants.length === 0 ? '' : ` ${grants.map(formatGrant).join(',')}`
  return `${user} ${role} SCRAM-SHA-256$${iterations}:${base64(salt)}$${keys}${granted}`
}

/**
 * The users of a file's `text`, by name; empty lines and those that begin with # are passed over.
 * CONFIG with `whose` name and the line's number, never with what stands in it.
 */
export function parseCredentials(text: string, whose: string): Map<string, Credential> {
  const users = new Map<string, Credential>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const credential = parseCredential(line)
    if (credential === undefined)
      throw config(`${whose}, line ${index + 1}: is no line that gcache user add prints`)
    const grants = grantsOf(line, credential.role)
    if (grants === undefined)
      throw config(`${whose}, line ${index + 1}: has grants that are none: ${GRANT_FORM}`)
    if (credential.iterations < AUTH.iterationsMin || credential.iterations > AUTH.iterationsMax)
      throw config(
        `${whose}, line ${index + 1}: ${credential.iterations} iterations, allowed are ` +
          `${AUTH.iterationsMin} to ${AUTH.iterationsMax}`,
      )
    if (users.has(credential.user))
      throw config(`${whose}, line ${index + 1}: ${credential.user} stands there twice`)
    users.set(credential.user, { ...credential, grants })
  }
  return users
}

function parseCredential(line: string): Credential | undefined {
  const [user = '', role = '', form = '', ...rest] = line.trim().split(/\s+/)
  const match = FORM.exec(form)
  if (match === null || rest.length > 1 || !NAME.test(user) || user === SECRET_USER)
    return undefined
  if (!(USER_ROLES as readonly string[]).includes(role)) return undefined
  const [salt, storedKey, serverKey] = match.slice(2).map(bytesOf)
  if (salt === undefined || salt.length < 8) return undefined
  if (storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) return undefined
  const iterations = Number(match[1])
  return { user, role: role as Role, grants: NO_GRANTS, iterations, salt, storedKey, serverKey }
}

/** Of a line that has all before them. */
function grantsOf(line: string, role: Role): readonly Grant[] | undefined {
  const [, , , written] = line.trim().split(/\s+/)
  if (written === undefined) return NO_GRANTS
  try {
    return checkGrants(role, parseGrants(written.split(',')))
  } catch {
    return undefined
  }
}

/** Looks users up. Of a user that there is not it makes up, always the same, what one would look
 *  like, so that nobody learns who exists. */
export class CredentialStore {
  #users: ReadonlyMap<string, Credential> = new Map()
  readonly #key: Uint8Array
  #iterations: number = AUTH.iterations

  /** `key` is the same on every node and unknown elsewhere. */
  constructor(users: ReadonlyMap<string, Credential>, key: Uint8Array) {
    this.#key = key
    this.replace(users)
  }

  /** From now on `users`. Whose line is as it was stays the same object. */
  replace(users: ReadonlyMap<string, Credential>): void {
    const kept = (each: Credential): Credential => {
      const before = this.#users.get(each.user)
      if (before !== undefined && formatCredential(before) === formatCredential(each)) return before
      // All of one make, the false ones as well: what is made otherwise takes another time.
      return uniform(each)
    }
    this.#users = new Map([...users].map(([user, each]) => [user, kept(each)]))
    // As whoever stands first: a made-up count that no user has would tell.
    const [first] = users.values()
    this.#iterations = first?.iterations ?? AUTH.iterations
  }

  /** True while the line that `credential` was made of stands there. */
  isCurrent(credential: Credential): boolean {
    return this.#users.get(credential.user) === credential
  }

  /** `known` false: no proof for these keys exists. The same work is done for every name. */
  find(user: string): { readonly credential: Credential; readonly known: boolean } {
    const salt = hmac(this.#key, `salt ${user}`).subarray(0, SALT_BYTES)
    const storedKey = hmac(this.#key, `stored ${user}`)
    const iterations = this.#iterations
    const keys = { salt, iterations, storedKey, serverKey: storedKey }
    const falseOne = uniform({ user, role: 'client', grants: NO_GRANTS, ...keys })
    const credential = this.#users.get(user)
    return { credential: credential ?? falseOne, known: credential !== undefined }
  }
}

function uniform(credential: Credential): Credential {
  const { user, role, grants, salt, iterations, storedKey, serverKey } = credential
  return {
    user,
    role,
    grants,
    salt: Buffer.from(salt),
    iterations,
    storedKey: Buffer.from(storedKey),
    serverKey: Buffer.from(serverKey),
  }
}

function config(text: string): GcacheError {
  return new GcacheError('CONFIG', text)
}
