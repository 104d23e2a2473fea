/** Invariants: broken ones stop the node, in production too. */
import { GcacheError } from '../errors.js'

/** Throws INTERNAL with `fact` unless `condition` holds. */
export function assert(condition: boolean, fact: string): asserts condition {
  if (!condition) throw new GcacheError('INTERNAL', `broken invariant: ${fact}`)
}

/** For the default of a switch over a closed set. */
export function unreachable(value: never): never {
  throw new GcacheError('INTERNAL', `impossible value ${JSON.stringify(value)}`)
}
