/** What the simulated medium may do to datagrams; every number can be changed while it runs. */

export interface MemoryFaults {
  /** One way, drawn evenly from [min, max], ms. */
  latencyMsMin: number
  latencyMsMax: number
  /** Chance that a datagram is lost, 0..1; the session then ends with `reset`. */
  loss: number
  /** Chance that a datagram arrives twice, 0..1; the session law hides it. */
  duplicate: number
  /** Chance that a datagram may be overtaken, 0..1; the session law hides it. */
  reorder: number
  /** Chance that what is written at once arrives in pieces, 0..1. */
  split: number
  /** Bytes per ms and direction of a link; 0: as fast as can be. */
  bytesPerMs: number
  /**
   * The session law is off: `loss`, `duplicate` and `reorder` strike single frames and the handler
   * sees it. Only for torturing strategies, which must survive less than the law.
   */
  suspendLaw: boolean
}

export const NO_FAULTS: MemoryFaults = {
  latencyMsMin: 0,
  latencyMsMax: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  split: 0,
  bytesPerMs: 0,
  suspendLaw: false,
}
