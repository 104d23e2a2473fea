/**
 * The commands of an admin, from the engine outwards: each ends, with a result or a code, wherever
 * it was asked. What a strategy makes of them stands in membership.test.ts and force.test.ts.
 */
import { afterEach, describe, expect, it } from 'vitest'
import type { Client } from '../src/client/connect.js'
import type { AdminCommand, Standing } from '../src/contracts/strategy.js'
import { Admin } from '../src/engine/admin.js'
import { createNode, type Member, masterSlave, type Node } from '../src/index.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { type AdminReply, checkMember } from '../src/wire/admin.js'
import { decodeControl } from '../src/wire/control.js'
import { codeIn } from './harness/codes.js'
import { EngineCluster } from './harness/engine-cluster.js'
import { freePorts, gcache, ServedCluster } from './harness/processes.js'

async function refusal(promise: Promise<unknown>): Promise<string> {
  return await promise.then(result => `done: ${JSON.stringify(result)}`, codeIn)
}

const d: Member = { id: 'd', ordinal: 3, address: 'memory://d' }
const epoch = { number: 256, incarnation: '00000000000000aa' }
const leads: Standing = { role: 'master', epoch, master: 'a', serving: true }

/** An engine's side of it, with a strategy that does nothing by itself. */
class Desk {
  readonly clock = new VirtualClock()
  readonly given: object[] = []
  readonly replies: AdminReply[] = []
  /** Code or view of each that has ended, in order. */
  readonly ended: (string | number | undefined)[] = []
  standing = leads
  status = { self: { id: 'a', state: 'online' }, members: [{ id: 'b', state: 'down', offset: 5 }] }
  readonly admin: Admin

  constructor(commands: readonly AdminCommand[] = ['join', 'leave', 'force-bootstrap']) {
    this.admin = new Admin({
      ...{ self: 'a', clock: this.clock, commands },
      standing: () => this.standing,
      status: () => this.status as never,
      give: input => this.given.push(input),
      send: (_, frame) => this.replies.push(decodeControl(frame) as AdminReply),
    })
  }

  join(): void {
    this.admin.join(d, 1_000, (error, result) => this.ended.push(error?.code ?? result?.view))
  }

  leave(): void {
    this.admin.leave('b', 1_000, (error, result) => this.ended.push(error?.code ?? result?.view))
  }

  force(): void {
    this.admin.forceBootstrap(1_000, (error, done) => this.ended.push(error?.code ?? done?.history))
  }

  ask(command: string, more: object = {}): void {
    this.admin.onControl('~1', { type: 'admin', id: 1, command, to: '', ...more })
  }
}

