/**
 * Conditions are decided here, at the node that is asked, one write after another, against what it
 * holds: another node may decide otherwise at the same moment. What then travels has none. It is
 * the command with its lives spelled out, and with the stamp that it met in place of a condition; a
 * clear says what it had met of each other node.
 */
import { BROADCAST } from '../../src/config.js'
import type { Met } from '../../src/contracts/stamped.js'
import type { Proposal } from '../../src/contracts/strategy.js'
import { stampMs } from '../../src/core/hybrid-clock.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import { type MetUpTo, writeClear } from '../../src/wire/clears.js'
import {
  FLAG,
  OP,
  writeDelete,
  writeExpire,
  writePlain,
  writeSet,
  writeTouch,
} from '../../src/wire/command.js'
import {
  type Life,
  lifeFrom,
  STAMPED_LAYOUT,
  writeEnd,
  writeInto,
  writeStampedRecord,
} from '../../src/wire/stamped-records.js'
import type { BroadcastState } from './state.js'

/** An entry to be: a proposal whose command is decided. */
export interface Decided extends Proposal {
  readonly stamp: number
}

/** What an own entry that is not applied yet made of a key. */
type Pending = Pick<Met, 'version' | 'ended' | 'expiresAt'>

/** Done, and no entry: of the engine's own proposals, whose answer nobody hears. */
const HERE = 'BUSY'
const NEVER = Number.POSITIVE_INFINITY

/** Decides the proposals of one step. */
export class Judge {
  readonly #s: BroadcastState
  readonly #out = new Writer(16_384)
  readonly #reader = new Reader()
  readonly #pending = new Map<string, Pending>()
  readonly #cleared = new Map<string, number>()
  /** Windows that are opened, and numbers that are used, by entries of this step. */
  readonly #opened = new Set<string>()
  readonly #used = new Set<string>()
  readonly #added = new Map<string, { entries: number; bytes: number }>()
  /** Records that only this node gets, and loses: a slice for its store. */
  readonly #own = new Writer(16_384)
  readonly #places: { proposal: Proposal; start: number; end: number; stamp: number }[] = []

  constructor(s: BroadcastState) {
    this.#s = s
  }

