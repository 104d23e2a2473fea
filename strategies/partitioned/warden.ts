/**
 * The control group's master in office: it grants each partition to one process at a time, and
 * writes down who may have it next. What it decides is proposed to the control group in the same
 * step, and each lease that it gives from then on asks for a table that has it.
 *
 *   a partition passes on when   its holder let it go, or
 *                                the holder's lease has surely ended, or
 *                                the holder's process is dead
 *                     to one     whose log holds all that was acknowledged (an heir)
 *
 * A new master in office knows nothing of what the last one gave, so it waits for all of it. That
 * one gave nothing later: before each lease a majority said that it still leads (index.ts).
 */
import { LEASE } from '../../src/config.js'
import type { GroupId, Offset, PeerId } from '../../src/contracts/types.js'
import type { Fact, Message, Renew } from './messages.js'
import type { Settings } from './options.js'
import { groupOf, partitionOfGroup, type Row, type Table } from './table.js'
import { FOUNDER_MS, LOST_MS, NODE_LEASE } from './times.js'

/** A member as the one in office knows it. */
export interface Node {
  readonly life: string
  readonly zone: string
  heardAt: number
  /** Facts up to this number were heard. */
  heard: number
  readonly facts: Map<GroupId, Fact>
}

export interface WardenEnv {
  readonly settings: Settings
  readonly table: Table
  /** Surely no process of `peer` with this life runs any more; undefined: none at all. */
  isDead(peer: PeerId, life: string | undefined): boolean
  propose(rows: readonly Row[]): void
  /** Where the control group's log ends by now. */
  end(): Offset
  send(peer: PeerId, message: Message): void
  report(event: string, fields: Record<string, unknown>): void
}

/** All that a lease may last by anybody's clock, counted from its answer. */
const ENDS_MS = NODE_LEASE.ttlMs * (1 + LEASE.marginShare)

export class Warden {
  now = 0
  /** Since when it is in office; undefined: it is not. */
  sinceMs: number | undefined
  readonly nodes = new Map<PeerId, Node>()
  readonly #env: WardenEnv
  /** Proposed and not yet in the table. */
  readonly #drafts = new Map<number, Row>()
  #changed: Row[] = []
  /** By process: when all that was given to it is over. */
  readonly #ends = new Map<string, number>()
  /** Nobody acts as its master, and nobody may follow, since. */
  readonly #idleAt = new Map<number, number>()
  /** Without a copy that is known, since. */
  readonly #goneAt = new Map<number, number>()
  /** Unfounded, and wanted since. */
  readonly #wantedAt = new Map<number, number>()

  constructor(env: WardenEnv) {
    this.#env = env
  }

  take(now: number): void {
    this.now = now
    this.sinceMs = now
    this.#forget()
  }

  leave(): void {
    this.sinceMs = undefined
    this.#forget()
  }

