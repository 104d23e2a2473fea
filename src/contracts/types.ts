/**
 * The words of the house as types: who (PeerId), which life of a link (Session), which log
 * (GroupId), whose leadership (Epoch), where in the log (Offset) and what a write earned (Receipt).
 */

/**
 * Names a node for all time; never an address. Nodes match `[A-Za-z0-9_-]{1,64}`. An id that
 * begins with `~` names a client's process life; one that begins with `*` is used by a dialler
 * that knows only an address, and stands for whoever answers there.
 */
export type PeerId = string

/** One life of a link: grows with every link-up of the same peer. 0 stands for a failed attempt. */
export type Session = number

/** Names one replicated log. master-slave has one group, 0. */
export type GroupId = number

/** Entry number, from 1. Ranges are half-open: `[first, next)`. */
export type Offset = number

/**
 * A leadership version. Compared by `number`, then by `incarnation` (16 hex digits, so string
 * order is numeric order). `number = counter * 256 + ordinal`, at most 2^53 - 1. It belongs to one
 * process life by construction, so two masters can never mint the same one.
 */
export interface Epoch {
  readonly number: number
  readonly incarnation: string
}

/**
 * One entry, unique for all time: an epoch belongs to one life of one node, whatever history it
 * led. "At or behind it" is what a reader's token asks for. Offset 0: nothing yet.
 */
export interface Position {
  readonly epoch: Epoch
  readonly offset: Offset
}

/** What the reply to a write waits for; the table stands in PROTOCOL section 5 of the design. */
export type Ack = 'none' | 'master' | `slaves:${number}` | 'majority' | 'insync' | 'all'

/** What a write has reached when it is answered. `copies` counts the master's own log. */
export interface Receipt {
  readonly group: GroupId
  readonly epoch: Epoch
  readonly offset: Offset
  readonly copies: number
  readonly durableCopies: number
}

/**
 * One writer's idempotency window. `id` is 16 random bytes as a latin1 string; results of sequence
 * numbers below `lowest` have been received by the writer and may be forgotten.
 */
export interface ClientRef {
  readonly id: string
  readonly lowest: number
}

/**
 * The atom of a log: the entries that one turn appended, encoded once (layout: wire/batch.ts),
 * stored and sent as they are. A batch is never split or joined after it is made, so every log
 * that shares its entries shares its boundaries. `bytes` never changes once made.
 */
export interface Batch {
  readonly epoch: Epoch
  /** Offsets `[first, next)`. */
  readonly first: Offset
  readonly next: Offset
  /** Cluster time in ms at which the master appended it; judges every time-to-live in it. */
  readonly time: number
  /** Checksum of the whole log up to and with this batch: each batch seeds the next. */
  readonly crc: number
  readonly bytes: Uint8Array
}

/** A voter as the configuration names it. */
export interface Member {
  readonly id: PeerId
  /** 0-255, unique in a cluster; the lower is tried first. */
  readonly ordinal: number
  /** What peers and clients dial, such as `tcp://127.0.0.1:7400`. */
  readonly address: string
  /** Votes and holds no data. */
  readonly witness?: boolean
  /** Joining: is copied, and neither votes nor counts yet. */
  readonly learner?: boolean
}
