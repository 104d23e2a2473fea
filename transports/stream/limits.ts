/** Limits of a stream transport, in bytes and ms; defaults and reasons stand in src/config.ts. */
import { LIMITS, TIMES } from '../../src/config.js'
import type { PeerId } from '../../src/contracts/types.js'
import { isAlias, isClient } from './hello.js'

export interface StreamOptions {
  /** The largest frame between nodes, and from a node to a client. */
  frameBytesMax?: number
  /** The largest frame taken from a client. */
  clientFrameBytesMax?: number
  /** Unsent bytes for a node. */
  queueBytesMax?: number
  /** Unsent bytes on a link between client and node, either way. */
  clientQueueBytesMax?: number
  /** Connect and hello together, ms. */
  handshakeMs?: number
}

export type StreamLimits = Readonly<Required<StreamOptions>>

export function streamLimits(options: StreamOptions): StreamLimits {
  return {
    frameBytesMax: options.frameBytesMax ?? LIMITS.peerFrameBytesMax,
    clientFrameBytesMax: options.clientFrameBytesMax ?? LIMITS.clientFrameBytesMax,
    queueBytesMax: options.queueBytesMax ?? LIMITS.peerQueueBytesMax,
    clientQueueBytesMax: options.clientQueueBytesMax ?? LIMITS.clientQueueBytesMax,
    handshakeMs: options.handshakeMs ?? TIMES.handshakeMs,
  }
}

/** The largest frame that `sender` may send. */
export function sendBytesMax(limits: StreamLimits, sender: PeerId): number {
  return isClient(sender) ? limits.clientFrameBytesMax : limits.frameBytesMax
}

export function queueBytesMax(limits: StreamLimits, self: PeerId, peer: PeerId): number {
  const client = isClient(self) || isClient(peer) || isAlias(peer)
  return client ? limits.clientQueueBytesMax : limits.queueBytesMax
}
