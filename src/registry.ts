/**
 * The built-ins by name and by URL scheme, imported when somebody asks for them: who uses TCP never
 * loads another medium's library.
 */
import { parseAddress } from '../transports/stream/address.js'
import { parseWebAddress } from '../transports/websocket/address.js'
import type { ElectionFactory } from './contracts/election.js'
import type { StrategyFactory } from './contracts/strategy.js'
import type { TlsCredentials, TlsOptions } from './contracts/tls.js'
import type { TransportFactory } from './contracts/transport.js'
import { suggestion } from './core/suggest.js'
import { GcacheError } from './errors.js'
import type { NamedStrategy } from './options.js'
import { isStrategyPath, strategyFromModule } from './strategy-module.js'

interface TransportRow {
  /** Schemes of the addresses that it serves, without the colon. */
  readonly schemes: readonly string[]
  load(tls?: TlsOptions | TlsCredentials): Promise<TransportFactory>
  /** Throws ADDRESS_INVALID for what can never be dialled. Absent: the medium judges by itself. */
  readonly check?: (address: string) => void
}

const TRANSPORTS: Record<string, TransportRow> = {
  tcp: {
    schemes: ['tcp'],
    load: async tls => (await import('../transports/tcp.js')).tcp(tls && { tls }),
    check: address => parseAddress('tcp', address),
  },
  websocket: {
    schemes: ['ws', 'wss'],
    load: async tls => (await import('../transports/websocket.js')).websocket(tls && { tls }),
    check: parseWebAddress,
  },
  nats: {
    schemes: ['nats'],
    load: async tls => {
      if (tls === undefined) return (await import('../transports/nats.js')).nats()
      throw new GcacheError(
        'CONFIG',
        'option tls is for media without a broker: pass transport: nats({ broker: { tls } })',
      )
    },
  },
  memory: {
    schemes: ['memory'],
    load: async () => {
      throw new GcacheError(
        'CONFIG',
        'transport memory lives in one process and needs its network: make a MemoryNetwork from ' +
          'gcache/transports/memory and pass its transport',
      )
    },
  },
}

const STRATEGIES: Record<string, (options: object) => Promise<StrategyFactory>> = {
  'master-slave': async options =>
    (await import('../strategies/master-slave/index.js')).masterSlave(options) as StrategyFactory,
  partitioned: async options =>
    (await import('../strategies/partitioned/index.js')).partitioned(options) as StrategyFactory,
  broadcast: async options =>
    (await import('../strategies/broadcast/index.js')).broadcast(options) as StrategyFactory,
}

/** Plug-ins of a strategy's option `election`, by name. */
const ELECTIONS: Record<string, (options: object) => Promise<ElectionFactory>> = {
  nats: async options => (await import('../transports/nats.js')).natsLease(options),
}

export const STRATEGY_NAMES: readonly string[] = Object.keys(STRATEGIES)
export const TRANSPORT_NAMES: readonly string[] = Object.keys(TRANSPORTS)

/** The built-in transport `name`. CONFIG with a suggestion for what there is not. */
export async function transportByName(
  name: string,
  tls?: TlsOptions | TlsCredentials,
): Promise<TransportFactory> {
  return await rowNamed(name).load(tls)
}

/** The scheme of plain addresses of the built-in transport `name`. CONFIG as above. */
export function schemeOfTransport(name: string): string {
  return rowNamed(name).schemes[0]
}

function rowNamed(name: string): TransportRow {
  if (Object.hasOwn(TRANSPORTS, name)) return TRANSPORTS[name]
  throw new GcacheError('CONFIG', `unknown transport ${name}: ${suggestion(name, TRANSPORT_NAMES)}`)
}

/** The built-in transport for `address`, by its scheme. ADDRESS_INVALID if none serves it. */
export async function transportByAddress(
  address: string,
  tls?: TlsOptions | TlsCredentials,
): Promise<TransportFactory> {
  const scheme = schemeOf(address)
  const schemes = Object.values(TRANSPORTS).flatMap(row => row.schemes)
  if (scheme === undefined)
    throw new GcacheError(
      'ADDRESS_INVALID',
      `address ${address} has no scheme: write tcp://${address}`,
    )
  const row = rowOf(address)
  if (row !== undefined) return await row.load(tls)
  throw new GcacheError(
    'ADDRESS_INVALID',
    `no built-in transport serves ${scheme}: in ${address}; ${suggestion(scheme, schemes)}`,
  )
}

/** The scheme of `address` without its colon, in small letters; undefined: it has none. */
export function schemeOf(address: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):/i.exec(address)?.[1].toLowerCase()
}

/** A built-in transport judges addresses of this scheme; other media know their own. */
export function isBuiltIn(address: string): boolean {
  return rowOf(address)?.check !== undefined
}

/** ADDRESS_INVALID for an address of a built-in transport's scheme that it could never dial. */
export function checkAddress(address: string): void {
  rowOf(address)?.check?.(address)
}

function rowOf(address: string): TransportRow | undefined {
  const scheme = schemeOf(address) ?? ''
  return Object.values(TRANSPORTS).find(row => row.schemes.includes(scheme))
}

/** ADDRESS_INVALID if `address` is of another scheme than `first`: one transport reaches all. */
export function checkSameScheme(first: string, address: string): void {
  const [expected, scheme] = [schemeOf(first), schemeOf(address)]
  if (scheme === expected) return
  throw new GcacheError(
    'ADDRESS_INVALID',
    `address ${JSON.stringify(address)} is not of the scheme ${expected}: of ${first}, ` +
      'and all of a cluster are reached over one medium',
  )
}

/** The built-in strategy of that name, made with the other options, or the one in the file of that
 *  name. CONFIG as for transports, and as strategyFromModule() says. */
export async function strategyByName(choice: NamedStrategy): Promise<StrategyFactory> {
  const { name, ...options } = choice
  if (isStrategyPath(name)) return await strategyFromModule(name, options)
  if (!Object.hasOwn(STRATEGIES, name))
    throw new GcacheError(
      'CONFIG',
      `unknown strategy ${name}: ${suggestion(name, STRATEGY_NAMES)}; a file's name begins with ./`,
    )
  const { election } = options
  if (typeof election !== 'object' || election === null) return await STRATEGIES[name](options)
  return await STRATEGIES[name]({ ...options, election: await electionByName(election) })
}

/** As a JSON file says it: `{ "name": "nats", "servers": ... }`. */
async function electionByName(choice: object): Promise<ElectionFactory> {
  const { name, ...options } = choice as { name?: unknown }
  if (typeof name === 'string' && Object.hasOwn(ELECTIONS, name))
    return await ELECTIONS[name](options)
  const known = Object.keys(ELECTIONS)
  throw new GcacheError(
    'CONFIG',
    `option election: unknown name ${String(name)}: ${suggestion(String(name), known)}`,
  )
}
