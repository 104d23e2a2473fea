/**
 * Members that were started with different strategies, over every medium: each is told of both by
 * name, the odd one out serves nobody, and those that have met one of their own go on.
 */
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { StrategyFactory } from '../src/contracts/strategy.js'
import {
  type Client,
  connect,
  createNode,
  type Logger,
  masterSlave,
  type Node,
} from '../src/index.js'
import { freePorts } from '../src/server/demo/ports.js'
import { broadcast } from '../strategies/broadcast/index.js'
import { partitioned } from '../strategies/partitioned/index.js'
import { rejectionOf } from './harness/codes.js'
import { MEDIA } from './harness/media.js'

vi.setConfig({ testTimeout: 30_000 })

const opened: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(one => one.close()))
})

interface Member {
  readonly id: string
  readonly ordinal: number
  readonly address: string
}

async function membersOf(count: number, address: (port: number) => string): Promise<Member[]> {
  const ports = await freePorts(count)
  return ports.map((port, ordinal) => {
    const id = String.fromCharCode(97 + ordinal)
    return { id, ordinal, address: address(port) }
  })
}

interface Started {
  readonly node: Node
  /** Reasons of its warnings, each once. */
  readonly warned: Set<unknown>
}

async function start(members: Member[], id: string, strategy: StrategyFactory): Promise<Started> {
  const warned = new Set<unknown>()
  const nothing = () => {}
  const warn = (fields: object) => void warned.add((fields as { reason?: string }).reason)
  const logger = { debug: nothing, info: nothing, warn, error: nothing } as Logger
  const node = await createNode({ cluster: 'shop', id, members, strategy, logger })
  opened.push(node)
  return { node, warned }
}

async function clientOf(members: readonly Member[]): Promise<Client> {
  const servers = members.map(({ address }) => address)
  const client = await connect({ cluster: 'shop', servers, timeoutMs: 5_000 })
  opened.push(client)
  return client
}

const saysBoth = (one: string, other: string) =>
  expect.stringMatching(
    new RegExp(
      `has strategy (${one} and . has strategy ${other}|${other} and . has strategy ${one}):`,
    ),
  )

for (const { name, address } of MEDIA)
  describe(name, () => {
    test('two that have met nobody else both say both names, and neither serves', async () => {
      const members = await membersOf(2, address)
      const a = await start(members, 'a', broadcast())
      const b = await start(members, 'b', masterSlave())
      const said = saysBoth('broadcast', 'master-slave')
      for (const { node, warned } of [a, b]) {
        await expect.poll(() => [...warned], { timeout: 10_000 }).toContainEqual(said)
        await expect.poll(() => node.status().self.state).toBe('refused')
        const status = node.status()
        expect(status).toMatchObject({ master: undefined, guarantee: said })
        await expect(node.ready({ timeoutMs: 200 })).rejects.toMatchObject({ message: said })
        const write = node.cache('c').set('k', 'v', { timeoutMs: 300 })
        expect(await rejectionOf(write)).toBe('TIMEOUT')
      }
    })

    test('one that comes back with another is refused, and its cluster goes on', async () => {
      const members = await membersOf(3, address)
      const ids = members.map(({ id }) => id)
      const started = await Promise.all(ids.map(id => start(members, id, masterSlave())))
      await Promise.all(started.map(({ node }) => node.ready()))
      const client = await clientOf(members)
      await client.cache<string>('c').set('k', 'acknowledged')
      await started[2].node.close()
      const odd = await start(members, 'c', partitioned({ partitions: 12 }))
      const said = saysBoth('partitioned', 'master-slave')
      await expect.poll(() => [...odd.warned], { timeout: 10_000 }).toContainEqual(said)
      const other = await clientOf(members.slice(2))
      for (const each of [client, other]) {
        const cache = each.cache<string>('c')
        expect(await cache.get('k')).toBe('acknowledged')
        await cache.set('k2', 'v')
      }
      const { strategy, master, members: all } = await client.status()
      expect([strategy, master]).toEqual(['master-slave', 'a'])
      expect(all.map(({ state }) => state)).toEqual(['online', 'online', 'refused'])
    })

    test('started right at last, the two serve', async () => {
      const members = await membersOf(2, address)
      const a = await start(members, 'a', broadcast())
      const wrong = await start(members, 'b', masterSlave())
      await expect.poll(() => a.node.status().self.state, { timeout: 10_000 }).toBe('refused')
      await wrong.node.close()
      const b = await start(members, 'b', broadcast())
      await Promise.all([a, b].map(({ node }) => node.ready()))
      await a.node.cache('c').set('k', 'v')
      await expect.poll(() => b.node.cache('c').get('k')).toBe('v')
    })
  })
