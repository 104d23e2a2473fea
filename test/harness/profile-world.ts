/** A simulated cluster of one profile for scenarios, three seconds old, with a client. */
import { seededRandom } from '../../src/core/prng.js'
import { SimulatedCluster, type SimulatedClusterOptions } from '../../src/testing/cluster.js'
import type { SimulatedNode } from '../../src/testing/simulated-node.js'
import type { VirtualClock } from '../../src/testing/virtual-clock.js'
import { type MasterSlaveOptions, masterSlave } from '../../strategies/master-slave/index.js'
import { Asker } from './asker.js'

export const MAJORITY: MasterSlaveOptions = { profile: 'majority' }

export class World extends Asker {
  /** `options`: or what makes them, given the cluster's clock. `oldMs` 0: nobody has begun yet. */
  constructor(
    nodes: number,
    options: MasterSlaveOptions | ((clock: () => VirtualClock) => MasterSlaveOptions),
    witness = false,
    more: Partial<SimulatedClusterOptions> = {},
    oldMs = 3_000,
  ) {
    const clock = () => cluster.clock
    const strategy = masterSlave(typeof options === 'function' ? options(clock) : options) as never
    const random = seededRandom(1)
    const cluster: SimulatedCluster = new SimulatedCluster({
      ...{ nodes, random, strategy, witness },
      ...more,
    })
    super(cluster)
    this.cluster.startAll()
    if (oldMs > 0) this.cluster.run(oldMs)
  }

  others(): SimulatedNode[] {
    const { master } = this
    return this.cluster.live().filter(node => node !== master && !node.member.witness)
  }

  state(id: string): string {
    return this.cluster.node(id).status().self.state
  }

  /** Goes on in steps of 0.1 ms until `condition` holds. Throws after 5 s. */
  watch(condition: () => boolean): void {
    for (let tenths = 0; !condition(); tenths++) {
      if (tenths === 50_000) throw new Error('it did not come to it within 5 s')
      this.cluster.run(0.1)
    }
  }
}
