/**
 * Whether this node may act at all, and for how long as master, where an election decides. What
 * the strategy wants goes to the plug-in, what that one says comes back as an input, and the clock
 * is asked at each answer: a tick may be late, and a process that was stopped must not answer
 * before it.
 */
import type { Election, Heirs, Lease } from '../contracts/election.js'
import type { Clock } from '../contracts/environment.js'
import type {
  Input,
  MemberStatus,
  ReplicationStrategy,
  Standing,
  StrategyStatus,
} from '../contracts/strategy.js'
import type { GroupId } from '../contracts/types.js'
import { NO_EPOCH } from '../core/epochs.js'
import { GcacheError } from '../errors.js'
import type { EngineOptions } from './engine-options.js'

/** Of a node that is no part of its cluster: every other one's word goes before its own. */
const NOBODY: Standing = {
  ...{ role: 'slave', epoch: NO_EPOCH, master: undefined, serving: false, why: 'NOT_READY' },
}
const NO_LEASE: Lease = { counter: 0, askedMs: 0, untilMs: 0 }

export class Mandate<M> {
  readonly #strategy: ReplicationStrategy<M>
  readonly #clock: Clock
  readonly #election: Election | undefined
  readonly #onChange: () => void
  /** This process has been linked with a member, so they run one strategy. */
  #agreed = false
  #strange: string | undefined

  /** `onChange`: whether this node may act is to be told anew. */
  constructor(strategy: ReplicationStrategy<M>, options: EngineOptions<M>, onChange: () => void) {
    this.#onChange = onChange
    const { self, cluster, incarnation, clock, logger } = options
    this.#strategy = strategy
    this.#clock = clock
    this.#election = strategy.election?.({ self, cluster, incarnation, clock, logger })
  }

  get why(): string | undefined {
    return this.#strange ?? this.#election?.why
  }

  /** As this node says it in the handshake. */
  get strategyName(): string {
    return this.#strategy.name
  }

  /** False: this node is to be asked for nothing. */
  get acts(): boolean {
    return this.#strange === undefined
  }

  /** A member turned us down. True if that is for its running another strategy, which `cause` then
   *  names: until one of the same is met, this process may be the odd one out, and would serve what
   *  the others do not know. One that has met one goes on: a member started wrongly must not stop
   *  the others. */
  differs(cause: Error | undefined): cause is GcacheError {
    if (!(cause instanceof GcacheError) || cause.code !== 'CONFIG') return false
    if (!this.#agreed && this.#strange === undefined) {
      this.#strange = cause.message
      this.#onChange()
    }
    return true
  }

  /** A member is linked. */
  agree(): void {
    this.#agreed = true
    if (this.#strange === undefined) return
    this.#strange = undefined
    this.#onChange()
  }

  /** What the strategy says of this node and of its cluster, as far as it may. */
  told(status: StrategyStatus): StrategyStatus {
    if (this.#strange === undefined) return status
    const self: MemberStatus = { ...status.self, role: 'slave', state: 'refused' }
    const members = status.members.map(member => (member.id === self.id ? self : member))
    const guarantee = `none: ${this.#strange}`
    return { ...status, guarantee, epoch: 0, master: undefined, self, members }
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
    if (this.#strange !== undefined) return NOBODY
    return standing.serving && !this.lasts(group) ? { ...standing, serving: false } : standing
  }
}
