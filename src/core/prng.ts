/** A seeded generator (xoshiro128**, Blackman and Vigna 2018): fast, the same on every machine. */
import type { Random } from '../contracts/environment.js'

export interface SeededRandom extends Random {
  /** A whole number in [0, bound). */
  below(bound: number): number
  /** True with probability `chance`. */
  chance(chance: number): boolean
  pick<T>(items: readonly T[]): T
  /** An independent stream: drawing from it does not move this one again. */
  fork(): SeededRandom
}

/** The same numbers for the same `seed`, a whole number. */
export function seededRandom(seed: number): SeededRandom {
  // splitmix32 fills the state, so that near seeds give far streams.
  let mix = (seed ^ (seed / 2 ** 32)) >>> 0
  const word = () => {
    mix = (mix + 0x9e3779b9) >>> 0
    let z = mix
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  let a = word()
  let b = word()
  let c = word()
  let d = word()
  const u32 = () => {
    const product = Math.imul(b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << 11) | (d >>> 21)
    return result
  }
  const random: SeededRandom = {
    next: () => u32() / 2 ** 32,
    below: bound => Math.floor((u32() / 2 ** 32) * bound),
    chance: chance => u32() / 2 ** 32 < chance,
    pick: items => items[Math.floor((u32() / 2 ** 32) * items.length)],
    fork: () => seededRandom(u32()),
  }
  return random
}
