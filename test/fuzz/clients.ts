/**
 * A real client, its calls and its routing, on links to nodes that lie: mutants of what an
 * honest engine has really answered to this very client, so that ids, epochs and watches fit, in
 * each phase of a link. A frame is taken or ends its link; the client never throws, asks nobody
 * without end, sends no frame that its transport cannot carry, and once it is left alone with the
 * honest node its calls are answered.
 */
import { createCache } from '../../src/cache/cache.js'
import { Calls } from '../../src/client/calls.js'
import { GroupedCalls } from '../../src/client/grouped-calls.js'
import { Routing } from '../../src/client/routing.js'
import { LIMITS } from '../../src/config.js'
import type { Cache } from '../../src/contracts/cache.js'
import type { SendResult, Transport } from '../../src/contracts/transport.js'
import type { PeerId } from '../../src/contracts/types.js'
import type { SeededRandom } from '../../src/core/prng.js'
import { SILENCE } from '../../src/core/silence.js'
import { Engine } from '../../src/engine/engine.js'
import { KeyValueStore } from '../../src/store/key-value.js'
import { MemoryLog } from '../../src/store/memory-log.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { FRAME } from '../../src/wire/requests.js'
import { masterSlave } from '../../strategies/master-slave/index.js'
import { isProtocolError } from '../../transports/stream/link.js'
import { EDGE_VALUES, edgePacked, found, golden } from './corpus.js'
import { promise, type Target, type Trial } from './target.js'

const CLIENT = '~client'
const HONEST = 'tcp://127.0.0.1:7400'
/** So many that one is linked when others have just been cut off, and time need not pass. */
const LIARS = Array.from({ length: 9 }, (_, i) => `tcp://127.0.0.1:${7_401 + i}`)
/** Of what was really said, of each kind. */
const HEARD_MAX = 16
const FRAME_BYTES_MAX = LIMITS.valueBytesCeiling + LIMITS.frameRoomBytes
/** Said in answer to one frame, with all that was asked meanwhile. */
const FRAMES_MAX = 3_000
/** The given ones, and those that views may add. */
const LINKS_MAX = 1 + LIARS.length + 256
/** Longer than the longest wait before a server is dialled again. */
const REDIAL_MS = 1_100
const CALL_MS = 60_000
/** A deposed master's word is doubted for 1 s, and a dial comes every second. */
const RECOVERED_MS = 5_000
const STEPS_MAX = 50_000

const RECORDED = [
  ...golden('reply', 'control-', 'request-'),
  ...edgePacked(FRAME.control),
  ...found('clients'),
]

/** A node that is master alone, and what it says to the client. */
class Server {
  readonly engine: Engine
  readonly said: Buffer[] = []

  constructor(clock: VirtualClock, random: SeededRandom) {
    const members = [{ id: 'a', ordinal: 0, address: HONEST }]
    const transport: Transport = {
      name: 'none',
      address: HONEST,
      traits: { ...TRAITS, frameBytesMax: LIMITS.peerFrameBytesMax },
      start: () => Promise.resolve(),
      connect: () => {},
      disconnect: () => {},
      send: (peer, frame) => this.#say(peer, frame),
      stop: () => Promise.resolve(),
    }
    this.engine = new Engine({
      ...{ self: 'a', cluster: 'shop', incarnation: '0'.repeat(16), members, transport },
      ...{ clock, random, logger: SILENCE, durability: 'memory', caches: {}, autoCaches: true },
      strategy: masterSlave({ ack: 'master' }) as never,
      ...{ log: new MemoryLog(), store: new KeyValueStore() },
    })
    void this.engine.start()
  }

  #say(peer: PeerId, frame: Uint8Array): SendResult {
    if (peer === CLIENT) this.said.push(Buffer.from(frame))
    return 'sent'
  }
}

const TRAITS = {
  topology: 'direct',
  detectsPeerLoss: true,
  frameBytesMax: FRAME_BYTES_MAX,
  queueBytesMax: LIMITS.clientQueueBytesMax,
} as const

class Client implements Trial {
  readonly #random: SeededRandom
  readonly #clock = new VirtualClock()
  readonly #server: Server
  readonly #calls: Calls
  readonly #routing: Routing
  readonly #caches: Cache<unknown>[]
  readonly #sessions = new Map<PeerId, number>()
  readonly #dialled: PeerId[] = []
  readonly #turns: (() => void)[] = []
  /** Not answered yet: the honest node's work is no lie's cost. */
  readonly #asked: Buffer[] = []
  readonly #heard = new Map<number, Buffer[]>()
  #sessionsMade = 0
  #frames = 0
  /** Whom nobody else disturbs: only the honest node is there. */
  #quiet = false

