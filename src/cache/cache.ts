/**
 * The typed face of Node and Client: one implementation of the rules of `Cache` over a port of raw
 * bytes. A plain get or set adds a codec and two comparisons to the port, and no promise of its
 * own.
 */
import { LIMITS, TIMES } from '../config.js'
import type {
  Cache,
  CachePort,
  ChangeEvent,
  CodecChoice,
  DeleteOptions,
  Entry,
  RawPage,
  ReadHow,
  ReadOptions,
  ScanOptions,
  SetOptions,
  TouchOptions,
  WatchOptions,
  WriteOptions,
  WriteReceipt,
} from '../contracts/cache.js'
import { GcacheError } from '../errors.js'
import { codecOf, type LentCodec } from './codec.js'
import { askMany } from './many.js'
import { checkOptions, howOf, KNOWN, kindOf, pageSize } from './options.js'
import { WatchIterator } from './watch-iterator.js'

export interface CacheFaceOptions<V> {
  /** Default 'msgpack'. */
  codec?: CodecChoice<V>
  /** Deadline of calls that name none, ms. Default 5,000. */
  timeoutMs?: number
}

type ChosenOptions = SetOptions & { readonly timeoutMs: number }

/** A string of this many UTF-16 units fits LIMITS.keyBytesMax whatever it holds. */
const SHORT_KEY_MAX = Math.floor(LIMITS.keyBytesMax / 3)
/** Times that a scan of one store begins again because another master answered. */
const SCAN_RESTARTS_MAX = 8

/** `name`: 1..64 bytes. Throws LIMIT for another name, CONFIG for unknown options. */
export function createCache<V>(
  port: CachePort,
  name: string,
  options: CacheFaceOptions<V> = {},
): Cache<V> {
  checkOptions(options, KNOWN.cache)
  if (typeof name !== 'string') throw new GcacheError('CONFIG', 'a cache name is a string')
  const bytes = Buffer.byteLength(name)
  if (bytes === 0 || bytes > LIMITS.cacheNameBytesMax)
    throw new GcacheError(
      'LIMIT',
      `cache name of ${bytes} bytes is not within 1..${LIMITS.cacheNameBytesMax}`,
    )
  return new PortCache<V>(port, name, codecOf(options.codec), options.timeoutMs)
}

class PortCache<V> implements Cache<V> {
  readonly name: string
  readonly #port: CachePort
  readonly #codec: LentCodec<V>
  readonly #decode: (lent: Uint8Array) => V
  readonly #timeoutMs: number
  readonly #plain: ChosenOptions

  constructor(port: CachePort, name: string, codec: LentCodec<V>, timeoutMs: number | undefined) {
    this.name = name
    this.#port = port
    this.#codec = codec
    this.#decode = lent => codec.decode(lent)
    this.#timeoutMs = timeoutMs ?? TIMES.timeoutMs
    this.#plain = this.#chosen({}, KNOWN.set)
  }

