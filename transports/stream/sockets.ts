/**
 * What media over node:net share: the losses that its errors stand for, why listening failed, what
 * libuv still holds of a write, and how long a closed connection may linger.
 */
import type { Socket } from 'node:net'
import type { LinkLoss } from '../../src/contracts/transport.js'
import { GcacheError } from '../../src/errors.js'

/** What a closed connection may still take to send its last bytes, ms. */
export const LINGER_MS = 250

const LOSSES: Record<string, LinkLoss> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
  TIMEOUT: 'timeout',
  TLS_FAILED: 'protocol',
  PROTOCOL_ERROR: 'protocol',
  FRAME_TOO_BIG: 'protocol',
  REFUSED: 'refused',
}

/** EHOSTUNREACH, ENETUNREACH, ENOTFOUND and all others: it could not be reached. */
export function lossOf(cause: NodeJS.ErrnoException): LinkLoss {
  return LOSSES[cause.code ?? ''] ?? 'unreachable'
}

/** What libuv has not written of the write under way; its own timeouts judge by it as well. */
export function heldBytesOf(socket: Socket): number {
  return (
    (socket as unknown as { _handle?: { writeQueueSize?: number } | null })._handle
      ?.writeQueueSize ?? 0
  )
}

/** ADDRESS_IN_USE or ADDRESS_INVALID. */
export function listenError(address: string, cause: NodeJS.ErrnoException): GcacheError {
  if (cause instanceof GcacheError) return cause
  const code = cause.code === 'EADDRINUSE' ? 'ADDRESS_IN_USE' : 'ADDRESS_INVALID'
  const fact = code === 'ADDRESS_IN_USE' ? 'is in use' : `cannot be bound: ${cause.message}`
  return new GcacheError(code, `address ${address} ${fact}`, { cause })
}
