/**
 * The real stream transport between strangers: bytes in every phase of a link, from the first one
 * of an unknown dialler to frames on a link that stands. A medium of nothing lies below, so that a
 * run costs microseconds; a bystander's link must never notice.
 *
 *   arriving -> promised -> client or peer linked        (they dial)
 *   greeting -> linked                                   (we dial)
 */
import { PROTOCOL_VERSION } from '../src/config.js'
import type { TransportHandler } from '../src/contracts/transport.js'
import type { SeededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { GcacheError } from '../src/errors.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { framed } from '../src/wire/frame.js'
import { encodeGreeting } from '../transports/stream/hello.js'
import type { StreamConnection, StreamEvents, StreamLayer } from '../transports/stream/layer.js'
import { streamTransport } from '../transports/stream/transport.js'
import { edgePacked, found, golden } from './fuzz/corpus.js'
import { promise, type Target, type Trial } from './fuzz/target.js'

/** Said to a stranger in answer to one input, bytes. SECURITY 2. */
const ANSWER_BYTES_MAX = 16_384
/** Longer than any handshake may take, ms. */
const HANDSHAKE_OVER_MS = 2_500
const BYSTANDER = 'bystander-5e1f'
const PHASES = ['arriving', 'promised', 'client', 'peer', 'greeting', 'dialled'] as const

class End implements StreamConnection {
  events: StreamEvents
  readonly unsentBytes = 0
  writtenBytes = 0
  over = false

  constructor(events: StreamEvents) {
    this.events = events
  }

  write(bytes: Uint8Array): boolean {
    promise(!this.over, 'something was written to a connection that had ended')
    this.writtenBytes += bytes.length
    return true
  }

  pause(): void {}

  resume(): void {}

  close(): void {
    this.over = true
  }

  destroy(): void {
    this.over = true
  }

  /** In pieces of at most `most` bytes, as long as anybody listens. */
  say(bytes: Uint8Array, most: number): void {
    for (let at = 0; at < bytes.length && !this.over; at += most)
      this.events.onData(bytes.subarray(at, at + most))
  }
}

const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }

class Nothing implements StreamLayer {
  readonly scheme = 'nothing'
  readonly detectsPeerLoss = true
  readonly ends: End[] = []
  readonly #deferred: (() => void)[] = []
  #accept: ((connection: StreamConnection) => void) | undefined

  listen(address: string, accept: (connection: StreamConnection) => void): Promise<string> {
    this.#accept = accept
    return Promise.resolve(address)
  }

  dial(_address: string, events: StreamEvents): StreamConnection {
    const end = new End(events)
    this.ends.push(end)
    return end
  }

  /** Somebody dials us. */
  arrive(): End {
    const end = new End(SILENT)
    this.ends.push(end)
    this.#accept?.(end)
    return end
  }

  defer(task: () => void): void {
    this.#deferred.push(task)
  }

