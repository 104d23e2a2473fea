/** What plug-in authors prove their work with; it needs no test runner but yours. */
export { type SeededRandom, seededRandom } from '../core/prng.js'
export { systemClock } from '../engine/system-clock.js'
export { cacheSuite } from './cache-suite.js'
export {
  realTime,
  type SuiteMedium,
  type SuiteTime,
  type TransportSuiteOptions,
  transportSuite,
  virtualTime,
} from './transport-suite.js'
export { VirtualClock } from './virtual-clock.js'
