/**
 * What lies above the groups of a node: its tenancy (leases for what it leads), and its office
 * while it is master of the control group. Here both meet the groups and each other.
 */
import type { GroupTable, Input, Standing } from '../../src/contracts/strategy.js'
import type { GroupId, Offset, PeerId } from '../../src/contracts/types.js'
import { NO_EPOCH } from '../../src/core/epochs.js'
import type { Hosted } from './hosted.js'
import type { Message, Renew } from './messages.js'
import { Plan } from './plan.js'
import type { Router } from './router.js'
import { CONTROL, groupOf, newRow, partitionOfGroup, type Row, rowCommand } from './table.js'
import { factOf, nothingOf, Tenant } from './tenant.js'
import { FEWER_MS, MOVES } from './times.js'
import { Warden, type WardenEnv } from './warden.js'

type Admin = Extract<Input<never>, { kind: 'admin' }>
type Lease = Extract<Message, { type: 'lease' }>

/** Proposals and reads of the strategy's own: far from the engine's, which count from 0. */
const OWN_BELOW = -(2 ** 40)

export class Office {
  readonly warden: Warden
  readonly plan: Plan
  readonly tenant: Tenant
  readonly #router: Router
  /** The control group's master, as text; '': none. */
  #granter = ''
  #master: PeerId | undefined
  #serves = false
  /** In office once it knows the table up to here. */
  #officeFrom: Offset = 1
  #ids = OWN_BELOW
  /** Renewals that wait for a majority's word; those of a round, and its read. */
  #asked = new Map<PeerId, Renew>()
  #round: { readonly id: number; readonly asked: Map<PeerId, Renew> } | undefined
  /** The version of the newest row. */
  #newest = 0
  #groupTable: GroupTable
  /** Rows changed below it were pushed. */
  #pushed = 1
  #planAt = Number.NEGATIVE_INFINITY
  #sweepAt = Number.NEGATIVE_INFINITY
  /** Groups of which something is to be said. */
  readonly #changed = new Set<Hosted>()
  /** Standings that were told, as text. */
  readonly #told = new Map<GroupId, string>()
  /** Members that are to leave once nothing lies with them, and the command that asked. */
  readonly #leaving = new Map<PeerId, Admin>()
  /** Partitions that are to begin anew, and how often they will have begun then. */
  readonly #resets = new Map<number, number>()

  constructor(router: Router) {
    this.#router = router
    const { settings, table, links, env } = router
    const { partitions } = settings
    this.#groupTable = { number: 0, masters: new Array(partitions + 1).fill(undefined), partitions }
    const wardenEnv: WardenEnv = {
      settings,
      table,
      isDead: (peer, life) => links.isDead(peer, life),
      propose: rows => this.#propose(rows),
      end: () => this.#logEnd(),
      send: (peer, message) => this.#sendTo(peer, message),
      report: (event, fields) => router.to.report(event, fields),
    }
    this.warden = new Warden(wardenEnv)
    this.plan = new Plan(wardenEnv, this.warden)
    this.tenant = new Tenant(env.incarnation, settings.zone)
  }

  /** May what is here be proposed to? The code, if not. */
  whyNot(one: Hosted): string | undefined {
    const standing = one.standing
    if (standing?.role !== 'master') return 'NOT_MASTER'
    return this.#isOpen(one) ? undefined : 'NOT_READY'
  }

