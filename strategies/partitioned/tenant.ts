/**
 * A node's own side of leases: it says what its groups are and want, and renews one lease for all
 * of them with the control group's master. A row of the table that names this process counts while
 * that lease lasts, and only together with a table that is as new as the lease asks for:
 *
 *   asked ---------- ttl less a tenth ----------> nothing here leads any more
 *     |  granted, by who had a majority then, with `need`: rows taken away before are below it
 */
import { LEASE } from '../../src/config.js'
import type { PeerId } from '../../src/contracts/types.js'
import type { Hosted } from './hosted.js'
import type { Fact, Message, Renew } from './messages.js'
import { NODE_LEASE } from './times.js'

type LeaseMessage = Extract<Message, { type: 'lease' }>

interface Noted {
  readonly number: number
  readonly text: string
  readonly fact: Fact
}

export class Tenant {
  /** Until when this process may lead what the table grants it; own clock. */
  untilMs = Number.NEGATIVE_INFINITY
  askedMs = Number.NEGATIVE_INFINITY
  /** Leases that wait for a newer table: the oldest and the newest of them. */
  #pending: LeaseMessage[] = []
  readonly #life: string
  readonly #zone: string
  readonly #noted = new Map<number, Noted>()
  #numbers = 0
  /** Facts up to it were heard by `#granter`. */
  #heard = 0
  #granter = ''
  #renewedAt = Number.NEGATIVE_INFINITY
  #sentUpTo = 0

  constructor(life: string, zone: string) {
    this.#life = life
    this.#zone = zone
  }

  /** Something of a group may have changed. */
  note(fact: Fact): void {
    const text = JSON.stringify(fact)
    if (this.#noted.get(fact.group)?.text === text) return
    this.#noted.set(fact.group, { number: ++this.#numbers, text, fact })
  }

  /**
   * What is due to be said to `granter` (its id and epoch); undefined: nothing. Facts that are news
   * are said at once, and all of them again until they are heard.
   */
  renewal(granter: string, now: number): Renew | undefined {
    if (granter !== this.#granter) {
      this.#granter = granter
      this.#heard = 0
      this.#sentUpTo = 0
      this.#pending = []
      this.#renewedAt = Number.NEGATIVE_INFINITY
    }
    const isDue = now - this.#renewedAt >= NODE_LEASE.renewMs
    if (!isDue && this.#numbers <= this.#sentUpTo) return undefined
    const after = isDue ? this.#heard : this.#sentUpTo
    this.#renewedAt = isDue ? now : this.#renewedAt
    this.#sentUpTo = this.#numbers
    const facts: Fact[] = []
    for (const { number, fact } of this.#noted.values()) if (number > after) facts.push(fact)
    const upTo = this.#numbers
    return { type: 'renew', life: this.#life, zone: this.#zone, asked: now, after, upTo, facts }
  }

  /** An answer of the granter; `known`: how much of the table is. */
  onLease(lease: LeaseMessage, granter: string, known: number): void {
    if (granter !== this.#granter) return
    // Less than it had heard: it left office for a moment, in the same epoch, and forgot.
    this.#heard = lease.heard
    if (this.#pending.length > 1) this.#pending.length = 1
    this.#pending.push(lease)
    this.onKnown(known)
  }

  /** More of the table is known. */
  onKnown(known: number): void {
    while (this.#pending.length > 0 && this.#pending[0].need <= known) {
      const { asked, ttlMs } = this.#pending[0]
      this.#pending.shift()
      this.askedMs = Math.max(this.askedMs, asked)
      this.untilMs = Math.max(this.untilMs, asked + ttlMs * (1 - LEASE.marginShare))
    }
  }
}

/** What `hosted` has to say of itself; `asking` was brought up to date before. */
export function factOf(hosted: Hosted): Fact {
  const { group, born, wants, released, asking } = hosted
  const census = hosted.census()
  const leads = census?.role === 'master'
  const members = leads ? census.view.members : []
  const ids = (list: readonly { id: PeerId }[]) => list.map(({ id }) => id)
  return {
    group,
    born,
    data: census?.data ?? 'empty',
    history: census?.data === 'ready' ? census.history : '',
    above: wants?.above ?? -1,
    released,
    counter: leads ? Math.floor(census.epoch.number / 256) : 0,
    ask: leads ? asking.ask : 0,
    heirs: leads ? asking.heirs : [],
    members: ids(members),
    learners: ids(members.filter(({ learner }) => learner)),
    settled: leads && census.settled,
  }
}

/** It has no part in `group` any more. */
export function nothingOf(group: number): Fact {
  const none = { above: -1, released: 0, counter: 0, ask: 0, heirs: [], members: [], learners: [] }
  return { group, born: 0, data: 'empty', history: '', ...none, settled: false }
}
