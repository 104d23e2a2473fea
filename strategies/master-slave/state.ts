/**
 * Everything that a node of strategy master-slave knows. One mutable record, changed only inside
 * step(); the files beside this one each hold the rules of one concern.
 *
 *            epoch above                 all promises in, best log pulled
 *   slave ----------------> slave      candidate -------------------------> master
 *     |  suspicion, probes say no  ^     |                                     |
 *     +----------------------------+-----+ refused or late: back off           |
 *                                  +-------------------------------------------+
 *                                        fenced by, or heard, a higher epoch
 */

import type { LogView } from '../../src/contracts/store.js'
import type { Effects, LogBase, StrategyEnv } from '../../src/contracts/strategy.js'
import type { Batch, Epoch, Offset, PeerId, Session } from '../../src/contracts/types.js'
import { assert } from '../../src/core/assert.js'
import { ClusterTime } from '../../src/core/cluster-time.js'
import { compareEpochs, type EpochStart, NO_EPOCH, noteEpochStart } from '../../src/core/epochs.js'
import { type View, type ViewMember, viewOf } from '../../src/wire/view.js'
import type { Waiting } from './acks.js'
import type { Forced } from './force.js'
import type { Handover } from './handover.js'
import { type Leasehold, newLeasehold } from './lease.js'
import type { Giving, Merge } from './merge.js'
import type { DataState, LogFacts, Message, StateMessage } from './messages.js'
import { MixedPeers } from './mixed.js'
import type { Settings } from './options.js'
import type { LogEnd } from './owed.js'
import type { Candidacy } from './promotion.js'
import type { Quorum } from './quorum.js'
import { ReadState } from './reads.js'
import type { Stated } from './stated.js'
import type { Hunt } from './suspicion.js'
import {
  adoptView,
  committedView,
  currentView,
  pushView,
  quorumIn,
  rebaseView,
  type ViewStart,
} from './views.js'

export const GROUP = 0

/** Room that a frame must leave for the head of a message. */
const FRAME_HEAD_BYTES = 512

/**
 * How the master feeds one slave. `1 <= acked <= next`; entries `[acked, next)` are on their way.
 */
export interface Progress {
  /** 'stream': entries follow; 'copy': slices of a snapshot, entries between them; 'lost': the link
   *  ended, what it acked still counts until it is silent for too long. */
  state: 'stream' | 'copy' | 'lost'
  next: Offset
  acked: Offset
  durable: Offset
  inSync: boolean
  /** Rounds, (Raft's, for a new server): what the master had at `markAt`, and when. */
  mark: Offset
  markAt: number
  /** Number of this feeding: an ack that names another one says nothing about this. */
  readonly feed: number
  /** An ack has named it, so the slave knows of it. */
  heard: boolean
  /** The snapshot's id (that of the feed) while it is copied, and how many slices went. */
  copy: number
  slices: number
  /** A slice has been asked for and not yet come. */
  reading: boolean
  /** Entries made since the copy began that are still to be sent, and their bytes: kept here, so
   *  that a short backlog cannot run away from a copy. At most 64 MiB. */
  readonly entries: Batch[]
  entriesBytes: number
  /** Slices that wait for room on the link, in order; at most two. */
  readonly held: { slice: Uint8Array; next: Offset; last: boolean }[]
  /** Entries below it must follow the last slice; `sliceLast`: then the copy ends. */
  sliceNext: Offset
  sliceLast: boolean
}

export function newProgress(
  state: 'stream' | 'copy',
  next: Offset,
  acked: Offset,
  markAt: number,
  feed: number,
  mark: Offset,
): Progress {
  const at = { next, acked, durable: 1, inSync: false, mark, markAt }
  const reading = state === 'copy'
  return {
    state,
    ...at,
    feed,
    heard: false,
    copy: state === 'copy' ? feed : 0,
    slices: 0,
    reading,
    held: [],
    entries: [],
    entriesBytes: 0,
    sliceNext: next,
    sliceLast: false,
  }
}

