/**
 * What a medium of byte streams (TCP, WebSocket, the simulated network) must offer to become a
 * Transport: listen, dial, and a connection that writes, pauses and closes. Everything above bytes
 * stands once, in stream/transport.ts. The idea of a layer this thin is hashicorp/raft's.
 */
import type { LinkLoss, TransportTraits } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'

/**
 * Told by a connection, always from an event of its own: never from inside a call to the layer or
 * the connection, and never after close() or destroy(). Exactly one onClose ends every connection
 * that this side did not end.
 */
export interface StreamEvents {
  /** A dialled connection stands. Accepted ones stand from the beginning. */
  onOpen(): void
  /** `chunk` is borrowed for the call; chunks may be cut anywhere. */
  onData(chunk: Uint8Array): void
  /** unsentBytes has become less. */
  onDrain(): void
  onClose(loss: LinkLoss, cause?: Error): void
}

/** What a medium that encrypts knows of the other side, once the connection stands. */
export interface Secured {
  /** Why the other side, by its certificate, cannot be `remote`; undefined if it may. */
  refusal(remote: PeerId): string | undefined
  /** 32 bytes, the same on both sides and on no other connection: RFC 9266's tls-exporter. */
  readonly binding: Uint8Array
}

export interface StreamConnection {
  /** Who is told; may be exchanged at any time. */
  events: StreamEvents
  /** Absent where bytes travel in the clear. */
  readonly secured?: Secured
  /** Bytes that were given to write() and have not left yet. */
  readonly unsentBytes: number
  /** Where the medium can tell: bytes that it still holds of a write under way. Falls as they
   *  leave, while unsentBytes falls only with whole writes. */
  readonly heldBytes?: number
  /** Where the medium has messages of its own: bytes of one that has begun and not ended, and how
   *  many were begun so. A chunk without bytes tells of the first ones. */
  readonly partBytes?: number
  readonly partsBegun?: number
  /** The network address of the other side; undefined where there is none. */
  readonly host?: string | undefined
  /**
   * Writes whole frames. True: the bytes have left or were copied, `bytes` is the caller's again.
   * False: `bytes` belongs to the connection until unsentBytes is 0.
   */
  write(bytes: Uint8Array): boolean
  /** No onData until resume(); what has been read already may still come. */
  pause(): void
  resume(): void
  /** Where bytes pass through others' hands: what is written from here on shows that this side sent
   *  it, and what arrives must show that the other did. Both sides have the same 32 bytes. */
  seal?(key: Uint8Array): void
  /** The handshake is over; from here on a simulated medium may harm single frames. */
  opened?(): void
  /** Ends the connection after what is unsent, in bounded time. */
  close(): void
  /** Ends the connection now. */
  destroy(): void
}

export interface StreamLayer {
  /** As in `tcp`, of `tcp://`; the name of the transport. */
  readonly scheme: string
  /** False where a dead process is noticed by silence only. */
  readonly detectsPeerLoss: boolean
  /** Default: direct. */
  readonly topology?: TransportTraits['topology']
  /** Every write costs others work besides, so that a turn's frames had better go at once: early
   *  flushes are left out. */
  readonly gathers?: boolean
  /** Messages that came to us and belonged to no connection, where the medium has such. */
  readonly strays?: number
  /**
   * Resolves with the address that peers dial, once they can. `accept` is called for every arriving
   * connection and sets its events, or destroys it. Rejects with ADDRESS_IN_USE, ADDRESS_INVALID.
   */
  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string>
  /** Throws ADDRESS_INVALID; everything else is told by `events`. */
  dial(address: string, events: StreamEvents): StreamConnection
  /** Calls `task` after the current turn's own work, before anything arrives if the medium can. */
  defer(task: () => void): void
  /** Ends listening and every connection, those that close() in bounded time; then no event. */
  stop(): Promise<void>
}
