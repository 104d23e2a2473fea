/**
 * A node on its way into a cluster: announces itself, asks everybody that discovery shows, and does
 * what formation-rules.ts decides. Afterwards it goes on announcing, tells the engine where members
 * were seen, and watches for a second process of its own id.
 */
import { createHash } from 'node:crypto'
import { makeDiscovery } from './client/finder.js'
import { FORMATION } from './config.js'
import type { Announcement, Discovery, DiscoveryFactory, Sighting } from './contracts/discovery.js'
import type { Clock, Logger, Random, Timer } from './contracts/environment.js'
import type { StrategyStatus } from './contracts/strategy.js'
import type { TransportFactory } from './contracts/transport.js'
import type { Member, PeerId } from './contracts/types.js'
import { GcacheError } from './errors.js'
import { type Decision, decide, type Founder, listOf, type Word } from './formation-rules.js'
import { RollCall } from './roll-call.js'

export interface FormationEnv {
  readonly cluster: string
  readonly discovery: DiscoveryFactory
  /** Proves who dials, where there are proofs. */
  readonly transport: TransportFactory
  readonly sign: ((bytes: Uint8Array) => Uint8Array) | undefined
  readonly insecure: boolean
  /** Of the addresses that are dialled. */
  readonly scheme: string | undefined
  readonly self: Pick<Founder, 'id' | 'ordinal' | 'process'>
  readonly expect: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** What others dial; asked once the node listens. */
  address(): string
  status(): StrategyStatus
  /** Once. */
  meet(members: readonly Member[]): void
  sight(peer: PeerId, address: string): void
  /** The node cannot go on. */
  fail(error: GcacheError): void
}

/** A second cluster of this name is said to be one after so long: histories meet and merge. */
const SECOND_CLUSTER_MS = 10_000
const SECOND_CLUSTER_EVERY_MS = 60_000
/** Refusals of a join that waiting does not mend. */
const FINAL_CODES: ReadonlySet<string> = new Set(['CONFIG', 'FORBIDDEN', 'AUTH_FAILED'])
/** Addresses that one line names. */
const SILENT_SHOWN = 3
const NO_HISTORY = '0'.repeat(16)

export class Formation {
  readonly #env: FormationEnv
  readonly #discovery: Discovery
  readonly #roll: RollCall
  readonly #since: number
  #why = 'has just begun'
  #listensSince = 0
  #promised: readonly Founder[] = []
  #toldAt = Number.NEGATIVE_INFINITY
  #onlineSince: number | undefined
  #enoughSince: number | undefined
  #joinAt = 0
  #joining = false
  #met = false
  #timer: Timer | undefined
  #loggedAt = Number.NEGATIVE_INFINITY
  #logged = ''
  #otherSince: number | undefined
  #otherLoggedAt = Number.NEGATIVE_INFINITY
  #stopping: Promise<void> | undefined

