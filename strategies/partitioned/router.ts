/**
 * The groups of a node and what passes between them and the engine. A group hears a tick before
 * anything else that comes later than its last one, and at least every 25 ms (50 where nothing is
 * under way); what a group's step leads to in others waits until that step is over.
 */
import type {
  Effects,
  Input,
  Proposal,
  ReplicationStrategy,
  Standing,
  StrategyEnv,
} from '../../src/contracts/strategy.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { GroupId, Member, PeerId, Session } from '../../src/contracts/types.js'
import { MasterSlave as Group, masterSlave } from '../master-slave/index.js'
import type { Message as GroupMessage } from '../master-slave/messages.js'
import type { Settings as GroupSettings, Profile } from '../master-slave/options.js'
import { Copies } from './copies.js'
import { Gather } from './gather.js'
import { GroupSink, type SinkHandler } from './group-sink.js'
import { type GroupInput, grants, Hosted } from './hosted.js'
import { Links } from './links.js'
import type { Message, Part, Turn } from './messages.js'
import { Office } from './office.js'
import type { Settings } from './options.js'
import { CONTROL, groupOf, hosts, isOnTable, partitionOfGroup, type Row, Table } from './table.js'
import { GROUP_TICK, OPEN_AGAIN_MS } from './times.js'

type Of<K extends Input<never>['kind']> = Extract<Input<Message>, { kind: K }>

export class Router implements SinkHandler {
  readonly env: StrategyEnv
  readonly settings: Settings
  readonly table: Table
  readonly links: Links
  readonly control: Hosted
  /** Of the control group. */
  readonly profile: Profile
  /** Of partitions. */
  readonly hosted = new Map<GroupId, Hosted>()
  readonly office: Office
  /** Members of the control group, as this node knows them; who is leaving among them. */
  readonly members = new Map<PeerId, Member>()
  now = 0
  to!: Effects<Message>
  readonly #groupSettings: GroupSettings
  readonly #gather: Gather
  readonly #sink: GroupSink
  readonly #copies: Copies
  #tick: Of<'tick'> = { kind: 'tick', now: 0, wall: 0, lateMs: 0 }
  #mendedAt = 0
  /** Numbers the lives of groups' links. */
  #sessions = 0
  /** Numbers what is said of this node's part in groups. */
  #turns = 0
  /** What the step at hand leads to in groups. */
  #after: (() => void)[] = []
  /** Groups to say open of, by peer. */
  readonly #opening = new Map<PeerId, GroupId[]>()

  constructor(env: StrategyEnv, settings: Settings) {
    this.env = env
    this.settings = settings
    this.links = new Links(env.self, env.incarnation, settings)
    this.table = new Table(env, settings.partitions, peer => this.links.onPart(peer))
    this.#groupSettings = { ...settings.group, election: grants() }
    this.#gather = new Gather(env.frameBytesMax)
    this.#sink = new GroupSink(this.#gather, this)
    this.#copies = new Copies(settings.copyBytesPerSec)
    this.profile = env.members.length >= 3 ? 'majority' : 'ordinal'
    this.control = new Hosted(CONTROL, 0, controlOf(env, this.profile))
    for (const member of env.members) this.members.set(member.id, member)
    this.office = new Office(this)
  }

  begin(effects: Effects<Message>): void {
    this.to = effects
    this.#sink.to = effects
    this.refresh()
  }

  /** What the engine has applied since is known from here on. */
  refresh(): void {
    if (!this.table.isBehind || this.control.census()?.data !== 'ready') return
    this.office.onRows(this.table.refresh())
  }

  end(): void {
    this.#drain()
    this.office.settle()
    this.#drain()
    for (const [peer, groups] of this.#opening) {
      this.#opening.delete(peer)
      if (this.links.up.has(peer)) this.#say(peer, 'open', groups)
    }
    this.#gather.flush(this.to)
  }

  #drain(): void {
    for (let i = 0; i < this.#after.length; i++) this.#after[i]()
    this.#after.length = 0
  }

