/**
 * The typed face that Node and Client share (`Cache`), and the port of raw bytes beneath it. One
 * implementation of the rules (src/cache/cache.ts) serves both.
 */
import type { Ack, Offset, PeerId } from './types.js'

/** Where a write stands: for applications `(epoch, offset)` is a fencing token. */
export interface WriteReceipt {
  /** Version of the record after the write; pass it as `ifVersion`. 0 after delete and clear. */
  readonly version: Offset
  readonly epoch: number
  readonly offset: Offset
  /** Logs that held the entry when it was answered, the master's included. */
  readonly copies: number
  readonly durableCopies: number
}

export interface Entry<V> {
  readonly value: V
  readonly version: Offset
  /** Milliseconds since 1970 by cluster time; undefined: never. */
  readonly expiresAt: number | undefined
}

export interface CallOptions {
  /** The call settles before it, ms. Default 5,000. */
  timeoutMs?: number
}

/**
 * Who may answer a read. 'master' (default): the node that serves as master; stale on one that was
 * deposed until it hears of it. 'local': a node near by, at most `maxStaleMs` behind its master; in
 * profile ordinal that of its own side of a network split, which counts as up to date however long
 * it is cut off from another one. With 'linearizable' a majority of the nodes vouches for the
 * master first (READ_MODE where the strategy has no such reads, and in all profiles but majority).
 */
export type ReadMode = 'master' | 'local' | 'linearizable'

export interface ReadOptions extends CallOptions {
  /** Default 'master'. */
  read?: ReadMode
  /** Only with 'local': how far behind the master the answer may be, ms, 1..2^31. Default 5,000.
   *  A slave hears of its freshness every 100 ms: below some 300 most reads go to the master. */
  maxStaleMs?: number
  /** What token() said, here or elsewhere: the answer is at least as new as all that its client had
   *  read and written. DIVERGED if some of that was lost; CONFIG for what is no such token. */
  after?: string
}

export interface WriteOptions extends CallOptions {
  /** Default: the strategy's (`insync` under profile ordinal). */
  ack?: Ack
}

export interface SetOptions extends WriteOptions {
  /** Absolute life, ms, 1..2^45. 0: none. Default: the cache's. */
  ttlMs?: number
  /** Life without a set or touch, ms. 0: none. Default: the cache's. */
  idleMs?: number
  /** Set only if the record's version is this one, else VERSION_MISMATCH, or NOT_FOUND where there
   *  is no record. 0: only if there is none, else VERSION_MISMATCH. */
  ifVersion?: Offset
  /** Set only if there is no record, else ALREADY_EXISTS. */
  ifAbsent?: boolean
}

export interface DeleteOptions extends WriteOptions {
  /** Delete only if the record's version is this one, else VERSION_MISMATCH; false where there is
   *  no record. */
  ifVersion?: Offset
}

export interface TouchOptions extends WriteOptions {
  /** A new absolute life from now on; without it only the idle time restarts. */
  ttlMs?: number
}

/** Pages are read one by one: `read` is 'master' or 'local'. */
export interface ScanOptions extends ReadOptions {
  prefix?: string
  /** Records a page asks for, 1..1,000. Default 256. */
  pageSize?: number
}

export interface ChangeEvent<V> {
  /** 'gap': events may be missing from here (failover, a link lost); read again what matters. */
  readonly kind: 'set' | 'delete' | 'touch' | 'expire' | 'evict' | 'clear' | 'gap'
  readonly key: string
  /** Only with 'set'. */
  readonly value: V | undefined
  readonly version: Offset
}

export interface WatchOptions {
  prefix?: string
  signal?: AbortSignal
}

/**
 * A named region of keys. Keys are strings of 1..512 bytes in UTF-8; a write refuses one with half
 * a surrogate pair (LIMIT), which has no UTF-8. Every call that is made wrongly rejects with CONFIG
 * or LIMIT; watch() throws it.
 */
