/** The quick planted bugs of a strategy, each sought among the seeds of its style, as one test. */
import { expect, test } from 'vitest'
import type { Mutant } from '../mutants/mutant.js'
import { hunt } from '../mutants/run.js'

const SEEDS_MAX = 50

/** Of `mutants` those that have a style, at least `least`, in seeds of so many virtual seconds. */
export function quickOnesAreFound(
  mutants: readonly Mutant[],
  { least, seconds }: { readonly least: number; readonly seconds: number },
): void {
  const quick = mutants.filter(({ style }) => style !== undefined)
  test(`${quick.length} quick ones are found`, { timeout: 200_000 }, async () => {
    expect(quick.length).toBeGreaterThanOrEqual(least)
    const queue = [...quick]
    const missed: string[] = []
    const work = async () => {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const { seeds } = await hunt(mutant, SEEDS_MAX, seconds, mutant.style)
        if (seeds === undefined) missed.push(`${mutant.id}: ${mutant.what}`)
      }
    }
    await Promise.all([work(), work()])
    expect(missed).toEqual([])
  })
}
