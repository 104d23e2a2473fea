/**
 * express-session's store on a Client or an embedded Node. `Store` is the application's own copy of
 * express-session, taken as an argument, so this file imports nothing of it. The middleware's
 * habits and traps stand in FIELD section 4 of the design.
 */
import type { Cache, CodecChoice } from '../contracts/cache.js'
import type { Ack, Offset } from '../contracts/types.js'
import { suggestion } from '../core/suggest.js'
import { GcacheError } from '../errors.js'
import { ackCode } from '../wire/requests.js'
import {
  canonical,
  DEFAULT_TTL_MS,
  lifeOf,
  type SessionData,
  type StoreCallOptions,
  saveKnown,
} from './session-rules.js'

export type { SessionCookie, SessionData } from './session-rules.js'

/** Client and Node are both such: whatever gives caches by name. */
export interface CacheSource {
  cache<V>(name: string, options?: { codec?: CodecChoice<V> }): Cache<V>
}

/** connect-redis's pair: a session as text. */
export interface SessionSerializer {
  stringify(session: SessionData): string
  parse(text: string): SessionData
}

/** Exactly one of `client`, `node` and `cache` says where the sessions live. */
export interface SessionStoreOptions {
  client?: CacheSource
  node?: CacheSource
  /** A cache of your own, with its codec. */
  cache?: Cache<SessionData>
  /** The cache's name where client or node is given. Default 'sessions'. */
  cacheName?: string
  /** Before every session id. Default 'sess:'. */
  prefix?: string
  /**
   * Life of a session whose cookie has no expiry, ms, default 86,400,000; or a function that
   * decides every session's life. A life of 0 or less destroys the session.
   */
  ttlMs?: number | ((session: SessionData) => number)
  /** Sessions are never extended without being saved. Default false. */
  disableTouch?: boolean
  /** How sessions become text; with client or node only. Default: the cache's own codec. */
  serializer?: SessionSerializer
  /**
   * Each call to the cluster settles before it, so no response hangs. Default 5,000 ms. get, touch
   * and destroy are one; a save is one, and two more for each other save that overtakes it; all,
   * length and clear are one a page.
   */
  timeoutMs?: number
  /** What a save waits for. Default: the strategy's. */
  ack?: Ack
}

type Callback<T> = (error?: unknown, value?: T) => void

/** The store's own methods, with callback or promise. Express-session calls the first four. */
export interface GcacheSessionStore {
  get(sid: string, done?: Callback<SessionData | null>): Promise<SessionData | null>
  set(sid: string, session: object, done?: Callback<void>): Promise<void>
  touch(sid: string, session: object, done?: Callback<void>): Promise<void>
  destroy(sid: string, done?: Callback<void>): Promise<void>
  /** All live sessions, each with its `id`. */
  all(done?: Callback<SessionData[]>): Promise<SessionData[]>
  length(done?: Callback<number>): Promise<number>
  clear(done?: Callback<void>): Promise<void>
}

// biome-ignore lint/suspicious/noExplicitAny: the user's own class, whatever its version
type AnyStore = abstract new (...given: any[]) => any

/** The part of express-session's module that is needed. */
export interface SessionModule {
  Store: AnyStore
}

const OPTION_NAMES = [
  'client',
  'node',
  'cache',
  'cacheName',
  'prefix',
  'ttlMs',
  'disableTouch',
  'serializer',
  'timeoutMs',
  'ack',
] as const satisfies readonly (keyof SessionStoreOptions)[]

/** Where a loaded session keeps what the store knew of it: never enumerable, never stored. */
const KNOWN = Symbol('gcache.known')

interface KnownSession {
  sid: string
  version: Offset
}

const DELETE_PAGE = 256
const LIFE_MS_MAX = 2 ** 45

/**
 * Makes a store for `session({ store })`:
 *
 *   import session from 'express-session'
 *   app.use(session({ store: sessionStore(session, { client }), secret, resave: false, ... }))
 *
 * Rules: of overlapping requests a logout wins (a save of a session destroyed or expired since it
 * was read is dropped, without an error); of two saves of one session the last wins as a whole;
 * touch uses only `session.cookie` and creates nothing; sessions go through toJSON and come back as
 * copies. A plain object given to `set`, which the middleware did not load, overwrites without
 * condition. Throws CONFIG for wrong options, also when `session` is not express-session's module.
 */
