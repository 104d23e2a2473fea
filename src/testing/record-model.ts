/**
 * One record as its clients see it: only by its version, the offset of the write that made it. A
 * version says more than a value, since it is given once and later ones are higher: a record that
 * comes back is noticed even with equal values. A write whose answer nobody heard has a version
 * that nobody knows yet: the record is then unnamed, until somebody reads it.
 *
 *   present h   h is its version, and the highest so far
 *   absent h    h was the highest
 *   unnamed h   some version above h
 */
import type { Model } from './linearizability.js'

/** `version` is undefined if nobody heard the answer: such a write is open to the end. */
export type RecordOperation =
  | { readonly kind: 'see'; readonly version: number }
  | { readonly kind: 'see-absent' }
  /** ifAbsent was refused. */
  | { readonly kind: 'see-present' }
  /** ifVersion was refused. */
  | { readonly kind: 'see-other'; readonly version: number }
  | {
      readonly kind: 'set'
      readonly version: number | undefined
      readonly ifAbsent: boolean
      readonly ifVersion: number | undefined
    }
  | { readonly kind: 'delete'; readonly heard: boolean; readonly ifVersion: number | undefined }
  | { readonly kind: 'clear' }

const ABSENT = 0
const PRESENT = 1
const UNNAMED = 2
/** State = highest version * KINDS + kind. Offsets stay below 2 ** 51. */
const KINDS = 4

export const record: Model<number, RecordOperation> = {
  initial: ABSENT,
  apply(state, operation) {
    const kind = state % KINDS
    const highest = Math.floor(state / KINDS)
    switch (operation.kind) {
      case 'see':
        return see(state, operation.version)
      case 'see-absent':
        return kind === ABSENT ? state : undefined
      case 'see-present':
        return kind === ABSENT ? undefined : state
      case 'see-other':
        return kind === ABSENT || see(state, operation.version) === state ? undefined : state
      case 'set': {
        const { ifAbsent, ifVersion, version } = operation
        const met = meet(state, ifVersion)
        if (met === undefined || (ifAbsent && kind !== ABSENT))
          return version === undefined ? state : undefined
        const before = Math.floor(met / KINDS)
        if (version === undefined) return before * KINDS + UNNAMED
        return version > before ? version * KINDS + PRESENT : undefined
      }
      case 'delete': {
        const { heard, ifVersion } = operation
        const met = kind === ABSENT ? undefined : meet(state, ifVersion)
        if (met === undefined) return heard ? undefined : state
        return met - (met % KINDS) + ABSENT
      }
      case 'clear':
        return highest * KINDS + ABSENT
    }
  },
  likeness: operation => JSON.stringify(operation),
  rank: operation =>
    operation.kind === 'see' || operation.kind === 'set' ? operation.version : undefined,
}

/** The state in which the record has `version`; undefined if it cannot. */
function see(state: number, version: number): number | undefined {
  const highest = Math.floor(state / KINDS)
  const named = version * KINDS + PRESENT
  if (state % KINDS === UNNAMED && version > highest) return named
  return state === named ? state : undefined
}

function meet(state: number, ifVersion: number | undefined): number | undefined {
  return ifVersion === undefined ? state : see(state, ifVersion)
}
