/**
 * An admin's commands between the engine and its strategy, whoever asks: this process or a frame.
 * Handover, join, leave and a partition's new beginning are the master's; a forced beginning is any
 * node's own. A strategy says which of the last four it knows, because what it does not know it
 * passes over in silence.
 */
import type { Clock } from '../contracts/environment.js'
import type { AdminCommand, Input, Standing, StrategyStatus } from '../contracts/strategy.js'
import type { Member, PeerId } from '../contracts/types.js'
import { compareEpochs } from '../core/epochs.js'
import { GcacheError } from '../errors.js'
import {
  type AdminAsk,
  type AdminReply,
  bareMember,
  checkId,
  checkMember,
  checkPartition,
  type ForceResult,
  forceReply,
  handoverReply,
  type MembersResult,
  membersReply,
  type ResetResult,
  refusalReply,
  resetReply,
} from '../wire/admin.js'
import { encodeControl } from '../wire/control.js'
import { refusalToForce } from './force-guard.js'
import { Handovers } from './handovers.js'
import { type CommandEnd, isMaster, ReportedCommand } from './reported-command.js'

export interface AdminEnv {
  readonly self: PeerId
  readonly clock: Clock
  /** Those that the strategy answers. */
  readonly commands: readonly AdminCommand[]
  standing(): Standing
  status(): StrategyStatus
  /** Gives the command to the strategy. */
  give(input: Extract<Input<never>, { kind: 'admin' }>): void
  /** At once. */
  send(peer: PeerId, frame: Uint8Array): void
}

/** The deadline of a command that names none: a promotion, or a commit, and room for trouble. */
export const COMMAND_MS = 5_000
const COMMAND_MS_MAX = 2 ** 31 - 1

export class Admin {
  readonly handovers: Handovers
  readonly #env: AdminEnv
  readonly #members: ReportedCommand<MembersResult>
  readonly #forces: ReportedCommand<ForceResult>
  readonly #resets: ReportedCommand<ResetResult>

