/**
 * The strategy suite without a test runner, for bugs that only its laws can see: a transport that
 * keeps its own law never delivers a frame of a stale session, so no seed meets one. Prints what
 * seeds print, one a law.
 */
import type { SimulationEnv } from '../../src/testing/simulation.js'
import { strategySuite } from '../../src/testing/strategy-suite.js'

/** Stops at the first broken law. Returns how many were broken. */
export function runSuite(env: SimulationEnv): number {
  let seeds = 0
  let violations = 0
  strategySuite({
    ...env,
    name: 'planted',
    seeds: 1,
    test(name, body) {
      if (violations > 0) return
      seeds++
      try {
        body()
      } catch (error) {
        violations++
        const [line] = String(error).split('\n')
        console.log(`seed ${seeds}: ${name.slice('planted '.length)} broken: ${line}`)
      }
    },
  })
  console.log(JSON.stringify({ seeds, violations }))
  return violations
}
