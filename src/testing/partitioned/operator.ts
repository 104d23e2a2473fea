/**
 * Who runs the cluster by hand: begins lost partitions anew, and restarts nodes one after the
 * other, each once the last one has its copies back, and blocks one event loop after the other.
 */

import { partitionOfGroup } from '../../../strategies/partitioned/table.js'
import type { GroupId } from '../../contracts/types.js'
import type { PartitionedCluster } from './cluster.js'

/** He looks at the table so often, ms. */
const LOOK_MS = 200
/** A restart begins when all has been in order for so long. */
const ORDER_MS = 500
const DOWN_MS_MAX = 3_000
/** PROTOCOL 7: a loop that is blocked for so long is not declared dead; the next one not before
 *  all leases were renewed. */
const STALL_MS = 500
const STALL_EVERY_MS = 2_000

export class Operator {
  readonly counts: Record<string, number> = {}
  readonly #cluster: PartitionedCluster
  readonly #random
  readonly #asked = new Set<GroupId>()
  #running = true
  /** Whose turn it is. */
  #next = 0
  #orderSince = 0
  /** Mastership is being handed over for it. */
  #hands = false
  #stalledAt = 0

  constructor(cluster: PartitionedCluster) {
    this.#cluster = cluster
    this.#random = cluster.random.fork()
    if (cluster.draw.resetMs > 0) this.#every(() => this.resetLost(cluster.draw.resetMs))
    if (cluster.draw.rolling) this.#every(() => this.#roll())
    if (cluster.draw.loneStalls) this.#every(() => this.#stall())
  }

  stop(): void {
    this.#running = false
  }

  /** He asked for it to begin anew, ever. */
  hasReset(group: GroupId): boolean {
    return this.#asked.has(group)
  }

  /** Asks for those that have been lost for so long. */
  resetLost(lostMs: number): void {
    const { rows } = this.#cluster
    for (const group of rows.groups()) {
      const partition = partitionOfGroup(group)
      if (!rows.of(group)?.lost || this.#cluster.now() - rows.sinceMs[partition] < lostMs) continue
      const master = this.#cluster.master()
      if (master === undefined) return
      this.#asked.add(group)
      this.#count('reset-partition')
      master.engine.feed({ kind: 'admin', command: 'reset-partition', group: 0, partition })
    }
  }

  #every(task: () => void): void {
    this.#cluster.clock.after(LOOK_MS, () => {
      if (!this.#running) return
      task()
      this.#every(task)
    })
  }

  /** As SIGTERM does: mastership is handed over first. */
  #roll(): void {
    const cluster = this.#cluster
    const isWhole = () => cluster.settled() && cluster.down().length === 0
    if (!isWhole() || this.#hands) this.#orderSince = cluster.now()
    if (cluster.now() - this.#orderSince < ORDER_MS) return
    const { id } = cluster.members[this.#next++ % cluster.members.length]
    this.#count('rolling')
    const end = () => {
      this.#hands = false
      if (!this.#running || !isWhole()) return
      cluster.crash(id, this.#random.chance(0.2) ? 'power' : 'kill')
      cluster.clock.after(this.#random.next() * DOWN_MS_MAX, () => cluster.start(id))
    }
    this.#orderSince = cluster.now()
    if (cluster.master()?.id !== id) return end()
    this.#hands = true
    cluster.node(id).engine.handover(undefined, 5_000, () => undefined)
    cluster.clock.after(1_000, end)
  }

  #stall(): void {
    const cluster = this.#cluster
    if (cluster.now() - this.#stalledAt < STALL_EVERY_MS) return
    this.#stalledAt = cluster.now()
    this.#count('loneStall')
    cluster.stall(this.#random.pick(cluster.members).id, STALL_MS)
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}
