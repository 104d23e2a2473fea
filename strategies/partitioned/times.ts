/** Times and bounds of strategy partitioned that are no options, ms where nothing else is said. */

/** What a node holds with the control group's master. */
export const NODE_LEASE = {
  /** A failover from a silent owner takes so long and a tenth: a loop that is blocked for 500 ms
   *  must not cost it its partitions (less a tenth, a renewal and a round on the way: 370 left). */
  ttlMs: 1_200,
  renewMs: 200,
} as const

/** A group ticks so often while nothing else is fed to it: as the engine does where something is
 *  under way, a quarter of a heartbeat where nothing is. */
export const GROUP_TICK = { restlessMs: 25, calmMs: 50 } as const

/** Who fell out of sync is said so after it, unless it is surely dead: most come back at once. */
export const FEWER_MS = 250

/** Who should be linked in a group and is not is told again. */
export const OPEN_AGAIN_MS = 1_000

/** A link on which no first statement came is ended after it. */
export const STATEMENT_MS = 500

export const MOVES = {
  /** Copies under way in all, and between two nodes. PROTOCOL 18. */
  atOnce: 4,
  perPair: 1,
  planMs: 100,
  /** Each group is looked at so often, whatever was said of it. */
  lookMs: 1_000,
  /** An order that came to nothing is given again. */
  orderAgainMs: 500,
} as const

/** A partition is called lost after its copies were gone for so long. */
export const LOST_MS = 1_000

/** The first table waits so long for members that have not been heard. */
export const FIRST_TABLE_MS = 3_000

/** A partition is founded by who should own it; if that one does not ask so long, by another. */
export const FOUNDER_MS = 1_000
