/**
 * Asks for an admin's commands, for clients and for nodes that are not master themselves. Who is
 * asked and is no master says so; then the next one is asked, until the deadline.
 */
import type { Clock, Timer } from '../contracts/environment.js'
import type { SendResult } from '../contracts/transport.js'
import type { Member, PeerId } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import {
  type AdminAsk,
  type AdminReply,
  type ForceResult,
  type HandoverResult,
  type MembersResult,
  membersReply,
  type ResetResult,
  readForce,
  readHandover,
  readMembers,
  readReset,
} from '../wire/admin.js'
import { encodeControl } from '../wire/control.js'

export interface HandoverOptions {
  /** Who shall lead; default: the in-sync slave of lowest ordinal. */
  to?: PeerId
  /** Settles within it, ms. Default 5,000. */
  timeoutMs?: number
}

/** Of join, leave, forceBootstrap and resetPartition. */
export interface AdminOptions {
  /** Settles within it, ms. Default 5,000. */
  timeoutMs?: number
}

export interface ForceOptions extends AdminOptions {
  /** Begin with nothing, though other nodes hold data: they give it up. Without it: NODE_EMPTY. */
  empty?: boolean
}

export interface AdminEnv {
  readonly clock: Clock
  send(peer: PeerId, frame: Uint8Array): SendResult
  flush(peer: PeerId): void
}

/** Says whom to ask, each time anew; undefined: nobody is known just now. */
export type WhoLeads = () => PeerId | undefined

type Command = Omit<AdminAsk, 'type' | 'id'>

interface Ask {
  readonly peer: PeerId
  readonly command: Command
  /** Called once, with the answer or why there is none. */
  end(answer: AdminReply | GcacheError): void
}

/** Between two masters nobody leads for a moment: asked again after it. */
const AGAIN_MS = 25
const AGAIN_CODES: readonly string[] = ['NOT_MASTER', 'NOT_READY']
const DEFAULT_MS = 5_500
/** The answer of who is asked comes so much, or a tenth, before the asker gives up on it. */
const EARLIER_MS_MAX = 500

export class AdminAsks {
  readonly #env: AdminEnv
  readonly #asks = new Map<number, Ask>()
  #next = 1
  #stopped = false

  constructor(env: AdminEnv) {
    this.#env = env
  }

  handover(options: HandoverOptions, master: WhoLeads): Promise<HandoverResult> {
    const { to = '', timeoutMs = DEFAULT_MS } = options
    return this.#askMaster({ command: 'handover', to }, timeoutMs, master, readHandover)
  }

  join(member: Member, options: AdminOptions, master: WhoLeads): Promise<MembersResult> {
    const { timeoutMs = DEFAULT_MS } = options
    return this.#askMaster({ command: 'join', to: '', member }, timeoutMs, master, readMembers)
  }

  /** A master hands over first, and its successor is asked. */
  async leave(id: PeerId, options: AdminOptions, master: WhoLeads): Promise<MembersResult> {
    const { clock } = this.#env
    const until = clock.now() + (options.timeoutMs ?? DEFAULT_MS)
    for (;;)
      try {
        const leftMs = until - clock.now()
        return await this.#askMaster({ command: 'leave', to: id }, leftMs, master, readMembers)
      } catch (error) {
        if (!(error instanceof GcacheError) || error.code !== 'MEMBER_LEADS') throw error
        const leftMs = until - clock.now()
        if (leftMs <= 0) throw error
        await this.handover({ timeoutMs: leftMs }, master)
      }
  }

  /** Asks this very node. */
  async forceBootstrap(node: PeerId, options: ForceOptions): Promise<ForceResult> {
    const { empty } = options
    const command = { command: 'force-bootstrap', to: '', ...(empty ? { empty } : {}) }
    return readForce(await this.#ask(node, command, options.timeoutMs ?? DEFAULT_MS))
  }

  resetPartition(
    partition: number,
    { timeoutMs = DEFAULT_MS }: AdminOptions,
    master: WhoLeads,
  ): Promise<ResetResult> {
    const command = { command: 'reset-partition', to: '', partition }
    return this.#askMaster(command, timeoutMs, master, reply => readReset(reply, partition))
  }

  onReply(peer: PeerId, reply: AdminReply): void {
    const ask = this.#asks.get(reply.id)
    if (ask?.peer === peer) ask.end(reply)
  }

  onLinkDown(peer: PeerId): void {
    for (const ask of [...this.#asks.values()])
      if (ask.peer === peer)
        ask.end(new GcacheError('UNREACHABLE', `${peer} was lost before it answered`))
  }

  /** `id` was told that it has left: the answer would come over a link that is no more. */
  onLeft(id: PeerId, result: MembersResult): void {
    for (const [number, ask] of [...this.#asks])
      if (ask.command.command === 'leave' && ask.command.to === id)
        ask.end(membersReply(number, result))
  }

  stop(): void {
    this.#stopped = true
    for (const ask of [...this.#asks.values()]) ask.end(closed())
  }

  async #askMaster<T>(
    command: Command,
    timeoutMs: number,
    master: WhoLeads,
    read: (reply: AdminReply) => T,
  ): Promise<T> {
    const { clock } = this.#env
    const until = clock.now() + timeoutMs
    let last = new GcacheError('NOT_READY', 'no serving master is known')
    for (;;) {
      const peer = master()
      const leftMs = until - clock.now()
      if (leftMs <= 0) throw last
      if (peer !== undefined)
        try {
          return read(await this.#ask(peer, command, leftMs))
        } catch (error) {
          if (!(error instanceof GcacheError) || !AGAIN_CODES.includes(error.code)) throw error
          last = error
        }
      if (this.#stopped) throw closed()
      await new Promise<void>(resolve => clock.after(AGAIN_MS, resolve))
    }
  }

  #ask(peer: PeerId, command: Command, leftMs: number): Promise<AdminReply> {
    if (this.#stopped) return Promise.reject(closed())
    return new Promise((resolve, reject) => {
      const id = this.#next++
      const timer: Timer = this.#env.clock.after(leftMs, () =>
        ask.end(new GcacheError('TIMEOUT', `${peer} did not answer within ${leftMs} ms`)),
      )
      const ask: Ask = {
        peer,
        command,
        end: answer => {
          timer.cancel()
          if (!this.#asks.delete(id)) return
          if (answer instanceof GcacheError) reject(answer)
          else resolve(answer)
        },
      }
      this.#asks.set(id, ask)
      const timeoutMs = leftMs - Math.min(EARLIER_MS_MAX, leftMs / 10)
      // A handover's deadline is the master's own, as it was before others had one.
      const deadline = command.command === 'handover' ? {} : { timeoutMs }
      const frame = encodeControl({ type: 'admin', id, ...command, ...deadline })
      if (this.#env.send(peer, frame) === 'dropped') this.onLinkDown(peer)
      else this.#env.flush(peer)
    })
  }
}

function closed(): GcacheError {
  return new GcacheError('CLOSED', 'closed before the command was answered')
}
