/**
 * A slave that was itself stopped, for longer than any silence may last: it hears the others before
 * it suspects anybody, so it stays a slave however busy its master is just then. Virtual time.
 */
import { describe, expect, it } from 'vitest'
import type { MasterSlaveOptions } from '../strategies/master-slave/index.js'
import { MAJORITY, World } from './harness/profile-world.js'

const value = Buffer.from('v')
const STRICT: MasterSlaveOptions = { profile: 'strict' }
const PROFILES = [{}, STRICT, MAJORITY]
/** The master's loop is blocked for so long, and so much of it before the slave wakes, ms. */
const BUSY = [
  [0, 0],
  [100, 0],
  [200, 1],
  [500, 1],
  [500, 250],
  [500, 500],
] as const

class Woken extends World {
  readonly failovers: string[] = []
  readonly lost: string[] = []

  constructor(nodes: number, options: MasterSlaveOptions, witness = false) {
    super(nodes, options, witness)
    this.cluster.checkers.push({
      name: 'who took over, and what was lost by it',
      onPromotion: life => {
        this.failovers.push(life.node)
      },
      onReport: (life, event) => {
        if (event === 'divergence' || event === 'truncated')
          this.lost.push(`${life.node}: ${event}`)
      },
    })
  }

  /** Writes to a while `ms` pass, one in 20 ms. */
  write(ms: number): void {
    const master = this.cluster.node('a')
    for (let n = 0; n < ms / 20; n++) {
      this.set(master, `k${n % 50}`, value, 'master')
      this.cluster.run(20)
    }
  }

  /** Wakes `stopped` while `master` is busy for `busyMs`, `beforeMs` of them before that. */
  wake(stopped: readonly string[], master: string, busyMs: number, beforeMs: number): void {
    const { cluster } = this
    if (busyMs > 0) cluster.stall(master, busyMs)
    cluster.run(beforeMs)
    for (const id of stopped) cluster.resume(id)
    cluster.run(8_000)
  }
}

/*
 *   a  master .......................|== busy ==|.......
 *   b  slave  |-- stopped for 10 or 60 s --|  hears a, follows it
 */
describe.each([
  ['ordinal, 2 nodes', 2, {}, false],
  ['ordinal, 3 nodes', 3, {}, false],
  ['strict, 2 nodes', 2, STRICT, false],
  ['strict, 3 nodes', 3, STRICT, false],
  ['majority, 3 nodes', 3, MAJORITY, false],
  ['majority, 2 nodes and a witness', 2, MAJORITY, true],
] as const)('%s', (_name, nodes, options, witness) => {
  it.each([
    [10_000, BUSY],
    [60_000, BUSY.slice(-2)],
  ])('a slave that was stopped for %i ms stays one', (stopMs, stalls) => {
    for (const [busyMs, beforeMs] of stalls) {
      const world = new Woken(nodes, options, witness)
      world.cluster.pause('b')
      world.write(stopMs)
      world.wake(['b'], 'a', busyMs, beforeMs)
      const what = `the master was busy for ${busyMs} ms, ${beforeMs} of them before`
      expect(world.failovers, what).toEqual([])
      expect(world.lost, what).toEqual([])
      expect(world.master.id, what).toBe('a')
      expect(world.cluster.converged(['a', 'b']), what).toBe(true)
    }
  })
})

describe('of three nodes', () => {
  it('two that were stopped together stay slaves of a master that lost touch meanwhile', () => {
    for (const options of PROFILES) {
      const world = new Woken(3, options)
      for (const slave of ['b', 'c']) world.cluster.pause(slave)
      world.cluster.run(20_000)
      world.wake(['b', 'c'], 'a', 500, 0)
      expect(world.failovers).toEqual([])
      expect(world.master.id).toBe('a')
      expect(world.cluster.converged(['a', 'b', 'c'])).toBe(true)
    }
  })

  it('one whose link with the master ended meanwhile stays a slave', () => {
    for (const options of PROFILES) {
      const world = new Woken(3, options)
      const { cluster } = world
      cluster.pause('b')
      world.write(20_000)
      cluster.reset('a', 'b')
      cluster.run(200)
      cluster.stall('c', 450)
      world.wake(['b'], 'a', 500, 50)
      expect(world.failovers).toEqual([])
      expect(world.master.id).toBe('a')
      expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
    }
  })

  /*
   *   a  killed
   *   b   probes, leads ...........................
   *   c   probes, waits 75 ms |-- stopped --|  follows b
   */
  it('one that was stopped while it waited for its turn to lead follows who took it', () => {
    for (const options of PROFILES)
      for (let afterMs = 8; afterMs <= 12; afterMs += 0.5) {
        const world = new Woken(3, options)
        const { cluster } = world
        cluster.network.setFaults({ latencyMsMin: 2, latencyMsMax: 2 })
        cluster.run(500)
        cluster.crash('a')
        cluster.run(afterMs)
        cluster.pause('c')
        cluster.run(2_000)
        cluster.resume('c')
        cluster.run(5_000)
        expect(world.failovers, `stopped ${afterMs} ms after the kill`).toEqual(['b'])
        expect(cluster.node('c').engine.standing.master).toBe('b')
      }
  })
})