export interface Cache<V> {
  readonly name: string
  get(key: string, options?: ReadOptions): Promise<V | undefined>
  getEntry(key: string, options?: ReadOptions): Promise<Entry<V> | undefined>
  has(key: string, options?: ReadOptions): Promise<boolean>
  /** Values in the order of `keys`. */
  getMany(keys: readonly string[], options?: ReadOptions): Promise<(V | undefined)[]>
  set(key: string, value: V, options?: SetOptions): Promise<WriteReceipt>
  /** Each pair is a write of its own. All calls with many keys ask for every key, within one
   *  deadline, and reject once all have settled: with the first failure, whose `failed` tells which
   *  keys failed, and why each. Its outcome is 'rejected' only where no key was written. */
  setMany(pairs: Iterable<readonly [string, V]>, options?: SetOptions): Promise<WriteReceipt[]>
  /** True if there was a record. */
  delete(key: string, options?: DeleteOptions): Promise<boolean>
  deleteMany(keys: readonly string[], options?: DeleteOptions): Promise<boolean[]>
  /** Extends a record's life without sending its value; false if there is none. */
  touch(key: string, options?: TouchOptions): Promise<boolean>
  clear(options?: WriteOptions): Promise<WriteReceipt>
  size(options?: ReadOptions): Promise<number>
  keys(options?: ScanOptions): AsyncIterableIterator<string>
  entries(options?: ScanOptions): AsyncIterableIterator<[string, V]>
  watch(options?: WatchOptions): AsyncIterableIterator<ChangeEvent<V>>
}

/** How values become bytes. Servers never look inside. */
export interface ValueCodec<V> {
  encode(value: V): Uint8Array
  /** `bytes` may be kept: it is the codec's own copy. */
  decode(bytes: Uint8Array): V
}

export type CodecChoice<V> = 'msgpack' | 'json' | 'bytes' | ValueCodec<V>

export interface RawEntry {
  readonly value: Uint8Array
  readonly version: Offset
  /** 0: never. */
  readonly expiresAt: number
}

export interface RawPage {
  readonly keys: readonly string[]
  readonly values: readonly Uint8Array[]
  readonly cursor: number
  /** Epoch number under which it was read, and who read it: a cursor means nothing elsewhere. */
  readonly epoch: number
  readonly source: PeerId
  /** Of a scan that goes through several stores: the cursor at which this one's pages begin. */
  readonly from?: number
}

/** How to read, beyond a plain read from the master. `after` is judged by the port. */
export type ReadHow = Pick<ReadOptions, 'read' | 'maxStaleMs' | 'after'>

/**
 * What lies under a Cache: the client's calls to the master, or the embedded node. Every promise
 * settles before its deadline, rejected with a GcacheError.
 */
export interface CachePort {
  /** Monotonic ms, of the clock that judges the deadlines. */
  now(): number
  get(cache: string, key: string, timeoutMs: number, how?: ReadHow): Promise<RawEntry | undefined>
  /** get() for a typed face: `decode` sees the value's bytes, lent for the call; what it
   *  throws rejects, as CODEC. Saves a promise a get. */
  getValue<V>(
    cache: string,
    key: string,
    timeoutMs: number,
    decode: (bytes: Uint8Array) => V,
    how?: ReadHow,
  ): Promise<V | undefined>
  has(cache: string, key: string, timeoutMs: number, how?: ReadHow): Promise<boolean>
  size(cache: string, timeoutMs: number, how?: ReadHow): Promise<number>
  scan(
    cache: string,
    prefix: string,
    cursor: number,
    limit: number,
    timeoutMs: number,
    how?: ReadHow,
  ): Promise<RawPage>
  set(cache: string, key: string, value: Uint8Array, options: SetOptions): Promise<WriteReceipt>
  /** Rejects with NOT_FOUND where there is nothing. */
  delete(cache: string, key: string, options: DeleteOptions): Promise<WriteReceipt>
  touch(cache: string, key: string, options: TouchOptions): Promise<WriteReceipt>
  clear(cache: string, options: WriteOptions): Promise<WriteReceipt>
  /** Calls `sink` for each event until the returned function is called, or `fail` once: FORBIDDEN,
   *  perhaps only at the next master. */
  watch(
    cache: string,
    prefix: string,
    sink: (event: ChangeEvent<Uint8Array>) => void,
    fail?: (error: Error) => void,
  ): () => void
}
