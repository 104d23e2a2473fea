/**
 * Calls in a cluster of partitions: each key's go straight to the node that leads its group, by the
 * newest table that any node has said. Every group has Calls of its own, made at its first use,
 * since windows and positions are a group's; what has no key goes to all of them.
 */
import { LIMITS } from '../config.js'
import type { CachePort, RawPage, ReadHow, WriteOptions, WriteReceipt } from '../contracts/cache.js'
import type { GroupTable } from '../contracts/strategy.js'
import type { GroupId, PeerId } from '../contracts/types.js'
import { groupOfKey } from '../core/key-groups.js'
import { GcacheError } from '../errors.js'
import { groupOfReplies } from '../wire/requests.js'
import { encodeGroupToken } from '../wire/token.js'
import type { Call } from './call.js'
import { CallMaker } from './call-maker.js'
import { Calls, type CallsEnv } from './calls.js'
import { OwnerWatches } from './owner-watches.js'
import { receiptOfAll, settleAll } from './parts.js'

export interface GroupedCallsEnv extends Omit<CallsEnv, 'to' | 'onSilence' | 'onLocalSilence'> {
  readonly cluster: string
  /** Which local reads ask first: this process, where it has a copy. Default: the owner. */
  readonly near?: PeerId
}

/** Where a node is reached, and the largest value that it takes. */
export interface Owner {
  readonly peer: PeerId
  readonly valueBytesMax: number
}

interface Part {
  readonly calls: Calls
  readonly head: { readonly group: GroupId; table: number }
  target: PeerId | undefined
}

/** Cursors name their group above this. A store with as many slots would not fit any memory. */
const CURSORS = 2 ** 36
const CLOSED_TEXT = 'the client was closed'

