/**
 * Whole clusters under virtual time, one to three real engines in a profile drawn, one of them a
 * witness at times, whose members
 * and clients say wrong things: mutants of what they have really said in this cluster, so that
 * epochs, feeds and offsets fit, and of the recorded messages. A frame is taken or refused as a
 * protocol error, which a transport answers by ending that link; no engine may ever stop by it.
 */

import type { LogStore } from '../../src/contracts/store.js'
import type { Transport, TransportHandler } from '../../src/contracts/transport.js'
import type { Epoch, Member } from '../../src/contracts/types.js'
import { NO_EPOCH } from '../../src/core/epochs.js'
import type { SeededRandom } from '../../src/core/prng.js'
import { SILENCE } from '../../src/core/silence.js'
import { Engine } from '../../src/engine/engine.js'
import { KeyValueStore } from '../../src/store/key-value.js'
import { MemoryLog } from '../../src/store/memory-log.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { BATCH_HEAD_BYTES } from '../../src/wire/batch.js'
import { checksum } from '../../src/wire/checksum.js'
import { groupOfRequests } from '../../src/wire/requests.js'
import { masterSlave } from '../../strategies/master-slave/index.js'
import { MemoryNetwork } from '../../transports/memory.js'
import { isProtocolError } from '../../transports/stream/link.js'
import { EDGE_REQUESTS, edgePacked, found, golden } from './corpus.js'
import { BrokenPromise, promise, type Target, type Trial } from './target.js'

const CLIENT = '~client'
/** Of what was really said the newest are kept. */
const HEARD_MAX = 48
/** Tasks between two inputs: many more than 6 s of a cluster need. */
const STEPS_MAX = 50_000
const STRATEGY_FIRST = 0x40
const KIND_APPEND = 0x40
/** Bytes of an append before the number of its batches. */
const APPEND_HEAD_BYTES = 1 + 16 + 16 + 8 + 8

const PROFILES = ['ordinal', 'majority', 'strict'] as const
const RECORDED = [
  ...golden('master-slave-', 'request-', 'control-'),
  ...EDGE_REQUESTS,
  ...edgePacked(3),
  ...edgePacked(0x50),
  ...found('engines'),
]

const WRITES = [...golden('request-write'), EDGE_REQUESTS[3]]

/** Of how many nodes, and whether the last of them is a witness. */
const SHAPES = [
  { count: 1 },
  { count: 2 },
  { count: 3 },
  { count: 3 },
  { count: 3, witness: true },
] as const

interface Shape {
  readonly count: number
  readonly witness?: boolean
}

/** The note of a witness, as its disk has it. */
class Notes {
  last: Uint8Array | undefined

  save(note: Uint8Array): void {
    this.last = Buffer.from(note)
  }
}

/** One node of the cluster, and what it heard. */
class Listener implements TransportHandler {
  readonly engine: Engine
  readonly log: LogStore = new MemoryLog({ backlogEntriesMax: 200 })
  readonly sessions = new Map<string, number>()
  readonly transport: Transport
  readonly #heard: Buffer[]

  /** `notes`: what a witness has written down, which outlives it. */
  constructor(world: World, member: Member, heard: Buffer[], notes: Notes) {
    this.#heard = heard
    const { clock, network, members } = world
    const random = world.random.fork()
    const env = { self: member.id, cluster: 'shop', clock, random, logger: SILENCE }
    const admit = (peer: string) => this.engine.refusalOf(peer)
    const medium = network.transport()({ ...env, listen: member.address, admit })
    this.transport = Object.create(medium, {
      start: { value: () => medium.start(this) },
      connect: { value: (peer: string, address: string) => medium.connect(peer, address) },
      disconnect: { value: (peer: string, cause?: Error) => medium.disconnect(peer, cause) },
      send: { value: (peer: string, frame: Uint8Array) => this.#send(medium, peer, frame) },
      flush: { value: (peer: string) => medium.flush?.(peer) },
      stop: { value: () => medium.stop() },
      address: { get: () => medium.address },
    })
    this.engine = new Engine({
      ...env,
      incarnation: member.ordinal.toString(16).padStart(16, '0'),
      members,
      transport: this.transport,
      strategy: masterSlave({ profile: world.profile }) as never,
      log: this.log,
      store: new KeyValueStore(),
      durability: 'memory',
      caches: {},
      autoCaches: true,
      ...(member.witness === true ? { notes } : {}),
    })
    this.engine.events.on('fatal', error => world.stopped(member.id, error))
    void this.engine.start()
    this.engine.onLinkUp(CLIENT, 1)
  }

  /** The client hears everything, and says nothing that the world does not say for it. */
  #send(medium: Transport, peer: string, frame: Uint8Array) {
    return peer.startsWith('~') ? 'sent' : medium.send(peer, frame)
  }

