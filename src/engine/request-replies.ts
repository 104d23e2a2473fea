/**
 * The replies of a step, a frame a link: written as they become known, sent by writeOut(). A link
 * that does not read is told BUSY before it fills memory, and cut off when its queue is full.
 */
import { LIMITS } from '../config.js'
import type { Access } from '../contracts/authorisation.js'
import type { SendResult } from '../contracts/transport.js'
import type { Epoch, GroupId, Offset, PeerId, Session } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import type { Writer } from '../wire/bytes.js'
import { beginReplies, patchReplies } from '../wire/requests.js'
import { FrameSlab } from '../wire/slab.js'

export interface ReplyEnv {
  send(peer: PeerId, frame: Uint8Array): SendResult
  /** Writes what was sent to `peer` now. */
  flush(peer: PeerId): void
  /** Lets no frames of `peer` in, or lets them in again: a hint (contracts/transport.ts). */
  hold(peer: PeerId, onHold: boolean): void
  /** Ends the session with a peer that does not read its replies. */
  disconnect(peer: PeerId, cause: GcacheError): void
  /** What the link with `peer` may do; undefined: everything. Asked once a link. */
  access?(peer: PeerId): Access | undefined
}

/** The group that a reply is of. */
export interface ReplySource {
  readonly group: GroupId
  /** Its store holds entries `[1, applied)`; the last one is of this epoch. */
  applied(): { readonly epoch: Epoch; readonly next: Offset }
}

/** Bytes sent to a link after 'congested'; then reads are answered BUSY until it is writable. */
const CONGESTED_BYTES_MAX = 2 ** 20
/**
 * Replies that leave at once, so that the client works while the rest of the turn is served. Fewer
 * wait for the end of the turn: written one by one, small frames would stay small for ever, at 5 us
 * a write (100 in flight, set: 130,000 a second instead of over 400,000).
 */
const FLUSH_REPLIES = 25
const { callsPerLinkMax: CALLS_MAX, callBytesPerLinkMax: CALL_BYTES_MAX } = LIMITS
/** Slabs kept for the next turn; more are left to the collector. */
const SLABS_KEPT = 8
const SMALL_SLAB_BYTES = 4_096
/** A slab grows for a large frame, and is not kept for it. */
const SLAB_BYTES_KEPT = 2 ** 20
/** What a queue that is not half full may refuse; one such frame a link waits here instead. */
const PARKED_BYTES_MIN = LIMITS.peerQueueBytesMax / 2

/** One session of one client: where its replies go, for as long as it lasts. */
export class ReplyLink {
  readonly peer: PeerId
  readonly session: Session
  /** Undefined: it may do everything. */
  readonly access: Access | undefined
  /** Nobody waits for its replies any more. */
  down = false
  /** The frame being written; undefined between frames. */
  slab: FrameSlab | undefined
  out: Writer | undefined
  countAt = 0
  count = 0
  epoch = 0
  source: ReplySource | undefined
  /** Replies sent since the last flush that was asked for. */
  unflushed = 0
  /** Bytes sent since the link became congested; -1 while it is not. */
  congestedBytes = -1
  /** Calls that wait for their answer, and their bytes. */
  calls = 0
  callBytes = 0
  /** So many that no more are read. */
  onHold = false
  /** A large frame that found no room: sent once its queue is empty. */
  parked: Uint8Array | undefined

  constructor(peer: PeerId, session: Session, access?: Access) {
    this.peer = peer
    this.session = session
    this.access = access
  }

  /** True while more bytes would only fill its queue. */
  get full(): boolean {
    return this.parked !== undefined || this.congestedBytes > CONGESTED_BYTES_MAX
  }
}

export class Replies {
  readonly #env: ReplyEnv
  readonly #links = new Map<PeerId, ReplyLink>()
  readonly #slabs: FrameSlab[] = [new FrameSlab(2 ** 18)]
  #dirty: ReplyLink[] = []
  #last: ReplyLink | undefined

  constructor(env: ReplyEnv) {
    this.#env = env
  }

