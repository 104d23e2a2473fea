/**
 * Rows met so far, each once, in the order in which they were met, with the row and the action that
 * led there first. Outside of the heap, because there are tens of millions.
 */
import { ROW, type Row } from './world.js'

const WIDTH = ROW + 2
const ROWS_PER_PIECE = 2 ** 18

export class Store {
  size = 0
  readonly #pieces: Int32Array[] = []
  #places = new Int32Array(2 ** 20)

  /** True if `row` is new. `parent`: -1 for the first. */
  add(row: Row, parent: number, action: number): boolean {
    if (this.size * 2 > this.#places.length) this.#grow()
    const places = this.#places
    const mask = places.length - 1
    let at = hashOf(row, 0) & mask
    for (; places[at] !== 0; at = (at + 1) & mask)
      if (this.#equals(places[at] - 1, row)) return false
    const number = this.size++
    places[at] = number + 1
    const inPiece = number % ROWS_PER_PIECE
    if (inPiece === 0) this.#pieces.push(new Int32Array(ROWS_PER_PIECE * WIDTH))
    const piece = this.#pieces[this.#pieces.length - 1]
    piece.set(row, inPiece * WIDTH)
    piece[inPiece * WIDTH + ROW] = parent
    piece[inPiece * WIDTH + ROW + 1] = action
    return true
  }

  /** A copy. */
  row(number: number): Row {
    const start = (number % ROWS_PER_PIECE) * WIDTH
    return this.#pieces[Math.floor(number / ROWS_PER_PIECE)].slice(start, start + ROW)
  }

  parent(number: number): number {
    return this.#pieceOf(number)[(number % ROWS_PER_PIECE) * WIDTH + ROW]
  }

  action(number: number): number {
    return this.#pieceOf(number)[(number % ROWS_PER_PIECE) * WIDTH + ROW + 1]
  }

  #pieceOf(number: number): Int32Array {
    return this.#pieces[Math.floor(number / ROWS_PER_PIECE)]
  }

  #equals(number: number, row: Row): boolean {
    const piece = this.#pieceOf(number)
    const start = (number % ROWS_PER_PIECE) * WIDTH
    for (let i = 0; i < ROW; i++) if (piece[start + i] !== row[i]) return false
    return true
  }

  #grow(): void {
    const places = new Int32Array(this.#places.length * 4)
    const mask = places.length - 1
    for (let number = 0; number < this.size; number++) {
      const piece = this.#pieceOf(number)
      let at = hashOf(piece, (number % ROWS_PER_PIECE) * WIDTH) & mask
      while (places[at] !== 0) at = (at + 1) & mask
      places[at] = number + 1
    }
    this.#places = places
  }
}

function hashOf(row: Int32Array, start: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < ROW; i++) {
    hash = Math.imul(hash ^ row[start + i], 0x85ebca6b)
    hash ^= hash >>> 13
    hash = Math.imul(hash, 0xc2b2ae35)
    hash ^= hash >>> 16
  }
  return hash >>> 0
}
