/**
 * Two or three nodes that dial, hang up, crash and are cut off from each other at random, each
 * dialling again whenever it is down. When the faults stop, one link a pair must be left.
 *
 *   a   dial ... lost ... dial ...... | quiet: hang up where nothing is heard, dial where down
 *   b   ... dial .... drop ... dial . | -> one link, up on both sides, and it stays
 */
import type { BenchNode, Happening } from '../../src/testing/transport-bench.js'
import { simulated } from './networks.js'

const IDS = ['a', 'b', 'c']

export class LinkChaos {
  readonly #world: ReturnType<typeof simulated>
  readonly #ids: string[]
  readonly #nodes = new Map<string, BenchNode>()

  constructor(seed: number) {
    this.#world = simulated(seed, {
      latencyMsMin: 0.1,
      latencyMsMax: [0.2, 2, 40][seed % 3],
      split: 0.3,
      reorder: 0.2,
      loss: seed % 2 === 0 ? 0.02 : 0,
    })
    this.#ids = IDS.slice(0, 2 + (seed % 2))
  }

  /** What is wrong after it: nothing, if all is well. */
  async run(): Promise<string[]> {
    const { clock, network, bench } = this.#world
    for (const id of this.#ids) await this.#start(id)
    for (let i = 0; i < 25; i++) await this.#disturb()
    network.mendAll()
    network.setFaults({ loss: 0 })
    let rounds = 0
    while (!this.#talk()) if (rounds++ === 40) return [...bench.violations, 'they do not talk']
    const before = this.trace()
    clock.advance(10_000)
    const down = this.#links().filter(([node, id]) => !node.isUp(id))
    return [
      ...bench.violations,
      ...(this.trace() === before ? [] : ['links come and go']),
      ...down.map(([node, id]) => `${node.id} has no link with ${id}`),
    ]
  }

  /** All that the nodes of the end have heard. */
  trace(): string {
    return [...this.#nodes.values()]
      .flatMap(node => node.happenings.map(it => `${node.id} ${it.kind} ${it.peer} ${it.session}`))
      .join('\n')
  }

  async #start(id: string): Promise<void> {
    const { clock, random, bench } = this.#world
    const on = (it: Happening, node: BenchNode) => {
      if (it.kind === 'down') clock.after(random.next() * 30, () => dial(node, it.peer))
    }
    this.#nodes.set(id, await bench.started(id, { on }))
    for (const [node, peer] of this.#links()) clock.after(random.next() * 3, () => dial(node, peer))
  }

  /** One random event. */
  async #disturb(): Promise<void> {
    const { clock, random, network } = this.#world
    clock.advance(random.next() * (random.chance(0.1) ? 3_000 : 60))
    const [one, other] = random.chance(0.5) ? ['a', 'b'] : ['b', 'a']
    const node = this.#nodes.get(one) as BenchNode
    const restart = async (end: (id: string) => void) => {
      node.stopped = true
      end(one)
      await this.#start(one)
    }
    const events = [
      () => node.disconnect(other),
      () => network.reset(one, other),
      () => network.cut(one, other, { oneWay: random.chance(0.5) }),
      () => network.mendAll(),
      () => network.clog(one, other, random.next() * 300),
      () => dial(node, other),
      () => node.send(other, Buffer.from('x')),
      () => restart(id => network.crash(id)),
      () => restart(id => network.blackout(id)),
    ]
    await random.pick<() => unknown>(events)()
  }

  /** All say something; who hears nothing hangs up, as engines do. True if all were heard. */
  #talk(): boolean {
    const { clock } = this.#world
    clock.advance(5_000)
    const before = new Map([...this.#nodes.values()].map(node => [node, node.happenings.length]))
    for (const [node, id] of this.#links()) node.send(id, Buffer.from(node.id))
    clock.advance(1_000)
    const deaf = this.#links().filter(
      ([node, id]) =>
        !node.happenings.slice(before.get(node)).some(it => it.kind === 'frame' && it.peer === id),
    )
    for (const [node, id] of deaf) if (node.isUp(id)) node.disconnect(id)
    return deaf.length === 0
  }

  #links(): [BenchNode, string][] {
    return [...this.#nodes.values()].flatMap(node =>
      this.#ids.filter(id => id !== node.id).map((id): [BenchNode, string] => [node, id]),
    )
  }
}

function dial(node: BenchNode, peer: string): void {
  if (!node.stopped) node.connect(peer, `memory://${peer}`)
}
