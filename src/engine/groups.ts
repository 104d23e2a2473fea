/**
 * The groups of this node: group 0 from its first moment, others from the moment their strategy
 * first uses them until it drops them. A strategy sees their logs and records through here before
 * the engine is whole, so the places where they lie come first, and what runs on them later.
 */
import type { LogView, WholeRecord } from '../contracts/store.js'
import type { GroupId } from '../contracts/types.js'
import { assert } from '../core/assert.js'
import type { EngineOptions, GroupHost } from './engine-options.js'
import { Group, type GroupEnv } from './group.js'

/** Where the groups lie. */
export class Hosts {
  readonly #make: ((group: GroupId) => GroupHost) | undefined
  readonly #hosts = new Map<GroupId, GroupHost>()

  constructor({ log, store, host }: Pick<EngineOptions<never>, 'log' | 'store' | 'host'>) {
    this.#make = host
    this.#hosts.set(0, { log, store })
  }

  /** Made at the first use. */
  of(group: GroupId): GroupHost {
    const known = this.#hosts.get(group)
    if (known !== undefined) return known
    assert(this.#make !== undefined, `no host for group ${group}`)
    const made = this.#make(group)
    this.#hosts.set(group, made)
    return made
  }

  log(group: GroupId): LogView {
    return this.of(group).log
  }

  read(group: GroupId, cache: string, key: string): WholeRecord | undefined {
    return this.#hosts.get(group)?.store.peek(cache, key)
  }

  drop(group: GroupId): void {
    this.#hosts.delete(group)
  }

  /** Of all groups. A store that several of them share is counted once. */
  stats(): { entries: number; bytes: number; windows: number } {
    const sum = { entries: 0, bytes: 0, windows: 0 }
    for (const store of new Set([...this.#hosts.values()].map(host => host.store))) {
      const { entries, bytes, windows } = store.stats()
      sum.entries += entries
      sum.bytes += bytes
      sum.windows += windows
    }
    return sum
  }
}

export class Groups<M> {
  /** Group 0: alone in most clusters, so nobody looks it up. */
  readonly first: Group<M>
  readonly #env: GroupEnv<M>
  readonly #hosts: Hosts
  readonly #others = new Map<GroupId, Group<M>>()

  constructor(env: GroupEnv<M>, hosts: Hosts) {
    this.#env = env
    this.#hosts = hosts
    this.first = new Group(env, 0, hosts.of(0))
  }

  /** Made at the first use. */
  of(id: GroupId): Group<M> {
    if (id === 0) return this.first
    const known = this.#others.get(id)
    if (known !== undefined) return known
    const group = new Group(this.#env, id, this.#hosts.of(id))
    this.#others.set(id, group)
    return group
  }

  /** Its log and its store are freed; used again, it begins anew. */
  drop(id: GroupId): void {
    assert(id !== 0, 'group 0 stays')
    this.#others.get(id)?.stop()
    this.#others.delete(id)
    this.#hosts.drop(id)
  }

  keepHouse(): void {
    this.first.keepHouse()
    if (this.#others.size > 0) for (const group of this.#others.values()) group.keepHouse()
  }

  stop(): void {
    this.first.stop()
    for (const group of this.#others.values()) group.stop()
  }
}
