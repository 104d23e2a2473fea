/**
 * The proof machinery itself: gates, clocks, lineage, faults around a transport; and strategies
 * with a broken law, each of which the shipped suite must turn red.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it, test } from 'vitest'
import type { Effects, Input, Standing, StrategyFactory } from '../src/contracts/strategy.js'
import type { Batch } from '../src/contracts/types.js'
import { seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { clusterTimeIsHonest } from '../src/testing/checkers/cluster-time.js'
import { Disturbances } from '../src/testing/disturbances.js'
import { linkFaults, withFaults } from '../src/testing/faults.js'
import { Gate, NodeClock } from '../src/testing/gate.js'
import type { Life } from '../src/testing/life.js'
import { contains, Lineage, type LogPoint } from '../src/testing/lineage.js'
import { answersOf } from '../src/testing/observed.js'
import { simulate } from '../src/testing/simulation.js'
import { strategySuite } from '../src/testing/strategy-suite.js'
import { drawOptions, STYLES } from '../src/testing/swarm.js'
import { transportSuite, virtualTime } from '../src/testing/transport-suite.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { CALM_WORKLOAD, Workload } from '../src/testing/workload.js'
import { encodeBatch } from '../src/wire/batch.js'
import { Writer } from '../src/wire/bytes.js'
import { OP, writePlain } from '../src/wire/command.js'
import { MemoryNetwork } from '../transports/memory.js'
import { World } from './harness/profile-world.js'
import { explain, ORDINAL, replays } from './sim.js'

describe('a gate', () => {
  test('while shut nothing runs, then timers run before frames, each in its order', () => {
    const clock = new VirtualClock()
    const gate = new Gate()
    const mine = new NodeClock(clock, gate)
    const seen: string[] = []
    mine.after(10, () => seen.push('timer 10'))
    mine.after(5, () => seen.push('timer 5'))
    gate.shut = true
    gate.later(() => seen.push('frame'))
    clock.advance(20)
    expect(seen).toEqual([])
    gate.open()
    expect(seen).toEqual(['timer 5', 'timer 10', 'frame'])
  })

  test('a dead process runs nothing any more', () => {
    const clock = new VirtualClock()
    const gate = new Gate()
    let ran = 0
    new NodeClock(clock, gate).after(5, () => ran++)
    gate.die()
    clock.advance(10)
    gate.open()
    expect(ran).toBe(0)
  })

  test('a fast clock is early by its drift, and its wall clock jumps alone', () => {
    const clock = new VirtualClock(0)
    const fast = new NodeClock(clock, new Gate(), { rate: 1.1, offsetMs: 100 })
    let firedAt = 0
    fast.after(110, () => {
      firedAt = clock.now()
    })
    clock.advance(200)
    expect(firedAt).toBeCloseTo(100)
    expect(fast.now()).toBeCloseTo(320)
    fast.jumpWall(-50)
    expect(fast.wall()).toBeCloseTo(170)
    expect(fast.now()).toBeCloseTo(320)
  })
})

function batchAfter(crc: number, first: number, epoch: number): Batch {
  const out = new Writer()
  writePlain(out, OP.noop, '', '')
  const bytes = out.copy()
  const noop = { id: 0, ack: 'none', client: null, seq: 0, bytes, start: 0 } as const
  const batch = { number: epoch, incarnation: '0'.repeat(16) }
  return encodeBatch(batch, first, 1, crc, [{ ...noop, end: bytes.length }])
}

describe('the lineage', () => {
  test('logs that agree share a path, and a fork holds only what lies before it', () => {
    const lineage = new Lineage()
    const one = lineage.extend(lineage.root, batchAfter(0, 1, 256))
    const two = lineage.extend(one, batchAfter(one.crc, 2, 256))
    const other = lineage.extend(one, batchAfter(one.crc, 2, 512))
    expect(lineage.extend(one, batchAfter(one.crc, 2, 256))).toBe(two)
    expect([contains(two, one), contains(other, one)]).toEqual([true, true])
    expect([contains(two, other), contains(other, two)]).toEqual([false, false])
    expect(lineage.ancestorAt(two, 2)).toBe(one)
    expect(lineage.find(3, other.crc)).toBe(other)
  })

  test('a random tree answers as walking to the root does', () => {
    const random = seededRandom(5)
    const lineage = new Lineage()
    const points = [lineage.root]
    for (let i = 0; i < 200; i++) {
      const from = random.pick(points)
      points.push(lineage.extend(from, batchAfter(from.crc, from.next, 256 + i)))
    }
    for (let i = 0; i < 2_000; i++) {
      const [a, b] = [random.pick(points), random.pick(points)]
      let at: typeof a | undefined = a
      while (at !== undefined && at !== b) at = at.parent
      expect(contains(a, b)).toBe(at !== undefined)
    }
  })
})

describe('disturbances', () => {
  test('excuse during the fault and its recovery, and no longer', () => {
    const faults = new Disturbances()
    const mend = faults.between('a', 'b', 100)
    expect(faults.disturbed('b', 'a', 0, 99)).toBe(false)
    expect(faults.disturbed('b', 'a', 0, 100)).toBe(true)
    mend(200)
    expect(faults.disturbed('a', 'b', 300, 400)).toBe(true)
    expect(faults.disturbed('a', 'b', 300, 400, true)).toBe(false)
    expect(faults.disturbed('a', 'b', 10_000, 10_001)).toBe(false)
    expect(faults.disturbed('a', 'c', 100, 200)).toBe(false)
  })
})

describe('faults around a transport', () => {
  // Idle, they must change nothing: the laws are tested through them.
  transportSuite({
    test: (name, body) => test(name, { timeout: 20_000 }, body),
    name: 'memory behind idle faults',
    streams: false,
    medium: () => {
      const clock = new VirtualClock()
      const random = seededRandom(1)
      const network = new MemoryNetwork({ clock, random })
      return {
        ...virtualTime(clock),
        transport: env => withFaults(network.transport(), linkFaults())(env),
        listen: id => `memory://${id}`,
        nowhere: 'memory://nowhere',
        random,
        handshakeMs: 2_000,
        mediumBytesMax: 0,
        close: async () => {},
      }
    },
  })

  test('cut, hold, delay and mend do what they say, in order', () => {
    const clock = new VirtualClock()
    const random = seededRandom(1)
    const network = new MemoryNetwork({ clock, random, latencyMsMin: 1, latencyMsMax: 1 })
    const links = linkFaults()
    const seen: string[] = []
    const start = (self: string, watched: boolean) => {
      const factory = watched ? withFaults(network.transport(), links) : network.transport()
      const listen = `memory://${self}`
      const transport = factory({ self, cluster: 'x', listen, clock, random, logger: SILENCE })
      const note = (what: string) => {
        if (watched) seen.push(`${Math.round(clock.now())} ${what}`)
      }
      void transport.start({
        onLinkUp: () => note('up'),
        onLinkDown: (_peer, _session, loss) => note(`down ${loss}`),
        onFrame: (_peer, _session, frame) => note(`frame ${frame[0]}`),
        onWritable() {},
      })
      return transport
    }
    const a = start('a', true)
    const b = start('b', false)
    a.connect('b', 'memory://b')
    clock.advance(100)
    const say = (value: number) => b.send('a', new Uint8Array([value]))
    links.delay('b', 50)
    say(1)
    clock.advance(10)
    links.mend('b')
    say(2)
    clock.advance(90)
    links.hold('b')
    say(3)
    clock.advance(100)
    links.mend('b')
    clock.advance(100)
    links.cut('b')
    clock.advance(100)
    a.connect('b', 'memory://b')
    clock.advance(100)
    expect(seen.slice(1)).toEqual([
      '151 frame 1',
      '151 frame 2',
      '300 frame 3',
      '400 down unreachable',
      '500 down unreachable',
    ])
  })
})

type Broken = (
  step: (input: Input<unknown>, effects: Effects<unknown>) => void,
  input: Input<unknown>,
  effects: Effects<unknown>,
) => void

/** The production strategy with its step replaced. */
function broken(how: Broken): StrategyFactory {
  return env => {
    const inner = ORDINAL.strategy(env)
    const step = inner.step.bind(inner)
    return {
      name: inner.name,
      codec: inner.codec,
      keyed: inner.keyed,
      defaultAck: inner.defaultAck,
      time: group => inner.time(group),
      ...answersOf(inner),
      status: () => inner.status(),
      step: (input, effects) => how(step, input, effects),
    }
  }
}

