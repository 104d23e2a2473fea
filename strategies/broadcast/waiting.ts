/**
 * Writes that wait until other nodes hold them, in the order of their offsets. Bounded in writes
 * and bytes: beyond, BUSY.
 */
import { LIMITS } from '../../src/config.js'
import type { Offset } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import type { BroadcastState, Sink } from './state.js'

interface Wait {
  readonly id: number
  readonly offset: Offset
  /** Logs that must hold it; 0: those of all members that are linked and serve. */
  readonly copies: number
  readonly bytes: number
  readonly at: number
}

export class Waiting {
  #waits: Wait[] = []
  #bytes = 0

  hasRoom(bytes: number): boolean {
    const { unackedWritesMax, unackedBytesMax } = LIMITS
    return this.#waits.length < unackedWritesMax && this.#bytes + bytes <= unackedBytesMax
  }

  get isEmpty(): boolean {
    return this.#waits.length === 0
  }

  add(wait: Wait): void {
    this.#waits.push(wait)
    this.#bytes += wait.bytes
  }

  /** Answers what has its copies, and what has waited too long: nobody knows what becomes of it. */
  settle(s: BroadcastState, effects: Sink): void {
    if (this.#waits.length === 0) return
    const acked: Offset[] = []
    // Who died counts as a copy, but never in place of one that is linked and lacks the write.
    let everywhere = s.own.next
    for (const peer of s.peers.values()) {
      const known = peer.vector.get(s.self.ordinal)
      const isOurs = known !== undefined && compareEpochs(known.life, s.epoch) === 0
      acked.push(isOurs ? known.next : 1)
      if (peer.session === 0 || !peer.serving) continue
      everywhere = Math.min(everywhere, acked[acked.length - 1])
    }
    const since = s.now - s.settings.ackTimeoutMs
    this.#waits = this.#waits.filter(({ id, offset, copies: wanted, bytes, at }) => {
      let copies = 1
      for (const next of acked) if (next > offset) copies++
      if (wanted === 0 ? everywhere > offset : copies >= wanted) {
        const { epoch } = s
        effects.settle(id, { group: 0, epoch, offset, copies, durableCopies: 0 })
      } else if (at <= since) effects.reject(id, 'ACK_TIMEOUT', false)
      else return true
      this.#bytes -= bytes
      return false
    })
  }
}