  tick(input: Of<'tick'>): void {
    this.#tick = input
    this.now = input.now
    for (const one of this.hosted.values()) one.lateMs = Math.max(one.lateMs, input.lateMs)
    this.feed(this.control, input)
    this.control.tickedAt = input.now
    this.#copies.tick(input.now, this.to)
    for (const one of this.hosted.values()) {
      const everyMs = one.restless ? GROUP_TICK.restlessMs : GROUP_TICK.calmMs
      if (input.now - one.tickedAt >= everyMs) this.#tickGroup(one)
    }
    if (input.now - this.#mendedAt >= OPEN_AGAIN_MS) this.#mend()
    this.office.tick()
  }

  /** Whoever is linked, and has a part in what this node has one in, is linked with it there: a
   *  word of it may have been lost alone, below the law of transports. */
  #mend(): void {
    this.#mendedAt = this.now
    for (const peer of this.links.silent()) this.to.disconnect(peer, 'PROTOCOL_ERROR')
    for (const one of this.hosted.values())
      for (const id of one.listed ?? []) {
        const link = id === this.env.self ? undefined : this.links.of(id)
        if (link === undefined || one.sessions.has(id)) continue
        this.#open(one, id)
        if (link.hosts.has(one.group)) this.#join(one, id)
      }
  }

