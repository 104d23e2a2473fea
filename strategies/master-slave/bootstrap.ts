/**
 * How a cluster without data begins: all members reachable and empty, then the lowest ordinal mints
 * a history; after 5 s it goes on without the unreachable. Who meets data waits for its holder: a
 * node that restarts empty never leads over it (the accident of redis/redis#12570).
 */
import { bootstrap } from './promotion.js'
import { orphan } from './slave.js'
import type { GroupState, Sink } from './state.js'
import { isSuspicious } from './suspicion.js'

/** Every turn whose clock moved, on a slave without data and without a master. */
export function considerBootstrap(s: GroupState, effects: Sink): void {
  if (s.master !== undefined && isSuspicious(s)) orphan(s, effects)
  if (s.master !== undefined) return
  const waited = s.now - Math.max(s.startedAt, s.orphanAt)
  const patient = waited < s.settings.bootstrapWaitMs
  // A copy that was cut short: its master may come back, and only then is it worth anything.
  if (patient && s.data === 'copying') return
  for (const peer of s.peers.values()) {
    if (peer.session === 0 || peer.said === undefined) {
      if (patient) return
      continue
    }
    if (peer.said.data === 'ready' || peer.said.role === 'master') return
    if (peer.said.data === 'copying' && patient) return
    if (peer.ordinal < s.self.ordinal) return
  }
  if (isAlone(s)) return
  if (s.data === 'copying') {
    effects.report('divergence', { entries: s.next - 1, history: s.history, into: '', master: '' })
    s.rebase(effects, 1, [], { epoch: undefined, crc: 0 }, new Uint8Array(0))
    s.copying = undefined
  }
  bootstrap(s, effects)
}

/**
 * Fewer are linked than a master needs to write, and not all others are proved dead. A history of
 * its own could acknowledge nothing, and being the older one it would replace, when they meet,
 * what the others acknowledged meanwhile (seed 1077).
 */
function isAlone(s: GroupState): boolean {
  let linked = 0
  let unknown = 0
  for (const peer of s.peers.values()) {
    if (peer.session !== 0) linked++
    else if (!peer.gone) unknown++
  }
  return unknown > 0 && linked < s.slavesToWriteMin
}
