/**
 * What a strategy answers where its type cannot hold its author to it: whoever writes one in plain
 * JavaScript reads here which function is wrong, and not which line of the engine stumbled.
 */
import type { ReplicationStrategy, StrategyStatus } from '../contracts/strategy.js'
import { GcacheError } from '../errors.js'

/**
 * INTERNAL where step() returned a promise: its effects would come when nobody carries them out any
 * more. Anything else it may return: TypeScript lets a function of type void do that.
 */
export function refusePromise(name: string, result: unknown): void {
  if (!isPromise(result)) return
  throw new GcacheError(
    'INTERNAL',
    `strategy ${name}: step() must not return a promise: make it synchronous, without async`,
  )
}

/** What it says of itself; INTERNAL, with its cause, where status() throws. */
export function statusOf<M>(strategy: ReplicationStrategy<M>): StrategyStatus {
  try {
    return strategy.status()
  } catch (cause) {
    const text = `strategy ${strategy.name}: its status() threw ${String(cause)}`
    throw new GcacheError('INTERNAL', text, { cause })
  }
}

/** True for a promise. Nobody waits for it: if it fails, that does not end the process. */
export function isPromise(value: unknown): boolean {
  const promise = value as { then?: unknown } | null | undefined
  if (typeof promise?.then !== 'function') return false
  promise.then(undefined, () => undefined)
  return true
}