describe('an engine', () => {
  it('gives a command to its strategy and ends it with the report, whenever that comes', () => {
    const desk = new Desk()
    desk.join()
    desk.clock.advance(900)
    desk.admin.onReport('members', { state: 'done', view: 4, members: [d] })
    desk.leave()
    desk.admin.onReport('members', { state: 'refused', code: 'NOT_A_MEMBER', message: 'no' })
    desk.force()
    desk.admin.onReport('force-bootstrap', {
      state: 'done',
      epoch: 1,
      history: 'f',
      forcedFrom: '',
    })
    expect(desk.given).toEqual([
      { kind: 'admin', command: 'join', group: 0, member: d },
      { kind: 'admin', command: 'leave', group: 0, peer: 'b' },
      { kind: 'admin', command: 'force-bootstrap', group: 0 },
    ])
    expect(desk.ended).toEqual([4, 'NOT_A_MEMBER', 'f'])
  })

  it('ends each by its deadline, and takes the next one', () => {
    const desk = new Desk()
    desk.join()
    desk.force()
    desk.clock.advance(1_001)
    expect(desk.ended).toEqual(['TIMEOUT', 'TIMEOUT'])
    desk.admin.onReport('members', { state: 'done', view: 4, members: [] })
    desk.leave()
    desk.admin.onReport('members', { state: 'done', view: 5, members: [] })
    expect(desk.ended.slice(2)).toEqual([5])
  })

  it('does one of a kind at a time', () => {
    const desk = new Desk()
    desk.join()
    desk.leave()
    desk.force()
    desk.force()
    expect(desk.ended).toEqual(['BUSY', 'BUSY'])
    expect(desk.given).toHaveLength(2)
  })

  it('that is closed, or leads no more, ends what is open', () => {
    const desk = new Desk()
    desk.join()
    desk.admin.onStanding(leads, { ...leads, serving: false })
    expect(desk.ended).toEqual([])
    desk.admin.onStanding(leads, { ...leads, role: 'slave' })
    expect(desk.ended).toEqual(['UNREACHABLE'])
    desk.leave()
    desk.force()
    desk.admin.stop()
    expect(desk.ended.slice(1)).toEqual(['CLOSED', 'CLOSED'])
  })

  it('names the master, where it is not, but is forced all the same', () => {
    const desk = new Desk()
    desk.standing = { ...leads, role: 'slave', master: 'c' }
    desk.ask('join', { member: d })
    desk.ask('leave', { to: 'b' })
    expect(desk.replies).toMatchObject(Array(2).fill({ code: 'NOT_MASTER', to: 'c' }))
    expect(desk.given).toEqual([])
    desk.force()
    expect(desk.given).toHaveLength(1)
  })

  it('asks its strategy to force an empty node only if that was said', () => {
    const desk = new Desk()
    desk.status.self.state = 'empty'
    desk.force()
    desk.ask('force-bootstrap')
    desk.ask('force-bootstrap', { empty: false })
    expect(desk.ended).toEqual(['NODE_EMPTY'])
    expect(desk.replies.map(({ code }) => code)).toEqual(['NODE_EMPTY', 'NODE_EMPTY'])
    expect(desk.given).toEqual([])
    desk.ask('force-bootstrap', { empty: true })
    expect(desk.given).toHaveLength(1)
  })

  it('of a strategy that knows no such command says CONFIG', () => {
    const desk = new Desk([])
    desk.join()
    desk.leave()
    desk.force()
    expect(desk.ended).toEqual(['CONFIG', 'CONFIG', 'CONFIG'])
    expect(desk.given).toEqual([])
    desk.ask('join', { member: d })
    expect(desk.replies[0].message).toBe('this strategy knows no join')
  })

  it('answers a frame that asks for what is no member, no id, no command, with CONFIG', () => {
    const desk = new Desk()
    const wrong = [
      { ...d, id: '~d' },
      { ...d, id: 'x'.repeat(65) },
      { ...d, ordinal: 256 },
      { ...d, address: '' },
      { ...d, address: 'x'.repeat(1_025) },
      undefined,
    ]
    for (const member of wrong) desk.ask('join', { member })
    desk.ask('leave', { to: 'a b' })
    desk.ask('abdicate')
    expect(desk.replies.map(({ code }) => code)).toEqual(Array(8).fill('CONFIG'))
    expect(desk.given).toEqual([])
    expect(checkMember({ ...d, witness: true, learner: true })).toEqual({ ...d, witness: true })
    desk.ask('join', { member: d, timeoutMs: 0 })
    desk.clock.advance(2)
    expect(desk.replies[8].code).toBe('TIMEOUT')
  })
})

let world: EngineCluster | undefined

afterEach(async () => {
  await world?.close()
  world = undefined
})

async function setUp(strategy = masterSlave()): Promise<{ world: EngineCluster; client: Client }> {
  world = new EngineCluster(['a', 'b', 'c'], 1, strategy as never)
  world.network.setFaults({ latencyMsMin: 0.2, latencyMsMax: 0.5 })
  await world.startAll()
  const client = await world.connect()
  await world.pass(500)
  return { world, client }
}

const idsOf = (members: readonly Member[]) => members.map(({ id }) => id).join('')

