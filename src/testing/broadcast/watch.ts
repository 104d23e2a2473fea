/**
 * Follows every write from its origin to whoever receives it, by logs and by compared records, and
 * keeps a naive model beside each life of a node. The laws about records stand on it.
 */
import { JOIN_GROUP } from '../../contracts/stamped.js'
import type { Batch, GroupId } from '../../contracts/types.js'
import type { Checker } from '../checkers/checker.js'
import type { SimulatedCluster } from '../cluster.js'
import type { Life } from '../life.js'
import { evict, Held, type HeldKey } from './held.js'
import { itemsOf, type SliceItem } from './slices.js'
import { isMortal, type Write, Writes, writesOf } from './writes.js'

/** One life of a node, as its writes were seen to come in. */
export interface Watched {
  readonly life: Life
  held: Held
  /** What it held before it last began anew. */
  former: Held | undefined
  /** Own writes that were surely, and at most, lost to concurrent ones so far. */
  lostAtLeast: number
  lostAtMost: number
  /** Own writes that it gave up because it began anew. */
  dropped: number
  /** When something was last given to it. */
  givenAt: number
}

/** Told of each write that a life is given, before its model has it. */
export type OnGiven = (to: Watched, write: Write, how: 'own' | 'log' | 'compared') => void

export class Watch implements Checker {
  readonly name = 'what each node was given'
  readonly writes = new Writes()
  readonly onGiven: OnGiven[] = []
  /** Keys, by name, whose end is nobody's to remember: see #bornEnded. */
  readonly unjudged = new Set<string>()
  readonly #cluster: SimulatedCluster
  readonly #step: number
  readonly #honest: boolean
  readonly #lives = new Map<Life, Watched>()

  /** `step`: from one stamp of an origin to its next. */
  constructor(cluster: SimulatedCluster, step: number, honest: boolean) {
    this.#honest = honest
    this.#cluster = cluster
    this.#step = step
  }

  of(life: Life): Watched {
    let watched = this.#lives.get(life)
    if (watched === undefined) {
      const counts = { lostAtLeast: 0, lostAtMost: 0, dropped: 0, givenAt: 0 }
      watched = { life, held: new Held(), former: undefined, ...counts }
      this.#lives.set(life, watched)
    }
    return watched
  }

  lives(): Iterable<Watched> {
    return this.#lives.values()
  }

  /** All that those which run were given. */
  everything(): Held {
    const all = new Held()
    for (const { life } of this.#cluster.live()) all.addAll(this.of(life).held)
    return all
  }

  /** No node that runs was given it. */
  isGone(write: Write): boolean {
    return !this.#cluster.live().some(({ life }) => this.of(life).held.has(write))
  }

  onAppend(life: Life, batch: Batch): void {
    const to = this.of(life)
    to.givenAt = this.#cluster.now()
    for (const write of writesOf(life, batch, this.#step)) {
      if (!this.writes.add(write)) {
        const { life: other } = this.writes.at(write.stamp) as Write
        this.#cluster.fail('B3', `${life} stamps ${write.stamp}, as ${other} had done`)
      }
      if (write.name !== '' && write.kind !== 'other' && to.held.names.has(write.name))
        this.#cluster.fail('B9', `${life} did a write twice that it had done or received`)
      this.#give(to, write, 'own')
      if (write.stamp <= Math.max(write.met.version, write.base))
        this.#cluster.fail('B3', `${life} stamps a ${write.kind} below what it met`)
    }
  }

  onOtherAppend(life: Life, batch: Batch, group: GroupId): void {
    const to = this.of(life)
    to.givenAt = this.#cluster.now()
    for (let offset = batch.first; offset < batch.next; offset++) {
      const stamp = batch.time + (offset - batch.first) * this.#step
      const write = this.writes.at(stamp)
      const { incarnation } = batch.epoch
      const isIts = write?.life.incarnation === incarnation && write.offset === offset
      if (write === undefined || !isIts || write.life.ordinal !== group - 1)
        this.#cluster.fail('B4', `${life} took entry ${offset} of ${group - 1}, which none wrote`)
      this.#give(to, write, 'log')
    }
  }

  onInstall(life: Life, group: GroupId, at: number, slice: Uint8Array, first: boolean): void {
    if (group !== JOIN_GROUP) return
    const to = this.of(life)
    to.givenAt = this.#cluster.now()
    if (first) {
      for (const write of this.writes.ofLife(life).values()) if (to.held.has(write)) to.dropped++
      to.former = to.held
      to.held = new Held()
    }
    if (slice.length > 0) for (const item of itemsOf(slice, at)) this.#join(to, item)
  }

  #join(to: Watched, item: SliceItem): void {
    if (item.kind === 'floor') return this.#give(to, this.#made(item.stamp, to), 'compared')
    const held = to.held.key(item.cache, item.key)
    if (item.kind === 'touch') return this.#give(to, this.#made(item.changed, to, item), 'compared')
    if (item.kind === 'record') {
      this.#give(to, this.#made(item.version, to, item), 'compared')
      if (item.changed > item.version)
        this.#give(to, this.#made(item.changed, to, item), 'compared')
      return
    }
    if (item.deleted > 0) this.#give(to, this.#made(item.deleted, to, item), 'compared')
    if (item.evicted > 0) evict(held, item.replaced + 1, item.evicted)
  }

  #made(stamp: number, to: Watched, item?: { cache: string; key: string }): Write {
    const write = this.writes.at(stamp)
    const isIts = item === undefined || (write?.key === item.key && write.cache === item.cache)
    if (write === undefined || !isIts)
      this.#cluster.fail('B4', `${to.life} was told of ${item?.key} by ${stamp}, which none wrote`)
    return write
  }

  /** A clock that is behind stamps a write below the end of what it replaces, though all have met
   *  that end, and may have forgotten it: whether it lives is decided by who remembers. */
  #bornEnded({ cache, key, stamp }: Write): void {
    for (const { held } of this.#lives.values()) {
      const known = held.key(cache, key)
      const latest = Math.max(known.ended, known.evictedOf, held.floors.get(cache) ?? 0)
      if (latest >= stamp || (known.set !== undefined && known.set.stamp > stamp))
        this.unjudged.add(`${cache}/${key}`)
    }
  }

  #give(to: Watched, write: Write, how: 'own' | 'log' | 'compared'): void {
    const { held } = to
    const { kind } = write
    if (how === 'own' && (kind === 'set' || kind === 'delete' || kind === 'touch'))
      write.met = metOf(held, held.key(write.cache, write.key))
    if (how === 'own' && kind === 'set' && !this.#honest) this.#bornEnded(write)
    for (const onGiven of this.onGiven) onGiven(to, write, how)
    held.add(write)
    // A noop of a write that came with compared records says nothing of its window.
    if (write.name !== '' && kind !== 'other' && how !== 'compared') held.names.add(write.name)
  }
}

function metOf(held: Held, key: HeldKey): Write['met'] {
  const winner = held.winner(key)
  const mortal = key.set !== undefined && (isMortal(key.set) || key.touches.size > 0)
  return { version: winner?.write.stamp ?? 0, mortal: mortal || key.evicted > 0 }
}
