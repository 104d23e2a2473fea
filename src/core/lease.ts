/**
 * A lease on mastership over any store that compares and sets one record. Only revisions and this
 * process's own clock are trusted: no expiry of the store's, no clock of another's (FIELD 8).
 *
 *   holder     asked ---ttl less a tenth---> stops            by its own clock, from the request on
 *   contender      first seen ---ttl and a tenth---> may take   by its own, from the answer on
 *
 * What the wire does in between only lengthens the gap, and both tenths cover clocks that differ
 * from true time by 10 % each way. Whose way to the store was cut begins to wait anew: a store
 * that comes back may have forgotten what it had granted.
 */
import { LEASE } from '../config.js'
import type { Election, ElectionEnv, ElectionEvents, Heirs, Lease } from '../contracts/election.js'
import type { Timer } from '../contracts/environment.js'
import type { PeerId } from '../contracts/types.js'

export interface LeaseRecord {
  /** '': it was let go. */
  readonly holder: PeerId
  /** The holder's incarnation. */
  readonly life: string
  readonly counter: number
  readonly ttlMs: number
  /** When it was asked for, by the clock of that life: it tells nobody else anything. */
  readonly askedMs: number
  /** Who may take it next; undefined: anybody. */
  readonly heirs?: Heirs | undefined
}

/** What stands in the store. Revision 0: nothing. No record: it is none that can be read. */
export interface LeaseSight {
  readonly revision: number
  readonly record: LeaseRecord | undefined
}

/** 'stale': another revision stands there, surely nothing was set. 'unknown': nobody can say. */
export type LeaseOutcome = number | 'stale' | 'unknown'

/**
 * The store. Each answer comes once, at any time, or never. Revisions grow with each set; a set is
 * done only if `revision` is the one that stands there then.
 */
export interface LeaseStore {
  /** Why it does not answer; undefined: it should. */
  readonly why: string | undefined
  /** `onLost`: what stands there may be gone or older than what was seen. `onHint`: it may have
   *  changed. */
  start(events: { onLost(): void; onHint(): void }): void
  read(end: (sight: LeaseSight | 'unknown') => void): void
  set(revision: number, record: LeaseRecord, end: (outcome: LeaseOutcome) => void): void
  /** Idempotent. */
  stop(): ReturnType<Election['stop']>
}

/** In place of a revision: another one stands there, which is not known yet. */
const OTHER = -1

interface Seen extends LeaseSight {
  /** Own clock: it has stood there since, or longer. */
  readonly sinceMs: number
  /** The first since the way to the store was cut. */
  readonly first: boolean
}

interface Held extends Lease {
  readonly revision: number
  readonly heirs: Heirs | undefined
  readonly record?: undefined
}

export class LeaseKeeper implements Election {
  readonly #env: ElectionEnv
  readonly #store: LeaseStore
  readonly #ttlMs: number
  #events: ElectionEvents | undefined
  #above: number | undefined
  /** Those that were said last; who lets it go leaves it to them. */
  #heirs: Heirs | undefined
  #held: Held | undefined
  #seen: Seen | undefined
  /** What was asked for until then counts no more: it was let go, and others may hear so late. */
  #validMs = Number.NEGATIVE_INFINITY
  #readAtMs = Number.NEGATIVE_INFINITY
  #retryAtMs = Number.NEGATIVE_INFINITY
  /** The request that is waited for: its number, and until when. */
  #waiting: { readonly request: number; readonly untilMs: number } | undefined
  #actedMs = Number.POSITIVE_INFINITY
  #requests = 0
  /** Requests up to it were lost together with the way. */
  #lostUpTo = 0
  /** Requests in a row whose answer did not come in time. */
  #unanswered = 0
  /** The highest counter that was seen: a store that forgets does not bring lower ones. */
  #counter = 0
  #timer: Timer | undefined
  #stopped = false

  constructor(env: ElectionEnv, store: LeaseStore, ttlMs: number) {
    this.#env = env
    this.#store = store
    this.#ttlMs = ttlMs
  }

