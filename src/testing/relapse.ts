/**
 * The fault that forgetting is dangerous in: a master is isolated until another one leads; then a
 * voter that has promised that one dies, comes back without memory (a witness with its note) and
 * finds only the old master, or nobody. If its word counted there, two masters would acknowledge.
 */
import type { Standing } from '../contracts/strategy.js'
import type { PeerId } from '../contracts/types.js'
import type { SeededRandom } from '../core/prng.js'
import type { Checker } from './checkers/checker.js'
import type { SimulatedCluster } from './cluster.js'
import type { Life } from './life.js'

/** Nobody took over within it: given up. */
const TAKE_OVER_MS = 3_000

/** Longer than an empty node waits before it begins without the others, if ever it does. */
const LONELY_MS = 7_000

/** One at a time. A checker, because a witness must die before it notes more than its promise. */
export class Relapse implements Checker {
  readonly name = 'relapse'
  readonly #cluster: SimulatedCluster
  readonly #random: SeededRandom
  readonly #mayForget: (id: PeerId) => boolean
  #isolated: PeerId | undefined
  #running = true

  constructor(cluster: SimulatedCluster, random: SeededRandom, mayForget: (id: PeerId) => boolean) {
    this.#cluster = cluster
    this.#random = random
    this.#mayForget = mayForget
  }

  /** False if none can begin now. */
  begin(): boolean {
    const master = this.#cluster.master()
    if (master === undefined || this.#isolated !== undefined) return false
    const { id } = master
    this.#isolated = id
    this.#cluster.split([id])
    this.#cluster.clock.after(TAKE_OVER_MS, () => {
      if (this.#isolated === id) this.#heal()
    })
    return true
  }

  stop(): void {
    this.#running = false
  }

  onBecome(life: Life, standing: Standing): void {
    const old = this.#isolated
    if (old === undefined || standing.role !== 'master' || life.node === old) return
    this.#isolated = undefined
    const members = this.#cluster.members.filter(({ id }) => id !== old && id !== life.node)
    const forgetful = members.find(member => member.witness) ?? members[0]
    if (forgetful === undefined) return
    // A witness before it hears of the new epoch's entries; a data node once it holds some.
    const ms = forgetful.witness ? 0 : 100 + this.#random.next() * 900
    this.#cluster.clock.after(ms, () => this.#forget(old, forgetful.id))
  }

  #forget(old: PeerId, forgetful: PeerId): void {
    const cluster = this.#cluster
    if (!this.#running) return
    if (this.#mayForget(forgetful)) {
      cluster.crash(forgetful)
      cluster.mendAll()
      const alone = this.#random.chance(0.3)
      cluster.split(alone ? [forgetful] : [old, forgetful])
      cluster.start(forgetful)
      const ms = alone ? LONELY_MS : 1_000 + this.#random.next() * 3_000
      cluster.clock.after(ms, () => this.#heal())
    } else this.#heal()
  }

  #heal(): void {
    this.#isolated = undefined
    if (this.#running) this.#cluster.mendAll()
  }
}
