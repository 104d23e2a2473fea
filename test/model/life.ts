/**
 * One process of one node, as a state of the search: what its strategy knows, its log, what it has
 * applied, and the writes that wait. `step` copies it, lets the strategy of production take one
 * input, and does what the engine does with the effects.
 */
import type { Input, StrategyEnv } from '../../src/contracts/strategy.js'
import type { Batch, Epoch, PeerId } from '../../src/contracts/types.js'
import { compareEpochs } from '../../src/core/epochs.js'
import { type Effect, EffectQueue } from '../../src/engine/effect-queue.js'
import { MemoryLog } from '../../src/store/memory-log.js'
import { MasterSlave } from '../../strategies/master-slave/index.js'
import type { Message } from '../../strategies/master-slave/messages.js'
import { type Settings, settingsOf } from '../../strategies/master-slave/options.js'
import { GroupState } from '../../strategies/master-slave/state.js'
import { Witness, WitnessState } from '../../strategies/master-slave/witness.js'
import { copyGroup, copyWitness, type Outstanding } from './copying.js'
import { nameOfEpoch, nameOfGroup, nameOfWitness } from './names.js'
import { IDS, type Subject, TIMES_OF_MODEL } from './scope.js'

/** By life of a node: a later process may have the lower incarnation. */
const LIVES = ['8', '4', 'c', '2', 'e', '1', 'f']
const STARTED_AT_MS = 100_000

export interface Sent {
  readonly to: number
  readonly message: Message
}

/** What a step showed to the laws. */
export interface Shown {
  /** Acknowledged: the entry, by the epoch that answered. */
  readonly acked: { readonly epoch: Epoch; readonly offset: number; readonly crc: number }[]
  /** Became master, or began to serve as one. */
  readonly leads: { readonly epoch: Epoch; readonly serving: boolean; readonly log: number[] }[]
  broken: string | undefined
  /** The process before this one was a master or might have been. */
  dies: boolean
}

export interface Outcome {
  readonly life: Life
  readonly sent: readonly Sent[]
  readonly shown: Shown
}

export class Life {
  outstanding: Outstanding[] = []
  log = new MemoryLog()
  /** Checksums of what is applied: entry i stands at i - 1. */
  applied: number[] = []
  note: Uint8Array | undefined
  state: GroupState | WitnessState
  readonly #env: StrategyEnv
  readonly #settings: Settings