export function sessionStore<M extends SessionModule>(
  session: M,
  options: SessionStoreOptions,
): InstanceType<M['Store']> & GcacheSessionStore {
  if (typeof session?.Store !== 'function')
    throw new GcacheError(
      'CONFIG',
      'sessionStore(session, options) takes the module of express-session first: ' +
        'npm install express-session, then import session from "express-session"',
    )
  const cache = cacheOf(options)
  class GcacheStore extends session.Store {
    readonly #rules = new StoreRules(cache, options)

    get(sid: string, done?: Callback<SessionData | null>) {
      return answer(this.#rules.get(sid), done)
    }

    set(sid: string, data: object, done?: Callback<void>) {
      return answer(this.#rules.set(sid, data as SessionData), done)
    }

    touch(sid: string, data: object, done?: Callback<void>) {
      return answer(this.#rules.touch(sid, data as SessionData), done)
    }

    destroy(sid: string, done?: Callback<void>) {
      return answer(this.#rules.destroy(sid), done)
    }

    all(done?: Callback<SessionData[]>) {
      return answer(this.#rules.all(), done)
    }

    length(done?: Callback<number>) {
      return answer(this.#rules.length(), done)
    }

    clear(done?: Callback<void>) {
      return answer(this.#rules.clear(), done)
    }

    // Session copies only enumerable properties: what we know of the record is carried over here.
    createSession(req: unknown, data: SessionData) {
      const made = super.createSession(req, data)
      const known = knownOf(data)
      if (known !== undefined) remember(made, known)
      return made
    }
  }
  return new GcacheStore() as InstanceType<M['Store']> & GcacheSessionStore
}

function cacheOf(options: SessionStoreOptions): Cache<SessionData> {
  if (typeof options !== 'object' || options === null)
    throw new GcacheError('CONFIG', 'sessionStore needs options: at least { client } or { node }')
  for (const name of Object.keys(options))
    if (!(OPTION_NAMES as readonly string[]).includes(name))
      throw new GcacheError(
        'CONFIG',
        `unknown option ${name} of sessionStore: ${suggestion(name, OPTION_NAMES)}`,
      )
  const { client, node, cache, serializer } = options
  checkValues(options)
  const sources = [client, node, cache].filter(source => source !== undefined)
  if (sources.length !== 1)
    throw new GcacheError(
      'CONFIG',
      `sessionStore needs exactly one of client, node and cache, given ${sources.length}`,
    )
  if (cache !== undefined) {
    if (serializer !== undefined || options.cacheName !== undefined)
      throw new GcacheError(
        'CONFIG',
        'sessionStore: a cache of your own has its name and codec; leave out cacheName, serializer',
      )
    return cache
  }
  const codec: CodecChoice<SessionData> =
    serializer === undefined
      ? 'msgpack'
      : {
          encode: value => Buffer.from(serializer.stringify(value)),
          decode: bytes => serializer.parse(Buffer.from(bytes).toString()),
        }
  return (client ?? node)!.cache<SessionData>(options.cacheName ?? 'sessions', { codec })
}

type Test = (value: never) => boolean

const isFunction = (value: unknown): boolean => typeof value === 'function'
const isText = (value: unknown): boolean => typeof value === 'string'
const isSource: Test = (value: CacheSource | null) => isFunction(value?.cache)
const isMs = (value: unknown): boolean =>
  typeof value === 'number' && value >= 1 && value <= LIFE_MS_MAX

/** What a value must be, and how it is told. Whatever is wrong shows when the store is made. */
const VALUES: Record<keyof SessionStoreOptions, readonly [Test, string]> = {
  client: [isSource, 'what connect() resolves with'],
  node: [isSource, 'what createNode() resolves with'],
  cache: [(value: Cache<SessionData> | null) => isFunction(value?.getEntry), 'a cache'],
  cacheName: [isText, 'a string'],
  prefix: [isText, 'a string'],
  ttlMs: [value => isMs(value) || isFunction(value), 'a number of 1 or more, or a function'],
  disableTouch: [value => typeof value === 'boolean', 'true or false'],
  serializer: [
    (value: SessionSerializer | null) => isFunction(value?.stringify) && isFunction(value?.parse),
    'an object with stringify and parse',
  ],
  timeoutMs: [value => isMs(value) && value < 2 ** 31, 'a number of 1 to 2^31 - 1'],
  ack: [isText, 'a string'],
}

function checkValues(options: SessionStoreOptions): void {
  for (const name of OPTION_NAMES) {
    const value = options[name]
    const [fits, wanted] = VALUES[name]
    if (value !== undefined && !fits(value as never))
      throw new GcacheError('CONFIG', `option ${name} of sessionStore must be ${wanted}`)
  }
  ackCode(options.ack)
}

/** The store without its callbacks: what each method promises. */
class StoreRules {
  readonly #cache: Cache<SessionData>
  readonly #prefix: string
  readonly #ttlMs: number | ((session: SessionData) => number)
  readonly #disableTouch: boolean
  readonly #call: StoreCallOptions

  constructor(cache: Cache<SessionData>, options: SessionStoreOptions) {
    this.#cache = cache
    this.#prefix = options.prefix ?? 'sess:'
    this.#ttlMs = options.ttlMs ?? DEFAULT_TTL_MS
    this.#disableTouch = options.disableTouch ?? false
    this.#call = {}
    if (options.timeoutMs !== undefined) this.#call.timeoutMs = options.timeoutMs
    if (options.ack !== undefined) this.#call.ack = options.ack
  }

  async get(sid: string): Promise<SessionData | null> {
    const entry = await this.#cache.getEntry(this.#key(sid), this.#read)
    if (entry === undefined || !isSession(entry.value)) return null
    const copy = this.#withExpiry(canonical(entry.value), entry.expiresAt)
    remember(copy, { sid, version: entry.version })
    return copy
  }

  async set(sid: string, session: SessionData): Promise<void> {
    const lifeMs = this.#lifeOf(session)
    if (lifeMs <= 0) return await this.destroy(sid)
    const options = { ...this.#call, ttlMs: lifeMs }
    const known = knownOf(session)
    const data = canonical(session)
    if (known === undefined && !isLive(session)) {
      await this.#cache.set(this.#key(sid), data, options)
      return
    }
    const before = { version: known?.sid === sid ? known.version : undefined }
    const version = await saveKnown(this.#cache, this.#key(sid), data, before, options)
    // One request may save twice: the next save continues from this one.
    if (version !== undefined) remember(session, { sid, version })
  }

  async touch(sid: string, session: SessionData): Promise<void> {
    if (this.#disableTouch) return
    const lifeMs = this.#lifeOf(session)
    if (lifeMs <= 0) return await this.destroy(sid)
    await this.#cache.touch(this.#key(sid), { ...this.#call, ttlMs: lifeMs })
  }

  async destroy(sid: string): Promise<void> {
    await this.#cache.delete(this.#key(sid), this.#call)
  }

  async all(): Promise<SessionData[]> {
    const sessions: SessionData[] = []
    for await (const [key, value] of this.#cache.entries(this.#scan)) {
      if (!isSession(value)) continue
      const id = key.slice(this.#prefix.length)
      // Touched since it was saved: only the record knows until when it lives.
      const touched = typeof this.#ttlMs !== 'function' && lifeOf(value, 1) <= 0
      const session = touched ? await this.get(id) : canonical(value)
      if (session !== null) sessions.push({ ...session, id })
    }
    return sessions
  }

  async length(): Promise<number> {
    let count = 0
    for await (const _ of this.#cache.keys(this.#scan)) count++
    return count
  }

  async clear(): Promise<void> {
    let page: string[] = []
    for await (const key of this.#cache.keys(this.#scan)) {
      page.push(key)
      if (page.length < DELETE_PAGE) continue
      await this.#cache.deleteMany(page, this.#call)
      page = []
    }
    if (page.length > 0) await this.#cache.deleteMany(page, this.#call)
  }

  /** Touch prolongs the record and leaves its bytes alone, so the cookie in them may have expired;
   *  a save of such a session must not destroy it. */
  #withExpiry(copy: SessionData, expiresAt: number | undefined): SessionData {
    if (expiresAt === undefined || typeof this.#ttlMs === 'function') return copy
    const { expires } = copy.cookie
    if (typeof expires === 'string') copy.cookie.expires = new Date(expiresAt).toISOString()
    return copy
  }

  #key(sid: string): string {
    return this.#prefix + sid
  }

  /** `session` may have no more than its cookie. */
  #lifeOf(session: SessionData): number {
    const lifeMs =
      typeof this.#ttlMs === 'function' ? this.#ttlMs(session) : lifeOf(session, this.#ttlMs)
    // A cookie may last until the year 9999; a record lives at most so long.
    return Math.min(Math.ceil(lifeMs), LIFE_MS_MAX)
  }

  get #read(): { timeoutMs?: number } {
    return this.#call.timeoutMs === undefined ? {} : { timeoutMs: this.#call.timeoutMs }
  }

  get #scan(): { prefix: string; timeoutMs?: number } {
    return { ...this.#read, prefix: this.#prefix }
  }
}

function isSession(value: unknown): value is SessionData {
  if (typeof value !== 'object' || value === null) return false
  const cookie = (value as { cookie?: unknown }).cookie
  return typeof cookie === 'object' && cookie !== null
}

/** The middleware's Session carries its request; an object that a user made does not. */
function isLive(session: object): boolean {
  return typeof (session as { req?: unknown }).req === 'object'
}

function knownOf(session: object): KnownSession | undefined {
  return (session as { [KNOWN]?: KnownSession })[KNOWN]
}

function remember(session: object, known: KnownSession): void {
  if (!Object.isExtensible(session) && knownOf(session) === undefined) return
  Object.defineProperty(session, KNOWN, { value: known, writable: true, configurable: true })
}

/**
 * Gives `done` its answer on a fresh stack, so that what it throws is its own; the promise is then
 * already answered for and never rejects. Without `done` the promise is the answer.
 */
function answer<T>(work: Promise<T>, done: Callback<T> | undefined): Promise<T> {
  if (typeof done !== 'function') return work
  work.then(
    value => process.nextTick(done, null, value),
    error => process.nextTick(done, error),
  )
  return work.catch(() => undefined as T)
}
