/**
 * What a search has been at: which operations were placed, the state they led to, and how many open
 * ones of each kind were spent on the way. One that spent more than another, all else being equal,
 * can do nothing that the other cannot, so only the thriftiest are kept.
 */

/** A text, its place in a map, and a list. */
const ENTRY_BYTES = 150
const LIST_BYTES = 40

export class SeenConfigurations {
  /** Of all that is kept, estimated. */
  bytes = 0
  /** How often one was held against another: what add() costs. */
  comparisons = 0
  readonly #spentBy = new Map<string, (readonly number[])[]>()

  /** False if it, or one no less thrifty, was added before. `spent` is kept, and must not
   *  change. */
  add(placed: string, spent: readonly number[]): boolean {
    const known = this.#spentBy.get(placed)
    if (known === undefined) {
      this.#spentBy.set(placed, [spent])
      this.bytes += ENTRY_BYTES + 2 * placed.length + LIST_BYTES + 8 * spent.length
      return true
    }
    this.comparisons += known.length
    if (known.some(other => isWithin(other, spent))) return false
    let kept = 0
    for (const other of known) if (!isWithin(spent, other)) known[kept++] = other
    this.bytes -= (known.length - kept - 1) * (LIST_BYTES + 8 * spent.length)
    known.length = kept
    known.push(spent)
    return true
  }
}

function isWithin(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] > b[i]) return false
  return true
}
