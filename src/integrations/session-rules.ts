/**
 * What every session store must do, whatever framework calls it: judge a session's life, and save
 * it so that a logout wins over every save that began before it. FIELD section 4 lists the traps.
 */
import type { Cache, SetOptions } from '../contracts/cache.js'
import type { Ack, Offset } from '../contracts/types.js'
import { GcacheError } from '../errors.js'

/** What a session's cookie must have for its life to be judged; express-session's has more. */
export interface SessionCookie {
  expires?: Date | string | false | null
}

/** A session as the store sees it: any plain data beside its cookie. */
export interface SessionData {
  cookie: SessionCookie
  [field: string]: unknown
}

/** What a request knew of the record when it read or last saved it. */
export interface Known {
  /** The version; undefined for a session that was never stored. */
  version: Offset | undefined
}

/** Life of a session whose cookie ends with the browser. connect-redis has the same. */
export const DEFAULT_TTL_MS = 86_400_000

/** Bound of the version race that one save may lose; each round another save has won. */
const SAVE_ROUNDS_MAX = 16

/** Milliseconds that `session` has left, from its cookie's expiry, else `fallbackMs`. */
export function lifeOf(session: SessionData, fallbackMs: number): number {
  const expires = session.cookie?.expires
  if (expires === undefined || expires === null || expires === false) return fallbackMs
  const at = expires instanceof Date ? expires.getTime() : Date.parse(expires)
  return Number.isNaN(at) ? fallbackMs : Math.ceil(at - Date.now())
}

/** A plain copy, through each value's toJSON: what JSON would have kept, whatever the codec. */
export function canonical<T>(session: T): T {
  return JSON.parse(JSON.stringify(session)) as T
}

/**
 * Saves what a request made of a session. `known.version` undefined: the session is new. Last save
 * wins among saves; a record destroyed or expired since it was read stays so, and the save is
 * dropped: resolves with undefined. Else resolves with the new version.
 */
export async function saveKnown(
  cache: Cache<SessionData>,
  key: string,
  session: SessionData,
  known: Known,
  options: SetOptions,
): Promise<Offset | undefined> {
  let version = known.version
  for (let round = 0; round < SAVE_ROUNDS_MAX; round++) {
    const condition = version === undefined ? { ifAbsent: true } : { ifVersion: version }
    try {
      const receipt = await cache.set(key, session, { ...options, ...condition })
      return receipt.version
    } catch (error) {
      if (!isConditionFailure(error)) throw error
    }
    const current = await cache.getEntry(key, timeoutOf(options))
    if (current === undefined) {
      // A new session that another save of its own has made, and a logout ended, is no more either.
      return undefined
    }
    version = current.version
  }
  throw new GcacheError(
    'BUSY',
    `a session was saved ${SAVE_ROUNDS_MAX} times while this save ran`,
    {
      outcome: 'rejected',
    },
  )
}

function timeoutOf(options: { timeoutMs?: number }): { timeoutMs?: number } {
  return options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }
}

function isConditionFailure(error: unknown): boolean {
  return (
    error instanceof GcacheError &&
    (error.code === 'VERSION_MISMATCH' ||
      error.code === 'ALREADY_EXISTS' ||
      error.code === 'NOT_FOUND')
  )
}

/** Options of calls that a store makes; both are left out when not set. */
export interface StoreCallOptions {
  timeoutMs?: number
  ack?: Ack
}
