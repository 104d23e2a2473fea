/**
 * What a serving master proposes by itself: the options of configured caches, then expiries,
 * evictions and closed windows. All of them are entries, because a slave never decides by itself.
 */
import type { Clock } from '../contracts/environment.js'
import type { CacheOptions, StateMachine } from '../contracts/store.js'
import type { Proposal } from '../contracts/strategy.js'
import type { GroupId } from '../contracts/types.js'
import { Writer } from '../wire/bytes.js'
import { writeConfigure } from '../wire/command.js'

export interface HousekeepingEnv {
  /** Undefined: group 0. */
  readonly group: GroupId | undefined
  readonly store: StateMachine
  readonly clock: Clock
  readonly caches: Readonly<Record<string, CacheOptions>>
  time(): number
  propose(proposals: readonly Proposal[]): void
}

/** A serving master looks so often, ms. */
export const HOUSE_MS = 25
/** Commands a run; a full one is followed by another after 1 ms. */
const COMMANDS_MAX = 1_000

export class Housekeeping {
  readonly #env: HousekeepingEnv
  #configured = false
  #runAfter = 0

  constructor(env: HousekeepingEnv) {
    this.#env = env
  }

  /** The standing changed: a new master says its configuration again. */
  restart(): void {
    this.#configured = false
  }

  /** Own clock, ms: before it there is nothing to do for it. */
  get dueMs(): number {
    return this.#runAfter
  }

  /** Called after runs of a serving master; does something every 25 ms. */
  run(): void {
    const now = this.#env.clock.now()
    if (now < this.#runAfter) return
    this.#runAfter = now + HOUSE_MS
    const { store } = this.#env
    const commands = this.#configured ? [] : this.#configure()
    this.#configured = true
    const due = store.housekeeping(this.#env.time(), COMMANDS_MAX)
    if (due.length >= COMMANDS_MAX) this.#runAfter = now + 1
    const all = [...commands, ...due]
    if (all.length > 0) this.#env.propose(all.map(bytes => proposalOf(this.#env.group, bytes)))
  }

  #configure(): Uint8Array[] {
    const commands: Uint8Array[] = []
    const known = this.#env.store.caches()
    for (const [name, options] of Object.entries(this.#env.caches)) {
      if (JSON.stringify(known.get(name)) === JSON.stringify(options)) continue
      const out = new Writer(128)
      writeConfigure(out, name, options)
      commands.push(out.copy())
    }
    return commands
  }
}

/** Nobody waits for it: id -1 is settled into nothing. */
function proposalOf(group: GroupId | undefined, bytes: Uint8Array): Proposal {
  const nobody = { id: -1, ack: 'none', client: null, seq: 0 } as const
  return { ...nobody, group, bytes, start: 0, end: bytes.length }
}
