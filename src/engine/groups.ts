/**
 * The groups of this node: group 0 from its first moment, others from the moment their strategy
 * first uses them until it drops them. A strategy sees their logs and records through here before
 * the engine is whole, so the places where they lie come first, and what runs on them later.
 */
import type { ChangeSink, LogView, WholeRecord } from '../contracts/store.js'
import type { Standing } from '../contracts/strategy.js'
import type { GroupId } from '../contracts/types.js'
import { assert } from '../core/assert.js'
import { NO_EPOCH } from '../core/epochs.js'
import { sharesOf } from '../core/shares.js'
import { GcacheError } from '../errors.js'
import { groupOfRequests } from '../wire/requests.js'
import type { EngineOptions, GroupHost } from './engine-options.js'
import { Group, type GroupEnv } from './group.js'
import { HOUSE_MS } from './housekeeping.js'
import { Requests } from './requests.js'

/** Where the groups lie. */
export class Hosts {
  /** How many of them share what there is room for; known once the strategy is made. */
  partitions = 1
  readonly #make: EngineOptions<never>['host']
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
    const made = this.#make(group, this.partitions)
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

const ABSENT: Standing = { role: 'slave', epoch: NO_EPOCH, master: undefined, serving: false }

export class Groups<M> {
  /** Group 0: alone in most clusters, so nobody looks it up. */
  readonly first: Group<M>
  readonly #env: GroupEnv<M>
  readonly #hosts: Hosts
  readonly #others = new Map<GroupId, Group<M>>()
  /** Of the others, those that this node leads: nobody else keeps house. */
  readonly #led = new Set<Group<M>>()
  /** Own clock, ms: before it none of them has anything to do. */
  #houseMs = Number.NEGATIVE_INFINITY
  #changes: ChangeSink | undefined
  #absent: Requests | undefined

  /** CONFIG for a cache whose limits cannot be shared out among the partitions. */
  constructor(env: GroupEnv<M>, hosts: Hosts) {
    this.#env = { ...env, caches: sharesOf(env.caches, hosts.partitions) }
    this.#hosts = hosts
    this.first = new Group(this.#env, 0, hosts.of(0))
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

  /** Who answers a frame of kind request. PROTOCOL_ERROR for a group that the table lacks. */
  requestsFor(frame: Uint8Array): Requests {
    const id = groupOfRequests(frame)
    if (id === 0) return this.first.requests
    const known = this.#others.get(id)
    if (known !== undefined) return known.requests
    const count = this.#env.strategy.table?.().masters.length ?? 1
    if (id >= count) throw new GcacheError('PROTOCOL_ERROR', `group ${id} of ${count}`)
    this.#absent ??= this.#makeAbsent()
    return this.#absent
  }

  /** For all groups that are not here: it refuses, and never comes to look into a store. */
  #makeAbsent(): Requests {
    const { rules, calls, strategy } = this.#env
    const nothing = { epoch: NO_EPOCH, next: 1 }
    const env = {
      ...rules,
      store: this.first.store,
      propose: () => assert(false, 'a write for a group that is not here'),
      read: () => assert(false, 'a read for a group that is not here'),
      standing: () => ABSENT,
      time: () => strategy.time(0),
      freshness: () => Number.NEGATIVE_INFINITY,
      place: () => 'lost' as const,
      applied: () => nothing,
    }
    return new Requests(env, calls)
  }

  /** Undefined: it was never used, or was dropped. */
  known(id: GroupId): Group<M> | undefined {
    return id === 0 ? this.first : this.#others.get(id)
  }

  /** Who watches hears what this node serves, and of group 0 what it has. */
  get changes(): ChangeSink | undefined {
    return this.#changes
  }

  set changes(sink: ChangeSink | undefined) {
    this.#changes = sink
    this.first.store.changes = sink
    for (const group of this.#others.values())
      if (group.standing.role === 'master') group.store.changes = sink
  }

  /** Of a group other than 0. True if it came here or went away: who watches may miss something. */
  become(id: GroupId, standing: Standing): boolean {
    const group = this.of(id)
    const before = group.become(standing)
    const leads = standing.role === 'master'
    if (leads) this.#led.add(group)
    else this.#led.delete(group)
    this.#houseMs = Number.NEGATIVE_INFINITY
    group.store.changes = leads ? this.#changes : undefined
    return leads !== (before.role === 'master')
  }

  /** Its log and its store are freed; used again, it begins anew. */
  drop(id: GroupId): void {
    assert(id !== 0, 'group 0 stays')
    const group = this.#others.get(id)
    if (group !== undefined) {
      group.store.changes = undefined
      group.stop()
      this.#led.delete(group)
    }
    this.#others.delete(id)
    this.#hosts.drop(id)
  }

  /** What lies in all of them; where there are several, entries in those that it leads, too. */
  stats() {
    return { ...this.#hosts.stats(), served: this.#served() }
  }

  #served(): number | undefined {
    if (this.#others.size === 0) return undefined
    let entries = 0
    for (const { standing, store } of this.#others.values())
      if (standing.role === 'master') entries += store.stats().entries
    return entries
  }

  /** After every run; a partition for which nothing is due costs nothing. */
  keepHouse(): void {
    this.first.keepHouse()
    if (this.#led.size === 0) return
    const now = this.#env.clock.now()
    if (now < this.#houseMs) return
    // A standing may also end and come back by the clock alone: looked at again soon.
    this.#houseMs = now + HOUSE_MS
    for (const group of this.#led) this.#houseMs = Math.min(this.#houseMs, group.keepHouse())
  }

  stop(): void {
    this.first.stop()
    for (const group of this.#others.values()) group.stop()
  }
}
