/**
 * A record that is compared and set on a NATS broker: one key of a JetStream key-value store, whose
 * revision grows with each set, whoever sets. What of it is trusted stands in core/lease.ts; here
 * is only how it is asked, and what is said while it does not answer.
 */
import { type KV, type NatsConnection, type NatsError, StorageType, type Subscription } from 'nats'
import { LEASE } from '../../src/config.js'
import type { ElectionEnv, Heirs } from '../../src/contracts/election.js'
import type { LeaseOutcome, LeaseRecord, LeaseSight, LeaseStore } from '../../src/core/lease.js'
import { Complaints } from '../stream/complaints.js'
import { type BrokerConnection, type BrokerEvents, BrokerLine } from './broker.js'
import { word } from './subjects.js'

export interface LeasePlace {
  /** In the log. */
  readonly what: string
  /** The key-value store's name. */
  readonly store: string
  /** Copies of it; undefined: as many as the broker's cluster suggests. */
  readonly copies: number | undefined
  readonly ttlMs: number
  readonly open: (() => Promise<NatsConnection>) | undefined
  readonly given: NatsConnection | undefined
}

type Question = 'read' | 'set'

/** The broker's code for "another revision stands there". */
const WRONG_REVISION = 10_071
const COUNTER_MAX = 2 ** 44
/** 255 heirs with ids of 64 characters, and the rest. */
const RECORD_BYTES_MAX = 32 * 1_024

export class NatsLeaseStore implements LeaseStore, BrokerEvents {
  readonly #env: ElectionEnv
  readonly #place: LeasePlace
  readonly #key: string
  readonly #line: BrokerLine
  #events: { onLost(): void; onHint(): void } | undefined
  #view: Promise<KV> | undefined
  /** What the broker refuses, and why: it may answer reads and refuse to set. */
  readonly #causes = new Map<Question, string>()
  #hints: Subscription | undefined
  readonly #underWay = new Set<Promise<unknown>>()

  constructor(env: ElectionEnv, place: LeasePlace) {
    const { clock, logger } = env
    this.#env = env
    this.#place = place
    this.#key = word(env.cluster)
    const world = { clock, logger, complaints: new Complaints(logger, clock) }
    this.#line = new BrokerLine(world, this, `${place.what} (lease)`, place.open)
  }

  get why(): string | undefined {
    const { what } = this.#place
    if (this.#line.up === undefined) {
      const cause = this.#line.cause === undefined ? '' : ` (${this.#line.cause.message})`
      return `the broker ${what} cannot be reached${cause}`
    }
    const cause = this.#causes.get('read') ?? this.#causes.get('set')
    return cause === undefined ? undefined : `the broker ${what} grants none: ${cause}`
  }

  start(events: { onLost(): void; onHint(): void }): void {
    this.#events = events
    this.#line.start(this.#place.given)
  }

