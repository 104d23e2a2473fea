/**
 * What all commands share: how a failure becomes one line on stderr and an exit code, and how a
 * Client is opened for the time of one command. Imports no more than a client needs: a command
 * should answer at once.
 */
import { Command, CommanderError, Option } from 'commander'
import { Client, connectWith } from '../client/connect.js'
import { clientTransport, worldFor } from '../defaults.js'
import { GcacheError } from '../errors.js'
import { schemeOfTransport } from '../registry.js'
import { addClientAuth, type ClientAuthFlags, clientAuth } from './auth-flags.js'
import { addDiscovery, type DiscoveryFlags, discoveryOf } from './discovery-flags.js'
import { DEFAULT_CLUSTER, parseDuration, parseServers } from './parse.js'
import { plain } from './plain.js'
import { addClientTls, type ClientTlsFlags, clientTls } from './tls-flags.js'

export const EXIT = { ok: 0, no: 1, trouble: 2 } as const

/** Codes of the caller's own mistakes: exit 2 everywhere. */
const USAGE_CODES = new Set(['CONFIG', 'ADDRESS_INVALID', 'INSECURE'])

/** A subcommand whose own usage errors come back as exceptions. */
export function subcommand(name: string, summary: string): Command {
  return new Command(name).description(summary).exitOverride()
}

/** Prints one line and says the exit code; `trouble` is what is not the caller's own mistake. */
export function failure(error: unknown, trouble: number = EXIT.trouble): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.trouble
  process.stderr.write(`gcache: ${oneLine(error)}\n`)
  return error instanceof GcacheError && USAGE_CODES.has(error.code) ? EXIT.trouble : trouble
}

/** Runs a command and says its exit code. An error of a code in `noes` is no trouble: exit 1. */
export async function runCommand(
  work: () => Promise<number>,
  noes: ReadonlySet<string> = new Set(),
): Promise<void> {
  try {
    process.exitCode = await work()
  } catch (error) {
    const no = error instanceof GcacheError && noes.has(error.code)
    process.exitCode = failure(error, no ? EXIT.no : EXIT.trouble)
  }
}

/** The cluster's no, as against trouble in asking it. */
const ADMIN_NOES = new Set([
  'BUSY',
  'HANDOVER_FAILED',
  'HANDOVER_REFUSED',
  'HEALTHY',
  'MEMBER_LEADS',
  'NODE_EMPTY',
  'NOT_A_MEMBER',
])

/** runCommand() of an admin: 1 where the cluster said no, 2 where asking it was trouble. */
export function runAdmin(work: () => Promise<number>): Promise<void> {
  return runCommand(work, ADMIN_NOES)
}

/** The message, with its code where it has one; a foreign error keeps its name. */
export function oneLine(error: unknown): string {
  const text =
    error instanceof GcacheError
      ? `${error.message} (${error.code})`
      : error instanceof Error
        ? `${error.name}: ${error.message}`
        : String(error)
  // A server's own words may be in it.
  return plain(text.replace(/\s*\n\s*/g, ' '))
}

export interface ServerOptions extends ClientAuthFlags, ClientTlsFlags, DiscoveryFlags {
  server: string[]
  cluster: string
  timeout: string
  transport?: string
}

const collect = (text: string, before: string[] | undefined) => [...(before ?? []), text]

/** --server, --cluster, --timeout, who we are and --tls-*, with their environment variables. */
export function addServerOptions(command: Command): Command {
  return addDiscovery(addClientTls(addClientAuth(command)))
    .addOption(
      new Option('--server <addresses>', 'servers to ask, ADDR[,ADDR]; any one will do')
        .env('GCACHE_SERVER')
        .argParser(collect)
        .default(undefined, 'tcp://127.0.0.1:7400'),
    )
    .addOption(
      new Option('--cluster <name>', 'name of the cluster')
        .env('GCACHE_CLUSTER')
        .default(DEFAULT_CLUSTER),
    )
    .option('--transport <name>', 'with --discovery: how nodes are reached (default: tcp)')
    .option('--timeout <duration>', 'every call settles within it', '5s')
}

/** The options of --server and --discovery, checked; without either, the default server. `scheme`:
 *  of what discovery finds. */
function clientOptions(options: ServerOptions) {
  const auth = clientAuth(options)
  const tls = clientTls(options)
  const scheme = schemeFor(options, tls !== undefined)
  const discovery = discoveryOf(options, scheme)
  const named = options.server ?? (discovery === undefined ? ['tcp://127.0.0.1:7400'] : undefined)
  const wanted = {
    cluster: options.cluster,
    ...(named === undefined ? {} : { servers: parseServers(named) }),
    ...(discovery === undefined ? {} : { discovery }),
    timeoutMs: parseDuration(options.timeout, '--timeout'),
    ...(auth === undefined ? {} : { auth }),
    ...(tls === undefined ? {} : { tls }),
  }
  return { wanted, scheme }
}

/** Of the addresses that discovery finds; undefined: nobody has said. */
function schemeFor(options: ServerOptions, encrypted: boolean): string | undefined {
  const { transport, discovery, server } = options
  if (transport === undefined) return undefined
  if (discovery === undefined || server !== undefined)
    throw new GcacheError(
      'CONFIG',
      '--transport is for --discovery alone: the addresses of --server say it themselves',
    )
  const scheme = schemeOfTransport(transport)
  return scheme === 'ws' && encrypted ? 'wss' : scheme
}

/** Opens a Client, lets `work` use it, closes it whatever happens. */
export async function withClient<T>(
  options: ServerOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { wanted, scheme } = clientOptions(options)
  const transport = await clientTransport(wanted, scheme)
  const client = await connectWith(transport, wanted, worldFor(wanted))
  try {
    return await work(client)
  } finally {
    await client.close()
  }
}

/** How long `status` waits for a master before it shows that there is none. */
const MASTER_MS_MAX = 1_500

/** The same where a cluster without a master has something to tell as well. */
export async function withAnyNode<T>(
  options: ServerOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const { wanted, scheme } = clientOptions(options)
  const timeoutMs = Math.min(wanted.timeoutMs, MASTER_MS_MAX)
  const client = new Client({
    ...worldFor(wanted),
    ...wanted,
    timeoutMs,
    transport: await clientTransport(wanted, scheme),
  })
  try {
    await client.open().catch((error: unknown) => {
      if (!(error instanceof GcacheError) || error.code !== 'NOT_READY') throw error
    })
    return await work(client)
  } finally {
    await client.close()
  }
}
