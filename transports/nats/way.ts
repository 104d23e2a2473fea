/** How a broker is reached: options that transport and lease share, judged and carried out. */
import { type ConnectionOptions, connect, type NatsConnection } from 'nats'
import { BROKER } from '../../src/config.js'
import { lacking } from '../../src/core/exposure.js'
import { GcacheError } from '../../src/errors.js'

export interface BrokerOptions {
  /** Brokers of one NATS cluster, such as `nats://127.0.0.1:4222`; one that answers is enough. */
  servers?: string | readonly string[]
  /** What else the `nats` package shall be told: user, pass, token, tls, authenticator ... */
  broker?: ConnectionOptions
}

/** The brokers as a list. CONFIG, which begins with `who`, for options of a wrong form. */
export function checkBrokers(
  who: string,
  { servers = [], broker = {}, connection }: BrokerOptions & { connection?: unknown },
): readonly string[] {
  const list = typeof servers === 'string' ? [servers] : servers
  if (!Array.isArray(list) || !list.every(each => typeof each === 'string' && each !== ''))
    throw new GcacheError('CONFIG', `${who}: option servers takes addresses of brokers`)
  for (const server of list) checkBroker(who, server)
  if (typeof broker !== 'object' || broker === null)
    throw new GcacheError('CONFIG', `${who}: option broker takes an object, such as { user, pass }`)
  if (connection !== undefined && typeof (connection as NatsConnection)?.publish !== 'function')
    throw new GcacheError(
      'CONFIG',
      `${who}: option connection takes what connect() of nats returns`,
    )
  if (connection !== undefined && list.length > 0)
    throw new GcacheError('CONFIG', `${who}: option connection has its servers: leave servers out`)
  return list
}

const BROKER_FORM = /^(?:[a-z]+:\/\/)?(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@[\]]+)(?::(\d{1,5}))?\/?$/

/** What would be tried for ever otherwise; and a password there would be left out in silence. */
function checkBroker(who: string, server: string): void {
  if (server.includes('@'))
    throw new GcacheError(
      'CONFIG',
      `${who}: option servers: names and passwords have no place in an address (broker ` +
        `${withoutSecrets(server)}): give them as option broker, such as { user, pass }`,
    )
  const match = BROKER_FORM.exec(server)
  if (match !== null && Number(match[1] ?? 1) <= 65_535) return
  throw new GcacheError(
    'CONFIG',
    `${who}: option servers: ${JSON.stringify(server)} is no address of a broker, such as ` +
      'nats://127.0.0.1:4222',
  )
}

/**
 * INSECURE where whoever reaches the broker could decide who leads: beyond loopback it asks who one
 * is, and encrypts. A connection that was made elsewhere is not judged.
 */
export function checkProtected(
  who: string,
  servers: readonly string[],
  broker: ConnectionOptions,
): void {
  const { user, token, authenticator } = broker
  const tls = tlsOf(servers, broker)
  // A certificate names a user, where the broker maps them so.
  const auth = [user, token, authenticator, tls?.certFile, tls?.cert].some(Boolean)
  for (const server of servers) {
    const missing = lacking(`nats://${withoutSecrets(server)}`, { auth, tls: tls !== undefined })
    if (missing.length === 0) continue
    throw new GcacheError(
      'INSECURE',
      `${who}: broker ${withoutSecrets(server)} without ${missing.join(' and ')} is refused, ` +
        'because whoever reaches it could decide who leads: give option broker, such as ' +
        '{ user, pass, tls: {} }, use a loopback address, or say insecure: true',
    )
  }
}

/** The library goes by this alone, whatever the address says: without it, it would send a password
 *  in plaintext to whoever offers no encryption. For all brokers, if one address asks for it. */
function tlsOf(servers: readonly string[], { tls }: ConnectionOptions) {
  return tls ?? (servers.some(server => server.startsWith('tls://')) ? {} : undefined)
}

/** `name`: what the broker's own lists show. */
export function openBroker(
  name: string,
  servers: readonly string[],
  broker: ConnectionOptions,
): Promise<NatsConnection> {
  // Not noEcho: a node that dials itself shall hear so. Reconnecting is the library's for as long
  // as it tries; a stream never outlives the way that it went.
  const tls = tlsOf(servers, broker)
  return connect({
    name,
    pingInterval: BROKER.pingMs,
    maxPingOut: 2,
    reconnectTimeWait: BROKER.retryMs,
    timeout: BROKER.attemptMs,
    noAsyncTraces: true,
    ...broker,
    ...(tls && { tls }),
    servers: [...servers],
    reconnect: true,
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
  })
}

/** `host:port` of what the `nats` package takes. */
export function withoutSecrets(server: string): string {
  return server.replace(/^[a-z]+:\/\//, '').replace(/^.*@/, '')
}
