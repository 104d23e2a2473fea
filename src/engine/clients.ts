/** The clients that are linked, and what every one of them is told without asking. */
import { LIMITS } from '../config.js'
import type { GroupTable, Standing } from '../contracts/strategy.js'
import type { SendResult } from '../contracts/transport.js'
import type { Member, PeerId, Session } from '../contracts/types.js'
import { encodeControl } from '../wire/control.js'

export interface ClientsEnv {
  readonly self: PeerId
  standing(): Standing
  /** As ReplicationStrategy.everybodyServes. */
  readonly everybody?: boolean | undefined
  /** False while this node is no part of its cluster: how that one works it cannot say then. */
  acts(): boolean
  /** Said to clients where it is not the default. */
  readonly valueBytesMax?: number | undefined
  /** Said to clients where a strategy has one. */
  table?(): GroupTable | undefined
  send(peer: PeerId, frame: Uint8Array): SendResult
  flush(peer: PeerId): void
}

export class Clients {
  readonly #env: ClientsEnv
  readonly #sessions = new Map<PeerId, Session>()
  #members: readonly Member[]
  #table: GroupTable | undefined

  constructor(env: ClientsEnv, members: readonly Member[]) {
    this.#env = env
    this.#members = members
  }

  get count(): number {
    return this.#sessions.size
  }

  onUp(peer: PeerId, session: Session): void {
    this.#sessions.set(peer, session)
    this.#env.send(peer, this.#viewFrame())
  }

  onDown(peer: PeerId, session: Session): void {
    if (this.#sessions.get(peer) === session) this.#sessions.delete(peer)
  }

  /** Who belongs to the cluster changed: clients that lose this node know whom to dial. */
  meet(members: readonly Member[]): void {
    this.#members = members
    this.tell()
  }

  /** Who leads, and who else there is. */
  tell(): void {
    this.#sendAll(this.#viewFrame())
  }

  /** Go elsewhere: this node is about to stop. */
  farewell(): void {
    this.#sendAll(encodeControl({ type: 'farewell' }))
  }

  /** True if it was not told before. */
  tellTable(table: GroupTable): boolean {
    if (table === this.#table) return false
    this.#table = table
    this.tell()
    return true
  }

  #sendAll(frame: Uint8Array): void {
    for (const peer of this.#sessions.keys()) {
      this.#env.send(peer, frame)
      this.#env.flush(peer)
    }
  }

  #viewFrame(): Uint8Array {
    const { master, epoch, serving } = this.#env.standing()
    const view = { node: this.#env.self, master: master ?? '', epoch: epoch.number, serving }
    const members = this.#members.map(({ id, ordinal, address }) => ({ id, ordinal, address }))
    const { valueBytesMax = LIMITS.valueBytesMax } = this.#env
    const own = valueBytesMax === LIMITS.valueBytesMax ? {} : { valueBytesMax }
    const acts = this.#env.acts()
    const all = this.#env.everybody && acts ? { everybody: true } : {}
    const table = acts ? this.#env.table?.() : undefined
    const masters = table?.masters.map(id => id ?? '')
    const groups =
      table && masters
        ? { table: { number: table.number, masters, partitions: table.partitions } }
        : {}
    return encodeControl({ type: 'view', ...view, members, ...all, ...own, ...groups })
  }
}
