import { describe, expect, it } from 'vitest'
import type { Effects, Input, ReplicationStrategy } from '../src/contracts/strategy.js'
import { seededRandom } from '../src/core/prng.js'
import type { Effect } from '../src/engine/effect-queue.js'
import { traceLine } from '../src/engine/effect-queue.js'
import { Links } from '../src/engine/links.js'
import { Pump } from '../src/engine/pump.js'
import { GcacheError } from '../src/errors.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { EngineCluster } from './harness/engine-cluster.js'

/** A strategy that answers every hint by a report, and notes what it was given. */
function recorder(step: (input: Input<string>, effects: Effects<string>) => void) {
  return { name: 'recorder', keyed: false, step } as ReplicationStrategy<string>
}

describe('the pump', () => {
  function setUp(execute: (effect: Effect<string>, pump: Pump<string>) => void) {
    const clock = new VirtualClock()
    const seen: string[] = []
    const trace: string[] = []
    const strategy = recorder((input, effects) => {
      seen.push(input.kind)
      if (input.kind === 'hint') effects.report('hint', { from: input.identity })
    })
    const pump: Pump<string> = new Pump<string>({
      clock,
      strategy,
      tickMs: 25,
      execute: effect => execute(effect, pump),
      finish: () => seen.push('finish'),
      onTrace: line => trace.push(line),
    })
    return { clock, seen, trace, pump }
  }

  it('lets an input that arrives among effects wait until they are done', () => {
    const order: string[] = []
    const { pump, seen } = setUp((effect, self) => {
      order.push(effect.kind)
      if (effect.kind === 'report' && effect.fields.from === 'a')
        self.feed({ kind: 'hint', identity: 'b' })
    })
    pump.feed({ kind: 'hint', identity: 'a' })
    expect(seen).toEqual(['tick', 'hint', 'hint', 'finish'])
    expect(order).toEqual(['report', 'report'])
  })

  it('opens a turn with a tick only when the clock moved by 1 ms, and says how late it is', () => {
    const { pump, seen, clock, trace } = setUp(() => undefined)
    pump.feed({ kind: 'hint', identity: 'a' })
    pump.feed({ kind: 'hint', identity: 'b' })
    clock.advance(500)
    pump.feed({ kind: 'hint', identity: 'c' })
    expect(seen.filter(kind => kind === 'tick')).toHaveLength(2)
    expect(trace).toContain('> hint {"identity":"c"}')
  })

  it('takes up inputs again after a step that broke an invariant', () => {
    let broken = true
    const { pump, seen } = setUp(() => {
      if (broken) throw new Error('broken')
    })
    expect(() => pump.feed({ kind: 'hint', identity: 'a' })).toThrow('broken')
    broken = false
    pump.feed({ kind: 'hint', identity: 'b' })
    expect(seen.at(-1)).toBe('finish')
  })
})

describe('trace lines', () => {
  it('print bytes as their length and epochs shortened', () => {
    const epoch = { number: 257, incarnation: 'abcdef0123456789' }
    const batch = { epoch, first: 3, next: 5, time: 1, crc: 7, bytes: new Uint8Array(9) }
    expect(traceLine({ kind: 'append', group: 0, batch } as never)).toBe(
      'append {"group":0,"batch":"[3,5)@257"}',
    )
    expect(traceLine({ kind: 'x', slice: Buffer.alloc(4) } as never)).toBe('x {"slice":"4B"}')
    expect(traceLine({ kind: 'y', promised: epoch } as never)).toBe('y {"promised":"257.abcd"}')
  })
})