  constructor(random: SeededRandom) {
    this.#random = random
    const clock = this.#clock
    this.#server = new Server(clock, random.fork())
    this.#pass(100)
    const transport = this.#transport()
    const env = {
      ...{ clock, random: random.fork(), timeoutMs: CALL_MS, cluster: 'shop' },
      send: (peer: PeerId, frame: Uint8Array) => transport.send(peer, frame),
      flush: () => {},
      defer: (task: () => void) => this.#turns.push(task),
    }
    this.#calls = new Calls({
      ...env,
      onSilence: ms => this.#routing.onSilence(ms),
      onLocalSilence: () => this.#routing.onLocalSilence(),
    })
    this.#routing = new Routing({
      ...{ transport, clock, random: random.fork(), logger: SILENCE, calls: this.#calls },
      ...{ onRoute() {}, onLink() {}, onFailover() {} },
      makeGroups: table => new GroupedCalls(env, table),
    })
    const options = { timeoutMs: CALL_MS }
    const codecs = ['msgpack', 'json', 'bytes'] as const
    this.#caches = codecs.map(codec => createCache(this.#calls, 'c', { ...options, codec }))
    for (const address of [HONEST, ...LIARS]) this.#routing.links.add(address, true)
    // Some lies come before the first view, most while calls are under way.
    const warm = random.pick([0, 1, 5, 5])
    for (let i = 0; i < warm; i++) this.#turn()
  }

  get seeds(): readonly Uint8Array[] {
    const heard = [...this.#heard.values()]
    return heard.length > 0 && this.#random.chance(0.75) ? this.#random.pick(heard) : RECORDED
  }

  take(input: Buffer): string {
    const random = this.#random
    this.#frames = 0
    const peers = [...this.#sessions.keys()]
    if (peers.length === 0) return 'nobody is linked'
    const peer = random.pick(peers)
    const before = this.#calls.pending
    const refused = this.#say(peer, input)
    this.#endTurn()
    promise(this.#frames <= FRAMES_MAX, `${this.#frames} frames in answer to one`)
    const links = [...this.#routing.links].length
    promise(links <= LINKS_MAX, `${links} links, and views may only add so many`)
    if (refused !== undefined) throw refused
    return `${peer} of ${links}, ${before} to ${this.#calls.pending} calls, ${this.#frames} frames`
  }

  after(): void {
    if (this.#random.chance(0.6)) this.#turn()
    for (let i = 0; i < 2 && this.#sessions.size === 0; i++) this.#turn(REDIAL_MS)
  }

  /** All links end, the liar is gone: what is asked now must be answered. */
  close(): void {
    this.#quiet = true
    for (const peer of [...this.#sessions.keys()]) this.#down(peer)
    for (let ms = 0; ms < RECOVERED_MS; ms += 100) this.#turn(100)
    this.#ask()
    for (let ms = 0; ms < RECOVERED_MS; ms += 100) this.#turn(100)
    promise(this.#calls.pending === 0, `${this.#calls.pending} calls are not answered any more`)
    this.#calls.close()
    this.#routing.stop()
    void this.#server.engine.stop()
  }

  #transport(): Transport {
    return {
      name: 'lies',
      address: '',
      traits: TRAITS,
      start: () => Promise.resolve(),
      connect: peer => void this.#dialled.push(peer),
      disconnect: peer => void this.#turns.push(() => this.#down(peer)),
      send: (peer, frame) => this.#send(peer, frame),
      stop: () => Promise.resolve(),
    }
  }

  /** The honest node answers whatever is asked, whoever was asked. */
  #send(peer: PeerId, frame: Uint8Array): SendResult {
    this.#frames++
    const fits = frame.length > 0 && frame.length <= FRAME_BYTES_MAX
    promise(fits, `T7: a frame of ${frame.length} bytes for ${peer}`)
    if (!this.#sessions.has(peer)) return 'dropped'
    if (!this.#quiet && this.#random.chance(0.02)) return 'dropped'
    const kept = Buffer.from(frame)
    this.#asked.push(kept)
    return 'sent'
  }

  /** Returns why it was refused. */
  #say(peer: PeerId, frame: Uint8Array): Error | undefined {
    try {
      this.#routing.onFrame(peer, this.#sessions.get(peer) ?? 0, frame)
      return undefined
    } catch (error) {
      // All that a transport expects: it ends the link. Anything else would end the process.
      if (!isProtocolError(error)) throw error
      this.#down(peer, error)
      return error
    }
  }

  #down(peer: PeerId, cause?: Error): void {
    const session = this.#sessions.get(peer)
    if (session === undefined) return
    this.#sessions.delete(peer)
    if (peer === `*${HONEST}`) this.#server.engine.onLinkDown(CLIENT, 1, 'closed')
    this.#routing.onLinkDown(peer, session, 'protocol', cause)
  }

  /** One turn: what the application asks, what the honest node says, who is dialled. */
  #turn(ms = this.#random.pick([0, 0, 1, 10, 30])): void {
    if (!this.#quiet) this.#ask()
    this.#endTurn()
    for (let peer = this.#dialled.shift(); peer !== undefined; peer = this.#dialled.shift())
      this.#dial(peer)
    this.#endTurn()
    for (const frame of this.#asked.splice(0)) this.#server.engine.onFrame(CLIENT, 1, frame)
    for (const frame of this.#server.said.splice(0)) {
      this.#keep(frame)
      if (!this.#quiet && this.#random.chance(0.3)) continue
      if (this.#sessions.has(`*${HONEST}`)) this.#say(`*${HONEST}`, frame)
    }
    this.#endTurn()
    this.#pass(ms)
  }

  #keep(frame: Buffer): void {
    if (frame.length >= 4_096) return
    const kept = this.#heard.get(frame[0]) ?? []
    kept.push(frame)
    if (kept.length > HEARD_MAX) kept.splice(this.#random.below(HEARD_MAX), 1)
    this.#heard.set(frame[0], kept)
  }

  /** Nobody is where a view only says so, mostly. */
  #dial(peer: PeerId): void {
    const given = LIARS.includes(peer.slice(1)) || this.#random.chance(0.2)
    const there = peer === `*${HONEST}` || (given && !this.#quiet)
    if (!there) return this.#routing.onLinkDown(peer, 0, 'unreachable')
    const session = ++this.#sessionsMade
    this.#sessions.set(peer, session)
    this.#routing.onLinkUp(peer, session)
    if (peer === `*${HONEST}`) this.#server.engine.onLinkUp(CLIENT, 1)
  }

  /** A few calls of any kind. Some hold more bytes than one frame of a small limit. */
  #ask(): void {
    const random = this.#random
    const cache = random.pick(this.#caches)
    const calls = this.#calls
    const key = `k${random.below(4)}`
    const mind = (promised: Promise<unknown>) => void promised.catch(() => {})
    for (let i = random.below(4); i >= 0; i--)
      switch (random.below(this.#quiet ? 4 : 12)) {
        case 0:
        case 1:
          mind(cache.get(key))
          break
        case 2:
          mind(cache.set(key, Buffer.from(random.pick(EDGE_VALUES)), { ack: 'master' }))
          break
        case 3:
          mind(cache.has(key))
          break
        case 4:
          mind(cache.get(key, { read: random.pick(['local', 'linearizable'] as const) }))
          break
        case 5:
          mind(calls.scan('c', '', 0, 100, CALL_MS))
          break
        case 6:
          mind(calls.set('c', key, Buffer.from(random.pick(EDGE_VALUES)), {}))
          break
        case 7:
          mind(this.#routing.asks.ask('shop', 1_000))
          break
        case 8:
          if (random.chance(0.3)) calls.watch('c', '', () => {})
          break
        case 9:
          mind(this.#routing.admin.handover({ timeoutMs: 500 }, () => this.#routing.route))
          break
        case 10:
          mind(cache.size())
          break
        default:
          if (random.chance(0.01)) mind(calls.set('c', key, Buffer.alloc(2 ** 17), {}))
          else mind(cache.delete(key))
      }
  }

  #endTurn(): void {
    let tasks = 0
    for (let task = this.#turns.shift(); task !== undefined; task = this.#turns.shift()) {
      promise(++tasks < STEPS_MAX, 'a turn without an end')
      task()
    }
  }

  #pass(ms: number): void {
    const until = this.#clock.now() + ms
    let steps = 0
    while (this.#clock.step(until)) {
      promise(++steps < STEPS_MAX, 'time does not pass any more')
      this.#endTurn()
    }
    this.#clock.advance(until - this.#clock.now())
  }
}

export const CLIENT_TARGET: Target = {
  name: 'clients',
  weight: 12,
  pure: false,
  open: random => new Client(random),
}
