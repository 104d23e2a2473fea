/** Entries for benchmarks that count what lies where, or what travels. */
import type { Ack, Cache } from '../src/index.js'

export interface FillOptions {
  readonly entries: number
  readonly valueBytes: number
  /** Calls in flight; the next ones wait for all of them. */
  readonly atOnce: number
  /** The strategy's own by itself. */
  readonly ack?: Ack
}

/** Resolves once all are acknowledged. */
export async function fill(
  cache: Cache<Uint8Array>,
  { entries, valueBytes, atOnce, ack }: FillOptions,
): Promise<void> {
  const value = new Uint8Array(valueBytes)
  const options = ack === undefined ? {} : { ack }
  for (let from = 0; from < entries; from += atOnce) {
    const count = Math.min(atOnce, entries - from)
    const calls = Array.from({ length: count }, (_, i) => {
      return cache.set(`key:${from + i}`, value, options)
    })
    await Promise.all(calls)
  }
}
