/**
 * A machine that is gone for longer than anybody waits for it, without a word: its power fails, and
 * it comes back with nothing, or its network does, and it comes back with all that it had. One at
 * a time, since nothing else befalls these clusters.
 */
import type { PeerId } from '../../contracts/types.js'
import { type SeededRandom, seededRandom } from '../../core/prng.js'
import type { PartitionedCluster } from './cluster.js'

/** Beside the grace: its partitions are called lost within it, or are overdue. */
const BESIDE_MS = 6_000
const BETWEEN_MS = 1_000

export class Absences {
  count = 0
  readonly #cluster: PartitionedCluster
  readonly #random: SeededRandom
  #running = true

  constructor(cluster: PartitionedCluster, isOn: boolean, seed: number) {
    this.#cluster = cluster
    this.#random = seededRandom(seed ^ 0xab5e)
    if (isOn) this.#begin()
  }

  /** No more of them; who is away stays so. */
  stop(): void {
    this.#running = false
  }

  #begin(): void {
    const cluster = this.#cluster
    cluster.clock.after(BETWEEN_MS, () => {
      if (!this.#running) return
      const isWhole = cluster.settled() && cluster.down().length === 0
      if (!isWhole) return this.#begin()
      const { id } = this.#random.pick(cluster.members)
      const isPower = this.#random.chance(0.5)
      this.count++
      if (isPower) cluster.crash(id, 'power')
      else cluster.split([id])
      const awayMs = cluster.draw.graceMs + BESIDE_MS + this.#random.below(BETWEEN_MS)
      cluster.clock.after(awayMs, () => this.#end(id))
    })
  }

  #end(id: PeerId): void {
    if (!this.#running) return
    this.#cluster.mendAll()
    this.#cluster.start(id)
    this.#begin()
  }
}