  constructor(
    readonly subject: Subject,
    readonly node: number,
    readonly lives: number,
    from?: Life,
    note?: Uint8Array,
  ) {
    const { profile, ack } = subject
    this.#settings = from ? from.#settings : settingsOf({ profile, ack, ...TIMES_OF_MODEL })
    this.note = note
    this.#env = this.#envOf(note)
    if (from === undefined) {
      const isWitness = subject.witness && node === 2
      this.state = isWitness
        ? new WitnessState(this.#env)
        : new GroupState(this.#env, this.#settings)
      return
    }
    this.log = copyLog(from.log)
    this.applied = [...from.applied]
    this.outstanding = from.outstanding
    this.state =
      from.state instanceof GroupState
        ? copyGroup(from.state, this.#env, this.#settings, from.outstanding)
        : copyWitness(from.state, this.#env)
  }

  #envOf(note: Uint8Array | undefined): StrategyEnv {
    return {
      self: IDS[this.node],
      incarnation: `${LIVES[this.lives]}${'0'.repeat(14)}${this.node}`,
      random: { next: () => 0 },
      frameBytesMax: 2 ** 20,
      durability: 'memory',
      members: membersOf(this.subject),
      note,
      log: () => this.log,
    } as StrategyEnv
  }

  /** A process of this node that has just begun. */
  begin(): Outcome {
    const shown: Shown = { acked: [], leads: [], broken: undefined, dies: false }
    const sent: Sent[] = []
    this.#take({ kind: 'tick', now: STARTED_AT_MS, wall: 0, lateMs: 0 }, sent, shown)
    this.#take({ kind: 'view', view: 1, members: membersOf(this.subject) }, sent, shown)
    return { life: this, sent, shown }
  }

  /** The next process of the node: it has the note of a witness, and nothing else. */
  next(): Outcome {
    const outcome = new Life(this.subject, this.node, this.lives + 1, undefined, this.note).begin()
    outcome.shown.dies = true
    return outcome
  }

  step(input: Input<Message>): Outcome {
    const life = new Life(this.subject, this.node, this.lives, this, this.note)
    const shown: Shown = { acked: [], leads: [], broken: undefined, dies: false }
    const sent: Sent[] = []
    try {
      life.#take(input, sent, shown)
      life.#judge(this, shown)
    } catch (error) {
      shown.broken = `assertion: ${(error as Error).message}`
    }
    return { life, sent, shown }
  }

  tick(passedMs: number): Outcome {
    return this.step({ kind: 'tick', now: this.state.now + passedMs, wall: 0, lateMs: 0 })
  }

  get serves(): boolean {
    return this.state instanceof GroupState && this.state.role === 'master' && this.state.serving
  }

  /** Checksums of the whole log; -1 where a copy has not come yet. */
  get entries(): number[] {
    const entries = Array.from({ length: this.log.applied - 1 }, (_, i) => this.applied[i] ?? -1)
    for (let at = this.log.applied; at < this.log.next; at++)
      entries.push((this.log.batchAt(at) as Batch).crc)
    return entries
  }

  get name(): string {
    const { state, log, outstanding, node, lives } = this
    const known = state instanceof GroupState ? nameOfGroup(state) : nameOfWitness(state)
    const waits = outstanding.map(({ id, offset, copies }) => [id, offset, copies])
    return `${node}${lives}|${known}|${log.first}|${log.applied}|${JSON.stringify(waits)}`
  }

  #take(input: Input<Message>, sent: Sent[], shown: Shown): void {
    const { state } = this
    const settings = this.#settings
    const { readmits } = this.subject
    // Anew each time: whoever adopts a view works it out again.
    if (readmits !== undefined && state instanceof GroupState)
      state.quorum = { ...state.quorum, readmits }
    const effects = new EffectQueue<Message>()
    const strategy =
      state instanceof GroupState
        ? new MasterSlave(this.#env, settings, state)
        : new Witness(this.#env, settings, state)
    strategy.step(input, effects)
    const followUps: Input<Message>[] = []
    for (const effect of effects.items) this.#execute(effect, sent, shown, followUps)
    this.#noteWaiting(input, effects.items)
    for (const next of followUps) this.#take(next, sent, shown)
  }

  #execute(effect: Effect<Message>, sent: Sent[], shown: Shown, followUps: Input<Message>[]): void {
    switch (effect.kind) {
      case 'append':
        return this.log.append(effect.batch)
      case 'truncate':
        return this.log.truncate(effect.from)
      case 'commit':
        for (let at = this.log.applied; at < effect.next; at++)
          this.applied[at - 1] = (this.log.batchAt(at) as Batch).crc
        return this.log.markApplied(effect.next)
      case 'persist':
        this.note = effect.note
        return
      case 'send':
        sent.push({ to: IDS.indexOf(effect.peer), message: effect.message })
        return
      case 'settle': {
        const { epoch, offset } = effect.receipt
        shown.acked.push({ epoch, offset, crc: this.entries[offset - 1] })
        return
      }
      case 'become': {
        const { role, epoch, serving } = effect.standing
        if (role === 'master') shown.leads.push({ epoch, serving, log: this.entries })
        return
      }
      case 'readSnapshot': {
        const slice = Buffer.from(JSON.stringify(this.applied))
        const { group, id } = effect
        const next = this.log.applied
        followUps.push({ kind: 'snapshot', group, id, next, slice, state: 'done' })
        return
      }
      case 'install':
        if (effect.base !== undefined) {
          this.log.reset(effect.at, effect.base.epoch, effect.base.crc)
          this.applied = []
        } else for (const [i, crc] of JSON.parse(`${effect.slice}`).entries()) this.applied[i] = crc
        return
      case 'collect':
      case 'merge':
      case 'disconnect':
        throw new Error(`the model has no ${effect.kind}`)
      default:
    }
  }

  /** What Waiting holds after the step. */
  #noteWaiting(input: Input<Message>, effects: readonly Effect<Message>[]): void {
    const ended = new Set<number>()
    let offset = 0
    for (const effect of effects) {
      if (effect.kind === 'settle' || effect.kind === 'reject') ended.add(effect.id)
      if (effect.kind === 'append') offset = effect.batch.first
    }
    const added = input.kind === 'propose' ? input.proposals.map(({ id }) => id) : []
    const copies = this.subject.profile === 'strict' ? 3 : 1
    this.outstanding = [...this.outstanding, ...added.map(id => ({ id, offset, copies }))].filter(
      ({ id }) => !ended.has(id),
    )
  }

  /** I3 and I17, which one node can break alone. */
  #judge(before: Life, shown: Shown): void {
    const { state } = this
    if (!(state instanceof GroupState)) {
      const was = (before.state as WitnessState).memory.promised
      if (compareEpochs(state.memory.promised, was) < 0) shown.broken = 'I3: a promise fell'
      return
    }
    if (compareEpochs(state.promised, (before.state as GroupState).promised) < 0)
      shown.broken = 'I3: a promise fell'
    if (state.commitsLate && !state.voter && state.role !== 'slave')
      shown.broken = `I17: ${nameOfEpoch(state.epoch)} is led by a node without memory`
  }
}

function copyLog(from: MemoryLog): MemoryLog {
  const to = new MemoryLog()
  const { first } = from
  to.reset(first, from.epochBefore(first), from.crcBefore(first) as number)
  for (const batch of from.read(first, Number.POSITIVE_INFINITY) ?? []) to.append(batch)
  to.markApplied(from.applied)
  return to
}

function membersOf({ witness }: Subject) {
  return IDS.map((id: PeerId, ordinal) => ({
    id,
    ordinal,
    address: '',
    ...(witness && ordinal === 2 ? { witness: true } : {}),
  }))
}
