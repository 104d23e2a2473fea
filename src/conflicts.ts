/**
 * Conflicts of strategy broadcast as an application meets them: an event for each, and the option
 * onConflict, whose answer is a write like any other, on condition that what won still stands.
 */
import type { CachePort, SetOptions } from './contracts/cache.js'
import type { ConflictFunction, ConflictSide } from './contracts/conflict.js'
import type { Clock, Logger } from './contracts/environment.js'
import type { Lost } from './contracts/stamped.js'
import { GcacheError } from './errors.js'
import type { StampedStore } from './store/stamped.js'

export interface ConflictsEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly onConflict: ConflictFunction | undefined
  readonly port: Pick<CachePort, 'set'>
  /** Cluster time in ms. */
  time(): number
  tell(fields: Record<string, unknown>): void
}

/** Of one turn, and bytes of their values; more are counted, and only that: one clear may wipe a
 *  million writes. */
const OFFERED_MAX = 10_000
const OFFERED_BYTES_MAX = 2 ** 26
/** A merged value that cannot be written within it is given up. */
const WRITE_MS = 5_000
/** What says that somebody wrote in between: then there is nothing to merge any more. */
const OVERTAKEN: readonly string[] = ['VERSION_MISMATCH', 'NOT_FOUND', 'ALREADY_EXISTS']

/** What `stamped` loses is told from now on. CONFIG for onConflict where nothing is lost that it
 *  could decide. */
export function offerConflicts(stamped: StampedStore | undefined, env: ConflictsEnv): void {
  if (stamped !== undefined && !stamped.apart) {
    const conflicts = new Conflicts(env, stamped)
    stamped.onLost = lost => conflicts.offer(lost)
  } else if (env.onConflict !== undefined)
    throw new GcacheError(
      'CONFIG',
      `option onConflict ${stamped === undefined ? NO_BROADCAST : NO_VALUES}`,
    )
}

const NO_BROADCAST = 'is for strategy broadcast: two masters of a split are merged by onMerge'
const NO_VALUES =
  "has nothing to decide with carry: 'invalidations': what a node is told to drop is a copy, and " +
  'an answer would bring the old value back; leave it out'

/** With the values, where somebody will be asked. */
interface Offered extends Omit<Lost, 'mine' | 'theirs'> {
  readonly mine: string | undefined
  readonly theirs: string | undefined
}

class Conflicts {
  readonly #env: ConflictsEnv
  readonly #store: Pick<StampedStore, 'peek'>
  #offered: Offered[] = []
  #bytes = 0

  constructor(env: ConflictsEnv, store: Pick<StampedStore, 'peek'>) {
    this.#env = env
    this.#store = store
  }

  /** Called in the middle of a step: nobody outside hears of it before that is over. */
  offer(lost: Lost): void {
    if (this.#offered.length >= OFFERED_MAX || this.#bytes >= OFFERED_BYTES_MAX) return
    const isAsked = this.#env.onConflict !== undefined
    const mine = isAsked ? lost.mine() : undefined
    const theirs = isAsked ? lost.theirs() : undefined
    this.#bytes += (mine?.length ?? 0) + (theirs?.length ?? 0)
    if (this.#offered.push({ ...lost, mine, theirs }) === 1)
      this.#env.clock.after(0, () => this.#flush())
  }

  #flush(): void {
    const offered = this.#offered
    this.#offered = []
    this.#bytes = 0
    for (const lost of offered) this.#decide(lost)
  }

  #decide(lost: Offered): void {
    const { cache, key, mineVersion, theirsVersion } = lost
    const merged = this.#ask(lost)
    this.#env.tell({ cache, key, mineVersion, theirsVersion, merged: merged !== undefined })
    if (merged === undefined) return
    const condition = lost.theirs === undefined ? { ifAbsent: true } : { ifVersion: theirsVersion }
    const options: SetOptions = { ...condition, ...this.#life(lost), timeoutMs: WRITE_MS }
    this.#env.port.set(cache, key, merged, options).catch(error => {
      const code = error instanceof GcacheError ? error.code : String(error)
      if (!OVERTAKEN.includes(code)) this.#env.logger.warn({ cache, code }, 'nothing was merged')
    })
  }

  #ask(lost: Offered): Uint8Array | undefined {
    const { onConflict, logger } = this.#env
    if (onConflict === undefined) return undefined
    const { cache, key } = lost
    const mine = sideOf(lost.mine, lost.mineVersion)
    try {
      const answer = onConflict(cache, key, mine, sideOf(lost.theirs, lost.theirsVersion))
      if (answer === undefined || answer instanceof Uint8Array) return answer
      logger.warn({ cache }, 'onConflict answered neither bytes nor undefined')
    } catch (error) {
      logger.warn({ cache, error: String(error) }, 'onConflict threw')
    }
    return undefined
  }

  /** The merged value lives as long as what it replaces. */
  #life({ cache, key }: Offered): { ttlMs?: number; idleMs?: number } {
    const record = this.#store.peek(cache, key)
    if (record === undefined) return {}
    const { deadline, idleMs } = record
    return { ttlMs: deadline === 0 ? 0 : Math.max(1, deadline - this.#env.time()), idleMs }
  }
}

function sideOf(value: string | undefined, version: number): ConflictSide | undefined {
  return value === undefined ? undefined : { value: Buffer.from(value, 'latin1'), version }
}