/** The suite's laws that `strategy` breaks, such as ['S1', 'S7']. */
function redLaws(strategy: StrategyFactory, seeds = 1): string[] {
  const red: string[] = []
  strategySuite({
    ...ORDINAL,
    strategy,
    name: 'broken',
    seeds,
    test(name, body) {
      try {
        body()
      } catch {
        red.push(/S\d+/.exec(name)?.[0] ?? name)
      }
    },
  })
  return red
}

describe('the strategy suite', { timeout: 60_000 }, () => {
  test('S1 goes red when a step depends on anything but its inputs', () => {
    let steps = 0
    const strategy = broken((step, input, effects) => {
      if (++steps % 1_001 === 0) effects.report('noise', { steps })
      step(input, effects)
    })
    expect(redLaws(strategy)).toContain('S1')
  })

  test('S2 goes red when a step reads a clock', () => {
    const strategy = broken((step, input, effects) => {
      if (input.kind === 'tick') effects.report('now', { at: Date.now() })
      step(input, effects)
    })
    expect(redLaws(strategy)).toContain('S2')
  })

  test('S3 goes red when a message loses a field on its way', () => {
    const strategy: StrategyFactory = env => {
      const inner = ORDINAL.strategy(env)
      const { codec } = inner
      let odd = 0
      return {
        name: inner.name,
        codec: {
          encode: message => codec.encode(message),
          decode(frame) {
            const message = codec.decode(frame) as { type?: string; time?: number }
            if (message.type === 'heartbeat') message.time = ++odd
            return message
          },
        },
        keyed: inner.keyed,
        defaultAck: inner.defaultAck,
        time: group => inner.time(group),
        ...answersOf(inner),
        status: () => inner.status(),
        step: (input, effects) => inner.step(input, effects),
      }
    }
    expect(redLaws(strategy)).toContain('S3')
  })

  test('S4 goes red when a stale session is believed', () => {
    const sessions = new Map<string, number>()
    const strategy = broken((step, input, effects) => {
      if (input.kind === 'link-up') sessions.set(input.peer, input.session)
      if (input.kind === 'message') {
        const session = sessions.get(input.peer) ?? input.session
        step({ ...input, session }, effects)
      } else step(input, effects)
    })
    expect(redLaws(strategy)).toContain('S4')
  })

  test('S7 goes red when a proposal is settled twice', () => {
    const strategy = broken((step, input, effects) => {
      const { settle } = effects
      let again: Parameters<typeof settle> | undefined
      const sink = new Proxy(effects, {
        get(target, name) {
          const value = Reflect.get(target, name)
          if (typeof value !== 'function') return value
          return (...args: Parameters<typeof settle>) => {
            if (name === 'settle' && args[0] >= 0 && args[1].offset % 50 === 0) again = args
            return Reflect.apply(value, target, args)
          }
        },
      })
      step(input, sink)
      if (again !== undefined) effects.settle(...again)
    })
    expect(redLaws(strategy)).toContain('S7')
  })
})

