/** Three nodes as processes on loopback: started, killed with SIGKILL, started again. */
import type { Member } from '../../contracts/types.js'
import type { Child, Children } from './children.js'
import { freePorts } from './ports.js'

export const DEMO_CLUSTER = 'demo'
const IDS = ['a', 'b', 'c']

export class DemoCluster {
  readonly members: readonly Member[]
  readonly #children: Children
  readonly #strategy: string
  readonly #nodes = new Map<string, Child>()

  constructor(children: Children, members: readonly Member[], strategy: string) {
    this.#children = children
    this.#strategy = strategy
    this.members = members
  }

  /** Picks free ports, or names at `broker`, and starts the nodes; resolves once all three are
   *  ready. */
  static async start(
    children: Children,
    scheme: string,
    strategy: string,
    broker?: string,
  ): Promise<DemoCluster> {
    const ports = await freePorts(IDS.length)
    const members = IDS.map((id, ordinal) => ({
      id,
      ordinal,
      address: broker === undefined ? `${scheme}://127.0.0.1:${ports[ordinal]}` : `${broker}/${id}`,
    }))
    const cluster = new DemoCluster(children, members, strategy)
    await Promise.all(members.map(member => cluster.#launch(member).ready()))
    return cluster
  }

  get servers(): string[] {
    return this.members.map(member => member.address)
  }

  /** The ids whose processes are gone. */
  get dead(): string[] {
    return this.members.map(member => member.id).filter(id => !this.#nodes.get(id)?.alive)
  }

  /** SIGKILL: no farewell, no flush. Returns its process id; resolves once it is gone. */
  async kill(id: string): Promise<number> {
    const node = this.#nodes.get(id)!
    node.kill('SIGKILL')
    await node.exited
    return node.pid
  }

  /** Starts `id` again, empty, as any memory-only node starts; resolves once it is ready. */
  async restart(id: string): Promise<void> {
    await this.#launch(this.members.find(member => member.id === id)!).ready()
  }

  #launch(self: Member): Child {
    const others = this.members
      .filter(member => member.id !== self.id)
      .flatMap(member => ['--member', `${member.id}=${member.ordinal}@${member.address}`])
    const child = this.#children.start(`node ${self.id}`, [
      'serve',
      ...['--cluster', DEMO_CLUSTER, '--id', self.id, '--ordinal', String(self.ordinal)],
      ...['--listen', self.address, ...others, '--log-level', 'warn'],
      ...['--strategy', this.#strategy],
      // Enough for three nodes, and sooner founded on a small machine.
      ...(this.#strategy === 'partitioned' ? ['--partitions', '64'] : []),
    ])
    this.#nodes.set(self.id, child)
    return child
  }
}
