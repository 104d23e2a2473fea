/**
 * Names and keys straight from a frame's bytes: cache names repeat, so they are compared instead of
 * decoded; keys of writes not yet proposed are remembered as bits, for reads that come behind them.
 */
import type { Proposal } from '../contracts/strategy.js'
import type { Reader } from '../wire/bytes.js'
import { OP } from '../wire/command.js'

/** Decodes cache names; the same one again costs a comparison. */
export class CacheNames {
  #last = ''
  readonly #bytes = new Uint8Array(255)
  #length = -1

  /** The name at `[at, at + length)` of what `reader` reads. Moves the reader. */
  read(reader: Reader, at: number, length: number): string {
    const source = reader.source
    const known = this.#bytes
    if (length === this.#length) {
      let i = 0
      while (i < length && known[i] === source[at + i]) i++
      if (i === length) return this.#last
    }
    reader.at = at
    this.#last = reader.utf8(length)
    this.#length = length
    for (let i = 0; i < length; i++) known[i] = source[at + i]
    return this.#last
  }
}

const BITS = 1_024

/** Which keys the pending proposals of a frame may change. Errs only towards "may". */
export class PendingKeys {
  readonly #bits = new Int32Array(BITS / 32)
  #seen = 0
  #all = false

  clear(): void {
    if (this.#seen === 0) return
    this.#bits.fill(0)
    this.#seen = 0
    this.#all = false
  }

  /** True unless none of `proposals` can touch the key at `[at, at + length)` of `source`. */
  mayHold(proposals: readonly Proposal[], source: Uint8Array, at: number, length: number): boolean {
    for (; this.#seen < proposals.length; this.#seen++) this.#add(proposals[this.#seen])
    if (this.#all) return true
    const bit = hash(source, at, length)
    return (this.#bits[bit >> 5] & (1 << (bit & 31))) !== 0
  }

  #add(proposal: Proposal): void {
    const { bytes, start } = proposal
    if (bytes[start] === OP.clear) this.#all = true
    const keyAt = start + 3 + bytes[start + 2]
    const bit = hash(bytes, keyAt + 2, bytes[keyAt] | (bytes[keyAt + 1] << 8))
    this.#bits[bit >> 5] |= 1 << (bit & 31)
  }
}

/** FNV-1a, folded to BITS. */
function hash(source: Uint8Array, at: number, length: number): number {
  let value = 0x811c9dc5
  for (let i = 0; i < length; i++) value = Math.imul(value ^ source[at + i], 0x01000193)
  return (value ^ (value >>> 16)) & (BITS - 1)
}
