/**
 * The laws of a replication strategy, S1-S10, as tests for any runner: one factory, one call. S5-S9
 * are judged by the simulator's checkers over seeds whose faults are those that the law speaks of;
 * a failure names its seed and options. What a strategy does not offer is left out by `traits`, and
 * skipped by name; silence proves the most.
 *
 *   strategySuite({ test, name: 'mine', strategy: mine(), inSyncMin: n => 1, ackTimeoutMs: 3_000 })
 */
import assert from 'node:assert/strict'
import type { Input, ReplicationStrategy, StrategyFactory } from '../contracts/strategy.js'
import { seededRandom } from '../core/prng.js'
import { EffectQueue } from '../engine/effect-queue.js'
import { SimulatedCluster } from './cluster.js'
import { answersOf } from './observed.js'
import { type SimulationEnv, simulate } from './simulation.js'
import { drawOptions, type Style } from './swarm.js'
import { STYLE_TRAITS } from './traits.js'
import { CALM_WORKLOAD, Workload } from './workload.js'

export interface StrategySuiteOptions extends SimulationEnv {
  /** `test` of vitest, `it` of mocha, `test` of node:test. */
  test(name: string, body: () => void): unknown
  /** Begins every test's name. */
  name: string
  /** Seeds for each of S5-S9. Default 6. */
  seeds?: number
  /** Virtual seconds a seed, the 20 of its last phase included. Default 45. */
  seconds?: number
  /** Told of each law that is not proved, because `traits` say false of what it speaks of; `name`
   *  ends with the trait that leaves it out. Most runners have a function for it beside `test`. */
  skip?(name: string): unknown
  /** Frames of earlier versions: each must decode and encode to itself. */
  golden?: readonly Uint8Array[]
}

/** Registers one test a law. */
export function strategySuite(options: StrategySuiteOptions): void {
  const { test, name } = options
  test(`${name} S1: same inputs, same effects`, () => sameInputsSameEffects(options))
  test(`${name} S2: time enters only by tick`, () => timeOnlyByTick(options))
  test(`${name} S3: every message survives encode and decode`, () => messagesSurvive(options))
  test(`${name} S4: stale sessions and lower epochs change nothing`, () => staleIsNothing(options))
  for (const [law, styles] of Object.entries(SIMULATED)) {
    const needed = styles.map(style => STYLE_TRAITS[style]).find(trait => trait !== undefined)
    if (needed !== undefined && options.traits?.[needed] === false)
      options.skip?.(`${name} ${law} (left out: traits.${needed} is false)`)
    else
      test(`${name} ${law}`, () => {
        for (const style of styles) runSeeds(options, style)
      })
  }
  test(`${name} S10: who was stopped follows the master that went on`, () => wokenFollows(options))
}

const SIMULATED: Record<string, readonly Style[]> = {
  'S5: duplicates, reordering and loss never make nodes differ': ['loss'],
  'S6: an acknowledged write survives failover as its ack level says': [
    'one crash at a time',
    'laggards',
    'deposed',
  ],
  'S6: a planned change of masters loses no acknowledged write': ['handovers'],
  'S7: every proposal settles once or is rejected once': ['pauses', 'everything'],
  'S8: after the faults stop, nodes converge in bounded ticks': ['splits', 'crashes', 'links'],
  'S8: nodes that join and leave do not keep the others from agreeing': ['membership'],
  'S9: bytes in flight and backlog stay within their limits': ['resync'],
}

function runSeeds(options: StrategySuiteOptions, style: Style): void {
  const { seeds = 6, seconds = 45 } = options
  for (let seed = 1; seed <= seeds; seed++) {
    const drawn = drawOptions(seed, seconds, style, options.traits?.profile)
    const { violation } = simulate(drawn, options)
    assert.equal(
      violation,
      undefined,
      `${violation?.message}\n  seed ${seed}, ${seconds} s, ${style}: ${JSON.stringify(drawn)}`,
    )
  }
}

function sameInputsSameEffects(options: StrategySuiteOptions): void {
  const drawn = drawOptions(7, 40, 'everything', options.traits?.profile)
  const [one, two] = [1, 2].map(() => {
    const lines: string[] = []
    simulate(drawn, {
      ...options,
      onTrace: (atMs, node, line) => lines.push(`${atMs} ${node} ${line}`),
      stopAfterMs: 15_000,
    })
    return lines
  })
  assert.ok(one.length > 500, `${one.length} lines are too few to compare`)
  for (let i = 0; i < Math.max(one.length, two.length); i++) assert.equal(two[i], one[i])
}

/** Everything but tick from which time or chance could leak in. */
const FORBIDDEN = ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'] as const

function timeOnlyByTick(options: StrategySuiteOptions): void {
  const { now } = Date
  const { random } = Math
  const timers = FORBIDDEN.map(name => [name, globalThis[name]] as const)
  const forbid = (name: string) => () => {
    throw new Error(`${name} was used inside a simulation`)
  }
  Date.now = forbid('Date.now')
  Math.random = forbid('Math.random')
  for (const name of FORBIDDEN) Reflect.set(globalThis, name, forbid(name))
  try {
    runSeeds({ ...options, seeds: 1 }, 'crashes')
  } finally {
    Date.now = now
    Math.random = random
    for (const [name, original] of timers) Reflect.set(globalThis, name, original)
  }
}

