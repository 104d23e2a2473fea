/**
 * The strategy suite without a test runner, for bugs that only its laws can see: a transport that
 * keeps its own law never delivers a frame of a stale session, so no seed meets one. Prints what
 * sim.ts prints, one seed a law.
 */
import { strategySuite } from '../../src/testing/strategy-suite.js'
import { ORDINAL } from '../sim.js'

let seeds = 0
let violations = 0
strategySuite({
  ...ORDINAL,
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
