/**
 * Memories that may be lost where nothing acknowledged may be: no more at once than N - P, and with
 * a witness, which is no copy, only while the other data node holds all. Beyond it the cluster must
 * refuse to elect for ever, which is right and tells nothing more.
 */
import type { PeerId } from '../contracts/types.js'
import { isBetterLog, NO_EPOCH } from '../core/epochs.js'
import { majorityOf } from '../core/majority.js'
import { mayForgetAmidChanges } from './changes.js'
import type { SimulatedCluster } from './cluster.js'
import type { LogPoint } from './lineage.js'
import type { SimulatedNode } from './simulated-node.js'
import type { SimulatedProfile, SimulationOptions } from './swarm.js'

/** A node that came back empty votes again within it, ms. */
const READMITTED_MS = 20_000
/** At 1 byte a ms heartbeats leave 0.3 of it for the copy (majority, seed 3016). */
const READMITTED_SLOWLY_MS = 240_000

/** False for a node whose memory must not be lost now; undefined where all may be. */
export function memoryLimit(
  cluster: SimulatedCluster,
  { profile, witness, faults }: Pick<SimulationOptions, 'profile' | 'witness' | 'faults'>,
): ((id: PeerId) => boolean) | undefined {
  if (faults.join > 0) return id => mayForgetAmidChanges(cluster, id)
  if (profile === 'ordinal') return undefined
  const data = cluster.members.filter(member => !member.witness).map(({ id }) => cluster.node(id))
  // Beside a process that woke, one: two that lead alone and know nothing of each other's views
  // wait for ever under strict, until the one that woke is stopped (strict, seed 737).
  const bears = profile === 'strict' && faults.twin === 0
  const most = bears ? data.length - 1 : data.length - majorityOf(data.length)
  return id => {
    const node = cluster.node(id)
    if (node.member.witness) return true
    const others = data.filter(other => other !== node)
    if (others.length === 0) return false
    if (witness)
      return others.every(other => other.votes && !isBetter(node.life.tip, other.life.tip))
    return others.filter(other => !remembers(other, profile)).length < most
  }
}

/**
 * It votes. In profile majority also while it is copied: entries have left the backlog behind it
 * because W others hold them, and so all that it had acked.
 */
function remembers(node: SimulatedNode, profile: SimulatedProfile): boolean {
  return node.votes || (profile === 'majority' && node.running && node.life.voted)
}

function isBetter(a: LogPoint, b: LogPoint): boolean {
  return isBetterLog(a.batch?.epoch ?? NO_EPOCH, a.next, b.batch?.epoch ?? NO_EPOCH, b.next)
}

/** Faults are over: everybody starts, is copied and votes again. `bytesPerMs`: of the network. */
export function allVote(cluster: SimulatedCluster, bytesPerMs: number): void {
  for (const { id } of cluster.members) {
    cluster.resume(id)
    cluster.start(id)
  }
  const votes = () => cluster.live().every(node => node.votes)
  const withinMs = bytesPerMs === 1 ? READMITTED_SLOWLY_MS : READMITTED_MS
  if (cluster.runUntil(votes, withinMs)) return
  const without = cluster.live().filter(node => !node.votes)
  const states = without.map(node => `${node.id} (${node.status().self.state})`)
  cluster.fail('I18', `${states} may not vote ${withinMs} ms after heal`)
}
