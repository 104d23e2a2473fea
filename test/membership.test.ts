/**
 * Joining and leaving, history by history: who counts from when, what a crash in the middle leaves,
 * who is told. Virtual time; the clusters are the simulator's.
 */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { FAULTLESS, SimulatedLeases } from '../src/testing/leases.js'
import { MembersWorld } from './harness/members-world.js'

const value = Buffer.from('v')
const PROFILES = ['ordinal', 'strict', 'majority'] as const

describe('a node that joins', () => {
  it.each(PROFILES)('is copied, counts, and takes over (%s)', profile => {
    const world = new MembersWorld(3, { profile })
    world.write('before')
    const d = world.newcomer('d', 3)
    expect(world.join(d)).toMatchObject({ state: 'done', view: 1 })
    world.cluster.run(2_000)
    expect(world.state('d')).toBe('online')
    for (const id of 'abcd') expect(world.membersOf(id)).toBe('abcd')
    expect(world.write('after', 'all')).toBe('written')
    const d1 = world.cluster.node('d')
    expect(d1.version('c', 'before')).toBeGreaterThan(0)
    world.cluster.crash('a')
    world.cluster.run(3_000)
    const next = world.cluster.node('b')
    expect(world.admin(next, 'leave', { peer: 'a' })).toMatchObject({ state: 'done', view: 3 })
    world.cluster.run(2_000)
    for (const id of 'bcd') expect(world.membersOf(id)).toBe('bcd')
    expect(world.master).toBe(next)
    expect(world.write('last', 'all')).toBe('written')
    for (const key of ['before', 'after', 'last']) expect(d1.version('c', key)).toBeGreaterThan(0)
  })

  it('may be started before or after it is made a member', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const d = world.cluster.add({ id: 'd', ordinal: 3 })
    expect(world.join(d)).toMatchObject({ state: 'done' })
    expect(world.write('one')).toBe('written')
    world.cluster.start('d')
    world.cluster.run(3_000)
    expect(world.state('d')).toBe('online')
  })
})