  get why(): string | undefined {
    if (this.#held !== undefined) return undefined
    if (this.#store.why !== undefined) return `no lease: ${this.#store.why}`
    if (this.#above === undefined) return undefined
    if (this.#unanswered >= LEASE.silentRequests) return `no lease: ${this.#silence}`
    const { record } = this.#seen ?? {}
    if (this.#isLetGo)
      return `no lease: this node was let go; it is for ${record?.heirs?.ids.join(', ')}`
    if (record === undefined || record.holder === '') return undefined
    if (record.life === this.#env.incarnation) return undefined
    return `the lease is that of ${record.holder}`
  }

  start(events: ElectionEvents): void {
    this.#events = events
    this.#store.start({ onLost: () => this.#onLost(), onHint: () => this.#onHint() })
    this.#arm(0)
  }

  want(above: number | undefined, heirs?: Heirs): void {
    this.#above = above
    if (above !== undefined) this.#heirs = heirs
    if (above === undefined && this.#held !== undefined) this.#letGo(this.#held)
    this.#arm(0)
  }

  stop(): ReturnType<Election['stop']> {
    this.#events = undefined
    const held = this.#held
    if (held !== undefined) this.#letGo(held)
    this.#stopped = true
    this.#timer?.cancel()
    return this.#store.stop()
  }

  /** By the last holder's word, which holds until somebody else of that history has held it. */
  get #isLetGo(): boolean {
    const heirs = this.#seen?.record?.heirs
    if (heirs === undefined || heirs.history !== this.#heirs?.history) return false
    return !heirs.ids.includes(this.#env.self)
  }

  /** Who says none, as it has no data of that history, changes nothing for those who have. */
  get #nextHeirs(): Heirs | undefined {
    return this.#heirs ?? (this.#held ?? this.#seen?.record)?.heirs
  }

  get #silence(): string {
    return `nothing is answered within ${this.#answerMs} ms, an eighth of ttlMs`
  }

  get #answerMs(): number {
    return LEASE.answerShare * this.#ttlMs
  }

  /** What was seen may have been taken back, and what is under way may still be set. */
  #onLost(): void {
    this.#lostUpTo = this.#requests
    this.#waiting = undefined
    this.#seen = undefined
    this.#readAtMs = Number.NEGATIVE_INFINITY
    this.#arm(0)
  }

  #onHint(): void {
    if (this.#held !== undefined) return
    this.#readAtMs = Number.NEGATIVE_INFINITY
    this.#arm(0)
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel()
    if (!this.#stopped) this.#timer = this.#env.clock.after(Math.max(0, delayMs), () => this.#act())
  }

  /** Does what is due, and comes back when something else will be. */
  #act(): void {
    const now = this.#env.clock.now()
    // Who stood still has seen nothing meanwhile, and may not have heard yet that its way was cut.
    if (now - this.#actedMs > LEASE.stillShare * this.#ttlMs) this.#seen = undefined
    this.#actedMs = now
    if (this.#held !== undefined && now >= this.#held.untilMs) this.#lose()
    if (this.#waiting !== undefined) {
      if (now < this.#waiting.untilMs) return this.#arm(this.#waiting.untilMs - now)
      this.#waiting = undefined
      this.#missed()
    }
    if (now < this.#retryAtMs) return this.#arm(this.#retryAtMs - now)
    const above = this.#above
    const atMs = this.#held === undefined ? this.#seek(now, above) : this.#keep(now, this.#held)
    if (this.#waiting !== undefined) return
    this.#arm(atMs - now)
  }

  /** A store that is slower than that never grants one, and nobody else would say so. */
  #missed(): void {
    this.#unanswered++
    if (this.#unanswered !== LEASE.silentRequests) return
    this.#env.logger.warn({ ttlMs: this.#ttlMs, reason: this.#silence }, 'no lease can be had')
  }

  /** Returns when there is something to do, if not now. */
  #keep(now: number, held: Held): number {
    const above = this.#above ?? 0
    const renewAtMs = held.askedMs + LEASE.renewShare * this.#ttlMs
    const isNews = this.#heirs !== undefined && !areSameHeirs(this.#heirs, held.heirs)
    if (this.#seen?.revision === OTHER) this.#read(now)
    else if (held.counter <= above) this.#take(now, held.revision, this.#counterAbove(above))
    else if (now >= renewAtMs || isNews) this.#take(now, held.revision, held.counter)
    return renewAtMs
  }

  #seek(now: number, above: number | undefined): number {
    const seen = this.#seen
    let freeAtMs = Number.POSITIVE_INFINITY
    const may = above !== undefined && !this.#isLetGo
    if (may && seen !== undefined && seen.revision !== OTHER) {
      freeAtMs = this.#freeAtMs(seen, now)
      if (now >= freeAtMs) this.#take(now, seen.revision, this.#counterAbove(above))
    }
    if (this.#waiting === undefined && now >= this.#readAtMs) this.#read(now)
    return Math.min(freeAtMs, this.#readAtMs)
  }

  /** When whoever holds it must have stopped. Let go is let go, unless a store that came back says
   *  so: it may have forgotten who took it then. */
  #freeAtMs({ record, sinceMs, first }: Seen, now: number): number {
    if (record?.holder === '' && !first) return sinceMs
    // Its own, let go in vain: as long as it might hold it nobody else can.
    const isOwn = record?.life === this.#env.incarnation && now < this.#untilMs(record)
    if (isOwn && !first) return sinceMs
    const ttlMs = Math.max(this.#ttlMs, Math.min(record?.ttlMs ?? 0, LEASE.ttlMsMax))
    return sinceMs + ttlMs * (1 + LEASE.marginShare)
  }

  /** That of the revision that it will have, unless something known is higher. */
  #counterAbove(above: number): number {
    const { revision = 0 } = this.#seen ?? this.#held ?? {}
    return Math.max(above, revision, this.#counter) + 1
  }

  /** By the moment before the request, and less a margin: however long the answer took. */
  #untilMs({ askedMs }: LeaseRecord): number {
    return askedMs + this.#ttlMs * (1 - LEASE.marginShare)
  }

  #take(now: number, revision: number, counter: number): void {
    const { self, incarnation } = this.#env
    const ttlMs = this.#ttlMs
    const heirs = this.#nextHeirs
    const record = { holder: self, life: incarnation, counter, ttlMs, askedMs: now, heirs }
    const request = this.#ask(now)
    this.#store.set(revision, record, outcome => {
      if (typeof outcome === 'number') {
        if (request <= this.#lostUpTo || this.#stopped) return
        // One that comes late is as good: it says when it was asked for.
        if (outcome > (this.#seen?.revision ?? 0)) this.#note({ revision: outcome, record })
        this.#answered(request)
      } else this.#refused(request, now, outcome)
    })
  }

  #read(now: number): void {
    const request = this.#ask(now)
    const pollShare = this.#above === undefined ? LEASE.pollShare : LEASE.wantedPollShare
    this.#readAtMs = now + pollShare * this.#ttlMs
    this.#store.read(sight => {
      if (sight === 'unknown') return this.#refused(request, now, sight)
      if (this.#waiting?.request !== request) return
      this.#note(sight)
      this.#answered(request)
    })
  }

  #ask(now: number): number {
    this.#requests++
    this.#waiting = { request: this.#requests, untilMs: now + this.#answerMs }
    this.#arm(this.#answerMs)
    return this.#requests
  }

  #answered(request: number): void {
    if (this.#waiting?.request !== request) return
    this.#waiting = undefined
    this.#unanswered = 0
    this.#arm(0)
  }

  #refused(request: number, now: number, outcome: 'stale' | 'unknown'): void {
    // Also if the way was lost with it: asked again at once it would be asked without end.
    if (outcome === 'unknown')
      this.#retryAtMs = Math.max(this.#retryAtMs, now + LEASE.retryShare * this.#ttlMs)
    if (this.#waiting?.request !== request) return
    this.#waiting = undefined
    this.#unanswered = 0
    if (outcome === 'stale') {
      this.#readAtMs = Number.NEGATIVE_INFINITY
      const first = this.#seen === undefined
      this.#seen = { revision: OTHER, record: this.#seen?.record, sinceMs: now, first }
    }
    this.#arm(0)
  }

  /** What stands in the store, and what it means here. */
  #note({ revision, record }: LeaseSight): void {
    const now = this.#env.clock.now()
    this.#counter = Math.max(this.#counter, record?.counter ?? 0)
    if (revision !== this.#seen?.revision) {
      const { first = true, revision: before = OTHER } = this.#seen ?? {}
      this.#seen = { revision, record, sinceMs: now, first: first && before === OTHER }
    }
    if (record?.life !== this.#env.incarnation || record.holder === '') return this.#lose()
    const { counter, askedMs, heirs } = record
    const untilMs = this.#untilMs(record)
    if (now >= untilMs) return this.#lose()
    const held = { counter, askedMs, untilMs, revision, heirs }
    if (this.#above === undefined) return this.#letGo(held)
    if (askedMs <= this.#validMs) return this.#lose()
    const isNews = this.#held?.revision !== revision
    this.#held = held
    if (isNews) this.#events?.onLease({ counter, askedMs, untilMs })
  }

  #lose(): void {
    if (this.#held === undefined) return
    this.#held = undefined
    this.#events?.onLease(undefined)
  }

  /** First it is held no more; then others are told, who else would have to wait. */
  #letGo({ revision, counter }: Held): void {
    const now = this.#env.clock.now()
    const heirs = this.#nextHeirs
    this.#held = undefined
    this.#validMs = now
    const free = { holder: '', life: this.#env.incarnation, counter, ttlMs: this.#ttlMs, heirs }
    const request = this.#ask(now)
    this.#store.set(revision, { ...free, askedMs: now }, outcome => {
      if (typeof outcome !== 'number') return this.#refused(request, now, outcome)
      if (request <= this.#lostUpTo || this.#stopped) return
      this.#note({ revision: outcome, record: { ...free, askedMs: now } })
      this.#answered(request)
    })
  }
}

export function areSameHeirs(a: Heirs | undefined, b: Heirs | undefined): boolean {
  return a?.history === b?.history && a?.ids.join() === b?.ids.join()
}
