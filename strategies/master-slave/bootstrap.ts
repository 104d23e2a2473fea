/**
 * How a cluster without data begins: all members reachable and empty, then the lowest ordinal mints
 * a history; after 5 s it goes on without the unreachable, where W + P <= N. Who meets data waits
 * for its holder: a node that restarts empty never leads over it (the accident of
 * redis/redis#12570). Under `ordinal` a holder that is silent for those 5 s is not met.
 */
import { leadsByCopies, mayBegin } from './lease.js'
import { bootstrap } from './promotion.js'
import { orphan } from './slave.js'
import type { GroupState, Peer, Sink } from './state.js'
import { isSuspicious } from './suspicion.js'

/** A statement may be lost below the transport's law; without one from each nobody begins. */
const TELL_AGAIN_MS = 500

/** Every turn whose clock moved, on a slave without data and without a master. */
export function considerBootstrap(s: GroupState, effects: Sink): void {
  if (s.master !== undefined && isSuspicious(s)) {
    orphan(s, effects)
    s.tell(effects)
  }
  if (s.master !== undefined || !s.isMember || s.self.learner) return
  if (s.now - s.toldAt >= TELL_AGAIN_MS) s.tell(effects)
  // It remembers what it promised and acked: it waits for who holds that, and votes (owed.ts).
  if (s.commitsLate && s.voter) return
  const waited = s.now - Math.max(s.startedAt, s.orphanAt)
  const patient = waited < s.settings.bootstrapWaitMs
  if (patient) {
    // What was cut short is worth anything only if its master comes back.
    if (s.data === 'copying') return
  } else if (s.half || (s.commitsLate && s.data === 'copying')) dropHalfCopy(s, effects)
  for (const peer of s.peers.values()) {
    if (peer.session === 0 || peer.said === undefined) {
      // Where W + P > N an absent one may hold what was acknowledged: nobody begins without it.
      if (patient || s.commitsLate) return
      continue
    }
    if (peer.said.data === 'ready' || peer.said.role === 'master') return
    if (s.commitsLate && (peer.said.data !== 'empty' || peer.voter)) return
    // Else whoever grants the lease chooses.
    if (!leadsByCopies(s) && goesBefore(s, peer)) return
  }
  if (isAlone(s) || (s.commitsLate && s.data !== 'empty')) return
  if (mayBegin(s, effects)) bootstrap(s, effects)
}

/** Half a copy is no state. */
export function dropHalfCopy(s: GroupState, effects: Sink): void {
  effects.report('divergence', { entries: s.next - 1, history: s.history, into: '', master: '' })
  s.rebase(effects, 1, [], { epoch: undefined, crc: 0 })
  s.copying = undefined
  s.charter.clear()
  s.owed = undefined
  s.half = false
  s.history = ''
  s.data = 'empty'
  s.voter = false
  s.tell(effects)
}

/**
 * A log that was fed from its first entry, and whose master died before its end, is a sound old
 * state: if nobody in reach has a better one it becomes the new history's, and the longest wins.
 * Else the lowest ordinal begins with nothing.
 */
function goesBefore(s: GroupState, peer: Peer): boolean {
  if (peer.witness) return false
  const mine = s.data === 'copying' ? s.next : 0
  const theirs = peer.said?.data === 'copying' ? peer.said.next : 0
  return theirs === mine ? peer.ordinal < s.self.ordinal : theirs > mine
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