  /** Its code if it is refused. */
  decide(proposal: Proposal): string | undefined {
    const reader = this.#reader.open(proposal.bytes, proposal.start, proposal.end)
    const start = this.#out.length
    const op = reader.u8()
    const stamp = this.#s.clock.next
    const refusal = this.#repeats(proposal, op) ?? this.#write(op, stamp, proposal)
    if (refusal !== undefined) {
      this.#out.length = start
      if (refusal !== 'repeated') return refusal
      writePlain(this.#out, OP.noop, '', '')
    }
    this.#s.clock.take()
    this.#places.push({ proposal, start, end: this.#out.length, stamp })
    return undefined
  }

  /** What this node's own store is to join besides; undefined: nothing. */
  get ownSlice(): Uint8Array | undefined {
    return this.#own.length === 0 ? undefined : this.#own.copy()
  }

  /** What was not refused, in order; lent until the next Judge. */
  decided(): Decided[] {
    const bytes = this.#out.view()
    return this.#places.map(({ proposal: { id, ack, client, seq }, start, end, stamp }) => ({
      ...{ id, ack, client, seq, bytes, start, end, stamp },
    }))
  }

  /** 'repeated': it was executed before, here or elsewhere. A code: nobody can know. */
  #repeats({ client, seq }: Proposal, op: number): string | undefined {
    if (client === null) return undefined
    if (op === OP.openWindow) {
      this.#opened.add(client.id)
      return undefined
    }
    const name = `${client.id}${seq}`
    const known = this.#opened.has(client.id) ? 'fresh' : this.#s.stamped.remembered(client.id, seq)
    if (known === 'outside') return 'CLIENT_EXPIRED'
    if (known !== 'fresh' || this.#used.has(name)) return 'repeated'
    this.#used.add(name)
    return undefined
  }

  #write(op: number, stamp: number, proposal: Proposal): string | undefined {
    const reader = this.#reader
    const flags = reader.u8()
    const cache = reader.text8()
    switch (op) {
      case OP.set:
        return this.#set(cache, flags, stamp)
      case OP.delete:
        return this.#delete(cache, flags, stamp)
      case OP.touch:
        return this.#touch(cache, flags)
      case OP.clear:
        this.#cleared.set(cache, stamp)
        if (this.#s.apart) break
        writeClear(this.#out, cache, this.#metOfOthers())
        return undefined
      case OP.evict:
        return this.#evict(cache)
      default:
    }
    this.#out.bytes(proposal.bytes, proposal.start, proposal.end)
    return undefined
  }

  #set(cache: string, flags: number, stamp: number): string | undefined {
    const reader = this.#reader
    const key = reader.text16()
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const options = this.#s.stamped.options(cache)
    if (options === undefined) return 'CACHE_FULL'
    const ttlMs = (flags & FLAG.ttl) === 0 ? options.ttlMs : reader.f64()
    const idleMs = (flags & FLAG.idle) === 0 ? options.idleMs : reader.f64()
    const met = this.#meet(cache, key)
    const version = this.#live(met)
    if ((flags & FLAG.ifAbsent) !== 0 && version !== 0) return 'ALREADY_EXISTS'
    if (ifVersion !== -1 && ifVersion !== version)
      return version === 0 ? 'NOT_FOUND' : 'VERSION_MISMATCH'
    const bytes = key.length + 64 + reader.left
    if (bytes > options.maxBytes) return 'CACHE_FULL'
    if (options.eviction === 'none' && this.#isFull(cache, met.version === 0, bytes))
      return 'CACHE_FULL'
    const ends = Math.min(ttlMs === 0 ? NEVER : ttlMs, idleMs === 0 ? NEVER : idleMs)
    const expiresAt = ends === NEVER ? 0 : this.#s.clock.ms + ends
    this.#pending.set(nameOf(cache, key), { version: stamp, ended: 0, expiresAt })
    if (this.#s.apart) {
      this.#keepHere(cache, key, stamp, lifeFrom(stampMs(stamp), ttlMs, idleMs))
      // A fill tells nobody: it changes nothing that others could hold.
      const upto = (flags & FLAG.ifAbsent) === 0 ? stamp - 1 : 0
      writeExpire(this.#out, OP.evict, cache, key, upto)
      return undefined
    }
    const base = Math.max(met.version, met.ended)
    writeSet(this.#out, cache, key, reader.view(reader.left), {
      ifVersion: base === 0 ? undefined : base,
      ttlMs: ttlMs === 0 ? undefined : ttlMs,
      idleMs: idleMs === 0 ? undefined : idleMs,
    })
    return undefined
  }

  /** What a clear knows of what it wipes. */
  #metOfOthers(): MetUpTo[] {
    const { vector, self } = this.#s
    const others = [...vector].filter(([ordinal]) => ordinal !== self.ordinal)
    return others.map(([ordinal, { upto }]) => ({ ordinal, upto }))
  }

  #keepHere(cache: string, key: string, stamp: number, life: Life): void {
    const { source, at, end } = this.#reader
    this.#into(cache)
    writeStampedRecord(this.#own, key, stamp, life, source, at, end)
  }

  /** What travels names the version: a later one, which this node has not met, lives. */
  #evict(cache: string): string | undefined {
    const reader = this.#reader
    const key = reader.text16()
    const evicted = reader.f64()
    const { version, changed } = this.#s.stamped.meet(cache, key)
    if (changed !== evicted) return HERE
    if (!this.#s.apart) {
      if (!mayEvict(this.#s, cache)) return 'BUSY'
      writeExpire(this.#out, OP.evict, cache, key, changed, version)
      return undefined
    }
    // Its limits are a node's own, and so are its copies: nobody else hears of it.
    this.#into(cache)
    writeEnd(this.#own, key, { deleted: 0, replaced: version - 1, evicted, evictedBy: 0 })
    return HERE
  }

  #into(cache: string): void {
    if (this.#own.length === 0) this.#own.u8(STAMPED_LAYOUT)
    writeInto(this.#own, cache)
  }

  #delete(cache: string, flags: number, stamp: number): string | undefined {
    const reader = this.#reader
    const key = reader.text16()
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const version = this.#live(this.#meet(cache, key))
    // Others may have a copy of what is not here.
    if (version === 0 && !(this.#s.apart && ifVersion === -1)) return 'NOT_FOUND'
    if (ifVersion !== -1 && ifVersion !== version) return 'VERSION_MISMATCH'
    writeDelete(this.#out, cache, key, { ifVersion: version === 0 ? undefined : version })
    this.#pending.set(nameOf(cache, key), { version: 0, ended: stamp, expiresAt: 0 })
    return undefined
  }

  #touch(cache: string, flags: number): string | undefined {
    const reader = this.#reader
    const key = reader.text16()
    const ifVersion = (flags & FLAG.ifVersion) === 0 ? -1 : reader.f64()
    const ttlMs = (flags & FLAG.ttl) === 0 ? undefined : reader.f64()
    const idleMs = (flags & FLAG.idle) === 0 ? undefined : reader.f64()
    const version = this.#live(this.#meet(cache, key))
    if (version === 0) return 'NOT_FOUND'
    if (ifVersion !== -1 && ifVersion !== version) return 'VERSION_MISMATCH'
    writeTouch(this.#out, cache, key, { ifVersion: version, ttlMs, idleMs })
    return undefined
  }

  #meet(cache: string, key: string): Pending {
    const pending = this.#pending.get(nameOf(cache, key))
    const cleared = this.#cleared.get(cache) ?? 0
    const met = pending ?? this.#s.stamped.meet(cache, key)
    if (cleared <= Math.max(met.version, met.ended)) return met
    return { version: 0, ended: cleared, expiresAt: 0 }
  }

  /** The version that readers see; 0: none. */
  #live({ version, expiresAt }: Pending): number {
    return expiresAt !== 0 && expiresAt <= this.#s.clock.ms ? 0 : version
  }

  #isFull(cache: string, isNew: boolean, bytes: number): boolean {
    const options = this.#s.stamped.options(cache)
    if (options === undefined) return true
    const counts = this.#s.stamped.counts(cache)
    const added = this.#added.get(cache) ?? { entries: 0, bytes: 0 }
    if (isNew && counts.entries + added.entries >= options.maxEntries) return true
    if (counts.bytes + added.bytes + bytes > options.maxBytes) return true
    added.entries += isNew ? 1 : 0
    added.bytes += bytes
    this.#added.set(cache, added)
    return false
  }
}

/** With the length in front: both may hold any character. */
function nameOf(cache: string, key: string): string {
  return `${cache.length}:${cache}${key}`
}

/**
 * Every node sees the same cache grow too large, and each has other records that it used least: all
 * would evict what one alone should. The linked one of lowest ordinal does; another one only if it
 * is still too large some time later, because its limits are its own.
 */
function mayEvict(s: BroadcastState, cache: string): boolean {
  for (const peer of s.linked()) {
    if (!peer.serving || peer.ordinal > s.self.ordinal) continue
    const known = s.evicting.get(cache)
    const again = known !== undefined && s.now - known.last < EVICT_AGAIN_MS
    const since = again ? known.since : s.now
    s.evicting.set(cache, { since, last: s.now })
    return s.now - since >= BROADCAST.evictWaitMs
  }
  return true
}

/** What was not evicted is proposed again after a second. */
const EVICT_AGAIN_MS = 1_500