describe('a cluster', () => {
  it.each(PROFILES)('is replaced node by node and loses nothing (%s)', profile => {
    const world = new MembersWorld(3, { profile })
    const keys: string[] = []
    const pairs = [
      ['d', 'a'],
      ['e', 'b'],
      ['f', 'c'],
    ]
    for (const [i, [comes, goes]] of pairs.entries()) {
      keys.push(`${comes}1`)
      expect(world.write(`${comes}1`)).toBe('written')
      expect(world.join(world.newcomer(comes, 3 + i))).toMatchObject({ state: 'done' })
      world.cluster.run(2_000)
      if (world.master.id === goes) {
        expect(world.leave(goes)).toMatchObject({ state: 'refused', code: 'MEMBER_LEADS' })
        world.master.engine.feed({ kind: 'admin', command: 'handover', group: 0 })
        world.cluster.run(1_000)
      }
      expect(world.leave(goes)).toMatchObject({ state: 'done' })
      world.cluster.run(1_000)
      // It knows, though nobody talks to it any more.
      expect(world.state(goes)).toBe('left')
      expect(world.set(world.cluster.node(goes), 'k', value)).toBeGreaterThan(0)
      world.cluster.run(5_000)
      expect(world.state(goes)).toBe('left')
    }
    for (const id of 'def') expect(world.membersOf(id)).toBe('def')
    expect(world.write('last', 'all')).toBe('written')
    world.cluster.crash(world.master.id)
    world.cluster.run(3_000)
    if (profile !== 'strict')
      for (const key of keys) expect(world.master.version('c', key)).toBeGreaterThan(0)
  })

  it('of profile strict goes on without a dead member once it is told to', () => {
    const world = new MembersWorld(3, { profile: 'strict' })
    world.cluster.crash('c')
    world.cluster.run(2_000)
    expect(world.write('k')).not.toBe('written')
    expect(world.leave('c')).toMatchObject({ state: 'done' })
    expect(world.write('k')).toBe('written')
  })

  it.each([2, 4])('of %i nodes, ordinal, that is split evenly changes on neither side', nodes => {
    const world = new MembersWorld(nodes, { profile: 'ordinal' })
    const { cluster } = world
    const ids = cluster.members.map(({ id }) => id)
    const sides = [ids.slice(0, nodes / 2), ids.slice(nodes / 2)]
    cluster.split(sides[0])
    cluster.run(4_000)
    for (const [i, side] of sides.entries())
      for (const peer of sides[1 - i]) {
        const answer = world.admin(cluster.node(side[0]), 'leave', { peer }, 3_000)
        expect(answer?.code).toMatch(/NO_MAJORITY|NOT_READY/)
      }
    cluster.mendAll()
    cluster.run(10_000)
    expect(world.membersOf(world.master.id)).toBe(ids.join(''))
    expect(cluster.converged(ids)).toBe(true)
    expect(world.write('after', 'all')).toBe('written')
  })

  it.each(PROFILES)('writes on though one missed how the master was made a voter (%s)', profile => {
    const world = new MembersWorld(3, { profile })
    const { cluster } = world
    world.growUnseenBy('b')
    world.master.engine.feed({ kind: 'admin', command: 'handover', group: 0, peer: 'd' })
    cluster.run(1_500)
    cluster.mendAll()
    cluster.run(10_000)
    expect(world.write('after', 'all')).toBe('written')
    for (const id of 'abcd') expect(world.state(id)).toBe('online')
  })

  it('of profile strict goes on though one missed the view that made the survivor a voter', () => {
    const world = new MembersWorld(3, { profile: 'strict' })
    const { cluster } = world
    expect(world.write('kept')).toBe('written')
    world.growUnseenBy('b')
    for (const id of ['a', 'c']) cluster.crash(id)
    cluster.run(4_000)
    expect(cluster.node('d').status().self.role).toBe('master')
    cluster.mendAll()
    cluster.run(5_000)
    for (const id of ['a', 'c']) cluster.start(id)
    cluster.run(15_000)
    expect(world.master.version('c', 'kept')).toBeGreaterThan(0)
    expect(world.write('after', 'all')).toBe('written')
  })

  it.each([false, true])('let go unawares wins no empty process over (told %s)', told => {
    const world = new MembersWorld(3, { profile: 'strict' })
    const { cluster } = world
    cluster.split(['c'])
    expect(world.leave('c')).toMatchObject({ state: 'done' })
    expect(world.write('kept')).toBe('written')
    // b loses its memory, and meets only c, which knows nothing of all this.
    cluster.crash('b')
    cluster.mendAll()
    for (const id of ['b', 'c']) cluster.cut('a', id)
    cluster.start('b')
    cluster.run(10_000)
    const apart = ['b', 'c'].map(id => cluster.node(id))
    expect(world.state('b')).toBe('learner')
    if (told)
      for (const node of apart)
        expect(world.admin(node, 'leave', { peer: 'a' })?.state).not.toBe('done')
    for (const node of apart) {
      const call = world.set(node, 'lost', Buffer.from('v'))
      cluster.run(500)
      expect(world.answers.get(call)).not.toBe('written')
    }
    // Nothing goes on until c stops, as it should have before, and b leaves it. Nothing is lost.
    cluster.mendAll()
    cluster.run(10_000)
    for (const id of ['b', 'c']) cluster.crash(id)
    cluster.start('b')
    cluster.run(10_000)
    expect(world.state('b')).toBe('online')
    expect(world.master.version('c', 'kept')).toBeGreaterThan(0)
    expect(world.membersOf('a')).toBe('ab')
    expect(world.write('after', 'all')).toBe('written')
  })

  it('of profile ordinal is given to nobody whom most do not know as a voter', () => {
    const world = new MembersWorld(3, {})
    const { cluster } = world
    const d = cluster.add({ id: 'd', ordinal: 3 })
    expect(world.join(d)).toMatchObject({ state: 'done' })
    cluster.run(500)
    cluster.split(['b', 'c'])
    cluster.start('d')
    const a = cluster.node('a')
    world.watch(() => world.state('d') === 'online')
    const answers: unknown[] = []
    a.engine.events.on('report', (event: string, fields: unknown) => {
      if (event === 'handover') answers.push(fields)
    })
    cluster.run(300)
    a.engine.feed({ kind: 'admin', command: 'handover', group: 0, peer: 'd' })
    cluster.run(500)
    expect(answers).toMatchObject([{ state: 'refused', code: 'HANDOVER_REFUSED' }])
    cluster.mendAll()
    cluster.run(10_000)
    for (const id of 'abcd') expect(world.membersOf(id)).toBe('abcd')
    expect(world.master.id).not.toBe('d')
    world.master.engine.feed({ kind: 'admin', command: 'handover', group: 0, peer: 'd' })
    cluster.run(1_000)
    expect(world.master.id).toBe('d')
  })

  it.each([3, 4, 5])('of %i, cut off from its slaves, lets nobody go that they follow', nodes => {
    const world = new MembersWorld(nodes, {})
    const { cluster } = world
    const old = world.master
    const next = world.others()[0].id
    cluster.split([old.id])
    // It goes by what it heard before: it answers when most hold the view, and that is not now.
    expect(world.admin(old, 'leave', { peer: next }, 3_000)?.state).not.toBe('done')
    cluster.mendAll()
    cluster.run(10_000)
    expect(world.master.id).toBe(next)
    expect(world.state(old.id)).toBe('online')
    for (const node of cluster.live()) expect(world.membersOf(node.id)).toHaveLength(nodes)
    expect(world.leave(old.id)).toMatchObject({ state: 'done' })
  })

  it('lets nobody go by a copy from a master that is cut off', () => {
    const world = new MembersWorld(5, {}, false, { backlogEntriesMax: 4 })
    const { cluster } = world
    for (const key of 'abcdefgh') expect(world.write(key)).toBe('written')
    cluster.split(['a', 'b'])
    cluster.crash('b')
    world.master.engine.feed({ kind: 'admin', command: 'leave', group: 0, peer: 'c' })
    cluster.start('b')
    cluster.run(4_000)
    // Only the copy tells b that c is a member no more; the others have made c their master.
    cluster.crash('a')
    cluster.mendAll()
    const rest = ['b', 'c', 'd', 'e']
    expect(cluster.runUntil(() => cluster.converged(rest), 10_000)).toBe(true)
    expect(world.master.id).toBe('c')
    for (const id of rest) expect(world.membersOf(id)).toBe('abcde')
  })

  it('of profile ordinal takes over with what a member holds that joined and restarted', () => {
    const world = new MembersWorld(3, { merge: 'discard' })
    const { cluster } = world
    expect(world.join(world.newcomer('d', 3))).toMatchObject({ state: 'done' })
    cluster.run(2_000)
    cluster.crash('d')
    cluster.start('d')
    expect(cluster.runUntil(() => world.state('d') === 'online', 5_000)).toBe(true)
    cluster.split(['b'])
    cluster.split(['c'])
    cluster.run(1_500)
    expect(world.write('kept')).toBe('written')
    cluster.crash('a')
    cluster.mendAll()
    expect(cluster.runUntil(() => cluster.master() !== undefined, 5_000)).toBe(true)
    expect(world.master.version('c', 'kept')).toBeGreaterThan(0)
  })

  it('does not count a process that stood still while another one of its node voted', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const { cluster } = world
    const wake = world.replaceProcess('b')
    cluster.split(['c'])
    expect(world.write('kept')).toBe('written')
    // Of those who acked it one dies and one is cut off; the other two are most of three.
    cluster.crash('b')
    cluster.mendAll()
    cluster.split(['a'])
    wake()
    cluster.run(10_000)
    expect(cluster.master()).toBeUndefined()
    cluster.mendAll()
    const holds = () => ['a', 'b', 'c'].every(id => cluster.node(id).version('c', 'kept'))
    expect(cluster.runUntil(holds, 5_000)).toBe(true)
    // The first process is the one that votes now.
    expect(cluster.runUntil(() => world.state('b') === 'online', 5_000)).toBe(true)
    cluster.crash('a')
    expect(cluster.runUntil(() => cluster.master() !== undefined, 5_000)).toBe(true)
    expect(world.write('after')).toBe('written')
  })

  it('wants the proof of a founding process, too, that another of its node has replaced', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const { cluster } = world
    const wake = world.replaceProcess('b')
    // The second process votes for a new master; a, the founder, does not know.
    cluster.split(['a'])
    cluster.run(4_000)
    expect(world.write('kept')).toBe('written')
    cluster.crash('b')
    cluster.mendAll()
    cluster.split(['c'])
    wake()
    cluster.run(3_000)
    const call = world.set(cluster.node('a'), 'late', value)
    cluster.run(500)
    expect(world.answers.get(call)).not.toBe('written')
    cluster.mendAll()
    expect(cluster.runUntil(() => cluster.converged(['a', 'b', 'c']), 8_000)).toBe(true)
    expect(world.master.version('c', 'kept')).toBeGreaterThan(0)
    expect(world.write('after')).toBe('written')
  })

  it('names no process that it cannot admit: an older one may come back with its vote', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const { cluster } = world
    expect(world.write('kept')).toBe('written')
    cluster.split(['c'])
    cluster.run(1_000)
    const wake = cluster.putAside('b')
    cluster.start('b')
    cluster.run(1_000)
    cluster.crash('b')
    wake()
    cluster.run(1_000)
    expect(world.state('b')).toBe('online')
    // One memory of a voter is lost, no more.
    cluster.crash('a')
    cluster.mendAll()
    expect(cluster.runUntil(() => cluster.master() !== undefined, 5_000)).toBe(true)
    expect(world.master.version('c', 'kept')).toBeGreaterThan(0)
  })

  it.each([0, 20, 300, 700])('names nobody %i ms after a split that it can not admit', ms => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const { cluster } = world
    expect(world.write('kept')).toBe('written')
    cluster.split(['c'])
    cluster.run(ms)
    const wake = cluster.putAside('b')
    cluster.start('b')
    cluster.run(700)
    cluster.crash('b')
    wake()
    cluster.run(2_000)
    expect(world.state('b')).toBe('online')
    cluster.crash('a')
    cluster.mendAll()
    cluster.run(5_000)
    expect(cluster.master()).toBeDefined()
    cluster.start('a')
    cluster.run(10_000)
    expect(world.state('a')).toBe('online')
    expect(world.master.version('c', 'kept')).toBeGreaterThan(0)
  })

  it('tells who belongs to a side that named processes on its own', () => {
    const world = new MembersWorld(5, { profile: 'majority' })
    const { cluster } = world
    cluster.split(['a', 'b'])
    for (let i = 0; i < 3; i++) {
      cluster.crash('b')
      cluster.start('b')
      cluster.run(300)
    }
    cluster.run(2_000)
    const f = world.newcomer('f', 5)
    cluster.split(['a', 'b'])
    expect(world.join(f)).toMatchObject({ state: 'done' })
    cluster.run(2_000)
    world.master.engine.feed({ kind: 'admin', command: 'handover', group: 0, peer: 'f' })
    cluster.run(2_000)
    expect(world.master.id).toBe('f')
    cluster.mendAll()
    cluster.run(10_000)
    for (const id of 'abcdef') expect(world.state(id)).toBe('online')
  })

  it('finds back together though some restart with an old list of members', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    world.grow()
    // It knows neither d nor e when it starts again.
    world.cluster.crash('a')
    world.cluster.run(1_000)
    world.cluster.start('a')
    world.cluster.run(3_000)
    expect(world.state('a')).toBe('online')
    expect(world.membersOf('a')).toBe('abcde')
  })

  it('is found by one that restarts with a list of which nobody is left', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    world.grow()
    for (const gone of ['a', 'b']) {
      expect(world.leave(gone)).toMatchObject({ state: 'done' })
      world.cluster.run(1_000)
    }
    for (const id of ['a', 'b', 'c']) world.cluster.crash(id)
    world.cluster.run(1_000)
    world.cluster.start('c')
    world.cluster.run(3_000)
    expect(world.state('c')).toBe('online')
    expect(world.membersOf('c')).toBe('cde')
    expect(world.master.id).toMatch(/[de]/)
  })

  it('takes a witness in, and lets it go', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    expect(world.leave('c')).toMatchObject({ code: 'CONFIG', message: /witness/ })
    const w = world.newcomer('w', 9, true)
    expect(world.join(w)).toMatchObject({ state: 'done' })
    world.cluster.run(2_000)
    expect(world.leave('c')).toMatchObject({ state: 'done' })
    world.cluster.crash('b')
    expect(world.write('with the witness')).toBe('written')
    expect(world.membersOf('a')).toBe('abw')
  })

  it('refuses what cannot be, and says why', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const at = (id: string, ordinal: number) => ({ id, ordinal, address: `memory://${id}` })
    const codeOf = (answer?: Record<string, unknown>) => answer?.code
    expect(world.join(at('d', 1))).toMatchObject({ code: 'CONFIG', message: /ordinal 1 .* b/ })
    expect(codeOf(world.join(at('b', 7)))).toBe('CONFIG')
    expect(codeOf(world.leave('x'))).toBe('NOT_A_MEMBER')
    const slave = world.cluster.node('b')
    expect(codeOf(world.admin(slave, 'leave', { peer: 'c' }))).toBe('NOT_MASTER')
    expect(world.join(at('d', 3))).toMatchObject({ state: 'done', view: 1 })
    // It never comes, and nobody else may while it is expected; asked again, it is done.
    expect(world.join(at('d', 3))).toMatchObject({ state: 'done', view: 1 })
    expect(codeOf(world.join(at('e', 4)))).toBe('BUSY')
    expect(world.leave('d')).toMatchObject({ state: 'done', view: 2 })
    expect(world.leave('d')).toMatchObject({ state: 'done', view: 2 })
    expect(world.join(at('e', 3))).toMatchObject({ code: 'CONFIG', message: /was, that of d/ })
    expect(world.join(at('e', 4))).toMatchObject({ state: 'done', view: 3 })
  })
})