  onLinkUp(peer: string, session: number): void {
    this.sessions.set(peer, session)
    this.engine.onLinkUp(peer, session)
  }

  onLinkDown(...args: Parameters<TransportHandler['onLinkDown']>): void {
    this.sessions.delete(args[0])
    this.engine.onLinkDown(...args)
  }

  onWritable(peer: string, session: number): void {
    this.engine.onWritable(peer, session)
  }

  onFrame(peer: string, session: number, frame: Uint8Array): void {
    if (frame.length < 4_096) this.#heard.push(Buffer.from(frame))
    // Appends are kept longer: what they bring is believed by most.
    const { length } = this.#heard
    if (length > HEARD_MAX)
      this.#heard.splice(this.#heard[0][0] === KIND_APPEND ? length >> 1 : 0, 1)
    this.engine.onFrame(peer, session, frame)
  }
}

class World implements Trial {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly network: MemoryNetwork
  readonly members: Member[]
  readonly profile: (typeof PROFILES)[number]
  readonly #nodes = new Map<string, Listener>()
  readonly #heard: Buffer[] = []
  readonly #notes = new Notes()
  #broken: Error | undefined

  constructor(random: SeededRandom) {
    this.random = random
    const latency = { latencyMsMin: 0.1, latencyMsMax: 0.3 }
    this.network = new MemoryNetwork({ clock: this.clock, random: random.fork(), ...latency })
    const { count, witness = false } = random.pick<Shape>(SHAPES)
    this.profile = witness ? 'majority' : count === 2 ? 'ordinal' : random.pick(PROFILES)
    const ids = ['a', 'b', 'c'].slice(0, count)
    this.members = ids.map((id, ordinal) => ({ id, ordinal, address: `memory://${id}` }))
    if (witness) this.members[2] = { ...this.members[2], ordinal: 255, witness }
    for (const member of this.members) this.#start(member)
    // Some are met while they begin, most at work; then one may come back empty and be copied.
    this.#pass(random.pick([0, 50, 1_500, 1_500, 1_500, 4_000]))
    const master = this.#master()
    // Other groups are refused here, as any mutant may be.
    for (const frame of golden('request-'))
      if (groupOfRequests(frame) === 0) master?.engine.onFrame(CLIENT, 1, frame)
    this.#pass(random.pick([0, 1, 300]))
    if (count > 1 && random.chance(0.3)) this.#restart(random.pick(this.members))
  }

  get seeds(): readonly Uint8Array[] {
    return this.random.chance(0.7) && this.#heard.length > 0 ? this.#heard : RECORDED
  }

  stopped(id: string, error: unknown): void {
    const why = error instanceof Error ? (error.stack ?? error) : error
    this.#broken = new BrokenPromise(`the engine of ${id} (${this.profile}) stops: ${why}`)
  }

