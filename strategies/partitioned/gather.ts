/**
 * The words of one step, gathered by peer: all groups share one link, so what they say to one node
 * in one step is one frame, heartbeats of many groups above all.
 */
import type { Effects } from '../../src/contracts/strategy.js'
import type { GroupId, PeerId } from '../../src/contracts/types.js'
import type { Message as GroupMessage } from '../master-slave/messages.js'
import type { Message, Part } from './messages.js'

/** A frame grows to it, so that one refusal of a link does not take much with it. */
const FRAME_BYTES = 64 * 1_024
/** Of a word without blocks: 64 epoch starts are 2 KB. */
const WORD_BYTES = 512
const LISTS_BYTES = 4_096

interface Bundle {
  parts: Part[]
  bytes: number
}

export class Gather {
  readonly #bundles = new Map<PeerId, Bundle>()
  readonly #bytesMax: number

  /** `frameBytesMax`: the transport's. */
  constructor(frameBytesMax: number) {
    this.#bytesMax = Math.min(FRAME_BYTES, frameBytesMax / 2)
  }

  /** Full bundles leave at once. */
  add(effects: Effects<Message>, peer: PeerId, group: GroupId, message: GroupMessage): void {
    let bundle = this.#bundles.get(peer)
    if (bundle === undefined) {
      bundle = { parts: [], bytes: 0 }
      this.#bundles.set(peer, bundle)
    }
    const bytes = bytesOf(message)
    if (bundle.bytes + bytes > this.#bytesMax) this.#send(effects, peer, bundle)
    bundle.parts.push({ group, message })
    bundle.bytes += bytes
  }

  /** At the end of a step, and before a word of another kind that must come after them. */
  flush(effects: Effects<Message>): void {
    for (const [peer, bundle] of this.#bundles) this.#send(effects, peer, bundle)
  }

  flushTo(effects: Effects<Message>, peer: PeerId): void {
    const bundle = this.#bundles.get(peer)
    if (bundle !== undefined) this.#send(effects, peer, bundle)
  }

  #send(effects: Effects<Message>, peer: PeerId, bundle: Bundle): void {
    if (bundle.parts.length === 0) return
    effects.send(peer, { type: 'groups', parts: bundle.parts })
    bundle.parts = []
    bundle.bytes = 0
  }
}

/** About: what matters are blocks. */
function bytesOf(message: GroupMessage): number {
  switch (message.type) {
    case 'append':
    case 'pull-reply': {
      let bytes = WORD_BYTES
      for (const batch of message.batches) bytes += batch.bytes.length
      return bytes
    }
    case 'copy-slice':
      return WORD_BYTES + message.slice.length
    case 'merge-records':
      return WORD_BYTES + message.bytes.length
    case 'heartbeat':
    case 'append-ack':
      return WORD_BYTES / 4
    default:
      return LISTS_BYTES
  }
}
