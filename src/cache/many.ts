/**
 * Calls with many keys: one call an item, a bounded number of them at once. Where keys lie in
 * several partitions some may fail while others do not, so the error tells which.
 */
import { GcacheError } from '../errors.js'

/** Calls that are under way at once. */
const MANY_CALLS = 512
const MANY_BYTES = 8 * 2 ** 20

export interface Many<T, R> {
  keyOf(item: T): string
  ask(item: T): Promise<R>
  /** Of its value. */
  bytesOf?(item: T): number
}

/** Results in the order of `items`. Rejects with the first failure once those under way have
 *  settled, with all keys that failed; what was not asked for by then never is, and is one. */
export async function askMany<T, R>(items: readonly T[], many: Many<T, R>): Promise<R[]> {
  const results: R[] = []
  for (let from = 0; from < items.length; ) {
    const calls: Promise<R>[] = []
    let bytes = 0
    while (from < items.length && calls.length < MANY_CALLS && bytes < MANY_BYTES) {
      bytes += many.bytesOf?.(items[from]) ?? 0
      calls.push(many.ask(items[from++]))
    }
    const settled = await Promise.allSettled(calls)
    for (const one of settled) if (one.status === 'fulfilled') results.push(one.value)
    if (results.length < from) throw failureOf(items.map(many.keyOf), from - calls.length, settled)
  }
  return results
}

/** `settled`: of the keys from `first` on. */
function failureOf(
  keys: readonly string[],
  first: number,
  settled: readonly PromiseSettledResult<unknown>[],
): unknown {
  const failed = new Map<string, GcacheError>()
  let failure: GcacheError | undefined
  for (const [i, one] of settled.entries()) {
    if (one.status === 'fulfilled') continue
    const { reason } = one
    if (!(reason instanceof GcacheError)) return reason
    failure ??= reason
    const key = keys[first + i]
    if (!failed.has(key)) failed.set(key, reason)
  }
  if (failure === undefined) return failure
  const { code, message } = failure
  const outcome = failure.outcome === undefined ? undefined : 'rejected'
  const unasked = new GcacheError(code, 'not asked for: others had failed', { outcome })
  for (const key of keys.slice(first + settled.length))
    if (!failed.has(key)) failed.set(key, unasked)
  const text = `${failed.size} of ${keys.length} keys failed: ${message}`
  return new GcacheError(code, text, { cause: failure, outcome: failure.outcome, failed })
}