  take(input: Buffer): string {
    const { random } = this
    const nodes = [...this.#nodes.entries()]
    const [id, node] = random.pick(nodes)
    const others = this.members.filter(member => member.id !== id)
    const fromMember = others.length > 0 && (input[0] >= STRATEGY_FIRST || random.chance(0.3))
    const from = fromMember ? random.pick(others).id : CLIENT
    const session = from === CLIENT ? 1 : (node.sessions.get(from) ?? 1)
    if (input[0] === KIND_APPEND && random.chance(0.7)) mendChain(input, node.log)
    const refused = this.#say(node, from, session, input)
    if (this.#broken !== undefined) throw this.#broken
    if (refused !== undefined) throw refused
    return `${id} ${node.engine.standing.role} hears ${from}`
  }

  /** Time goes on, rarely for long enough that somebody is suspected. */
  after(): void {
    this.#pass(this.random.pick([0, 0, 0, 0, 0.4, 1, 1, 10]))
    if (this.random.chance(0.002)) this.#pass(1_200)
    if (this.random.chance(0.04)) {
      // Honest writes, so that appends are among what is heard.
      this.#master()?.engine.onFrame(CLIENT, 1, this.random.pick(WRITES))
      this.#pass(1)
    }
    if (this.#broken !== undefined) throw this.#broken
  }

  close(): void {
    this.#pass(1_500)
    if (this.#broken !== undefined) throw this.#broken
    for (const { engine } of this.#nodes.values())
      promise(engine.status() !== undefined, 'no status')
    for (const { engine } of this.#nodes.values()) void engine.stop()
  }

  /** Returns why it was refused. */
  #say(node: Listener, from: string, session: number, input: Buffer): Error | undefined {
    try {
      node.engine.onFrame(from, session, input)
      return undefined
    } catch (error) {
      // All that a transport expects: it ends the link. Anything else would end the process.
      if (!isProtocolError(error)) throw error
      if (from === CLIENT) {
        node.engine.onLinkDown(CLIENT, 1, 'protocol', error)
        node.engine.onLinkUp(CLIENT, 1)
      } else if (this.random.chance(0.3)) node.transport.disconnect(from, error)
      return error
    }
  }

  /** A task that asks for itself again and again at one instant would never let time pass. */
  #pass(ms: number): void {
    const until = this.clock.now() + ms
    let steps = 0
    while (this.clock.step(until)) promise(++steps < STEPS_MAX, 'time does not pass any more')
    this.clock.advance(until - this.clock.now())
  }

  #start(member: Member): void {
    this.#nodes.set(member.id, new Listener(this, member, this.#heard, this.#notes))
  }

  #restart(member: Member): void {
    this.network.crash(member.id)
    void this.#nodes.get(member.id)?.engine.stop()
    this.#start(member)
    this.#pass(this.random.pick([1, 20, 300]))
  }

  #master(): Listener | undefined {
    for (const node of this.#nodes.values())
      if (node.engine.standing.role === 'master' && node.engine.standing.serving) return node
    return undefined
  }
}

/** Its batches continue `log`, by offset and by checksum, as those of a master that wanted to harm
 *  would: or the chain alone would refuse nearly every mutant. */
function mendChain(frame: Buffer, log: LogStore): void {
  let at = APPEND_HEAD_BYTES + 2
  let crc = log.crcBefore(log.next) ?? 0
  let first = log.next
  if (frame.length < at) return
  writePrevious(frame, log.epochBefore(log.next))
  while (at + 4 + BATCH_HEAD_BYTES <= frame.length) {
    const start = at + 4
    const end = start + frame.readUInt32LE(at)
    if (end > frame.length || end < start + BATCH_HEAD_BYTES) return
    frame.writeDoubleLE(first, start + 4)
    crc = checksum(frame.subarray(start + 4, end), crc)
    frame.writeUInt32LE(crc, start)
    at = end
    // All but the newest batch, mostly of one entry, would need its count.
    first++
  }
}

function writePrevious(frame: Buffer, epoch: Epoch | undefined): void {
  const { number, incarnation } = epoch ?? NO_EPOCH
  frame.writeDoubleLE(number, 17)
  frame.writeUInt32LE(Number.parseInt(incarnation.slice(0, 8), 16), 25)
  frame.writeUInt32LE(Number.parseInt(incarnation.slice(8), 16), 29)
}

export const ENGINE_TARGET: Target = {
  name: 'engines',
  weight: 20,
  pure: false,
  open: random => new World(random),
}
