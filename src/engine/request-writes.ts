/**
 * Writes between their proposal and their answer, as columns instead of objects: who waits for a
 * proposal, and what apply decided for the newest offsets.
 */
import { LIMITS } from '../config.js'
import type { Outcome, ResultSink } from '../contracts/store.js'
import type { Proposal } from '../contracts/strategy.js'
import type { Ack, ClientRef, GroupId, Offset } from '../contracts/types.js'
import type { ReplyLink } from './request-replies.js'

/** Powers of two; the last one is above LIMITS.unackedWritesMax. */
const SLOTS_FIRST = 256
const SLOTS = 16_384

export const NO_BYTES = new Uint8Array(0)

/** Filled anew for each propose: proposals are lent for the step only. */
export class PooledProposal implements Proposal {
  id = 0
  group: GroupId | undefined = undefined
  key: string | undefined = undefined
  ack: Ack = 'none'
  client: ClientRef | null = null
  seq = 0
  bytes: Uint8Array = NO_BYTES
  start = 0
  end = 0
}

/** Who waits for which proposal id, and which `Owner` will answer. Ids grow from 1 and never
 *  return. */
export class WaitingWrites<Owner> {
  #mask = SLOTS_FIRST - 1
  #ids = new Float64Array(SLOTS_FIRST)
  #calls = new Float64Array(SLOTS_FIRST)
  #bytes = new Float64Array(SLOTS_FIRST)
  #links: (ReplyLink | undefined)[] = new Array(SLOTS_FIRST).fill(undefined)
  #owners: (Owner | undefined)[] = new Array(SLOTS_FIRST).fill(undefined)
  #next = 1
  #count = 0

  get count(): number {
    return this.#count
  }

  /** The id under which `call` of `link`, of `bytes`, waits; 0 if too many wait already. */
  add(link: ReplyLink, call: number, bytes: number, owner: Owner): number {
    if (this.#count >= LIMITS.unackedWritesMax) return 0
    // A write that waits long keeps its slot: the ids that would meet it are passed over.
    while (this.#links[this.#next & this.#mask] !== undefined)
      if (this.#mask < SLOTS - 1) this.#grow()
      else this.#next++
    const id = this.#next++
    const slot = id & this.#mask
    this.#ids[slot] = id
    this.#calls[slot] = call
    this.#bytes[slot] = bytes
    this.#links[slot] = link
    this.#owners[slot] = owner
    this.#count++
    return id
  }

  /** Who waits for `id`; undefined if it is not ours or was answered. */
  link(id: number): ReplyLink | undefined {
    const slot = id & this.#mask
    return this.#ids[slot] === id ? this.#links[slot] : undefined
  }

  /** Who answers `id`; undefined if it is not ours or was answered. */
  owner(id: number): Owner | undefined {
    const slot = id & this.#mask
    return this.#ids[slot] === id ? this.#owners[slot] : undefined
  }

  /** All that wait for `owner`. */
  idsOf(owner: Owner): number[] {
    return [...this.#ids].filter((_id, slot) => this.#owners[slot] === owner)
  }

  /** Of an id that link() knows. */
  bytes(id: number): number {
    return this.#bytes[id & this.#mask]
  }

  /** Ends the wait of an id that link() knows, and returns its call. */
  remove(id: number): number {
    const slot = id & this.#mask
    this.#links[slot] = undefined
    this.#owners[slot] = undefined
    this.#count--
    return this.#calls[slot]
  }

  /** Twice the slots. Most nodes never have so many writes waiting. */
  #grow(): void {
    const [ids, calls, bytes, links] = [this.#ids, this.#calls, this.#bytes, this.#links]
    const owners = this.#owners
    const slots = 2 * ids.length
    this.#mask = slots - 1
    this.#ids = new Float64Array(slots)
    this.#calls = new Float64Array(slots)
    this.#bytes = new Float64Array(slots)
    this.#links = new Array(slots).fill(undefined)
    this.#owners = new Array(slots).fill(undefined)
    for (let old = 0; old < ids.length; old++) {
      if (links[old] === undefined) continue
      const slot = ids[old] & this.#mask
      this.#ids[slot] = ids[old]
      this.#calls[slot] = calls[old]
      this.#bytes[slot] = bytes[old]
      this.#links[slot] = links[old]
      this.#owners[slot] = owners[old]
    }
  }
}

/** The results of the newest offsets. An older one is recovered by a retry: its window knows it. */
export class RecentResults implements ResultSink {
  #mask = SLOTS_FIRST - 1
  #offsets = new Float64Array(SLOTS_FIRST)
  #versions = new Float64Array(SLOTS_FIRST)
  #outcomes: Outcome[] = new Array(SLOTS_FIRST).fill('ok')

  onResult(offset: Offset, outcome: Outcome, version: Offset): void {
    // Offsets begin at 1: 0 is a free slot.
    while (this.#mask < SLOTS - 1 && this.#isTaken(offset)) this.#grow()
    const slot = offset & this.#mask
    this.#offsets[slot] = offset
    this.#versions[slot] = version
    this.#outcomes[slot] = outcome
  }

  has(offset: Offset): boolean {
    return this.#offsets[offset & this.#mask] === offset
  }

  /** Only where has(). */
  outcome(offset: Offset): Outcome {
    return this.#outcomes[offset & this.#mask]
  }

  version(offset: Offset): Offset {
    return this.#versions[offset & this.#mask]
  }

  /** By another one. */
  #isTaken(offset: Offset): boolean {
    const there = this.#offsets[offset & this.#mask]
    return there !== 0 && there !== offset
  }

  #grow(): void {
    const [offsets, versions, outcomes] = [this.#offsets, this.#versions, this.#outcomes]
    const slots = 2 * offsets.length
    this.#mask = slots - 1
    this.#offsets = new Float64Array(slots)
    this.#versions = new Float64Array(slots)
    this.#outcomes = new Array(slots).fill('ok')
    for (let old = 0; old < offsets.length; old++) {
      if (offsets[old] === 0) continue
      const slot = offsets[old] & this.#mask
      this.#offsets[slot] = offsets[old]
      this.#versions[slot] = versions[old]
      this.#outcomes[slot] = outcomes[old]
    }
  }
}