describe('a client', () => {
  it('lets a member join, which copies and then votes, and another one leave', async () => {
    const { world, client } = await setUp()
    await world.run(client.cache('c').set('k', 'v'))
    const joined = await world.run(client.join(d))
    expect(joined).toEqual({ view: 1, members: [...world.members, { ...d, learner: true }] })
    world.members.push(d)
    const engine = await world.start('d')
    await world.until(() => engine.status().self.state === 'online')
    expect(engine.applied().next).toBeGreaterThan(1)
    expect(await world.run(client.join(d))).toMatchObject({ view: 2 })
    const left = await world.run(client.leave('c'))
    expect(left.view).toBe(3)
    expect(idsOf(left.members)).toBe('abd')
  })

  it('that lets the master leave has it hand over first, within one deadline', async () => {
    const { world, client } = await setUp()
    expect(client.master).toBe('a')
    const { members } = await world.run(client.leave('a'))
    expect(idsOf(members)).toBe('bc')
    await world.until(() => client.master === 'b')
    await world.run(client.cache('c').set('k', 'v'))
  })

  it('is told by code what was wrong', async () => {
    const { world, client } = await setUp()
    const codes: string[] = []
    for (const call of [
      () => client.join({ ...d, id: '*d' }),
      () => client.join({ ...d, ordinal: 1 }),
      () => client.join(d, { timeout: 5 } as never),
      () => client.leave(''),
      () => client.leave('x'),
      () => client.forceBootstrap(),
    ])
      codes.push(await world.run(refusal(call())))
    expect(codes).toEqual(['CONFIG', 'CONFIG', 'CONFIG', 'CONFIG', 'NOT_A_MEMBER', 'CONFIG'])
    const one = await world.connect({ servers: ['memory://b'] })
    expect(await world.run(refusal(one.forceBootstrap()))).toBe('HEALTHY')
    await one.close()
    expect(await refusal(one.join(d))).toBe('CLOSED')
    expect(await refusal(one.leave('b'))).toBe('CLOSED')
    expect(await refusal(one.forceBootstrap())).toBe('CLOSED')
  })

  it('whose master may not write has its answer by the deadline', async () => {
    const { world, client } = await setUp(masterSlave({ profile: 'majority' }))
    world.crash('b')
    world.crash('c')
    const began = world.clock.now()
    const code = await world.run(refusal(client.leave('b', { timeoutMs: 800 })))
    expect(['NOT_READY', 'TIMEOUT']).toContain(code)
    expect(world.clock.now() - began).toBeLessThan(900)
  })
})

describe('embedded nodes', () => {
  const nodes: Node[] = []

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map(node => node.close({ handover: false })))
  })

  async function start(id: string, members: readonly Member[]): Promise<Node> {
    const node = await createNode({ cluster: 'test', id, members })
    nodes.push(node)
    return node
  }

  it('let join and leave when any of them is asked, and refuse by code', async () => {
    const ports = await freePorts(3)
    const members = ['a', 'b', 'c'].map((id, ordinal) => {
      return { id, ordinal, address: `tcp://127.0.0.1:${ports[ordinal]}` }
    })
    const [a, b] = await Promise.all(['a', 'b'].map(id => start(id, members.slice(0, 2))))
    await Promise.all([a.ready(), b.ready()])
    await a.cache('c').set('k', 'v')
    expect(await refusal(b.join({ ...members[2], id: 'a.b' }))).toBe('CONFIG')
    expect(await refusal(b.join({ ...members[2], port: 1 } as never))).toBe('CONFIG')
    expect(await refusal(b.join({ ...members[2], address: 'tcp://here' }))).toBe('ADDRESS_INVALID')
    expect(await refusal(b.leave('c'))).toBe('NOT_A_MEMBER')
    expect(await refusal(b.leave(7 as never))).toBe('CONFIG')
    expect(await refusal(b.forceBootstrap())).toBe('HEALTHY')
    expect(await refusal(a.forceBootstrap())).toBe('HEALTHY')
    const events: unknown[] = []
    a.on('members', ({ state, view }) => events.push([state, view]))
    expect(await b.join(members[2])).toMatchObject({ view: 1 })
    expect(events).toEqual([['done', 1]])
    const c = await start('c', members)
    await c.ready()
    expect(await c.cache('c').get('k', { read: 'local' })).toBe('v')
    // The master itself, asked of itself.
    expect(idsOf((await a.leave('a')).members)).toBe('bc')
    expect(await c.cache('c').get('k')).toBe('v')
    await c.close()
    expect(await refusal(c.join(members[0]))).toBe('CLOSED')
    expect(await refusal(c.forceBootstrap())).toBe('CLOSED')
  })
})

