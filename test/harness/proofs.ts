/** Authenticators for tests: few iterations, keys derived beforehand, so virtual time can do. */
import { authenticated } from '../../src/auth.js'
import type { Authenticator } from '../../src/contracts/authentication.js'
import type { Clock, Logger } from '../../src/contracts/environment.js'
import type { TransportFactory } from '../../src/contracts/transport.js'
import { SILENCE } from '../../src/core/silence.js'
import { createAuthenticator } from '../../src/security/authenticator.js'
import {
  CredentialStore,
  formatCredential,
  makeCredential,
  SECRET_USER,
  storedOf,
} from '../../src/security/credentials.js'
import { parseGrants } from '../../src/security/grants.js'
import { Keychain } from '../../src/security/keychain.js'
import { Secret } from '../../src/security/secret.js'

export const SECRET = 'a secret of the whole cluster: 32 bytes or more'
export const PASSWORD = 'pencil-of-ann'
export const ITERATIONS = 4_096

const salt = Buffer.alloc(16, 3)
const stored = await storedOf(new Secret(SECRET), salt, ITERATIONS)
const grants = parseGrants(['*:rw'])
const ann = await makeCredential('ann', 'client', new Secret(PASSWORD), ITERATIONS, grants)
const users = new CredentialStore(new Map([['ann', ann]]), Buffer.alloc(32, 4))

/** What a users file says of ann. */
export const ANN = formatCredential(ann)

async function keychain(password: string, user: string): Promise<Keychain> {
  const chain = new Keychain(new Secret(password))
  const salts = [salt, users.find(user).credential.salt]
  for (const each of salts) await new Promise(resolve => chain.keys(each, ITERATIONS, resolve))
  return chain
}

const chains = {
  node: await keychain(SECRET, 'ann'),
  stranger: await keychain(`${SECRET}!`, 'ann'),
  ann: await keychain(PASSWORD, 'ann'),
  forgetful: await keychain(`${PASSWORD}!`, 'ann'),
  eve: await keychain(PASSWORD, 'eve'),
}

export type Who = keyof typeof chains

const USERS: Record<Who, string> = {
  node: SECRET_USER,
  stranger: SECRET_USER,
  ann: 'ann',
  forgetful: 'ann',
  eve: 'eve',
}

/** `who` dials so; whoever listens lets in who has the secret, and ann. */
export function authenticator(
  who: Who,
  clock: Clock,
  logger: Logger = SILENCE,
): Authenticator & { readonly failed: number } {
  return createAuthenticator({
    clock,
    logger,
    dials: { user: USERS[who], keychain: chains[who] },
    accepts: { secret: stored, users },
  })
}

/** A factory whose nodes all have the secret. */
export function proving(factory: TransportFactory): TransportFactory {
  return env => authenticated(factory, authenticator('node', env.clock, env.logger))(env)
}
