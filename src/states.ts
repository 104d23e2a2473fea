/** Where a node's groups lie: the log and the state machine that its strategy replicates. */
import { CACHE_DEFAULTS, LIMITS } from './config.js'
import type { StateMachine } from './contracts/store.js'
import type { StrategyFactory } from './contracts/strategy.js'
import type { GroupId, Member, PeerId } from './contracts/types.js'
import { ordinalBits } from './core/hybrid-clock.js'
import { shareOf } from './core/shares.js'
import { KeyValueStore } from './store/key-value.js'
import { MemoryLog, type MemoryLogOptions } from './store/memory-log.js'
import { StampedStore } from './store/stamped.js'

export interface HostedState {
  readonly log: MemoryLog
  readonly store: StateMachine
}

export interface States {
  readonly log: MemoryLog
  readonly store: StateMachine
  /** One of so many partitions has its share of what a node keeps for slaves that come back, and
   *  of what a cache that nobody configured may hold. */
  readonly host: (group: GroupId, partitions: number) => HostedState
  readonly stamped?: StampedStore
}

export interface StatesOptions extends MemoryLogOptions {
  readonly self: PeerId
  readonly cluster: string
  readonly members: readonly Member[]
  readonly snapshotPendingBytesMax?: number
}

/** A store for each group; or one of stamped records for all, where the strategy wants that. */
export function statesOf(
  strategy: Pick<StrategyFactory, 'records'>,
  options: StatesOptions,
): States {
  const log = (partitions = 1) => new MemoryLog(shareOfBacklog(options, partitions))
  const { records } = strategy
  if (records === undefined) {
    const store = (partitions = 1) =>
      new KeyValueStore({ ...options, defaults: shareOf(CACHE_DEFAULTS, partitions) })
    const host = (_group: GroupId, partitions: number) => ({
      log: log(partitions),
      store: store(partitions),
    })
    return { log: log(), store: store(), host }
  }
  const { self, cluster, members } = options
  const ordinal = members.find(member => member.id === self)?.ordinal ?? 0
  const highest = Math.max(...members.map(member => member.ordinal))
  const step = 2 ** ordinalBits(highest)
  const store = new StampedStore({ self: ordinal, step, salt: cluster, apart: records === 'apart' })
  const host = (group: GroupId) => ({ log: log(), store: store.face(group) })
  return { log: log(), store, host, stamped: store }
}

function shareOfBacklog(options: MemoryLogOptions, partitions: number): MemoryLogOptions {
  const { backlogBytesMax, backlogEntriesMax } = { ...LIMITS, ...options }
  return {
    backlogBytesMax: Math.ceil(backlogBytesMax / partitions),
    backlogEntriesMax: Math.ceil(backlogEntriesMax / partitions),
  }
}
