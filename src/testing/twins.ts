/**
 * Two processes of one node, one after the other, and the first comes back: a voter stands still
 * (SIGSTOP, a suspended machine), another process takes its place, is made a voter and acks alone
 * with the master; then it dies, the master is cut off, and the first one wakes. What it remembers
 * is from before: if its vote counted, a master without those writes could be elected.
 */
import type { PeerId } from '../contracts/types.js'
import type { SeededRandom } from '../core/prng.js'
import type { SimulatedCluster } from './cluster.js'

/** The second process is killed at a time when its memory may be lost, looked for so often. */
const LOOK_MS = 250
const LOOKS = 24
/** Entries are acked without the third node, ms. */
const ALONE_MS = 800

/** One pair at a time. */
export class Twins {
  readonly #cluster: SimulatedCluster
  readonly #random: SeededRandom
  readonly #mayForget: (id: PeerId) => boolean
  #busy = false

  /** `mayForget`: false where the memory of that node must not be lost now, or at all any more. */
  constructor(cluster: SimulatedCluster, random: SeededRandom, mayForget: (id: PeerId) => boolean) {
    this.#cluster = cluster
    this.#random = random
    this.#mayForget = mayForget
  }

  /** False if none can begin now. */
  begin(): boolean {
    const cluster = this.#cluster
    if (this.#busy) return false
    const voters = cluster
      .live()
      .filter(node => !node.member.witness && node.awake && node.votes && !node.life.copying)
      .filter(({ id }) => this.#mayForget(id))
    if (voters.length === 0) return false
    const { id } = this.#random.pick(voters)
    const wake = cluster.putAside(id)
    this.#busy = true
    cluster.clock.after(100 + this.#random.next() * 900, () => {
      cluster.start(id)
      this.#whenVoter(id, wake, LOOKS)
    })
    return true
  }

  #whenVoter(id: PeerId, wake: () => void, looks: number): void {
    const cluster = this.#cluster
    cluster.clock.after(LOOK_MS, () => {
      const node = cluster.node(id)
      // The first never wakes: whether its word is still worth something, nobody here can tell.
      if (looks === 0) this.#busy = false
      else if (!node.running || !node.votes || !this.#mayForget(id))
        this.#whenVoter(id, wake, looks - 1)
      else this.#ambush(id, wake)
    })
  }

  /** Who is neither the node nor its master misses what both acknowledge. */
  #ambush(id: PeerId, wake: () => void): void {
    const cluster = this.#cluster
    const master = cluster.master()?.id
    const others = cluster.members.filter(one => one.id !== id && one.id !== master)
    if (master === undefined || master === id || others.length === 0) return this.#end(id, wake)
    cluster.split([this.#random.pick(others).id])
    cluster.clock.after(ALONE_MS, () => {
      cluster.mendAll()
      if (this.#mayForget(id)) cluster.split([master])
      this.#end(id, wake)
    })
  }

  /** The second dies, where that is allowed, and the first wakes. */
  #end(id: PeerId, wake: () => void): void {
    const cluster = this.#cluster
    const node = cluster.node(id)
    this.#busy = false
    const voted = node.life.voted || node.votes
    if (node.running && this.#mayForget(id)) cluster.crash(id)
    if (!node.running && voted) wake()
  }
}
