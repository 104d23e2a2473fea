/** The public face of `gcache`: embed a node, connect a client. Loads no other medium than TCP. */
import { type Client, type ClientOptions, connectWith } from './client/connect.js'
import { clientTransport, worldFor } from './defaults.js'

export { masterSlave } from '../strategies/master-slave/index.js'
export { tlsCredentials } from '../transports/stream/tls.js'
export { tcp } from '../transports/tcp.js'
export type { AdminOptions, ForceOptions, HandoverOptions } from './client/admin.js'
export type { Client, ClientEvents, ClientOptions } from './client/connect.js'
export type { ClusterMember, ClusterStatus } from './client/status.js'
export type { ClientAuth, NodeAuth } from './contracts/authentication.js'
export type {
  Cache,
  CallOptions,
  ChangeEvent,
  CodecChoice,
  DeleteOptions,
  Entry,
  ReadMode,
  ReadOptions,
  ScanOptions,
  SetOptions,
  TouchOptions,
  ValueCodec,
  WatchOptions,
  WriteOptions,
  WriteReceipt,
} from './contracts/cache.js'
export type { ConflictFunction, ConflictSide } from './contracts/conflict.js'
export type {
  Announcement,
  Discovery,
  DiscoveryEnv,
  DiscoveryFactory,
  Sighting,
} from './contracts/discovery.js'
export type { Logger } from './contracts/environment.js'
export type { MergeFunction, MergeSide } from './contracts/merge.js'
export type { CacheOptions } from './contracts/store.js'
export type {
  MemberStatus,
  PartitionsStatus,
  StrategyFactory,
  StrategyStatus,
} from './contracts/strategy.js'
export type { TlsCredentials, TlsOptions, TlsPems } from './contracts/tls.js'
export type { TransportFactory } from './contracts/transport.js'
export type { Ack, Member } from './contracts/types.js'
export { staticAddresses } from './discovery/static.js'
export { type ErrorCode, GcacheError, type GcacheErrorOptions } from './errors.js'
export {
  type CloseOptions,
  createNode,
  type Node,
  type NodeEvents,
  type NodeStatus,
  type RoleEvent,
  type UsersResult,
} from './node.js'
export type { NamedStrategy, NodeOptions } from './options.js'
export { Secret } from './security/secret.js'
export type { ForceResult, HandoverResult, MembersResult, ResetResult } from './wire/admin.js'
/** For authors of strategies: a batch is the atom of a log. */
export { continuesChain, decodeBatch, encodeBatch } from './wire/batch.js'

/**
 * Connects to a cluster through any of `options.servers`, or of those that `options.discovery`
 * finds, over the built-in transport of their scheme, and resolves once calls can reach a serving
 * master, which the client follows from then on. Rejects with CONFIG, ADDRESS_INVALID; with REFUSED
 * when all servers refuse (a wrong cluster name), AUTH_FAILED when they do for want of a proof; by
 * its deadline with UNREACHABLE or NOT_READY.
 */
export async function connect(options: ClientOptions): Promise<Client> {
  return await connectWith(await clientTransport(options), options, worldFor(options))
}
