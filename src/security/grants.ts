/**
 * Grants as people write them: `CACHE:RIGHTS`, where CACHE is a name or, with one `*` at its end,
 * what names begin with, and RIGHTS are of r (read), w (write) and a (all of it). In a users file
 * they stand in one word, so what would break it is written as in a URL (%20, %2C, %25, %2A).
 *
 *   sessions:rw   shop*:r   *:rw   my%20cache:w
 */
import { AUTH, LIMITS } from '../config.js'
import type { Grant } from '../contracts/authentication.js'
import { GcacheError } from '../errors.js'

export const GRANT_FORM = "NAME:RIGHTS, such as 'sessions:rw', 'shop*:r' or '*:rw'"

/** CONFIG for what is no grant, with what one looks like. */
export function parseGrant(text: string): Grant {
  const at = text.lastIndexOf(':')
  const fail = (why: string): never => {
    throw new GcacheError(
      'CONFIG',
      `grant ${JSON.stringify(text.slice(0, 200))} ${why}: ${GRANT_FORM}`,
    )
  }
  if (at < 0) return fail('names no rights')
  const rights = text.slice(at + 1)
  if (!/^[rwa]{1,3}$/.test(rights) || new Set(rights).size !== rights.length)
    return fail('has rights that are not of r, w and a, once each')
  const prefix = text.endsWith('*', at)
  const written = text.slice(0, prefix ? at - 1 : at)
  if (written.includes('*')) return fail('has a * that is not the last of its name')
  let cache: string
  try {
    cache = decodeURIComponent(written)
  } catch {
    return fail('has a % that is not of a byte of UTF-8 (a % itself is %25)')
  }
  if (cache === '' && !prefix) return fail('names no cache')
  const bytes = Buffer.from(cache)
  // Half a surrogate pair is in no name of a cache.
  if (bytes.toString() !== cache) return fail('is no text')
  if (bytes.length > LIMITS.cacheNameBytesMax)
    return fail(`has a name of more than ${LIMITS.cacheNameBytesMax} bytes`)
  return { cache, prefix, rights }
}

export function formatGrant({ cache, prefix, rights }: Grant): string {
  const name = encodeURIComponent(cache).replaceAll('*', '%2A').replaceAll('%3A', ':')
  return `${name}${prefix ? '*' : ''}:${rights}`
}

/** The grants of one user, as its line has them. CONFIG for one that is none, or too many. */
export function parseGrants(texts: readonly string[]): readonly Grant[] {
  if (texts.length > AUTH.grantsMax)
    throw new GcacheError(
      'CONFIG',
      `${texts.length} grants of one user, at most ${AUTH.grantsMax}: use a prefix, 'shop*:rw'`,
    )
  return texts.map(parseGrant)
}

/** Does `grant` speak of `cache`? `shop*` does of shop and of shopping, `shop` of shop alone. */
export function covers(grant: Grant, cache: string): boolean {
  return grant.prefix ? cache.startsWith(grant.cache) : cache === grant.cache
}
