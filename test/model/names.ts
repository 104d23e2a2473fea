/**
 * The name of a state: equal names, equal behaviour from there on. Times are named as how long ago
 * they were, up to where no rule can tell any more; what no rule reads is left out.
 */
import type { Batch, Epoch } from '../../src/contracts/types.js'
import type { Message } from '../../strategies/master-slave/messages.js'
import type { GroupState, Peer } from '../../strategies/master-slave/state.js'
import type { WitnessState } from '../../strategies/master-slave/witness.js'

/** Below it "long ago" is all that a rule can see: one tick is 700 ms. */
const OVER_500_MS = -700
const OVER_1000_MS = -1_400
const OVER_2000_MS = -2_100

/** The fields that only reads go by, and cluster time. */
const UNSEEN = new Set(['stamp', 'round', 'time', 'echo'])

export function nameOf(value: unknown): string {
  return JSON.stringify(value, (key, held) => {
    if (UNSEEN.has(key)) return undefined
    if (held === null || typeof held !== 'object') return held
    if ('incarnation' in held && 'number' in held) return nameOfEpoch(held as Epoch)
    if ('crc' in held && 'bytes' in held) return nameOfBatch(held as Batch)
    if (held instanceof Map || held instanceof Set) return [...held]
    return held
  })
}

export function nameOfEpoch({ number, incarnation }: Epoch): string {
  return number === 0 ? '0' : `${number / 256}.${incarnation[0]}${incarnation[15]}`
}

function nameOfBatch({ epoch, first, crc }: Batch): string {
  return `${first}@${nameOfEpoch(epoch)}#${crc}`
}

export function nameOfMessage(message: Message): string {
  return nameOf(message)
}

export function nameOfGroup(s: GroupState): string {
  const ago = (at: number, floor: number) => Math.max(at - s.now, floor)
  const until = (at: number) => Math.max(at - s.now, 0)
  const master = s.role === 'master'
  const { hunt, candidacy } = s
  const own = [
    [s.voter, s.commit, s.role, s.serving, s.data, s.history, s.promised, s.epoch, s.master],
    [s.seen, s.next, s.crc, s.lastEpoch, s.starts, s.synced, s.distrust, s.copying, s.giving],
    [
      s.feed,
      s.feeds,
      s.probes,
      s.collects,
      s.outOfTouch,
      s.charter,
      s.merges,
      s.syncTarget,
      s.owed,
    ],
    [s.handover, until(s.probeAfter), until(s.candidateAfter), ago(s.toldAt, OVER_500_MS)],
    s.outOfTouchAt === 0 ? 0 : ago(s.outOfTouchAt, OVER_500_MS) - 1,
    master
      ? [ago(s.heartbeatAt, OVER_500_MS), until(s.graceUntil), s.epochFirst, s.doubtAt]
      : [ago(s.masterHeardAt, OVER_500_MS), ago(s.syncSentAt, OVER_500_MS)],
    hunt && { ...hunt, until: until(hunt.until) },
    candidacy && {
      ...candidacy,
      since: ago(candidacy.since, OVER_500_MS),
      until: until(candidacy.until),
    },
  ]
  return nameOf([own, [...s.peers.values()].map(peer => partsOfPeer(s, peer, master))])
}

function partsOfPeer(s: GroupState, peer: Peer, master: boolean): unknown {
  const ago = (at: number, floor: number) => Math.max(at - s.now, floor)
  const { said, progress } = peer
  return [
    [peer.session, peer.gone, peer.voter, ago(peer.heardAt, OVER_1000_MS), peer.congested],
    said && [said.data, said.history, said.role, said.incarnation],
    said?.data === 'copying' && said.next,
    [Math.max(peer.copyAfter - s.now, 0), peer.copiesFailed, ago(peer.admitSentAt, OVER_500_MS)],
    master && [peer.headed, peer.askFrom, peer.admitFrom],
    progress && {
      ...progress,
      durable: 0,
      mark: progress.acked < progress.mark ? progress.mark : 0,
      markAt: ago(progress.markAt, progress.acked < progress.mark ? OVER_2000_MS : OVER_500_MS),
    },
  ]
}

export function nameOfWitness(s: WitnessState): string {
  const ago = (at: number, floor: number) => Math.max(at - s.now, floor)
  const { memory, master, inTouch } = s
  return nameOf([
    [memory.history, memory.incarnation, memory.voter, memory.promised, memory.lastEpoch],
    [memory.next, master, inTouch, ago(s.heardAt, OVER_500_MS)],
    memory.voter ? 0 : ago(s.toldAt, OVER_500_MS),
    [...s.others.values()].map(other => other.session),
  ])
}
