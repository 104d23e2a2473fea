/**
 * Applications that write and read at every node, each through the node that it is embedded in:
 * sets, deletes, touches, conditions, lives, clears, on few keys on purpose. Some write under a
 * window and say a write twice, there or elsewhere.
 */
import type { Ack, PeerId } from '../../contracts/types.js'
import type { SeededRandom } from '../../core/prng.js'
import { readEpoch } from '../../wire/batch.js'
import { Reader, Writer } from '../../wire/bytes.js'
import { ackCode, beginRequest, beginRequests, endRequest } from '../../wire/requests.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Life } from '../life.js'
import { type CallPlan, makeCall, type Reply, readReply, writeCommand } from '../simulated-calls.js'
import type { SimulatedNode } from '../simulated-node.js'

export interface WritersOptions {
  /** Calls a second, all nodes together, on average. */
  readonly rate: number
  readonly keys: number
  readonly valueBytesMax: number
  readonly acks: readonly Ack[]
  readonly caches: readonly string[]
  readonly reads: number
  readonly conditions: number
  /** Clears a second, on average. */
  readonly clears: number
  readonly burstMax: number
  /** Share of writes under a window; of those, said twice. */
  readonly windows: number
  readonly repeats: number
}

/** One call at one life of a node. */
export interface Asked extends CallPlan {
  readonly life: Life
  readonly startedAt: number
  /** Under a window: the same for what is said again. */
  readonly name: string
  reply: Reply | undefined
}

export interface WritersWatcher {
  onAsk?(asked: Asked): void
  onAnswer?(asked: Asked, reply: Reply): void
}

/** An embedded application's window, which ends with its process. */
interface Session {
  readonly life: Life
  readonly id: string
  open: boolean
  seq: number
}

/** A window lets go of numbers so far behind the newest. */
const LOWEST_BEHIND = 64
const OUT = new Writer(4_096)

export class Writers {
  readonly watchers: WritersWatcher[] = []
  calls = 0
  acked = 0
  readonly #cluster: SimulatedCluster
  readonly #o: WritersOptions
  readonly #random: SeededRandom
  readonly #open = new Map<number, { readonly asked: Asked; readonly session?: Session }>()
  readonly #sessions = new Map<PeerId, Session>()
  readonly #seen = new Map<string, number>()
  #id = 0
  #running = true

  constructor(cluster: SimulatedCluster, options: WritersOptions) {
    this.#cluster = cluster
    this.#o = options
    this.#random = cluster.random.fork()
    for (const { id } of cluster.members) this.#schedule(id)
  }

  stop(): void {
    this.#running = false
  }

  /** One call at `node` now; undefined if nobody is there to make it. */
  ask(node: SimulatedNode, plan: CallPlan): Asked | undefined {
    return this.#ask(node, plan, undefined, 0)
  }

