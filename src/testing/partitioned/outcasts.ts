/**
 * A node that a switch or a firewall rejects for a while: all links with it are reset, and so is
 * each new attempt, while its process lives on. Often it does not hear that itself, and takes its
 * links for open until they have been silent for too long. The others find another master for the
 * control group at once: never is what the last one gave, or was given, as young as then.
 */
import type { PeerId } from '../../contracts/types.js'
import { type SeededRandom, seededRandom } from '../../core/prng.js'
import type { PartitionedCluster } from './cluster.js'

/** An attempt to dial that is under way is reset within it, before it could time out. */
const RESET_EVERY_MS = 5
const LENGTHS_MS = [300, 1_000, 2_500, 5_000]

export class Outcasts {
  count = 0
  readonly #cluster: PartitionedCluster
  readonly #random: SeededRandom
  readonly #rate: number
  #running = true

  /** `rate`: mean events a second. Drawn from a stream of its own. */
  constructor(cluster: PartitionedCluster, rate: number, seed: number) {
    this.#cluster = cluster
    this.#random = seededRandom(seed ^ 0x0c45)
    this.#rate = rate
    if (rate > 0) this.#schedule()
  }

  /** No more of them; who is rejected stays so. */
  stop(): void {
    this.#running = false
  }

  #schedule(): void {
    const waitMs = (-Math.log(1 - this.#random.next()) * 1_000) / this.#rate
    this.#cluster.clock.after(waitMs, () => {
      if (!this.#running) return
      this.#reject()
      this.#schedule()
    })
  }

  /** The master of the control group more often than not: it grants what others act by. */
  #reject(): void {
    const cluster = this.#cluster
    const master = this.#random.chance(0.7) ? cluster.master() : undefined
    const { id } = master ?? this.#random.pick(cluster.members)
    const others = cluster.members.filter(member => member.id !== id)
    for (const other of others) cluster.cut(id, other.id)
    this.count++
    const ids = others.map(other => other.id)
    const hears = this.#random.chance(0.4)
    this.#resetUntil(cluster.now() + this.#random.pick(LENGTHS_MS), id, ids, hears)
  }

  #resetUntil(endMs: number, id: PeerId, others: readonly PeerId[], hears: boolean): void {
    const cluster = this.#cluster
    const { network } = cluster
    if (!this.#running) return
    if (cluster.now() >= endMs) {
      for (const other of others) cluster.mend(id, other)
      return
    }
    for (const other of others)
      if (network.isCut(id, other)) network.reset(id, other, hears ? undefined : other)
    cluster.clock.after(RESET_EVERY_MS, () => this.#resetUntil(endMs, id, others, hears))
  }
}
