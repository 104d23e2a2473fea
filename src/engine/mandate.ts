/**
 * For how long this node may act as master, where an election decides. What the strategy wants goes
 * to the plug-in, what that one says comes back as an input, and the clock is asked at each answer:
 * a tick may be late, and a process that was stopped must not answer before it.
 */
import type { Election, Heirs, Lease } from '../contracts/election.js'
import type { Clock } from '../contracts/environment.js'
import type { Input, ReplicationStrategy, Standing } from '../contracts/strategy.js'
import type { GroupId } from '../contracts/types.js'
import type { EngineOptions } from './engine-options.js'

const NO_LEASE: Lease = { counter: 0, askedMs: 0, untilMs: 0 }

export class Mandate<M> {
  readonly #strategy: ReplicationStrategy<M>
  readonly #clock: Clock
  readonly #election: Election | undefined

  constructor(strategy: ReplicationStrategy<M>, options: EngineOptions<M>) {
    const { self, cluster, incarnation, clock, logger } = options
    this.#strategy = strategy
    this.#clock = clock
    this.#election = strategy.election?.({ self, cluster, incarnation, clock, logger })
  }

  get why(): string | undefined {
    return this.#election?.why
  }

  start(feed: (input: Input<M>) => void): void {
    this.#election?.start({ onLease: lease => feed({ kind: 'lease', ...(lease ?? NO_LEASE) }) })
  }

  want(above: number | undefined, heirs: Heirs | undefined): void {
    this.#election?.want(above, heirs)
  }

  async stop(): Promise<void> {
    await this.#election?.stop()
  }

  /** Always, where nothing is leased. */
  lasts(group: GroupId): boolean {
    if (this.#strategy.actsUntil === undefined) return true
    return this.#clock.now() < this.#strategy.actsUntil(group)
  }

  /** What is left of `standing`: whose time is over does not serve, though no tick came yet. */
  judge(group: GroupId, standing: Standing): Standing {
    return standing.serving && !this.lasts(group) ? { ...standing, serving: false } : standing
  }
}
