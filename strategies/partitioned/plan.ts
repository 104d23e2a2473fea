/**
 * Where partitions should be, and the next step there. Each move is one member change of the
 * partition's own group, under the rules of master-slave:
 *
 *   row     joining   the newcomer has a part in the group (and nothing yet)
 *   join    it is copied while writes go on: read old, write all
 *   voter   it holds all and acks: who leads next may be it
 *   handover, if it shall own it: read new, write all
 *   leave   who is not wanted any more goes from the view; once no later master lacks that, the
 *           table is without it, and it drops its data: stable
 *
 * Nobody reads from a copy that is behind, and a step that comes to nothing leaves what there was.
 */
import type { Member, PeerId } from '../../src/contracts/types.js'
import { type Candidate, ownersOf } from '../../src/core/partition-map.js'
import type { Fact, Message, OrderKind } from './messages.js'
import { groupOf, newRow, type Row } from './table.js'
import { FIRST_TABLE_MS, MOVES } from './times.js'
import type { Warden, WardenEnv } from './warden.js'

interface Order {
  readonly text: string
  readonly at: number
}

export class Plan {
  /** Members that are to leave once nothing is left with them. */
  readonly leaving = new Set<PeerId>()
  readonly #env: WardenEnv
  readonly #warden: Warden
  /** Since when each member is away. */
  readonly #away = new Map<PeerId, number>()
  readonly #zones = new Map<PeerId, string>()
  readonly #orders = new Map<number, Order>()
  #placed: readonly Candidate[] = []
  #placedText = ''
  #desired: readonly (readonly PeerId[])[] = []

  constructor(env: WardenEnv, warden: Warden) {
    this.#env = env
    this.#warden = warden
  }

  reset(): void {
    this.#away.clear()
    this.#orders.clear()
    this.leaving.clear()
  }