  #schedule(id: PeerId): void {
    const { rate, burstMax } = this.#o
    const random = this.#random
    const burst = 1 + random.below(burstMax)
    const meanMs = ((1_000 * (1 + burstMax)) / 2 / rate) * this.#cluster.nodes
    this.#cluster.clock.after(-Math.log(1 - random.next()) * meanMs, () => {
      if (!this.#running) return
      const node = this.#cluster.node(id)
      for (let n = 0; n < burst; n++) this.#call(node)
      this.#schedule(id)
    })
  }

  #call(node: SimulatedNode): void {
    if (!node.awake) return
    const plan = this.#plan()
    const { windows } = this.#o
    if (plan.kind === 'get' || !this.#random.chance(windows)) return void this.ask(node, plan)
    const session = this.#sessionAt(node)
    if (session.open) this.#ask(node, plan, session, ++session.seq)
  }

  #sessionAt(node: SimulatedNode): Session {
    const { life } = node
    const known = this.#sessions.get(node.id)
    if (known !== undefined && known.life === life) return known
    let id = ''
    for (let i = 0; i < 16; i++) id += String.fromCharCode(this.#random.below(256))
    const session: Session = { life, id, open: false, seq: 1 }
    this.#sessions.set(node.id, session)
    this.#ask(node, { kind: 'open', cache: '', key: '' }, session, 1)
    return session
  }

  #ask(node: SimulatedNode, plan: CallPlan, session: Session | undefined, seq: number) {
    if (!node.awake) return undefined
    const { life } = node
    const name = session === undefined ? '' : `${session.id}${seq}`
    const asked: Asked = { ...plan, life, startedAt: this.#cluster.now(), name, reply: undefined }
    const id = ++this.#id
    this.#open.set(id, session === undefined ? { asked } : { asked, session })
    for (const watcher of this.watchers) watcher.onAsk?.(asked)
    OUT.reset()
    const lowest = Math.max(1, seq - LOWEST_BEHIND)
    const at = beginRequests(OUT, session && { id: session.id, lowest })
    const start = beginRequest(OUT, id, ackCode(plan.ack), session === undefined ? 0 : seq - lowest)
    writeCommand(OUT, makeCall(plan, node.id, '', seq, 0))
    endRequest(OUT, start)
    OUT.patchU16(at, 1)
    node.engine.request(OUT.copy(), frame => this.#onReplies(node.id, Uint8Array.from(frame)))
    return asked
  }

  #onReplies(from: PeerId, frame: Uint8Array): void {
    const reader = new Reader(frame)
    reader.u8()
    const epoch = reader.f64()
    const position = { epoch: readEpoch(reader), offset: reader.whole() - 1 }
    for (let count = reader.u16(); count > 0; count--) {
      const id = reader.u32()
      const reply = readReply(reader, from, epoch, position, this.#cluster.now())
      const open = this.#open.get(id)
      if (open === undefined) this.#cluster.fail('B9', `call ${id} was answered twice by ${from}`)
      this.#open.delete(id)
      this.#onReply(open.asked, open.session, reply)
    }
  }

  #onReply(asked: Asked, session: Session | undefined, reply: Reply): void {
    asked.reply = reply
    this.calls++
    this.#cluster.mix(reply.version || reply.code.length)
    if (reply.kind === 'written') {
      this.acked++
      this.#seen.set(`${asked.cache}/${asked.key}`, reply.version)
    }
    if (session !== undefined && asked.kind === 'open') session.open = reply.kind === 'written'
    if (reply.code === 'CLIENT_EXPIRED' && this.#sessions.get(reply.from) === session)
      this.#sessions.delete(reply.from)
    for (const watcher of this.watchers) watcher.onAnswer?.(asked, reply)
    const again = session !== undefined && asked.kind !== 'open' && reply.kind === 'written'
    if (again && this.#random.chance(this.#o.repeats)) this.#repeat(asked, session)
  }

  /** Said again within a second, at the same node or at another one. */
  #repeat(asked: Asked, session: Session): void {
    const { members } = this.#cluster
    const id = this.#random.chance(0.5) ? asked.life.node : this.#random.pick(members).id
    const seq = Number(asked.name.slice(16))
    this.#cluster.clock.after(this.#random.next() * 1_000, () => {
      if (session.seq - seq < LOWEST_BEHIND / 2)
        this.#ask(this.#cluster.node(id), planOf(asked), session, seq)
    })
  }

  #plan(): CallPlan {
    const random = this.#random
    const o = this.#o
    const cache = random.pick(o.caches)
    const key = `k${random.below(o.keys)}`
    if (random.chance(o.reads)) return { kind: 'get', cache, key }
    const ack = random.pick(o.acks)
    if (random.chance(o.clears / o.rate)) return { kind: 'clear', cache, key: '', ack }
    const dice = random.next()
    const condition = random.chance(o.conditions) ? this.#condition(cache, key) : {}
    const { ifVersion } = condition
    if (dice < 0.15) return { kind: 'delete', cache, key, ack, ifVersion }
    if (dice < 0.3) return { kind: 'touch', cache, key, ack, ifVersion, ...this.#life(cache) }
    const value = new Uint8Array(1 + random.below(o.valueBytesMax)).fill(random.below(256))
    return { kind: 'set', cache, key, ack, value, ...condition, ...this.#life(cache) }
  }

  #life(cache: string): { ttlMs?: number; idleMs?: number } {
    if (!cache.startsWith('mortal')) return {}
    const life = this.#random.pick([500, 3_000, 20_000])
    return this.#random.chance(0.5) ? { ttlMs: life } : { idleMs: life }
  }

  #condition(cache: string, key: string): { ifAbsent?: boolean; ifVersion?: number } {
    if (this.#random.chance(0.4)) return { ifAbsent: true }
    const known = this.#seen.get(`${cache}/${key}`)
    return known === undefined || known === 0 ? {} : { ifVersion: known }
  }
}

function planOf({ kind, cache, key, ack, value, ...rest }: Asked): CallPlan {
  const { ifVersion, ifAbsent, ttlMs, idleMs } = rest
  return { kind, cache, key, ack, value, ifVersion, ifAbsent, ttlMs, idleMs }
}
