/** P10 also says: where nothing is to disturb them, calls at the owner succeed. */
import type { PartitionedCluster } from '../cluster.js'
import type { GroupCall } from '../group-call.js'
import type { GroupLaw } from '../law.js'

export function callsAtOwnersSucceed(cluster: PartitionedCluster, fromMs: number): GroupLaw {
  const atOwner = new Set<GroupCall>()
  return {
    name: 'calls at owners succeed',
    onCallStart(call) {
      // A weaker ack may ask for more copies than there are.
      if (cluster.now() < fromMs || call.ack !== undefined) return
      if (cluster.acts(cluster.tenant(call.node), call.group)) atOwner.add(call)
    },
    onCallEnd(call) {
      if (!atOwner.delete(call) || call.reply?.kind !== 'error') return
      if (call.reply.code === 'NOT_FOUND') return
      cluster.fail('P10', `${call.kind} ${call.id} at ${call.node} fails: ${call.reply.code}`)
    },
  }
}
