/** Where a node's groups lie: the log and the state machine that its strategy replicates. */
import type { StateMachine } from './contracts/store.js'
import type { StrategyFactory } from './contracts/strategy.js'
import type { GroupId, Member, PeerId } from './contracts/types.js'
import { ordinalBits } from './core/hybrid-clock.js'
import { KeyValueStore } from './store/key-value.js'
import { MemoryLog, type MemoryLogOptions } from './store/memory-log.js'
import { StampedStore } from './store/stamped.js'

export interface States {
  readonly log: MemoryLog
  readonly store: StateMachine
  readonly host: (group: GroupId) => { readonly log: MemoryLog; readonly store: StateMachine }
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
  const log = () => new MemoryLog(options)
  const { records } = strategy
  if (records === undefined) {
    const store = () => new KeyValueStore(options)
    return { log: log(), store: store(), host: () => ({ log: log(), store: store() }) }
  }
  const { self, cluster, members } = options
  const ordinal = members.find(member => member.id === self)?.ordinal ?? 0
  const highest = Math.max(...members.map(member => member.ordinal))
  const step = 2 ** ordinalBits(highest)
  const store = new StampedStore({ self: ordinal, step, salt: cluster, apart: records === 'apart' })
  const host = (group: GroupId) => ({ log: log(), store: store.face(group) })
  return { log: log(), store, host, stamped: store }
}
