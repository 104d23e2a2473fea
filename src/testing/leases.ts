/**
 * What grants leases in a simulation: one record that all nodes compare and set, over ways that
 * delay, lose and repeat, and that are cut; and a store that is away, and may have forgotten when
 * it comes back. The holder's and contender's rules are the production ones (core/lease.ts).
 */
import type { ElectionEnv, ElectionFactory } from '../contracts/election.js'
import type { Clock } from '../contracts/environment.js'
import { LeaseKeeper, type LeaseRecord, type LeaseSight, type LeaseStore } from '../core/lease.js'
import type { SeededRandom } from '../core/prng.js'

export interface LeaseFaults {
  ttlMs: number
  latencyMsMax: number
  /** Of questions and of answers, each. */
  loss: number
  /** Of questions and of answers: so many take up to twice the ttl. */
  late: number
  /** A node's way is cut, or all are, this often a second; for at most `awayMsMax`. */
  cuts: number
  aways: number
  awayMsMax: number
  /** Of the times away, those after which the store holds nothing, or what it did a second ago. */
  forgets: number
}

/** A store and ways to it that nothing befalls. */
export const FAULTLESS: Readonly<LeaseFaults> = {
  ttlMs: 2_000,
  latencyMsMax: 5,
  loss: 0,
  late: 0,
  cuts: 0,
  aways: 0,
  awayMsMax: 0,
  forgets: 0,
}

const EVERY_MS = 100
const OLD_MS = 1_000

export class SimulatedLeases {
  readonly #faults: LeaseFaults
  readonly #random: SeededRandom
  readonly #clock: () => Clock
  readonly #ways = new Set<Way>()
  #sight: LeaseSight = { revision: 0, record: undefined }
  #revisions = 0
  /** What stood there, newest last, for who forgets. */
  #past: { readonly at: number; readonly sight: LeaseSight }[] = []
  #awayUntil = 0
  #started = false
  #calm = false

  constructor(faults: LeaseFaults, random: SeededRandom, clock: () => Clock) {
    this.#faults = faults
    this.#random = random
    this.#clock = clock
  }

  election(): ElectionFactory {
    const make = (env: ElectionEnv) => {
      const way = new Way(this, env)
      this.#ways.add(way)
      if (!this.#started) this.#trouble()
      this.#started = true
      return new LeaseKeeper(env, way, this.#faults.ttlMs)
    }
    return Object.assign(make, { from: 'a simulated store' })
  }

  /** All faults are over. */
  calm(): void {
    this.#calm = true
    this.#awayUntil = 0
    for (const way of this.#ways) way.mend()
  }

  leave(way: Way): void {
    this.#ways.delete(way)
  }

  get sight(): LeaseSight {
    return this.#sight
  }

  set(revision: number, record: LeaseRecord): number | 'stale' {
    if (revision !== this.#sight.revision) return 'stale'
    this.#revisions++
    this.#sight = { revision: this.#revisions, record }
    this.#past.push({ at: this.#clock().now(), sight: this.#sight })
    if (this.#past.length > 50) this.#past.shift()
    for (const way of this.#ways) if (!this.#draw(0.2)) this.travel(way, () => way.hint())
    return this.#revisions
  }

  /** Carries `task` to the store, or to the node whose clock is given; perhaps late or never. */
  travel(way: Way, task: () => void, clock: Clock = this.#clock()): void {
    const { loss, late, latencyMsMax, ttlMs } = this.#faults
    if (this.isAway(way) || this.#draw(loss)) return
    const isLate = this.#draw(late)
    const usualMs = this.#calm ? Math.min(5, latencyMsMax) : latencyMsMax
    const delayMs = 0.2 + this.#random.next() * (isLate ? 2 * ttlMs : usualMs)
    clock.after(delayMs, () => {
      if (!this.isAway(way)) task()
    })
    if (this.#draw(loss)) clock.after(delayMs + 1, task)
  }

  isAway(way: Way): boolean {
    const now = this.#clock().now()
    return now < this.#awayUntil || now < way.cutUntil
  }

  #draw(chance: number): boolean {
    return chance > 0 && !this.#calm && this.#random.chance(chance)
  }

  #trouble(): void {
    this.#clock().after(EVERY_MS, () => {
      const { cuts, aways, awayMsMax } = this.#faults
      const now = this.#clock().now()
      for (const way of this.#ways)
        if (now >= way.cutUntil && this.#draw((cuts * EVERY_MS) / 1_000)) {
          way.cutUntil = now + this.#random.next() * awayMsMax
          this.#clock().after(way.cutUntil - now, () => way.mend())
        }
      if (now >= this.#awayUntil && this.#draw((aways * EVERY_MS) / 1_000)) {
        this.#awayUntil = now + this.#random.next() * awayMsMax
        this.#clock().after(this.#awayUntil - now, () => this.#comeBack())
      }
      this.#trouble()
    })
  }

  #comeBack(): void {
    if (this.#draw(this.#faults.forgets)) {
      const old = this.#clock().now() - OLD_MS
      const kept = this.#random.chance(0.5) ? this.#past.filter(({ at }) => at < old) : []
      this.#past = kept
      this.#sight = kept.at(-1)?.sight ?? { revision: 0, record: undefined }
      // Numbers begin again where they stood: one may name two records.
      this.#revisions = this.#sight.revision
    }
    for (const way of this.#ways) way.mend()
  }
}

/** One process's way to the store. */
class Way implements LeaseStore {
  readonly why = undefined
  cutUntil = 0
  readonly #leases: SimulatedLeases
  readonly #clock: Clock
  #events: { onLost(): void; onHint(): void } | undefined
  /** Answers of a way that was lost never come, and questions before that is noticed go nowhere. */
  #lives = 0
  #noticed = 0

  constructor(leases: SimulatedLeases, env: ElectionEnv) {
    this.#leases = leases
    this.#clock = env.clock
  }

  start(events: { onLost(): void; onHint(): void }): void {
    this.#events = events
  }

  read(end: (sight: LeaseSight | 'unknown') => void): void {
    this.#ask(() => this.#leases.sight, end)
  }

  set(revision: number, record: LeaseRecord, end: (outcome: number | 'stale') => void): void {
    this.#ask(() => this.#leases.set(revision, record), end)
  }

  stop(): Promise<void> {
    this.#events = undefined
    this.#leases.leave(this)
    return Promise.resolve()
  }

  hint(): void {
    this.#clock.after(0, () => this.#events?.onHint())
  }

  mend(): void {
    this.cutUntil = 0
    this.#lives++
    this.#clock.after(0, () => {
      this.#noticed++
      this.#events?.onLost()
    })
  }

  #ask<T>(question: () => T, end: (answer: T) => void): void {
    const lives = this.#lives
    if (lives !== this.#noticed) return
    const ask = () => {
      const answer = question()
      const hear = () => {
        if (lives === this.#lives) end(answer)
      }
      this.#leases.travel(this, hear, this.#clock)
    }
    // By its own clock: a process that has just died says nothing any more.
    this.#clock.after(0, () => this.#leases.travel(this, ask))
  }
}