type Watch = (strategy: ReplicationStrategy<unknown>, input: Input<unknown>) => void

/** `factory`, with `watch` told of every input, after the step. */
function watched(factory: StrategyFactory, watch: Watch): StrategyFactory {
  return env => {
    const inner = factory(env)
    return {
      name: inner.name,
      codec: inner.codec,
      keyed: inner.keyed,
      defaultAck: inner.defaultAck,
      time: group => inner.time(group),
      ...answersOf(inner),
      status: () => inner.status(),
      step(input, effects) {
        const result = inner.step(input, effects)
        watch(inner, input)
        return result // the engine judges it
      },
    }
  }
}

function messagesSurvive(options: StrategySuiteOptions): void {
  let messages = 0
  const check: Watch = ({ codec }, input) => {
    if (input.kind !== 'message') return
    messages++
    const bytes = new Uint8Array(codec.encode(input.message))
    const again = new Uint8Array(codec.encode(codec.decode(bytes)))
    assert.deepEqual(again, bytes, `a message changed on its way: ${JSON.stringify(input.message)}`)
  }
  const strategy = watched(options.strategy, check)
  for (const style of ['crashes', 'resync', 'splits'] as const)
    runSeeds({ ...options, strategy, seeds: 2 }, style)
  assert.ok(messages > 100, `${messages} messages are too few`)
  let codec: ReplicationStrategy<unknown>['codec'] | undefined
  runSeeds(
    {
      ...options,
      seeds: 1,
      strategy: watched(options.strategy, inner => {
        codec = inner.codec
      }),
    },
    'calm',
  )
  for (const frame of options.golden ?? [])
    assert.deepEqual(new Uint8Array(codec?.encode(codec.decode(frame)) ?? []), frame)
}

interface Heard {
  readonly strategy: ReplicationStrategy<unknown>
  readonly input: Extract<Input<unknown>, { kind: 'message' }>
}

/** A word about a lower epoch may be answered; nothing else may come of it. */
const ANSWERS: readonly string[] = ['send', 'report']

function staleIsNothing(options: StrategySuiteOptions): void {
  const heard: Heard[] = []
  const sessions = new Map<ReplicationStrategy<unknown>, Map<string, number>>()
  const strategy = watched(options.strategy, (inner, input) => {
    if (input.kind === 'link-up') {
      const mine = sessions.get(inner) ?? new Map<string, number>()
      sessions.set(inner, mine.set(input.peer, input.session))
    } else if (input.kind === 'message') {
      const { codec } = inner
      const message = codec.decode(new Uint8Array(codec.encode(input.message)))
      heard.push({ strategy: inner, input: { ...input, message } })
    }
  })
  const cluster = new SimulatedCluster({ nodes: 3, random: seededRandom(11), strategy })
  const workload = new Workload(cluster, CALM_WORKLOAD)
  cluster.startAll()
  cluster.run(3_000)
  const old = heard.length
  // A failover whose old master lives on, then new sessions for everybody.
  cluster.pause('a')
  cluster.run(3_000)
  cluster.resume('a')
  cluster.run(3_000)
  for (const [a, b] of ['ab', 'ac', 'bc']) cluster.reset(a, b)
  cluster.run(3_000)
  workload.stop()
  cluster.run(2_000)
  const lower = heard.slice(0, old)
  assert.ok(lower.length > 50, `${lower.length} messages are too few`)
  for (const { strategy: inner, input } of lower) {
    const { peer } = input
    const session = sessions.get(inner)?.get(peer) ?? 0
    assert.deepEqual(effectsOf(inner, input), [], `stale session: ${show(input)}`)
    const known = effectsOf(inner, { ...input, session })
    const harm = known.filter(kind => !ANSWERS.includes(kind))
    assert.deepEqual(harm, [], `lower epoch: ${show(input)}`)
  }
}

/** Of two nodes the slave wakes as its master is busy: only it itself was silent. */
function wokenFollows({ strategy }: StrategySuiteOptions): void {
  const cluster = new SimulatedCluster({ nodes: 2, random: seededRandom(13), strategy })
  const workload = new Workload(cluster, CALM_WORKLOAD)
  cluster.startAll()
  cluster.run(3_000)
  const master = cluster.master()
  assert.ok(master !== undefined, 'two nodes have no master after 3 s')
  const { epoch } = master.engine.standing
  const slave = master.id === 'a' ? 'b' : 'a'
  cluster.pause(slave)
  cluster.run(12_000)
  cluster.stall(master.id, 300)
  cluster.run(1)
  cluster.resume(slave)
  cluster.run(3_000)
  workload.stop()
  cluster.run(2_000)
  const { standing } = cluster.node(slave).engine
  assert.deepEqual(standing.epoch, epoch, `${slave} was stopped for 12 s and deposed ${master.id}`)
  assert.equal(standing.master, master.id)
}

function effectsOf(strategy: ReplicationStrategy<unknown>, input: Input<unknown>): string[] {
  const effects = new EffectQueue<unknown>()
  strategy.step(input, effects)
  return effects.items.map(({ kind }) => kind)
}

function show(input: Input<unknown>): string {
  return JSON.stringify(input).slice(0, 300)
}