  /** The table knows the history that it leads: nobody would begin it anew. */
  #isOpen(one: Hosted): boolean {
    const row = this.#router.rowOf(one)
    return row !== undefined && row.history !== '' && row.history === one.census()?.history
  }

  /** Tells the engine who leads a group, if that is news. */
  announce(one: Hosted): void {
    const router = this.#router
    const { to, control } = router
    const { standing } = one
    if (one === control) {
      if (standing !== undefined) to.become(CONTROL, standing)
      return
    }
    const row = this.#router.rowOf(one)
    const base = standing ?? { role: 'slave', epoch: NO_EPOCH, master: undefined, serving: false }
    const serving = base.serving && this.#isOpen(one)
    // Somebody must say so, and clients ask masters: the first of its owners stands for one.
    const isLost = row?.lost === true && row.owners[0] === router.env.self
    const lost = { role: 'master', master: router.env.self, why: 'PARTITION_LOST' } as const
    const masked: Standing = { ...base, serving, ...(isLost ? lost : {}) }
    const { role, epoch, master } = masked
    const text = `${role} ${epoch.number} ${epoch.incarnation} ${master} ${serving} ${row?.lost}`
    if (this.#told.get(one.group) === text) return
    this.#told.set(one.group, text)
    to.become(one.group, masked)
  }

  /** Who serves which group, for clients: the same object until something of it changes. */
  groupTable(): GroupTable {
    const { table, control } = this.#router
    const counter = Math.floor((control.standing?.epoch.number ?? 0) / 256)
    // Both only grow, and say all that there is to say.
    const number = this.#newest + counter
    if (number === this.#groupTable.number && this.#master === this.#groupTable.masters[0])
      return this.#groupTable
    const holders = table.rows.map(row => {
      if (row === undefined) return undefined
      return row.lost ? row.owners[0] : row.holder || undefined
    })
    const { partitions } = this.#groupTable
    this.#groupTable = { number, masters: [this.#master, ...holders], partitions }
    return this.#groupTable
  }

  onChange(one: Hosted): void {
    this.#changed.add(one)
  }

  onDropped(group: GroupId): void {
    this.#told.delete(group)
    this.tenant.note(nothingOf(group))
  }

  onLinked(peer: PeerId): void {
    if (this.warden.sinceMs === undefined) return
    this.#router.to.send(peer, { type: 'rows', ...this.#router.table.news(1) })
  }

  onControl(standing: Standing): void {
    const { role, epoch, master, serving } = standing
    this.#master = master
    this.#granter = master === undefined ? '' : `${master} ${epoch.number} ${epoch.incarnation}`
    const serves = role === 'master' && serving
    if (serves === this.#serves) return
    this.#serves = serves
    if (serves) this.#officeFrom = this.#logEnd()
    else this.#leaveOffice()
  }

  #logEnd(): Offset {
    return this.#router.control.census()?.next ?? 1
  }

  #leaveOffice(): void {
    this.warden.leave()
    this.plan.reset()
    this.#asked.clear()
    this.#round = undefined
    for (const asked of this.#leaving.values())
      this.#refuse(asked, 'NOT_MASTER', 'it leads no more')
    this.#leaving.clear()
    for (const partition of this.#resets.keys())
      this.#refuse({ command: 'reset-partition' }, 'NOT_MASTER', `partition ${partition} waits`)
    this.#resets.clear()
  }

  tick(): void {
    const { now, hosted } = this.#router
    if (now - this.#sweepAt >= MOVES.planMs) {
      this.#sweepAt = now
      for (const one of hosted.values())
        if (one.restless || now - one.notedAt >= MOVES.lookMs) this.#changed.add(one)
    }
    if (!this.#serves) return
    this.warden.now = now
    if (this.warden.sinceMs === undefined) {
      // What it wrote before it left may yet be committed: two grants would bear one counter.
      if (this.#router.table.known < this.#officeFrom) return
      this.warden.take(now)
      this.#pushed = 1
    }
    if (now - this.#planAt < MOVES.planMs) return
    this.#planAt = now
    this.warden.judgeAll()
    const members = this.#router.control.census()?.view.members ?? []
    this.plan.tick(members)
    this.#letLeave()
  }

  /** At the end of every step: what changed is said, and what was decided is proposed. */
  settle(): void {
    const router = this.#router
    for (const one of this.#changed) {
      if (router.hosted.get(one.group) !== one) continue
      this.#ask(one)
      const fact = factOf(one)
      this.tenant.note(fact)
      one.notedAt = router.now
      const isDone = fact.data === 'ready' && (fact.counter === 0 || fact.settled)
      const isCalm = isDone && one.asking.fewerAt === 0 && one.standing?.master !== undefined
      one.restless = !isCalm
    }
    this.#changed.clear()
    const { warden } = this
    warden.now = router.now
    if (this.#granter !== '') {
      const renew = this.tenant.renewal(this.#granter, router.now)
      if (renew !== undefined && this.#master === router.env.self)
        this.#onRenew(this.#master, renew)
      else if (renew !== undefined && this.#master !== undefined)
        router.to.send(this.#master, renew)
    }
    if (warden.sinceMs === undefined) return
    warden.flush()
    this.#beginRound()
    this.#push()
  }

  /** Who is in sync, if it is to be said: one word at a time, so that who hears it is known. */
  #ask(one: Hosted): void {
    const router = this.#router
    const row = router.rowOf(one)
    if (row === undefined) return
    const mine = row.holder === router.env.self && row.life === router.env.incarnation
    // Granted after it was let go: nobody waits for it.
    if (mine && one.wants === undefined) one.released = Math.max(one.released, row.counter)
    const census = one.census()
    const { asking } = one
    if (!mine || census?.role !== 'master' || row.counter !== one.counter) return
    if (asking.ask !== row.ask) return
    const { inSync } = census
    const fewer = row.heirs.filter(id => !inSync.includes(id))
    const more = inSync.some(id => !row.heirs.includes(id))
    if (fewer.length === 0) asking.fewerAt = 0
    else if (asking.fewerAt === 0) asking.fewerAt = router.now
    if (fewer.length === 0 && !more && row.history !== '') return
    const gone = fewer.every(id => router.links.isRefused(id))
    if (fewer.length > 0 && !gone && router.now - asking.fewerAt < FEWER_MS) return
    asking.ask++
    asking.heirs = inSync
    asking.fewerAt = 0
  }

  /** What `one` holds by now, if that is news to it. */
  tell(one: Hosted): void {
    const router = this.#router
    const row = router.rowOf(one)
    const { tenant } = this
    if (!one.isGranted(row, router.env.self, router.env.incarnation)) {
      if (one.told === undefined) return
      one.told = undefined
      return router.stepOf(one, { kind: 'lease', counter: 0, askedMs: 0, untilMs: 0 })
    }
    if (one.counter !== row.counter) {
      one.counter = row.counter
      one.asking.ask = 0
      one.asking.heirs = []
      one.asking.fewerAt = 0
    }
    const { askedMs, untilMs } = tenant
    const { told } = one
    const { ask } = one.asking
    if (told?.row === row && told.ask === ask && told.untilMs === untilMs) return
    if (untilMs <= router.now) return
    one.told = { row, ask, untilMs }
    const heirs = one.heirsKnown(row)
    router.stepOf(one, { kind: 'lease', counter: row.counter, askedMs, untilMs, heirs })
  }

  /** The table knows these since a moment ago. */
  onRows(rows: readonly Row[]): void {
    const router = this.#router
    this.tenant.onKnown(router.table.known)
    if (rows.length === 0) return
    this.#newest = router.table.version
    if (this.warden.sinceMs !== undefined) this.warden.onRows(rows)
    for (const row of rows) {
      this.#onReset(row)
      router.place(row)
      const one = router.hosted.get(groupOf(row.partition))
      if (one === undefined) continue
      this.#tellNow(one)
      this.#changed.add(one)
      this.announce(one)
    }
  }

  /** With its tick, as everything that comes later than its last one. */
  #tellNow(one: Hosted): void {
    this.#router.touch(one)
    this.tell(one)
  }

  onMessage(peer: PeerId, message: Message): void {
    switch (message.type) {
      case 'renew':
        if (this.warden.sinceMs !== undefined) this.#onRenew(peer, message)
        return
      case 'lease':
        return this.#onLease(peer, message)
      case 'rows':
        // An older master's word is as true: it was committed.
        return this.onRows(this.#router.table.learn(message))
      case 'order':
        return this.#onOrder(peer, message)
      default:
        return
    }
  }

  #onLease(peer: PeerId, message: Lease): void {
    if (peer !== this.#master) return
    const before = this.tenant.untilMs
    this.tenant.onLease(message, this.#granter, this.#router.table.known)
    if (this.tenant.untilMs === before) return
    // Who waits for it to lead need not wait for a tick.
    for (const one of this.#router.hosted.values())
      if (one.wants !== undefined && one.standing?.role !== 'master') this.#tellNow(one)
  }

  #onRenew(peer: PeerId, m: Renew): void {
    if (this.warden.sinceMs === undefined) return
    this.warden.now = this.#router.now
    this.warden.onRenew(peer, m)
    this.#asked.set(peer, m)
  }

  /** A majority must say, later than a node asked, that this one still leads. */
  #beginRound(): void {
    if (this.#round !== undefined || this.#asked.size === 0) return
    const asked = this.#asked
    this.#asked = new Map()
    if (this.#router.profile !== 'majority') return this.#answer(asked)
    const id = --this.#ids
    this.#round = { id, asked }
    this.#router.feed(this.#router.control, { kind: 'read', id, key: '', mode: 'linearizable' })
  }

  #answer(asked: ReadonlyMap<PeerId, Renew>): void {
    for (const [peer, m] of asked) this.warden.answer(peer, m)
  }

  /** A proposal or read of the strategy's own has ended. */
  onEnd(id: number, done: boolean): boolean {
    if (id > OWN_BELOW) return false
    if (this.#round?.id === id) {
      const { asked } = this.#round
      this.#round = undefined
      if (done && this.warden.sinceMs !== undefined) this.#router.later(() => this.#answer(asked))
    } else if (!done && this.warden.sinceMs !== undefined) {
      // What was decided may never come to be: all of it is judged anew.
      this.warden.leave()
      this.#officeFrom = this.#logEnd()
    }
    return true
  }

  #propose(rows: readonly Row[]): void {
    const own = { ack: 'none', client: null, seq: 0, start: 0 } as const
    const proposals = rows.map(row => {
      const bytes = rowCommand(row)
      return { ...own, id: --this.#ids, bytes, end: bytes.length }
    })
    this.#router.feed(this.#router.control, { kind: 'propose', proposals })
  }

  /** Committed rows go to all at once: the log tells slaves with the next heartbeat. */
  #push(): void {
    const { table, links, to } = this.#router
    const { known } = table
    if (known === this.#pushed) return
    const news = table.news(this.#pushed)
    if (news.rows.length === 0) return
    this.#pushed = known
    for (const [peer] of links.all()) to.send(peer, { type: 'rows', ...news })
  }

  #sendTo(peer: PeerId, message: Message): void {
    if (peer !== this.#router.env.self) this.#router.to.send(peer, message)
    else this.onMessage(peer, message)
  }

  #onOrder(peer: PeerId, m: Extract<Message, { type: 'order' }>): void {
    const one = this.#router.hosted.get(m.group)
    if (peer !== this.#master || one === undefined) return
    const { group, order: command } = m
    if (command !== 'join')
      return this.#router.later(() =>
        this.#router.feed(one, { kind: 'admin', command, group, peer: m.peer }),
      )
    const known = this.#router.members.get(m.peer)
    if (known === undefined) return
    const { id, ordinal, address } = known
    const member = { id, ordinal, address }
    this.#router.later(() => this.#router.feed(one, { kind: 'admin', command, group, member }))
  }

  onAdmin(input: Admin): void {
    const { control } = this.#router
    if (input.command === 'reset-partition') return this.#reset(input)
    const leaves = input.command === 'leave' && input.peer !== undefined
    if (!leaves || !this.#serves) return this.#router.feed(control, input)
    this.#leaving.set(input.peer as PeerId, input)
    this.plan.leaving.add(input.peer as PeerId)
    if (this.warden.sinceMs !== undefined) this.#letLeave()
  }

  /** Who holds nothing any more goes from the control group, too. */
  #letLeave(): void {
    for (const [peer, asked] of this.#leaving) {
      if (this.plan.hostedBy(peer) > 0) continue
      this.#leaving.delete(peer)
      this.#router.later(() => {
        this.#router.feed(this.#router.control, asked)
        // Gone from the view; or refused, and said so: it stays, and takes its part again (seed
        // 13). So does one that joins again later (seed 28).
        this.plan.leaving.delete(peer)
      })
    }
  }

  /** A lost partition begins anew, empty. */
  #reset(input: Admin): void {
    const { partition = -1 } = input
    const row = this.warden.sinceMs === undefined ? undefined : this.warden.row(partition)
    if (this.warden.sinceMs === undefined)
      return this.#refuse(input, 'NOT_MASTER', `${this.#master ?? 'nobody'} is master`)
    if (row === undefined)
      return this.#refuse(input, 'CONFIG', `there is no partition ${partition}`)
    if (!row.lost) return this.#refuse(input, 'HEALTHY', this.#whyNotLost(row))
    const { counter } = row
    this.#resets.set(partition, row.born + 1)
    const owners = this.plan.cradleOf(row)
    this.warden.write({ ...newRow(partition, row.born + 1, owners), counter })
  }

  #whyNotLost(row: Row): string {
    const text = `partition ${row.partition} is not lost`
    const ids = this.warden.waitsFor(row)
    if (ids.length === 0) return text
    const { graceMs } = this.#router.settings
    return `${text}: ${ids.join()} is waited for until it has been away for ${graceMs} ms`
  }

  /** Done once it is committed: no later master of the control group takes it back. */
  #onReset({ partition, born }: Row): void {
    if (this.#resets.get(partition) !== born) return
    this.#resets.delete(partition)
    this.#router.to.report('reset-partition', { state: 'done', partition, born })
  }

  #refuse(input: Pick<Admin, 'command'>, code: string, message: string): void {
    const event = input.command === 'reset-partition' ? 'reset-partition' : 'members'
    this.#router.to.report(event, { state: 'refused', code, message })
  }

  /** Moves under way, and lost partitions, as far as this node knows. */
  count(): { moving: number; lost: number[] } {
    let moving = 0
    const lost: number[] = []
    for (const row of this.#router.table.rows) {
      if (row === undefined) continue
      if (row.joining !== '') moving++
      if (row.lost) lost.push(partitionOfGroup(groupOf(row.partition)))
    }
    return { moving, lost }
  }
}
