/**
 * The embedded node's own calls: a client's Calls whose target is the master, this node itself in
 * process or another over the peer link; with partitions, the owner of each key's. The engine may
 * answer from inside a request; Calls must not hear of it there, so answers in process wait for the
 * end of the running task.
 */
import { AdminAsks, type AdminOptions, type HandoverOptions } from './client/admin.js'
import { Calls, type CallsEnv, DEFAULT_TIMEOUT_MS } from './client/calls.js'
import { GroupedCalls } from './client/grouped-calls.js'
import type { Clock, Random } from './contracts/environment.js'
import type { GroupTable, Standing } from './contracts/strategy.js'
import type { SendResult } from './contracts/transport.js'
import type { Member, PeerId } from './contracts/types.js'
import type { HandoverResult, MembersResult, ResetResult } from './wire/admin.js'
import { decodeControl } from './wire/control.js'
import { FRAME } from './wire/requests.js'
import { encodeToken } from './wire/token.js'

/** What it needs of the engine. */
export interface CallEngine {
  /** Undefined where there is only one group. */
  readonly table: GroupTable | undefined
  request(frame: Uint8Array, reply: (frame: Uint8Array) => void): void
  sendTo(peer: PeerId, frame: Uint8Array): SendResult
  flush(peer: PeerId): void
}

export interface NodeCallsOptions {
  readonly self: PeerId
  readonly cluster: string
  readonly engine: CallEngine
  readonly clock: Clock
  readonly random: Random
  /** One value, as this node takes it. */
  readonly valueBytesMax: number
}

export class NodeCalls {
  readonly #self: PeerId
  readonly #engine: CallEngine
  readonly #calls: Calls
  /** Undefined where there is only one group. */
  readonly groups: GroupedCalls | undefined
  readonly #linked = new Set<PeerId>()
  readonly #valueBytesMax: number
  readonly #admin: AdminAsks
  #answers: Uint8Array[] = []
  #master: PeerId | undefined
  readonly #reply = (frame: Uint8Array): void => {
    // Lent for this call only.
    if (this.#answers.push(Buffer.from(frame)) === 1) process.nextTick(this.#deliver)
  }
  readonly #deliver = (): void => {
    const answers = this.#answers
    this.#answers = []
    for (const frame of answers) this.#take(this.#self, frame)
  }

  constructor(options: NodeCallsOptions) {
    this.#self = options.self
    this.#engine = options.engine
    this.#valueBytesMax = options.valueBytesMax
    const env: CallsEnv & { cluster: string } = {
      clock: options.clock,
      random: options.random,
      timeoutMs: DEFAULT_TIMEOUT_MS,
      cluster: options.cluster,
      send: (target, frame) => this.#send(target, frame),
      flush: target => {
        if (target !== this.#self) this.#engine.flush(target)
      },
    }
    this.#calls = new Calls(env)
    const { table } = options.engine
    if (table !== undefined) this.groups = new GroupedCalls({ ...env, near: options.self }, table)
    this.#calls.limitValues(options.valueBytesMax)
    this.#admin = new AdminAsks({
      clock: options.clock,
      send: (target, frame) => this.#send(target, frame),
      flush: target => this.#engine.flush(target),
    })
    this.#calls.routeLocal(this.#self)
  }

  /** Of group 0. */
  get port(): Calls {
    return this.#calls
  }

  /** Calls without an answer. */
  get pending(): number {
    return this.#calls.pending + (this.groups?.pending ?? 0)
  }

  /** Takes no new calls (CLOSED); those under way end as ever. */
  refuseNew(): void {
    this.#calls.refuseNew()
    this.groups?.refuseNew()
  }

  token(cluster: string): string {
    return this.groups?.token() ?? encodeToken(cluster, this.#calls.seen.positions)
  }

  /** The engine's word on who leads which group. */
  onTable(table: GroupTable): void {
    this.groups?.route(table, node => {
      if (node !== this.#self && !this.#linked.has(node)) return undefined
      return { peer: node, valueBytesMax: this.#valueBytesMax }
    })
  }

  /** The engine's word on who leads. Another master that does not serve yet says so itself. */
  onStanding(standing: Standing): void {
    const { role, serving, master } = standing
    this.#master = role === 'master' ? (serving ? this.#self : undefined) : master
    this.#calls.route(this.#master)
  }

  onLinkUp(peer: PeerId): void {
    this.#linked.add(peer)
    if (peer === this.#master) this.#calls.route(peer)
    this.#tableAgain()
  }

  /** A link that was congested takes frames again. */
  onWritable(peer: PeerId): void {
    this.#calls.onWritable(peer)
    this.groups?.onWritable(peer)
  }

  /** Asks whoever leads to hand over, this node or another. */
  handover(options: HandoverOptions): Promise<HandoverResult> {
    return this.#admin.handover(options, () => this.#master)
  }

  /** Asks whoever leads to take `member` in. */
  join(member: Member, options: AdminOptions): Promise<MembersResult> {
    return this.#admin.join(member, options, () => this.#master)
  }

  /** Asks whoever leads to let `id` leave. */
  leave(id: PeerId, options: AdminOptions): Promise<MembersResult> {
    return this.#admin.leave(id, options, () => this.#master)
  }

  /** Asks whoever leads to begin a lost partition anew. */
  resetPartition(partition: number, options: AdminOptions): Promise<ResetResult> {
    return this.#admin.resetPartition(partition, options, () => this.#master)
  }

  /** This node has left, and is linked with nobody who could answer. */
  onLeft(result: MembersResult): void {
    this.#admin.onLeft(this.#self, result)
  }

  onLinkDown(peer: PeerId): void {
    this.#linked.delete(peer)
    this.#admin.onLinkDown(peer)
    this.#calls.onTargetDown(peer)
    this.groups?.onTargetDown(peer)
    this.#tableAgain()
  }

  /** A reply or an event from a member. Throws PROTOCOL_ERROR, which ends that link. */
  onFrame(peer: PeerId, frame: Uint8Array): void {
    this.#take(peer, frame)
  }

  /** Every pending call is rejected with CLOSED. */
  close(): void {
    this.#calls.close()
    this.groups?.close()
    this.#admin.stop()
  }

  #take(peer: PeerId, frame: Uint8Array): void {
    if (frame[0] === FRAME.reply) this.#calls.onReply(peer, frame)
    else if (frame[0] === FRAME.groupReply) this.groups?.onReply(peer, frame)
    else if (frame[0] === FRAME.event) (this.groups ?? this.#calls).onEvent(peer, frame)
    else if (frame[0] === FRAME.control) {
      const message = decodeControl(frame)
      if (message.type === 'admin-reply') this.#admin.onReply(peer, message)
    }
  }

  /** Another link stands, or one less. */
  #tableAgain(): void {
    const { table } = this.#engine
    if (table !== undefined) this.onTable(table)
  }

  #send(target: PeerId, frame: Uint8Array): SendResult {
    if (target === this.#self) {
      this.#engine.request(frame, this.#reply)
      return 'sent'
    }
    return this.#engine.sendTo(target, frame)
  }
}