  /** The link with `peer` in this session; a new session forgets the old one's replies. */
  link(peer: PeerId, session: Session): ReplyLink {
    const last = this.#last
    if (last !== undefined && last.peer === peer && last.session === session && !last.down)
      return last
    let link = this.#links.get(peer)
    if (link === undefined || link.session !== session) {
      if (link !== undefined) link.down = true
      link = new ReplyLink(peer, session, this.#env.access?.(peer))
      this.#links.set(peer, link)
    }
    this.#last = link
    return link
  }

  onLinkDown(peer: PeerId, session: Session): void {
    const link = this.#links.get(peer)
    if (link === undefined || link.session !== session) return
    link.down = true
    this.#links.delete(peer)
    if (this.#last === link) this.#last = undefined
  }

  onWritable(peer: PeerId, session: Session): void {
    const link = this.#links.get(peer)
    if (link === undefined || link.session !== session) return
    link.congestedBytes = -1
    const { parked } = link
    link.parked = undefined
    if (parked !== undefined) this.#give(link, parked)
  }

  /** False: a reply of `bytes` is large, and others wait before it; it is asked for again. */
  hasRoom(link: ReplyLink, bytes: number): boolean {
    if (bytes <= LIMITS.largeValueBytes) return true
    const open = link.slab?.frameBytes ?? 0
    return !link.full && link.congestedBytes < 0 && open <= LIMITS.largeValueBytes
  }

  /** A call of `bytes` waits for its answer. */
  took(link: ReplyLink, bytes: number): void {
    link.calls++
    link.callBytes += bytes
  }

  /** It waits no more. A link on hold is let in again when half of what held it is gone. */
  gave(link: ReplyLink, bytes: number): void {
    link.calls--
    link.callBytes -= bytes
    if (!link.onHold || link.calls * 2 > CALLS_MAX || link.callBytes * 2 > CALL_BYTES_MAX) return
    link.onHold = false
    if (!link.down) this.#env.hold(link.peer, false)
  }

  /** A frame of `link` is read: whether the next one may be. */
  judge(link: ReplyLink): void {
    if (link.calls < CALLS_MAX && link.callBytes < CALL_BYTES_MAX) return
    if (link.onHold || link.down) return
    link.onHold = true
    this.#env.hold(link.peer, true)
  }

  /** Where the next reply of `link`, at most `bytes` long, is written. Begins a frame if none is
   *  open, if it is another group's or epoch's, or if `bytes` more would exceed the frame limit. */
  reply(link: ReplyLink, source: ReplySource, epoch: number, bytes: number): Writer {
    const open = link.out
    if (open !== undefined && link.slab !== undefined) {
      const fits = link.slab.frameBytes + bytes <= LIMITS.clientFrameBytesMax
      const same = link.epoch === epoch && link.source === source
      if (fits && same && link.count < LIMITS.requestsPerFrameMax) {
        link.count++
        return open
      }
      this.#send(link)
    }
    const slab = this.#slabs.pop() ?? new FrameSlab(SMALL_SLAB_BYTES)
    const out = slab.begin()
    link.slab = slab
    link.out = out
    link.countAt = beginReplies(out, epoch, source.group)
    link.source = source
    link.count = 1
    link.epoch = epoch
    this.#dirty.push(link)
    return out
  }

  /** Sends every open frame. */
  writeOut(): void {
    const dirty = this.#dirty
    if (dirty.length === 0) return
    this.#dirty = []
    for (const link of dirty) {
      if (link.out === undefined) continue
      this.#send(link)
      if (link.down || link.unflushed < FLUSH_REPLIES) continue
      link.unflushed = 0
      this.#env.flush(link.peer)
    }
  }

  #send(link: ReplyLink): void {
    const { out, slab, source } = link
    if (out === undefined || slab === undefined || source === undefined) return
    const { epoch, next } = source.applied()
    patchReplies(out, link.countAt, link.count, epoch, next)
    link.unflushed += link.count
    const frame = slab.end()
    link.out = undefined
    link.slab = undefined
    const keeps = this.#slabs.length < SLABS_KEPT && frame.length <= SLAB_BYTES_KEPT
    if (keeps) this.#slabs.push(slab)
    if (!link.down) this.#give(link, frame)
  }

  #give(link: ReplyLink, frame: Uint8Array): void {
    const result = this.#env.send(link.peer, frame)
    if (result === 'sent') return
    if (result === 'congested') {
      link.congestedBytes = Math.max(0, link.congestedBytes) + frame.length
      return
    }
    if (frame.length >= PARKED_BYTES_MIN && link.parked === undefined) {
      link.parked = frame
      return
    }
    // A lost reply would leave its calls to their deadlines: the session ends instead.
    this.onLinkDown(link.peer, link.session)
    const text = `${link.peer} does not read its replies: its queue is full`
    this.#env.disconnect(link.peer, new GcacheError('SLOW_CONSUMER', text))
  }
}
