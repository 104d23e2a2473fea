/**
 * The one in the middle: circuits of others that pass here. An `open` is passed on while it has
 * hops left, to its goal if that is linked and else to one of the relays on the way; whatever
 * follows goes the way that it went. One that comes back to where it was is refused, so no way has
 * a loop. A circuit ends with either neighbour's link, or when one has no room: loss is told.
 */
import { LIMITS } from '../../src/config.js'
import type { PeerId } from '../../src/contracts/types.js'
import { type Circuit, keyOf, type Message } from './envelope.js'
import type { Posts } from './posts.js'

interface Passing {
  readonly circuit: Circuit
  /** Where it came from, and where it went on to. */
  readonly ends: readonly [PeerId, PeerId]
}

export class Passage {
  readonly #posts: Posts
  readonly #via: (peer: PeerId) => readonly PeerId[]
  readonly #passing = new Map<string, Passing>()

  constructor(posts: Posts, via: (peer: PeerId) => readonly PeerId[]) {
    this.#posts = posts
    this.#via = via
  }

  /** Circuits that pass. */
  get size(): number {
    return this.#passing.size
  }

  onMessage(from: PeerId, circuit: Circuit, message: Message): void {
    const key = keyOf(circuit)
    const passing = this.#passing.get(key)
    if (message.kind === 'open') {
      this.#open(from, circuit, message.hops, passing !== undefined)
      return
    }
    if (passing === undefined || !passing.ends.includes(from)) {
      if (message.kind === 'data') this.#refuse(from, circuit, 'no such circuit')
      return
    }
    const to = passing.ends[0] === from ? passing.ends[1] : passing.ends[0]
    const ends = message.kind === 'close' || message.kind === 'broken'
    if (ends) this.#passing.delete(key)
    if (message.kind !== 'data') this.#posts.say(to, circuit, message)
    else if (!this.#posts.offer(to, circuit, message)) this.#break(passing, `${to} is congested`)
  }

  onDown(neighbour: PeerId): void {
    for (const passing of this.#passing.values())
      if (passing.ends.includes(neighbour)) this.#break(passing, `${neighbour} is gone`)
  }

  #open(from: PeerId, circuit: Circuit, hops: number, isKnown: boolean): void {
    const { acceptor } = circuit
    if (isKnown) return this.#refuse(from, circuit, 'a loop')
    if (hops === 0) return this.#refuse(from, circuit, 'the hop limit is reached')
    if (this.#passing.size >= LIMITS.relayCircuitsMax)
      return this.#refuse(from, circuit, `${LIMITS.relayCircuitsMax} circuits pass already`)
    const ways = [acceptor, ...this.#via(acceptor)]
    const to = ways.find(way => way !== from && this.#posts.isLinked(way))
    if (to === undefined) return this.#refuse(from, circuit, `no way to ${acceptor}`)
    this.#passing.set(keyOf(circuit), { circuit, ends: [from, to] })
    this.#posts.say(to, circuit, { kind: 'open', hops: hops - 1 })
  }

  #refuse(to: PeerId, circuit: Circuit, reason: string): void {
    this.#posts.say(to, circuit, { kind: 'broken', reason })
  }

  #break({ circuit, ends }: Passing, reason: string): void {
    this.#passing.delete(keyOf(circuit))
    for (const end of ends) this.#refuse(end, circuit, reason)
  }
}
