/**
 * The option `auth` of createNode and connect: from what an application says to an Authenticator,
 * with secrets read from files and held where nothing prints them.
 *
 *   node     { secretFile } or { secret }, and usersFile or users: who else may log in
 *   client   { secretFile } or { secret }, or { user, passwordFile } or { user, password }
 */

import { createHash } from 'node:crypto'
import { AUTH } from './config.js'
import type { Authenticator, ClientAuth, NodeAuth, Redacted } from './contracts/authentication.js'
import type { Clock, Logger } from './contracts/environment.js'
import type { TransportFactory } from './contracts/transport.js'
import { SILENCE } from './core/silence.js'
import { suggestion } from './core/suggest.js'
import { GcacheError } from './errors.js'
import { readPrivate } from './private-files.js'
import { createAuthenticator, type KnowingAuthenticator } from './security/authenticator.js'
import {
  type Credential,
  CredentialStore,
  checkUser,
  parseCredentials,
  SECRET_USER,
} from './security/credentials.js'
import { Keychain } from './security/keychain.js'
import { type ClientKeys, hmac, storedKeys } from './security/scram.js'
import { Secret, secretFrom } from './security/secret.js'

const NODE_NAMES = ['secret', 'secretFile', 'users', 'usersFile', 'iterations']
const CLIENT_NAMES = ['secret', 'secretFile', 'user', 'password', 'passwordFile']

/** Names of users in one line of the log. */
const NAMES_LOGGED_MAX = 20

interface World {
  readonly clock: Clock
  readonly logger: Logger
}

/** A node's, whose users may change. */
export interface NodeAuthenticator extends KnowingAuthenticator {
  /** Reads auth.usersFile again; how many users it has. CONFIG if there is none, or if anything is
   *  wrong with it: then the users stay as they were. */
  reload(): number
}

/** CONFIG for a wrong option, an unreadable file, a secret that is too short. Takes some 0.3 s. */
export async function nodeAuthenticator(
  auth: NodeAuth,
  cluster: string,
  world: World,
): Promise<NodeAuthenticator> {
  checkNames(auth, NODE_NAMES)
  const { logger } = world
  const secret = secretOf(auth, logger)
  const users = usersOf(auth, logger)
  warnOfBare(users, logger)
  const iterations = auth.iterations ?? AUTH.iterations
  if (!Number.isInteger(iterations) || iterations < AUTH.iterationsMin)
    throw config(`auth.iterations must be a whole number from ${AUTH.iterationsMin}`)
  if (iterations > AUTH.iterationsMax)
    throw config(`auth.iterations must be at most ${AUTH.iterationsMax}`)
  const salt = createHash('sha256').update(`gcache secret ${cluster}`).digest().subarray(0, 16)
  const keychain = new Keychain(secret)
  // Every node derives the same keys: the first dial finds them ready.
  const keys = await new Promise<ClientKeys | undefined>(resolve =>
    keychain.keys(salt, iterations, resolve),
  )
  if (keys === undefined) throw new GcacheError('INTERNAL', 'PBKDF2 is not to be had here')
  const stored = storedKeys(keys, salt, iterations)
  const key = secret.expose(bytes => hmac(bytes, 'gcache users that there are not'))
  const store = new CredentialStore(users, key)
  const reload = () => {
    if (auth.usersFile === undefined) throw config('auth has no usersFile that could be read again')
    const now = usersOf(auth, logger)
    warnOfBare(now, logger)
    store.replace(now)
    return now.size
  }
  const authenticator = createAuthenticator({
    ...world,
    dials: { user: SECRET_USER, keychain },
    accepts: { secret: stored, users: store },
  })
  return Object.assign(authenticator, { reload })
}

function warnOfBare(users: ReadonlyMap<string, Credential>, logger: Logger): void {
  const bare = [...users.values()].filter(isBare).map(({ user }) => user)
  if (bare.length > 0)
    logger.warn(
      { users: bare.slice(0, NAMES_LOGGED_MAX), count: bare.length },
      'clients without grants may touch no cache: end their lines with one, such as *:rw',
    )
}

