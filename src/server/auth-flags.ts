/**
 * Secrets on the command line: by file or environment, never as an argument, which any process of
 * the machine may read.
 */
import { type Command, Option } from 'commander'
import type { ClientAuth, NodeAuth } from '../contracts/authentication.js'

export interface SecretFlags {
  secretFile?: string
}

export interface NodeAuthFlags extends SecretFlags {
  usersFile?: string
}

export interface ClientAuthFlags extends SecretFlags {
  user?: string
  passwordFile?: string
}

function secretFile(): Option {
  return new Option(
    '--secret-file <file>',
    "the cluster's secret, 32 bytes or more; or GCACHE_SECRET holds it",
  ).env('GCACHE_SECRET_FILE')
}

/** --secret-file and --users-file of a node. */
export function addNodeAuth(command: Command): Command {
  return command
    .addOption(secretFile())
    .option('--users-file <file>', 'who else may come in: lines of gcache user add')
}

/** --secret-file, --user and --password-file of a client. */
export function addClientAuth(command: Command): Command {
  return command
    .addOption(secretFile())
    .addOption(new Option('--user <name>', 'log in as this user').env('GCACHE_USER'))
    .addOption(
      new Option('--password-file <file>', "the user's password; or GCACHE_PASSWORD holds it").env(
        'GCACHE_PASSWORD_FILE',
      ),
    )
}

/** What the flags and the environment say over what `fromFile` has; undefined: nothing to prove. */
export function nodeAuth(flags: NodeAuthFlags, fromFile: unknown): unknown {
  const auth: NodeAuth = {}
  const { GCACHE_SECRET } = process.env
  if (flags.secretFile !== undefined) auth.secretFile = flags.secretFile
  else if (GCACHE_SECRET) auth.secret = GCACHE_SECRET
  if (flags.usersFile !== undefined) auth.usersFile = flags.usersFile
  if (Object.keys(auth).length === 0) return fromFile
  if (typeof fromFile !== 'object' || fromFile === null) return fromFile ?? auth
  const kept = Object.entries(fromFile).filter(([name]) => {
    if (name === 'secret' || name === 'secretFile')
      return auth.secretFile === undefined && auth.secret === undefined
    return !(name === 'users' && auth.usersFile !== undefined)
  })
  return { ...Object.fromEntries(kept), ...auth }
}

/** A user goes before the secret; undefined: nothing to prove. */
export function clientAuth(flags: ClientAuthFlags): ClientAuth | undefined {
  const { GCACHE_SECRET, GCACHE_PASSWORD } = process.env
  const { user, passwordFile, secretFile } = flags
  if (user !== undefined) {
    if (passwordFile !== undefined) return { user, passwordFile }
    return GCACHE_PASSWORD ? { user, password: GCACHE_PASSWORD } : { user }
  }
  if (secretFile !== undefined) return { secretFile }
  return GCACHE_SECRET ? { secret: GCACHE_SECRET } : undefined
}
