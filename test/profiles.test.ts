/**
 * Profiles strict and majority, and the witness, history by history: what each acknowledges, who
 * may lead, what a process without memory may do. Virtual time; the clusters are the simulator's.
 */
import { describe, expect, it } from 'vitest'
import type { Member } from '../src/contracts/types.js'
import { seededRandom } from '../src/core/prng.js'
import { SimulatedCluster } from '../src/testing/cluster.js'
import { type MasterSlaveOptions, masterSlave } from '../strategies/master-slave/index.js'
import { Asker } from './harness/asker.js'
import { MAJORITY, World } from './harness/profile-world.js'

const value = Buffer.from('v')

describe('profile majority', () => {
  it('acknowledges with one of three dead, refuses at once with two', () => {
    const world = new World(3, MAJORITY)
    const [one, two] = world.others()
    world.cluster.crash(one.id)
    const first = world.set(world.master, 'k', value)
    world.cluster.run(500)
    expect(world.answers.get(first)).toBe('written')
    world.cluster.crash(two.id)
    const second = world.set(world.master, 'k', value)
    world.cluster.run(4_000)
    expect(world.answers.get(second)).toMatch(/NOT_ENOUGH_COPIES|ACK_TIMEOUT|NO_MAJORITY/)
    const third = world.set(world.cluster.node('a'), 'k', value)
    expect(world.answers.get(third)).toBe('NO_MAJORITY')
  })

  it('an isolated master acknowledges nothing and answers nobody after 800 ms', () => {
    const world = new World(3, MAJORITY)
    const old = world.master
    world.cluster.split([old.id])
    const blind = world.set(old, 'k', value)
    world.cluster.run(900)
    const late = world.set(old, 'k', value)
    const read = world.get(old, 'k')
    expect(world.answers.get(late)).toBe('NO_MAJORITY')
    expect(world.answers.get(read)).toBe('NO_MAJORITY')
    world.cluster.run(4_000)
    expect(world.answers.get(blind)).toMatch(/ACK_TIMEOUT|NOT_MASTER/)
    expect(world.master).not.toBe(old)
    world.cluster.mendAll()
    world.cluster.run(6_000)
    expect(world.cluster.converged(['a', 'b', 'c'])).toBe(true)
  })

  it('what an isolated master could not commit is dropped without a copy, and never seen', () => {
    const world = new World(3, MAJORITY)
    const old = world.master
    const before = world.set(old, 'kept', value)
    world.cluster.run(300)
    expect(world.answers.get(before)).toBe('written')
    world.cluster.split([old.id])
    for (let i = 0; i < 5; i++) world.set(old, `gone${i}`, value)
    world.cluster.run(3_000)
    const { epoch } = world.master.engine.standing
    expect(old.version('c', 'gone0')).toBe(undefined)
    world.cluster.mendAll()
    world.cluster.run(6_000)
    expect(world.master.version('c', 'gone0')).toBe(undefined)
    expect(world.master.version('c', 'kept')).toBeGreaterThan(0)
    expect(old.life.copying).toBe(false)
    expect(old.engine.standing.epoch).toEqual(epoch)
  })

  it('begins only when all are there, and never anew beside one that remembers', () => {
    const world = new World(3, MAJORITY)
    const { cluster } = world
    for (const { id } of cluster.members) cluster.crash(id)
    cluster.start('a')
    cluster.start('b')
    cluster.run(20_000)
    expect(cluster.master()).toBe(undefined)
    cluster.start('c')
    cluster.run(3_000)
    expect(cluster.master()?.id).toBe('a')
  })
})