describe('a simulation', { timeout: 60_000 }, () => {
  test('waits for no promise, reads no clock and draws nothing but seeded numbers', () => {
    const folder = new URL('../src/testing/', import.meta.url)
    const shipped = /suite|laws|bench|faults\.ts|index\.ts/
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    const simulator = files.filter(file => file.endsWith('.ts') && !shipped.test(file))
    expect(simulator.length).toBeGreaterThan(20)
    const banned =
      /\b(async|await|Date|performance|Math\.random|setTimeout|setInterval|setImmediate|node:\w+)\b/
    for (const file of simulator) {
      const code = readFileSync(new URL(file, folder), 'utf8').replace(
        /\/\*[\s\S]*?\*\/|\/\/.*/g,
        '',
      )
      expect(`${file}: ${banned.exec(code)?.[0]}`).toBe(`${file}: undefined`)
    }
  })

  test('draws every style, and the same options for the same seed', () => {
    const drawn = new Set<string>()
    for (let seed = 1; seed <= 200; seed++) {
      const options = drawOptions(seed, 60)
      expect(drawOptions(seed, 60)).toEqual(options)
      expect(options.clocks.length).toBeGreaterThanOrEqual(options.nodes)
      drawn.add(options.style)
    }
    expect([...drawn].sort()).toEqual([...STYLES].sort())
  })

  test('replays: the same seed gives the same events and the same hash', () => {
    for (const style of ['everything', 'loss', 'clocks'] as const)
      expect(replays(drawOptions(3, 60, style))).toBe(true)
    const hash = (seed: number) =>
      simulate(drawOptions(seed, 60, 'calm'), { ...ORDINAL, stopAfterMs: 5_000 }).traceHash
    expect(hash(1)).not.toBe(hash(2))
  })

  test('a failure prints the law, the options and the command that repeats it', () => {
    const options = drawOptions(4, 60, 'crashes')
    const strategy = broken((step, input, effects) => {
      if (input.kind !== 'propose') step(input, effects)
    })
    const result = simulate(options, { ...ORDINAL, strategy })
    expect(result.violation?.law).toBe('I20')
    const text = explain(options, result, 'crashes')
    expect(text).toContain('--seed 4 --profile ordinal --seconds 60 --style "crashes"')
    expect(text).toContain('"style":"crashes"')
  })
})

