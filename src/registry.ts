/**
 * The built-ins by name and by URL scheme, imported when somebody asks for them: who uses TCP never
 * loads another medium's library.
 */
import type { StrategyFactory } from './contracts/strategy.js'
import type { TlsCredentials, TlsOptions } from './contracts/tls.js'
import type { TransportFactory } from './contracts/transport.js'
import { suggestion } from './core/suggest.js'
import { GcacheError } from './errors.js'
import type { NamedStrategy } from './options.js'

interface TransportRow {
  /** Schemes of the addresses that it serves, without the colon. */
  readonly schemes: readonly string[]
  load(tls?: TlsOptions | TlsCredentials): Promise<TransportFactory>
}

const TRANSPORTS: Record<string, TransportRow> = {
  tcp: {
    schemes: ['tcp'],
    load: async tls => (await import('../transports/tcp.js')).tcp(tls && { tls }),
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
}

export const STRATEGY_NAMES: readonly string[] = Object.keys(STRATEGIES)
export const TRANSPORT_NAMES: readonly string[] = Object.keys(TRANSPORTS)

/** The built-in transport `name`. CONFIG with a suggestion for what there is not. */
export async function transportByName(
  name: string,
  tls?: TlsOptions | TlsCredentials,
): Promise<TransportFactory> {
  const row = Object.hasOwn(TRANSPORTS, name) ? TRANSPORTS[name] : undefined
  if (row === undefined)
    throw new GcacheError(
      'CONFIG',
      `unknown transport ${name}: ${suggestion(name, TRANSPORT_NAMES)}`,
    )
  return await row.load(tls)
}

/** The built-in transport for `address`, by its scheme. ADDRESS_INVALID if none serves it. */
export async function transportByAddress(
  address: string,
  tls?: TlsOptions | TlsCredentials,
): Promise<TransportFactory> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(address)?.[1].toLowerCase()
  const schemes = Object.values(TRANSPORTS).flatMap(row => row.schemes)
  if (scheme === undefined)
    throw new GcacheError(
      'ADDRESS_INVALID',
      `address ${address} has no scheme: write tcp://${address}`,
    )
  for (const row of Object.values(TRANSPORTS))
    if (row.schemes.includes(scheme)) return await row.load(tls)
  throw new GcacheError(
    'ADDRESS_INVALID',
    `no built-in transport serves ${scheme}: in ${address}; ${suggestion(scheme, schemes)}`,
  )
}

/** The built-in strategy of that name, made with the other options. CONFIG as for transports. */
export async function strategyByName(choice: NamedStrategy): Promise<StrategyFactory> {
  const { name, ...options } = choice
  if (!Object.hasOwn(STRATEGIES, name))
    throw new GcacheError('CONFIG', `unknown strategy ${name}: ${suggestion(name, STRATEGY_NAMES)}`)
  return await STRATEGIES[name](options)
}
