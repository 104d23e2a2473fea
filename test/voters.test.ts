/**
 * Who may vote, where W + P > N: voters that are copied, processes that were there when the history
 * began, witnesses whose file was touched. History by history, in virtual time.
 */
import { describe, expect, it } from 'vitest'
import type { Epoch } from '../src/contracts/types.js'
import { NO_EPOCH } from '../src/core/epochs.js'
import { MemoryLog } from '../src/store/memory-log.js'
import { encodeBatch } from '../src/wire/batch.js'
import { encodeView } from '../src/wire/view.js'
import { admitReady } from '../strategies/master-slave/admission.js'
import type { MasterSlaveMessage } from '../strategies/master-slave/index.js'
import { settingsOf } from '../strategies/master-slave/options.js'
import { GroupState, newProgress } from '../strategies/master-slave/state.js'
import { applyView } from '../strategies/master-slave/views.js'
import { Alone, emptyState } from './harness/alone.js'
import { MAJORITY, World } from './harness/profile-world.js'

type Of<T extends MasterSlaveMessage['type']> = Extract<MasterSlaveMessage, { type: T }>

const value = Buffer.from('v')

function write(world: World, key: string): void {
  const id = world.set(world.master, key, value)
  world.cluster.run(300)
  expect(world.answers.get(id)).toBe('written')
}

