/**
 * Strategy broadcast on the simulated network: whatever is lost, late, cut or restarted, nodes that
 * are linked end with the same records, and nothing that was deleted comes back.
 */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { broadcast } from '../strategies/broadcast/index.js'
import { NO_FAULTS } from '../transports/memory/faults.js'
import { codeOf } from './harness/codes.js'
import { Writers } from './harness/writers.js'

const ALL = ['a', 'b', 'c']

describe('three nodes that all accept writes', () => {
  it('answer at once, and agree within one heartbeat', () => {
    const world = new Writers(3)
    for (const id of ALL) {
      const call = world.set(id, `of ${id}`, `by ${id}`)
      expect(world.answer(call)).toBe('ok')
    }
    world.run(100)
    for (const reader of ALL)
      for (const id of ALL) expect(world.read(reader, `of ${id}`)).toBe(`by ${id}`)
    world.expectEqual()
  })

  it('keep the later of two concurrent writes, and its loser is counted where it was made', () => {
    const world = new Writers(3)
    world.set('a', 'k', 'of a')
    world.set('b', 'k', 'of b')
    world.run(200)
    const winner = world.read('a', 'k')
    expect(['of a', 'of b']).toContain(winner)
    expect(ALL.map(id => world.read(id, 'k'))).toEqual([winner, winner, winner])
    const loser = winner === 'of a' ? 'b' : 'a'
    expect(ALL.map(id => world.conflicts(id))).toEqual(ALL.map(id => (id === loser ? 1 : 0)))
  })

  it('do not count a write that had seen what it replaces', () => {
    const world = new Writers(3)
    for (const [i, id] of [...ALL, ...ALL].entries()) {
      world.set(id, 'k', `${i}`)
      world.run(50)
    }
    expect(ALL.map(id => world.conflicts(id))).toEqual([0, 0, 0])
    expect(ALL.map(id => world.read(id, 'k'))).toEqual(['5', '5', '5'])
  })

  it('decide conditions where they are asked, and refused ones have no effect anywhere', () => {
    const world = new Writers(3)
    world.set('a', 'k', 'first')
    world.run(100)
    const version = world.version('b', 'k')
    expect(version).toBe(world.version('a', 'k'))
    const refused = [
      world.set('b', 'k', 'x', { ifAbsent: true }),
      world.set('b', 'k', 'x', { ifVersion: version + 1 }),
      world.delete('b', 'nothing'),
      world.touch('b', 'nothing', { ttlMs: 1_000 }),
      world.set('b', 'nothing', 'x', { ifVersion: version }),
    ]
    expect(refused.map(call => world.answer(call))).toEqual([
      ...['ALREADY_EXISTS', 'VERSION_MISMATCH', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND'],
    ])
    expect(world.answer(world.set('b', 'k', 'second', { ifVersion: version }))).toBe('ok')
    world.run(100)
    expect(ALL.map(id => world.read(id, 'k'))).toEqual(['second', 'second', 'second'])
    world.expectEqual()
  })

  it('end a record everywhere at its time, and a touch in time prolongs it everywhere', () => {
    const world = new Writers(3)
    world.set('a', 'short', 'x', { ttlMs: 500 })
    world.set('a', 'touched', 'x', { ttlMs: 500 })
    world.run(300)
    world.touch('b', 'touched', { ttlMs: 5_000 })
    world.run(300)
    expect(ALL.map(id => world.read(id, 'short'))).toEqual([undefined, undefined, undefined])
    expect(ALL.map(id => world.read(id, 'touched'))).toEqual(['x', 'x', 'x'])
    world.run(10_000)
    expect(ALL.map(id => world.read(id, 'touched'))).toEqual([undefined, undefined, undefined])
    expect(ALL.map(id => world.cluster.node(id).stamped?.stats().entries)).toEqual([0, 0, 0])
    world.expectEqual()
  })

  it('clear a cache everywhere, but not what is written later', () => {
    const world = new Writers(3)
    for (let i = 0; i < 20; i++) world.set('a', `k${i}`, 'x')
    world.run(100)
    world.clear('b')
    world.set('b', 'later', 'y')
    world.run(100)
    expect(ALL.map(id => world.cluster.node(id).stamped?.stats().entries)).toEqual([1, 1, 1])
    expect(ALL.map(id => world.read(id, 'later'))).toEqual(['y', 'y', 'y'])
    world.expectEqual()
  })

  it('count what a clear of another node wipes without having known of it', () => {
    const world = new Writers(3)
    world.set('a', 'known', 'x')
    world.run(100)
    world.set('a', 'k1', 'x')
    world.set('a', 'k2', 'x')
    world.set('b', 'k3', 'x')
    // Its stamps are above those: within one ms they are counted.
    for (const key of ['l1', 'l2', 'l3']) world.set('c', key, 'x')
    world.clear('c')
    world.run(200)
    expect(ALL.map(id => world.cluster.node(id).stamped?.stats().entries)).toEqual([0, 0, 0])
    expect(ALL.map(id => world.conflicts(id))).toEqual([2, 1, 0])
    world.set('a', 'k1', 'x')
    world.run(100)
    for (const id of ALL) world.clear(id)
    world.run(200)
    expect(ALL.map(id => world.conflicts(id))).toEqual([2, 1, 0])
    world.expectEqual()
  })

  it('count it as well where the clear comes by a comparison of records', () => {
    const world = new Writers(2, {}, { backlogBytesMax: 4_096 })
    world.set('a', 'known', 'x')
    world.run(200)
    world.cluster.split(['b'])
    world.run(2_000)
    world.set('a', 'k1', 'x')
    world.run(10)
    world.clear('b')
    world.run(10)
    // Beyond what the backlogs of both hold: no log tells any more who had met what.
    for (let i = 0; i < 200; i++) {
      for (const id of ['a', 'b']) world.set(id, `${id}${i}`, `${i}`.repeat(20))
      world.run(2)
    }
    world.cluster.mendAll()
    world.run(4_000)
    expect([world.read('b', 'a199'), world.read('a', 'k1')]).toEqual(['199'.repeat(20), undefined])
    expect([world.conflicts('a'), world.conflicts('b')]).toEqual([1, 0])
    world.expectEqual()
  })

  it('answer a repeated write as the first time, at the same node and at another', () => {
    const world = new Writers(3)
    const window = { id: 'w'.repeat(16), lowest: 0 }
    world.openWindow('a', window)
    const once = world.set('a', 'k', 'x', { ifAbsent: true }, { window, seq: 1 })
    expect(world.answer(once)).toBe('ok')
    const again = world.set('a', 'k', 'x', { ifAbsent: true }, { window, seq: 1 })
    expect(world.answer(again)).toBe('ok')
    world.run(100)
    const version = world.version('b', 'k')
    const elsewhere = world.set('b', 'k', 'x', { ifAbsent: true }, { window, seq: 1 })
    expect(world.answer(elsewhere)).toBe('ok')
    world.run(100)
    expect(ALL.map(id => world.version(id, 'k'))).toEqual([version, version, version])
    world.openWindow('b', { id: 'u'.repeat(16), lowest: 0 })
    const unknown = { id: 'v'.repeat(16), lowest: 0 }
    const nowhere = world.set('c', 'k', 'x', {}, { window: unknown, seq: 1 })
    expect(world.answer(nowhere)).toBe('CLIENT_EXPIRED')
  })
})

describe('acks above the own log', () => {
  it('wait for the other logs, and for no longer than the deadline', () => {
    const world = new Writers(3)
    const call = world.set('a', 'k', 'x', {}, { ack: 'all' })
    expect(world.answer(call)).toBeUndefined()
    world.run(50)
    expect(world.answer(call)).toBe('ok')
    world.cluster.pause('c')
    const majority = world.set('a', 'k', 'y', {}, { ack: 'majority' })
    const all = world.set('a', 'k', 'z', {}, { ack: 'all' })
    world.run(50)
    expect([world.answer(majority), world.answer(all)]).toEqual(['ok', undefined])
    world.run(4_000)
    expect(world.answer(all)).toBe('ACK_TIMEOUT')
    world.cluster.crash('c')
    world.run(1_000)
    const refused = world.set('a', 'k', 'z', {}, { ack: 'all' })
    expect(world.answer(refused)).toBe('NOT_ENOUGH_COPIES')
  })

  it('of all that are linked count no dead node in place of one that lives and lacks it', () => {
    const world = new Writers(3)
    // What a says does not arrive at c, and the link stands.
    world.cluster.cut('a', 'c', true)
    const call = world.set('a', 'k', 'x', {}, { ack: 'insync' })
    world.run(60)
    expect(world.read('b', 'k')).toBe('x')
    expect(world.answer(call)).toBeUndefined()
    world.cluster.crash('b')
    world.run(100)
    expect(world.read('c', 'k')).toBeUndefined()
    expect(world.answer(call)).toBeUndefined()
    world.cluster.mendAll()
    world.run(2_000)
    expect(world.answer(call)).toBe('ok')
    expect(world.read('c', 'k')).toBe('x')
  })
})

describe('a network split', () => {
  it('lets both sides write, and leaves the same records when it is over', () => {
    const world = new Writers(3)
    for (let i = 0; i < 30; i++) world.set('a', `both${i}`, 'before')
    world.run(200)
    world.cluster.split(['c'])
    world.run(2_000)
    for (let i = 0; i < 30; i++) {
      world.set('a', `a${i}`, 'of a')
      world.set('c', `c${i}`, 'of c')
      world.set(i % 2 === 0 ? 'a' : 'c', `both${i}`, 'earlier')
      world.run(10)
      world.set(i % 2 === 0 ? 'c' : 'a', `both${i}`, 'later')
      if (i % 3 === 0) world.delete('c', `both${i}`)
    }
    world.cluster.mendAll()
    world.run(3_000)
    world.expectEqual()
    for (let i = 0; i < 30; i++) {
      expect(world.read('c', `a${i}`)).toBe('of a')
      expect(world.read('b', `c${i}`)).toBe('of c')
      const deleted = i % 3 === 0 && i % 2 === 0
      if (deleted) expect(world.read('a', `both${i}`)).toBeUndefined()
      else if (i % 3 !== 0) expect(world.read('a', `both${i}`)).toBe('later')
    }
    expect(world.conflicts('a') + world.conflicts('c')).toBeGreaterThanOrEqual(30)
  })

  it('between two nodes is passed by way of the third', () => {
    const world = new Writers(3)
    world.cluster.cut('a', 'c')
    world.run(3_000)
    world.set('a', 'k', 'round the corner')
    world.run(600)
    expect(world.read('c', 'k')).toBe('round the corner')
    world.expectEqual()
  })

  it('that outlives the backlog ends with a comparison of records', () => {
    const world = new Writers(3, {}, { backlogBytesMax: 4_096 })
    world.cluster.split(['c'])
    world.run(2_000)
    for (let i = 0; i < 200; i++) {
      world.set('a', `k${i}`, `${i}`.repeat(20))
      world.run(2)
    }
    world.delete('a', 'k7')
    world.cluster.mendAll()
    world.run(4_000)
    expect(world.read('c', 'k199')).toBe('199'.repeat(20))
    expect(world.read('c', 'k7')).toBeUndefined()
    world.expectEqual()
  })

  it('does not bring back what one side deleted', () => {
    const world = new Writers(3)
    for (let i = 0; i < 10; i++) world.set('a', `k${i}`, 'x')
    world.run(200)
    world.cluster.split(['c'])
    world.run(60_000)
    for (let i = 0; i < 10; i++) world.delete('a', `k${i}`)
    world.run(60_000)
    expect(world.cluster.node('a').stamped?.endCount).toBe(10)
    world.cluster.mendAll()
    world.run(5_000)
    world.expectEqual()
    expect(ALL.map(id => world.cluster.node(id).stamped?.stats().entries)).toEqual([0, 0, 0])
    expect(ALL.map(id => world.cluster.node(id).stamped?.endCount)).toEqual([0, 0, 0])
  })

  it('longer than deletions are remembered makes the one that was away begin anew', () => {
    const world = new Writers(3, { endsKeptMs: 60_000 })
    for (let i = 0; i < 10; i++) world.set('a', `k${i}`, 'x')
    world.run(200)
    world.cluster.split(['c'])
    world.run(1_000)
    for (let i = 0; i < 10; i++) world.delete('a', `k${i}`)
    world.run(120_000)
    expect(world.cluster.node('a').stamped?.endCount).toBe(0)
    world.cluster.mendAll()
    world.run(8_000)
    expect(world.reports.filter(({ event }) => event === 'resync').map(({ node }) => node)).toEqual(
      ['c'],
    )
    expect(ALL.map(id => world.cluster.node(id).stamped?.stats().entries)).toEqual([0, 0, 0])
    world.set('c', 'k', 'of c')
    world.run(300)
    expect(world.read('a', 'k')).toBe('of c')
    world.expectEqual()
  })
})

describe('a process that is killed', () => {
  it('comes back empty, copies everything, and serves only then', () => {
    const world = new Writers(3)
    for (let i = 0; i < 100; i++) world.set('c', `k${i}`, 'of c')
    world.run(200)
    world.cluster.crash('c')
    world.run(500)
    for (let i = 0; i < 50; i++) world.delete('a', `k${i}`)
    world.start('c')
    const early = world.set('c', 'early', 'x')
    expect(world.answer(early)).toBe('NOT_READY')
    world.run(2_000)
    world.expectEqual()
    expect(world.cluster.node('c').stamped?.stats().entries).toBe(50)
    world.set('c', 'k', 'of its next life')
    world.run(300)
    expect(world.read('b', 'k')).toBe('of its next life')
    world.expectEqual()
  })

  it('leaves nothing behind that only one of the others has', () => {
    const world = new Writers(3)
    world.cluster.cut('b', 'c')
    world.run(100)
    world.cluster.pause('b')
    world.set('c', 'k', 'last words')
    world.run(5)
    world.cluster.crash('c')
    world.cluster.resume('b')
    world.cluster.mendAll()
    world.run(2_000)
    expect(world.read('a', 'k')).toBe('last words')
    expect(world.read('b', 'k')).toBe('last words')
    world.start('c')
    world.run(3_000)
    world.expectEqual()
  })
})

describe('options', () => {
  it('that are none, or cannot be met, are refused by name', () => {
    expect(codeOf(() => broadcast({ carry: 'nothing' } as never))).toBe('CONFIG')
    expect(codeOf(() => broadcast({ heartbeatMs: 0 }))).toBe('CONFIG')
    expect(codeOf(() => broadcast({ ack: 'everybody' as never }))).toBe('CONFIG')
  })
})

describe.each([1, 2, 3, 4, 5, 6])('seed %i of faults', seed => {
  it('ends with equal records once all is mended', () => {
    const random = seededRandom(seed)
    const world = new Writers(3, { compareEveryMs: 2_000 }, { random, backlogBytesMax: 16_384 })
    const some = () => ALL[random.below(3)]
    for (let i = 0; i < 400; i++) {
      const id = some()
      if (world.cluster.node(id).awake) {
        const key = `k${random.below(20)}`
        const what = random.below(10)
        if (what < 6) world.set(id, key, `${i}`, random.below(4) === 0 ? { ttlMs: 3_000 } : {})
        else if (what < 8) world.delete(id, key)
        else if (what < 9) world.touch(id, key, { ttlMs: 10_000 })
        else if (random.below(20) === 0) world.clear(id)
      }
      if (random.below(20) === 0) world.cluster.cut(some(), some())
      if (random.below(15) === 0) world.cluster.mendAll()
      if (random.below(40) === 0 && world.cluster.live().length === 3) world.cluster.crash(some())
      if (random.below(10) === 0) for (const member of world.cluster.down()) world.start(member.id)
      world.run(random.below(100))
    }
    world.cluster.mendAll()
    for (const member of world.cluster.down()) world.start(member.id)
    world.run(15_000)
    world.expectEqual()
  })
})

describe('clocks', () => {
  const wrong = (...offsets: number[]) => ({
    clocks: offsets.map(wallOffsetMs => ({ wallOffsetMs })),
  })
  const alarms = (world: Writers, node: string) =>
    world.reports
      .filter(one => one.event === 'clock-skew' && one.fields.code === 'CLOCK_SKEW')
      .filter(one => one.node === node)
      .map(one => one.fields.node)

  it('1.5 s apart are no trouble: all accept, all agree', () => {
    const world = new Writers(3, {}, wrong(0, 1_500, -200))
    for (const id of ALL) world.set(id, `of ${id}`, 'x')
    world.run(200)
    for (const reader of ALL) for (const id of ALL) expect(world.read(reader, `of ${id}`)).toBe('x')
    world.expectEqual()
    expect(world.reports.filter(({ event }) => event === 'clock-skew')).toEqual([])
  })

  it('one of which is 5 s ahead: it is refused and alarmed, and nobody follows its time', () => {
    const world = new Writers(3, {}, wrong(0, 5_000, 0))
    expect(alarms(world, 'a')).toContain('b')
    expect(alarms(world, 'b')).toContain('b')
    const refused = world.set('b', 'k', 'of tomorrow')
    expect(world.answer(refused)).toBe('CLOCK_SKEW')
    for (const id of ['a', 'c']) {
      expect(world.answer(world.set(id, `of ${id}`, 'x'))).toBe('ok')
      const { engine } = world.cluster.node(id)
      expect(engine.time()).toBeLessThan(world.cluster.clock.wall() + 100)
    }
    world.run(200)
    expect([world.read('a', 'of c'), world.read('c', 'of a')]).toEqual(['x', 'x'])
    expect([world.read('b', 'of a'), world.read('b', 'of c')]).toEqual(['x', 'x'])
  })

  it('one of which is 5 s behind: it believes the others, and all go on', () => {
    const world = new Writers(3, {}, wrong(0, -5_000, 0))
    for (const id of ALL) expect(world.answer(world.set(id, `of ${id}`, 'x'))).toBe('ok')
    world.run(300)
    for (const reader of ALL) for (const id of ALL) expect(world.read(reader, `of ${id}`)).toBe('x')
    world.expectEqual()
  })

  it('that jump while they run: the stamps do not, and once set right it goes on', () => {
    const world = new Writers(3)
    world.cluster.node('b').jumpWall(3_600_000)
    world.run(1_000)
    expect(world.answer(world.set('b', 'k', 'x'))).toBe('CLOCK_SKEW')
    expect(alarms(world, 'b')).toEqual(['b'])
    world.cluster.node('b').jumpWall(-3_600_000)
    world.run(4_000)
    expect(world.answer(world.set('b', 'k', 'right again'))).toBe('ok')
    world.run(200)
    expect(ALL.map(id => world.read(id, 'k'))).toEqual(ALL.map(() => 'right again'))
    world.expectEqual()
  })

  it('are not blamed for a slow line: frames that are 3 s late are late, not early', () => {
    const world = new Writers(3)
    Object.assign(world.cluster.network.faults, { latencyMsMin: 3_000, latencyMsMax: 3_500 })
    world.run(20_000)
    for (const id of ALL) expect(world.answer(world.set(id, `of ${id}`, 'x'))).toBe('ok')
    world.run(20_000)
    for (const reader of ALL) for (const id of ALL) expect(world.read(reader, `of ${id}`)).toBe('x')
    expect(world.reports.filter(({ event }) => event === 'clock-skew')).toEqual([])
  })

  it('of a process that was stopped for a minute are not blamed either', () => {
    const world = new Writers(3)
    world.cluster.pause('c')
    world.run(60_000)
    world.set('a', 'k', 'meanwhile')
    world.cluster.resume('c')
    world.run(3_000)
    expect(world.answer(world.set('c', 'l', 'x'))).toBe('ok')
    world.run(500)
    expect(ALL.map(id => world.read(id, 'k'))).toEqual(ALL.map(() => 'meanwhile'))
    expect(ALL.map(id => world.read(id, 'l'))).toEqual(ALL.map(() => 'x'))
    expect(world.reports.filter(({ event }) => event === 'clock-skew')).toEqual([])
    world.expectEqual()
  })
})

describe('a network that loses, repeats and reorders', () => {
  it.each([1, 2, 3])('leaves the same records all the same (seed %i)', seed => {
    const random = seededRandom(seed)
    const options = { compareEveryMs: 1_000 }
    const world = new Writers(3, options, { random, staleChance: 0.1 })
    const { network } = world.cluster
    // Below the law of the transport: what is sent may be missing, come twice, or too early.
    const chaos = { loss: 0.1, duplicate: 0.1, reorder: 0.1, suspendLaw: true, latencyMsMax: 20 }
    network.faults = { ...network.faults, ...chaos }
    for (let i = 0; i < 300; i++) {
      const id = ALL[random.below(3)]
      if (random.below(5) === 0) world.delete(id, `k${random.below(30)}`)
      else world.set(id, `k${random.below(30)}`, `${i}`)
      world.run(random.below(40))
    }
    network.faults = { ...NO_FAULTS }
    world.run(10_000)
    world.expectEqual()
  })
})
