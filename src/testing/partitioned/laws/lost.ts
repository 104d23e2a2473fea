/**
 * P7  a partition is called lost only if every heir has lost its memory or was out of reach for
 *     longer than graceMs, where at most one memory at a time was lost never for the first; while
 *     it is lost nobody answers for it, and nothing begins it anew but an admin. The nodes that the
 *     table names for it say PARTITION_LOST (simulation.ts asks them). And it is said: soon after
 *     the grace of heirs that all died, power or process, and unsaid as soon after one of them that
 *     has it all is in reach again, where nothing keeps the office from its majority.
 */
import type { GroupId, PeerId } from '../../../contracts/types.js'
import { majorityOf } from '../../../core/majority.js'
import type { Life } from '../../life.js'
import { type PartitionedCluster, partitionName } from '../cluster.js'
import type { GroupLaw } from '../law.js'
import type { KeptLaw } from './kept.js'

/** Least time without a word after which a lease counts as over; clocks differ by a tenth. */
const ENDS_MS = 1_300
const CLOCKS_SHARE = 0.9
const STEP_MS = 100
/** Lost is said a second after the grace; then it is committed, beside redials and elections. */
const SAID_MS = 3_000
/** Whoever is back is linked, heard, granted it, and has told all of it. */
const UNSAID_MS = 3_000

export interface LostLaw extends GroupLaw {
  /** How many partitions were ever lost. */
  readonly count: number
}

export function lostIsSaid(
  cluster: PartitionedCluster,
  kept: KeptLaw,
  mayLose: boolean,
  wasReset: (group: GroupId) => boolean,
): LostLaw {
  let count = 0
  const holds = (id: PeerId, group: GroupId) =>
    kept.hasData(group) && kept.holdsAll(cluster.tenant(id), group)
  const reach = new Reach(cluster)
  const awayMs = Math.max(ENDS_MS, cluster.draw.graceMs)
  return {
    name: 'a lost partition says so',
    get count() {
      return count
    },
    onRow(row, before) {
      const group = row.partition + 1
      if (before?.lost && !row.lost && before.born === row.born) {
        // Somebody who holds all of it has come back: nothing was lost after all.
        const holder = cluster.tenant(row.holder)
        if (!kept.holdsAll(holder, group))
          cluster.fail('P7', `${partitionName(group)} was lost and ${holder.life} holds it`)
      }
      if (before !== undefined && before.born !== row.born && before.history !== '')
        if (!before.lost || !wasReset(group))
          cluster.fail('P7', `${partitionName(group)} begins anew, and nobody asked for it`)
      if (!row.lost || before?.lost) return
      count++
      const near = (before?.heirs ?? []).filter(id => !reach.isOut(id, awayMs * CLOCKS_SHARE))
      if (!mayLose && near.length === before?.heirs.length)
        cluster.fail('P7', `${partitionName(group)} is lost, with one fault at a time`)
      if (!kept.hasData(group)) return
      for (const id of near) {
        const heir = cluster.tenant(id)
        if (heir.node.running && kept.holdsAll(heir, group))
          cluster.fail('P7', `${partitionName(group)} is called lost, and ${heir.life} has it all`)
      }
    },
    onTick() {
      reach.look()
      for (const row of cluster.rows.newest) {
        if (!row?.history) continue
        const name = partitionName(row.partition + 1)
        const sayMs = awayMs + SAID_MS
        if (!row.lost && row.heirs.every(id => reach.isDown(id, sayMs)) && reach.decides(sayMs))
          cluster.fail('P7', `all of ${row.heirs} are gone for ${sayMs} ms: ${name} is not lost`)
        if (!row.lost) continue
        const back = row.heirs.find(
          id => reach.isBack(id, UNSAID_MS) && holds(id, row.partition + 1),
        )
        if (back !== undefined && reach.decides(UNSAID_MS))
          cluster.fail('P7', `${back} is back with ${name} for ${UNSAID_MS} ms, and it is lost`)
        const [acting] = cluster.acting(row.partition + 1)
        if (acting !== undefined)
          cluster.fail('P7', `${acting.life} serves partition ${row.partition}, which is lost`)
      }
    },
    onCallEnd({ group, startedAt, reply, node }) {
      const row = cluster.rows.of(group)
      if (!row?.lost || reply === undefined || reply.kind === 'error') return
      if (startedAt > cluster.rows.sinceMs[row.partition])
        cluster.fail('P7', `${node} answers for ${partitionName(group)}, which is lost`)
    },
  }
}

/** Who could speak with whoever leads the control group. */
class Reach {
  readonly #cluster: PartitionedCluster
  #master: Life | undefined
  #sinceMs = 0

  constructor(cluster: PartitionedCluster) {
    this.#cluster = cluster
  }

  look(): void {
    const life = this.#cluster.master()?.life
    if (life === this.#master) return
    this.#master = life
    this.#sinceMs = this.#cluster.now()
  }

  /** Somebody, perhaps the master, could not count on hearing it at any time of the last `ms`. */
  isOut(id: PeerId, ms: number): boolean {
    const now = this.#cluster.now()
    return this.#cluster.live().some(other => {
      for (let at = now; at >= now - ms; at -= STEP_MS)
        if (!this.#cluster.disturbances.disturbed(id, other.id, at, at)) return false
      return true
    })
  }

  /** No process of it ran in the last `ms`. */
  isDown(id: PeerId, ms: number): boolean {
    const { running, life } = this.#cluster.node(id)
    return !running && (life.endedAt ?? 0) <= this.#cluster.now() - ms
  }

  /** It ran all that time, and nothing kept the master from hearing it. */
  isBack(id: PeerId, ms: number): boolean {
    const node = this.#cluster.node(id)
    const now = this.#cluster.now()
    if (!node.awake || node.life.startedAt > now - ms || this.#master === undefined) return false
    return !this.#cluster.disturbances.disturbed(id, this.#master.node, now - ms, now)
  }

  /** One master has led all that time, and nothing kept it from a majority. */
  decides(ms: number): boolean {
    const { members } = this.#cluster
    if (this.#master === undefined || this.#sinceMs > this.#cluster.now() - ms) return false
    const near = members.filter(({ id }) => this.isBack(id, ms))
    return near.length >= majorityOf(members.length)
  }
}
