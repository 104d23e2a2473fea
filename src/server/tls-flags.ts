/**
 * TLS on the command line: certificates are files, so that a running server can read them again
 * (SIGHUP) when they were exchanged; a private key is never an argument.
 */
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { tlsCredentials } from '../../transports/stream/tls.js'
import type { Logger } from '../contracts/environment.js'
import type { TlsCredentials, TlsOptions, TlsPems } from '../contracts/tls.js'
import { SILENCE } from '../core/silence.js'
import { GcacheError } from '../errors.js'
import { readPrivate } from '../private-files.js'

/** The longest RSA keys have 13 KB. */
const KEY_BYTES_MAX = 65_536

export interface ClientTlsFlags {
  tls?: boolean
  tlsCert?: string
  tlsKey?: string
  tlsCa?: string
}

export interface NodeTlsFlags extends ClientTlsFlags {
  tlsDemand?: TlsOptions['demand']
  tlsMinVersion?: '1.2' | '1.3'
}

/** --tls-* of a node. */
export function addNodeTls(command: Command): Command {
  return command
    .option('--tls-cert <file>', "encrypt: this node's certificate, PEM, its id among the names")
    .option('--tls-key <file>', 'the private key of --tls-cert, PEM')
    .option('--tls-ca <file>', 'the authorities that vouch for the other nodes, PEM')
    .addOption(
      new Option('--tls-demand <who>', 'who must show a certificate (default: peers)').choices([
        'peers',
        'all',
        'none',
      ]),
    )
    .addOption(
      new Option('--tls-min-version <v>', 'oldest version of TLS spoken (default: 1.3)').choices([
        '1.2',
        '1.3',
      ]),
    )
}

/** --tls and --tls-* of a client, with their environment variables. */
export function addClientTls(command: Command): Command {
  const file = (flag: string, what: string, variable: string) =>
    new Option(`${flag} <file>`, what).env(variable)
  return command
    .option('--tls', 'encrypt, trusting whom Node.js trusts')
    .addOption(file('--tls-ca', 'encrypt, trusting these authorities, PEM', 'GCACHE_TLS_CA'))
    .addOption(file('--tls-cert', 'a certificate, if the nodes demand one', 'GCACHE_TLS_CERT'))
    .addOption(file('--tls-key', 'the private key of --tls-cert', 'GCACHE_TLS_KEY'))
}

/** What the flags of a client say; undefined: plain bytes. CONFIG for a file that is unreadable. */
export function clientTls(flags: ClientTlsFlags): TlsOptions | undefined {
  const { tls, tlsCert, tlsKey, tlsCa } = flags
  if (!tls && (tlsCert ?? tlsKey ?? tlsCa) === undefined) return undefined
  return pemsOf(flags, SILENCE)
}

/** Certificates of a node, from files. */
export interface TlsFiles {
  readonly credentials: TlsCredentials
  /** Reads the files again. What is wrong with them is logged, and the old serve on. */
  reload(): void
}

/** Undefined: plain bytes. CONFIG for files that are unreadable or do not fit each other; `logger`
 *  hears of what others may read. */
export function nodeTls(flags: NodeTlsFlags, logger: Logger): TlsFiles | undefined {
  const { tlsCert, tlsKey, tlsCa, tlsDemand, tlsMinVersion } = flags
  if ((tlsCert ?? tlsKey ?? tlsCa ?? tlsDemand ?? tlsMinVersion) === undefined) return undefined
  const credentials = tlsCredentials({
    ...pemsOf(flags, logger),
    ...(tlsDemand === undefined ? {} : { demand: tlsDemand }),
    ...(tlsMinVersion === undefined ? {} : { minVersion: `TLSv${tlsMinVersion}` }),
  })
  return {
    credentials,
    reload() {
      const files = [tlsCert, tlsKey, tlsCa].filter(file => file !== undefined)
      try {
        credentials.replace(pemsOf(flags, logger))
        logger.info({ files }, 'certificates were read again; new links use them')
      } catch (error) {
        const reason = (error as Error).message
        logger.error({ files, reason }, 'certificates stay as they were')
      }
    },
  }
}

function pemsOf({ tlsCert, tlsKey, tlsCa }: ClientTlsFlags, logger: Logger): TlsPems {
  return {
    ...(tlsCert === undefined ? {} : { cert: read('--tls-cert', tlsCert) }),
    ...(tlsKey === undefined ? {} : { key: readKey(tlsKey, logger) }),
    ...(tlsCa === undefined ? {} : { ca: read('--tls-ca', tlsCa) }),
  }
}

function readKey(file: string, logger: Logger): string {
  return readPrivate(file, KEY_BYTES_MAX, '--tls-key', logger).toString('utf8')
}

function read(flag: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new GcacheError('CONFIG', `${flag} ${file}: ${(cause as Error).message}`, { cause })
  }
}
