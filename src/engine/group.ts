/**
 * One replicated log on this node with all that goes with it: the state machine that it is applied
 * to, what the strategy said of it last, and the copies and merges under way.
 */
import type { Clock, Logger } from '../contracts/environment.js'
import type { MergeFunction } from '../contracts/merge.js'
import type { CacheOptions, LogStore, StateMachine } from '../contracts/store.js'
import type {
  Input,
  LogBase,
  Place,
  Proposal,
  ReplicationStrategy,
  Standing,
} from '../contracts/strategy.js'
import type { Batch, Epoch, GroupId, Offset, Position } from '../contracts/types.js'
import { NO_EPOCH } from '../core/epochs.js'
import type { GcacheError } from '../errors.js'
import { Applier } from './applier.js'
import type { Effect } from './effect-queue.js'
import type { GroupHost } from './engine-options.js'
import { Housekeeping } from './housekeeping.js'
import type { Mandate } from './mandate.js'
import { Merges } from './merges.js'
import type { OpenCalls } from './open-calls.js'
import type { ReplyEnv } from './request-replies.js'
import { Requests } from './requests.js'
import type { RequestsEnv } from './requests-env.js'
import { Snapshots } from './snapshots.js'
import { freshnessOf, placeIn } from './unsaid.js'

/** Of RequestsEnv what is no group's own. */
export type RequestRules = Omit<
  RequestsEnv,
  | keyof ReplyEnv
  | 'group'
  | 'store'
  | 'propose'
  | 'read'
  | 'standing'
  | 'time'
  | 'freshness'
  | 'place'
  | 'applied'
>

export interface GroupEnv<M> {
  readonly strategy: ReplicationStrategy<M>
  readonly mandate: Mandate<M>
  readonly clock: Clock
  readonly logger: Logger
  readonly caches: Readonly<Record<string, CacheOptions>>
  readonly onMerge?: MergeFunction | undefined
  readonly valueBytesMax?: number | undefined
  readonly calls: OpenCalls
  /** What the requests of all groups go by. */
  readonly rules: RequestRules
  feed(input: Input<M>): void
  /** A broken invariant. */
  fail(error: unknown): void
}

type SeldomKind =
  | 'truncate'
  | 'openSnapshot'
  | 'readSnapshot'
  | 'closeSnapshot'
  | 'collect'
  | 'merge'
type SeldomEffect = Extract<Effect<never>, { kind: SeldomKind }>

export class Group<M> {
  readonly id: GroupId
  readonly log: LogStore
  readonly store: StateMachine
  readonly #env: GroupEnv<M>
  readonly #applier: Applier
  readonly #merges: Merges
  readonly #snapshots: Snapshots
  readonly #housekeeping: Housekeeping
  #requests: Requests | undefined
  #told: Standing = { role: 'slave', epoch: NO_EPOCH, master: undefined, serving: false }

  constructor(env: GroupEnv<M>, id: GroupId, { log, store }: GroupHost) {
    this.id = id
    this.log = log
    this.store = store
    this.#env = env
    const { clock, logger, caches, onMerge, valueBytesMax } = env
    this.#applier = new Applier(log, store)
    this.#snapshots = new Snapshots(store, clock, input => env.feed(input))
    this.#merges = new Merges({
      ...{ store, log, clock, logger, onMerge, valueBytesMax },
      time: () => this.time(),
      feed: input => env.feed(input),
      fail: error => env.fail(error),
    })
    this.#housekeeping = new Housekeeping({
      ...{ group: id === 0 ? undefined : id, store, clock, caches },
      time: () => this.time(),
      propose: proposals => env.feed({ kind: 'propose', proposals }),
    })
  }

  /** What the strategy said last, as far as it lasts. */
  get standing(): Standing {
    return this.#env.mandate.judge(this.id, this.#told)
  }

  /** Made when the first call comes. */
  get requests(): Requests {
    this.#requests ??= this.#makeRequests()
    return this.#requests
  }

  #makeRequests(): Requests {
    const { rules, calls, feed } = this.#env
    const group = this.id === 0 ? undefined : this.id
    const env = {
      ...rules,
      ...(group === undefined ? {} : { group }),
      store: this.store,
      propose: (proposals: readonly Proposal[]) => feed({ kind: 'propose', proposals }),
      read: (id: number, key: string) =>
        feed({ kind: 'read', id, key, mode: 'linearizable', group }),
      standing: () => this.standing,
      time: () => this.time(),
      freshness: () => this.freshness(),
      place: (position: Position) => this.place(position),
      applied: () => this.applied(),
    }
    return new Requests(env, calls)
  }

  /** Returns what was said before. */
  become(standing: Standing): Standing {
    const before = this.#told
    this.#told = standing
    this.#housekeeping.restart()
    return before
  }

  /** Cluster time in ms. */
  time(): number {
    return this.#env.strategy.time(this.id)
  }

  /** Own monotonic ms at which what is applied here was surely what a master had applied. */
  freshness(): number {
    return freshnessOf(this.#env.strategy, this.id, this.standing, this.#env.clock)
  }

  place(position: Position): Place {
    return placeIn(this.#env.strategy, this.id, this.standing, this.log, position)
  }

  /** Entries `[1, next)` are in the store; the last one is of `epoch`. The object is reused. */
  applied(): { readonly epoch: Epoch; readonly next: Offset } {
    return this.#applier.applied()
  }

  append(batch: Batch): void {
    this.#applier.append(batch)
    this.#merges.onAppend()
  }

  /** Applies `[applied, next)`; on the master, who waits for an entry hears what it did. */
  commit(next: Offset): void {
    this.#applier.commit(next, this.standing.role === 'master' ? this.#requests : undefined)
  }

  /** With `base` the old state and log go first. Returns what is wrong with a bad slice. */
  install(at: Offset, slice: Uint8Array, base: LogBase | undefined): GcacheError | undefined {
    if (base !== undefined) this.#merges.reset()
    return this.#applier.install(at, slice, base)
  }

  /** What is asked seldom. */
  execute(effect: SeldomEffect): void {
    switch (effect.kind) {
      case 'truncate':
        this.#merges.reset()
        return this.#applier.truncate(effect.from)
      case 'openSnapshot':
        return this.#snapshots.open(effect.id, effect.what)
      case 'readSnapshot':
        return this.#snapshots.read(this.id, effect.id, effect.bytesMax)
      case 'closeSnapshot':
        return this.#snapshots.close(effect.id)
      case 'collect':
        return this.#merges.collect(this.id, effect.id, effect.from, effect.bytesMax)
      case 'merge':
        return this.#merges.merge(this.id, effect.id, effect.from, effect.records, effect.last)
    }
  }

  /** After a run: a serving master proposes what it owes its store. Own clock, ms: when it will
   *  owe anything again, unless its standing changes. */
  keepHouse(): number {
    const { role, serving } = this.standing
    if (role !== 'master' || !serving) return Number.POSITIVE_INFINITY
    this.#housekeeping.run()
    return this.#housekeeping.dueMs
  }

  /** Nothing of it is read or fed any more; its calls end. */
  stop(): void {
    this.#requests?.stop()
    this.#snapshots.stop()
    this.#merges.reset()
  }
}
