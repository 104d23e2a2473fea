/**
 * Sending to neighbours, the nodes that are linked directly: bytes that find no room stay with
 * whoever offers them, words of a few bytes that must arrive wait here, and nothing overtakes them.
 */
import { LIMITS } from '../../src/config.js'
import type { Transport } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { type Circuit, encodeEnvelope, type Message } from './envelope.js'

/** Words that wait for one neighbour: a few for each of its circuits. */
const WAITING_MAX = 4 * LIMITS.relayCircuitsMax

export class Posts {
  readonly #inner: Transport
  readonly #waiting = new Map<PeerId, Uint8Array[]>()

  constructor(inner: Transport) {
    this.#inner = inner
  }

  isLinked(neighbour: PeerId): boolean {
    return this.#waiting.has(neighbour)
  }

  /** False: no room; onWritable() or onDown() follows. */
  offer(neighbour: PeerId, circuit: Circuit, message: Message): boolean {
    const waiting = this.#waiting.get(neighbour)
    if (waiting === undefined || waiting.length > 0) return false
    return this.#inner.send(neighbour, encodeEnvelope(circuit, message)) !== 'dropped'
  }

  /** It arrives, in order, or the neighbour's link ends. */
  say(neighbour: PeerId, circuit: Circuit, message: Message): void {
    if (this.offer(neighbour, circuit, message)) return
    const waiting = this.#waiting.get(neighbour)
    if (waiting === undefined) return
    waiting.push(encodeEnvelope(circuit, message))
    if (waiting.length <= WAITING_MAX) return
    const text = `${neighbour} takes none of ${WAITING_MAX} words about relayed links`
    this.#inner.disconnect(neighbour, new GcacheError('SLOW_CONSUMER', text))
  }

  onUp(neighbour: PeerId): void {
    this.#waiting.set(neighbour, [])
  }

  onDown(neighbour: PeerId): void {
    this.#waiting.delete(neighbour)
  }

  onWritable(neighbour: PeerId): void {
    const waiting = this.#waiting.get(neighbour) ?? []
    while (waiting.length > 0) {
      if (this.#inner.send(neighbour, waiting[0]) === 'dropped') return
      waiting.shift()
    }
  }
}
