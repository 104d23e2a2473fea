/**
 * What a step asked for, as plain data in order: executed afterwards by the engine, printed as
 * trace lines by tests. The same input must fill it with the same lines (law S1).
 */
import type { Heirs } from '../contracts/election.js'
import type { Effects, LogBase, Standing } from '../contracts/strategy.js'
import type { Batch, Epoch, GroupId, Member, Offset, PeerId, Receipt } from '../contracts/types.js'

export type Effect<M> =
  | { kind: 'append'; group: GroupId; batch: Batch }
  | { kind: 'truncate'; group: GroupId; from: Offset }
  | { kind: 'persist'; group: GroupId; promised: Epoch; note: Uint8Array | undefined }
  | { kind: 'commit'; group: GroupId; next: Offset }
  | { kind: 'send'; peer: PeerId; message: M }
  | { kind: 'broadcast'; message: M }
  | { kind: 'settle'; id: number; receipt: Receipt }
  | { kind: 'reject'; id: number; code: string; surely: boolean }
  | { kind: 'serve'; id: number; group: GroupId; next: Offset }
  | { kind: 'openSnapshot'; group: GroupId; id: number; what: Uint8Array | undefined }
  | { kind: 'readSnapshot'; group: GroupId; id: number; bytesMax: number }
  | { kind: 'closeSnapshot'; group: GroupId; id: number }
  | { kind: 'install'; group: GroupId; at: Offset; slice: Uint8Array; base: LogBase | undefined }
  | { kind: 'collect'; group: GroupId; id: number; from: Offset; bytesMax: number }
  | {
      kind: 'merge'
      group: GroupId
      id: number
      from: Offset
      records: Uint8Array
      last: boolean
    }
  | { kind: 'become'; group: GroupId; standing: Standing }
  | { kind: 'report'; event: string; fields: Record<string, unknown>; level: 'warn' | undefined }
  | { kind: 'lease'; above: number | undefined; heirs: Heirs | undefined }
  | { kind: 'disconnect'; peer: PeerId; code: string; message: string | undefined }
  | { kind: 'drop'; group: GroupId }
  | { kind: 'view'; group: GroupId; number: number; members: readonly Member[] }

export class EffectQueue<M> implements Effects<M> {
  items: Effect<M>[] = []

  append(group: GroupId, batch: Batch): void {
    this.items.push({ kind: 'append', group, batch })
  }
  truncate(group: GroupId, from: Offset): void {
    this.items.push({ kind: 'truncate', group, from })
  }
  persist(group: GroupId, promised: Epoch, note?: Uint8Array): void {
    this.items.push({ kind: 'persist', group, promised, note })
  }
  commit(group: GroupId, next: Offset): void {
    this.items.push({ kind: 'commit', group, next })
  }
  send(peer: PeerId, message: M): void {
    this.items.push({ kind: 'send', peer, message })
  }
  broadcast(message: M): void {
    this.items.push({ kind: 'broadcast', message })
  }
  settle(id: number, receipt: Receipt): void {
    this.items.push({ kind: 'settle', id, receipt })
  }
  reject(id: number, code: string, surely: boolean): void {
    this.items.push({ kind: 'reject', id, code, surely })
  }
  serve(id: number, group: GroupId, next: Offset): void {
    this.items.push({ kind: 'serve', id, group, next })
  }
  openSnapshot(group: GroupId, id: number, what?: Uint8Array): void {
    this.items.push({ kind: 'openSnapshot', group, id, what })
  }
  readSnapshot(group: GroupId, id: number, bytesMax: number): void {
    this.items.push({ kind: 'readSnapshot', group, id, bytesMax })
  }
  closeSnapshot(group: GroupId, id: number): void {
    this.items.push({ kind: 'closeSnapshot', group, id })
  }
  install(group: GroupId, at: Offset, slice: Uint8Array, base?: LogBase): void {
    this.items.push({ kind: 'install', group, at, slice, base })
  }
  collect(group: GroupId, id: number, from: Offset, bytesMax: number): void {
    this.items.push({ kind: 'collect', group, id, from, bytesMax })
  }
  merge(group: GroupId, id: number, from: Offset, records: Uint8Array, last: boolean): void {
    this.items.push({ kind: 'merge', group, id, from, records, last })
  }
  become(group: GroupId, standing: Standing): void {
    this.items.push({ kind: 'become', group, standing })
  }
  report(event: string, fields: Record<string, unknown>, level?: 'warn'): void {
    this.items.push({ kind: 'report', event, fields, level })
  }
  lease(above: number | undefined, heirs?: Heirs): void {
    this.items.push({ kind: 'lease', above, heirs })
  }
  disconnect(peer: PeerId, code: string, message?: string): void {
    this.items.push({ kind: 'disconnect', peer, code, message })
  }
  drop(group: GroupId): void {
    this.items.push({ kind: 'drop', group })
  }
  view(group: GroupId, number: number, members: readonly Member[]): void {
    this.items.push({ kind: 'view', group, number, members })
  }
}

/** One trace line for an input or an effect: bytes as their length, epochs shortened. */
export function traceLine(item: { kind: string }): string {
  const { kind, ...fields } = item
  return `${kind} ${JSON.stringify(fields, plain)}`
}

function plain(key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return `${value.length}B`
  if (value !== null && typeof value === 'object') {
    if ('incarnation' in value && 'number' in value) {
      const epoch = value as Epoch
      return `${epoch.number}.${epoch.incarnation.slice(0, 4)}`
    }
    if ('first' in value && 'bytes' in value) {
      const batch = value as Batch
      return `[${batch.first},${batch.next})@${batch.epoch.number}`
    }
    // A buffer's own toJSON has run by now; it says so.
    if ('type' in value && value.type === 'Buffer' && 'data' in value)
      return `${(value.data as unknown[]).length}B`
  }
  if (key === 'random') return undefined
  return value
}
