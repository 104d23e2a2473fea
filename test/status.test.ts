/** The status of a whole cluster where some of those who answer do not belong to it. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Member } from '../src/contracts/types.js'
import { paintFor } from '../src/server/paint.js'
import { health, healthExit, statusJson, statusTable } from '../src/server/status-view.js'
import { viewLine } from '../src/server/view-line.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { EngineCluster } from './harness/engine-cluster.js'

const plain = paintFor({ isTTY: false } as never)

describe('a status asked of all who answer', () => {
  let world: EngineCluster

  async function started(ids: string[], strategy = masterSlave()): Promise<void> {
    world = new EngineCluster(ids, 1, strategy)
    world.network.setFaults({ latencyMsMin: 0.5, latencyMsMax: 0.5 })
    await world.startAll()
  }

  afterEach(async () => {
    await world?.close()
  })

  it('leaves out who has left, and says so; the cluster is healthy', async () => {
    await started(['a', 'b', 'c', 'd'])
    const client = await world.connect()
    await world.pass(1_000)
    await world.run(client.leave('c'))
    // At once as well, while the master still feeds it.
    for (const waitMs of [0, 1_000]) {
      await world.pass(waitMs)
      const status = await world.run(client.status())
      expect(status.members.map(({ id }) => id)).toEqual(['a', 'b', 'd'])
      expect(status.outside).toMatchObject([{ id: 'c', state: 'left', address: 'memory://c' }])
      expect(health(status)).toBe('healthy')
      expect(statusTable(status, plain)).toContain('no member: c at memory://c (left)\n')
      expect(JSON.parse(statusJson(status)).outside).toEqual([
        { id: 'c', state: 'left', address: 'memory://c' },
      ])
    }
    world.crash('c')
    await world.pass(1_000)
    const status = await world.run(client.status())
    expect([status.outside, healthExit(status)]).toEqual([undefined, 0])
    expect(statusJson(status)).not.toContain('outside')
  })

  it('is not healthy where two say that they lead, and says which', async () => {
    await started(['a', 'b', 'c'])
    const client = await world.connect()
    await world.pass(1_000)
    const status = await world.run(client.status())
    expect(health(status)).toBe('healthy')
    const members = status.members.map(member => ({ ...member, role: 'master' as const }))
    const split = { ...status, members: [...members.slice(0, 2), status.members[2]] }
    expect([health(split), healthExit(split)]).toEqual(['degraded', 1])
    expect(statusTable(split, plain)).toContain('2 masters: a, b (')
    // Every node of broadcast leads its own log.
    expect(health({ ...split, strategy: 'broadcast' })).toBe('healthy')
  })

  it('misses no master where every node serves, as long as one does', async () => {
    await started(['a', 'b', 'c'])
    const client = await world.connect()
    await world.pass(1_000)
    const status = await world.run(client.status())
    // The one whose clock is ahead has the highest epoch, so its word of the master is taken.
    const inState = (...states: string[]) => ({
      ...{ ...status, strategy: 'broadcast', master: 'c' },
      members: status.members.map((member, i) => ({
        ...{ ...member, role: 'master' as const, state: states[i] },
      })),
    })
    expect(health(inState('online', 'online', 'skewed'))).toBe('degraded')
    expect(health(inState('down', 'online', 'down'))).toBe('degraded')
    expect(health(inState('down', 'copying', 'skewed'))).toBe('no master')
    // Where one leads, another one that says so replaces nobody.
    const one = { ...inState('online', 'online', 'down'), strategy: 'master-slave' }
    expect(health(one)).toBe('no master')
  })

  it('shows who has left as such where nobody else answers, and no master', async () => {
    await started(['a', 'b', 'c'])
    const client = await world.connect()
    await world.run(client.leave('c'))
    await world.pass(1_000)
    for (const id of ['a', 'b']) world.crash(id)
    await world.pass(1_000)
    const status = await world.run(client.status())
    expect(status.members.find(({ id }) => id === 'c')).toMatchObject({ state: 'left' })
    expect(healthExit(status)).toBe(2)
  })

  it('leaves out who has not been let in yet, and counts it once it is', async () => {
    await started(['a', 'b', 'c'], masterSlave({ profile: 'majority' }))
    const d: Member = { id: 'd', ordinal: 3, address: 'memory://d' }
    world.members.push(d as (typeof world.members)[number])
    await world.start('d')
    const client = await world.connect({ servers: ['memory://a', 'memory://d'] })
    await world.pass(1_000)
    const before = await world.run(client.status())
    expect(before.members.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    expect(before.outside).toMatchObject([{ id: 'd', state: 'empty' }])
    expect(healthExit(before)).toBe(0)
    await world.run(client.join(d))
    const after = await world.run(client.status())
    expect(after.members.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd'])
    expect(after.outside).toBeUndefined()
  })
})

describe('the list of members after a change', () => {
  it('names a witness that still joins as both', () => {
    const at = (id: string, ordinal: number) => ({ id, ordinal, address: `memory://${id}` })
    const members: Member[] = [
      { ...at('w', 255), witness: true, learner: true },
      { ...at('v', 254), witness: true },
      { ...at('d', 3), learner: true },
      at('a', 0),
    ]
    expect(viewLine({ view: 4, members })).toBe(
      'view 4: a, d (learner), v (witness), w (witness, learner)\n',
    )
  })
})
