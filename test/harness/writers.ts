/** A simulated cluster of strategy broadcast, in which any node is asked to write and to read. */
import { expect } from 'vitest'
import { seededRandom } from '../../src/core/prng.js'
import { SimulatedCluster, type SimulatedClusterOptions } from '../../src/testing/cluster.js'
import {
  OP,
  type SetFields,
  writeDelete,
  writePlain,
  writeSet,
  writeTouch,
} from '../../src/wire/command.js'
import type { Window } from '../../src/wire/requests.js'
import { type BroadcastOptions, broadcast } from '../../strategies/broadcast/index.js'
import { ask, type How } from './ask.js'
import type { Ask } from './master.js'

export interface Report {
  readonly node: string
  readonly event: string
  readonly fields: Record<string, unknown>
}

export class Writers {
  readonly cluster: SimulatedCluster
  readonly reports: Report[] = []
  /** By call: 'ok', the code of an error, or nothing yet. */
  readonly answers = new Map<number, string>()
  #calls = 0

  constructor(
    nodes: number,
    options: BroadcastOptions = {},
    world: Partial<SimulatedClusterOptions> = {},
  ) {
    const strategy = broadcast(options) as never
    this.cluster = new SimulatedCluster({ nodes, random: seededRandom(3), strategy, ...world })
    for (const { id } of this.cluster.members) this.start(id)
    this.run(6_000)
  }

  start(node: string): void {
    this.cluster.start(node)
    const { events } = this.cluster.node(node).engine
    events.on('report', (event, fields) => this.reports.push({ node, event, fields }))
  }

  run(ms: number): void {
    this.cluster.run(ms)
  }

  set(id: string, key: string, text: string, fields: SetFields = {}, how: How = {}): number {
    return this.#ask(id, how, out => writeSet(out, 'c', key, Buffer.from(text), fields))
  }

  delete(id: string, key: string): number {
    return this.#ask(id, {}, out => writeDelete(out, 'c', key, {}))
  }

  touch(id: string, key: string, fields: SetFields): number {
    return this.#ask(id, {}, out => writeTouch(out, 'c', key, fields))
  }

  clear(id: string): number {
    return this.#ask(id, {}, out => writePlain(out, OP.clear, 'c', ''))
  }

  openWindow(id: string, window: Window): number {
    return this.#ask(id, { window }, out => writePlain(out, OP.openWindow, '', ''))
  }

  answer(call: number): string | undefined {
    return this.answers.get(call)
  }

  /** What readers at `id` get; undefined: nothing. */
  read(id: string, key: string): string | undefined {
    const { engine, stamped } = this.cluster.node(id)
    return stamped?.get('c', key, engine.time())?.value
  }

  version(id: string, key: string): number {
    return this.cluster.node(id).stamped?.meet('c', key).version ?? 0
  }

  conflicts(id: string): number {
    return this.cluster.node(id).status().conflicts ?? -1
  }

  /** All that run have the same records. */
  expectEqual(): void {
    const nodes = this.cluster.live()
    expect(nodes.map(node => node.status().self.state)).toEqual(nodes.map(() => 'online'))
    expect(new Set(nodes.map(node => node.digest())).size).toBe(1)
  }

  #ask(id: string, how: How, write: Ask): number {
    const call = ++this.#calls
    ask(this.cluster.node(id), call, { ack: 'master', ...how }, write, replies => {
      // One call, one reply.
      expect(replies).toHaveLength(1)
      for (const reply of replies) this.answers.set(reply.id, reply.code ?? 'ok')
    })
    return call
  }
}