describe('links', () => {
  it('redial at once after a loss, then back off up to a second, and stop when told', () => {
    const { clock, dials, links } = oneLink()
    links.onUp('b', 1)
    expect(links.isLinked('b')).toBe(true)
    clock.advance(1_000)
    links.onDown('b', 1)
    clock.advance(0)
    expect(dials).toEqual([0, 1_000])
    for (let i = 0; i < 12; i++) {
      links.onDown('b', 0)
      clock.advance(1_000)
    }
    const gaps = dials.slice(2).map((at, i) => at - dials[i + 1])
    expect(dials).toHaveLength(14)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(2_000)
    links.onDown('b', 0)
    links.stop()
    clock.advance(5_000)
    expect(dials).toHaveLength(14)
  })

  it('try where discovery has seen the peer, too, and call no dial a proof', () => {
    const { places, links, clock } = oneLink()
    expect(links.isMoved('b')).toBe(false)
    links.onDown('b', 0)
    links.sight('b', 'memory://moved')
    links.sight('b', 'memory://moved')
    links.sight('stranger', 'memory://x')
    expect(places).toEqual(['memory://b', 'memory://moved'])
    expect(links.isMoved('b')).toBe(true)
    for (let i = 0; i < 2; i++) {
      links.onDown('b', 0)
      clock.advance(1_000)
    }
    expect(places.slice(2)).toEqual(['memory://b', 'memory://moved'])
    links.sight('b', 'memory://b')
    expect(links.isMoved('b')).toBe(false)
  })

  function oneLink() {
    const clock = new VirtualClock()
    const dials: number[] = []
    const places: string[] = []
    const connect = (_peer: string, address: string) => {
      places.push(address)
      dials.push(clock.now())
    }
    const transport = { connect } as never
    const links = new Links({ transport, clock, random: seededRandom(1) }, [
      { id: 'b', ordinal: 1, address: 'memory://b' },
    ])
    links.start()
    let session = 0
    /** A session that lives for `ms`; then so many ms pass until it is dialled again. */
    const lives = (ms: number): number => {
      links.onUp('b', ++session)
      clock.advance(ms)
      links.onDown('b', session)
      const { length } = dials
      const endedAt = clock.now()
      while (dials.length === length && clock.step(endedAt + 5_000));
      return dials[length] - endedAt
    }
    return { clock, dials, places, links, lives }
  }

  it('back off from a peer that ends every session at once, until one lasts', () => {
    const { lives } = oneLink()
    expect(lives(1_000)).toBe(0)
    const pauses = Array.from({ length: 12 }, () => lives(5))
    expect(pauses[0]).toBeGreaterThanOrEqual(10)
    expect(pauses[0]).toBeLessThanOrEqual(20)
    for (const [i, pause] of pauses.slice(6).entries()) {
      expect(pause, `pause ${i + 6}`).toBeGreaterThanOrEqual(500)
      expect(pause).toBeLessThanOrEqual(1_000)
    }
    expect(lives(1_000)).toBe(0)
    expect(lives(5)).toBeLessThanOrEqual(20)
  })

  it('forget refused dials as soon as the peer is up again', () => {
    const { clock, links, lives } = oneLink()
    for (let i = 0; i < 12; i++) {
      links.onDown('b', 0)
      clock.advance(1_000)
    }
    expect(lives(5)).toBeLessThanOrEqual(20)
  })
})

describe('a dial that a living peer turned away', () => {
  const strategy = masterSlave()
  const losses: unknown[] = []
  const watched: typeof strategy = env => {
    const inner = strategy(env)
    const step = inner.step.bind(inner)
    const noted: typeof step = (input, effects) => {
      if (input.kind === 'link-down' && input.session === 0) losses.push(input.loss)
      step(input, effects)
    }
    return Object.assign(inner, { step: noted })
  }

  it.each(['REFUSED', 'PREAUTH_LIMIT'] as const)('with %s is no sign of its death', async code => {
    const cluster = new EngineCluster(['a', 'b'], 1, watched)
    const engine = await cluster.start('a')
    losses.length = 0
    engine.onLinkDown('b', 0, 'refused', new GcacheError(code, 'not now'))
    expect(losses).toEqual(['protocol'])
    await cluster.start('b')
    await cluster.until(() => cluster.master() !== undefined)
    await cluster.close()
  })
})

describe('engines of which none takes a word of the others', () => {
  it('dial one another once a second in the end, and find together once mended', async () => {
    let deaf = true
    const strategy = masterSlave()
    const cluster = new EngineCluster(['a', 'b', 'c'], 1, env => {
      const inner = strategy(env)
      const { codec } = inner
      const decode = (frame: Uint8Array) => {
        if (deaf) throw new GcacheError('PROTOCOL_ERROR', 'not understood')
        return codec.decode(frame)
      }
      return Object.assign(inner, { codec: { ...codec, decode } })
    })
    const dials: number[] = []
    const { network } = cluster
    const dial = network.dial.bind(network)
    network.dial = (...args) => {
      dials.push(cluster.clock.now())
      return dial(...args)
    }
    for (const id of ['a', 'b', 'c']) await cluster.start(id)
    await cluster.until(() => cluster.clock.now() >= 10_000 || dials.length > 1_000)
    // Three pairs, both sides dial: 6 pauses until a second is reached, then one or two a second.
    expect(dials.length).toBeGreaterThan(3 * 10)
    expect(dials.length).toBeLessThan(6 * 30)
    const last = dials.filter(at => at >= cluster.clock.now() - 5_000)
    expect(last.length).toBeLessThanOrEqual(6 * 10)
    deaf = false
    const mendedAt = cluster.clock.now()
    await cluster.until(() => cluster.master() !== undefined)
    expect(cluster.clock.now() - mendedAt).toBeLessThan(3_000)
    await cluster.close()
  })
})
