/** A planted bug: an exact piece of source, what stands there instead, and where to look for it. */
import type { SimulatedProfile, Style } from '../../src/testing/swarm.js'

export interface Edit {
  /** From the root of the project. */
  readonly file: string
  /** Must stand in the file exactly once, or the mutant does not load. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly id: string
  readonly what: string
  /** Why it must be found: what it breaks. */
  readonly why: string
  readonly edits: readonly Edit[]
  /** Runs in `npm test`, among seeds of this style; 'suite': sought by the strategy suite alone. */
  readonly style: Style | 'suite' | undefined
  /** Sought in seeds of this profile alone: no other has the rule. */
  readonly profile: SimulatedProfile | undefined
  /** Sought in seeds of this one; master-slave unless told. */
  readonly strategy?: string
}

export const STRATEGY = 'strategies/master-slave'

export function mutant(
  id: string,
  what: string,
  why: string,
  edits: readonly (readonly [file: string, find: string, replace: string])[],
  style?: Style | 'suite',
  profile?: SimulatedProfile,
): Mutant {
  return {
    id,
    what,
    why,
    edits: edits.map(([file, find, replace]) => ({ file, find, replace })),
    style,
    profile,
  }
}
