/**
 * Nodes of one cluster that were started with different profiles: nobody takes such a node for one
 * of its own, both say so, and it is one again after a restart with the right profile.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import type { StrategyFactory } from '../src/contracts/strategy.js'
import { NO_EPOCH } from '../src/core/epochs.js'
import { type MasterSlaveOptions, masterSlave } from '../strategies/master-slave/index.js'
import { Alone, emptyState } from './harness/alone.js'
import { CLI, freePorts, gcache } from './harness/processes.js'
import { MAJORITY, World } from './harness/profile-world.js'

type Profiles = Record<string, MasterSlaveOptions['profile']>
interface Mixed {
  world: World
  /** Who reported whom. */
  mixed: string[]
  /** Again, if it runs. */
  start(id: string): void
}

/** Three nodes, empty at 0 ms; `profiles` is read whenever one starts. */
function mixedWorld(profiles: Profiles): Mixed {
  const strategy: StrategyFactory = env =>
    masterSlave({ profile: profiles[env.self] ?? 'majority' })(env) as never
  const world = new World(3, MAJORITY, false, { strategy }, 0)
  const mixed: string[] = []
  const start = (id: string) => {
    if (world.cluster.node(id).running) world.cluster.crash(id)
    world.cluster.run(100)
    world.cluster.start(id)
    listen(id)
  }
  for (const { id } of world.cluster.live()) listen(id)
  return { world, mixed, start }

  function listen(id: string): void {
    world.cluster.node(id).engine.events.on('report', (event, { peer, message }) => {
      if (event !== 'profile-mismatch') return
      expect(message).toContain(`${id} has profile ${profiles[id] ?? 'majority'}`)
      expect(message).toContain(`${peer} has profile ${profiles[String(peer)] ?? 'majority'}`)
      mixed.push(`${id}${peer}`)
    })
  }
}

describe('nodes of different profiles', () => {
  it('are no cluster: none begins, follows or serves, and each says so once a peer', () => {
    const { world, mixed } = mixedWorld({ b: 'ordinal', c: 'strict' })
    world.cluster.run(30_000)
    for (const node of world.cluster.live()) {
      const { master, members, self } = node.status()
      expect(master).toBeUndefined()
      expect(self.state).toBe('empty')
      for (const { id, state } of members) if (id !== node.id) expect(state).toBe('other-profile')
    }
    expect(mixed.sort()).toEqual(['ab', 'ac', 'ba', 'bc', 'ca', 'cb'])
  })

  it('one that restarts with another profile counts no more, and again with the right one', () => {
    const profiles: Profiles = {}
    const { world, mixed, start } = mixedWorld(profiles)
    world.cluster.run(3_000)
    expect(world.master.id).toBe('a')
    profiles.c = 'strict'
    start('c')
    world.cluster.run(10_000)
    expect(world.state('c')).toBe('empty')
    expect(world.master.status().members[2]).toMatchObject({ id: 'c', state: 'other-profile' })
    expect(write('k')).toBe('written')
    expect(world.cluster.node('c').version('c', 'k')).toBeUndefined()
    expect(mixed.sort()).toEqual(['ac', 'bc', 'ca', 'cb'])
    // a and c are no majority.
    for (const id of 'ac') world.cluster.cut(id, 'b')
    world.cluster.run(2_000)
    expect(world.cluster.master()).toBeUndefined()
    for (const id of 'ac') world.cluster.mend(id, 'b')
    delete profiles.c
    start('c')
    world.cluster.run(5_000)
    expect(world.state('c')).toBe('online')
    expect(world.master.status().members[2].state).toBe('online')
    expect(world.cluster.node('c').version('c', 'k')).toBeGreaterThan(0)

    function write(key: string): string | undefined {
      const call = world.set(world.master, key, Buffer.from('v'))
      world.cluster.run(500)
      return world.answers.get(call)
    }
  })

  it.each(['ordinal', 'strict'])('a witness votes for none of profile %s', profile => {
    const options = { profile: 'majority' } as const
    const node = new Alone({ self: 'w', ids: ['a', 'b', 'w'], options, witness: true })
    for (const session of [1, 2]) {
      node.link('b', session)
      expect(node.last('state').profile).toBe('majority')
      node.hear(emptyState('b', profile), 'b', session)
      const sent = node.sent.length
      const epoch = { number: 256, incarnation: 'b'.repeat(16) }
      const { incarnation } = epoch
      const facts = {
        incarnation,
        history: '',
        starts: [],
        lastEpoch: NO_EPOCH,
        next: 1,
        commit: 1,
      }
      const prepare = { type: 'prepare', epoch, data: 'ready', voter: true, ...facts } as const
      node.hear(prepare, 'b', session)
      expect(node.sent.length).toBe(sent)
    }
    expect(node.reports.filter(event => event === 'profile-mismatch')).toHaveLength(1)
    expect(node.disconnected).toHaveLength(2)
    expect(node.disconnected[0]).toContain(`w has profile majority and b has profile ${profile}`)
    node.link('b', 3)
    node.hear(emptyState('b'), 'b', 3)
    node.hear({ type: 'probe', epoch: NO_EPOCH, nonce: 7 }, 'b', 3)
    expect(node.last('probe-reply').nonce).toBe(7)
  })
})

describe('two processes of gcache serve', () => {
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  it('of different profiles warn of each other once, and the status shows it', async () => {
    const [a, b] = (await freePorts(2)).map(port => `tcp://127.0.0.1:${port}`)
    const seen = [
      warning(serve(['--id', 'a', '--ordinal', '0', '--profile', 'strict'], a, `b=1@${b}`)),
      warning(serve(['--id', 'b', '--ordinal', '1', '--profile', 'ordinal'], b, `a=0@${a}`)),
    ]
    expect(await seen[0]).toContain('a has profile strict and b has profile ordinal')
    expect(await seen[1]).toContain('b has profile ordinal and a has profile strict')
    const status = await gcache('status', '--cluster', 'mixed', '--server', a)
    expect(status.out).toContain('; but a has profile strict and b has profile ordinal')
  })

  function serve(flags: readonly string[], listen: string, member: string): ChildProcess {
    const args = [CLI, 'serve', '--cluster', 'mixed', ...flags, '--listen', listen]
    args.push('--member', member, '--log-level', 'warn')
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    children.push(child)
    return child
  }

  function warning(child: ChildProcess): Promise<string> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no warning within 20 s')), 20_000)
      createInterface({ input: child.stderr as NonNullable<typeof child.stderr> }).on(
        'line',
        line => {
          if (!line.includes('profile-mismatch')) return
          clearTimeout(late)
          resolve(line)
        },
      )
    })
  }
})
