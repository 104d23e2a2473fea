/**
 * I10: what clients were told is linearizable for each key: set, delete, get and touch, conditions
 * included, could have happened one after the other, each between its start and its end, with every
 * later version higher. A retried write is one call, and one operation. One without an answer may
 * take effect at any time after its start, or never.
 *
 *   set               its version; unknown: some version that a reader may name later
 *   get, touch        the version met, or absent; a refused condition says what it met
 *   clear             a delete of whatever is there, of each key of the cache by itself: a clear
 *                     that is half done is found only where one key shows it
 *   delete            absent afterwards
 *
 * Only records that stay until somebody deletes them are judged, so caches with a life or with
 * eviction are left out by `judges`, and so is a key that a call ever gave a life of its own. Calls
 * that promise less than linearizability are named by `binds`: such a read says nothing, and such a
 * write counts as if nobody had heard its answer.
 *
 * The law holds as long as one log goes on: where all memories are lost at once, and a new history
 * begins, it is broken.
 */
import type { CacheOptions } from '../../contracts/store.js'
import { checkLinearizable, type Interval, type SearchLimits } from '../linearizability.js'
import { type RecordOperation, record } from '../record-model.js'
import type { Call } from '../simulated-client.js'
import type { Checker, World } from './checker.js'
import { lifeMsOf } from './expiry.js'

export interface LinearizableOptions {
  /** False leaves a cache out. */
  judges?(cache: string): boolean
  /** False: an answer to this call promises nothing. Default: `bindsMajority`. */
  binds?(call: Call): boolean
  /** For each key. */
  limits?: SearchLimits
}

export interface LinearizableCalls extends Checker {
  /** Keys whose calls were judged, and those of them that took too long to decide. */
  readonly judged: number
  readonly undecided: number
}

const LIMITS: SearchLimits = { stepsMax: 2_000_000, cacheBytesMax: 64 * 2 ** 20 }
const SHOWN_MAX = 8

export function callsAreLinearizable(
  world: World,
  options: LinearizableOptions = {},
): LinearizableCalls {
  return new LinearizabilityChecker(world, options)
}

/** True if records of `cache` stay until somebody deletes them. */
export function keepsRecords(
  cache: string,
  caches: Readonly<Record<string, CacheOptions>>,
): boolean {
  const options = Object.hasOwn(caches, cache) ? caches[cache] : undefined
  if (options === undefined) return lifeMsOf(cache) === 0
  return options.eviction === 'none' && options.ttlMs === 0 && options.idleMs === 0
}

/** What is known of a call. Order is that of the simulator's events, in which time stands still. */
interface Seen {
  readonly start: number
  end: number | undefined
}

interface SeenCall extends Interval<RecordOperation> {
  readonly call: Call
}

class LinearizabilityChecker implements LinearizableCalls {
  readonly name = 'calls are linearizable'
  judged = 0
  undecided = 0
  readonly #world: World
  readonly #options: LinearizableOptions
  readonly #calls = new Map<Call, Seen>()
  #events = 0

  constructor(world: World, options: LinearizableOptions) {
    this.#world = world
    this.#options = options
  }

  onCallStart(call: Call): void {
    if (call.kind === 'open' || this.#options.judges?.(call.cache) === false) return
    this.#calls.set(call, { start: this.#events++, end: undefined })
  }

  onCallEnd(call: Call): void {
    const seen = this.#calls.get(call)
    if (seen !== undefined) seen.end = this.#events++
  }

  onQuiet(): void {
    for (const [key, calls] of this.#byKey()) {
      const { verdict, stuck } = checkLinearizable(calls, record, this.#options.limits ?? LIMITS)
      this.judged++
      if (verdict === 'undecided') this.undecided++
      if (verdict === 'violated') this.#fail(key, calls, stuck)
    }
  }

  #byKey(): ReadonlyMap<string, SeenCall[]> {
    const keys = new Map<string, SeenCall[]>()
    const mortal = new Set<string>()
    const clears: SeenCall[] = []
    for (const [call, { start, end }] of this.#calls) {
      const key = nameOf(call)
      if ((call.ttlMs ?? 0) > 0 || (call.idleMs ?? 0) > 0) mortal.add(key)
      const answered = this.#answers(call)
      const operation = answered ? answeredOperation(call) : openOperation(call)
      if (operation === undefined) continue
      const seen = { call, operation, start, end: answered ? end : undefined }
      if (call.kind === 'clear') clears.push(seen)
      else {
        const calls = keys.get(key) ?? []
        keys.set(key, calls)
        calls.push(seen)
      }
    }
    for (const key of mortal) keys.delete(key)
    for (const calls of keys.values())
      calls.push(...clears.filter(({ call }) => call.cache === calls[0].call.cache))
    return keys
  }

  /** False: as if nobody had heard how it ended. */
  #answers(call: Call): boolean {
    const { outcome, reply } = call
    if (outcome === 'open' || outcome === 'unknown') return false
    const binds = this.#options.binds?.(call) ?? bindsMajority(call, this.#world.nodes)
    if (!binds) return false
    if (reply?.kind !== 'error' || isCondition(reply.code)) return true
    // The last attempt was surely refused, but what became of the ones before?
    return call.attempts <= 1
  }