/** CONFIG as above. */
export function clientAuthenticator(auth: ClientAuth, world: World): Authenticator {
  checkNames(auth, CLIENT_NAMES)
  const { user } = auth
  if (user === undefined) {
    if (auth.password !== undefined || auth.passwordFile !== undefined)
      throw config('auth.user is missing: whose password is it?')
    return createAuthenticator({
      ...world,
      dials: { user: SECRET_USER, keychain: new Keychain(secretOf(auth, world.logger)) },
    })
  }
  if (auth.secret !== undefined || auth.secretFile !== undefined)
    throw config('auth has a user and a secret: a user has a password, keep one of them')
  const password = oneOf('password', auth.password, auth.passwordFile, 1, world.logger)
  return createAuthenticator({
    ...world,
    dials: { user: checkUser(user), keychain: new Keychain(password) },
  })
}

/**
 * What signs the announcements of a cluster: by a key of its own, so that no announcement says
 * anything of the keys of links. Undefined where `auth` has no secret. CONFIG as above.
 */
export function announcementSigner(
  auth: NodeAuth | ClientAuth | undefined,
  cluster: string,
): ((bytes: Uint8Array) => Uint8Array) | undefined {
  if (auth === undefined || 'user' in auth) return undefined
  // Who reads it for the links has been told who else may.
  const key = secretOf(auth, SILENCE).expose(bytes =>
    hmac(bytes, `gcache announcements of ${cluster}`),
  )
  return bytes => hmac(key, bytes)
}

/** `factory`, whose links prove themselves by `authenticator`. */
export function authenticated(
  factory: TransportFactory,
  authenticator: Authenticator | undefined,
): TransportFactory {
  return authenticator === undefined ? factory : env => factory({ ...env, authenticator })
}

function isBare({ role, grants }: Credential): boolean {
  return role === 'client' && grants.length === 0
}

function secretOf({ secret, secretFile }: NodeAuth, logger: Logger): Secret {
  return oneOf('secret', secret, secretFile, AUTH.secretBytesMin, logger)
}

/** A file's line, or what was given, itself if it is a Secret already. */
function oneOf(
  name: string,
  given: string | Uint8Array | Redacted | undefined,
  file: string | undefined,
  bytesMin: number,
  logger: Logger,
): Secret {
  if ((given === undefined) === (file === undefined))
    throw config(`auth needs either ${name} or ${name}File`)
  if (file !== undefined)
    return secretFrom(
      readPrivate(file, AUTH.secretFileBytesMax, `auth.${name}File`, logger),
      file,
      bytesMin,
    )
  if (given instanceof Secret) {
    if (given.length >= bytesMin) return given
  } else if (typeof given === 'string' || given instanceof Uint8Array) {
    const secret = new Secret(given)
    if (secret.length >= bytesMin) return secret
  } else throw config(`auth.${name} must be text, bytes or a Secret`)
  throw config(`auth.${name} must have at least ${bytesMin} bytes`)
}

function usersOf({ users, usersFile }: NodeAuth, logger: Logger) {
  if (users !== undefined && usersFile !== undefined)
    throw config('auth has users and usersFile: keep one of them')
  if (usersFile !== undefined) {
    const bytes = readPrivate(usersFile, AUTH.usersFileBytesMax, 'auth.usersFile', logger)
    return parseCredentials(bytes.toString('utf8'), usersFile)
  }
  if (users !== undefined && typeof users !== 'string')
    throw config('auth.users must be the lines that gcache user add prints')
  return parseCredentials(users ?? '', 'auth.users')
}

function checkNames(auth: unknown, names: readonly string[]): void {
  if (typeof auth !== 'object' || auth === null || Array.isArray(auth))
    throw config('auth must be an object, such as { secretFile: "/etc/gcache/secret" }')
  for (const name of Object.keys(auth))
    if (!names.includes(name))
      throw config(`unknown option ${name} in auth: ${suggestion(name, names)}`)
}

function config(text: string): GcacheError {
  return new GcacheError('CONFIG', text)
}
