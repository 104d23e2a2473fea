/**
 * Writes that wait for their acks, first in, first out, one queue for each number of copies wanted;
 * an ack from a slave looks only at the head of each. Bounded in writes and bytes: beyond, BUSY.
 */
import { LIMITS } from '../../src/config.js'
import type { Offset } from '../../src/contracts/types.js'
import { reachedBy } from '../../src/core/majority.js'
import { heldByHeirs, leadsByCopies } from './lease.js'
import { counts } from './quorum.js'
import { GROUP, type GroupState, type Sink } from './state.js'

interface Wait {
  readonly id: number
  readonly offset: Offset
  readonly bytes: number
  readonly at: number
}

/** Copies wanted by `insync`: all that are in sync, so no number. */
const INSYNC = 0

class Queue {
  #items: Wait[] = []
  #head = 0

  constructor(readonly copies: number) {}

  get first(): Wait | undefined {
    return this.#items[this.#head]
  }

  push(wait: Wait): void {
    this.#items.push(wait)
  }

  /** Drops the first; there is one. */
  shift(): void {
    this.#head++
    if (this.#head < 1_024 || this.#head * 2 < this.#items.length) return
    this.#items = this.#items.slice(this.#head)
    this.#head = 0
  }
}

export class Waiting {
  readonly #queues = new Map<number, Queue>()
  #bytes = 0
  #writes = 0

  /** True if `bytes` more may wait. */
  hasRoom(bytes: number): boolean {
    return this.#writes < LIMITS.unackedWritesMax && this.#bytes + bytes <= LIMITS.unackedBytesMax
  }

  get isEmpty(): boolean {
    return this.#writes === 0
  }

  add(copies: number, id: number, offset: Offset, bytes: number, at: number): void {
    let queue = this.#queues.get(copies)
    if (queue === undefined) {
      queue = new Queue(copies)
      this.#queues.set(copies, queue)
    }
    queue.push({ id, offset, bytes, at })
    this.#writes++
    this.#bytes += bytes
  }

  waitsInSync(): boolean {
    return this.#queues.get(INSYNC)?.first !== undefined
  }

  /** Settles every write that has its copies now. */
  settle(s: GroupState, effects: Sink): void {
    if (this.#writes === 0) return
    const acked: Offset[] = []
    const durable: Offset[] = []
    const leaving: Offset[] = []
    let inSync = 1
    let inSyncNext = s.next
    for (const peer of s.peers.values()) {
      const { progress } = peer
      if (progress === undefined || progress.state === 'copy') continue
      if (peer.left) leaving.push(progress.acked)
      if (!counts(s, peer)) continue
      acked.push(progress.acked)
      durable.push(progress.durable)
      if (!progress.inSync) continue
      inSync++
      inSyncNext = Math.min(inSyncNext, progress.acked)
    }
    if (leadsByCopies(s)) inSyncNext = Math.min(inSyncNext, heldByHeirs(s))
    for (const queue of this.#queues.values()) {
      const reached =
        queue.copies === INSYNC
          ? inSync >= s.inSyncMin
            ? inSyncNext
            : 0
          : reachedBy(queue.copies, s.next, acked)
      for (let wait = queue.first; wait !== undefined; wait = queue.first) {
        if (wait.offset >= reached || (s.commitsLate && wait.offset >= s.commit)) break
        this.#drop(queue, wait)
        // Who is leaving counted for what was appended before, and holds it.
        const copies = 1 + countAbove(acked, wait.offset) + countAbove(leaving, wait.offset)
        const durableCopies =
          s.env.durability === 'memory' ? 0 : 1 + countAbove(durable, wait.offset)
        const { offset } = wait
        effects.settle(wait.id, { group: GROUP, epoch: s.epoch, offset, copies, durableCopies })
      }
    }
  }

  /** Answers ACK_TIMEOUT to what has waited for `ackTimeoutMs`; it may survive all the same. */
  expire(s: GroupState, effects: Sink): void {
    const since = s.now - s.settings.ackTimeoutMs
    for (const queue of this.#queues.values())
      for (let wait = queue.first; wait !== undefined && wait.at <= since; wait = queue.first) {
        this.#drop(queue, wait)
        effects.reject(wait.id, 'ACK_TIMEOUT', false)
      }
  }

  /** This node is master no longer: nobody here knows what becomes of them. */
  rejectAll(effects: Sink): void {
    for (const queue of this.#queues.values())
      for (let wait = queue.first; wait !== undefined; wait = queue.first) {
        this.#drop(queue, wait)
        effects.reject(wait.id, 'NOT_MASTER', false)
      }
  }

  #drop(queue: Queue, wait: Wait): void {
    queue.shift()
    this.#writes--
    this.#bytes -= wait.bytes
  }
}

function countAbove(acked: readonly Offset[], offset: Offset): number {
  let count = 0
  for (const next of acked) if (next > offset) count++
  return count
}
