/**
 * All streams of one node or client that go by one broker: who is reached where, what arrives for
 * whom, and what becomes of them when the broker goes and comes. What is none of theirs is counted
 * and dropped.
 */
import type { Msg, Subscription } from 'nats'
import { BROKER } from '../../src/config.js'
import type { Clock, Logger, Random, Timer } from '../../src/contracts/environment.js'
import type { PeerId } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { Complaints } from '../stream/complaints.js'
import { isClient } from '../stream/hello.js'
import type { StreamConnection, StreamEvents } from '../stream/layer.js'
import { type BrokerConnection, type BrokerEvents, BrokerLine } from './broker.js'
import { Claim, type ClaimWay } from './claims.js'
import { Many, type ManyWay, SHARE_BYTES, type Share } from './many.js'
import {
  acceptedKey,
  acceptOf,
  HEAD_BYTES,
  type Head,
  headOf,
  KIND,
  LAYOUT,
  messageOf,
  type StreamKey,
} from './messages.js'
import { SEAL_BYTES } from './seal.js'
import { NatsStream, type StreamHub } from './stream.js'
import { type Inbox, Subjects } from './subjects.js'

export interface HubWorld {
  readonly self: PeerId
  readonly cluster: string
  readonly prefix: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

type Accept = (connection: StreamConnection) => void

const NOBODY: StreamKey = { id: 0, check: 0 }
const SILENT: StreamEvents = { onOpen() {}, onData() {}, onDrain() {}, onClose() {} }
const FOR_STREAMS: readonly number[] = [KIND.accept, KIND.data, KIND.pulse, KIND.close]
/** Says "nobody hears that", of a message without a body. */
const UNHEARD = 503

export class Hub implements StreamHub, BrokerEvents, ManyWay, ClaimWay {
  readonly clock: Clock
  readonly #world: HubWorld
  readonly #subjects: Subjects
  readonly #line: BrokerLine
  readonly #complaints: Complaints
  readonly #streams = new Map<number, NatsStream>()
  readonly #held = new Set<NatsStream>()
  readonly #many = new Many(this)
  /** By where other nodes speak to many: how many streams of ours hear it there. */
  readonly #heard = new Map<string, { readonly subscription: Subscription; streams: number }>()
  #subscriptions: Subscription[] = []
  #streamsMade = 0
  #served = 0
  #timer: Timer | undefined
  #stopped = false
  /** Where we listen, and for whom. */
  #accept: Accept | undefined
  readonly #claim: Claim
  #named: Subscription | undefined
  #onFirst: (() => void) | undefined
  #onEmpty: (() => void) | undefined

  /** `given`: the application's own connection; else `open` makes one. */
  constructor(
    world: HubWorld,
    what: string,
    open: (() => Promise<BrokerConnection>) | undefined,
    given: BrokerConnection | undefined,
  ) {
    this.#world = world
    const { clock, logger, random, self, cluster, prefix } = world
    this.clock = clock
    this.#complaints = new Complaints(logger, clock)
    const life = [draw(random), draw(random), draw(random)].map(lot => lot.toString(36)).join('')
    this.#subjects = new Subjects(prefix, cluster, self, life)
    this.#claim = new Claim(this, { clock, logger }, this.#subjects.inbox(0))
    this.#line = new BrokerLine({ clock, logger, complaints: this.#complaints }, this, what, open)
    this.#line.start(given)
  }

  /** Messages that were none of ours. */
  get garbage(): number {
    return this.#complaints.count
  }

  get bodyBytesMax(): number {
    const payload = this.#line.up?.info?.max_payload ?? BROKER.messageBytesMax
    return Math.min(BROKER.messageBytesMax, Math.max(1, payload - HEAD_BYTES - SEAL_BYTES))
  }

  get mayPublish(): boolean {
    return this.#line.mayPublish
  }

  get unsettled(): boolean {
    return this.clock.now() - this.#line.upAtMs < BROKER.settleMs
  }

  publish(subject: string, message: Uint8Array, reply?: string): boolean {
    // What a stream gave before goes before: nothing overtakes its data.
    this.#many.flush()
    return this.#line.publish(subject, message, reply)
  }

