/**
 * What media over node:net share: the losses that its errors stand for, why listening failed, what
 * libuv still holds of a write, how long a closed connection may linger, and how names are asked
 * for.
 */
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
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

type Found = (
  error: NodeJS.ErrnoException | null,
  found: string | LookupAddress[],
  family?: number,
) => void

/** Who waits for a name, by name and how it is asked for. */
const ASKED = new Map<string, Found[]>()

/**
 * What node:net asks for a name's addresses: each name once at a time. A question cannot be taken
 * back, outlives the dial that asked, and holds one of the process's four threads, on which proofs
 * are made as well; dials again and again would queue more of them than are ever answered.
 */
export function lookupOnce(host: string, options: LookupOptions, found: Found): void {
  const key = `${host} ${JSON.stringify(options)}`
  const asked = ASKED.get(key)
  if (asked !== undefined) {
    asked.push(found)
    return
  }
  const waiting = [found]
  ASKED.set(key, waiting)
  lookup(host, options, (error, addresses, family) => {
    ASKED.delete(key)
    for (const each of waiting) each(error, addresses, family)
  })
}