describe('a process without memory', () => {
  it('is a learner until the others hold all, then votes', () => {
    const world = new World(3, MAJORITY)
    const [back, silent] = world.others()
    world.cluster.crash(back.id)
    world.cluster.pause(silent.id)
    world.set(world.master, 'k', value)
    world.cluster.start(back.id)
    world.cluster.run(600)
    // Only the master holds that write: one of the two others is not enough.
    expect(world.state(back.id)).toBe('learner')
    world.cluster.resume(silent.id)
    world.cluster.run(3_000)
    expect(world.state(back.id)).toBe('online')
  })

  it('gives half a copy up, though it followed another master since (ordinal, seed 1324)', () => {
    const strategy = masterSlave() as never
    const limits = { sliceBytesMax: 100, backlogEntriesMax: 10 }
    const random = seededRandom(1)
    const cluster = new SimulatedCluster({ nodes: 3, random, strategy, ...limits })
    const world = new Asker(cluster)
    cluster.startAll()
    cluster.run(3_000)
    cluster.crash('c')
    for (let i = 0; i < 300; i++) world.set(world.master, `k${i}`, value)
    cluster.run(1_000)
    cluster.network.setFaults({ bytesPerMs: 20 })
    cluster.start('c')
    const half = cluster.node('c')
    expect(cluster.runUntil(() => half.applied() > 1 && half.life.copying, 3_000)).toBe(true)
    cluster.run(5)
    cluster.crash('a')
    const follows = () => half.engine.standing.master === 'b'
    while (!follows()) cluster.run(0.1)
    cluster.crash('b')
    expect(half.status().self.state).toBe('copying')
    cluster.run(10_000)
    // It begins anew, with nothing: what it had was no state.
    expect(cluster.master()).toBe(half)
    expect(half.applied()).toBeLessThan(10)
  })

  it('neither completes a majority nor lets one be elected', () => {
    const world = new World(3, MAJORITY)
    const [back, far] = world.others()
    const { master } = world
    world.cluster.split([far.id])
    const before = world.set(master, 'before', value)
    world.cluster.run(300)
    expect(world.answers.get(before)).toBe('written')
    world.cluster.crash(back.id)
    world.cluster.start(back.id)
    world.cluster.run(400)
    const id = world.set(master, 'k', value)
    world.cluster.run(5_000)
    expect(world.answers.get(id)).not.toBe('written')
    world.cluster.crash(master.id)
    world.cluster.mendAll()
    world.cluster.run(10_000)
    // One memory is left of three: the cluster refuses, it does not invent.
    expect(world.cluster.master()).toBe(undefined)
  })

  it.each(['ordinal', 'strict', 'majority'] as const)(
    'never wipes the others, though its ordinal is the lowest (%s; redis/redis#12570)',
    profile => {
      const world = new World(3, { profile })
      const { cluster } = world
      expect(world.master.id).toBe('a')
      const id = world.set(world.master, 'k', value)
      cluster.run(300)
      expect(world.answers.get(id)).toBe('written')
      // The supervisor brings the empty master back before anybody has missed it.
      cluster.crash('a')
      cluster.start('a')
      cluster.run(8_000)
      expect(world.master.version('c', 'k')).toBeGreaterThan(0)
      expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
    },
  )

  it('does not lead when all others are away for a moment (apecloud/kubeblocks#10753)', () => {
    const world = new World(3, MAJORITY)
    const { cluster } = world
    const id = world.set(world.master, 'k', value)
    cluster.run(300)
    expect(world.answers.get(id)).toBe('written')
    // A rolling restart, and while the new process looks around the others are unreachable.
    cluster.crash('c')
    cluster.split(['c'])
    cluster.start('c')
    cluster.run(30_000)
    expect(world.state('c')).toBe('empty')
    expect(cluster.node('c').engine.standing.role).toBe('slave')
    cluster.mendAll()
    cluster.run(6_000)
    expect(cluster.node('c').version('c', 'k')).toBeGreaterThan(0)
    expect(cluster.converged(['a', 'b', 'c'])).toBe(true)
  })
})

describe('profile strict', () => {
  it('acknowledges what all hold, stops with one down, goes on when it is back', () => {
    const world = new World(3, { profile: 'strict' })
    const [one] = world.others()
    const all = world.set(world.master, 'k', value)
    world.cluster.run(300)
    expect(world.answers.get(all)).toBe('written')
    world.cluster.crash(one.id)
    world.cluster.run(1_500)
    const refused = world.set(world.master, 'k', value)
    expect(world.answers.get(refused)).toBe('NOT_ENOUGH_COPIES')
    world.cluster.start(one.id)
    world.cluster.run(4_000)
    const again = world.set(world.master, 'k', value)
    world.cluster.run(500)
    expect(world.answers.get(again)).toBe('written')
  })

  it('any one survivor has all that was acknowledged, and gives it to those who come back', () => {
    const world = new World(3, { profile: 'strict' })
    const id = world.set(world.master, 'k', value)
    world.cluster.run(300)
    expect(world.answers.get(id)).toBe('written')
    world.cluster.crash('a')
    world.cluster.crash('b')
    world.cluster.run(5_000)
    world.cluster.start('a')
    world.cluster.start('b')
    world.cluster.run(6_000)
    expect(world.master.id).toBe('c')
    expect(world.master.version('c', 'k')).toBeGreaterThan(0)
    const again = world.set(world.master, 'k', value)
    world.cluster.run(500)
    expect(world.answers.get(again)).toBe('written')
  })
})

