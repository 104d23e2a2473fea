/**
 * What of a limit is for the whole cluster, or a whole node, each partition has its share of: the
 * keys are spread evenly, so is what may lie there. Every node cuts alike, because a limit is said
 * in a partition's log by whoever leads it.
 */
import type { CacheOptions } from '../contracts/store.js'
import { GcacheError } from '../errors.js'

/** Below it a share holds hardly a record: rather fewer partitions, or a larger limit. */
const SHARE_BYTES_MIN = 4_096

/** Rounded up; `partitions` 1: the same object. */
export function shareOf(options: CacheOptions, partitions: number): CacheOptions {
  if (partitions === 1) return options
  const { maxEntries, maxBytes } = options
  return {
    ...options,
    maxEntries: Math.ceil(maxEntries / partitions),
    maxBytes: Math.ceil(maxBytes / partitions),
  }
}

/** CONFIG for the first cache whose limits cannot be cut into so many. */
export function sharesOf(
  caches: Readonly<Record<string, CacheOptions>>,
  partitions: number,
): Record<string, CacheOptions> {
  const shares: Record<string, CacheOptions> = {}
  for (const [name, options] of Object.entries(caches)) {
    const bytesMin = SHARE_BYTES_MIN * partitions
    if (partitions > 1 && options.maxEntries < partitions)
      throw tooSmall(name, `maxEntries ${options.maxEntries}`, partitions, partitions)
    if (partitions > 1 && options.maxBytes < bytesMin)
      throw tooSmall(name, `maxBytes ${options.maxBytes}`, partitions, bytesMin)
    shares[name] = shareOf(options, partitions)
  }
  return shares
}

function tooSmall(name: string, what: string, partitions: number, least: number): GcacheError {
  return new GcacheError(
    'CONFIG',
    `option caches.${name}.${what} is too small for ${partitions} partitions, each of which has ` +
      `its share: give at least ${least}, or take fewer partitions`,
  )
}
