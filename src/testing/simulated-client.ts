/**
 * A client small enough to be believed: it speaks the request frames of src/wire over the simulated
 * network, has a window, repeats a write under the same number to whoever is master, and gives up
 * at its deadline. No promise anywhere, so a history is exactly what happened, in order.
 */

import { TIMES } from '../config.js'
import type { Clock, Random, Timer } from '../contracts/environment.js'
import type { Transport, TransportHandler } from '../contracts/transport.js'
import type { PeerId, Session } from '../contracts/types.js'
import { Seen } from '../core/positions.js'
import { readEpoch } from '../wire/batch.js'
import { Reader, Writer } from '../wire/bytes.js'
import { decodeControl, encodeControl } from '../wire/control.js'
import {
  ackCode,
  beginRequest,
  beginRequests,
  endRequest,
  FRAME,
  type HowToRead,
  READ,
  readByte,
  writeReadTail,
} from '../wire/requests.js'
import {
  type Call,
  type CallPlan,
  goesLocal,
  howToRead,
  makeCall,
  type Reply,
  readReply,
  writeCommand,
} from './simulated-calls.js'

export type { Call, CallKind, CallPlan, Reply } from './simulated-calls.js'

export interface SimulatedClientOptions {
  self: PeerId
  servers: readonly { id: PeerId; address: string }[]
  transport: Transport
  clock: Clock
  random: Random
  /** A call without an answer goes to the next node after it, ms. */
  attemptMs?: number
  timeoutMs?: number
  /** How likely an answered write is said again, to see the same answer. */
  repeatChance?: number
  onEnd?(call: Call): void
  /** An answered write was answered again. */
  onRepeat?(call: Call, again: Reply): void
}

interface Server {
  readonly id: PeerId
  readonly address: string
  session: Session
  heardAt: number
  master: PeerId
  epoch: number
  serving: boolean
}

interface Attempt {
  readonly call: Call
  readonly server: Server
  readonly repeat: boolean
  readonly how: HowToRead | undefined
  open: boolean
  timer: Timer | undefined
}

const RETRY_MS = 40
const REDIAL_MS = 100
const SILENT_MS_MAX = 2_000
/** Bytes of values after which a frame is sent; one more value still fits (seed 1734). */
const FRAME_VALUES_MAX = 512 * 1_024
/** Later answers to older attempts are not understood any more. */
const ATTEMPTS_KEPT = 2_000
const OUT = new Writer(4_096)

export class SimulatedClient implements TransportHandler {
  readonly #o: SimulatedClientOptions
  readonly #servers = new Map<PeerId, Server>()
  readonly #attempts = new Map<number, Attempt>()
  readonly #open = new Map<Call, Timer>()
  readonly #unanswered = new Set<number>()
  readonly #seen = new Seen()
  #outbox: Call[] = []
  #window = ''
  #windowOpen = false
  #opening: Call | undefined
  #seq = 0
  #nextId = 1
  #turn = 0
  #dead = false
  #flushing = false