describe('two nodes and a witness', () => {
  it('write on with the slave dead, and fail over with the master dead', () => {
    const world = new World(2, MAJORITY, true)
    const { cluster } = world
    cluster.crash('b')
    cluster.run(1_500)
    const alone = world.set(world.master, 'k', value)
    cluster.run(300)
    expect(world.answers.get(alone)).toBe('written')
    cluster.start('b')
    cluster.run(3_000)
    expect(world.state('b')).toBe('online')
    cluster.crash('a')
    cluster.run(3_000)
    expect(world.master.id).toBe('b')
    expect(world.master.version('c', 'k')).toBeGreaterThan(0)
    const after = world.set(world.master, 'k', value)
    cluster.run(300)
    expect(world.answers.get(after)).toBe('written')
  })

  it('refuse a slave that lacks what master and witness committed: unavailable, not wrong', () => {
    const world = new World(2, MAJORITY, true)
    const { cluster } = world
    cluster.split(['b'])
    cluster.run(2_500)
    const id = world.set(cluster.node('a'), 'k', value)
    cluster.run(300)
    expect(world.answers.get(id)).toBe('written')
    cluster.crash('a')
    cluster.mendAll()
    cluster.run(10_000)
    expect(cluster.master()).toBe(undefined)
  })

  it('agree again once the better log is back, though the witness refuses the other one', () => {
    const world = new World(2, MAJORITY, true)
    const { cluster } = world
    // The stale one must be of lower ordinal: it tries first and puts the other off each time.
    cluster.crash('a')
    cluster.run(3_000)
    cluster.start('a')
    cluster.run(3_000)
    expect([world.master.id, world.state('a')]).toEqual(['b', 'online'])
    cluster.cut('a', 'b')
    cluster.run(1_500)
    const first = world.set(world.master, 'k', value)
    cluster.run(500)
    expect(world.answers.get(first)).toBe('written')
    cluster.split(['b'])
    cluster.run(3_000)
    expect(cluster.master()).toBeUndefined()
    cluster.mendAll()
    expect(cluster.runUntil(() => cluster.master() !== undefined, 4_000)).toBe(true)
    expect(world.master.version('c', 'k')).toBeGreaterThan(0)
  })

  it('make one master in a split, on the side of the witness', () => {
    const world = new World(2, MAJORITY, true)
    const { cluster } = world
    const old = world.master
    cluster.split([old.id])
    cluster.run(4_000)
    const masters = cluster.live().filter(node => node.engine.standing.serving)
    expect(masters.map(node => node.id)).toEqual(['b'])
  })

  it('are not wedged by a new master that dies as soon as it leads', () => {
    const world = new World(2, MAJORITY, true)
    const { cluster } = world
    const id = world.set(world.master, 'k', value)
    cluster.run(500)
    expect(world.answers.get(id)).toBe('written')
    cluster.network.setFaults({ latencyMsMin: 0.2, latencyMsMax: 0.5 })
    cluster.node('a').engine.handover('b', 5_000, () => {})
    const leads = () => cluster.node('b').engine.standing.role === 'master'
    for (let tenths = 0; !leads() && tenths < 50_000; tenths++) cluster.run(0.1)
    cluster.crash('b')
    cluster.run(8_000)
    expect(world.master.id).toBe('a')
    expect(world.master.version('c', 'k')).toBeGreaterThan(0)
  })

  it('with a third node: a stale slave of lower ordinal gives way to the better one', () => {
    const world = new World(3, MAJORITY, true)
    const { cluster } = world
    expect(world.master.id).toBe('a')
    cluster.split(['b'])
    cluster.run(2_500)
    const id = world.set(world.master, 'k', value)
    cluster.run(500)
    expect(world.answers.get(id)).toBe('written')
    cluster.pause('a')
    cluster.mendAll()
    cluster.run(500)
    cluster.crash('a')
    cluster.run(10_000)
    expect(world.master.id).toBe('c')
  })

  it('a witness that is killed remembers its vote', () => {
    const world = new World(2, MAJORITY, true)
    const { cluster } = world
    cluster.crash('w')
    cluster.start('w')
    cluster.run(300)
    expect(world.state('w')).toBe('online')
  })
})

describe('an impossible configuration is refused with the sum that does not work out', () => {
  const members = (data: number, witnesses: number): Member[] =>
    Array.from({ length: data + witnesses }, (_, i) => ({
      id: `n${i}`,
      ordinal: i,
      address: `memory://n${i}`,
      ...(i < data ? {} : { witness: true }),
    }))

  it.each<[MasterSlaveOptions, number, number, RegExp]>([
    [MAJORITY, 2, 0, /2 voters needs floor\(2\/2\) \+ 1 = 2 of them.*witness/],
    [{ ack: 'slaves:3' }, 3, 0, /slaves:3 needs 4 logs and there are 3 data nodes/],
    [{ profile: 'majority', ack: 'slaves:2' }, 2, 1, /needs 3 logs and there are 2 data nodes/],
    [{ inSyncMin: 4 }, 3, 0, /inSyncMin 4 exceeds .* 3 data nodes/],
    [{ slavesToWriteMin: 3 }, 3, 0, /slavesToWriteMin 3 exceeds .* 2 slaves/],
    [{ profile: 'strict' }, 2, 1, /witness votes in profile majority only/],
    [MAJORITY, 1, 1, /1 data node and 1 witness: .* must hold data, 1 of 2 does not suffice/],
    [MAJORITY, 2, 2, /2 data nodes and 2 witnesses: .* must hold data, 2 of 4 do not suffice/],
  ])('%o with %i nodes and %i witnesses', (options, data, witnesses, text) => {
    const make = () =>
      masterSlave(options)({
        self: 'n0',
        incarnation: 'a'.repeat(16),
        random: seededRandom(1),
        frameBytesMax: 2 ** 20,
        durability: 'memory',
        members: members(data, witnesses),
        log: () => {
          throw new Error('no log is asked for')
        },
      })
    expect(make).toThrow(expect.objectContaining({ code: 'CONFIG' }))
    expect(make).toThrow(text)
  })
})
