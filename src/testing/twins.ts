/**
 * Two processes of one node, one after the other, and the first comes back: a voter stands still
 * (SIGSTOP, a suspended machine), another process takes its place and is made a voter; then that
 * one dies, and the first one wakes. What it remembers is from before, so its word must count
 * nowhere until it is admitted anew:
 *
 *   ambush   the second has acked alone with the master, which is cut off: no master without those
 *            writes may be elected by the vote of the first
 *   coup     the second has deposed the master together with the others: the first wakes beside the
 *            deposed one, which knows nothing of it, and those two may acknowledge nothing
 *   calm     nobody else is touched: the master that named the second admits the first
 */
import type { PeerId } from '../contracts/types.js'
import type { SeededRandom } from '../core/prng.js'
import type { SimulatedCluster } from './cluster.js'

/** The second process is killed at a time when its memory may be lost, looked for so often. */
const LOOK_MS = 250
const LOOKS = 24
/** Entries are acked without the third node, or the deposed master, ms. */
const ALONE_MS = 800
/** The first one is with the deposed master alone, ms. */
const APART_MS = 2_500

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
      else this.#meet(id, wake)
    })
  }

  #meet(id: PeerId, wake: () => void): void {
    const cluster = this.#cluster
    const master = cluster.master()?.id
    const others = cluster.members.filter(one => one.id !== id && one.id !== master)
    const history = this.#random.below(3)
    if (master === undefined || master === id || others.length === 0 || history === 0)
      this.#end(id, wake)
    else if (history === 1) this.#ambush(id, wake, master, this.#random.pick(others).id)
    else this.#coup(id, wake, master)
  }

  /** `absent` misses what the second and the master acknowledge. */
  #ambush(id: PeerId, wake: () => void, master: PeerId, absent: PeerId): void {
    const cluster = this.#cluster
    cluster.split([absent])
    cluster.clock.after(ALONE_MS, () => {
      cluster.mendAll()
      if (this.#mayForget(id)) cluster.split([master])
      this.#end(id, wake)
    })
  }

  /** `master` misses that another one leads by the vote of the second, and what that one wrote. */
  #coup(id: PeerId, wake: () => void, master: PeerId): void {
    const cluster = this.#cluster
    cluster.split([master])
    this.#whenAnotherLeads(master, LOOKS, () =>
      cluster.clock.after(ALONE_MS, () => {
        cluster.mendAll()
        if (this.#mayForget(id)) {
          for (const { id: other } of cluster.members)
            if (other !== id && other !== master)
              for (const one of [id, master]) cluster.cut(one, other)
          cluster.clock.after(APART_MS, () => cluster.mendAll())
        }
        this.#end(id, wake)
      }),
    )
  }

  #whenAnotherLeads(old: PeerId, looks: number, then: () => void): void {
    const now = this.#cluster.master()?.id
    if (looks === 0 || (now !== undefined && now !== old)) return then()
    this.#cluster.clock.after(LOOK_MS, () => this.#whenAnotherLeads(old, looks - 1, then))
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
