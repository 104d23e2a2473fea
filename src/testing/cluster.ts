/**
 * N nodes on a simulated network under virtual time, with everything that may befall them: crashes,
 * pauses, splits, bad clocks. Every fault is written into the disturbances, every fact reaches the
 * checkers, and nothing here waits for a promise, so a seed replays bit for bit.
 */

import { MemoryNetwork } from '../../transports/memory.js'
import { LIMITS } from '../config.js'
import type { MergeFunction } from '../contracts/merge.js'
import type { CacheOptions } from '../contracts/store.js'
import type { Standing, StrategyFactory } from '../contracts/strategy.js'
import type { Batch, Member, Offset, PeerId } from '../contracts/types.js'
import { compareEpochs } from '../core/epochs.js'
import type { SeededRandom } from '../core/prng.js'
import { SILENCE } from '../core/silence.js'
import { viewOf } from '../wire/view.js'
import { committedMembers, newestView } from './changes.js'
import type { Checker, World } from './checkers/checker.js'
import { Disturbances, HARMLESS_STOP_MS } from './disturbances.js'
import type { EchoRate } from './echoes.js'
import type { NodeClockOptions } from './gate.js'
import type { Life } from './life.js'
import { Lineage, type LogPoint } from './lineage.js'
import { type Listeners, listenersAmong, toldAsIs } from './listeners.js'
import type { Call } from './simulated-client.js'
import { type NodeEnv, type NodeHooks, SimulatedNode } from './simulated-node.js'
import { Violation } from './violation.js'
import { VirtualClock } from './virtual-clock.js'

export interface SimulatedClusterOptions {
  /** 1..26; node ids are a, b, c ... and ordinals 0, 1, 2 ... */
  nodes: number
  /** One more member, w, that votes and holds no data. */
  witness?: boolean
  random: SeededRandom
  strategy: StrategyFactory
  caches?: Readonly<Record<string, CacheOptions>>
  backlogBytesMax?: number
  backlogEntriesMax?: number
  /** Bytes of one slice of a copy. */
  sliceBytesMax?: number
  /** Bytes that first touch may hold. */
  snapshotPendingBytesMax?: number
  /** How likely a frame of an ended session is heard again (law S4); 0 unless told. */
  staleChance?: number
  /** How likely a frame of the same session is heard once more, late; 0 unless told. */
  echoChance?: number
  /** Of every node; default: the newest value wins. */
  onMerge?: MergeFunction
  /** In the order of the nodes. */
  clocks?: readonly NodeClockOptions[]
  onTrace?: (node: PeerId, line: string) => void
  /** Listens in on what the hooks of a life are told; of all groups. */
  around?: (life: Life, hooks: NodeHooks) => NodeHooks
}

const TICK_MS = 100
export const CLUSTER = 'simulation'

export class SimulatedCluster implements World {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly network: MemoryNetwork
  readonly lineage = new Lineage()
  readonly disturbances = new Disturbances()
  /** Who may run: the configured ones, and who was added. */
  readonly members: Member[]
  /** Data nodes. */
  readonly nodes: number
  readonly checkers: Checker[] = []
  readonly echoes: EchoRate
  /** The first broken law; run() throws it. */
  violation: Violation | undefined
  /** Of all that happened, in order: equal for equal seeds. */
  traceHash = 0
  events = 0
  readonly #nodes: SimulatedNode[]
  readonly #byId = new Map<PeerId, SimulatedNode>()
  #listeners: Listeners = listenersAmong([])
  /** Checkers that #listeners knows. */
  #known = 0
  readonly #env: NodeEnv
  readonly #lives: Life[] = []
  readonly #resumes = new Map<PeerId, (end: number) => void>()
  /** Somebody has joined or left. */
  #changed = false
  readonly #cuts = new Map<string, (end: number) => void>()
  /** Cuts both ways, since when. */
  readonly #apartSince = new Map<string, number>()
  #votersMin: number

