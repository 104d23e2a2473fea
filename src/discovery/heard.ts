/**
 * What was heard on the group: judges each datagram, remembers who spoke for as long as they speak,
 * and counts what it drops by reason. Cheap reasons go first; signatures are judged at a bounded
 * rate, so whoever floods the group can hide nodes but not stall one.
 */
import { timingSafeEqual } from 'node:crypto'
import { DISCOVERY } from '../config.js'
import type { Announcement, Sighting } from '../contracts/discovery.js'
import type { Clock } from '../contracts/environment.js'
import { GcacheError } from '../errors.js'
import { type AnnouncementRecord, decodeRecord, signatureOf } from './record.js'

/** Since the start. */
export interface HeardCounts {
  /** Good ones. */
  heard: number
  /** Longer than a datagram may be. */
  tooLarge: number
  malformed: number
  foreignCluster: number
  /** Wrong, missing, or there though nobody here can judge it. */
  badSignature: number
  /** Out of the window, or no newer than the last of that process: a repeat. */
  oldTime: number
  /** From another host, though unsigned ones are for this one only. */
  foreignHost: number
  /** More than can be judged in a second. */
  tooMany: number
  /** Nobody was forgotten in time for it. */
  tableFull: number
}

export interface HeardEnv {
  readonly cluster: string
  readonly clock: Clock
  readonly sign: ((bytes: Uint8Array) => Uint8Array) | undefined
  /** Unsigned announcements count only if they come from this host. */
  readonly loopbackOnly: boolean
  /** Own announcements come back to their sender. */
  readonly ownProcess: () => string | undefined
}

interface Heard {
  said: Announcement
  sighting: Sighting
  /** Its sender's wall ms, and the nonce of its last record: the next one is newer. */
  time: number
  nonce: string
  /** Own monotonic ms. */
  silentAt: number
}

/** What a datagram changed. */
export type HeardChange = 'none' | 'known' | 'new' | 'gone'

export class HeardNodes {
  readonly counts: HeardCounts = {
    ...{ heard: 0, tooLarge: 0, malformed: 0, foreignCluster: 0, badSignature: 0 },
    ...{ oldTime: 0, foreignHost: 0, tooMany: 0, tableFull: 0 },
  }
  readonly #env: HeardEnv
  /** By id and process: two processes of one id are two. */
  readonly #nodes = new Map<string, Heard>()
  #second = 0
  #judged = 0

  constructor(env: HeardEnv) {
    this.#env = env
  }

  /** `isOwnHost`: it came from a loopback address. */
  take(bytes: Uint8Array, isOwnHost: boolean): HeardChange {
    const record = this.#judge(bytes, isOwnHost)
    if (record === undefined) return 'none'
    const { said } = record
    if (said.process === this.#env.ownProcess()) return 'none'
    const key = `${said.id} ${said.process}`
    const known = this.#nodes.get(key)
    if (known !== undefined && isRepeat(record, known)) {
      this.counts.oldTime++
      return 'none'
    }
    if (said.presence === 'leaving') return this.#leave(key, record, known)
    return this.#keep(key, record, known)
  }

  /** Those that still speak. */
  get known(): readonly Sighting[] {
    return [...this.#nodes.values()]
      .filter(({ said }) => said.presence !== 'leaving')
      .map(({ sighting }) => sighting)
  }

  /** Forgets who is silent; true if anybody was. */
  forget(): boolean {
    const now = this.#env.clock.now()
    let some = false
    for (const [key, { silentAt, said }] of this.#nodes) {
      if (silentAt > now) continue
      this.#nodes.delete(key)
      some ||= said.presence !== 'leaving'
    }
    return some
  }

  #judge(bytes: Uint8Array, isOwnHost: boolean): AnnouncementRecord | undefined {
    const { counts } = this
    const { cluster, clock, sign, loopbackOnly } = this.#env
    let record: AnnouncementRecord
    try {
      record = decodeRecord(bytes)
    } catch (error) {
      if (!(error instanceof GcacheError)) throw error
      counts[error.code === 'FRAME_TOO_BIG' ? 'tooLarge' : 'malformed']++
      return undefined
    }
    const why = ((): keyof HeardCounts | undefined => {
      if (record.cluster !== cluster) return 'foreignCluster'
      if (loopbackOnly && !isOwnHost) return 'foreignHost'
      if (Math.abs(clock.wall() - record.time) > DISCOVERY.replayMs) return 'oldTime'
      if (record.signed !== (sign !== undefined)) return 'badSignature'
      if (sign === undefined) return undefined
      if (!this.#mayJudge()) return 'tooMany'
      const { signed, signature } = signatureOf(bytes)
      return timingSafeEqual(sign(signed), signature) ? undefined : 'badSignature'
    })()
    counts[why ?? 'heard']++
    return why === undefined ? record : undefined
  }

  #mayJudge(): boolean {
    const second = Math.floor(this.#env.clock.now() / 1_000)
    if (second !== this.#second) this.#judged = 0
    this.#second = second
    return this.#judged++ < DISCOVERY.judgedPerSecMax
  }

  /** Kept, unseen, for as long as an older word of it could be said again. */
  #leave(key: string, record: AnnouncementRecord, known: Heard | undefined): HeardChange {
    if (known === undefined) return 'none'
    const { said, time, nonce } = record
    const silentAt = this.#env.clock.now() + 2 * DISCOVERY.replayMs
    this.#nodes.set(key, { ...known, said, time, nonce, silentAt })
    return 'gone'
  }

  #keep(key: string, record: AnnouncementRecord, known: Heard | undefined): HeardChange {
    const { said, time, nonce, intervalMs } = record
    if (known === undefined && this.#nodes.size >= DISCOVERY.sightingsMax) {
      this.forget()
      if (this.#nodes.size >= DISCOVERY.sightingsMax) {
        this.counts.tableFull++
        return 'none'
      }
    }
    const silentAt = this.#env.clock.now() + intervalMs * DISCOVERY.silentIntervals
    const sighting = { address: said.address, said }
    this.#nodes.set(key, { said, sighting, time, nonce, silentAt })
    if (known === undefined) return 'new'
    const { address, presence } = known.said
    return address === said.address && presence === said.presence ? 'none' : 'known'
  }
}

/** Two records of one ms have different nonces; which came first nobody needs to know. */
function isRepeat({ time, nonce }: AnnouncementRecord, known: Heard): boolean {
  return time < known.time || (time === known.time && nonce === known.nonce)
}