  #tickGroup(one: Hosted): void {
    const { lateMs } = one
    one.tickedAt = this.now
    one.lateMs = 0
    this.office.tell(one)
    this.#step(one, { ...this.#tick, lateMs })
  }

  feed(one: Hosted, input: GroupInput): void {
    if (one.tickedAt < this.now && one !== this.control) this.#tickGroup(one)
    this.#step(one, input)
  }

  /** Time is let into it, as before any other input. */
  touch(one: Hosted): void {
    if (one.tickedAt < this.now) this.#tickGroup(one)
  }

  /** Without a look at the time. */
  stepOf(one: Hosted, input: GroupInput): void {
    this.#step(one, input)
  }

  /** Once the step at hand is over. */
  later(task: () => void): void {
    this.#after.push(task)
  }

  feedGroup(group: GroupId, input: GroupInput): void {
    const one = this.of(group)
    if (one !== undefined) this.feed(one, input)
  }

  #step(one: Hosted, input: GroupInput): void {
    this.#sink.at = one
    one.core.step(input, this.#sink)
  }

  of(group: GroupId): Hosted | undefined {
    return group === CONTROL ? this.control : this.hosted.get(group)
  }

  coreOf(group: GroupId): ReplicationStrategy<GroupMessage> | undefined {
    return this.of(group)?.core
  }

  rowOf(one: Hosted): Row | undefined {
    return this.table.rows[partitionOfGroup(one.group)]
  }

  actsUntil(group: GroupId): number {
    if (group === CONTROL) return Number.POSITIVE_INFINITY
    return this.hosted.get(group)?.core.actsUntil?.(0) ?? Number.NEGATIVE_INFINITY
  }

  propose(proposals: readonly Proposal[]): void {
    const group = proposals[0]?.group ?? CONTROL
    if (proposals.every(one => (one.group ?? CONTROL) === group))
      return this.#proposeTo(group, proposals)
    const byGroup = new Map<GroupId, Proposal[]>()
    for (const proposal of proposals) {
      const list = byGroup.get(proposal.group ?? CONTROL) ?? []
      if (list.length === 0) byGroup.set(proposal.group ?? CONTROL, list)
      list.push(proposal)
    }
    for (const [each, list] of byGroup) this.#proposeTo(each, list)
  }

  #proposeTo(group: GroupId, proposals: readonly Proposal[]): void {
    if (group === CONTROL) return this.#proposeToControl(proposals)
    const one = this.of(group)
    const lost = this.table.rows[partitionOfGroup(group)]?.lost
    const why = lost ? 'PARTITION_LOST' : one === undefined ? 'NOT_MASTER' : this.office.whyNot(one)
    if (one !== undefined && why === undefined)
      return this.feed(one, { kind: 'propose', proposals })
    for (const { id } of proposals) this.to.reject(id, why ?? 'NOT_MASTER', true)
  }

  /** What is for all groups (clear, a window) comes to this one as well; no key lies in it. */
  #proposeToControl(proposals: readonly Proposal[]): void {
    const allowed = proposals.filter(one => one.client === null || !isOnTable(one))
    for (const one of proposals)
      if (!allowed.includes(one)) this.to.reject(one.id, 'FORBIDDEN', true)
    if (allowed.length > 0) this.feed(this.control, { kind: 'propose', proposals: allowed })
  }

  onRead(input: Of<'read'>): void {
    const one = this.of(input.group ?? CONTROL)
    if (one === undefined) this.to.reject(input.id, 'NOT_MASTER', true)
    else this.feed(one, input)
  }

  onHint(input: Of<'hint'>): void {
    this.feed(this.control, input)
    for (const one of this.hosted.values()) this.feed(one, input)
  }

  onSnapshot(input: Of<'snapshot'>): void {
    this.#copies.took(input.slice.length)
    this.feedGroup(input.group, input)
  }

  onAdmin(input: Of<'admin'>): void {
    if (input.group !== CONTROL) return this.feedGroup(input.group, input)
    this.office.onAdmin(input)
  }

  onLinkUp(peer: PeerId, session: Session): void {
    const groups = [CONTROL, ...this.hosted.keys()]
    this.to.send(peer, this.links.onUp(peer, session, groups))
  }

  onLinkDown(peer: PeerId, session: Session, loss: LinkLoss): void {
    const link = this.links.onDown(peer, session, loss)
    for (const one of [this.control, ...this.hosted.values()]) {
      if (session === 0) this.feed(one, { kind: 'link-down', peer, session, loss })
      else if (link !== undefined) this.#part(one, peer, loss)
    }
  }

  onCongested(peer: PeerId, session: Session, lost: Message | undefined): void {
    if (this.links.of(peer)?.session !== session) return
    // Who misses a word of these would wait for ever.
    if (lost !== undefined && lost.type !== 'groups') return this.to.disconnect(peer, 'BUSY')
    const parts = new Map<GroupId, Part[]>()
    for (const part of lost?.parts ?? [])
      parts.set(part.group, [...(parts.get(part.group) ?? []), part])
    for (const one of [this.control, ...this.hosted.values()]) {
      const own = one.sessions.get(peer)
      if (own === undefined) continue
      const words = parts.get(one.group) ?? []
      if (words.length === 0) this.feed(one, { kind: 'congested', peer, session: own })
      for (const { message } of words)
        this.feed(one, { kind: 'congested', peer, session: own, lost: message })
    }
  }

  onWritable(peer: PeerId, session: Session): void {
    if (this.links.of(peer)?.session !== session) return
    for (const one of [this.control, ...this.hosted.values()]) {
      const own = one.sessions.get(peer)
      if (own !== undefined) this.feed(one, { kind: 'writable', peer, session: own })
    }
  }

  onMessage(peer: PeerId, session: Session, message: Message): void {
    if (message.type === 'hello') return this.#onHello(peer, session, message)
    const wrong = this.links.judge(peer, session, this.now)
    if (wrong === 'mute') this.to.disconnect(peer, 'PROTOCOL_ERROR')
    if (wrong !== undefined) return
    switch (message.type) {
      case 'groups':
        for (const part of message.parts) this.#onPart(peer, part)
        return
      case 'open':
        for (const group of this.links.onTurn(peer, message)) this.#onOpen(peer, group)
        return
      case 'close':
        for (const group of this.links.onTurn(peer, message)) {
          this.links.of(peer)?.hosts.delete(group)
          const one = this.hosted.get(group)
          if (one !== undefined) this.#part(one, peer, 'closed')
        }
        return
      default:
        this.office.onMessage(peer, message)
    }
  }

  #onHello(peer: PeerId, session: Session, m: Extract<Message, { type: 'hello' }>): void {
    const known = this.links.mixed.has(peer)
    const answer = this.links.onHello(peer, session, m)
    if (answer === true) {
      for (const group of m.hosts) this.#onOpen(peer, group)
      this.office.onLinked(peer)
      return
    }
    if (answer === '') return
    if (!known) this.to.report('strategy-mismatch', { peer, message: answer }, 'warn')
    this.to.disconnect(peer, 'CONFIG', answer)
  }

  #onPart(peer: PeerId, { group, message }: Part): void {
    const one = this.of(group)
    const session = one?.sessions.get(peer)
    if (one === undefined) return
    if (session === undefined) return void this.links.of(peer)?.hosts.add(group)
    this.feed(one, { kind: 'message', peer, session, message })
    this.#drain()
  }

  /** The peer has a part in it: its side begins, and ours begins (anew). */
  #onOpen(peer: PeerId, group: GroupId): void {
    this.links.of(peer)?.hosts.add(group)
    const one = this.of(group)
    if (one !== undefined) this.#join(one, peer)
  }

  #join(one: Hosted, peer: PeerId): void {
    this.#part(one, peer, 'closed')
    const listed = one.listed === undefined || one.listed.has(peer)
    if (!listed && !one.core.welcomesStrangers?.()) return
    const session = ++this.#sessions
    one.sessions.set(peer, session)
    this.feed(one, { kind: 'link-up', peer, session })
  }

  #part(one: Hosted, peer: PeerId, loss: LinkLoss): void {
    const session = one.sessions.get(peer)
    if (session === undefined) return
    one.sessions.delete(peer)
    this.feed(one, { kind: 'link-down', peer, session, loss })
  }

  #open(one: Hosted, peer: PeerId): void {
    const groups = this.#opening.get(peer) ?? []
    groups.push(one.group)
    this.#opening.set(peer, groups)
  }

  #say(peer: PeerId, type: Turn['type'], groups: readonly GroupId[]): void {
    this.to.send(peer, { type, number: ++this.#turns, groups })
  }

  /** The table says who has a part in a partition. */
  place(row: Row): void {
    const group = groupOf(row.partition)
    const one = this.hosted.get(group)
    const mine = hosts(row, this.env.self)
    if (one !== undefined && (one.born !== row.born || !mine)) this.#drop(one)
    if (mine && !this.hosted.has(group)) this.#host(row)
  }

  #host(row: Row): void {
    const { self } = this.env
    const group = groupOf(row.partition)
    const ids = row.owners.includes(self) ? row.owners : [...row.owners, self]
    const members: Member[] = []
    for (const id of ids) {
      const member = this.members.get(id)
      if (member === undefined) continue
      const { ordinal, address } = member
      const joins = row.owners.includes(id) ? {} : { learner: true }
      members.push({ id, ordinal, address, ...joins })
    }
    const env = { ...this.env, members, note: undefined, log: () => this.env.log(group) }
    const one = new Hosted(group, row.born, new Group(env, this.#groupSettings))
    // Who stands in the row and is not known yet is no member here, until the row says so, too.
    one.listed = new Set(members.map(({ id }) => id))
    this.hosted.set(group, one)
    this.feed(one, { kind: 'view', view: 1, members })
    for (const id of ids)
      if (this.links.isRefused(id))
        this.feed(one, { kind: 'link-down', peer: id, session: 0, loss: 'refused' })
    for (const [peer, link] of this.links.up) {
      this.#open(one, peer)
      if (link.hosts.has(group)) this.#join(one, peer)
    }
  }

  #drop(one: Hosted): void {
    this.hosted.delete(one.group)
    for (const groups of this.#opening.values())
      if (groups.includes(one.group)) groups.splice(groups.indexOf(one.group), 1)
    this.#copies.forget(one.group)
    for (const peer of this.links.up.keys()) this.#say(peer, 'close', [one.group])
    this.to.drop(one.group)
    this.office.onDropped(one.group)
  }

  // What a group's step asks for.

  onEnd(id: number, done: boolean): boolean {
    return this.office.onEnd(id, done)
  }

  onStanding(one: Hosted, standing: Standing): void {
    one.standing = standing
    this.office.announce(one)
    if (one === this.control) this.#after.push(() => this.office.onControl(standing))
  }

  onMembers(one: Hosted, members: readonly Member[]): void {
    if (one === this.control) {
      for (const member of members) this.members.set(member.id, member)
      return
    }
    const listed = new Set(members.map(({ id }) => id))
    const before = one.listed
    one.listed = listed
    this.office.onChange(one)
    for (const id of listed)
      if (!before?.has(id) && id !== this.env.self)
        this.#after.push(() => {
          if (this.hosted.get(one.group) !== one || !this.links.of(id)?.hosts.has(one.group)) return
          this.#open(one, id)
          this.#join(one, id)
        })
    for (const peer of one.sessions.keys())
      if (!listed.has(peer)) this.#after.push(() => this.#part(one, peer, 'local'))
  }

  /** Its link with that peer begins anew; those of other groups stay. */
  onDisconnect(one: Hosted, peer: PeerId): void {
    this.#after.push(() => {
      if (this.hosted.get(one.group) !== one || !one.sessions.has(peer)) return
      this.#part(one, peer, 'local')
      this.#open(one, peer)
      this.#join(one, peer)
    })
  }

  onInstall(one: Hosted): void {
    if (one === this.control) this.table.reset()
  }

  onReport(one: Hosted): void {
    if (one !== this.control) this.office.onChange(one)
  }

  mayCopy(group: GroupId, id: number, bytesMax: number): boolean {
    return group === CONTROL || this.#copies.may({ group, id, bytesMax })
  }
}

/** The control group: all members, and a majority of them where there are enough. */
function controlOf(env: StrategyEnv, profile: Profile): ReplicationStrategy<GroupMessage> {
  return masterSlave({ profile })(env)
}
