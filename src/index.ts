/** The public face of `gcache`: embed a node, connect a client. Loads no other medium than TCP. */
import { type Client, type ClientOptions, connectWith } from './client/connect.js'
import { systemClock } from './engine/system-clock.js'
import { GcacheError } from './errors.js'
import { transportByAddress } from './registry.js'

export { masterSlave } from '../strategies/master-slave/index.js'
export { tcp } from '../transports/tcp.js'
export type { Client, ClientOptions } from './client/connect.js'
export type {
  Cache,
  CallOptions,
  ChangeEvent,
  CodecChoice,
  DeleteOptions,
  Entry,
  ScanOptions,
  SetOptions,
  TouchOptions,
  ValueCodec,
  WatchOptions,
  WriteOptions,
  WriteReceipt,
} from './contracts/cache.js'
export type { Logger } from './contracts/environment.js'
export type { CacheOptions } from './contracts/store.js'
export type { MemberStatus, StrategyFactory, StrategyStatus } from './contracts/strategy.js'
export type { TransportFactory } from './contracts/transport.js'
export type { Ack, Member } from './contracts/types.js'
export { type ErrorCode, GcacheError, type GcacheErrorOptions } from './errors.js'
export { createNode, type Node, type NodeEvents, type NodeStatus, type RoleEvent } from './node.js'
export type { NamedStrategy, NodeOptions } from './options.js'

/**
 * Connects to a cluster through any of `options.servers`, over the built-in transport of their
 * scheme. The client follows the master from then on. Rejects with CONFIG, ADDRESS_INVALID,
 * UNREACHABLE when none of the servers answers within `timeoutMs`, REFUSED for a wrong cluster.
 */
export async function connect(options: ClientOptions): Promise<Client> {
  const first: unknown = Array.isArray(options?.servers) ? options.servers[0] : undefined
  if (typeof first !== 'string')
    throw new GcacheError(
      'CONFIG',
      "connect needs servers: { cluster: 'shop', servers: ['tcp://127.0.0.1:7400'] }",
    )
  const world = { clock: systemClock, random: { next: Math.random } }
  return await connectWith(await transportByAddress(first), options, world)
}
