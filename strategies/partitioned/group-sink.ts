/**
 * What a group asks for, as it leaves the node: under the group's number, its words gathered, its
 * wishes for a lease kept here, and what only a whole cluster may say left out.
 */
import type { Heirs } from '../../src/contracts/election.js'
import type { Effects, LogBase, Standing } from '../../src/contracts/strategy.js'
import type {
  Batch,
  Epoch,
  GroupId,
  Member,
  Offset,
  PeerId,
  Receipt,
} from '../../src/contracts/types.js'
import type { Message as GroupMessage } from '../master-slave/messages.js'
import type { Gather } from './gather.js'
import type { Hosted } from './hosted.js'
import type { Message } from './messages.js'
import { CONTROL, partitionOfGroup } from './table.js'

/** What the router hears from a group's step. */
export interface SinkHandler {
  /** True if the proposal or read was the router's own. */
  onEnd(id: number, done: boolean): boolean
  onStanding(hosted: Hosted, standing: Standing): void
  onMembers(hosted: Hosted, members: readonly Member[]): void
  onDisconnect(hosted: Hosted, peer: PeerId): void
  onInstall(hosted: Hosted): void
  /** Something was reported of it. */
  onReport(hosted: Hosted): void
  /** True if it may be read now; else it will be, later. */
  mayCopy(group: GroupId, id: number, bytesMax: number): boolean
}

/** A cluster has these; of 256 groups nobody would read them. */
const QUIET: readonly string[] = ['in-sync', 'bootstrap', 'members', 'handover', 'lease']

export class GroupSink implements Effects<GroupMessage> {
  /** Whose step it is. */
  at!: Hosted
  to!: Effects<Message>
  readonly #gather: Gather
  readonly #handler: SinkHandler

  constructor(gather: Gather, handler: SinkHandler) {
    this.#gather = gather
    this.#handler = handler
  }

  append(_group: GroupId, batch: Batch): void {
    this.to.append(this.at.group, batch)
  }

  truncate(_group: GroupId, from: Offset): void {
    this.to.truncate(this.at.group, from)
  }

  persist(_group: GroupId, promised: Epoch, note?: Uint8Array): void {
    this.to.persist(this.at.group, promised, note)
  }

  commit(_group: GroupId, next: Offset): void {
    this.to.commit(this.at.group, next)
  }

  send(peer: PeerId, message: GroupMessage): void {
    this.#gather.add(this.to, peer, this.at.group, message)
  }

  broadcast(message: GroupMessage): void {
    for (const peer of this.at.sessions.keys()) this.send(peer, message)
  }

  settle(id: number, receipt: Receipt): void {
    const { group } = this.at
    if (group !== CONTROL) this.to.settle(id, { ...receipt, group })
    else if (!this.#handler.onEnd(id, true)) this.to.settle(id, receipt)
  }

  reject(id: number, code: string, surely: boolean): void {
    if (this.at.group === CONTROL && this.#handler.onEnd(id, false)) return
    this.to.reject(id, code, surely)
  }

  serve(id: number, _group: GroupId, next: Offset): void {
    if (this.at.group === CONTROL && this.#handler.onEnd(id, true)) return
    this.to.serve(id, this.at.group, next)
  }

  openSnapshot(_group: GroupId, id: number): void {
    this.to.openSnapshot(this.at.group, id)
  }

  readSnapshot(_group: GroupId, id: number, bytesMax: number): void {
    const { group } = this.at
    if (this.#handler.mayCopy(group, id, bytesMax)) this.to.readSnapshot(group, id, bytesMax)
  }

  closeSnapshot(_group: GroupId, id: number): void {
    this.to.closeSnapshot(this.at.group, id)
  }

  install(_group: GroupId, at: Offset, slice: Uint8Array, base?: LogBase): void {
    if (base !== undefined) this.#handler.onInstall(this.at)
    this.to.install(this.at.group, at, slice, base)
  }

  collect(_group: GroupId, id: number, from: Offset, bytesMax: number): void {
    this.to.collect(this.at.group, id, from, bytesMax)
  }

  merge(_group: GroupId, id: number, from: Offset, records: Uint8Array, last: boolean): void {
    this.to.merge(this.at.group, id, from, records, last)
  }

  become(_group: GroupId, standing: Standing): void {
    this.#handler.onStanding(this.at, standing)
  }

  report(event: string, fields: Record<string, unknown>, level?: 'warn'): void {
    const { group } = this.at
    this.#handler.onReport(this.at)
    if (group === CONTROL) this.to.report(event, fields, level)
    else if (!QUIET.includes(event))
      this.to.report(event, { partition: partitionOfGroup(group), ...fields }, level)
  }

  lease(above: number | undefined, heirs?: Heirs): void {
    this.at.want(above, heirs)
    this.#handler.onReport(this.at)
  }

  disconnect(peer: PeerId, code: string, message?: string): void {
    // A link that is full would refuse the first word of a new one as well, at once and for ever.
    if (this.at.group === CONTROL || code === 'BUSY') this.to.disconnect(peer, code, message)
    else this.#handler.onDisconnect(this.at, peer)
  }

  drop(): void {}

  view(_group: GroupId, number: number, members: readonly Member[]): void {
    if (this.at.group === CONTROL) this.to.view(CONTROL, number, members)
    this.#handler.onMembers(this.at, members)
  }
}
