/** What is fuzzed: something that takes bytes of a stranger, and what a run knows of it. */
import type { SeededRandom } from '../../src/core/prng.js'

export interface Target {
  /** Begins the names of its files in test/fuzz/found. */
  readonly name: string
  /** How many of a hundred blocks are its, about. */
  readonly weight: number
  /** What it took before may not change what becomes of an input: tried in another order, too. */
  readonly pure: boolean
  /** A fresh one for each block, which draws only from `random`. */
  open(random: SeededRandom): Trial
}

export interface Trial {
  /** What is mutated next; may grow by what the trial itself says. */
  readonly seeds: readonly Uint8Array[]
  /**
   * Takes one input and says what became of it in a few characters, the same each time. A
   * GcacheError is a refusal; whatever else it throws is what the run looks for.
   */
  take(input: Buffer): string
  /** After each input, not counted in its time: what the world does meanwhile. May throw. */
  after?(): void
  /** After the last input: throws if something was harmed that had no part in it. */
  close?(): void
}

/** A promise of the product that an input broke. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise'
}

export function promise(holds: boolean, what: string): asserts holds {
  if (!holds) throw new BrokenPromise(what)
}
