/**
 * Operations whose results tell in which order they took effect, such as versions that only grow.
 * Among thirty calls that overlap this leaves one order to try where there were thirty factorial.
 */

/** Stands for an operation without a rank. */
const UNRANKED = -1

export class CallRanks {
  /** By operation: its place among all different ranks. */
  readonly #place: Int32Array
  /** By place: operations that are not placed yet. */
  readonly #left: Int32Array
  /** The first place with any left. */
  #lowest = 0

  /** `ranks` by operation; undefined may come at any time. */
  constructor(ranks: readonly (number | undefined)[]) {
    const known = ranks.filter(rank => rank !== undefined)
    const places = new Map([...new Set(known)].sort((a, b) => a - b).map((rank, i) => [rank, i]))
    this.#left = new Int32Array(places.size)
    this.#place = Int32Array.from(ranks, rank =>
      rank === undefined ? UNRANKED : (places.get(rank) as number),
    )
    for (const place of this.#place) if (place !== UNRANKED) this.#left[place]++
  }

  /** True if no operation of a lower rank is left. */
  isNext(operation: number): boolean {
    return this.#place[operation] <= this.#lowest
  }

  take(operation: number): void {
    const place = this.#place[operation]
    if (place === UNRANKED) return
    this.#left[place]--
    while (this.#left[this.#lowest] === 0) this.#lowest++
  }

  giveBack(operation: number): void {
    const place = this.#place[operation]
    if (place === UNRANKED) return
    this.#left[place]++
    this.#lowest = Math.min(this.#lowest, place)
  }
}