describe('a voter that is copied', () => {
  it.each(['kill', 'power'] as const)('lets the third one lead if the master dies by %s', how => {
    const slow = { sliceBytesMax: 200, clocks: [0, 1, 2].map(() => ({ turnMs: 5 })) }
    const world = new World(3, MAJORITY, false, { backlogEntriesMax: 20, ...slow })
    const { cluster } = world
    cluster.split(['c'])
    for (let i = 0; i < 60; i++) {
      world.set(cluster.node('a'), `k${i}`, value)
      cluster.run(20)
    }
    cluster.mendAll()
    world.watch(() => world.state('c') === 'copying')
    cluster.crash('a', how)
    expect(cluster.runUntil(() => cluster.master() !== undefined, 10_000)).toBe(true)
    expect(world.master.id).toBe('b')
    for (const key of ['k0', 'k59']) expect(world.master.version('c', key)).toBeGreaterThan(0)
    write(world, 'after')
    expect(cluster.converged(['b', 'c'])).toBe(true)
    expect(world.state('c')).toBe('online')
  })

  const HISTORY = '018bcfe5'.repeat(5)
  const epochOf = (counter: number, ordinal: number, id: string): Epoch => ({
    number: counter * 256 + ordinal,
    incarnation: id.repeat(16),
  })
  const members = ['a', 'b', 'c'].map((id, ordinal) => ({ id, ordinal, address: `memory://${id}` }))
  const VIEW = encodeView({ number: 0, members, past: [] })
  const FIRST = epochOf(1, 0, 'a')
  const noop = (epoch: Epoch, first: number, crc: number) => {
    const bytes = Uint8Array.of(0)
    const entry = { id: 1, ack: 'none', client: null, seq: 0, bytes, start: 0, end: 1 } as const
    return encodeBatch(epoch, first, 1_000, crc, [entry])
  }

  /** Node c of three, a voter that has acked the log of a up to 3 and is copied since. */
  function copied(): Alone {
    const node = new Alone({ self: 'c', ids: ['a', 'b', 'c'], options: MAJORITY })
    for (const id of ['a', 'b']) node.link(id)
    lead(node, 'a', FIRST)
    const marks = { feed: 1, history: HISTORY, from: 1, next: 1, voter: true }
    node.hear({ type: 'sync-reply', epoch: FIRST, ...marks }, 'a')
    const first = noop(FIRST, 1, 0)
    const batches = [first, noop(FIRST, 2, first.crc)]
    const append = { epoch: FIRST, previous: NO_EPOCH, time: 1, commit: 1, batches } as const
    node.hear({ type: 'append', ...append }, 'a')
    expect(node.last('append-ack').next).toBe(3)
    beginCopy(node, 'a', FIRST, 2)
    return node
  }

  // Strict, seed 60069: its sync had been said twice, and the second reply came after the acks.
  it('takes nothing back that it acked for a reply that is older', () => {
    const node = new Alone({ self: 'c', ids: ['a', 'b', 'c'], options: MAJORITY })
    for (const id of ['a', 'b']) node.link(id)
    lead(node, 'a', FIRST)
    const reply = {
      type: 'sync-reply',
      epoch: FIRST,
      history: HISTORY,
      from: 1,
      voter: true,
    } as const
    node.hear({ ...reply, feed: 1, next: 1 }, 'a')
    const append = { type: 'append', epoch: FIRST, previous: NO_EPOCH, time: 1, commit: 1 } as const
    node.hear({ ...append, batches: [noop(FIRST, 1, 0)] }, 'a')
    expect(node.last('append-ack').next).toBe(2)
    // A gap: it asks anew, and what comes first is the answer to what it had asked before.
    node.hear({ ...append, previous: FIRST, batches: [noop(FIRST, 3, 0)] }, 'a')
    node.hear({ ...reply, feed: 2, next: 4 }, 'a')
    expect(node.reports).toEqual([])
    expect(node.last('sync').next).toBe(2)
  })

  function lead(node: Alone, id: string, epoch: Epoch): void {
    const facts = { data: 'ready', voter: true, history: HISTORY, lastEpoch: epoch } as const
    const incarnation = id.repeat(16)
    const says = { role: 'master', promised: epoch, epoch, master: id, next: 1, view: 0 } as const
    node.hear({ type: 'state', profile: 'majority', incarnation, ...says, ...facts }, id)
  }

  function beginCopy(node: Alone, from: string, epoch: Epoch, copy: number): void {
    const base = { at: 40, crc: 7, time: 1, diverged: 0, starts: [{ epoch, first: 1 }], view: VIEW }
    node.hear({ type: 'copy-begin', epoch, history: HISTORY, copy, ...base }, from)
    expect(node.last('state').data).toBe('copying')
  }

  function ask(node: Alone, epoch: Epoch, lastEpoch: Epoch, next: number): Of<'promise'> {
    const facts = {
      incarnation: 'b'.repeat(16),
      history: HISTORY,
      starts: [],
      commit: 1,
      voter: true,
    }
    node.hear({ type: 'prepare', epoch, lastEpoch, next, data: 'ready', ...facts }, 'b')
    const promise = node.last('promise')
    expect(promise.epoch).toEqual(epoch)
    return promise
  }

  it('votes for a log that ends no earlier than what it has acked, and for no other', () => {
    const node = copied()
    node.step({ kind: 'link-down', peer: 'a', session: 1, loss: 'reset' })
    expect(ask(node, epochOf(2, 1, 'b'), FIRST, 2)).toMatchObject({ data: 'copying', voter: false })
    expect(ask(node, epochOf(3, 1, 'b'), FIRST, 3)).toMatchObject({ data: 'copying', voter: true })
    expect(ask(node, epochOf(4, 1, 'b'), NO_EPOCH, 9).voter).toBe(false)
    expect(ask(node, epochOf(5, 1, 'b'), epochOf(2, 0, 'a'), 2).voter).toBe(true)
  })

  it('owes the same to the next copy, and nothing once one is whole', () => {
    const node = copied()
    node.step({ kind: 'link-down', peer: 'a', session: 1, loss: 'reset' })
    const epoch = epochOf(3, 1, 'b')
    ask(node, epoch, FIRST, 3)
    lead(node, 'b', epoch)
    beginCopy(node, 'b', epoch, 1)
    const end = { copy: 1, epoch } as const
    const other = () => node.step({ kind: 'link-down', peer: 'b', session: 1, loss: 'reset' })
    other()
    node.link('b')
    expect(ask(node, epochOf(4, 1, 'b'), FIRST, 2).voter).toBe(false)
    const later = epochOf(5, 1, 'b')
    ask(node, later, epoch, 40)
    lead(node, 'b', later)
    beginCopy(node, 'b', later, 1)
    const slice = Uint8Array.of(1)
    node.hear({ type: 'copy-slice', ...end, epoch: later, index: 0, next: 40, slice })
    node.hear({ type: 'copy-end', ...end, epoch: later, slices: 1, next: 40 })
    expect(node.last('state').data).toBe('ready')
    other()
    node.link('b')
    expect(ask(node, epochOf(6, 1, 'b'), FIRST, 2)).toMatchObject({ data: 'ready', voter: true })
  })

  it('waits with what it remembers, and begins no history though all others are empty', () => {
    const node = copied()
    for (const peer of ['a', 'b']) {
      node.step({ kind: 'link-down', peer, session: 1, loss: 'reset' })
      node.link(peer, 2)
      node.hear(emptyState('d'), peer, 2)
    }
    for (let i = 0; i < 100; i++) node.tick(500)
    expect(node.last('state')).toMatchObject({ data: 'copying', voter: true, history: HISTORY })
    expect(node.standings.some(standing => standing.role === 'master')).toBe(false)
  })
})

