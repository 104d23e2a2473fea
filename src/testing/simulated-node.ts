/**
 * One node of a simulated cluster: a place with an id, an address and a clock, in which process
 * lives begin and end. Each life is a whole production engine with a memory log and a store.
 */
import type { Logger } from '../contracts/environment.js'
import type { MergeFunction } from '../contracts/merge.js'
import type { CacheOptions, StateMachine, WholeRecord } from '../contracts/store.js'
import type { StrategyFactory } from '../contracts/strategy.js'
import type { TransportFactory } from '../contracts/transport.js'
import type { Epoch, GroupId, Member } from '../contracts/types.js'
import type { SeededRandom } from '../core/prng.js'
import { Engine } from '../engine/engine.js'
import type { GroupHost } from '../engine/engine-options.js'
import { type States, statesOf } from '../states.js'
import type { MemoryLog } from '../store/memory-log.js'
import type { StampedStore } from '../store/stamped.js'
import type { LiveNode } from './checkers/checker.js'
import { Echoes, type EchoRate } from './echoes.js'
import { Gate, GatedTransport, NodeClock, type NodeClockOptions } from './gate.js'
import { Life } from './life.js'
import type { LogPoint } from './lineage.js'
import { ObservedLog, ObservedStore, observeStrategy, type StrategyWatcher } from './observed.js'
import type { VirtualClock } from './virtual-clock.js'

export interface NodeHooks extends Omit<StrategyWatcher, 'onInput'> {
  onInput(kind: string, ids: readonly number[] | undefined): void
  onAppend: ConstructorParameters<typeof ObservedLog>[1]['onAppend']
  onTruncate: ConstructorParameters<typeof ObservedLog>[1]['onTruncate']
  onReset: ConstructorParameters<typeof ObservedLog>[1]['onReset']
  onResult: ConstructorParameters<typeof ObservedStore>[1]['onResult']
  onInstall: Required<ConstructorParameters<typeof ObservedStore>[1]>['onInstall']
  onReport(event: string, fields: Record<string, unknown>): void
  onFatal(error: unknown): void
  onWoken(stoppedMs: number, led: Epoch | undefined): void
}

export interface NodeEnv {
  readonly cluster: string
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly transport: TransportFactory
  readonly strategy: StrategyFactory
  readonly caches: Readonly<Record<string, CacheOptions>>
  readonly backlogBytesMax: number
  readonly backlogEntriesMax: number
  readonly sliceBytesMax: number
  readonly snapshotPendingBytesMax: number
  /** How likely a frame of an ended session is heard again. */
  readonly staleChance: number
  readonly echoes: EchoRate
  readonly onMerge: MergeFunction | undefined
  readonly logger: Logger
  readonly root: LogPoint
  hooks(life: Life): NodeHooks
  onTrace?: ((node: string, line: string) => void) | undefined
}

const AMNESIAC: readonly string[] = ['empty', 'copying', 'learner']

export class SimulatedNode implements LiveNode {
  readonly member: Member
  /** Of the running life, or of the last one. */
  life!: Life
  engine!: Engine
  running = false
  paused = false
  readonly #env: NodeEnv
  /** Its configuration, from its next start on. */
  members: readonly Member[]
  readonly #clockOptions: NodeClockOptions
  #wallJumpedMs = 0
  #wallSetMs: number | undefined
  /** What a witness has on disk; whoever changes it while no process runs, plays with its file. */
  note: Uint8Array | undefined
  #gate = new Gate()
  #hooks!: NodeHooks
  /** When it was stopped, and what it led then. */
  #stop: { readonly at: number; readonly led: Epoch | undefined } | undefined
  #clock: NodeClock | undefined
  #log!: MemoryLog
  #store!: StateMachine
  #states!: States
  /** Where the groups of the running life lie that are not dropped. */
  hosts = new Map<GroupId, { readonly log: MemoryLog; readonly store: StateMachine }>()

  /** `members`: its configuration. */
  constructor(env: NodeEnv, member: Member, members: readonly Member[], clock: NodeClockOptions) {
    this.#env = env
    this.members = members
    this.member = member
    this.#clockOptions = clock
  }

  get id(): string {
    return this.member.id
  }

