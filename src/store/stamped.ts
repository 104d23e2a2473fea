/**
 * The state machine of a cluster in which every node writes: one store of stamped records, with a
 * face for each origin's log. The face of this node's own log is what readers see; those of others
 * only apply.
 */
import { CACHE_DEFAULTS, LIMITS } from '../config.js'
import {
  JOIN_GROUP,
  type Lost,
  type Met,
  type Remembered,
  type StampedState,
} from '../contracts/stamped.js'
import type { CacheOptions, ChangeSink, ResultSink, StateMachine } from '../contracts/store.js'
import type { SnapshotState } from '../contracts/strategy.js'
import type { Batch, GroupId, Offset } from '../contracts/types.js'
import { assert } from '../core/assert.js'
import { Reader } from '../wire/bytes.js'
import { OP } from '../wire/command.js'
import type { End } from '../wire/stamped-records.js'
import { Housekeeping } from './housekeeping.js'
import { LEAVES_BYTES } from './leaves.js'
import { Records } from './records.js'
import { StampedApplier, type StampedTarget } from './stamped-apply.js'
import { highest, isMet, NO_END, StampedCache } from './stamped-cache.js'
import { JoinFace, type Joins, OriginFace } from './stamped-faces.js'
import { joinSlice, type SliceTarget, StampedWalk } from './stamped-walk.js'
import { FRESH, OUTCOMES, OUTSIDE, type Window } from './windows.js'

export interface StampedOptions {
  /** The ordinal of this node. */
  readonly self: number
  /** Stamps between two of one origin, a power of two (hybrid-clock.ts). */
  readonly step: number
  /** The same on all nodes: the cluster's name. */
  readonly salt: string
  /** Stores of a cluster hold different records: what ended one is remembered, whatever came after
   *  it here. Default false. */
  readonly apart?: boolean
}

/** A record lies here for so long after its end: a touch that it got in time may still come. */
const EXPIRED_KEPT_MS = 2_000
/** Ends that one call of forgetEnds() looks at: some 2 ms. */
const LOOKS_MAX = 20_000
const NOTHING = new Uint8Array(0)

export class StampedStore extends Records implements StateMachine, StampedState, StampedTarget {
  readonly self: number
  readonly step: number
  /** This node's own writes that a concurrent one has replaced; of records apart none is. */
  conflicts = 0
  newestJoined = 0
  onLost: ((lost: Lost) => void) | undefined
  /** As StampedOptions.apart. */
  readonly apart: boolean
  readonly #salt: string
  readonly #caches = new Map<string, StampedCache>()
  readonly #applier: StampedApplier
  readonly #joins: Joins
  #sweep: Generator<[StampedCache, string, End], undefined> | undefined
  readonly #housekeeping = new Housekeeping(this.state)
  readonly #reader = new Reader()

