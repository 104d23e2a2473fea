/**
 * Sums that tell whether two stores hold the same records, and where they differ: 1,024 leaves,
 * each the sum mod 2^64 of a keyed hash of (key, version, changed) over its records. A sum knows no
 * order, and a write changes it by one subtraction and one addition.
 */

export const LEAVES = 1_024
export const LEAVES_BYTES = LEAVES * 8

/** Of one record at a time: key() first, then record(). */
export class RecordHash {
  /** The leaf of the key, `[0, LEAVES)`. */
  leaf = 0
  /** The hash of key, version and changed, as two u32. */
  low = 0
  high = 0
  #a = 0
  #b = 0

  key(seed: Seed, key: string): this {
    let { a, b } = seed
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i)
      a = Math.imul(a ^ code, 0x85ebca6b)
      a ^= a >>> 15
      b = Math.imul(b ^ code, 0xc2b2ae35)
      b ^= b >>> 13
    }
    this.#a = finish(a ^ key.length)
    this.#b = finish(b + key.length)
    this.leaf = this.#a & (LEAVES - 1)
    return this
  }

  record(version: number, changed: number): this {
    const [versionLow, versionHigh] = [version >>> 0, (version / 2 ** 32) >>> 0]
    const [changedLow, changedHigh] = [changed >>> 0, (changed / 2 ** 32) >>> 0]
    const mixed = finish(
      versionLow ^ finish(versionHigh ^ finish(changedLow ^ finish(changedHigh))),
    )
    this.low = finish(this.#a ^ mixed)
    this.high = finish(this.#b ^ Math.imul(mixed, 0x9e3779b1))
    return this
  }

  /** 53 bits of the key's hash. */
  get name(): number {
    return (this.#b & 0x1fffff) * 2 ** 32 + (this.#a >>> 0)
  }
}

/** Where the hash of a key begins: another one for each cache, the same on all nodes. */
export interface Seed {
  readonly a: number
  readonly b: number
}

export function seedOf(text: string): Seed {
  let [a, b] = [0x811c9dc5, 0x9747b28c]
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193)
    b = finish(b ^ text.charCodeAt(i))
  }
  return { a: finish(a), b: finish(b) }
}

export class Leaves {
  readonly #lows = new Uint32Array(LEAVES)
  readonly #highs = new Uint32Array(LEAVES)

  add({ leaf, low, high }: RecordHash): void {
    const sum = this.#lows[leaf] + low
    this.#lows[leaf] = sum
    this.#highs[leaf] += high + (sum > 0xffffffff ? 1 : 0)
  }

  subtract({ leaf, low, high }: RecordHash): void {
    const difference = this.#lows[leaf] - low
    this.#lows[leaf] = difference
    this.#highs[leaf] -= high + (difference < 0 ? 1 : 0)
  }

  clear(): void {
    this.#lows.fill(0)
    this.#highs.fill(0)
  }

  /** Adds all sums to those in `total`, two u32 a leaf, the lower half first. */
  addTo(total: Uint32Array): void {
    for (let leaf = 0; leaf < LEAVES; leaf++) {
      const sum = total[leaf * 2] + this.#lows[leaf]
      total[leaf * 2] = sum
      total[leaf * 2 + 1] += this.#highs[leaf] + (sum > 0xffffffff ? 1 : 0)
    }
  }
}

/** The finaliser of MurmurHash3 (Appleby): every bit of the input moves every bit of the output. */
function finish(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