  /** The turn ends. */
  settle(): void {
    for (let task = this.#deferred.shift(); task !== undefined; task = this.#deferred.shift())
      task()
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}

const ready = framed(encodeGreeting({ kind: 'ready' }))

function hello(from: string, to: string, dial: number): Uint8Array {
  const limits = { frameBytesMax: 4_096, life: 'l', dial }
  const names = { version: PROTOCOL_VERSION, cluster: 'shop', from, to }
  return framed(encodeGreeting({ kind: 'hello', ...names, ...limits }))
}

class Phases implements Trial, TransportHandler {
  readonly seeds: Uint8Array[]
  readonly #random: SeededRandom
  readonly #clock = new VirtualClock()
  readonly #layer = new Nothing()
  readonly #transport
  readonly #bystander: End
  #bystanderFrames = 0
  #frames = 0
  #dials = 0

  constructor(random: SeededRandom) {
    this.#random = random
    this.seeds = phaseSeeds()
    const env = { self: 'a', cluster: 'shop', listen: 'nothing://a', clock: this.#clock, random }
    this.#transport = streamTransport({ ...env, logger: SILENCE }, this.#layer)
    void this.#transport.start(this)
    this.#bystander = this.#layer.arrive()
    this.#bystander.say(hello(BYSTANDER, 'a', 1), 64)
    this.#bystander.say(ready, 64)
  }

  take(input: Buffer): string {
    const random = this.#random
    const phase = random.pick(PHASES)
    this.#frames = 0
    const end = this.#reach(phase)
    const before = end.writtenBytes
    try {
      end.say(input, random.pick([1, 7, 64, 65_536]))
      this.#layer.settle()
    } catch (error) {
      // Whoever calls is the medium: it knows no refusals.
      promise(!(error instanceof GcacheError), `${phase}: ${String(error)} reached the medium`)
      throw error
    }
    const answered = end.writtenBytes - before
    promise(answered <= ANSWER_BYTES_MAX, `${phase}: ${answered} bytes in answer to a stranger`)
    this.#lookAfter()
    const outcome = `${phase} ${end.over ? 'over' : 'open'} ${this.#frames} frames`
    if (random.chance(0.1)) this.#clock.advance(HANDSHAKE_OVER_MS)
    if (!end.over && random.chance(0.9)) {
      end.over = true
      end.events.onClose('closed')
    }
    this.#layer.settle()
    return outcome
  }

  /** Whoever has not ended its handshake by now never will, and holds nothing. */
  close(): void {
    this.#clock.advance(HANDSHAKE_OVER_MS)
    this.#layer.settle()
    this.#lookAfter()
    const late = this.#layer.arrive()
    promise(!late.over, 'strangers that are gone still count')
    this.#clock.advance(HANDSHAKE_OVER_MS)
    promise(late.over, 'a stranger that says nothing is never cut')
  }

  onLinkUp(): void {}

  onLinkDown(peer: string): void {
    promise(peer !== BYSTANDER, 'the link of a bystander ended')
  }

  /** Every other frame is none: the link must end by it, and no other. */
  onFrame(peer: string, _session: number, frame: Uint8Array): void {
    if (peer === BYSTANDER) {
      this.#bystanderFrames++
      return
    }
    this.#frames++
    if ((frame[frame.length - 1] & 1) === 1) throw new GcacheError('PROTOCOL_ERROR', 'an odd frame')
  }

  onWritable(): void {}

  #lookAfter(): void {
    const before = this.#bystanderFrames
    this.#bystander.say(framed(Buffer.from('still here')), 64)
    promise(this.#bystanderFrames === before + 1, 'a bystander is not heard any more')
    promise(this.#transport.send(BYSTANDER, Buffer.of(1)) === 'sent', 'a bystander hears nothing')
    this.#layer.settle()
  }

  /** A link in `phase`, ready to hear what should come next. */
  #reach(phase: (typeof PHASES)[number]): End {
    if (phase === 'greeting' || phase === 'dialled') {
      const peer = this.#random.chance(0.5) ? `d${++this.#dials}` : '*nothing://d'
      const { length } = this.#layer.ends
      this.#transport.connect(peer, 'nothing://d')
      // It was linked, or is being dialled, since an earlier input.
      if (this.#layer.ends.length === length) return this.#reach('arriving')
      const dialled = this.#layer.ends[length]
      dialled.events.onOpen()
      if (phase === 'dialled') dialled.say(hello(`d${this.#dials}`, 'a', ++this.#dials), 64)
      return dialled
    }
    const end = this.#layer.arrive()
    if (phase === 'arriving') return end
    end.say(hello(phase === 'client' ? '~c' : 'b', 'a', ++this.#dials), 64)
    if (phase !== 'promised') end.say(ready, 64)
    return end
  }
}

function phaseSeeds(): Uint8Array[] {
  const refused = framed(encodeGreeting({ kind: 'refused', reason: 'no', tie: true }))
  const words = [hello('b', 'a', 7), hello('~c', '*', 7), hello('d1', 'a', 2), ready, refused]
  const frames = [...golden('request-', 'control-'), ...edgePacked(1).slice(0, 6)].map(framed)
  const talks = [
    Buffer.concat([words[0], ready, frames[0]]),
    Buffer.concat([...frames.slice(0, 9)]),
  ]
  return [...words, ...words, ...words, ...talks, ...talks, ...frames, ...found('phases')]
}

export const PHASE_TARGET: Target = {
  name: 'phases',
  weight: 10,
  pure: false,
  open: random => new Phases(random),
}
