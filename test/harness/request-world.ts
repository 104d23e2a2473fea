/**
 * Both ends of the request path without a cluster: nodes that share one state machine and take
 * turns at being master, and a client whose links to them are queues under virtual time.
 * Everything but the strategy and the medium is the real part.
 */
import { Calls } from '../../src/client/calls.js'
import type { Proposal, Standing } from '../../src/contracts/strategy.js'
import type { SendResult } from '../../src/contracts/transport.js'
import type { Ack, Epoch } from '../../src/contracts/types.js'
import type { SeededRandom } from '../../src/core/prng.js'
import { seededRandom } from '../../src/core/prng.js'
import { OpenCalls } from '../../src/engine/open-calls.js'
import type { ReplyEnv } from '../../src/engine/request-replies.js'
import { Requests } from '../../src/engine/requests.js'
import type { RequestsEnv } from '../../src/engine/requests-env.js'
import { Watches } from '../../src/engine/watches.js'
import { KeyValueStore } from '../../src/store/key-value.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { encodeBatch } from '../../src/wire/batch.js'
import { decodeControl } from '../../src/wire/control.js'
import { FRAME } from '../../src/wire/requests.js'

export const CLIENT = '~client'

export class WorldNode {
  readonly id: string
  readonly world: World
  readonly requests: Requests
  readonly calls: OpenCalls
  readonly watches: Watches
  standing: Standing
  /** What the client's link to this node answers. */
  congested = false
  dropping = false
  session = 1
  disconnects: string[] = []
  flushes = 0
  proposed: number[] = []

  constructor(world: World, id: string) {
    this.world = world
    this.id = id
    this.standing = { role: 'slave', epoch: world.epoch, master: undefined, serving: false }
    const send = (peer: string, frame: Uint8Array): SendResult => this.sendToClient(peer, frame)
    const env: RequestsEnv & ReplyEnv = {
      store: world.store,
      defaultAck: 'insync',
      keyed: false,
      autoCaches: world.autoCaches,
      caches: new Set(['known']),
      propose: proposals => world.propose(this, proposals),
      standing: () => this.standing,
      time: () => world.clock.wall(),
      now: () => world.clock.now(),
      freshness: () => world.clock.now(),
      place: () => 'here',
      read: () => {},
      applied: () => ({ epoch: world.epoch, next: world.store.applied }),
      send,
      flush: () => {
        this.flushes++
      },
      hold: () => {},
      disconnect: peer => this.disconnects.push(peer),
    }
    this.calls = new OpenCalls(env)
    this.requests = new Requests(env, this.calls)
    this.watches = new Watches({ store: world.store, send })
  }

  sendToClient(peer: string, frame: Uint8Array): SendResult {
    if (this.dropping) return 'dropped'
    this.world.toClient(this, peer, Uint8Array.prototype.slice.call(frame))
    return this.congested ? 'congested' : 'sent'
  }

  onFrame(frame: Uint8Array): void {
    if (frame[0] === FRAME.request) this.requests.onFrame(CLIENT, this.session, frame)
    else {
      const message = decodeControl(frame)
      if (message.type === 'watch' || message.type === 'unwatch')
        this.watches.onControl(CLIENT, this.session, message)
    }
  }
}

export interface WorldOptions {
  seed?: number
  nodes?: string[]
  autoCaches?: boolean
  timeoutMs?: number
  /** ms that a frame travels, drawn for each. */
  delayMs?: (random: SeededRandom) => number
  /** ms between apply and settle. */
  settleMs?: (random: SeededRandom) => number
  /** Levels that too few nodes are there for. */
  refused?: Set<Ack>
}

export class World {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly store = new KeyValueStore()
  readonly autoCaches: boolean
  readonly nodes = new Map<string, WorldNode>()
  readonly calls: Calls
  readonly silences: number[] = []
  epoch: Epoch = { number: 256, incarnation: '0000000000000001' }
  /** What the client's links answer, by node; 'sent' where not set. */
  readonly answers = new Map<string, SendResult>()
  /** Frames that the client's own link replies arrive with, for looking at. */
  sentFrames = 0
  clientFlushes = 0
  readonly #options: WorldOptions
  readonly #arrival = new Map<string, number>()
  #crc = 0

