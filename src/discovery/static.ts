/** Addresses that are known beforehand: where to look, without saying who is there. */
import { DISCOVERY, LIMITS } from '../config.js'
import type { DiscoveryFactory } from '../contracts/discovery.js'
import { GcacheError } from '../errors.js'

/**
 * `addresses`: 1 to 512 of those where nodes may be. Not all of them must be there, and this node's
 * own may be among them. CONFIG for anything else. (`static` alone is a reserved word.)
 */
export function staticAddresses(addresses: readonly string[]): DiscoveryFactory {
  const { sightingsMax } = DISCOVERY
  if (!Array.isArray(addresses) || addresses.length === 0 || addresses.length > sightingsMax)
    throw new GcacheError('CONFIG', `static discovery takes 1 to ${sightingsMax} addresses`)
  for (const address of addresses)
    if (typeof address !== 'string' || address === '' || address.length > LIMITS.addressCharsMax)
      throw new GcacheError('CONFIG', 'static discovery was given something that is no address')
  const known = [...new Set(addresses)].map(address => ({ address }))
  return () => ({
    name: 'static',
    start: () => Promise.resolve(),
    known: () => known,
    stop: () => Promise.resolve(),
  })
}
