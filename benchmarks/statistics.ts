/** Percentiles and medians from sorted arrays: exact, and small enough to read. */

/** The value below which `share` (0..1) of `sorted` lies; NaN of nothing. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return Number.NaN
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Keeps the last `capacity` samples, so that a long run costs no more memory than a short one. */
export class Samples {
  readonly #ring: Float64Array
  #count = 0

  constructor(capacity = 1 << 17) {
    this.#ring = new Float64Array(capacity)
  }

  add(value: number): void {
    this.#ring[this.#count++ % this.#ring.length] = value
  }

  sorted(): Float64Array {
    return this.#ring.slice(0, Math.min(this.#count, this.#ring.length)).sort()
  }
}

/** Milliseconds with three decimals, rates as whole numbers: what a line of JSON should hold. */
export const roundMs = (ms: number) => Math.round(ms * 1_000) / 1_000

/** A ratio or latency with two decimals, a percentage point of what it may claim. */
export const roundRatio = (ratio: number) => Math.round(ratio * 100) / 100