  read(end: (sight: LeaseSight | 'unknown') => void): void {
    this.#ask('read', view => view.get(this.#key)).then(
      entry => end(entry === null ? { revision: 0, record: undefined } : sightOf(entry)),
      () => end('unknown'),
    )
  }

  set(revision: number, record: LeaseRecord, end: (outcome: LeaseOutcome) => void): void {
    const bytes = Buffer.from(JSON.stringify(record))
    this.#ask('set', view => view.put(this.#key, bytes, { previousSeq: revision })).then(
      set => end(set),
      (error: NatsError) => end(isStale(error) ? 'stale' : 'unknown'),
    )
  }

  async stop(): Promise<void> {
    const { clock } = this.#env
    const late = new Promise<void>(resolve => clock.after(LEASE.farewellMs, resolve))
    if (this.#line.up !== undefined) await Promise.race([Promise.all(this.#underWay), late])
    this.#events = undefined
    if (this.#hints?.isClosed() === false) this.#hints.unsubscribe()
    await this.#line.stop()
  }

  onBrokerUp(broker: BrokerConnection, again: boolean): void {
    this.#view = undefined
    this.#causes.clear()
    this.#events?.onLost()
    if (again) return
    // Whoever sets it publishes there; not trusted, only looked after at once.
    const subject = `$KV.${this.#place.store}.${this.#key}`
    this.#hints = broker.subscribe(subject, {
      callback: error => {
        if (error === null) this.#events?.onHint()
      },
    })
  }

  onBrokerDown(): void {
    this.#view = undefined
  }

  onBrokerRead(): void {}

  async #ask<T>(what: Question, question: (view: KV) => Promise<T>): Promise<T> {
    const asked = this.#answer(what, question)
    const settled = asked.catch(() => {})
    this.#underWay.add(settled)
    try {
      return await asked
    } finally {
      this.#underWay.delete(settled)
    }
  }

  async #answer<T>(what: Question, question: (view: KV) => Promise<T>): Promise<T> {
    const broker = this.#line.up as NatsConnection | undefined
    if (broker === undefined) throw this.#line.cause ?? new Error('no broker')
    const opened = this.#view ?? this.#open(broker)
    try {
      const answer = await question(await opened)
      this.#causes.delete(what)
      return answer
    } catch (error) {
      if (isStale(error as NatsError)) this.#causes.delete(what)
      else this.#onTrouble(what, error as NatsError, opened)
      throw error
    }
  }

  /** What did not open within a ttl is not kept: it would refuse until the line is new. */
  #open(broker: NatsConnection): Promise<KV> {
    const opened = this.#openView(broker)
    this.#view = opened
    opened.catch(() => {
      if (this.#view === opened) this.#view = undefined
    })
    return opened
  }

  async #openView(broker: NatsConnection): Promise<KV> {
    const { store, ttlMs, copies } = this.#place
    const clustered = broker.info?.cluster !== undefined
    const options = {
      history: 1,
      storage: StorageType.File,
      maxValueSize: RECORD_BYTES_MAX,
      // tidy: allow replicas - the library's own word
      replicas: copies ?? (clustered ? 3 : 1),
      timeout: ttlMs,
    }
    return await broker.jetstream({ timeout: ttlMs }).views.kv(store, options)
  }

  /** The store is opened anew, and may be another one then. */
  #onTrouble(what: Question, error: NatsError, opened: Promise<KV>): void {
    const isNobody = String(error.code) === '503'
    const cause = isNobody ? 'JetStream is not enabled or has no quorum' : error.message
    const text = error.api_error?.description ?? cause
    const isTimeout = String(error.code) === 'TIMEOUT'
    if (this.#view === opened && !isTimeout) {
      this.#view = undefined
      this.#events?.onLost()
    }
    if (this.#causes.get(what) === text || this.#line.up === undefined) return
    this.#causes.set(what, text)
    const { what: broker, store } = this.#place
    this.#env.logger.warn({ broker, store, reason: text }, 'no lease can be had')
  }
}

function isStale(error: NatsError): boolean {
  return error.api_error?.err_code === WRONG_REVISION
}

function sightOf(entry: { revision: number; operation: string; value: Uint8Array }): LeaseSight {
  const { revision, operation, value } = entry
  return { revision, record: operation === 'PUT' ? recordOf(value) : undefined }
}

/** Undefined for what is no record: whoever wrote that, it is waited for as for one. */
function recordOf(bytes: Uint8Array): LeaseRecord | undefined {
  let value: Partial<LeaseRecord> | null
  try {
    value = JSON.parse(Buffer.from(bytes).toString())
  } catch {
    return undefined
  }
  const { holder, life, counter = -1, ttlMs = -1, askedMs, heirs } = value ?? {}
  if (typeof holder !== 'string' || typeof life !== 'string') return undefined
  if (!Number.isSafeInteger(counter) || counter < 0 || counter > COUNTER_MAX) return undefined
  if (!Number.isFinite(ttlMs) || ttlMs < 0 || !Number.isFinite(askedMs)) return undefined
  if (heirs !== undefined && !areHeirs(heirs)) return undefined
  return { holder, life, counter, ttlMs, askedMs: askedMs as number, heirs }
}

function areHeirs(heirs: Partial<Heirs> | null): boolean {
  const { history, ids } = heirs ?? {}
  if (typeof history !== 'string' || !Array.isArray(ids)) return false
  return ids.every(id => typeof id === 'string')
}
