/** The shipped strategy suite, laws S1-S10, over every built-in strategy. */
import { test } from 'vitest'
import { strategySuite } from '../src/testing/strategy-suite.js'
import { masterSlave } from '../strategies/master-slave/index.js'

strategySuite({
  test: (name, body) => test(name, { timeout: 60_000 }, body),
  name: 'master-slave, ordinal',
  strategy: masterSlave({ profile: 'ordinal' }),
  inSyncMin: nodes => (nodes <= 2 ? 1 : 2),
  ackTimeoutMs: 3_000,
})
