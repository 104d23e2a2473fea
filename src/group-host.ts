/**
 * Where a partition lies on this node: in memory, with its share of what a node keeps for slaves
 * that come back and of what a cache that nobody configured may hold.
 */
import { CACHE_DEFAULTS, LIMITS } from './config.js'
import type { GroupId } from './contracts/types.js'
import { shareOf } from './core/shares.js'
import type { GroupHost } from './engine/engine-options.js'
import { KeyValueStore } from './store/key-value.js'
import { MemoryLog } from './store/memory-log.js'

export function memoryHost(_group: GroupId, partitions: number): GroupHost {
  const { backlogBytesMax, backlogEntriesMax } = LIMITS
  return {
    log: new MemoryLog({
      backlogBytesMax: Math.ceil(backlogBytesMax / partitions),
      backlogEntriesMax: Math.ceil(backlogEntriesMax / partitions),
    }),
    store: new KeyValueStore({ defaults: shareOf(CACHE_DEFAULTS, partitions) }),
  }
}