describe('of two nodes', () => {
  /*
   *   a  tells b --1 s--> leads on, is written to |== busy ==|
   *   b          |------- stopped for 5 s --------|  reads what it was told then
   */
  it('one that was stopped as it was told to take over stays a slave', () => {
    for (const options of [{}, STRICT])
      for (const [busyMs, beforeMs] of BUSY) {
        const world = new Woken(2, options)
        const { cluster } = world
        let sent = false
        cluster.checkers.push({
          name: 'how far the handover is',
          onReport: (_life, event, fields) => {
            sent ||= event === 'handover' && fields.state === 'sent'
          },
        })
        cluster.network.setFaults({ latencyMsMin: 2, latencyMsMax: 2 })
        cluster.node('a').engine.handover('b', 5_000, () => {})
        world.watch(() => sent)
        cluster.pause('b')
        cluster.run(2_000)
        world.write(3_000)
        expect(world.failovers).toEqual(['a'])
        world.wake(['b'], 'a', busyMs, beforeMs)
        expect(world.failovers, `busy for ${busyMs} ms, ${beforeMs} before`).toEqual(['a'])
        expect(world.lost).toEqual([])
        expect(cluster.converged(['a', 'b'])).toBe(true)
      }
  })

  it('one that woke leads at once when the dial to its dead master is refused', () => {
    const world = new Woken(2, {})
    const { cluster } = world
    cluster.pause('b')
    cluster.run(10_000)
    cluster.resume('b')
    cluster.run(200)
    cluster.crash('a')
    expect(cluster.runUntil(() => cluster.master()?.id === 'b', 100)).toBe(true)
  })

  it('one that woke beside a silent master leads once that was silent for a second', () => {
    const world = new Woken(2, {})
    const { cluster } = world
    cluster.pause('b')
    cluster.run(10_000)
    cluster.pause('a')
    cluster.resume('b')
    expect(cluster.runUntil(() => cluster.master()?.id === 'b', 980)).toBe(false)
    expect(cluster.runUntil(() => cluster.master()?.id === 'b', 600)).toBe(true)
  })
})

/*
 *   a  tells e ---- 1 s ----> fails, stands (lower epoch), waits 600 ms for d and e .......
 *   d  x no word from a x ------------------> stands (higher epoch), leads ................
 *   e          |------------- stopped --------------------------|  promises both
 *   b, c                      promise a ..... promise d, tell a
 */
it('of five nodes one that waits for the sleeper leads no more once another is promised', () => {
  const world = new Woken(5, {})
  const { cluster } = world
  const { failovers } = world
  let sent = false
  cluster.checkers.push({
    name: 'how far the handover is',
    onReport: (_life, event, fields) => {
      sent ||= event === 'handover' && fields.state === 'sent'
    },
  })
  cluster.network.setFaults({ latencyMsMin: 1, latencyMsMax: 1 })
  cluster.node('a').engine.handover('e', 5_000, () => {})
  world.watch(() => sent)
  cluster.pause('e')
  cluster.clog('a', 'd', 5_000)
  const promisedTo = () => (cluster.node('b').life.promised?.epoch.number ?? 0) % 256
  world.watch(() => promisedTo() === 3)
  cluster.run(50)
  cluster.resume('e')
  cluster.run(8_000)
  expect(failovers).toEqual(['d'])
  expect(world.lost).toEqual([])
  expect(cluster.converged(['a', 'b', 'c', 'd', 'e'])).toBe(true)
})
