/** One answer of the answers of several groups, each of which did its part on its own. */
import type { WriteReceipt } from '../contracts/cache.js'
import { GcacheError } from '../errors.js'

/**
 * What all came to, once all have settled. Rejects with the first failure, and says how many there
 * are; a write of which a part was done, or may have been, has the outcome 'unknown'.
 */
export async function settleAll<T>(asked: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(asked)
  const results: T[] = []
  const errors: GcacheError[] = []
  for (const one of settled)
    if (one.status === 'fulfilled') results.push(one.value)
    else if (one.reason instanceof GcacheError) errors.push(one.reason)
    else throw one.reason
  const first = errors[0]
  if (first === undefined) return results
  const nothing = results.length === 0 && errors.every(({ outcome }) => outcome === 'rejected')
  const outcome = first.outcome === undefined ? undefined : nothing ? 'rejected' : 'unknown'
  const text = `${errors.length} of ${asked.length} partitions failed: ${first.message}`
  throw new GcacheError(first.code, text, { cause: first, outcome })
}

/** No entry alone stands for it, so it has no epoch and no offset; copies are the fewest. */
export function receiptOfAll(receipts: readonly WriteReceipt[]): WriteReceipt {
  const copies = Math.min(...receipts.map(receipt => receipt.copies))
  const durableCopies = Math.min(...receipts.map(receipt => receipt.durableCopies))
  return { version: 0, epoch: 0, offset: 0, copies, durableCopies }
}