  constructor(options: WorldOptions = {}) {
    this.#options = options
    this.random = seededRandom(options.seed ?? 1)
    this.autoCaches = options.autoCaches ?? true
    for (const id of options.nodes ?? ['a']) this.nodes.set(id, new WorldNode(this, id))
    this.calls = new Calls({
      clock: this.clock,
      random: this.random.fork(),
      timeoutMs: options.timeoutMs ?? 5_000,
      send: (target, frame) => this.#toNode(target, Uint8Array.prototype.slice.call(frame)),
      flush: () => {
        this.clientFlushes++
      },
      defer: task => this.clock.after(0, task),
      onSilence: silentMs => this.silences.push(silentMs),
    })
  }

  node(id = 'a'): WorldNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`no node ${id}`)
    return node
  }

  /** `id` serves from now on, under a new epoch. */
  promote(id: string): void {
    const number = this.epoch.number + 256
    this.epoch = { number, incarnation: this.epoch.incarnation }
    for (const node of this.nodes.values()) {
      const role = node.id === id ? 'master' : 'slave'
      node.standing = { role, epoch: this.epoch, master: id, serving: role === 'master' }
    }
  }

  /** One batch, applied at once; settled now or after a while. */
  propose(node: WorldNode, all: readonly Proposal[]): void {
    node.proposed.push(all.length)
    const isRefused = ({ ack }: Proposal) => this.#options.refused?.has(ack) === true
    const proposals = all.filter(proposal => !isRefused(proposal))
    for (const { id } of all.filter(isRefused)) node.requests.reject(id, 'NOT_ENOUGH_COPIES', true)
    if (proposals.length === 0) return
    const first = this.store.applied
    const batch = encodeBatch(this.epoch, first, this.clock.wall(), this.#crc, proposals)
    this.#crc = batch.crc
    this.store.apply(batch, node.requests)
    const epoch = this.epoch
    const ids = proposals.map(proposal => proposal.id)
    const settle = () => {
      for (const [i, id] of ids.entries())
        node.requests.settle(id, {
          group: 0,
          epoch,
          offset: first + i,
          copies: 2,
          durableCopies: 0,
        })
    }
    node.watches.finish()
    const delayMs = this.#options.settleMs?.(this.random) ?? 0
    if (delayMs <= 0) settle()
    else
      this.clock.after(delayMs, () => {
        settle()
        node.calls.finish()
      })
  }

  /** Ends the client's link with `id`: what is under way on it is lost. */
  cut(id: string): void {
    const node = this.node(id)
    node.calls.onLinkDown(CLIENT, node.session)
    node.watches.onLinkDown(CLIENT, node.session)
    node.session++
    this.calls.onTargetDown(id)
  }

  toClient(node: WorldNode, _peer: string, frame: Uint8Array): void {
    const session = node.session
    this.#travel(`<${node.id}${session}`, () => {
      if (node.session !== session) return
      if (frame[0] === FRAME.reply) this.calls.onReply(node.id, frame)
      else this.calls.onEvent(node.id, frame)
    })
  }

  #toNode(target: string, frame: Uint8Array): SendResult {
    const answer = this.answers.get(target) ?? 'sent'
    if (answer === 'dropped') return answer
    this.sentFrames++
    const node = this.node(target)
    const session = node.session
    this.#travel(`>${target}${session}`, () => {
      if (node.session === session) node.onFrame(frame)
    })
    return answer
  }

  /** In order, as a link does. */
  #travel(link: string, arrive: () => void): void {
    const delayMs = this.#options.delayMs?.(this.random) ?? 1
    const at = Math.max(this.clock.now() + delayMs, this.#arrival.get(link) ?? 0)
    this.#arrival.set(link, at)
    this.clock.after(at - this.clock.now(), arrive)
  }

  /** Runs virtual time until `promise` settles; fails after `msMax`. */
  async run<T>(promise: Promise<T>, msMax = 10_000): Promise<T> {
    let settled = false
    const mark = () => {
      settled = true
    }
    promise.then(mark, mark)
    const until = this.clock.now() + msMax
    for (;;) {
      await turn()
      if (settled) return promise
      if (this.clock.now() > until || !this.clock.step())
        throw new Error(`not settled at ${this.clock.now()} ms`)
    }
  }

  /** Lets `ms` of virtual time pass, promises included. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms
    do await turn()
    while (this.clock.step(until))
    this.clock.advance(until - this.clock.now())
    await turn()
  }
}

/** All microtasks and ticks that are due. */
function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