  get(key: string, options?: ReadOptions): Promise<V | undefined> {
    try {
      checkKey(key)
      if (options === undefined)
        return this.#port.getValue(this.name, key, this.#timeoutMs, this.#decode)
      const timeoutMs = this.#within(options)
      return this.#port.getValue(this.name, key, timeoutMs, this.#decode, howOf(options))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async getEntry(key: string, options?: ReadOptions): Promise<Entry<V> | undefined> {
    checkKey(key)
    const raw = await this.#port.get(this.name, key, this.#within(options), howOf(options))
    if (raw === undefined) return undefined
    const expiresAt = raw.expiresAt === 0 ? undefined : raw.expiresAt
    return { value: this.#read(raw.value), version: raw.version, expiresAt }
  }

  has(key: string, options?: ReadOptions): Promise<boolean> {
    try {
      checkKey(key)
      return this.#port.has(this.name, key, this.#within(options), howOf(options))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async getMany(keys: readonly string[], options?: ReadOptions): Promise<(V | undefined)[]> {
    checkKeys(keys, checkKey)
    const timeoutMs = this.#within(options)
    const how = howOf(options)
    return askMany(keys, {
      ...this.#allOf('read', timeoutMs),
      keyOf: key => key,
      ask: (key, leftMs) => this.#port.getValue(this.name, key, leftMs, this.#decode, how),
    })
  }

  set(key: string, value: V, options?: SetOptions): Promise<WriteReceipt> {
    try {
      checkWrittenKey(key)
      const chosen = options === undefined ? this.#plain : this.#chosen(options, KNOWN.set)
      return this.#port.set(this.name, key, this.#write(value), chosen)
    } catch (error) {
      return Promise.reject(refused(error))
    }
  }

  async setMany(
    pairs: Iterable<readonly [string, V]>,
    options?: SetOptions,
  ): Promise<WriteReceipt[]> {
    const [chosen, encoded] = beforeWrite(() => {
      const own = options === undefined ? this.#plain : this.#chosen(options, KNOWN.set)
      const list = listOf(pairs)
      for (const [key] of list) checkWrittenKey(key)
      return [own, list.map(([key, value]) => [key, this.#write(value)] as const)] as const
    })
    return askMany(encoded, {
      ...this.#allOf('write', chosen.timeoutMs),
      keyOf: ([key]) => key,
      ask: ([key, bytes], timeoutMs) =>
        this.#port.set(this.name, key, bytes, { ...chosen, timeoutMs }),
      bytesOf: ([, bytes]) => bytes.length,
    })
  }

  delete(key: string, options?: DeleteOptions): Promise<boolean> {
    return this.#found(key, options, KNOWN.delete, chosen =>
      this.#port.delete(this.name, key, chosen),
    )
  }

  async deleteMany(keys: readonly string[], options?: DeleteOptions): Promise<boolean[]> {
    const chosen = beforeWrite(() => {
      checkKeys(keys, checkWrittenKey)
      return options === undefined ? this.#plain : this.#chosen(options, KNOWN.delete)
    })
    return askMany(keys, {
      ...this.#allOf('write', chosen.timeoutMs),
      keyOf: key => key,
      ask: (key, timeoutMs) => found(this.#port.delete(this.name, key, { ...chosen, timeoutMs })),
    })
  }

  touch(key: string, options?: TouchOptions): Promise<boolean> {
    return this.#found(key, options, KNOWN.touch, chosen =>
      this.#port.touch(this.name, key, chosen),
    )
  }

  async clear(options: WriteOptions = {}): Promise<WriteReceipt> {
    const chosen = beforeWrite(() => this.#chosen(options, KNOWN.write))
    return this.#port.clear(this.name, chosen)
  }

  async size(options?: ReadOptions): Promise<number> {
    return this.#port.size(this.name, this.#within(options), howOf(options))
  }

  async *keys(options: ScanOptions = {}): AsyncGenerator<string, undefined> {
    for await (const page of this.#pages(options)) yield* page.keys
  }

  async *entries(options: ScanOptions = {}): AsyncGenerator<[string, V], undefined> {
    for await (const { keys, values } of this.#pages(options))
      for (let i = 0; i < keys.length; i++) yield [keys[i], this.#read(values[i])]
  }

  watch(options: WatchOptions = {}): AsyncIterableIterator<ChangeEvent<V>> {
    checkOptions(options, KNOWN.watch)
    const iterator = new WatchIterator<V>(options.signal)
    const prefix = options.prefix ?? ''
    return iterator.start(push =>
      this.#port.watch(
        this.name,
        prefix,
        event => {
          let typed: ChangeEvent<V>
          try {
            typed = this.#event(event)
          } catch (error) {
            iterator.fail(error)
            return
          }
          push(typed)
        },
        error => iterator.fail(error),
      ),
    )
  }

  /** Pages of a scan, the next one asked for while this one is used. */
  async *#pages(options: ScanOptions): AsyncGenerator<RawPage, undefined> {
    checkOptions(options, KNOWN.scan)
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs
    let how = howOf(options)
    const ask = (cursor: number): Promise<RawPage> => {
      const prefix = options.prefix ?? ''
      const page = this.#port.scan(this.name, prefix, cursor, pageSize(options), timeoutMs, how)
      // It may fail while nobody waits for it: the loop below meets the failure if it goes on.
      page.catch(() => {})
      return page
    }
    let restarts = 0
    let from: number | undefined
    let first: RawPage | undefined
    let coming = ask(0)
    for (;;) {
      const page = await coming
      // Where another store's pages begin, the scan goes on with that one, as one that has begun.
      if (page.from !== from) {
        from = page.from
        first = page
        restarts = 0
      }
      first ??= page
      if (page.epoch !== first.epoch || page.source !== first.source) {
        if (++restarts > SCAN_RESTARTS_MAX)
          throw new GcacheError('NOT_READY', 'the master changed too often for a scan')
        first = undefined
        how = fromMaster(how)
        coming = ask(page.from ?? 0)
        continue
      }
      if (page.cursor !== 0) coming = ask(page.cursor)
      yield page
      if (page.cursor === 0) return undefined
    }
  }

  #within(options: ReadOptions | undefined): number {
    if (options === undefined) return this.#timeoutMs
    checkOptions(options, KNOWN.read)
    return options.timeoutMs ?? this.#timeoutMs
  }

  /** Every field in one order: objects of one shape keep the path beneath it fast. */
  #chosen(options: SetOptions, known: Readonly<Record<string, string>>): ChosenOptions {
    checkOptions(options, known)
    const { timeoutMs = this.#timeoutMs, ack, ttlMs, idleMs, ifVersion, ifAbsent } = options
    return { timeoutMs, ack, ttlMs, idleMs, ifVersion, ifAbsent }
  }

  #write(value: V): Uint8Array {
    if (value === undefined)
      throw new GcacheError('CODEC', 'undefined is no value: delete the key instead', {
        outcome: 'rejected',
      })
    try {
      return this.#codec.encode(value)
    } catch (cause) {
      throw codecError('encoded', cause)
    }
  }

  #read(lent: Uint8Array): V {
    try {
      return this.#decode(lent)
    } catch (cause) {
      throw codecError('decoded', cause)
    }
  }

  #event(event: ChangeEvent<Uint8Array>): ChangeEvent<V> {
    const { kind, key, value, version } = event
    return { kind, key, value: value === undefined ? undefined : this.#read(value), version }
  }

  #found(
    key: string,
    options: WriteOptions | undefined,
    known: Readonly<Record<string, string>>,
    ask: (chosen: WriteOptions) => Promise<WriteReceipt>,
  ): Promise<boolean> {
    try {
      checkWrittenKey(key)
      return found(ask(options === undefined ? this.#plain : this.#chosen(options, known)))
    } catch (error) {
      return Promise.reject(refused(error))
    }
  }

  /** Of a call with many keys. */
  #allOf<K extends 'read' | 'write'>(kind: K, timeoutMs: number) {
    return { kind, timeoutMs, now: () => this.#port.now() }
  }
}

/** NOT_FOUND becomes false. */
async function found(asked: Promise<WriteReceipt>): Promise<boolean> {
  try {
    await asked
    return true
  } catch (error) {
    if (error instanceof GcacheError && error.code === 'NOT_FOUND') return false
    throw refused(error)
  }
}

/** A scan that a node near by could not finish begins again where the next page surely comes from
 *  the same store. */
function fromMaster(how: ReadHow | undefined): ReadHow | undefined {
  return howOf({ ...how, read: 'master' })
}

function checkKey(key: string): void {
  if (typeof key !== 'string')
    throw new GcacheError('CONFIG', `a key is a string, not a ${typeof key}`)
  if (key.length !== 0 && key.length <= SHORT_KEY_MAX) return
  const bytes = Buffer.byteLength(key)
  if (bytes === 0 || bytes > LIMITS.keyBytesMax)
    throw new GcacheError('LIMIT', `key of ${bytes} bytes is not within 1..${LIMITS.keyBytesMax}`)
}

/** Half a surrogate pair would be stored under another key. A key of one-byte characters, such as
 *  ASCII, is known to be well formed without looking at them. */
function checkWrittenKey(key: string): void {
  checkKey(key)
  if (!key.isWellFormed())
    throw new GcacheError('LIMIT', 'a key with half a surrogate pair has no UTF-8')
}

function checkKeys(keys: readonly string[], check: (key: string) => void): void {
  if (!Array.isArray(keys))
    throw new GcacheError('CONFIG', `keys are a list of strings, not ${kindOf(keys)}`)
  for (const key of keys) check(key)
}

/** The pairs of a list, a Map or anything else that yields them. */
function listOf<V>(pairs: Iterable<readonly [string, V]>): (readonly [string, V])[] {
  let list: (readonly [string, V])[] | undefined
  try {
    if (typeof pairs !== 'string') list = [...pairs]
  } catch (cause) {
    throw new GcacheError('CONFIG', 'pairs must be a list or a Map of [key, value]', { cause })
  }
  if (list?.every(Array.isArray) !== true)
    throw new GcacheError('CONFIG', 'pairs must be a list or a Map of [key, value]')
  return list
}

function codecError(what: string, cause: unknown): GcacheError {
  if (cause instanceof GcacheError && cause.code === 'CODEC') return cause
  const outcome = what === 'encoded' ? 'rejected' : undefined
  return new GcacheError('CODEC', `the value cannot be ${what} by this codec`, { cause, outcome })
}

/** A write that this side refused surely did not happen. */
function refused(error: unknown): unknown {
  if (!(error instanceof GcacheError) || error.outcome !== undefined) return error
  return new GcacheError(error.code, error.message, { cause: error.cause, outcome: 'rejected' })
}

/** What this side does before it asks for a write. */
function beforeWrite<T>(prepare: () => T): T {
  try {
    return prepare()
  } catch (error) {
    throw refused(error)
  }
}

declare global {
  /** Of ES2024; every Node that is supported has it. */
  interface String {
    isWellFormed(): boolean
  }
}