export interface Peer {
  readonly id: PeerId
  ordinal: number
  address: string
  /** Joining: copied, and not counted. */
  learner: boolean
  /** The view names this process of it, and only its word counts; '': none. */
  incarnation: string
  /** That process began without memory: it counts once it says that it votes. */
  amnesiac: boolean
  /** No view names it: it dialled this empty node. */
  stranger: boolean
  /** The newest view is without it; it is still fed until it knows, since `leftAt`. */
  left: boolean
  leftAt: number
  /** 0: no link. */
  session: Session
  congested: boolean
  /** When its last frame was read, or its link began. */
  frameAt: number
  /** That, or later by what this process was held up since: from then on it is silent. */
  heardAt: number
  /** Its last dial after a loss was refused or reset: no process is there. */
  gone: boolean
  said: StateMessage | undefined
  /** When it spoke first on this link without having said that; 0: it has not. */
  unsaidAt: number
  /** Its process, as it has said on this link; '': it has not, or its word is worth nothing. */
  process: string
  /** It said so on this link: in its state, a sync or a promise. */
  voter: boolean
  /** Only while this node is master and the peer follows it. */
  progress: Progress | undefined
  /** A copy to it may begin from then on; grows with failed copies. */
  copyAfter: number
  copiesFailed: number
  /** A witness: votes and holds no data. */
  witness: boolean
  /** A witness's: it has acked, in this epoch, that the log goes up to here. */
  headed: Offset
  /** A witness's: the most that it has said to this process while it voted. */
  stated: Stated | undefined
  /** The newest cluster time that it has returned under an epoch led here. */
  echo: number
  /** The others are asked, by an entry below it, whether they answer: then it is named; 0: no. */
  askFrom: Offset
  /** Where the log ended when this amnesiac had caught up; 0: not yet. */
  admitFrom: Offset
  admitSentAt: number
  /** It last said, as master, that it has its voters. */
  inTouchAt?: number
}

export type Sink = Effects<Message>

export class GroupState {
  readonly peers = new Map<PeerId, Peer>()
  readonly mixed: MixedPeers
  /** What all nodes must have alike: one that needs no lease would lead beside its holder. */
  readonly profile: string
  /** Those that may still matter, the one in force last. */
  views: ViewStart[]
  /** A newer view than the log's, as others told. */
  told: { readonly epoch: Epoch; readonly view: View } | undefined
  /** False once this node has left. */
  isMember = true
  /** An admin waits for the newest view to be committed. */
  asked = false
  self: ViewMember
  readonly clock = new ClusterTime()
  now = 0
  wall = 0
  startedAt = -1
  /** When it last found that this process had been stopped (TIMES.stoppedMs). */
  wokeAt = Number.NEGATIVE_INFINITY
  /** Number of the view; before the first one nothing is known and nothing happens. */
  view = 0
  /** Own loop delays of the last second: [at, lateMs]. */
  readonly late: [number, number][] = []

  /** True where an entry counts, and is applied, only once W voters hold it. */
  readonly commitsLate: boolean
  quorum: Quorum
  /** This process may vote, count and lead. */
  voter = false
  /** Entries below it are committed and applied. */
  commit: Offset = 1
  /** In profile ordinal: views below it are in most logs, as far as this node knows. */
  settled: Offset = 1

  role: 'slave' | 'candidate' | 'master' = 'slave'
  serving = false
  data: DataState = 'empty'
  history = ''
  /** Histories that this one was forced from, the newest first; at most 8 (force.ts). */
  forcedFrom: readonly string[] = []
  promised: Epoch = NO_EPOCH
  /** The candidate that `promised` was promised to, until it leads. */
  promisedTo: Peer | undefined
  /** Led or followed. */
  epoch: Epoch = NO_EPOCH
  master: PeerId | undefined
  /** The highest epoch met anywhere: a new one goes above it. */
  seen: Epoch = NO_EPOCH

  /** The log as it will be when this step's effects are done. */
  next: Offset = 1
  crc = 0
  lastEpoch: Epoch = NO_EPOCH
  starts: EpochStart[] = []

