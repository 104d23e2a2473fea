/**
 * The cache port of an embedded node: what this node can answer as the serving master comes from
 * its own store at once; everything else is a call to the master, like a client's.
 */
import type { Calls } from './client/calls.js'
import { TIMES } from './config.js'
import type {
  CachePort,
  DeleteOptions,
  RawEntry,
  RawPage,
  ReadHow,
  SetOptions,
  TouchOptions,
  WriteOptions,
  WriteReceipt,
} from './contracts/cache.js'
import type { Clock } from './contracts/environment.js'
import type { StateMachine, StoredRecord } from './contracts/store.js'
import type { Place, Standing } from './contracts/strategy.js'
import type { Epoch, Offset, Position } from './contracts/types.js'
import { GcacheError } from './errors.js'
import type { NodeCalls } from './node-calls.js'
import { decodeToken } from './wire/token.js'

/** What the port sees of its engine. */
export interface Serving {
  readonly standing: Standing
  /** Cluster time in ms. */
  time(): number
  freshness(): number
  place(position: Position): Place
  applied(): { readonly epoch: Epoch; readonly next: Offset }
}

export interface NodePortOptions {
  readonly engine: Serving
  readonly store: StateMachine
  readonly calls: Calls
  readonly clock: Clock
  readonly cluster: string
  /** Undefined: caches are made at their first use. */
  readonly caches: ReadonlySet<string> | undefined
}

/** The port of a node's own calls: each to the owner of its key, or all to one master. */
export function portOf(
  { groups, port }: Pick<NodeCalls, 'groups' | 'port'>,
  options: Omit<NodePortOptions, 'calls'>,
): CachePort & { close(): void } {
  return groups ?? new NodePort({ ...options, calls: port })
}

/**
 * A process that was stopped may hold a standing that is no longer true; a call through the engine
 * lets time in first. So a read that follows a silence takes the longer way.
 */
const TRUST_MS = TIMES.stoppedMs / 2

export class NodePort implements CachePort {
  readonly #engine: Serving
  readonly #store: StateMachine
  readonly #calls: Calls
  readonly #clock: Clock
  readonly #cluster: string
  readonly #caches: ReadonlySet<string> | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(options: NodePortOptions) {
    this.#engine = options.engine
    this.#store = options.store
    this.#calls = options.calls
    this.#clock = options.clock
    this.#cluster = options.cluster
    this.#caches = options.caches
  }

  close(): void {
    this.#closed = true
  }

  now(): number {
    return this.#clock.now()
  }

  async get(
    cache: string,
    key: string,
    timeoutMs: number,
    how?: ReadHow,
  ): Promise<RawEntry | undefined> {
    if (!this.#isHere(cache, how)) return await this.#calls.get(cache, key, timeoutMs, how)
    const record = this.#store.get(cache, key, this.#engine.time())
    return record === undefined ? undefined : rawEntry(record)
  }

  async getValue<V>(
    cache: string,
    key: string,
    timeoutMs: number,
    decode: (bytes: Uint8Array) => V,
    how?: ReadHow,
  ): Promise<V | undefined> {
    if (!this.#isHere(cache, how))
      return await this.#calls.getValue(cache, key, timeoutMs, decode, how)
    const record = this.#store.get(cache, key, this.#engine.time())
    if (record === undefined) return undefined
    try {
      return decode(Buffer.from(record.value, 'latin1'))
    } catch (cause) {
      if (cause instanceof GcacheError) throw cause
      throw new GcacheError('CODEC', 'the value cannot be decoded by this codec', { cause })
    }
  }

  async has(cache: string, key: string, timeoutMs: number, how?: ReadHow): Promise<boolean> {
    if (!this.#isHere(cache, how)) return await this.#calls.has(cache, key, timeoutMs, how)
    return this.#store.has(cache, key, this.#engine.time())
  }

  async size(cache: string, timeoutMs: number, how?: ReadHow): Promise<number> {
    if (!this.#isHere(cache, how)) return await this.#calls.size(cache, timeoutMs, how)
    return this.#store.size(cache, this.#engine.time())
  }

  async scan(
    cache: string,
    prefix: string,
    cursor: number,
    limit: number,
    timeoutMs: number,
    how?: ReadHow,
  ): Promise<RawPage> {
    // A cursor is one store's own, and the page says whose: so all pages come the same way.
    return await this.#calls.scan(cache, prefix, cursor, limit, timeoutMs, how)
  }

  set(cache: string, key: string, value: Uint8Array, options: SetOptions): Promise<WriteReceipt> {
    return this.#calls.set(cache, key, value, options)
  }

  delete(cache: string, key: string, options: DeleteOptions): Promise<WriteReceipt> {
    return this.#calls.delete(cache, key, options)
  }

  touch(cache: string, key: string, options: TouchOptions): Promise<WriteReceipt> {
    return this.#calls.touch(cache, key, options)
  }

  clear(cache: string, options: WriteOptions): Promise<WriteReceipt> {
    return this.#calls.clear(cache, options)
  }

  watch(...wanted: Parameters<CachePort['watch']>): () => void {
    return this.#calls.watch(...wanted)
  }

  /** May this store answer now, and so at once? Rejects what no node would answer. */
  #isHere(cache: string, how: ReadHow | undefined): boolean {
    if (this.#closed) throw new GcacheError('CLOSED', 'the node is closed')
    if (how === undefined ? !this.#leads() : !this.#mayAnswer(how)) return false
    if (this.#caches !== undefined && !this.#caches.has(cache))
      throw new GcacheError('NO_SUCH_CACHE', `no configuration names the cache ${cache}`)
    const { epoch, next } = this.#engine.applied()
    this.#calls.seen.note(epoch, next - 1)
    return true
  }

  #leads(): boolean {
    const { role, serving } = this.#engine.standing
    const now = this.#clock.now()
    const fresh = now - this.#askedAt < TRUST_MS
    this.#askedAt = now
    return role === 'master' && serving && fresh
  }

  /** Who must wait, or ask another, takes the way through the engine. */
  #mayAnswer({ read, maxStaleMs = TIMES.maxStaleMs, after }: ReadHow): boolean {
    if (read === 'linearizable') return false
    const local = read === 'local'
    if (!local && !this.#leads()) return false
    // A node that was stopped has an old freshness: nothing needs to happen first.
    if (local && this.#clock.now() - this.#engine.freshness() > maxStaleMs) return false
    const asked = after === undefined ? [] : decodeToken(this.#cluster, after, 0)
    const { seen } = this.#calls
    const { epoch, next } = this.#engine.applied()
    const has = (position: Position): boolean => {
      const place = this.#engine.place(position)
      return place === 'applied' || (place === 'here' && position.offset < next)
    }
    if (!asked.every(has)) return false
    if (!local) return true
    if (!seen.positions.every(has)) return false
    seen.replace(seen.positions, epoch, next - 1)
    return true
  }
}

function rawEntry(record: StoredRecord): RawEntry {
  const { value, version, expiresAt } = record
  return { value: Buffer.from(value, 'latin1'), version, expiresAt }
}
