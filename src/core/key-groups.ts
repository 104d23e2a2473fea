/** Where keys lie in a cluster of partitions: each is a group, behind group 0, which holds none. */
import type { GroupId } from '../contracts/types.js'
import { partitionOf } from './partition-map.js'

/** Within 1..partitions; the same on every node and client, and for all versions. */
export function groupOfKey(key: string, partitions: number): GroupId {
  return 1 + partitionOf(key, partitions)
}
