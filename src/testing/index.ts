/** `gcache/testing`: what proves a transport, a strategy, a cache, or an application over them. It
 *  needs no test runner but yours. */
export { type SeededRandom, seededRandom } from '../core/prng.js'
export { systemClock } from '../engine/system-clock.js'
export { type CacheSuiteOptions, type CacheUnderTest, cacheSuite } from './cache-suite.js'
export type { Checker, LiveNode, World } from './checkers/checker.js'
export {
  callsAreLinearizable,
  type LinearizableCalls,
  type LinearizableOptions,
} from './checkers/linearizable.js'
export { SimulatedCluster, type SimulatedClusterOptions } from './cluster.js'
export { LinkFaults, linkFaults, withFaults } from './faults.js'
export { type ParsedHistory, parseHistory } from './histories.js'
export {
  checkByKey,
  checkLinearizable,
  type Interval,
  type Judgement,
  type Model,
  SEARCH_LIMITS,
  type SearchLimits,
  type Verdict,
} from './linearizability.js'
export { type FaultRates, Nemesis, NO_FAULTS } from './nemesis.js'
export { type RegisterOperation, register } from './register.js'
export {
  addCheckers,
  type SimulationEnv,
  type SimulationResult,
  simulate,
} from './simulation.js'
export { type StrategySuiteOptions, strategySuite } from './strategy-suite.js'
export { drawOptions, type SimulationOptions, STYLES, type Style } from './swarm.js'
export type { StrategyTraits } from './traits.js'
export {
  realTime,
  type SuiteMedium,
  type SuiteTime,
  type TransportSuiteOptions,
  transportSuite,
  virtualTime,
} from './transport-suite.js'
export { Violation } from './violation.js'
export { VirtualClock } from './virtual-clock.js'
export { CALM_WORKLOAD, Workload, type WorkloadOptions } from './workload.js'
