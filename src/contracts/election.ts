/**
 * Who may lead, decided outside the cluster: a lease that one process at a time holds. A strategy
 * carries the plug-in and never calls it: what it wants is an effect, what the plug-in hears comes
 * back as an input, so that a step stays a function of its inputs.
 */
import type { Clock, Logger } from './environment.js'
import type { PeerId } from './types.js'

export interface ElectionEnv {
  readonly self: PeerId
  readonly cluster: string
  /** 16 hex digits, new with every process start. */
  readonly incarnation: string
  /** That of the engine: what `Lease` says is judged by it. */
  readonly clock: Clock
  readonly logger: Logger
}

/** What this process holds. Times are ms of its own monotonic clock. */
export interface Lease {
  /** 1..2^44, higher with each taking by anybody: the counter of an epoch that is led by it. */
  readonly counter: number
  /** When the request left that was granted: nothing in it is older. */
  readonly askedMs: number
  /** It is held before this moment, and not from then on. */
  readonly untilMs: number
}

/** Who may take it next. Another one that holds this history was let go, and nobody stopped it. */
export interface Heirs {
  readonly history: string
  readonly ids: readonly PeerId[]
}

export interface ElectionEvents {
  /** It was taken, or prolonged, or its counter was raised; undefined: it is lost. */
  onLease(lease: Lease | undefined): void
}

/**
 * Laws, kept while no clock differs from true time by more than 10 %:
 *
 *   L1  At no moment do two processes hold it: whoever takes it has waited until the `untilMs` of
 *       every other one had passed by that one's own clock.
 *   L2  `untilMs` follows from `askedMs`, never from the moment of an answer.
 *   L3  Counters grow with each taking, whoever takes, and are above what want() was told.
 *   L4  After want(undefined) it is held no more, and no answer that is under way changes that.
 *   L5  Silence of whoever grants it is never an answer. The lease ends at its `untilMs`, and is
 *       asked for again until it is granted, without help.
 *   L6  Who holds the history of the last holder's heirs and is none of them does not take it. A
 *       holder whose heirs change says so at once.
 *   L7  Nothing is called from inside start(), want() or stop(), and nothing after stop().
 */
export interface Election {
  /** Why it is not held, as far as it knows: a line for operators; undefined: it is held, or it is
   *  not wanted, or nobody knows. */
  readonly why: string | undefined
  /** Returns at once; whoever grants it need not be there yet. */
  start(events: ElectionEvents): void
  /** Take and keep the lease, with a counter above this one; undefined: let it go. `heirs`: for
   *  whoever comes next, and for itself: what it holds; undefined: it is not judged, and those of
   *  the last holder stay. */
  want(above: number | undefined, heirs?: Heirs): void
  /** Lets it go if it can be told so within some 100 ms; resolves when nothing is open. */
  stop(): Promise<void>
}

/** What an option `election` takes. */
export interface ElectionFactory {
  (env: ElectionEnv): Election
  /** Who grants it, for the guarantee: 'a NATS broker'. */
  readonly from: string
  /**
   * Who a holder names as heirs: all members (default), or 'in-sync' those alone whose logs hold
   * what it acknowledges. Then whoever grants it never grants it to anybody else, and each lease
   * says which heirs are known; until they are fewer the holder waits for each of them.
   */
  readonly heirs?: 'members' | 'in-sync'
}