describe('a simulated client', () => {
  it.each(['local', 'master'] as const)('sends a read once (%s)', read => {
    const world = new World(3, {}, false, {})
    const workload = new Workload(world.cluster, { ...CALM_WORKLOAD, clients: 1, rate: 0 })
    world.cluster.run(500)
    const calls = ['k', 'l'].map(key => workload.call({ kind: 'get', cache: 'c', key, read }))
    world.cluster.run(500)
    for (const call of calls) expect(call).toMatchObject({ outcome: 'ok', attempts: 1 })
  })
})

describe('the checker of cluster time', () => {
  /** After `restMs` without a master one stamps an entry each 100 ms for 15 s, at `rate`; its time
   *  is `jumpMs` ahead from the tenth on. */
  function stamp(restMs: number, rate: number, jumpMs: number): void {
    let now = 0
    const world = {
      now: () => now,
      disturbances: new Disturbances(),
      fail: (law: string) => {
        throw new Error(law)
      },
    }
    const checker = clusterTimeIsHonest(world as never)
    const life = { tip: { parent: undefined } } as unknown as Life
    const append = (time: number) => {
      const before = life.tip
      life.tip = { parent: before } as LogPoint
      checker.onAppend?.(life, { time } as Batch, before)
    }
    checker.onBecome?.(life, { role: 'master', serving: true } as Standing)
    append(0)
    checker.onBecome?.(life, { role: 'slave', serving: false } as Standing)
    now = restMs
    checker.onBecome?.(life, { role: 'master', serving: true } as Standing)
    for (let i = 0; i < 150; i++) {
      append(restMs + (now - restMs) * rate + (i < 10 ? 0 : jumpMs))
      now += 100
    }
  }

  test('lets clocks part by a fifth of the time in which nobody led, once', () => {
    expect(() => stamp(5_000, 1.21, 1_000)).not.toThrow()
    expect(() => stamp(5_000, 1.21, 1_500)).toThrow('I15')
    expect(() => stamp(100, 1.21, 1_000)).toThrow('I15')
  })

  test('sees a master whose time runs fast after nobody led', () => {
    expect(() => stamp(5_000, 1.6, 0)).toThrow('I15')
  })
})
