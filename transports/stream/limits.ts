/** Limits of a stream transport, in bytes and ms; defaults and reasons stand in src/config.ts. */
import { LIMITS, TIMES } from '../../src/config.js'
import type { PeerId } from '../../src/contracts/types.js'
import { suggestion } from '../../src/core/suggest.js'
import { GcacheError } from '../../src/errors.js'
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
  /** Unsent bytes for all clients of a node together; beyond, the greatest laggards are cut off. */
  clientQueuesBytesMax?: number
  /** Connect and hello together, ms. */
  handshakeMs?: number
  /** Arriving links that have not finished their handshake: in all, and from one address. */
  strangersMax?: number
  strangersPerHostMax?: number
  /** Links; other nodes are let in above it. */
  linksMax?: number
  /** How much later than 1 KiB/s allows a frame that has begun may end, ms. */
  frameGraceMs?: number
  /** A client that takes nothing of what waits for it is cut off after this, ms. */
  stalledMs?: number
}

export type StreamLimits = Readonly<Required<StreamOptions>>

const DEFAULTS: StreamLimits = {
  frameBytesMax: LIMITS.peerFrameBytesMax,
  clientFrameBytesMax: LIMITS.clientFrameBytesMax,
  queueBytesMax: LIMITS.peerQueueBytesMax,
  clientQueueBytesMax: LIMITS.clientQueueBytesMax,
  clientQueuesBytesMax: LIMITS.clientQueuesBytesMax,
  handshakeMs: TIMES.handshakeMs,
  strangersMax: LIMITS.strangersMax,
  strangersPerHostMax: LIMITS.strangersPerHostMax,
  linksMax: LIMITS.linksMax,
  frameGraceMs: TIMES.frameGraceMs,
  stalledMs: TIMES.stalledMs,
}
const NAMES = Object.keys(DEFAULTS) as (keyof StreamOptions)[]
const NUMBER_MAX = 2 ** 31 - 1

/** With the defaults filled in. CONFIG, with `whose` name, for an option that is unknown or no
 *  whole number of 1 to 2^31 - 1; those in `others` are the medium's own to judge. */
export function streamLimits(
  options: StreamOptions,
  whose: string,
  others: readonly string[] = [],
): StreamLimits {
  const known = [...NAMES, ...others]
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw refusal(whose, 'takes an object of options, such as { handshakeMs: 2000 }')
  for (const name of Object.keys(options))
    if (!known.includes(name))
      throw refusal(whose, `unknown option ${name}: ${suggestion(name, known)}`)
  const limits = { ...DEFAULTS } as Required<StreamOptions>
  for (const name of NAMES) {
    const value = options[name]
    if (value === undefined) continue
    if (!Number.isInteger(value) || value < 1 || value > NUMBER_MAX)
      throw refusal(whose, `option ${name} must be a whole number within 1..${NUMBER_MAX}`)
    limits[name] = value
  }
  return limits
}

function refusal(whose: string, text: string): GcacheError {
  return new GcacheError('CONFIG', `${whose}: ${text}`)
}

/** `limits` for values of `valueBytesMax`; a frame limit that was set on purpose stays. */
export function fitted(limits: StreamLimits, valueBytesMax: number | undefined): StreamLimits {
  if (valueBytesMax === undefined) return limits
  const frame = valueBytesMax + LIMITS.frameRoomBytes
  const { frameBytesMax, clientFrameBytesMax } = DEFAULTS
  return {
    ...limits,
    ...(limits.frameBytesMax === frameBytesMax && {
      frameBytesMax: Math.max(frameBytesMax, frame),
    }),
    ...(limits.clientFrameBytesMax === clientFrameBytesMax && { clientFrameBytesMax: frame }),
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
