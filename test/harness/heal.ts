/** A simulated cluster with a client at every node: splits it, writes on both sides, heals it. */
import { expect } from 'vitest'
import type { MergeFunction } from '../../src/contracts/merge.js'
import { seededRandom } from '../../src/core/prng.js'
import { SimulatedCluster } from '../../src/testing/cluster.js'
import type { SimulatedNode } from '../../src/testing/simulated-node.js'
import {
  OP,
  type SetFields,
  writeDelete,
  writePlain,
  writeSet,
  writeTouch,
} from '../../src/wire/command.js'
import { masterSlave } from '../../strategies/master-slave/index.js'
import { ask } from './ask.js'
import type { Ask } from './master.js'

export interface HealOptions {
  merge?: 'lww' | 'discard'
  onMerge?: MergeFunction
  backlogEntriesMax?: number
  /** Ids of the nodes that start; default all. */
  start?: string[]
  runMs?: number
}

export interface Divergence {
  node: string
  [field: string]: unknown
}

export class Heal {
  readonly cluster: SimulatedCluster
  readonly divergences: Divergence[] = []
  readonly #answers = new Map<number, string>()
  #calls = 0

  constructor(nodes: number, options: HealOptions = {}) {
    const { merge = 'lww', start, runMs = 6_000, ...limits } = options
    const strategy = masterSlave({ merge, ack: 'master', slavesToWriteMin: 0 }) as never
    this.cluster = new SimulatedCluster({ nodes, random: seededRandom(3), strategy, ...limits })
    for (const { id } of this.cluster.members) if (start?.includes(id) ?? true) this.start(id)
    this.cluster.run(runMs)
  }

  start(id: string): void {
    this.cluster.start(id)
    this.cluster.node(id).engine.events.on('report', (event, fields) => {
      if (event === 'divergence') this.divergences.push({ node: id, ...fields })
    })
  }

  node(id: string): SimulatedNode {
    return this.cluster.node(id)
  }

  get master(): SimulatedNode {
    const master = this.cluster.master()
    if (master === undefined) throw new Error('no master')
    return master
  }

  /** What the master told of the last merge. */
  get merged(): Divergence | undefined {
    return this.divergences.findLast(one => one.peer !== undefined)
  }

  /** Node `id` is cut off until each side has its own master. */
  split(...side: string[]): void {
    this.cluster.split(side)
    this.cluster.run(4_000)
  }

  heal(ms = 4_000): void {
    this.cluster.mendAll()
    this.cluster.run(ms)
  }

  set(id: string, key: string, text: string, fields: SetFields = {}): void {
    this.value(id, key, Buffer.from(text), fields)
  }

  value(id: string, key: string, value: Uint8Array, fields: SetFields = {}): void {
    this.#write(id, out => writeSet(out, 'c', key, value, fields))
  }

  delete(id: string, key: string): void {
    this.#write(id, out => writeDelete(out, 'c', key, {}))
  }

  touch(id: string, key: string, fields: SetFields): void {
    this.#write(id, out => writeTouch(out, 'c', key, fields))
  }

  clear(id: string): void {
    this.#write(id, out => writePlain(out, OP.clear, 'c', ''))
  }

  /** Acknowledged by `id` alone, or the test is wrong. */
  #write(id: string, write: Ask): void {
    const call = ++this.#calls
    ask(this.node(id), call, { ack: 'master' }, write, replies => {
      for (const reply of replies) this.#answers.set(reply.id, reply.code ?? 'done')
    })
    this.cluster.run(5)
    const answer = this.#answers.get(call)
    if (answer !== 'done' && answer !== 'NOT_FOUND') throw new Error(`${id} answered ${answer}`)
  }

  /** Of the master; undefined if absent. */
  read(key: string): string | undefined {
    return this.master.record('c', key)?.value
  }

  /** Every running node has one log and one state. */
  expectEqual(): void {
    const nodes = this.cluster.live()
    expect(this.cluster.converged(nodes.map(({ id }) => id))).toBe(true)
    expect(new Set(nodes.map(node => node.digest())).size).toBe(1)
  }
}

/** prefix0, prefix1, ... */
export function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`)
}

/** Two nodes: `loser` is known once they are split, because the higher epoch wins. */
export function pair(options: HealOptions = {}, before?: (heal: Heal, master: string) => void) {
  const heal = new Heal(2, options)
  const first = heal.master.id
  before?.(heal, first)
  heal.split('b')
  const [loser, winner] = first === 'a' ? ['a', 'b'] : ['b', 'a']
  return { heal, loser, winner }
}
