/**
 * From a key's hash to its slot: open addressing in one Uint32Array, 5 to 11 bytes a record where a
 * Map of strings takes 60. The region compares keys; deletion shifts back, so no cell is ever lost.
 */

/** Mixed into every hash, so that nobody can choose keys that collide in every process. */
const SEED = (Math.random() * 2 ** 32) >>> 0
const PRIME = 0x01000193
const CELLS_MIN = 64

/** Starts a hash; step it with each byte, then finish it. FNV-1a with MurmurHash3's finaliser. */
export function hashBytes(source: Uint8Array, start: number, end: number): number {
  let hash = SEED
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ source[i], PRIME)
  return finish(hash)
}

/** The hash of the UTF-8 of `text`, or -1 if it is not pure ASCII. */
export function hashAscii(text: string): number {
  let hash = SEED
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return -1
    hash = Math.imul(hash ^ code, PRIME)
  }
  return finish(hash)
}

function finish(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

export class IndexTable {
  /** slot + 1; 0: empty. */
  cells = new Uint32Array(CELLS_MIN)
  mask = CELLS_MIN - 1
  size = 0
  readonly #hashOf: (slot: number) => number

  constructor(hashOf: (slot: number) => number) {
    this.#hashOf = hashOf
  }

  add(slot: number, hash: number): void {
    if ((this.size + 1) * 4 > this.cells.length * 3) this.#grow()
    this.size++
    this.#place(slot, hash)
  }

  #place(slot: number, hash: number): void {
    const { cells, mask } = this
    let i = hash & mask
    while (cells[i] !== 0) i = (i + 1) & mask
    cells[i] = slot + 1
  }

  #grow(): void {
    const old = this.cells
    this.cells = new Uint32Array(old.length * 2)
    this.mask = this.cells.length - 1
    for (const cell of old) if (cell !== 0) this.#place(cell - 1, this.#hashOf(cell - 1))
  }

  remove(slot: number, hash: number): void {
    const { cells, mask } = this
    let hole = hash & mask
    while (cells[hole] !== slot + 1) hole = (hole + 1) & mask
    for (let i = (hole + 1) & mask; cells[i] !== 0; i = (i + 1) & mask) {
      const home = this.#hashOf(cells[i] - 1) & mask
      // The cell may move back if its home does not lie between the hole and itself.
      if (((i - home) & mask) < ((i - hole) & mask)) continue
      cells[hole] = cells[i]
      hole = i
    }
    cells[hole] = 0
    this.size--
  }
}