  /** `members` of the control group. */
  tick(members: readonly Member[]): void {
    this.#place(members)
    if (this.#placed.length === 0) return
    if (this.#warden.row(0) === undefined) return this.#begin(members)
    const moves = this.#moves()
    for (let partition = 0; partition < this.#env.settings.partitions; partition++) {
      const row = this.#warden.row(partition)
      if (row !== undefined) this.#step(row, this.#desired[partition], moves)
    }
  }

  /** Who has it when it begins with nothing: those of its places that live. Who stood for it while
   *  it was lost, and who lost it, would only be waited for. */
  cradleOf({ partition, owners }: Row): readonly PeerId[] {
    const isLive = (id: PeerId) => this.#warden.isLive(id)
    for (const places of [this.#desired[partition] ?? [], owners])
      if (places.some(isLive)) return places.filter(isLive)
    return owners
  }

  /** How many partitions have a part in `id`. */
  hostedBy(id: PeerId): number {
    let count = 0
    for (let partition = 0; partition < this.#env.settings.partitions; partition++) {
      const row = this.#warden.row(partition)
      if (row !== undefined && (row.owners.includes(id) || row.joining === id)) count++
    }
    return count
  }

  /** Who counts when partitions are placed: who lives, and who has not been away for long. */
  #place(members: readonly Member[]): void {
    const { now } = this.#warden
    const placed: Candidate[] = []
    for (const { id, witness, learner } of members) {
      if (witness || learner || this.leaving.has(id)) continue
      const node = this.#warden.nodes.get(id)
      if (node !== undefined) this.#zones.set(id, node.zone)
      if (this.#warden.isLive(id)) this.#away.delete(id)
      else if (!this.#away.has(id)) this.#away.set(id, now)
      if (now - (this.#away.get(id) ?? now) > this.#env.settings.graceMs) continue
      placed.push({ id, zone: this.#zones.get(id) || undefined })
    }
    const text = JSON.stringify(placed)
    if (text === this.#placedText) return
    this.#placedText = text
    this.#placed = placed
    const { partitions, backups } = this.#env.settings
    this.#desired = Array.from({ length: partitions }, (_, partition) =>
      ownersOf(partition, placed, backups + 1),
    )
  }

  /** The first table: once all have been heard, or some have for a while. */
  #begin(members: readonly Member[]): void {
    const warden = this.#warden
    const waited = warden.now - (warden.sinceMs ?? warden.now)
    const data = members.filter(({ witness, learner }) => !witness && !learner)
    const live = data.filter(({ id }) => warden.isLive(id))
    if (live.length === 0) return
    if (live.length < data.length && waited < FIRST_TABLE_MS) return
    const { partitions, backups } = this.#env.settings
    const zoned = live.map(({ id }) => ({ id, zone: this.#zones.get(id) || undefined }))
    for (let partition = 0; partition < partitions; partition++)
      warden.write(newRow(partition, 1, ownersOf(partition, zoned, backups + 1)))
  }

  /** Copies under way, by pair of nodes; '' counts all. */
  #moves(): Map<string, number> {
    const moves = new Map<string, number>([['', 0]])
    for (let partition = 0; partition < this.#env.settings.partitions; partition++) {
      const row = this.#warden.row(partition)
      if (row === undefined) continue
      const learner = row.joining || this.#leads(row)?.learners[0]
      if (learner) count(moves, pairOf(row.holder, learner))
    }
    return moves
  }

  /** What its master says of it; undefined: none does. */
  #leads(row: Row): Fact | undefined {
    if (row.holder === '' || !this.#warden.isLive(row.holder)) return undefined
    const fact = this.#warden.factOf(row.holder, row)
    return fact?.counter === row.counter ? fact : undefined
  }

  #step(row: Row, desired: readonly PeerId[], moves: Map<string, number>): void {
    const warden = this.#warden
    if (row.history === '') {
      // Nothing is in it: it may as well begin elsewhere.
      const isElsewhere = desired.join() !== row.owners.join()
      if (isElsewhere && warden.mayPass(row) && desired.some(id => warden.isLive(id)))
        warden.write({ ...newRow(row.partition, row.born, desired), counter: row.counter })
      return
    }
    if (row.lost && !warden.isLive(row.owners[0])) {
      // Somebody must be there who says so; who shall own it may be away and waited for.
      const candidates = [...desired, ...this.#placed.map(({ id }) => id)]
      const first = candidates.find(id => warden.isLive(id))
      const others = row.owners.filter(id => id !== first)
      if (first !== undefined) warden.write({ ...row, owners: [first, ...others] })
    }
    const fact = this.#leads(row)
    if (fact === undefined || !fact.settled || row.lost) return
    const missing = desired.find(id => !fact.members.includes(id) && warden.isLive(id))
    if (row.joining !== '') return this.#bring(row, desired, fact)
    const idle = fact.learners.find(id => !desired.includes(id))
    if (idle !== undefined) return this.#order(row, 'leave', idle)
    if (fact.learners.length > 0) return
    if (missing !== undefined) return this.#invite(row, missing, moves)
    // Whoever is away and waited for is not done without yet.
    const ready = desired.filter(id => row.heirs.includes(id))
    if (ready.length < desired.length) return
    if (row.holder !== desired[0]) return this.#order(row, 'handover', desired[0])
    const extra = fact.members.find(id => !desired.includes(id))
    if (extra !== undefined) this.#order(row, 'leave', extra)
  }

  #invite(row: Row, newcomer: PeerId, moves: Map<string, number>): void {
    const pair = pairOf(row.holder, newcomer)
    if ((moves.get('') ?? 0) >= MOVES.atOnce || (moves.get(pair) ?? 0) >= MOVES.perPair) return
    count(moves, pair)
    this.#warden.write({ ...row, joining: newcomer })
  }

  #bring(row: Row, desired: readonly PeerId[], fact: Fact): void {
    const { joining } = row
    if (fact.members.includes(joining)) return
    if (!desired.includes(joining) || !this.#warden.isLive(joining))
      return this.#warden.write({ ...row, joining: '' })
    // It must have a part in the group before anybody speaks to it there.
    if (this.#warden.factOf(joining, row) !== undefined) this.#order(row, 'join', joining)
  }

  #order(row: Row, order: OrderKind, peer: PeerId): void {
    const text = `${order} ${peer} ${row.counter}`
    const last = this.#orders.get(row.partition)
    const { now } = this.#warden
    if (last?.text === text && now - last.at < MOVES.orderAgainMs) return
    this.#orders.set(row.partition, { text, at: now })
    const message: Message = { type: 'order', group: groupOf(row.partition), order, peer }
    this.#env.send(row.holder, message)
  }
}

function pairOf(from: PeerId, to: PeerId): string {
  return `${from} ${to}`
}

function count(moves: Map<string, number>, pair: string): void {
  moves.set(pair, (moves.get(pair) ?? 0) + 1)
  moves.set('', (moves.get('') ?? 0) + 1)
}