  // A slave's.
  masterHeardAt = 0
  /** Since when the master says that it reaches no majority; 0: it does. */
  outOfTouchAt = 0
  /** The newest cluster time that came from the master: acks return it. */
  echo = 0
  orphanAt = 0
  /** When it last told all what it is. */
  toldAt = 0
  synced = false
  /** The chain did not continue where it should: only a full copy mends that. */
  distrust = false
  syncSentAt = 0
  syncTarget: Offset = 0
  /** The master's next as last heard, for the lag. */
  masterNext: Offset = 1
  /** `until`: entries below it may be applied after the slices that are here, no others. */
  copying: { copy: number; slices: number; until: Offset } | undefined
  /** A voter's, from a copy's begin to its end: the log that it dropped ended so. */
  owed: LogEnd | undefined
  /** The state here lacks slices of a copy, whoever was to send them: it is none. */
  half = false
  giving: Giving | undefined
  collects = 0
  /** The newest feed of the followed epoch; one that is said again is a repeat. */
  feed = 0
  /** Entries below it were acked to the followed master: no word of its takes them back. */
  acked: Offset = 1
  hunt: Hunt | undefined
  probes = 0
  probeAfter = 0
  hints = { at: Number.NEGATIVE_INFINITY, shortenedTo: Number.POSITIVE_INFINITY }
  candidacy: Candidacy | undefined
  candidateAfter = 0
  readonly reads = new ReadState()

  // A master's.
  waiting: Waiting | undefined
  heartbeatAt = 0
  graceUntil = 0
  /** Since when (own clock) this node doubts that it is still master; 0: it does not. Only acks
   *  that echo `doubtTime` or later end it: an older one may have waited in a socket. */
  doubtAt = 0
  doubtTime = 0
  feeds = 0
  /** The first entry of the own epoch. */
  epochFirst: Offset = 1
  /** Processes that were empty when this node began the history, by id: incarnations. */
  readonly charter = new Map<PeerId, string>()
  /** This process has begun the history, by force. */
  forced: Forced | undefined
  /** It served, or heard that its master does. */
  ruledAt = Number.NEGATIVE_INFINITY
  /** A majority is out of reach since it was last heard. */
  outOfTouch = false
  /** Mastership is being given away. */
  handover: Handover | undefined
  /** Undefined where nothing is leased. */
  readonly lease: Leasehold | undefined
  readonly merges = new Map<PeerId, Merge>()

  constructor(
    readonly env: StrategyEnv,
    readonly settings: Settings,
  ) {
    this.self = { id: env.self, ordinal: 255, address: '' }
    const { profile, election } = settings
    this.profile = election === undefined ? profile : `${profile} with an election`
    this.lease = election === undefined ? undefined : newLeasehold()
    this.mixed = new MixedPeers(env.self, this.profile)
    this.commitsLate = profile !== 'ordinal'
    this.views = [{ first: 0, view: { number: 0, members: env.members, past: [] } }]
    this.quorum = quorumIn(this, this.views[0].view)
  }

  get log(): LogView {
    return this.env.log(GROUP)
  }

  /** What one message may carry of `bytesMax`: less where the transport's frames are small. */
  blockBytes(bytesMax: number): number {
    return Math.min(bytesMax, this.env.frameBytesMax - FRAME_HEAD_BYTES)
  }

  /** Data nodes that vote, this one included. */
  get dataNodes(): number {
    let nodes = 1
    for (const peer of this.peers.values())
      if (!peer.witness && !peer.learner && !peer.left) nodes++
    return nodes
  }

  get inSyncMin(): number {
    return this.settings.inSyncMin ?? (this.dataNodes <= 2 ? 1 : 2)
  }

  get slavesToWriteMin(): number {
    if (this.commitsLate) return this.settings.slavesToWriteMin ?? 0
    return this.settings.slavesToWriteMin ?? (this.dataNodes <= 2 ? 0 : 1)
  }

  /** The master of the current epoch was heard just now. */
  heard(time: number): void {
    this.masterHeardAt = this.now
    this.echo = Math.max(this.echo, time)
    this.hints.shortenedTo = Number.POSITIVE_INFINITY
    if (time > 0) this.clock.follow(time)
  }

  *linked(): Generator<Peer> {
    for (const peer of this.peers.values()) if (peer.session !== 0) yield peer
  }

  see(epoch: Epoch): void {
    if (compareEpochs(epoch, this.seen) > 0) this.seen = epoch
  }

  /**
   * Nothing below `epoch` is followed from now on. `to`: the candidate that asked for it. Who was
   * promised a lower one is told: it may still wait for somebody else (600 ms), and would take over
   * by this promise when another had led and acknowledged for 30 ms (ordinal, seed 8588).
   */
  promise(effects: Sink, epoch: Epoch, to?: Peer): void {
    this.see(epoch)
    const { promised, promisedTo } = this
    if (compareEpochs(epoch, promised) <= 0) return
    this.promised = epoch
    this.promisedTo = to
    effects.persist(GROUP, epoch)
    if (promisedTo === undefined || promisedTo.session === 0 || promisedTo === to) return
    effects.send(promisedTo.id, { type: 'refuse', epoch: promised, promised: epoch, hears: false })
  }

