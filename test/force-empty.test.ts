/** A node without data is not forced beside one that holds some, unless that is said. */
import { afterEach, describe, expect, it } from 'vitest'
import type { MemberStatus, StrategyStatus } from '../src/contracts/strategy.js'
import { refusalToForce } from '../src/engine/force-guard.js'
import type { CommandEnd } from '../src/engine/reported-command.js'
import type { ForceResult } from '../src/wire/admin.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { rejectionOf } from './harness/codes.js'
import { EngineCluster } from './harness/engine-cluster.js'

describe('an empty node that is forced', () => {
  let world: EngineCluster

  /** c alone still holds what was acknowledged; nobody is elected any more. */
  async function wedged(): Promise<void> {
    world = new EngineCluster(['a', 'b', 'c'], 1, masterSlave({ profile: 'majority' }))
    await world.startAll()
    const client = await world.connect()
    await world.run(client.cache<string>('c').set('kept', 'v', { ack: 'all' }))
    for (const id of ['a', 'b']) world.crash(id)
    for (const id of ['a', 'b']) await world.start(id)
    await world.pass(10_000)
    expect(world.master()).toBeUndefined()
  }

  const force = (id: string, empty?: boolean) =>
    new Promise<ForceResult>((resolve, reject) => {
      const end: CommandEnd<ForceResult> = (error, result) =>
        result === undefined ? reject(error) : resolve(result)
      world.engines.get(id)?.admin.forceBootstrap(1_000, end, empty)
    })

  afterEach(async () => {
    await world?.close()
  })

  it('is refused, nothing is done, and who holds the data can still be forced', async () => {
    await wedged()
    for (const id of ['a', 'b']) expect(await rejectionOf(force(id))).toBe('NODE_EMPTY')
    await world.pass(5_000)
    expect(world.master()).toBeUndefined()
    const { forcedFrom } = await force('c')
    expect(forcedFrom).not.toBe('')
    await world.until(() => world.master() !== undefined)
    const client = await world.connect()
    expect(await world.run(client.cache<string>('c').get('kept'))).toBe('v')
  })

  it('begins with nothing once it is said that the others give theirs up', async () => {
    await wedged()
    expect(await force('a', true)).toMatchObject({ forcedFrom: '' })
    await world.until(() => world.master() !== undefined)
    // As README has it: who holds data does not follow, until it is started anew.
    await world.pass(10_000)
    expect(world.engines.get('c')?.status().self.state).toBe('searching')
    world.crash('c')
    await world.start('c')
    await world.pass(10_000)
    for (const id of ['a', 'b', 'c'])
      expect(world.engines.get(id)?.status().self.state, id).toBe('online')
  })
})

describe('the guard before a forced beginning', () => {
  const member = (id: string, state: string, offset: number, role = 'slave') =>
    ({ id, ordinal: 0, role, state, offset, lag: 0, address: id }) as MemberStatus
  const verdict = (...[self, ...others]: MemberStatus[]) =>
    refusalToForce({ self, members: [self, ...others] } as unknown as StrategyStatus)?.code

  it.each([
    [
      'is empty beside one with data',
      'NODE_EMPTY',
      [member('a', 'empty', 0), member('b', 'down', 7)],
    ],
    ['has half a copy', 'NODE_EMPTY', [member('a', 'copying', 9), member('b', 'searching', 2)]],
    ['has data', undefined, [member('a', 'searching', 1), member('b', 'searching', 9)]],
    ['is a learner with data', undefined, [member('a', 'learner', 1), member('b', 'online', 9)]],
    ['is empty among empty ones', undefined, [member('a', 'empty', 0), member('b', 'learner', 0)]],
    ['met half a copy only', undefined, [member('a', 'empty', 0), member('b', 'copying', 5)]],
    ['met a witness', undefined, [member('a', 'empty', 0), member('w', 'online', 5, 'witness')]],
  ])('of a node that %s: %s', (_, code, members) => {
    expect(verdict(...members)).toBe(code)
  })

  it('names who holds most', () => {
    const others = [member('b', 'down', 3), member('c', 'searching', 8), member('d', 'online', 5)]
    const self = member('a', 'empty', 0)
    const error = refusalToForce({ self, members: [self, ...others] } as unknown as StrategyStatus)
    expect(error?.message).toContain('c holds 8 entries')
  })
})