  #fail(
    key: string,
    calls: readonly SeenCall[],
    stuck: Interval<RecordOperation> | undefined,
  ): never {
    const at = stuck ?? calls[0]
    const near = calls
      .filter(one => one.end === undefined || one.end > at.start)
      .filter(one => one.start < (at.end ?? Number.POSITIVE_INFINITY))
      .filter(one => one !== at)
      .slice(-SHOWN_MAX)
    const blocked = calls.find(one => one === at) ?? calls[0]
    this.#world.fail(
      'I10',
      `${key}: in no order of its ${calls.length} calls can there be ${show(blocked)}; ` +
        `beside it: ${near.map(show).join('; ') || 'nothing'}`,
    )
  }
}

function nameOf({ cache, key }: Call): string {
  return `${cache}/${key}`
}

/** As `bindsMajority`, and of the reads only those that ask for it. */
export function promisesOrder(call: Call, nodes: number): boolean {
  return call.kind === 'get' ? call.read === 'linearizable' : bindsMajority(call, nodes)
}

/** Whether an ack waits for what no later master can lack. A read has no ack and is bound. */
function bindsMajority({ kind, ack }: Call, nodes: number): boolean {
  if (kind === 'get' || ack === undefined) return true
  if (ack === 'none' || ack === 'master') return false
  return !ack.startsWith('slaves:') || 2 * (Number(ack.slice('slaves:'.length)) + 1) > nodes
}

function isCondition(code: string): boolean {
  return code === 'ALREADY_EXISTS' || code === 'VERSION_MISMATCH' || code === 'NOT_FOUND'
}

/** Undefined: it did nothing and says nothing. */
function answeredOperation(call: Call): RecordOperation | undefined {
  const { kind, reply, ifVersion } = call
  if (reply === undefined) return undefined
  if (reply.kind === 'error')
    switch (reply.code) {
      case 'ALREADY_EXISTS':
        return { kind: 'see-present' }
      case 'VERSION_MISMATCH':
        return { kind: 'see-other', version: ifVersion ?? 0 }
      case 'NOT_FOUND':
        return { kind: 'see-absent' }
      default:
        return undefined
    }
  switch (kind) {
    case 'get':
    case 'touch':
      return reply.kind === 'absent'
        ? { kind: 'see-absent' }
        : { kind: 'see', version: reply.version }
    case 'set':
      return { kind, version: reply.version, ifAbsent: call.ifAbsent ?? false, ifVersion }
    case 'delete':
      return { kind, heard: true, ifVersion }
    case 'clear':
      return { kind }
    case 'open':
      return undefined
  }
}

function openOperation(call: Call): RecordOperation | undefined {
  const { kind, ifVersion } = call
  switch (kind) {
    case 'set':
      return { kind, version: undefined, ifAbsent: call.ifAbsent ?? false, ifVersion }
    case 'delete':
      return { kind, heard: false, ifVersion }
    case 'clear':
      return { kind }
    default:
      return undefined
  }
}

function show({ call, operation }: SeenCall): string {
  const { client, seq, kind, outcome, reply, startedAt, endedAt } = call
  const told = reply?.kind === 'error' ? reply.code : (reply?.version ?? '')
  return (
    `${kind} ${client}${seq === 0 ? '' : `#${seq}`} ${outcome} ${told} ` +
    `(${operation.kind}, ${startedAt.toFixed(1)}..${endedAt?.toFixed(1) ?? ''} ms)`
  )
}
