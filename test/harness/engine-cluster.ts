/** Real engines and clients on a memory network under virtual time: what a process would be. */
import { type Client, type ClientOptions, connectWith } from '../../src/client/connect.js'
import type { StrategyFactory } from '../../src/contracts/strategy.js'
import type { GroupId } from '../../src/contracts/types.js'
import { type SeededRandom, seededRandom } from '../../src/core/prng.js'
import { SILENCE } from '../../src/core/silence.js'
import { Engine } from '../../src/engine/engine.js'
import type { GroupHost } from '../../src/engine/engine-options.js'
import { KeyValueStore } from '../../src/store/key-value.js'
import { MemoryLog } from '../../src/store/memory-log.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { type MasterSlaveMessage, masterSlave } from '../../strategies/master-slave/index.js'
import { MemoryNetwork } from '../../transports/memory.js'

export class EngineCluster {
  readonly clock = new VirtualClock()
  readonly random: SeededRandom
  readonly network: MemoryNetwork
  readonly members
  readonly engines = new Map<string, Engine>()
  readonly clients: Client[] = []
  /** Where the groups of each node lie that are not dropped, and those that were. */
  readonly hosts = new Map<string, Map<GroupId, GroupHost>>()
  #lives = 0

  constructor(
    ids: readonly string[],
    seed = 1,
    readonly strategy: StrategyFactory<MasterSlaveMessage> = masterSlave(),
  ) {
    this.random = seededRandom(seed)
    this.network = new MemoryNetwork({ clock: this.clock, random: this.random.fork() })
    this.members = ids.map((id, ordinal) => ({ id, ordinal, address: `memory://${id}` }))
  }

  get servers(): string[] {
    return this.members.map(member => member.address)
  }

  async start(id: string): Promise<Engine> {
    const { clock } = this
    const incarnation = (++this.#lives).toString(16).padStart(16, '0')
    const env = { self: id, cluster: 'test', clock, random: this.random.fork(), logger: SILENCE }
    const transport = this.network.transport()({ ...env, listen: `memory://${id}` })
    const hosts = new Map<GroupId, GroupHost>()
    this.hosts.set(id, hosts)
    const host = (group: GroupId): GroupHost => {
      const made = { log: new MemoryLog(), store: new KeyValueStore() }
      hosts.set(group, made)
      return made
    }
    const engine = new Engine({
      ...env,
      incarnation,
      members: [...this.members],
      transport,
      strategy: this.strategy as StrategyFactory,
      ...host(0),
      host,
      durability: 'memory',
      caches: {},
      autoCaches: true,
    })
    this.engines.set(id, engine)
    await this.run(engine.start())
    return engine
  }

  async startAll(): Promise<void> {
    for (const { id } of this.members) await this.start(id)
    await this.until(() => this.master() !== undefined)
  }

  /** The node that serves. */
  master(): string | undefined {
    for (const [id, engine] of this.engines)
      if (engine.standing.role === 'master' && engine.standing.serving) return id
    return undefined
  }

  crash(id: string): void {
    this.network.crash(id)
    this.engines.get(id)?.stop()
    this.engines.delete(id)
  }

  /** As crash(), and nobody is told: a machine without power. */
  vanish(id: string): void {
    this.network.blackout(id)
    this.engines.get(id)?.stop()
    this.engines.delete(id)
  }

  async connect(options: Partial<ClientOptions> = {}): Promise<Client> {
    const { clock } = this
    const world = { clock, random: this.random.fork() }
    const wanted = { cluster: 'test', servers: this.servers, ...options }
    const client = await this.run(connectWith(this.network.transport(), wanted, world))
    this.clients.push(client)
    return client
  }

  async close(): Promise<void> {
    for (const client of this.clients) await this.run(client.close())
    for (const engine of this.engines.values()) await this.run(engine.stop())
  }

  /** Runs virtual time until `promise` settles; fails after `msMax`. */
  async run<T>(promise: Promise<T>, msMax = 20_000): Promise<T> {
    let settled = false
    const mark = () => {
      settled = true
    }
    promise.then(mark, mark)
    await this.until(() => settled, msMax)
    return promise
  }

  async until(condition: () => boolean, msMax = 20_000): Promise<void> {
    const until = this.clock.now() + msMax
    for (;;) {
      await turn()
      if (condition()) return
      if (this.clock.now() > until || !this.clock.step())
        throw new Error(`not there at ${this.clock.now()} ms`)
    }
  }

  async pass(ms: number): Promise<void> {
    const until = this.clock.now() + ms
    do await turn()
    while (this.clock.step(until))
    this.clock.advance(until - this.clock.now())
    await turn()
  }
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
