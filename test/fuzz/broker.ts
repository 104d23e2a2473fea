/**
 * What a broker's other users may say to a node: messages for its streams and for many, with the
 * right numbers and with any. A broker of nothing lies below, so that a run costs microseconds; one
 * stream takes the blows and is opened anew, another must never notice.
 */
import type { Msg } from 'nats'
import type { SeededRandom } from '../../src/core/prng.js'
import { SILENCE } from '../../src/core/silence.js'
import { GcacheError } from '../../src/errors.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
// tidy: allow connection - of transports
import type { BrokerConnection } from '../../transports/nats/broker.js'
import { Hub } from '../../transports/nats/hub.js'
import { acceptOf, HEARS_MANY, headOf, KIND, messageOf } from '../../transports/nats/messages.js'
import type { NatsStream } from '../../transports/nats/stream.js'
import { found, golden } from './corpus.js'
import { promise, type Target, type Trial } from './target.js'

const OTHER = 'gc.shop.i.b.life.1'
const REMOTE = { id: 1, check: 2 }

type Callback = (error: null, message: Msg) => void

/** A broker that keeps what it is told. */
class Nothing {
  readonly callbacks = new Map<string, Callback>()
  last = { subject: '', reply: '' }
  readonly info = { max_payload: 65_536 }

  publish(subject: string, _data: Uint8Array, options?: { reply?: string }): void {
    this.last = { subject, reply: options?.reply ?? '' }
  }

  subscribe(subject: string, { callback }: { callback: Callback }) {
    this.callbacks.set(subject, callback)
    return { unsubscribe: () => this.callbacks.delete(subject) }
  }

  flush = () => Promise.resolve()
  closed = () => new Promise(() => {})
  isClosed = () => false
  close = () => Promise.resolve()

  async *status() {}

  say(subject: string, data: Uint8Array, reply = OTHER): void {
    for (const [pattern, callback] of this.callbacks)
      if (
        pattern === subject ||
        (pattern.endsWith('*') && subject.startsWith(pattern.slice(0, -1)))
      )
        callback(null, { subject, reply, data } as Msg)
  }
}

class BrokerTrial implements Trial {
  readonly seeds: Uint8Array[] = [...golden('nats-'), ...found('broker')]
  readonly #broker = new Nothing()
  readonly #hub: Hub
  readonly #bystander: NatsStream
  #victim: NatsStream
  #heard = 0

  constructor(random: SeededRandom) {
    const world = { self: 'a', cluster: 'shop', prefix: 'gc', clock: new VirtualClock() }
    // tidy: allow connection - of transports
    const given = this.#broker as unknown as BrokerConnection
    this.#hub = new Hub({ ...world, random, logger: SILENCE }, 'fuzz', undefined, given)
    this.#bystander = this.#open()
    this.#victim = this.#exposed()
  }

  take(input: Buffer): string {
    const { subject } = this.#victim
    const many = [...this.#broker.callbacks.keys()].find(each => each.includes('.m.')) ?? ''
    const [heard, garbage] = [this.#heard, this.#hub.garbage]
    this.#broker.say(input.length % 3 === 0 && many !== '' ? many : subject, input)
    if (this.#hub.garbage > garbage) throw new GcacheError('PROTOCOL_ERROR', 'dropped')
    if (this.#victim.state !== 'open') throw new GcacheError('PROTOCOL_ERROR', 'ended')
    return `${this.#heard - heard} bytes`
  }

  after(): void {
    if (this.#victim.state !== 'open') this.#victim = this.#exposed()
  }

  close(): void {
    promise(this.#bystander.state === 'open', 'a stream ended for what was said to another')
    promise(this.#victim.unsentBytes === 0, 'something waits that nobody wrote')
  }

  #open(): NatsStream {
    const events = { onOpen() {}, onDrain() {}, onClose() {} }
    const onData = ({ length }: Uint8Array) => {
      this.#heard += length
    }
    const stream = this.#hub.dial('b', { ...events, onData }) as NatsStream
    this.#broker.say(stream.subject, acceptOf(stream.key, REMOTE, 2 ** 20, HEARS_MANY))
    promise(stream.state === 'open', 'an accept opens a stream')
    return stream
  }

  /** One whose numbers are known to whoever speaks. */
  #exposed(): NatsStream {
    const stream = this.#open()
    const { key } = stream
    const data = Buffer.concat([messageOf(KIND.data, key, 0, 2 ** 20), Buffer.from('data')])
    const heads = Buffer.concat([messageOf(KIND.data, key, 0, 9), Buffer.alloc(16)])
    const many = [messageOf(KIND.many, { id: 1, check: 0 }, 0, 0), heads, Buffer.from('many')]
    this.seeds.length = Math.min(this.seeds.length, 32)
    this.seeds.push(data, Buffer.concat(many), messageOf(KIND.pulse, key, 0, 2 ** 20))
    promise(headOf(data) !== undefined, 'a seed is a message')
    return stream
  }
}

export const BROKER_TARGET: Target = {
  name: 'broker',
  weight: 6,
  pure: false,
  open: random => new BrokerTrial(random),
}