describe('a history whose founder dies at once', () => {
  /** a has begun it and told b, before it could tell `untold`. */
  function born(nodes: number, witness: boolean, untold: string): World {
    const world = new World(nodes, MAJORITY, witness, {}, 0)
    const { cluster } = world
    cluster.network.setFaults({ latencyMsMin: 0.2, latencyMsMax: 0.5 })
    world.watch(() => cluster.node('a').engine.standing.role === 'master')
    cluster.cut('a', untold)
    world.watch(() => cluster.master() !== undefined)
    write(world, 'k')
    expect(['empty', 'learner']).toContain(world.state(untold))
    return world
  }

  it.each([
    [3, false, 'c'],
    [2, true, 'w'],
  ] as const)('goes on: %i nodes, witness %s', (nodes, witness, untold) => {
    const world = born(nodes, witness, untold)
    const { cluster } = world
    cluster.crash('a')
    expect(cluster.runUntil(() => cluster.master() !== undefined, 10_000)).toBe(true)
    expect(world.master.id).toBe('b')
    expect(world.master.version('c', 'k')).toBeGreaterThan(0)
    cluster.start('a')
    cluster.mendAll()
    cluster.run(6_000)
    for (const { id } of cluster.members) expect(world.state(id)).toBe('online')
    write(world, 'after')
  })

  it('does not go on by the vote of a process that was not there when it began', () => {
    const world = born(3, false, 'c')
    const { cluster } = world
    cluster.crash('c')
    cluster.start('c')
    cluster.crash('a')
    cluster.run(20_000)
    expect(cluster.master()).toBe(undefined)
  })
})

/** Master a of three, and b and c as the test plays them. */
class Master extends Alone {
  readonly #feeds = new Map<string, number>()
  #session = 1

  constructor() {
    super({ self: 'a', ids: ['a', 'b', 'c'], options: MAJORITY })
    for (const id of ['b', 'c']) {
      this.link(id)
      this.hear(emptyState(id), id)
    }
    this.tick(10)
    for (const id of ['b', 'c']) {
      this.sync(id, id, false, 1)
      this.say(id, id, true, 2)
      this.ack(id)
    }
  }

