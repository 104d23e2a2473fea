/** The rows of the comparison with redis: what each side does, and what is to be reached. */
import type { Work } from './harness.js'

/** The sides that a row may compare. */
export type Side = 'node' | 'pair' | 'redis' | 'redisPlain' | 'redisPair' | 'redisPairPlain'

export type Call = readonly [Side, Work]

export interface Comparison {
  readonly work: string
  readonly inFlight: number
  readonly gcache: Call
  readonly peer: string
  readonly other: Call
  /** Ratio of throughputs, ours to theirs, or of latencies. */
  readonly ratio: 'throughput' | 'latency'
  /** The ratio of throughputs is at least this, that of latencies at most; 0: no goal. */
  readonly goal: number
}

const GET = 'get from the master'
const SET = 'set acknowledged by the master'
const SLAVE = 'set acknowledged by one slave as well'
const ONE = 'one call in flight: get, set, set + slave'

function compare(
  work: string,
  inFlight: number,
  gcache: Call,
  peer: string,
  other: Call,
  goal = 0,
): Comparison {
  const ratio = inFlight === 1 ? 'latency' : 'throughput'
  return { work, inFlight, gcache, peer: `ioredis ${peer}`, other, ratio, goal }
}

const OUR_GET: Call = ['node', 'get']
const OUR_SET: Call = ['node', 'set']
const OUR_PAIR: Call = ['pair', 'set-slave']

/** The rows of DESIGN, section 5. */
export const COMPARISONS: readonly Comparison[] = [
  compare(GET, 100, OUR_GET, 'GET', ['redis', 'get'], 4),
  compare(GET, 1_000, OUR_GET, 'GET', ['redis', 'get'], 5),
  compare(SET, 100, OUR_SET, 'SET', ['redis', 'set'], 3.5),
  compare(SET, 1_000, OUR_SET, 'SET', ['redis', 'set'], 4.5),
  compare(SLAVE, 100, OUR_PAIR, 'SET + WAIT 1', ['redisPair', 'set-slave'], 12),
  compare(SLAVE, 100, OUR_PAIR, 'SET', ['redis', 'set'], 1.6),
  compare(ONE, 1, OUR_GET, 'GET', ['redis', 'get'], 1),
  compare(ONE, 1, OUR_SET, 'SET', ['redis', 'set'], 1),
  compare(ONE, 1, OUR_PAIR, 'SET + WAIT 1', ['redisPair', 'set-slave'], 1),
]

const PLAIN = 'not autopipelined'

/** Other ways to use redis, each kinder to it than the row of DESIGN; `--variants` adds them. */
export const VARIANTS: readonly Comparison[] = [
  compare(SLAVE, 100, OUR_PAIR, `SET + WAIT 1, ${PLAIN}`, ['redisPairPlain', 'set-slave']),
  compare(SLAVE, 100, OUR_PAIR, `SET, then WAIT 1, ${PLAIN}`, ['redisPairPlain', 'set-then-wait']),
  compare(SLAVE, 100, OUR_PAIR, 'SET, one WAIT 1 a turn', ['redisPair', 'set-shared-wait']),
  compare(ONE, 1, OUR_GET, `GET, ${PLAIN}`, ['redisPlain', 'get']),
  compare(ONE, 1, OUR_SET, `SET, ${PLAIN}`, ['redisPlain', 'set']),
  compare(ONE, 1, OUR_PAIR, `SET + WAIT 1, ${PLAIN}`, ['redisPairPlain', 'set-slave']),
]