  constructor({ self, step, salt, apart = false }: StampedOptions) {
    super()
    this.self = self
    this.step = step
    this.#salt = salt
    this.apart = apart
    this.#applier = new StampedApplier(this)
    this.#joins = this.#makeJoins()
    // What is dropped of records that lie apart is a copy: no write is lost.
    if (apart) return
    this.#applier.onLost = lost => {
      this.conflicts++
      this.onLost?.(lost)
    }
  }

  get windows(): Map<string, Window> {
    return this.state.windows
  }

  get changes(): ChangeSink | undefined {
    return this.#applier.changes
  }

  set changes(sink: ChangeSink | undefined) {
    this.#applier.changes = sink
  }

  cache(name: string): StampedCache | undefined {
    const known = this.#caches.get(name)
    if (known !== undefined) return known
    const named = this.state.caches.need(name)
    if (named === undefined) return undefined
    const made = new StampedCache(named, this.#salt, this.apart)
    this.#caches.set(name, made)
    return made
  }

  /** Entries of this node. */
  apply(batch: Batch, results?: ResultSink): void {
    const { applied } = this.state
    assert(batch.first === applied, `batch begins at ${batch.first}, applied is ${applied}`)
    this.#applier.apply(batch, true, results)
    this.state.applied = batch.next
  }

  /** The face of another group than 0: of the origin with ordinal `group - 1`, or of JOIN_GROUP. */
  face(group: GroupId): StateMachine {
    if (group === JOIN_GROUP) return new JoinFace(this.#joins)
    return new OriginFace(batch => this.#applier.apply(batch, false, undefined))
  }

  meet(cache: string, key: string): Met {
    const known = this.#caches.get(cache)
    return known === undefined ? NOTHING_MET : known.meet(key)
  }

  options(cache: string): CacheOptions | undefined {
    const known = this.#caches.get(cache)
    if (known !== undefined) return known.named.options
    return this.#caches.size < LIMITS.cachesMax ? CACHE_DEFAULTS : undefined
  }

  counts(cache: string): { readonly entries: number; readonly bytes: number } {
    return this.#caches.get(cache)?.named ?? { entries: 0, bytes: 0 }
  }

  remembered(client: string, seq: number): Remembered {
    const window = this.state.windows.get(client)
    if (window === undefined) return 'outside'
    const known = window.look(seq)
    if (known === FRESH) return 'fresh'
    return known === OUTSIDE ? 'outside' : OUTCOMES[known - 1]
  }

  leaves(): Uint8Array {
    const total = new Uint32Array(LEAVES_BYTES / 4)
    for (const cache of this.#caches.values()) cache.leaves.addTo(total)
    return new Uint8Array(total.buffer)
  }

  forgetEnds(isCovered: (stamp: number) => boolean, before: number): number {
    let lost = 0
    let count = this.endCount
    this.#sweep ??= this.#allEnds()
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      const { value } = this.#sweep.next()
      if (value === undefined) {
        this.#sweep = undefined
        break
      }
      const [cache, key, end] = value
      const stamp = highest(end)
      const covered = isMet(end, isCovered)
      if (!covered && stamp >= before && count <= LIMITS.endsMax) continue
      cache.ends.delete(key)
      count--
      if (!covered) lost = Math.max(lost, stamp)
    }
    return lost
  }

  /** Ends of records that are remembered. */
  get endCount(): number {
    let count = 0
    for (const { ends } of this.#caches.values()) count += ends.size
    return count
  }

  *#allEnds(): Generator<[StampedCache, string, End], undefined> {
    for (const cache of this.#caches.values())
      for (const [key, end] of cache.ends) yield [cache, key, end]
  }

  /** What every node does by itself is done here; evictions are proposed. */
  housekeeping(time: number, limit: number): readonly Uint8Array[] {
    const proposed: Uint8Array[] = []
    for (const command of this.#housekeeping.propose(time - EXPIRED_KEPT_MS, limit)) {
      const op = command[0]
      if (op === OP.expire) this.#expire(command)
      else if (op === OP.closeWindow) this.#closeWindow(command)
      else proposed.push(command)
    }
    return proposed
  }

  openSnapshot(): void {}

  readSnapshot(): { slice: Uint8Array; next: Offset; state: SnapshotState } {
    return { slice: NOTHING, next: this.applied, state: 'overflow' }
  }

  closeSnapshot(): void {}

  /** Records come and go by JOIN_GROUP; here only this node's log begins anew. */
  install(at: Offset, _slice: Uint8Array, first: boolean): void {
    if (first) this.state.applied = at
  }

  digest(): string {
    const leaves = new Uint32Array(this.leaves().buffer)
    let [low, high] = [0, 0]
    for (let i = 0; i < leaves.length; i += 2) {
      low = (Math.imul(low, 31) + leaves[i]) >>> 0
      high = (Math.imul(high, 33) + leaves[i + 1]) >>> 0
    }
    const digits = (lane: number) => lane.toString(16).padStart(8, '0')
    return digits(high) + digits(low)
  }

  #expire(command: Uint8Array): void {
    const reader = this.#reader.open(command, 2)
    const cache = this.#caches.get(reader.text8())
    const key = reader.text16()
    const changed = reader.f64()
    const slot = cache?.named.region.peek(key) ?? -1
    if (cache === undefined || slot < 0 || cache.changedOf(slot) !== changed) return
    const replaced = cache.versionOf(slot) - 1
    cache.end(key, { ...NO_END, replaced, evicted: changed, evictedBy: changed }, false)
    this.changes?.onChange(cache.named.name, 'expire', key, undefined, changed)
  }

  #closeWindow(command: Uint8Array): void {
    const reader = this.#reader.open(command, 2)
    reader.text8()
    reader.text16()
    this.state.windows.delete(reader.latin1(16))
  }

  #makeJoins(): Joins {
    const walks = new Map<number, StampedWalk>()
    const target: SliceTarget = {
      stampMax: 0,
      cache: name => this.cache(name),
      judge: (...asked) => this.#applier.judge(...asked),
      judgeClear: (...asked) => this.#applier.judgeClear(...asked),
      onPut: ({ named }, { key, version }) => {
        if (this.changes === undefined) return
        const { value } = named.region.record(named.region.peek(key))
        this.changes.onChange(named.name, 'set', key, value, version)
      },
      onTouch: ({ named }, key, { version }) =>
        this.changes?.onChange(named.name, 'touch', key, undefined, version),
      onEnd: ({ named }, key, end) =>
        this.changes?.onChange(named.name, 'delete', key, undefined, highest(end)),
      onClear: ({ named, floor }) =>
        this.changes?.onChange(named.name, 'clear', '', undefined, floor),
    }
    return {
      open: (id, what) => walks.set(id, new StampedWalk(this.#caches.values(), what, this.step)),
      read: (id, bytesMax) => walks.get(id)?.read(bytesMax) ?? GONE,
      close: id => walks.delete(id),
      join: (slice, stampMax) => {
        target.stampMax = stampMax
        this.newestJoined = Math.max(this.newestJoined, joinSlice(slice, target))
      },
      forget: () => {
        walks.clear()
        this.newestJoined = 0
        this.#sweep = undefined
        for (const { name } of this.state.caches.list)
          this.changes?.onChange(name, 'clear', '', undefined, 0)
        for (const cache of this.#caches.values()) cache.forget()
      },
    }
  }
}

const NOTHING_MET: Met = { version: 0, changed: 0, ended: 0, expiresAt: 0 }
const GONE = { slice: NOTHING, state: 'overflow' } as const
