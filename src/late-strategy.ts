/**
 * A strategy whose members are not known when its node starts. It stands still until the first view
 * names them, and is then made with those, as if they had been the configuration all along: no rule
 * of any strategy knows of discovery. A template, made for as many members as will found, judges
 * the options at once and says what a strategy says of itself.
 */

import { FORMATION } from './config.js'
import type { ElectionFactory } from './contracts/election.js'
import type {
  Effects,
  GroupTable,
  Input,
  Place,
  ReplicationStrategy,
  StrategyEnv,
  StrategyFactory,
  StrategyStatus,
} from './contracts/strategy.js'
import type { GroupId, Member, Position } from './contracts/types.js'
import { GcacheError } from './errors.js'

export interface LateOptions {
  /** Undefined: the default of profile ordinal; other profiles must be told. */
  readonly expect: number | undefined
  readonly self: Member
  /** What others dial; known once the node listens. */
  address(): string
}

/** Founders of a strategy that is only asked for its profile. */
const ENOUGH = 3

/** CONFIG, from the factory that is returned, for options that the founders cannot meet, or where
 *  the profile needs to be told how many they are. */
export function lateStrategy(factory: StrategyFactory, options: LateOptions): StrategyFactory {
  return env => {
    const { expect } = options
    const template = factory({ ...env, members: founders(options.self, expect ?? ENOUGH) })
    if (expect !== undefined) return new LateStrategy(env, factory, template, options)
    const { profile } = template.status()
    if (profile !== 'ordinal')
      throw new GcacheError(
        'CONFIG',
        `option expect is missing: in profile ${profile} discovery must know how many nodes ` +
          'found the cluster, such as expect: 3 with the ordinals 0, 1 and 2',
      )
    const pair = factory({ ...env, members: founders(options.self, FORMATION.expect) })
    return new LateStrategy(env, factory, pair, options)
  }
}

/** This node, and others that stand for whoever will come. */
function founders(self: Member, count: number): Member[] {
  const all: Member[] = [self]
  for (let ordinal = 0; all.length < count; ordinal++)
    if (ordinal !== self.ordinal) all.push({ id: `founder-${ordinal}`, ordinal, address: '?' })
  return all
}

class LateStrategy implements ReplicationStrategy<unknown> {
  readonly name
  readonly codec
  readonly keyed
  readonly defaultAck
  readonly commands
  readonly election?: ElectionFactory
  readonly actsUntil?: (group: GroupId) => number
  readonly freshness?: (group: GroupId) => number
  readonly place?: (group: GroupId, position: Position) => Place
  readonly table?: () => GroupTable
  readonly #env: StrategyEnv
  readonly #factory: StrategyFactory
  readonly #options: LateOptions
  /** The template, until the members are known. */
  #inner: ReplicationStrategy<unknown>
  #late = true
  #tick: Extract<Input<unknown>, { kind: 'tick' }> | undefined

  constructor(
    env: StrategyEnv,
    factory: StrategyFactory,
    template: ReplicationStrategy<unknown>,
    options: LateOptions,
  ) {
    this.#env = env
    this.#factory = factory
    this.#inner = template
    this.#options = options
    this.name = template.name
    this.codec = template.codec
    this.keyed = template.keyed
    this.defaultAck = template.defaultAck
    this.commands = template.commands ?? []
    // What a strategy leaves out means something to the engine.
    if (template.election !== undefined) this.election = template.election
    const { table } = template
    // Nobody serves anything before the members are known.
    if (table !== undefined) this.table = () => this.#inner.table?.() ?? table.call(template)
    if (template.actsUntil !== undefined)
      this.actsUntil = group => this.#inner.actsUntil?.(group) ?? Number.POSITIVE_INFINITY
    if (template.freshness !== undefined)
      this.freshness = group => this.#inner.freshness?.(group) ?? Number.NEGATIVE_INFINITY
    if (template.place !== undefined)
      this.place = (group, position) => this.#inner.place?.(group, position) ?? 'lost'
  }

  step(input: Input<unknown>, effects: Effects<unknown>): void {
    if (!this.#late) return this.#inner.step(input, effects)
    switch (input.kind) {
      case 'tick':
        this.#tick = input
        return
      case 'view':
        this.#inner = this.#factory({ ...this.#env, members: input.members })
        this.#late = false
        if (this.#tick !== undefined) this.#inner.step(this.#tick, effects)
        this.#inner.step(input, effects)
        return
      case 'propose':
        for (const { id } of input.proposals) effects.reject(id, 'NOT_READY', true)
        return
      case 'read':
        effects.reject(input.id, 'NOT_READY', true)
        return
      case 'admin': {
        const message = `${this.#env.self} looks for its cluster`
        const { command } = input
        const event = command === 'join' || command === 'leave' ? 'members' : command
        effects.report(event, { state: 'refused', code: 'NOT_READY', message })
      }
    }
  }

  time(group: number): number {
    return this.#inner.time(group)
  }

  welcomesStrangers(): boolean {
    return !this.#late && (this.#inner.welcomesStrangers?.() ?? false)
  }

  status(): StrategyStatus {
    const status = this.#inner.status()
    if (!this.#late) return status
    const { id, ordinal } = this.#options.self
    const at = { id, ordinal, address: this.#options.address() }
    const self = { ...at, role: 'slave', state: 'forming', offset: 0, lag: 0 } as const
    const guarantee = 'none yet: it looks for its cluster'
    return { ...status, guarantee, self, members: [self] }
  }
}