  publishMany(message: Buffer): void {
    this.#line.publish(this.#subjects.many, message)
  }

  offer(share: Share, data: Uint8Array): void {
    this.#many.offer(share, data)
  }

  hold(stream: NatsStream): void {
    this.#held.add(stream)
  }

  defer(task: () => void): void {
    process.nextTick(task)
  }

  forget(stream: NatsStream): void {
    if (!this.#streams.delete(stream.key.id)) return
    this.#held.delete(stream)
    if (isClient(stream.host ?? '')) this.#served--
    if (stream.many !== undefined) this.#unhear(stream.many)
    if (this.#streams.size === 0) this.#onEmpty?.()
  }

  /** Listens as `name`. ADDRESS_IN_USE if somebody else does; if the broker cannot be reached
   *  soon, it resolves all the same and goes on by itself. */
  async listen(name: string, accept: Accept): Promise<void> {
    if (this.#line.up === undefined) await this.#first()
    if (this.#stopped) throw new GcacheError('CLOSED', 'stopped before it listened')
    this.#accept = accept
    const ours = await this.#claim.begin(name)
    if (this.#stopped) throw new GcacheError('CLOSED', 'stopped before it listened')
    if (!ours) throw new GcacheError('ADDRESS_IN_USE', `somebody listens as ${name} at this broker`)
  }

  dial(name: string, events: StreamEvents): StreamConnection {
    const pulseTicks = isClient(this.#world.self) ? BROKER.clientPulseTicks : 1
    const windowBytes = () => BROKER.windowBytes
    const subject = this.#subjects.node(name)
    const way = { subject, host: undefined, many: undefined, windowBytes, pulseTicks }
    const stream = this.#make(way, events)
    if (this.#line.up !== undefined) stream.dial()
    else if (this.#line.cause !== undefined)
      this.defer(() => stream.end('unreachable', this.#noBroker()))
    return stream
  }

  /** Ends what stands; streams that were closed have their time. Then nothing arrives any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#onFirst?.()
    this.#claim.stop()
    for (const stream of this.#streams.values()) if (stream.state !== 'closing') stream.destroy()
    if (this.#streams.size > 0)
      await new Promise<void>(resolve => {
        this.#onEmpty = resolve
      })
    this.#timer?.cancel()
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    await this.#line.drained(BROKER.lingerMs)
    await this.#line.stop()
  }

  // What the broker tells.

  onBrokerUp(broker: BrokerConnection, again: boolean): void {
    if (!again) {
      this.#subscriptions = []
      this.#subscribe(broker, this.#subjects.inboxes, message => this.#arrived(message))
    }
    this.#claim.onBrokerUp(again)
    for (const stream of this.#streams.values()) stream.dial()
    this.#onFirst?.()
  }

  onBrokerDown(): void {
    this.#held.clear()
    const cause = this.#noBroker()
    for (const stream of [...this.#streams.values()])
      stream.end(stream.state === 'dialling' ? 'unreachable' : 'closed', cause)
  }

  onBrokerRead(): void {
    const held = [...this.#held]
    this.#held.clear()
    for (const stream of held) stream.resumed()
  }

  /** No GcacheError: a broker that is away is told once, and not for every link. */
  #noBroker(): Error {
    return new Error(`no broker: ${this.#line.cause?.message ?? 'not reached yet'}`)
  }

  #first(): Promise<void> {
    return new Promise(resolve => {
      const timer = this.clock.after(BROKER.startMs, () => this.#onFirst?.())
      this.#onFirst = () => {
        this.#onFirst = undefined
        timer.cancel()
        resolve()
      }
    })
  }

  // What a claim uses.

  get isUp(): boolean {
    return this.#line.up !== undefined
  }

  probe(name: string, how: number): void {
    const probe = messageOf(KIND.probe, NOBODY, LAYOUT, how)
    this.publish(this.#subjects.node(name), probe, this.#subjects.inbox(0))
  }

  object(inbox: string): void {
    this.publish(inbox, messageOf(KIND.taken, NOBODY, LAYOUT, 0))
  }

  hear(name: string): void {
    const { up } = this.#line
    if (up === undefined) return
    this.#named = this.#subscription(up, this.#subjects.node(name), message => this.#asked(message))
  }

  unhear(): void {
    this.#named?.unsubscribe()
    this.#named = undefined
  }

  #subscribe(broker: BrokerConnection, subject: string, take: (message: Msg) => void): void {
    const subscription = this.#subscription(broker, subject, take)
    if (subscription !== undefined) this.#subscriptions.push(subscription)
  }

  /** Undefined where whoever owns the connection is ending it: then the streams end as well. */
  #subscription(
    broker: BrokerConnection,
    subject: string,
    take: (message: Msg) => void,
  ): Subscription | undefined {
    const callback = (error: Error | null, message: Msg) => {
      if (this.#stopped && this.#streams.size === 0) return
      try {
        if (error === null) take(message)
        else this.#complaints.warn({ subject, reason: error.message }, 'not subscribed')
      } catch (thrown) {
        // Its reader would swallow it, and read no more.
        process.nextTick(() => {
          throw thrown
        })
      }
    }
    try {
      return broker.subscribe(subject, { callback })
    } catch (error) {
      this.#complaints.warn({ subject, reason: (error as Error).message }, 'not subscribed')
      return undefined
    }
  }

  /** For one of our streams. */
  #arrived(message: Msg): void {
    const { data } = message
    if (data.length === 0 && message.headers?.code === UNHEARD) {
      this.#unheard(message)
      return
    }
    const head = headOf(data)
    if (head?.kind === KIND.taken) this.#claim.answered('taken')
    else if (head?.kind === KIND.reset) this.#reset(head, message)
    else if (head === undefined || !FOR_STREAMS.includes(head.kind)) this.#drop(message)
    else this.#received(head, message)
  }

  #received(head: Head, message: Msg): void {
    const stream = this.#streams.get(head.id)
    if (stream === undefined) {
      if (head.kind === KIND.data || head.kind === KIND.pulse) this.#answerReset(head, message)
    } else if (stream.key.check !== head.check) this.#drop(message)
    else if (head.kind === KIND.accept) this.#accepted(stream, head, message)
    else {
      const { data } = message
      const begin = HEAD_BYTES + (head.sealed ? SEAL_BYTES : 0)
      const seal = head.sealed ? data.subarray(HEAD_BYTES, begin) : undefined
      if (begin > data.length) this.#drop(message)
      else stream.receive(head, data.subarray(begin), seal)
    }
  }

  #accepted(stream: NatsStream, head: Head, message: Msg): void {
    const remote = acceptedKey(message.data)
    const reply = message.reply ?? ''
    const inbox = this.#subjects.parse(reply)
    if (stream.state !== 'dialling' || remote === undefined || inbox === undefined)
      this.#drop(message)
    else {
      stream.open(remote, reply, inbox.id, head)
      if (!isClient(this.#world.self)) this.#hearMany(stream, inbox.many)
      stream.events.onOpen()
    }
  }

  #unheard(message: Msg): void {
    const inbox = this.#subjects.parse(message.subject)
    if (inbox === undefined) return
    if (inbox.stream === 0) this.#claim.answered('free')
    else this.#streams.get(inbox.stream)?.unheard()
  }

  /** The other side knows nothing of this stream. */
  #reset(head: Head, message: Msg): void {
    const inbox = this.#subjects.parse(message.subject)
    const stream = this.#streams.get(inbox?.stream ?? 0)
    if (stream === undefined) return
    const { id, check } = stream.remote ?? stream.key
    if (head.id === id && head.check === check)
      stream.end('closed', new Error('the other side has no such stream'))
    else this.#drop(message)
  }

  /** Whoever sent this has a stream that we have not: it must not wait for silence. */
  #answerReset(head: Head, message: Msg): void {
    const { reply } = message
    if (reply !== undefined && this.#subjects.parse(reply) !== undefined)
      this.publish(reply, messageOf(KIND.reset, head, 0, 0))
  }

  /** For whoever listens here. */
  #asked(message: Msg): void {
    const head = headOf(message.data)
    const reply = message.reply ?? ''
    const inbox = this.#subjects.parse(reply)
    const accept = this.#accept
    if (head?.seq !== LAYOUT || inbox === undefined) this.#drop(message)
    else if (head.kind === KIND.open && accept !== undefined && !this.#stopped)
      this.#claim.whenOurs(() => this.#opened(head, reply, inbox, accept))
    else if (head.kind === KIND.probe) this.#claim.probed(reply, head.limit)
    else this.#drop(message)
  }

  #opened(head: Head, subject: string, { id: host, many }: Inbox, accept: Accept): void {
    const client = isClient(host)
    const windowBytes = client ? () => this.#clientWindow() : () => BROKER.windowBytes
    const pulseTicks = client ? BROKER.servedPulseTicks : 1
    if (client) this.#served++
    const way = { subject, host, many: undefined, windowBytes, pulseTicks }
    const stream = this.#make(way, SILENT)
    stream.open({ id: head.id, check: head.check }, subject, host, head)
    // Before the accept, so that whoever reads that it is heard is heard.
    if (!client) this.#hearMany(stream, many)
    const message = acceptOf(head, stream.key, stream.granted, stream.flags)
    this.publish(subject, message, stream.subject)
    accept(stream)
  }

  #hearMany(stream: NatsStream, many: string): void {
    const { up } = this.#line
    if (up === undefined) return
    const heard = this.#heard.get(many)
    if (heard !== undefined) heard.streams++
    else {
      const take = (message: Msg) => this.#saidToMany(message, many)
      const subscription = this.#subscription(up, many, take)
      // Without it this stream alone is spoken to.
      if (subscription === undefined) return
      this.#heard.set(many, { subscription, streams: 1 })
    }
    stream.hears(many)
  }

  #unhear(many: string): void {
    const heard = this.#heard.get(many)
    if (heard === undefined || --heard.streams > 0) return
    this.#heard.delete(many)
    heard.subscription.unsubscribe()
  }

  /** Data for several streams, some of them ours, with whoever speaks there. */
  #saidToMany(message: Msg, many: string): void {
    const { data } = message
    const head = headOf(data)
    const begin = HEAD_BYTES + SHARE_BYTES * (head?.id ?? 0)
    if (head?.kind !== KIND.many || begin > data.length) {
      this.#drop(message)
      return
    }
    for (let at = HEAD_BYTES; at < begin; at += SHARE_BYTES) {
      const share = headOf(data, at)
      const stream = this.#streams.get(share?.id ?? 0)
      if (share?.kind !== KIND.data || stream?.key.check !== share.check) continue
      const seal = share.sealed ? data.subarray(at + HEAD_BYTES, at + SHARE_BYTES) : undefined
      if (stream.many === many) stream.receive(share, data.subarray(begin), seal)
    }
  }

  #clientWindow(): number {
    const { clientWindowBytes, clientWindowBytesMin, clientWindowsBytes } = BROKER
    const share = Math.floor(clientWindowsBytes / Math.max(1, this.#served))
    return Math.max(clientWindowBytesMin, Math.min(clientWindowBytes, share))
  }

  #make(way: ConstructorParameters<typeof NatsStream>[3], events: StreamEvents): NatsStream {
    const key = { id: ++this.#streamsMade, check: draw(this.#world.random) }
    const stream = new NatsStream(this, key, this.#subjects.inbox(key.id), way, events)
    this.#streams.set(key.id, stream)
    this.#timer ??= this.clock.after(BROKER.tickMs, this.#tick)
    return stream
  }

  #drop(message: Msg): void {
    this.#complaints.warn({ subject: message.subject.slice(0, 200) }, 'a message was none of ours')
  }

  readonly #tick = (): void => {
    this.#timer = undefined
    for (const stream of [...this.#streams.values()]) stream.tick()
    if (this.#streams.size > 0) this.#timer = this.clock.after(BROKER.tickMs, this.#tick)
  }
}

function draw(random: Random): number {
  return Math.floor(random.next() * 2 ** 32)
}