  constructor(options: SimulatedClientOptions) {
    this.#o = options
    for (const { id, address } of options.servers) this.#add(id, address)
    void options.transport.start(this)
    for (const server of this.#servers.values()) this.#dial(server)
    this.#openWindow()
  }

  get id(): PeerId {
    return this.#o.self
  }

  /** The id of its idempotency window. */
  get window(): string {
    return this.#window
  }

  /** Calls without an end. */
  get inFlight(): number {
    return this.#open.size
  }

  /** Undefined while there is no window to write under. */
  start(plan: CallPlan): Call | undefined {
    const write = plan.kind !== 'get'
    if (this.#dead || (write && (!this.#windowOpen || this.#unanswered.size > 200)))
      return undefined
    const call = this.#makeCall(plan, write ? ++this.#seq : 0)
    this.#begin(call)
    return call
  }

  /** The process dies: nobody will ever hear how its calls ended. */
  crash(): void {
    this.#dead = true
    for (const call of [...this.#open.keys()]) this.#end(call, 'unknown', undefined)
    void this.#o.transport.stop()
  }

  /** Tells `node` that the master does not answer. */
  hint(node: PeerId): void {
    const server = this.#servers.get(node)
    if (this.#dead || server === undefined || server.session === 0) return
    this.#o.transport.send(node, encodeControl({ type: 'hint', epoch: server.epoch }))
  }

  onLinkUp(peer: PeerId, session: Session): void {
    const server = this.#servers.get(peer)
    if (server !== undefined) server.session = session
  }

  onLinkDown(peer: PeerId, session: Session): void {
    const server = this.#servers.get(peer)
    if (server === undefined || this.#dead) return
    if (session !== 0 && session !== server.session) return
    server.session = 0
    server.serving = false
    server.master = ''
    this.#o.clock.after(REDIAL_MS, () => this.#dial(server))
    for (const attempt of this.#attempts.values())
      if (attempt.server === server && attempt.open) this.#again(attempt)
  }

  onFrame(peer: PeerId, _session: Session, frame: Uint8Array): void {
    const server = this.#servers.get(peer)
    if (server === undefined || this.#dead) return
    server.heardAt = this.#o.clock.now()
    if (frame[0] === FRAME.reply) this.#onReplies(server, frame)
    else if (frame[0] === FRAME.control) {
      const control = decodeControl(frame)
      if (control.type !== 'view') return
      server.master = control.master
      server.epoch = control.epoch
      server.serving = control.serving
      // Without an address until the member has said it; a real client waits for it too (7183).
      for (const { id, address } of control.members)
        if (address !== '' && !this.#servers.has(id)) this.#dial(this.#add(id, address))
    }
  }

  onWritable(): void {}

  #add(id: PeerId, address: string): Server {
    const known = { session: 0, heardAt: 0, master: '', epoch: 0, serving: false }
    const server = { id, address, ...known }
    this.#servers.set(id, server)
    return server
  }

  #dial(server: Server): void {
    if (!this.#dead && server.session === 0) this.#o.transport.connect(server.id, server.address)
  }

  #openWindow(): void {
    let id = ''
    for (let i = 0; i < 16; i++) id += String.fromCharCode(Math.floor(this.#o.random.next() * 256))
    this.#window = id
    this.#windowOpen = false
    this.#seq = 0
    this.#unanswered.clear()
    this.#opening = this.#makeCall({ kind: 'open', cache: '', key: '' }, ++this.#seq)
    this.#begin(this.#opening)
  }

  #makeCall(plan: CallPlan, seq: number): Call {
    const window = seq === 0 ? '' : this.#window
    return makeCall(plan, this.#o.self, window, seq, this.#o.clock.now())
  }

  #begin(call: Call): void {
    if (call.seq !== 0) this.#unanswered.add(call.seq)
    const deadline = this.#o.clock.after(this.#o.timeoutMs ?? TIMES.timeoutMs, () =>
      this.#end(call, call.doubt ? 'unknown' : 'rejected', undefined),
    )
    this.#open.set(call, deadline)
    this.#queue(call)
  }

  #queue(call: Call): void {
    this.#outbox.push(call)
    if (this.#flushing) return
    this.#flushing = true
    this.#o.clock.after(0, () => this.#flush())
  }

  /** All calls of one instant and window travel in one frame, as a real client's turn does. */
  #flush(): void {
    this.#flushing = false
    const outbox = this.#outbox
    this.#outbox = []
    if (this.#dead) return
    const calls = outbox.filter(call => call.endedAt === undefined)
    if (calls.length === 1) return this.#send(calls, false)
    // Once sent, no call goes local any more: the groups are made before.
    const groups = [...new Set(calls.map(call => call.window))].flatMap(window =>
      [true, false].map(local =>
        calls.filter(call => call.window === window && goesLocal(call) === local),
      ),
    )
    for (const group of groups) if (group.length > 0) this.#send(group, false)
  }

  #send(calls: readonly Call[], repeat: boolean): void {
    for (let from = 0; from < calls.length; ) {
      let to = from
      let bytes = 0
      while (to < calls.length && bytes <= FRAME_VALUES_MAX) bytes += calls[to++].value?.length ?? 0
      this.#sendFrame(to - from === calls.length ? calls : calls.slice(from, to), repeat)
      from = to
    }
  }

  #sendFrame(calls: readonly Call[], repeat: boolean): void {
    const server = this.#target(calls[0])
    if (server === undefined) {
      for (const call of calls) if (!repeat) this.#retryLater(call)
      return
    }
    const { session } = server
    OUT.reset()
    const write = calls[0].seq !== 0
    const lowest = write ? this.#lowest(calls) : 0
    const window = write ? { id: calls[0].window, lowest } : undefined
    const at = beginRequests(OUT, window)
    for (const call of calls) {
      const id = this.#nextId++
      const how = write ? undefined : howToRead(call, this.#seen.positions)
      const byte = how === undefined ? ackCode(call.ack) : readByte(how)
      const start = beginRequest(OUT, id, byte, write ? call.seq - lowest : 0)
      writeCommand(OUT, call)
      if (how !== undefined) writeReadTail(OUT, how)
      endRequest(OUT, start)
      call.attempts++
      const attempt: Attempt = { call, server, repeat, how, open: true, timer: undefined }
      this.#attempts.set(id, attempt)
      attempt.timer = this.#o.clock.after(this.#o.attemptMs ?? 900, () => {
        if (attempt.open) this.#late(attempt, session)
      })
    }
    if (this.#attempts.size > ATTEMPTS_KEPT) this.#forgetAttempts()
    OUT.patchU16(at, calls.length)
    if (this.#o.transport.send(server.id, OUT.keep()) === 'dropped') return
    for (const call of calls) if (write) call.doubt = true
  }

  /** The lowest number that is still unanswered. */
  #lowest(calls: readonly Call[]): number {
    let lowest = Number.POSITIVE_INFINITY
    for (const call of calls) lowest = Math.min(lowest, call.seq)
    if (calls[0].window === this.#window)
      for (const seq of this.#unanswered) lowest = Math.min(lowest, seq)
    return lowest
  }

  #forgetAttempts(): void {
    for (const id of this.#attempts.keys()) {
      if (this.#attempts.size <= ATTEMPTS_KEPT) break
      this.#attempts.delete(id)
    }
  }

  /** The serving master of the highest epoch it knows, else whoever is linked, in turn. The first
   *  attempt of a local read goes to anybody else. */
  #target(call: Call): Server | undefined {
    const { attempts } = call
    if (call.read === 'linearizable' && attempts === 0) {
      const claimant = this.#claimant()
      if (claimant !== undefined) return claimant
    }
    let best: Server | undefined
    const linked: Server[] = []
    for (const server of this.#servers.values()) {
      if (server.session === 0) continue
      linked.push(server)
      if (server.serving && server.master === server.id)
        if (best === undefined || server.epoch > best.epoch) best = server
    }
    if (goesLocal(call)) linked.splice(0, linked.length, ...linked.filter(one => one !== best))
    else if (best !== undefined && attempts % 4 !== 3) return best
    if (linked.length === 0) return best
    return linked[this.#turn++ % linked.length]
  }

  /** Now and then anybody who says that it is master: not every client has heard of the newest. */
  #claimant(): Server | undefined {
    if (this.#o.random.next() > 0.5) return undefined
    const all = [...this.#servers.values()]
    const claimants = all.filter(one => one.session !== 0 && one.serving && one.master === one.id)
    return claimants[Math.floor(this.#o.random.next() * claimants.length)]
  }

  /** No answer in time; a server that says nothing at all may have lost this link unnoticed. */
  #late(attempt: Attempt, session: Session): void {
    const { server } = attempt
    const silentMs = this.#o.clock.now() - server.heardAt
    if (server.session === session && silentMs > SILENT_MS_MAX)
      this.#o.transport.disconnect(server.id)
    this.#again(attempt)
  }

  /** An attempt is over without an answer that settles its call. */
  #again(attempt: Attempt): void {
    attempt.open = false
    if (attempt.call.endedAt !== undefined || this.#dead) return
    const others = [...this.#servers.values()].filter(s => s !== attempt.server && s.session !== 0)
    if (others.length > 0) this.hint(others[this.#turn++ % others.length].id)
    this.#retryLater(attempt.call)
  }

  #retryLater(call: Call): void {
    this.#o.clock.after(RETRY_MS, () => {
      if (call.endedAt === undefined && !this.#dead) this.#queue(call)
    })
  }

  #onReplies(server: Server, frame: Uint8Array): void {
    const reader = new Reader(frame)
    reader.u8()
    const epoch = reader.f64()
    const position = { epoch: readEpoch(reader), offset: reader.whole() - 1 }
    for (let count = reader.u16(); count > 0; count--) {
      const id = reader.u32()
      const reply = readReply(reader, server.id, epoch, position, this.#o.clock.now())
      const attempt = this.#attempts.get(id)
      if (attempt === undefined || attempt.server !== server) continue
      this.#attempts.delete(id)
      const wasOpen = attempt.open
      attempt.open = false
      attempt.timer?.cancel()
      this.#onReply(attempt, reply, wasOpen)
    }
    reader.finish()
  }

  #onReply(attempt: Attempt, reply: Reply, wasOpen: boolean): void {
    const { call } = attempt
    if (call.endedAt !== undefined) {
      if (call.outcome === 'ok') this.#o.onRepeat?.(call, reply)
      return
    }
    call.sent = attempt.how?.seen ?? []
    call.local = attempt.how?.mode === READ.local
    if (reply.kind !== 'error') {
      this.#seen.replace(call.sent, reply.position.epoch, reply.position.offset)
      return this.#end(call, 'ok', reply)
    }
    switch (reply.code) {
      case 'NOT_MASTER':
      case 'NOT_READY':
      case 'BUSY':
      case 'NOT_ENOUGH_COPIES':
      case 'TOO_STALE':
      case 'NO_MAJORITY':
        if (wasOpen) this.#retryLater(call)
        return
      case 'ACK_TIMEOUT':
        if (wasOpen && this.#o.random.next() < 0.5) this.#retryLater(call)
        else this.#end(call, 'unknown', reply)
        return
      case 'DIVERGED':
        if (reply.seenLost)
          this.#seen.replace(call.sent, reply.position.epoch, reply.position.offset)
        return this.#end(call, 'rejected', reply)
      default:
        this.#end(call, reply.surely ? 'rejected' : 'unknown', reply)
        if (reply.code === 'CLIENT_EXPIRED' && call.window === this.#window) this.#openWindow()
    }
  }

  #end(call: Call, outcome: 'ok' | 'rejected' | 'unknown', reply: Reply | undefined): void {
    call.endedAt = this.#o.clock.now()
    call.outcome = outcome
    call.reply = reply
    this.#open.get(call)?.cancel()
    this.#open.delete(call)
    if (call.seq !== 0 && call.window === this.#window) {
      if (call === this.#opening) {
        this.#opening = undefined
        if (outcome === 'ok') this.#windowOpen = true
        else if (!this.#dead) this.#o.clock.after(RETRY_MS, () => this.#openWindow())
      }
      // Never an opening: said again after its window was closed it would make it anew, and no
      // client does that half an hour later (seed 20107; strict, 59).
      const repeats = outcome === 'ok' && call.kind !== 'open'
      if (repeats && this.#o.random.next() < (this.#o.repeatChance ?? 0)) {
        const delayMs = this.#o.random.next() * 1_500
        this.#o.clock.after(delayMs, () => this.#repeat(call))
      } else this.#unanswered.delete(call.seq)
    }
    this.#o.onEnd?.(call)
  }

  #repeat(call: Call): void {
    if (this.#dead || call.window !== this.#window) return
    this.#send([call], true)
    this.#unanswered.delete(call.seq)
  }
}
