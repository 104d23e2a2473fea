/** The guarantee in one sentence: what a server prints at start and in its status. */
import { copiesWanted } from '../../src/core/majority.js'
import type { BroadcastState } from './state.js'

export function guarantee(s: BroadcastState): string {
  const nodes = s.peers.size + 1
  if (nodes === 1) return 'one node, broadcast: survives no crash; data lives in this process only'
  const { ack, heartbeatMs } = s.settings
  if (s.apart)
    return [
      `${nodes} nodes, broadcast of invalidations: each holds what was set there`,
      `a set or delete drops every copy that others have when it comes: within ${heartbeatMs} ms ` +
        'on linked nodes, on others once they are linked again',
      'a value that was read from its source before, and is set after that, stays until its ttl',
    ].join('; ')
  const copies = ack === 'insync' ? 0 : copiesWanted(ack, nodes)
  const survives =
    copies === 1
      ? 'a crash loses what no other node had received'
      : copies === 0
        ? 'a write is on every node that was linked and served'
        : `a write survives ${copies - 1} of ${nodes} memories lost at once`
  return [
    `${nodes} nodes, broadcast: every node accepts writes, and nobody is asked`,
    'of two concurrent writes to one key the later by clock stays and the other is lost (counted ' +
      'in conflicts)',
    `linked nodes agree within ${heartbeatMs} ms, others once they are linked again`,
    survives,
  ].join('; ')
}
