/**
 * The naive model of one node's records: all writes that it was given, in whatever order, and of
 * each key the one that wins by its stamp. Nothing is ever forgotten here, so whatever the node
 * forgets too early shows.
 */
import type { Write } from './writes.js'

/** Of one key. */
export interface HeldKey {
  readonly cache: string
  readonly key: string
  set: Write | undefined
  /** The highest stamp of what ended versions up to it. */
  ended: number
  /** The highest version that was evicted, or has expired where it came from; and up to which
   *  stamp of its changes. */
  evictedOf: number
  evicted: number
  readonly touches: Set<Write>
}

/** What a key's writes make of it. */
export interface Winner {
  readonly write: Write
  readonly changed: number
}

export class Held {
  readonly keys = new Map<string, HeldKey>()
  readonly floors = new Map<string, number>()
  readonly #stamps = new Set<number>()
  /** Writers' numbers whose write came by a log. */
  readonly names = new Set<string>()

  /** It was given, itself. */
  has({ stamp }: Write): boolean {
    return this.#stamps.has(stamp)
  }

  key(cache: string, key: string): HeldKey {
    const name = `${cache}/${key}`
    let known = this.keys.get(name)
    if (known === undefined) {
      const ends = { ended: 0, evictedOf: 0, evicted: 0 }
      known = { cache, key, set: undefined, ...ends, touches: new Set() }
      this.keys.set(name, known)
    }
    return known
  }

  add(write: Write): void {
    this.#stamps.add(write.stamp)
    if (write.kind === 'other') return
    if (write.kind === 'clear') {
      this.floors.set(write.cache, Math.max(this.floors.get(write.cache) ?? 0, write.stamp))
      return
    }
    const held = this.key(write.cache, write.key)
    if (write.kind === 'delete') held.ended = Math.max(held.ended, write.stamp)
    else if (write.kind === 'evict') evict(held, write.evicts, write.base)
    else if (write.kind === 'touch') held.touches.add(write)
    else if (held.set === undefined || held.set.stamp < write.stamp) {
      if (held.set !== undefined) held.set.over = true
      held.set = write
    } else if (held.set !== write) write.over = true
    if (held.set !== undefined && this.winner(held) === undefined) held.set.over = true
  }

  /** Undefined: there is none, or something ended it. */
  winner({ set, ended, evictedOf, evicted, touches, cache }: HeldKey): Winner | undefined {
    if (set === undefined || set.stamp <= ended || set.stamp < evictedOf) return undefined
    if (set.stamp <= (this.floors.get(cache) ?? 0)) return undefined
    let changed = set.stamp
    for (const touch of touches)
      if (touch.base === set.stamp && touch.stamp > changed) changed = touch.stamp
    const isEvicted = set.stamp === evictedOf && changed <= evicted
    return isEvicted ? undefined : { write: set, changed }
  }

  /** All that `other` was given, too. */
  addAll(other: Held): void {
    for (const [cache, floor] of other.floors)
      this.floors.set(cache, Math.max(this.floors.get(cache) ?? 0, floor))
    for (const theirs of other.keys.values()) {
      const held = this.key(theirs.cache, theirs.key)
      if (theirs.set !== undefined && theirs.set.stamp > (held.set?.stamp ?? 0))
        held.set = theirs.set
      held.ended = Math.max(held.ended, theirs.ended)
      evict(held, theirs.evictedOf, theirs.evicted)
      for (const touch of theirs.touches) held.touches.add(touch)
    }
  }

  /** True if nothing that `write` did is missing here: it was given, or what came after it was. */
  includes(write: Write): boolean {
    if (this.has(write) || write.kind === 'other') return true
    const held = this.keys.get(`${write.cache}/${write.key}`)
    const floor = this.floors.get(write.cache) ?? 0
    if (write.kind === 'clear') return floor >= write.stamp
    if (floor >= write.stamp) return true
    if (held === undefined) return write.kind !== 'set'
    const { set, ended, evictedOf } = held
    switch (write.kind) {
      case 'set':
        return Math.max(set?.stamp ?? 0, ended, evictedOf) >= write.stamp
      case 'delete':
        return this.winner(held) === undefined || (set?.stamp ?? 0) > write.stamp
      case 'touch': {
        const winner = this.winner(held)
        return winner?.write.stamp !== write.base || winner.changed > write.stamp
      }
      default: {
        const winner = this.winner(held)
        if (winner === undefined || winner.write.stamp > write.evicts) return true
        return winner.write.stamp === write.evicts && winner.changed > write.base
      }
    }
  }
}

/** Of `version` what was changed up to `changed` is ended, and every version below. */
export function evict(held: HeldKey, version: number, changed: number): void {
  if (version < held.evictedOf) return
  held.evicted = version > held.evictedOf ? changed : Math.max(held.evicted, changed)
  held.evictedOf = version
}