  /** A process starts here, without data. */
  start(): void {
    const env = this.#env
    const { random } = env
    let incarnation = ''
    while (incarnation.length < 16) incarnation += random.below(16).toString(16)
    this.life = new Life(this.id, this.member.ordinal, incarnation, env.clock.now(), env.root)
    const hooks = env.hooks(this.life)
    this.#gate = new Gate()
    this.#hooks = hooks
    this.#stop = undefined
    if (env.staleChance > 0)
      this.#gate.stale = { chance: env.staleChance, random: env.random.fork() }
    if (env.echoes.chance > 0) this.#gate.echoes = new Echoes(env.echoes, env.random.fork())
    const wallOffsetMs = (this.#clockOptions.wallOffsetMs ?? 0) + this.#wallJumpedMs
    this.#clock = new NodeClock(env.clock, this.#gate, { ...this.#clockOptions, wallOffsetMs })
    if (this.#wallSetMs !== undefined) this.#clock.setWall(this.#wallSetMs)
    const { cluster } = env
    this.#states = statesOf(env.strategy, { ...env, self: this.id, cluster, members: this.members })
    this.#log = this.#states.log
    this.#store = this.#states.store
    this.hosts = new Map()
    this.running = true
    this.paused = false
    this.engine = this.#makeEngine(incarnation, hooks)
    this.engine.events.on('fatal', error => hooks.onFatal(error))
    void this.engine.start()
  }

  #makeEngine(incarnation: string, hooks: NodeHooks): Engine {
    const env = this.#env
    const { id } = this
    const clock = this.#clock as NodeClock
    const { cluster, logger, caches, onMerge } = env
    const transport = env.transport({
      self: id,
      cluster,
      listen: this.member.address,
      admit: peer => this.engine.refusalOf(peer),
      clock,
      random: env.random.fork(),
      logger,
    })
    const strategy = observeStrategy(env.strategy, () => ({
      ...hooks,
      onDropped: group => {
        this.hosts.delete(group)
        hooks.onDropped?.(group)
      },
      onInput: input =>
        hooks.onInput(
          input.kind,
          input.kind === 'propose' ? input.proposals.map(one => one.id) : undefined,
        ),
    }))
    const { onTrace } = env
    return new Engine({
      self: id,
      cluster,
      incarnation,
      members: this.members,
      transport: new GatedTransport(transport, this.#gate),
      strategy,
      ...this.#host(0, this.#log, this.#store, hooks),
      host: (group, partitions) => {
        const { log, store } = this.#states.host(group, partitions)
        return this.#host(group, log, store, hooks)
      },
      stamped: this.#states.stamped,
      durability: 'memory',
      clock,
      random: env.random.fork(),
      logger,
      caches,
      autoCaches: true,
      notes: {
        last: this.note,
        save: note => {
          this.note = note
        },
      },
      onMerge,
      ...(onTrace === undefined ? {} : { onTrace: line => onTrace(id, line) }),
    })
  }

  /** Where `group` lies, watched. */
  #host(group: GroupId, log: MemoryLog, store: StateMachine, hooks: NodeHooks): GroupHost {
    this.hosts.set(group, { log, store })
    return {
      log: new ObservedLog(log, hooks, group),
      store: new ObservedStore(store, hooks, this.#env.sliceBytesMax, group),
    }
  }

  /** The process is gone at once; the caller tells the network. */
  end(): void {
    this.running = false
    this.paused = false
    this.#gate.die()
    void this.engine.stop()
  }

  /** The process stands still and gives its place to another one; undone by what is returned, once
   *  no other one runs here. */
  putAside(): () => void {
    this.pause()
    const { life, engine } = this
    const [gate, clock, log, store] = [this.#gate, this.#clock, this.#log, this.#store]
    const [states, hosts] = [this.#states, this.hosts]
    const [hooks, stop] = [this.#hooks, this.#stop]
    this.running = false
    this.paused = false
    return () => {
      this.life = life
      this.engine = engine
      this.#gate = gate
      this.#clock = clock
      this.#log = log
      this.#store = store
      this.#states = states
      this.hosts = hosts
      this.#hooks = hooks
      this.#stop = stop
      this.running = true
      this.resume()
    }
  }

  pause(): void {
    this.paused = true
    this.#gate.shut = true
    this.#stop = { at: this.#env.clock.now(), led: this.life.leads }
  }

  resume(): void {
    this.paused = false
    this.#gate.open()
    const stop = this.#stop
    this.#stop = undefined
    if (stop !== undefined) this.#hooks.onWoken(this.#env.clock.now() - stop.at, stop.led)
  }

  jumpWall(ms: number): void {
    this.#wallJumpedMs += ms
    this.#clock?.jumpWall(ms)
  }

  /** From now on its wall clock is right but for `offsetMs`, whatever was done to it. */
  setWall(offsetMs: number): void {
    this.#wallSetMs = offsetMs
    this.#clock?.setWall(offsetMs)
  }

  /** Its wall clock, ms since 1970. */
  wall(): number {
    return this.#clock?.wall() ?? 0
  }

  /** By its own clock, that of ticks. */
  ownNow(): number {
    return this.#clock?.now() ?? 0
  }

  /** Runs `task` in its process: now, or once it wakes; never if it dies before. */
  deliver(task: () => void): void {
    if (this.#gate.holds) this.#gate.later(task)
    else if (this.running) task()
  }

  get awake(): boolean {
    return this.running && !this.paused
  }

  /** It runs, remembers what it acked and promised, and may vote. */
  get votes(): boolean {
    return this.running && !this.life.replaced && !this.forgets
  }

  /** It says of itself that it does not vote. */
  get forgets(): boolean {
    return AMNESIAC.includes(this.status().self.state)
  }

  acts(): boolean {
    const { role, serving } = this.engine.standing
    return this.awake && role === 'master' && serving
  }

  digest(): string {
    return this.#store.digest()
  }

  applied(): number {
    return this.#store.applied
  }

  status() {
    return this.engine.status()
  }

  clusterTime(): number {
    return this.engine.time()
  }

  backlog(): { bytes: number; entries: number } {
    return { bytes: this.#log.bytes, entries: this.#log.next - this.#log.first }
  }

  /** Of a strategy whose records are stamped: what of them a checker may ask. */
  get stamped(): StampedStore | undefined {
    return this.#states.stamped
  }

  /** Idempotency windows in the state. */
  windows(): number {
    return this.#store.stats().windows
  }

  /** As it lies in the store. */
  record(cache: string, key: string): WholeRecord | undefined {
    return this.#store.peek(cache, key)
  }

  version(cache: string, key: string): number | undefined {
    return this.#store.get(cache, key, 0)?.version
  }
}