  /** Appends; the caller says `showAppended` once what others wait for is sent. */
  append(effects: Sink, batch: Batch): void {
    noteEpochStart(this.starts, batch.epoch, batch.first)
    this.next = batch.next
    this.crc = batch.crc
    this.lastEpoch = batch.epoch
    this.clock.raise(batch.time)
    effects.append(GROUP, batch)
    const view = viewOf(batch)
    if (view !== undefined) pushView(this, effects, batch.first, view)
  }

  /**
   * Profile ordinal applies at once: it shows what its log holds. So does half a copy, whose
   * entries the master had applied when it sent them.
   */
  showAppended(effects: Sink): void {
    const until = this.copying?.until ?? Number.MAX_SAFE_INTEGER
    if (!this.commitsLate || until < Number.MAX_SAFE_INTEGER) this.commitTo(effects, this.next)
  }

  commitTo(effects: Sink, next: Offset): void {
    if (next <= this.commit) return
    this.commit = next
    effects.commit(GROUP, next)
  }

  /** Drops what nobody committed, from the batch boundary `from` on. */
  truncate(effects: Sink, from: Offset): void {
    assert(from >= this.commit, `truncation to ${from} below the commit at ${this.commit}`)
    this.settled = Math.min(this.settled, from)
    this.crc = this.log.crcBefore(from) ?? this.crc
    this.lastEpoch = this.log.epochBefore(from) ?? NO_EPOCH
    this.next = from
    while ((this.starts.at(-1)?.first ?? 0) >= from) this.starts.pop()
    effects.truncate(GROUP, from)
    if (this.views[this.views.length - 1].first < from) return
    while (this.views[this.views.length - 1].first >= from) this.views.pop()
    adoptView(this, effects)
  }

  /** Begins a log in the middle, from a copy; without a `view` the last one known stays. */
  rebase(effects: Sink, at: Offset, starts: EpochStart[], base: LogBase, view?: View): void {
    this.next = at
    this.commit = at
    // Its last entry may be the view, for all that this node knows: the next append tells.
    this.settled = Math.max(1, at - 1)
    this.crc = base.crc
    this.starts = starts
    this.lastEpoch = base.epoch ?? NO_EPOCH
    effects.install(GROUP, at, new Uint8Array(0), base)
    rebaseView(this, effects, view ?? currentView(this))
  }

  facts(): LogFacts {
    const { data, history, starts, lastEpoch, next, commit, voter } = this
    const { incarnation } = this.env
    return { data, incarnation, history, starts, lastEpoch, next, commit, voter }
  }

  statement(): StateMessage {
    return {
      type: 'state',
      role: this.role === 'master' ? 'master' : 'slave',
      data: this.data,
      voter: this.voter,
      history: this.history,
      profile: this.profile,
      incarnation: this.env.incarnation,
      promised: this.promised,
      epoch: this.epoch,
      master: this.master ?? '',
      lastEpoch: this.lastEpoch,
      next: this.next,
      view: committedView(this).number,
      ...this.lineage,
    }
  }

  /** What a message that names the history says of it besides. */
  get lineage(): { forcedFrom?: readonly string[] } {
    return this.forcedFrom.length === 0 ? {} : { forcedFrom: this.forcedFrom }
  }

  /** Tells the linked members what they go by when they choose and wait. */
  tell(effects: Sink): void {
    this.toldAt = this.now
    const statement = this.statement()
    for (const peer of this.linked()) effects.send(peer.id, statement)
  }

  announce(effects: Sink): void {
    const role = this.role === 'master' ? 'master' : 'slave'
    const { epoch, master, serving } = this
    const why = this.outOfTouch && role === 'master' ? { why: 'NO_MAJORITY' } : {}
    effects.become(GROUP, { role, epoch, master, serving, ...why })
  }

  /** Seeded hex digits, 8 a draw. */
  hex(digits: number): string {
    let text = ''
    while (text.length < digits)
      text += Math.floor(this.env.random.next() * 2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return text.slice(0, digits)
  }
}