export class GroupedCalls extends CallMaker implements CachePort {
  readonly #env: GroupedCallsEnv
  readonly #parts = new Map<GroupId, Part>()
  readonly #watches: OwnerWatches
  #table: GroupTable
  #ownerOf: (node: PeerId) => Owner | undefined = () => undefined
  /** At most so many calls and bytes are unanswered: counted anew when that may be too many. */
  #callsAtMost = 0
  #bytesAtMost = 0
  #state: 'open' | 'refusing' | 'closed' = 'open'
  /** Ends of the groups' turns. */
  #tasks: (() => void)[] = []
  /** Owners whose frames leave together; undefined while each leaves at once. */
  #flushing: Set<PeerId> | undefined
  readonly #endTurn = (): void => {
    const tasks = this.#tasks
    this.#tasks = []
    const owners = new Set<PeerId>()
    this.#flushing = owners
    try {
      for (const task of tasks) task()
    } finally {
      this.#flushing = undefined
    }
    for (const owner of owners) this.#env.flush(owner)
  }

  constructor(env: GroupedCallsEnv, table: GroupTable) {
    super(env.timeoutMs, env.cluster, env.clock)
    this.#env = env
    this.#table = table
    // Each group's Calls know what their owner takes.
    this.valueBytesMax = LIMITS.valueBytesCeiling
    this.#watches = new OwnerWatches((target, frame) => env.send(target, frame))
  }

  /** Calls without an answer. */
  get pending(): number {
    let sum = 0
    for (const { calls } of this.#parts.values()) sum += calls.pending
    return sum
  }

  /** What was seen of every group. */
  token(): string {
    const seen = [...this.#parts].map(
      ([group, { calls }]) => [group, calls.seen.positions] as const,
    )
    return encodeGroupToken(this.#env.cluster, seen)
  }

  /** The newest table, and who of those it names is linked: asked again for each new group. */
  route(table: GroupTable, ownerOf: (node: PeerId) => Owner | undefined): void {
    const news = table.number !== this.#table.number
    this.#table = table
    this.#ownerOf = ownerOf
    for (const part of this.#parts.values()) this.#route(part, news)
    const owners = new Set<PeerId>()
    for (const node of new Set(table.masters)) {
      const owner = node === undefined ? undefined : ownerOf(node)
      if (owner !== undefined) owners.add(owner.peer)
    }
    if (this.#state !== 'closed') this.#watches.route(owners)
  }

  onTargetDown(peer: PeerId): void {
    for (const part of this.#parts.values()) {
      if (part.target === peer) part.target = undefined
      part.calls.onTargetDown(peer)
    }
    this.#watches.onTargetDown(peer)
  }

  onWritable(peer: PeerId): void {
    for (const { calls } of this.#parts.values()) calls.onWritable(peer)
    this.#watches.onWritable(peer)
  }

  /** A frame of kind groupReply. Throws PROTOCOL_ERROR for what is none. */
  onReply(peer: PeerId, frame: Uint8Array): void {
    const part = this.#parts.get(groupOfReplies(frame) ?? 0)
    part?.calls.onReply(peer, frame)
  }

  onEvent(peer: PeerId, frame: Uint8Array): void {
    this.#watches.onEvent(peer, frame)
  }

  onWatchRefused(peer: PeerId, id: number, error: GcacheError): void {
    this.#watches.onRefused(peer, id, error)
  }

  /** Takes no new calls (CLOSED); those under way end as ever. */
  refuseNew(): void {
    if (this.#state === 'open') this.#state = 'refusing'
  }

  /** Rejects every pending call with CLOSED. Idempotent. */
  close(): void {
    this.#state = 'closed'
    for (const { calls } of this.#parts.values()) calls.close()
    this.#watches.close(new GcacheError('CLOSED', CLOSED_TEXT))
  }

  watch(...wanted: Parameters<CachePort['watch']>): () => void {
    if (this.#state === 'closed') this.#assertOpen()
    return this.#watches.watch(...wanted)
  }

  override async size(cache: string, timeoutMs: number, how?: ReadHow): Promise<number> {
    this.#assertRoom(this.#table.partitions)
    const counts = await this.#all(calls => calls.size(cache, timeoutMs, how))
    return counts.reduce((sum, count) => sum + count, 0)
  }

  override async clear(cache: string, options: WriteOptions): Promise<WriteReceipt> {
    this.#assertRoom(this.#table.partitions, 'rejected')
    return receiptOfAll(await this.#all(calls => calls.clear(cache, options)))
  }

  /** Group by group. */
  override async scan(
    cache: string,
    prefix: string,
    cursor: number,
    limit: number,
    timeoutMs: number,
    how?: ReadHow,
  ): Promise<RawPage> {
    this.#assertRoom(1)
    const { partitions } = this.#table
    const group = Math.max(1, Math.floor(cursor / CURSORS))
    const { calls } = this.#of(group)
    const page = await calls.scan(cache, prefix, cursor % CURSORS, limit, timeoutMs, how)
    if (page.cursor >= CURSORS)
      throw new GcacheError('PROTOCOL_ERROR', `${page.source} said the cursor ${page.cursor}`)
    const from = group * CURSORS
    if (page.cursor !== 0) return { ...page, from, cursor: from + page.cursor }
    return { ...page, from, cursor: group < partitions ? from + CURSORS : 0 }
  }

  protected override groupOf(key: string): GroupId {
    return groupOfKey(key, this.#table.partitions)
  }

  protected override submit(call: Call, timeoutMs: number): Promise<unknown> {
    if (this.#state !== 'open') return this.refuse(call, 'CLOSED', CLOSED_TEXT)
    if (this.#full(1, call.value.length)) return this.refuse(call, 'BUSY', this.#busyText())
    return this.#of(this.groupOf(call.key)).calls.submit(call, timeoutMs)
  }

  #assertOpen(outcome?: 'rejected'): void {
    if (this.#state !== 'open') throw new GcacheError('CLOSED', CLOSED_TEXT, { outcome })
  }

  /** So many calls more, without values, may be asked. */
  #assertRoom(calls: number, outcome?: 'rejected'): void {
    this.#assertOpen(outcome)
    if (this.#full(calls, 0)) throw new GcacheError('BUSY', this.#busyText(), { outcome })
  }

  #busyText(): string {
    return `${this.#callsAtMost} calls are unanswered`
  }

  /** Asks every group that holds keys. There is room for it. */
  async #all<T>(ask: (calls: Calls) => Promise<T>): Promise<T[]> {
    const asked: Promise<T>[] = []
    for (let group = 1; group <= this.#table.partitions; group++)
      asked.push(ask(this.#of(group).calls))
    return await settleAll(asked)
  }

  #of(group: GroupId): Part {
    const known = this.#parts.get(group)
    if (known !== undefined) return known
    const head = { group, table: this.#table.number }
    const { near, ...env } = this.#env
    const calls = new Calls({
      ...env,
      to: () => head,
      send: (target, frame) => this.#env.send(target, frame),
      flush: target => this.#flush(target),
      defer: task => this.#defer(task),
    })
    if (near !== undefined) calls.routeLocal(near)
    const part: Part = { calls, head, target: undefined }
    this.#parts.set(group, part)
    this.#route(part, false)
    return part
  }

  #route(part: Part, news: boolean): void {
    part.head.table = this.#table.number
    const node = this.#table.masters[part.head.group]
    const owner = node === undefined ? undefined : this.#ownerOf(node)
    // By another table the same node may serve what it refused before.
    if (part.target === owner?.peer && !news) return
    part.target = owner?.peer
    if (owner !== undefined) part.calls.limitValues(owner.valueBytesMax)
    part.calls.route(owner?.peer)
  }

  /** True if so many calls more, with values of `bytes` in all, would be too many. */
  #full(calls: number, bytes: number): boolean {
    this.#callsAtMost += calls
    this.#bytesAtMost += bytes
    const { callsMax, callQueueBytesMax } = LIMITS
    const holds = () =>
      this.#callsAtMost <= callsMax && (bytes === 0 || this.#bytesAtMost <= callQueueBytesMax)
    if (holds()) return false
    this.#callsAtMost = calls
    this.#bytesAtMost = bytes
    for (const part of this.#parts.values()) {
      this.#callsAtMost += part.calls.pending
      this.#bytesAtMost += part.calls.pendingBytes
    }
    return !holds()
  }

  #defer(task: () => void): void {
    if (this.#tasks.push(task) === 1) (this.#env.defer ?? process.nextTick)(this.#endTurn)
  }

  #flush(target: PeerId): void {
    if (this.#flushing === undefined) this.#env.flush(target)
    else this.#flushing.add(target)
  }
}
