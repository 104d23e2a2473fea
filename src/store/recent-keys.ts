/**
 * Keys met lately as strings. A write to one of them makes no string anew, whose native call, hash
 * and comparison cost a fifth of the write; and lru-cache then finds the very string it holds.
 */

/** A power of two. */
const PLACES = 4_096
/** Longer keys are made anew: 4,096 of these take at most 400 KiB. */
const KEY_BYTES_MAX = 80
/** The end of a key tells more than its beginning. */
const HASHED_BYTES = 8

export class RecentKeys {
  readonly #keys: string[] = new Array(PLACES).fill('')

  /** The UTF-8 of `source[start, end)` as a string. */
  read(source: Buffer, start: number, end: number): string {
    const count = end - start
    let hash = count
    for (let i = Math.max(start, end - HASHED_BYTES); i < end; i++)
      hash = Math.imul(hash, 31) + source[i]
    const place = (hash ^ (hash >>> 12)) & (PLACES - 1)
    const known = this.#keys[place]
    if (known.length === count) {
      let n = 0
      while (n < count && known.charCodeAt(n) === source[start + n]) n++
      if (n === count) return known
    }
    for (let i = start; i < end; i++) if (source[i] > 0x7f) return source.utf8Slice(start, end)
    const key = source.latin1Slice(start, end)
    if (count <= KEY_BYTES_MAX) this.#keys[place] = key
    return key
  }
}
