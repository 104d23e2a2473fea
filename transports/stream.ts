/**
 * `gcache/transports/stream`: for authors of transports. Over a medium of byte streams a
 * StreamLayer is enough, and hello, proofs, framing, queues and limits come with it; the contract
 * of whole transports stands here too.
 */
export type { Clock, Logger, Random, Timer } from '../src/contracts/environment.js'
export type {
  LinkLoss,
  SendResult,
  Transport,
  TransportCounts,
  TransportEnv,
  TransportFactory,
  TransportHandler,
  TransportTraits,
} from '../src/contracts/transport.js'
export type { PeerId, Session } from '../src/contracts/types.js'
export type { Secured, StreamConnection, StreamEvents, StreamLayer } from './stream/layer.js'
export type { StreamOptions } from './stream/limits.js'
export { streamTransport } from './stream/transport.js'