describe('a master that is to leave', () => {
  it('is refused before it hands over, where those who stay could not do what is asked', () => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const refused = { code: 'CONFIG', message: /majority with 2 voters/ }
    expect(world.leave('a')).toMatchObject(refused)
    const four = new MembersWorld(4, { profile: 'majority' })
    expect(four.leave('a')).toMatchObject({ code: 'MEMBER_LEADS' })
  })
})

describe('an address that nobody could link with', () => {
  it.each([
    ['memory://b', /memory:\/\/b is the address of b already/],
    ['MEMORY://a', /is the address of a already/],
    ['tcp://127.0.0.1:7403', /not dialled here: write it as memory:\/\//],
    ['here:7403', /not dialled here/],
  ])('%s is refused before anything is changed', (address, message) => {
    const world = new MembersWorld(3, { profile: 'majority' })
    const refused = { state: 'refused', code: 'CONFIG', message }
    expect(world.join({ id: 'd', ordinal: 3, address })).toMatchObject(refused)
    expect(world.membersOf('a')).toBe('abc')
    expect(world.join(world.newcomer('d', 3))).toMatchObject({ state: 'done', view: 1 })
  })
})

describe('a change in the middle of which the master dies', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 40, 80])(
    'leaves a cluster that goes on, %i ms after a join',
    ms => {
      const world = new MembersWorld(3, { profile: 'majority' })
      world.write('before')
      const d = world.newcomer('d', 3)
      const { master } = world
      master.engine.feed({ kind: 'admin', command: 'join', group: 0, member: d })
      world.cluster.run(ms)
      world.cluster.crash(master.id)
      world.cluster.run(5_000)
      expect(world.write('after')).toBe('written')
      expect(world.join(d)).toMatchObject({ state: 'done' })
      world.cluster.run(2_000)
      expect(world.state('d')).toBe('online')
      world.cluster.start(master.id)
      world.cluster.run(5_000)
      expect(world.state(master.id)).toBe('online')
      expect(world.cluster.converged(['a', 'b', 'c', 'd'])).toBe(true)
    },
  )
})

describe('a node that was let go while it was cut off', () => {
  it('gets no lease with what it holds, until an operator forces it', () => {
    const world = new MembersWorld(
      4,
      clock => ({ election: new SimulatedLeases(FAULTLESS, seededRandom(1), clock).election() }),
      false,
      {},
      6_000,
    )
    const { cluster } = world
    cluster.split(['d'])
    cluster.run(2_000)
    expect(world.leave('d')).toMatchObject({ state: 'done' })
    for (const id of 'abc') cluster.crash(id)
    cluster.mendAll()
    cluster.run(20_000)
    const d = cluster.node('d')
    expect(d.status().self.role).toBe('slave')
    expect(d.engine.mandate.why).toContain('this node was let go')
    const force = () => d.engine.feed({ kind: 'admin', command: 'force-bootstrap', group: 0 })
    force()
    cluster.run(4_000)
    force()
    cluster.run(1_000)
    expect(d.status().self.role).toBe('master')
    expect(d.engine.standing.serving).toBe(true)
  })
})