  /** Throws what the discovery throws for wrong options. */
  constructor(env: FormationEnv) {
    this.#env = env
    const { cluster, clock, random, logger, sign, insecure, scheme, transport } = env
    this.#since = Math.floor(clock.wall())
    this.#discovery = makeDiscovery(env.discovery, {
      ...{ cluster, clock, random, logger, sign, insecure, scheme },
      proved: false,
      self: () => this.announcement(),
    })
    this.#roll = new RollCall({
      ...{ transport, cluster, clock, random, logger },
      changed: () => this.#consider(),
    })
  }

  /** Once the node listens. Rejects with what start() of the discovery rejects with. */
  async start(): Promise<void> {
    await this.#roll.start()
    this.#listensSince = this.#env.clock.now()
    await this.#discovery.start(() => this.#onChanged())
    if (this.#stopping === undefined) this.#turn()
  }

  /** What it waits for, and who was seen and does not answer, for people; '' once it is in a
   *  cluster. */
  get why(): string {
    const { silence } = this.#roll
    if (this.#met || silence.length === 0) return this.#why
    const more = silence.length > SILENT_SHOWN ? `, and ${silence.length - SILENT_SHOWN} more` : ''
    return `${this.#why}; no word from ${silence.slice(0, SILENT_SHOWN).join(', ')}${more}`
  }

  /** Says good-bye. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#timer?.cancel()
      await Promise.all([this.#discovery.stop(), this.#roll.stop()])
    })()
    return this.#stopping
  }

  /** For whoever asks for this node's status. */
  get facts(): Readonly<Record<string, unknown>> {
    const counts = this.#discovery.counts?.()
    return {
      ...{ process: this.#env.self.process, since: this.#since },
      ...(counts === undefined ? {} : { discovery: counts }),
      ...(this.#met ? {} : { forming: { expect: this.#env.expect, promise: this.#tell() } }),
    }
  }

  announcement(): Announcement {
    const { history } = this.#env.status()
    const { id, ordinal, address, process, since } = this.#self()
    const presence = this.#met ? 'member' : 'forming'
    return { id, ordinal, address, process, since, presence, history: tagOf(history) }
  }

  #tell(): string {
    if (this.#promised.length > 0) this.#toldAt = this.#env.clock.now()
    return listOf(this.#promised)
  }

  #self(): Founder {
    return { ...this.#env.self, since: this.#since, address: this.#env.address() }
  }

  #turn(): void {
    this.#onChanged()
    const { clock, random } = this.#env
    const delayMs = FORMATION.askEveryMs * (0.75 + random.next() / 2)
    this.#timer = clock.after(delayMs, () => this.#turn())
  }

  /** Discovery has news, or it is time to ask again. */
  #onChanged(): void {
    if (this.#stopping !== undefined) return
    const known = this.#discovery.known()
    const own = this.#env.address()
    if (this.#met) return this.#watch(known)
    this.#roll.ask(known.map(({ address }) => address).filter(address => address !== own))
    this.#consider()
  }

  #consider(): void {
    if (this.#stopping !== undefined || this.#joining) return
    if (this.#met) return this.#judgeTwin()
    const now = this.#env.clock.now()
    const words = this.#roll.words
    const online = words.some(word => word.serves && isOnline(word, this.#env.self.id))
    this.#onlineSince = online ? (this.#onlineSince ?? now) : undefined
    const decision = decide({
      ...{ self: this.#self(), profile: this.#env.status().profile, expect: this.#env.expect },
      ...{ now, listensSince: this.#listensSince, promised: this.#promised, toldAt: this.#toldAt },
      ...{ words, mute: this.#mute(words) },
      ...{ onlineSince: this.#onlineSince, enoughSince: this.#enoughSince },
    })
    this.#do(decision, now)
  }

  #do(decision: Decision, now: number): void {
    switch (decision.do) {
      case 'wait':
        if (decision.enough) this.#enoughSince ??= now
        else if (!this.#isPatient(now)) this.#enoughSince = undefined
        return this.#waitFor(decision.why, now)
      case 'promise':
        this.#promised = decision.founders
        this.#waitFor(decision.why, now)
        return this.#consider()
      case 'start':
        return this.#meet(decision.members, decision.how)
      case 'join':
        if (now >= this.#joinAt) void this.#join(decision.master)
        return
      case 'refuse': {
        const { code, text, holder } = decision
        const error = new GcacheError(code, text)
        if (holder !== undefined) this.#roll.tell(holder, this.#farewellTo(holder))
        return this.#env.fail(error)
      }
    }
  }

  /** Its founders are chosen: who comes now does not make it wait anew. */
  #isPatient(now: number): boolean {
    return this.#enoughSince !== undefined && now - this.#enoughSince >= FORMATION.patienceMs
  }

  #meet(members: readonly Member[], how: string): void {
    const { logger, self } = this.#env
    this.#met = true
    this.#why = ''
    this.#roll.ask([])
    logger.info({ node: self.id, how, members: members.map(({ id }) => id) }, 'found its cluster')
    this.#env.meet(members)
    this.#discovery.announce?.()
  }

  async #join(master: Word): Promise<void> {
    const { clock, random, self } = this.#env
    this.#joining = true
    const { ordinal } = self
    const member = { id: self.id, ordinal, address: this.#env.address() }
    this.#why = `asks ${master.node.id} to be taken in`
    try {
      const { members } = await this.#roll.join(master, member, FORMATION.joinMs)
      this.#joining = false
      if (this.#stopping === undefined) this.#meet(members.map(asVoter), 'taken in')
    } catch (error) {
      this.#joining = false
      if (this.#stopping !== undefined) return
      if (error instanceof GcacheError && FINAL_CODES.has(error.code)) return this.#env.fail(error)
      this.#joinAt = clock.now() + FORMATION.joinEveryMs * (0.5 + random.next())
      this.#waitFor(`${master.node.id} does not take it in yet: ${String(error)}`, clock.now())
    }
  }

  /** Seen, and not heard: it may be frozen, or cut off. */
  #mute(words: readonly Word[]) {
    const { freshMs } = FORMATION
    const now = this.#env.clock.now()
    const fresh = words.filter(({ askedAt }) => now - askedAt <= freshMs)
    return this.#discovery.known().flatMap(({ address, said }) => {
      if (said === undefined || fresh.some(({ node }) => node.process === said.process)) return []
      return [{ id: said.id, address, in: said.presence === 'member' }]
    })
  }

  #waitFor(why: string, now: number): void {
    this.#why = [why, this.#discovery.trouble?.()?.message].filter(Boolean).join('; ')
    if (this.#why === this.#logged && now - this.#loggedAt < FORMATION.logEveryMs) return
    this.#logged = this.#why
    this.#loggedAt = now
    const { logger, self } = this.#env
    const silent = this.#roll.silence
    logger.info({ node: self.id, why: this.#why, ...(silent.length ? { silent } : {}) }, 'waits')
  }

  // In a cluster.

  #watch(known: readonly Sighting[]): void {
    const { id, process } = this.#env.self
    const twins: string[] = []
    for (const { address, said } of known)
      if (said?.id === id && said.process !== process) twins.push(address)
      else if (said?.presence === 'member') this.#env.sight(said.id, address)
    this.#roll.ask(twins)
    this.#watchHistories(known)
  }

  /** Another process of this id. The younger one goes while it has no cluster. If it has one, it
   *  was let in because this one was silent: then this one goes. */
  #judgeTwin(): void {
    const { self, clock, logger } = this.#env
    const twin = this.#roll.words.find(
      ({ node, askedAt }) =>
        node.id === self.id &&
        node.process !== self.process &&
        clock.now() - askedAt <= FORMATION.freshMs,
    )
    if (twin === undefined) return
    const { address } = twin
    if (twin.forming === undefined && twin.node.since > this.#since) {
      const text =
        `id ${self.id} is taken: while this process stood still, another one took its place at ` +
        `${address}: this one ends`
      return this.#env.fail(new GcacheError('ID_TAKEN', text))
    }
    const now = clock.now()
    if (now - this.#loggedAt < FORMATION.logEveryMs) return
    this.#loggedAt = now
    logger.warn({ code: 'ID_TAKEN', address }, `another process calls itself ${self.id}`)
  }

  /** Nothing is done about it but to say so: which one goes on is an operator's to decide. */
  #watchHistories(known: readonly Sighting[]): void {
    const own = tagOf(this.#env.status().history)
    const other = known.find(
      ({ said }) =>
        said?.presence === 'member' && said.history !== own && said.history !== NO_HISTORY,
    )
    const now = this.#env.clock.now()
    if (other === undefined || own === NO_HISTORY) {
      this.#otherSince = undefined
      return
    }
    this.#otherSince ??= now
    const since = now - this.#otherSince
    if (since < SECOND_CLUSTER_MS || now - this.#otherLoggedAt < SECOND_CLUSTER_EVERY_MS) return
    this.#otherLoggedAt = now
    const { id, address } = other.said as Announcement
    this.#env.logger.error(
      { other: id, address, cluster: this.#env.cluster },
      'two clusters have this name, each with data of its own: start the nodes of one anew',
    )
  }

  #farewellTo(holder: Word): GcacheError {
    const { id } = this.#env.self
    const text =
      `${id} at ${this.#env.address()} goes away, because ${holder.node.id} at ` +
      `${holder.node.address} has that id`
    return new GcacheError('ID_TAKEN', text)
  }
}

function isOnline({ members }: Word, id: PeerId): boolean {
  return members.some(member => member.id === id && member.state === 'online')
}

/** The log says who learns; a list of members does not. */
function asVoter({ id, ordinal, address, witness }: Member): Member {
  return { id, ordinal, address, ...(witness ? { witness } : {}) }
}

function tagOf(history: string): string {
  if (history === '') return NO_HISTORY
  return createHash('sha256').update(history).digest('hex').slice(0, 16)
}
