/**
 * A hash of the whole state that knows no order: two lanes of 32 bits, mixed for each item and
 * added up. Equal logs give equal digests; slots and the order of use are left out.
 */
import { Writer } from '../wire/bytes.js'
import { checksum } from '../wire/checksum.js'
import { PAGE_MASK, PAGE_SHIFT } from './page.js'
import { writeCacheItem, writeRecordItem, writeWindowItem } from './slice.js'
import type { State } from './state.js'

/** For the next walk; a larger one is given back. */
let spare: Writer | undefined
const SPARE_BYTES_MAX = 65_536

/** 16 hex digits. Walks everything: about a microsecond a record. */
export function digestOf(state: State): string {
  const out = spare ?? new Writer(4_096)
  let longest = 0
  const sum = new Sum()
  for (const cache of state.caches.list) {
    out.reset()
    writeCacheItem(out, cache)
    sum.add(out.view())
    const { region } = cache
    for (let slot = 0; slot < region.bound; slot++) {
      const page = region.pages[slot >> PAGE_SHIFT]
      const at = slot & PAGE_MASK
      if (page.keys[at] === undefined) continue
      out.reset()
      out.text8(cache.name)
      writeRecordItem(out, page, at)
      longest = Math.max(longest, out.length)
      sum.add(out.view())
    }
  }
  for (const window of state.windows.values()) {
    out.reset()
    writeWindowItem(out, window)
    longest = Math.max(longest, out.length)
    sum.add(out.view())
  }
  spare = longest <= SPARE_BYTES_MAX / 2 ? out : undefined
  return sum.hex()
}

const HEAD_BYTES = 64

class Sum {
  #low = 0
  #high = 0

  add(bytes: Uint8Array): void {
    // One lane covers all bytes natively; the other mixes the head, where key and versions stand.
    const a = checksum(bytes, 0)
    let b = 0x85ebca6b ^ bytes.length
    const end = Math.min(bytes.length, HEAD_BYTES)
    for (let i = 0; i < end; i++) {
      b = Math.imul(b ^ bytes[i], 0x5bd1e995)
      b ^= b >>> 15
    }
    this.#low = (this.#low + finish(a ^ (b << 7))) >>> 0
    this.#high = (this.#high + finish(b ^ (a >>> 3))) >>> 0
  }

  hex(): string {
    const digits = (lane: number) => lane.toString(16).padStart(8, '0')
    return digits(this.#high) + digits(this.#low)
  }
}

/** The finaliser of MurmurHash3 (Appleby): every bit of the input moves every bit of the output. */
function finish(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