  constructor(options: SimulatedClusterOptions) {
    this.random = options.random
    const { clock } = this
    this.network = new MemoryNetwork({ clock, random: options.random.fork() })
    const members: Member[] = Array.from({ length: options.nodes }, (_, ordinal) => {
      const id = String.fromCharCode(97 + ordinal)
      return { id, ordinal, address: `memory://${id}` }
    })
    if (options.witness)
      members.push({ id: 'w', ordinal: 255, address: 'memory://w', witness: true })
    this.members = members
    this.nodes = options.nodes
    this.#votersMin = options.nodes
    const founders = [...members]
    this.echoes = { chance: options.echoChance ?? 0 }
    this.#env = {
      cluster: CLUSTER,
      clock,
      random: options.random,
      transport: this.network.transport(),
      strategy: options.strategy,
      caches: options.caches ?? {},
      backlogBytesMax: options.backlogBytesMax ?? LIMITS.backlogBytesMax,
      backlogEntriesMax: options.backlogEntriesMax ?? LIMITS.backlogEntriesMax,
      sliceBytesMax: options.sliceBytesMax ?? LIMITS.snapshotSliceBytes,
      snapshotPendingBytesMax: options.snapshotPendingBytesMax ?? LIMITS.snapshotPendingBytesMax,
      onMerge: options.onMerge,
      staleChance: options.staleChance ?? 0,
      echoes: this.echoes,
      logger: SILENCE,
      root: this.lineage.root,
      hooks: (life: Life) => options.around?.(life, this.#hooks(life)) ?? this.#hooks(life),
      onTrace: options.onTrace,
    }
    this.#nodes = this.members.map(
      (member, i) => new SimulatedNode(this.#env, member, founders, options.clocks?.[i] ?? {}),
    )
    for (const node of this.#nodes) this.#byId.set(node.id, node)
    this.#tick()
  }

  /** One more node, which nobody knows yet and which is configured with `members` and itself. */
  add(member: Omit<Member, 'address'>, members: readonly Member[] = this.members): Member {
    const whole = { ...member, address: `memory://${member.id}` }
    const node = new SimulatedNode(this.#env, whole, [...members, whole], {})
    this.#nodes.push(node)
    this.#byId.set(node.id, node)
    this.members.push(whole)
    return whole
  }

  now(): number {
    return this.clock.now()
  }

  /** The checkers, by what they listen to. */
  get listeners(): Listeners {
    if (this.checkers.length !== this.#known) {
      this.#known = this.checkers.length
      this.#listeners = listenersAmong(this.checkers)
    }
    return this.#listeners
  }

  live(): readonly SimulatedNode[] {
    return this.#nodes.filter(node => node.running)
  }

  /** Members that do not run. */
  down(): readonly Member[] {
    return this.members.filter(({ id }) => !this.node(id).running)
  }

  lives(): readonly Life[] {
    return this.#lives
  }

  belongs(id: PeerId): boolean {
    if (!this.#changed) return true
    const newest = newestView(this.live())
    if (newest === undefined) return true
    if (newest.profile === 'strict')
      return committedMembers(this.live(), this.members.slice(0, this.nodes)).some(
        one => one.id === id,
      )
    return newest.members.some(member => member.id === id && member.state !== 'left')
  }

  apartMs(a: PeerId, b: PeerId): number {
    const cutAt = this.#apartSince.get(a < b ? `${a}|${b}` : `${b}|${a}`)
    const goneAt = this.node(b).running ? undefined : (this.node(b).life?.endedAt ?? 0)
    const since = Math.min(cutAt ?? Number.POSITIVE_INFINITY, goneAt ?? Number.POSITIVE_INFINITY)
    return Math.max(0, this.now() - since)
  }

  votersMin(): number {
    return this.#votersMin
  }

  node(id: PeerId): SimulatedNode {
    const node = this.#byId.get(id)
    if (node === undefined) throw new RangeError(`no node ${id}`)
    return node
  }

  fail(law: string, fact: string): never {
    this.violation ??= new Violation(law, fact, this.now())
    throw this.violation
  }

  /** Lets `ms` of virtual time pass. Throws the first violation. */
  run(ms: number): void {
    const until = this.now() + ms
    while (this.violation === undefined && this.clock.step(until)) this.events++
    if (this.violation !== undefined) throw this.violation
    this.clock.advance(until - this.now())
  }

  /** As run(), until `condition` holds; false if it did not within `msMax`. */
  runUntil(condition: () => boolean, msMax: number): boolean {
    const until = this.now() + msMax
    while (!condition()) {
      if (this.now() >= until) return false
      this.run(Math.min(10, until - this.now()))
    }
    return true
  }

  start(id: PeerId): void {
    const node = this.node(id)
    if (node.running) return
    this.disturbances.at(id, this.now())(this.now())
    node.start()
  }

  startAll(): void {
    for (const { id } of this.members) this.start(id)
  }

  /** The process dies, its memory with it. 'power': nobody is told; 'kill': links are reset. */
  crash(id: PeerId, how: 'kill' | 'power' = 'kill'): void {
    const node = this.node(id)
    if (!node.running) return
    this.#resumes.delete(id)
    // First the network, or the dying process would say goodbye.
    if (how === 'kill') this.network.crash(id)
    else this.network.blackout(id)
    node.end()
    const { life } = node
    life.notePeak()
    life.endedAt = this.now()
    life.leads = undefined
    for (const checker of this.listeners.onEnd) checker.onEnd(life)
  }

  /** As crash(), but the process only stands still; what is returned wakes it in its old place,
   *  once another one has voted there and runs no more. */
  putAside(id: PeerId): () => void {
    const node = this.node(id)
    this.#resumes.delete(id)
    const wakeNode = node.putAside()
    const wakeLinks = this.network.suspend(id)
    const { life } = node
    life.notePeak()
    life.endedAt = this.now()
    const disturbed = this.disturbances.at(id, this.now())
    return () => {
      disturbed(this.now())
      life.endedAt = undefined
      life.replaced = true
      life.voted = false
      wakeLinks()
      wakeNode()
    }
  }

  /** SIGSTOP. Its links stay up and its frames wait. */
  pause(id: PeerId): void {
    const node = this.node(id)
    if (!node.awake) return
    node.pause()
    this.#resumes.set(id, this.disturbances.at(id, this.now()))
  }

  resume(id: PeerId): void {
    const node = this.node(id)
    if (!node.paused) return
    this.#resumes.get(id)?.(this.now())
    this.#resumes.delete(id)
    node.resume()
  }

  /** The event loop of `id` is busy for `ms`. */
  stall(id: PeerId, ms: number): void {
    const node = this.node(id)
    if (!node.awake) return
    const { life } = node
    node.pause()
    const end = ms > HARMLESS_STOP_MS ? this.disturbances.at(id, this.now()) : undefined
    this.clock.after(ms, () => {
      end?.(this.now())
      if (life.alive && !this.#resumes.has(id)) node.resume()
    })
  }

  /** No frame passes from `a` to `b`; nor back, unless `oneWay`. */
  cut(a: PeerId, b: PeerId, oneWay = false): void {
    const key = a < b ? `${a}|${b}` : `${b}|${a}`
    if (!this.#cuts.has(key)) this.#cuts.set(key, this.disturbances.between(a, b, this.now()))
    if (!oneWay && !this.#apartSince.has(key)) this.#apartSince.set(key, this.now())
    this.network.cut(a, b, { oneWay })
  }

  mend(a: PeerId, b: PeerId): void {
    const key = a < b ? `${a}|${b}` : `${b}|${a}`
    this.#cuts.get(key)?.(this.now())
    this.#cuts.delete(key)
    this.#apartSince.delete(key)
    this.network.mend(a, b)
  }

  mendAll(): void {
    for (const end of this.#cuts.values()) end(this.now())
    this.#cuts.clear()
    this.#apartSince.clear()
    this.network.mendAll()
  }

  /** Every node of `side` loses every other. */
  split(side: readonly PeerId[], oneWay = false): void {
    for (const { id } of this.members)
      if (!side.includes(id)) for (const other of side) this.cut(other, id, oneWay)
  }

  reset(a: PeerId, b: PeerId): void {
    this.disturbances.between(a, b, this.now())(this.now())
    this.network.reset(a, b)
  }

  clog(a: PeerId, b: PeerId, ms: number): void {
    this.disturbances.between(a, b, this.now())(this.now() + ms)
    this.network.clog(a, b, ms)
  }

  /** The serving master of the highest epoch, if any. */
  master(): SimulatedNode | undefined {
    let best: SimulatedNode | undefined
    for (const node of this.live()) {
      const { role, serving, epoch } = node.engine.standing
      if (role !== 'master' || !serving || node.paused) continue
      if (best === undefined || compareEpochs(epoch, best.engine.standing.epoch) > 0) best = node
    }
    return best
  }

  /** True if all that run have one log, one state, and a serving master. */
  converged(ids: readonly PeerId[]): boolean {
    const nodes = this.live().filter(node => ids.includes(node.id) && !node.member.witness)
    const tip = nodes[0]?.life.tip
    return (
      nodes.length > 0 &&
      nodes.every(({ life }) => life.tip === tip && !life.copying) &&
      nodes.some(node => node.engine.standing.role === 'master' && node.engine.standing.serving)
    )
  }

  /** True if every node says of itself that it is in order. */
  settled(): boolean {
    return this.live().every(node => node.status().self.state === 'online' && !node.life.copying)
  }

  /** A client's call is over. */
  callEnded(call: Call): void {
    for (const life of this.#lives) if (life.alive) this.#refresh(life)
    this.mix(call.reply?.offset ?? 1)
    this.mix(call.reply?.version ?? 1)
    for (const checker of this.listeners.onCallEnd) checker.onCallEnd(call)
  }

  mix(value: number): void {
    this.traceHash = Math.imul(this.traceHash ^ value, 0x01000193) >>> 0
  }

  #tick(): void {
    this.clock.after(TICK_MS, () => {
      for (const node of this.live()) node.life.voted ||= node.votes
      for (const checker of this.listeners.onTick) checker.onTick()
      this.#tick()
    })
  }

  /** A life and its lineage are group 0's: of other groups only the trace hash takes notice. */
  #hooks(life: Life): NodeHooks {
    this.#lives.push(life)
    for (const checker of this.listeners.onStart) checker.onStart(life)
    let promoted: Standing['epoch'] | undefined
    return {
      onInput: (kind, ids) => {
        this.#refresh(life)
        this.mix(kind.length * 31 + life.ordinal)
        this.mix(Math.round(this.now() * 1_000))
        for (const checker of this.listeners.onInput) checker.onInput(life)
        if (ids === undefined) return
        const real = ids.filter(id => id >= 0)
        for (const checker of this.listeners.onPropose) checker.onPropose(life, real)
      },
      // Its own step may have ended a copy, and others act on what it says of it at once.
      onStepped: () => this.#refresh(life),
      onEffect: name => this.mix(name.length),
      onPersist: (epoch, group) => {
        if (group !== 0) return
        for (const checker of this.listeners.onPersist) checker.onPersist(life, epoch)
        life.promised = { epoch, at: this.now() }
      },
      onSettle: (id, receipt) => {
        this.mix(receipt.offset)
        for (const checker of this.listeners.onSettle) checker.onSettle(life, id, receipt)
      },
      onBecome: (standing, group) => {
        this.mix(standing.epoch.number)
        if (group === 0) this.#onBecome(life, standing)
      },
      onAppend: (batch, group) => {
        this.mix(batch.crc)
        if (group !== 0) {
          for (const checker of this.listeners.onOtherAppend)
            checker.onOtherAppend(life, batch, group)
          return
        }
        const before = life.tip
        this.#noteView(batch)
        life.tip = this.lineage.extend(before, batch)
        for (const checker of this.listeners.onAppend) checker.onAppend(life, batch, before)
        const leads = life.leads
        if (leads === undefined || compareEpochs(batch.epoch, leads) !== 0) return
        if (promoted !== undefined && compareEpochs(promoted, leads) === 0) return
        promoted = leads
        for (const checker of this.listeners.onPromotion) checker.onPromotion(life, leads, before)
      },
      onTruncate: (from, group) => {
        if (group === 0) this.#shrink(life, this.lineage.ancestorAt(life.tip, from), `${from}`)
      },
      onReset: (at, crc, group) => {
        if (group === 0) this.#onReset(life, at, crc)
      },
      onResult: (offset, outcome, version, group) => {
        if (group !== 0) return
        for (const checker of this.listeners.onResult)
          checker.onResult(life, offset, outcome, version)
      },
      ...toldAsIs(life, this),
      onFatal: error => {
        if (this.violation === undefined)
          this.violation = new Violation('INTERNAL', `${life} stopped: ${error}`, this.now())
      },
    }
  }

  #onBecome(life: Life, standing: Standing): void {
    for (const checker of this.listeners.onBecome) checker.onBecome(life, standing)
    life.standing = standing
    life.leads = standing.role === 'master' ? standing.epoch : undefined
  }

  #onReset(life: Life, at: Offset, crc: number): void {
    this.#shrink(life, this.lineage.find(at, crc), `${at}`)
    life.copying = at > 1
    life.copiedHistory = this.node(life.node).status().history
  }

  #noteView(batch: Batch): void {
    const view = viewOf(batch)
    if (view === undefined) return
    this.#changed = true
    const voters = view.members.filter(({ learner, witness }) => !learner && !witness)
    this.#votersMin = Math.min(this.#votersMin, voters.length)
  }

  #shrink(life: Life, to: LogPoint | undefined, where: string): void {
    if (to === undefined) this.fail('I2', `${life} cut its log at ${where}, which no log had`)
    const before = life.tip
    life.notePeak()
    life.tip = to
    // What it was still copying was never whole, so nothing can be missed.
    if (life.copying) return
    for (const checker of this.listeners.onDrop) checker.onDrop(life, before)
  }

  /** A copy that is complete counts from now on; who knows that it is replaced may be admitted. */
  #refresh(life: Life): void {
    if (life.replaced) life.replaced = !this.node(life.node).forgets
    if (!life.copying) return
    // One that gives half a copy up says so, and may begin a history of its own, before its log is
    // cut (ordinal, seeds 150 and 459).
    const { self, history } = this.node(life.node).status()
    if (self.state !== 'copying' && history === life.copiedHistory) life.copying = false
  }
}