  constructor(env: AdminEnv) {
    this.#env = env
    const { self, clock } = env
    this.handovers = new Handovers({
      ...{ self, clock, standing: env.standing },
      command: to => this.#give('handover', to === undefined ? {} : { peer: to }),
    })
    this.#members = new ReportedCommand<MembersResult>(clock, 'members', ({ view, members }) => ({
      view: Number(view),
      members: (members as Member[]).map(bareMember),
    }))
    this.#forces = new ReportedCommand<ForceResult>(clock, 'force-bootstrap', fields => ({
      epoch: Number(fields.epoch),
      history: String(fields.history),
      forcedFrom: String(fields.forcedFrom ?? ''),
    }))
    this.#resets = new ReportedCommand<ResetResult>(clock, 'reset-partition', fields => ({
      partition: Number(fields.partition),
      born: Number(fields.born),
    }))
  }

  /** Ends with NOT_MASTER, BUSY, TIMEOUT, CLOSED, CONFIG for a strategy that has no such command,
   *  what the strategy refuses, and UNREACHABLE if this node leads no more: it may be done then. */
  join(member: Member, timeoutMs: number, end: CommandEnd<MembersResult>): void {
    this.#change('join', `the joining of ${member.id}`, { member }, timeoutMs, end)
  }

  /** As join. MEMBER_LEADS for the master itself, NOT_A_MEMBER for one that is none. */
  leave(peer: PeerId, timeoutMs: number, end: CommandEnd<MembersResult>): void {
    this.#change('leave', `the leaving of ${peer}`, { peer }, timeoutMs, end)
  }

  /** This very node begins anew with what it has. Ends with HEALTHY, NODE_EMPTY unless `empty` is
   *  said, or as join. */
  forceBootstrap(timeoutMs: number, end: CommandEnd<ForceResult>, empty = false): void {
    if (!this.#knows('force-bootstrap', end)) return
    const refusal = empty ? undefined : refusalToForce(this.#env.status())
    if (refusal !== undefined) return end(refusal)
    const give = () => this.#give('force-bootstrap', {})
    this.#forces.begin('a forced beginning', timeoutMs, give, end)
  }

  /** A lost partition begins anew, empty. Ends with HEALTHY if it is not lost, or as join. */
  resetPartition(partition: number, timeoutMs: number, end: CommandEnd<ResetResult>): void {
    if (!isMaster(this.#env.self, this.#env.standing(), end)) return
    if (!this.#knows('reset-partition', end)) return
    const give = () => this.#give('reset-partition', { partition })
    this.#resets.begin(`the new beginning of partition ${partition}`, timeoutMs, give, end)
  }

  /** A command over a link, whose right to it was judged before (rights.ts). */
  onControl(peer: PeerId, ask: AdminAsk): void {
    const { id, command, to } = ask
    const timeoutMs = Math.min(Math.max(ask.timeoutMs ?? COMMAND_MS, 1), COMMAND_MS_MAX)
    const answer =
      <T>(reply: (id: number, result: T) => AdminReply): CommandEnd<T> =>
      (error, result, master) => {
        const refused = () => refusalReply(id, error ?? new GcacheError('INTERNAL', ''), master)
        const message = result === undefined ? refused() : reply(id, result)
        this.#env.send(peer, encodeControl(message))
      }
    try {
      switch (command) {
        case 'handover': {
          const end = answer(handoverReply)
          return this.handovers.begin(to === '' ? undefined : to, timeoutMs, end)
        }
        case 'join':
          return this.join(checkMember(ask.member), timeoutMs, answer(membersReply))
        case 'leave':
          return this.leave(checkId(to), timeoutMs, answer(membersReply))
        case 'force-bootstrap':
          return this.forceBootstrap(timeoutMs, answer(forceReply), ask.empty)
        case 'reset-partition':
          return this.resetPartition(checkPartition(ask.partition), timeoutMs, answer(resetReply))
        default:
          throw new GcacheError('CONFIG', `unknown command ${command.slice(0, 64)}`)
      }
    } catch (error) {
      if (!(error instanceof GcacheError)) throw error
      this.#env.send(peer, encodeControl(refusalReply(id, error)))
    }
  }

  onReport(event: string, fields: Record<string, unknown>): void {
    this.handovers.onReport(event, fields)
    this.#members.onReport(event, fields)
    this.#forces.onReport(event, fields)
    this.#resets.onReport(event, fields)
  }

  onStanding(before: Standing, now: Standing): void {
    this.handovers.onStanding(now)
    if (now.role === 'master' && compareEpochs(now.epoch, before.epoch) === 0) return
    for (const command of [this.#members, this.#resets]) {
      const { open } = command
      const text = `${this.#env.self} stopped leading: whether ${open} is done tells gcache status`
      command.fail(new GcacheError('UNREACHABLE', text))
    }
  }

  stop(): void {
    const closed = new GcacheError('CLOSED', `${this.#env.self} was closed`)
    this.handovers.stop(closed)
    this.#members.fail(closed)
    this.#forces.fail(closed)
    this.#resets.fail(closed)
  }

  #change(
    command: 'join' | 'leave',
    what: string,
    whom: { member?: Member; peer?: PeerId },
    timeoutMs: number,
    end: CommandEnd<MembersResult>,
  ): void {
    if (!isMaster(this.#env.self, this.#env.standing(), end)) return
    if (!this.#knows(command, end)) return
    this.#members.begin(what, timeoutMs, () => this.#give(command, whom), end)
  }

  #knows<T>(command: AdminCommand, end: CommandEnd<T>): boolean {
    if (this.#env.commands.includes(command)) return true
    end(new GcacheError('CONFIG', `this strategy knows no ${command}`))
    return false
  }

  #give(command: AdminCommand, whom: { member?: Member; peer?: PeerId; partition?: number }): void {
    this.#env.give({ kind: 'admin', command, group: 0, ...whom })
  }
}
