/**
 * Carries out the effects `collect` and `merge`, each step in a turn of its own, so that healing a
 * split never holds up the calls of clients. Holds no records: one piece is made or judged a time.
 */
import type { Clock } from '../contracts/environment.js'
import type { MergeCounts } from '../contracts/merge.js'
import type { GroupId, Offset } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { Collector } from './merge-collect.js'
import { Merger, type MergerEnv } from './merge-decide.js'

export interface MergesEnv extends MergerEnv {
  readonly clock: Clock
  feed(
    input:
      | { kind: 'collected'; group: GroupId; id: number; records: Uint8Array; last: boolean }
      | {
          kind: 'merged'
          group: GroupId
          id: number
          commands: readonly Uint8Array[]
          counts: MergeCounts | undefined
        },
  ): void
  /** A broken invariant. */
  fail(error: unknown): void
}

/** A merge that its strategy forgot leaves a list of removals behind; so many at most. */
const MERGERS_MAX = 8

export class Merges {
  readonly #env: MergesEnv
  #collector: Collector | undefined
  readonly #mergers = new Map<number, Merger>()
  /** Grows when all begins anew. */
  #life = 0

  constructor(env: MergesEnv) {
    this.#env = env
  }

  /** The log or the state machine changes by more than entries that follow: all begins anew. */
  reset(): void {
    this.#life++
    this.#collector = undefined
    this.#mergers.clear()
  }

  /** This node appends: what is being collected would be of another state. */
  onAppend(): void {
    this.#collector = undefined
  }

  collect(group: GroupId, id: number, from: Offset, bytesMax: number): void {
    const { store, log } = this.#env
    if (this.#collector?.id !== id) this.#collector = new Collector(store, log, id, from)
    const collector = this.#collector
    this.#later(() => {
      if (this.#collector !== collector) return true
      const piece = collector.piece(bytesMax)
      if (piece === undefined) return false
      if (piece.last) this.#collector = undefined
      this.#env.feed({ kind: 'collected', group, id, ...piece })
      return true
    })
  }

  merge(group: GroupId, id: number, from: Offset, records: Uint8Array, last: boolean): void {
    const merger = this.#mergers.get(id) ?? new Merger(this.#env, id, from)
    this.#mergers.set(id, merger)
    for (const oldest of this.#mergers.keys())
      if (this.#mergers.size > MERGERS_MAX) this.#mergers.delete(oldest)
    const life = this.#life
    this.#later(() => {
      if (this.#life !== life) return true
      if (!merger.isReady()) return false
      if (last) this.#mergers.delete(id)
      this.#env.feed({ kind: 'merged', group, id, ...this.#decide(merger, records) })
      return true
    })
  }

  #decide(merger: Merger, records: Uint8Array) {
    try {
      return merger.decide(records)
    } catch (error) {
      if (!(error instanceof GcacheError) || error.code !== 'PROTOCOL_ERROR') throw error
      return { commands: [], counts: undefined }
    }
  }

  /** Runs `step` in turns of its own until it returns true. */
  #later(step: () => boolean): void {
    const { clock } = this.#env
    const turn = () => {
      try {
        if (!step()) clock.after(0, turn)
      } catch (error) {
        this.#env.fail(error)
      }
    }
    clock.after(0, turn)
  }
}