describe('the command line', { timeout: 60_000 }, () => {
  let served: ServedCluster | undefined

  afterEach(async () => {
    await served?.stop()
    served = undefined
  })

  it('says what is wrong with a command before it asks anybody', async () => {
    const ended = await Promise.all([
      gcache('join', 'd', '--server', 'tcp://127.0.0.1:1'),
      gcache('join', 'd=3@tcp://nowhere', '--server', 'tcp://127.0.0.1:1'),
      gcache('leave', 'a b', '--server', 'tcp://127.0.0.1:1', '--timeout', '300ms'),
      gcache('force-bootstrap', '--yes'),
      gcache('force-bootstrap', '--yes', '--server', 'h:1,h:2'),
      gcache('force-bootstrap', '--server', 'tcp://127.0.0.1:1'),
    ])
    expect(ended.map(({ code }) => code)).toEqual([2, 2, 2, 2, 2, 1])
    expect(ended[0].err).toContain('ID=ORDINAL@ADDRESS')
    expect(ended[5].err).toContain('--yes')
    for (const { out } of ended) expect(out).toBe('')
  })

  it('lets join and leave; forces nothing healthy, but a survivor of lost memories', async () => {
    served = await ServedCluster.start(3, ['--profile', 'majority'])
    const at = (id: string) => ['--cluster', 'proof', '--server', served?.address(id) ?? '']
    expect(await gcache('set', ...at('a'), '--cache', 'c', 'k', '"v"')).toMatchObject({ code: 0 })
    expect(await gcache('force-bootstrap', ...at('b'), '--yes')).toMatchObject({ code: 1 })
    const [port] = await freePorts(1)
    const joined = await gcache('join', `d=3@127.0.0.1:${port}`, ...at('b'))
    expect(joined).toMatchObject({ code: 0, out: 'view 1: a, b, c, d (learner)\n' })
    expect(await gcache('join', `e=3@127.0.0.1:${port}`, ...at('b'))).toMatchObject({ code: 2 })
    const taken = (served.address('a') ?? '').replace('127.0.0.1', 'localhost')
    const refused = await gcache('join', `e=4@${taken}`, ...at('b'))
    expect([refused.code, refused.err.includes('is the address of a already')]).toEqual([2, true])
    const left = await gcache('leave', 'd', ...at('c'))
    expect(left).toMatchObject({ code: 0, out: 'view 2: a, b, c\n' })
    expect(await gcache('leave', 'd4', ...at('c'))).toMatchObject({ code: 1 })

    for (const id of ['a', 'c']) served.signal(id, 'SIGKILL')
    await Promise.all(['a', 'c'].map(id => served?.ended(id)))
    const back = ['a', 'c'].map(id => served?.serve(id))
    for (;;) {
      const { code, out } = await gcache('status', ...at('b'), '--json')
      const states = JSON.parse(out || '{}').members?.map(({ state }: { state: string }) => state)
      if (code === 2 && states?.filter((state: string) => state === 'down').length === 0) break
    }
    // a has lost its memory, and b has not.
    const empty = await gcache('force-bootstrap', ...at('a'), '--yes')
    expect([empty.code, empty.err.includes('b holds')]).toEqual([1, true])
    const forced = await gcache('force-bootstrap', ...at('b'), '--yes')
    expect(forced).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^history \w+ begins from/),
    })
    await Promise.all(back)
    expect(await gcache('get', ...at('c'), '--cache', 'c', 'k')).toMatchObject({ code: 0 })
    expect(await gcache('set', ...at('a'), '--cache', 'c', 'l', '1')).toMatchObject({ code: 0 })
  })
})