  /** Another process of b comes, or one comes back. */
  change(): void {
    this.step({ kind: 'link-down', peer: 'b', session: this.#session, loss: 'reset' })
    this.link('b', ++this.#session)
  }

  say(id: string, letter: string, voter: boolean, next: number): void {
    const { epoch, history } = this.last('state')
    const said = { epoch, promised: epoch, lastEpoch: epoch, history, master: 'a' }
    const state = { ...emptyState(letter), ...said, data: 'ready', voter, next } as const
    this.hear(state, id, id === 'b' ? this.#session : 1)
  }

  sync(id: string, letter: string, voter: boolean, next: number): void {
    const { epoch, history } = this.last('state')
    const incarnation = letter.repeat(16)
    const log = { data: 'ready' as const, history, starts: [{ epoch, first: 1 }], commit: 1, voter }
    const facts = { ...log, ...(next > 1 ? {} : { history: '', starts: [] }), incarnation, next }
    const sync = {
      type: 'sync' as const,
      epoch,
      distrust: false,
      feed: 0,
      lastEpoch: epoch,
      ...facts,
    }
    this.hear(sync, id, id === 'b' ? this.#session : 1)
    this.#feeds.set(id, this.last('sync-reply').feed)
  }

  /** It holds all that there is. */
  ack(id: string): void {
    const { next } = this.log
    const marks = { durable: next, echo: 0, round: 0, stamp: 0 }
    const feed = this.#feeds.get(id) ?? 0
    const { epoch } = this.last('state')
    const ack = { type: 'append-ack', epoch, feed, next, ...marks } as const
    this.hear(ack, id, id === 'b' ? this.#session : 1)
  }
}

it('a word that was overtaken makes no process a voter that was replaced meanwhile', () => {
  const a = new Master()
  // Process d takes the place of b, is named and admitted; then b wakes, and is named in turn.
  a.change()
  a.hear(emptyState('d'), 'b', 2)
  a.sync('b', 'd', false, 1)
  for (const id of ['b', 'b', 'c', 'b', 'c', 'b']) a.ack(id)
  expect(a.last('admit')).toBeDefined()
  const { next } = a.log
  a.change()
  a.say('b', 'b', true, 2)
  a.sync('b', 'b', true, 2)
  a.say('b', 'b', false, next)
  for (const id of ['b', 'b', 'c']) a.ack(id)
  expect(a.log.next).toBe(next + 2)
  // c is silent, and what b said first comes once more.
  a.say('b', 'b', true, 2)
  a.tick(400)
  a.write()
  a.ack('b')
  expect(a.receipts).toEqual([])
  a.ack('c')
  expect(a.receipts).toHaveLength(1)
})

it('one whose log holds that it was replaced is admitted, whatever it had said before', () => {
  const members = ['a', 'b', 'c'].map((id, ordinal) => ({ id, ordinal, address: `memory://${id}` }))
  const env = { self: 'a', incarnation: 'a'.repeat(16), members, log: () => new MemoryLog() }
  const s = new GroupState(env as never, settingsOf(MAJORITY))
  // Of a copy: where the name was written nobody here knows.
  const of = { incarnation: 'd'.repeat(16), amnesiac: true }
  const named = members.map(member => (member.id === 'b' ? { ...member, ...of } : member))
  s.views = [{ first: 0, view: { number: 1, members: named, past: [] } }]
  applyView(s)
  const epoch = { number: 256, incarnation: 'a'.repeat(16) }
  const led = { role: 'master', data: 'ready', voter: true, epoch, next: 12, commit: 12 } as const
  Object.assign(s, led, { now: 1_000 })
  for (const peer of s.peers.values()) {
    const { id } = peer
    const progress = { ...newProgress('stream', 12, 12, 0, 1, 12), inSync: true }
    const heard = { frameAt: 1_000, heardAt: 1_000 }
    Object.assign(peer, { process: id.repeat(16), session: 1, voter: true, progress, ...heard })
  }
  let appended = 0
  const append = () => void appended++
  admitReady(
    s,
    new Proxy({ append }, { get: (all, name) => Reflect.get(all, name) ?? (() => {}) }) as never,
  )
  expect(appended).toBe(1)
  expect(s.peers.get('b')?.voter).toBe(false)
})

describe('a witness whose file', () => {
  function alone(): World {
    const world = new World(2, MAJORITY, true)
    world.cluster.split(['b'])
    world.cluster.run(2_500)
    return world
  }

  /** As it was before the write that it made possible. */
  function putBack(): World {
    const world = alone()
    const { cluster } = world
    const { note } = cluster.node('w')
    write(world, 'k')
    cluster.crash('w')
    cluster.node('w').note = note
    cluster.start('w')
    cluster.run(600)
    return world
  }

  it('was deleted has no memory: it votes again once both nodes hold all', () => {
    const world = alone()
    const { cluster } = world
    write(world, 'k')
    cluster.crash('w')
    cluster.node('w').note = undefined
    cluster.start('w')
    cluster.run(5_000)
    expect(world.state('w')).toBe('learner')
    const refused = world.set(cluster.node('a'), 'more', value)
    cluster.run(4_000)
    expect(world.answers.get(refused)).toMatch(/NOT_ENOUGH_COPIES|NO_MAJORITY/)
    cluster.mendAll()
    cluster.run(4_000)
    expect(world.state('w')).toBe('online')
    expect(world.master.version('c', 'k')).toBeGreaterThan(0)
  })

  it('was put back has forgotten: the node that it had told more does not count it', () => {
    const world = putBack()
    const { cluster } = world
    expect(world.state('w')).toBe('learner')
    cluster.crash('a')
    cluster.mendAll()
    cluster.run(10_000)
    // b lacks k, and the witness cannot say so any more.
    expect(cluster.master()).toBe(undefined)
  })

  it('was put back is admitted anew, like any process without memory', () => {
    const world = putBack()
    const { cluster } = world
    cluster.mendAll()
    cluster.run(5_000)
    expect(world.state('w')).toBe('online')
    cluster.crash('a')
    cluster.run(4_000)
    expect(world.master.id).toBe('b')
    expect(world.master.version('c', 'k')).toBeGreaterThan(0)
    // The file that it wrote since holds: the next process is the same voter.
    cluster.crash('w')
    cluster.start('w')
    cluster.run(300)
    expect(world.state('w')).toBe('online')
  })
})