  #forget(): void {
    this.nodes.clear()
    this.#drafts.clear()
    this.#changed = []
    this.#ends.clear()
    this.#wantedAt.clear()
    this.#idleAt.clear()
    this.#goneAt.clear()
  }

  /** As it will be, if nothing else happens. */
  row(partition: number): Row | undefined {
    return this.#drafts.get(partition) ?? this.#env.table.rows[partition]
  }

  /** Nothing that was proposed is still on its way. */
  get isSettled(): boolean {
    return this.#drafts.size === 0
  }

  /** The table has these by now. */
  onRows(rows: readonly Row[]): void {
    for (const row of rows) {
      const draft = this.#drafts.get(row.partition)
      if (draft !== undefined && isSameRow(draft, row)) this.#drafts.delete(row.partition)
    }
  }

  /** Replaces a row; proposed by flush(). */
  write(row: Row): void {
    this.#drafts.set(row.partition, row)
    this.#changed = this.#changed.filter(other => other.partition !== row.partition)
    this.#changed.push(row)
  }

  flush(): void {
    if (this.#changed.length === 0) return
    const rows = this.#changed
    this.#changed = []
    this.#env.propose(rows)
  }

  /** Heard and alive. */
  isLive(peer: PeerId): boolean {
    const node = this.nodes.get(peer)
    if (node === undefined || this.now - node.heardAt > ENDS_MS) return false
    return !this.#env.isDead(peer, node.life)
  }

  /** Those whom a row waits for: nobody else may have it, and none of them is heard. */
  waitsFor(row: Row): readonly PeerId[] {
    return row.heirs.some(id => this.isLive(id)) ? [] : row.heirs
  }

  factOf(peer: PeerId, row: Row): Fact | undefined {
    const fact = this.nodes.get(peer)?.facts.get(groupOf(row.partition))
    return fact?.born === row.born ? fact : undefined
  }

  /** Notes what is said at once; the lease is given by answer(). */
  onRenew(peer: PeerId, m: Renew): void {
    let node = this.nodes.get(peer)
    if (node?.life !== m.life) {
      node = { life: m.life, zone: m.zone, heardAt: this.now, heard: 0, facts: new Map() }
      this.nodes.set(peer, node)
    }
    node.heardAt = this.now
    // It comes once more, below the law of transports: what was said since is never said again
    // (seed 41: an owner's word that it leads was undone by the one before it).
    if (m.upTo < node.heard) return
    // What was lost before it is said again with a later one.
    if (m.after <= node.heard) node.heard = Math.max(node.heard, m.upTo)
    for (const fact of m.facts) {
      node.facts.set(fact.group, fact)
      this.judge(partitionOfGroup(fact.group))
    }
  }

  /** A majority has followed this one since `m` came. */
  answer(peer: PeerId, m: Renew): void {
    const { ttlMs } = NODE_LEASE
    const heard = this.nodes.get(peer)?.heard ?? 0
    this.#ends.set(m.life, this.now + ENDS_MS)
    const need = this.#env.end()
    this.#env.send(peer, { type: 'lease', asked: m.asked, ttlMs, need, heard })
  }

  judgeAll(): void {
    for (let partition = 0; partition < this.#env.settings.partitions; partition++)
      this.judge(partition)
    for (const [life, endsMs] of this.#ends)
      if (endsMs < this.now - ENDS_MS) this.#ends.delete(life)
  }

  judge(partition: number): void {
    const row = this.row(partition)
    if (row === undefined) return
    const heard = this.#hear(row)
    const free = this.mayPass(heard)
    if (!free) this.#idleAt.delete(partition)
    const next = free ? this.#pass(heard) : heard
    if (next !== row) this.write(next)
  }

  /** True if nobody acts as its master any more. */
  mayPass({ holder, life }: Row): boolean {
    if (holder === '' || this.#env.isDead(holder, life)) return true
    const endsMs = Math.max((this.sinceMs ?? 0) + ENDS_MS, this.#ends.get(life) ?? 0)
    return this.now >= endsMs
  }

  /** What its holder says of it. */
  #hear(row: Row): Row {
    if (row.holder === '' || this.nodes.get(row.holder)?.life !== row.life) return row
    const fact = this.factOf(row.holder, row)
    if (fact === undefined) return row
    if (fact.released >= row.counter) return { ...row, holder: '', life: '' }
    if (fact.above >= row.counter) return { ...row, counter: fact.above + 1, ask: 0 }
    if (fact.counter !== row.counter) return row
    let next = row
    if (row.history === '' && fact.history !== '') next = { ...next, history: fact.history }
    if (fact.ask > row.ask) next = { ...next, ask: fact.ask, heirs: fact.heirs }
    if (fact.settled && !isSameSet(fact.members, row.owners)) {
      const joining = fact.members.includes(row.joining) ? '' : row.joining
      next = { ...next, owners: fact.members, joining }
    }
    return next
  }

  /** To whom wants it and may have it; nobody: then perhaps it is lost. */
  #pass(row: Row): Row {
    const to = this.#heirOf(row)
    if (to === undefined) return this.#keep(row)
    this.#idleAt.delete(row.partition)
    const { above, released } = this.factOf(to, row) as Fact
    const counter = Math.max(row.counter, above, released) + 1
    const life = this.nodes.get(to)?.life ?? ''
    const heirs = row.history === '' ? [to] : row.heirs
    if (row.history !== '') {
      const { partition, holder } = row
      this.#env.report('partition', { state: 'passed', partition, from: holder, to })
    }
    return { ...row, holder: to, life, counter, ask: 0, heirs, lost: false }
  }

  /** Nobody may have it. That nobody leads it is not said at once: an heir asks for it within a
   *  few ms, and a failover would write two rows. */
  #keep(row: Row): Row {
    const { partition } = row
    if (!row.lost && this.#isLost(row)) {
      this.#env.report('partition', { state: 'lost', partition })
      return { ...row, holder: '', life: '', lost: true }
    }
    const idleAt = this.#idleAt.get(partition) ?? this.now
    this.#idleAt.set(partition, idleAt)
    if (row.holder === '' || this.now - idleAt < LOST_MS) return row
    return { ...row, holder: '', life: '' }
  }

  #heirOf(row: Row): PeerId | undefined {
    const wanting = row.owners.filter(id => this.#wants(id, row))
    if (row.history !== '') {
      const holds = (id: PeerId) => {
        const fact = this.factOf(id, row)
        return row.heirs.includes(id) && fact?.data === 'ready' && fact.history === row.history
      }
      // One that became a member just now may not stand among the owners yet.
      const others = row.heirs.filter(id => !row.owners.includes(id) && this.#wants(id, row))
      return [...wanting, ...others].find(holds)
    }
    if (wanting.length === 0) {
      this.#wantedAt.delete(row.partition)
      return undefined
    }
    const wantedAt = this.#wantedAt.get(row.partition) ?? this.now
    this.#wantedAt.set(row.partition, wantedAt)
    if (wanting[0] !== row.owners[0] && this.now - wantedAt < FOUNDER_MS) return undefined
    this.#wantedAt.delete(row.partition)
    return wanting[0]
  }

  #wants(id: PeerId, row: Row): boolean {
    if (!this.isLive(id)) return false
    return (this.factOf(id, row)?.above ?? -1) >= 0
  }

  /** For a while: who has a copy says so a little later than it has it. */
  #isLost(row: Row): boolean {
    const { partition } = row
    if (!this.#isGone(row)) {
      this.#goneAt.delete(partition)
      return false
    }
    const goneAt = this.#goneAt.get(partition) ?? this.now
    this.#goneAt.set(partition, goneAt)
    return this.now - goneAt >= LOST_MS
  }

  /** It has not been heard for so long that nobody waits for it: a machine without power refuses no
   *  dial, and only the clock says that it is gone. Who comes back with its data is heard again. */
  #isAway(id: PeerId): boolean {
    const heardAt = this.nodes.get(id)?.heardAt ?? this.sinceMs ?? this.now
    return this.now - heardAt >= Math.max(ENDS_MS, this.#env.settings.graceMs)
  }

  /** Whoever held all that was acknowledged has lost it, or is not waited for any more. */
  #isGone(row: Row): boolean {
    if (row.history === '') return false
    return row.heirs.every(id => {
      const node = this.nodes.get(id)
      if (node === undefined || !this.isLive(id))
        return this.#env.isDead(id, node?.life) || this.#isAway(id)
      const fact = this.factOf(id, row)
      // Its first facts are all that it has.
      return node.heard > 0 && (fact === undefined || fact.history !== row.history)
    })
  }
}

function isSameSet(a: readonly PeerId[], b: readonly PeerId[]): boolean {
  return a.length === b.length && a.every(id => b.includes(id))
}

export function isSameRow(a: Row, b: Row): boolean {
  return JSON.stringify(a, KEYS) === JSON.stringify(b, KEYS)
}

/** In an order of their own: rows are made in several places. */
const KEYS = [
  ...['partition', 'born', 'owners', 'joining', 'history', 'heirs', 'holder', 'life'],
  ...['counter', 'ask', 'lost'],
]
