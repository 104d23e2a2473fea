/** Handover of embedded nodes on real sockets: by command, by closing the master, not at all. */
import { afterEach, describe, expect, test } from 'vitest'
import { createNode, masterSlave, type Node, type StrategyFactory } from '../src/index.js'
import { freePorts } from './harness/processes.js'

const nodes: Node[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map(node => node.close({ handover: false })))
})

async function cluster(ids: readonly string[]): Promise<Node[]> {
  const ports = await freePorts(ids.length)
  const members = ids.map((id, ordinal) => {
    const address = `tcp://127.0.0.1:${ports[ordinal]}`
    return { id, ordinal, address }
  })
  const started = await Promise.all(ids.map(id => createNode({ cluster: 'test', id, members })))
  nodes.push(...started)
  await Promise.all(started.map(node => node.ready()))
  await until(() => started[0].status().members.every(({ state }) => state === 'online'))
  return started
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('not within 10 s')
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** Writes through `node` until stopped; a key's versions are a chain. */
function load(node: Node, key: string) {
  const cache = node.cache<number>('load')
  const state = { running: true, value: 0, failures: [] as unknown[] }
  const run = async () => {
    let version = 0
    while (state.running)
      try {
        version = (await cache.set(key, state.value + 1, { ifVersion: version })).version
        state.value++
      } catch (error) {
        state.failures.push(error)
        return
      }
  }
  const done = run()
  return {
    state,
    async stop(): Promise<number> {
      state.running = false
      await done
      expect(state.failures).toEqual([])
      return state.value
    },
  }
}

describe('embedded nodes', () => {
  test('hand over when any of them is asked, and no call of any of them fails', async () => {
    const [a, b, c] = await cluster(['a', 'b', 'c'])
    const loads = [a, b, c].map(node => load(node, node.id))
    const events: string[] = []
    for (const node of [a, b, c])
      node.on('handover', ({ state }) => events.push(`${node.id} ${state}`))
    expect(await c.handover()).toMatchObject({ from: 'a', to: 'b' })
    await until(() => b.status().master === 'b' && events.includes('b done'))
    expect(events).toEqual(['a begun', 'a sent', 'b done'])
    await until(() => b.status().members.every(({ state }) => state === 'online'))
    expect(await b.handover({ to: 'c' })).toMatchObject({ from: 'b', to: 'c' })
    await until(() => c.status().master === 'c')
    const values = await Promise.all(loads.map(one => one.stop()))
    expect(await a.cache('load').getMany(['a', 'b', 'c'])).toEqual(values)
  })

  test('refuse a wrong option or an unknown node by name, and everything once closed', async () => {
    const [a] = await cluster(['a', 'b'])
    await expect(a.handover({ too: 'b' } as never)).rejects.toMatchObject({ code: 'CONFIG' })
    await expect(a.handover({ to: 'z' })).rejects.toMatchObject({ code: 'CONFIG' })
    await expect(a.close({ handOver: false } as never)).rejects.toMatchObject({ code: 'CONFIG' })
    await a.close()
    await expect(a.handover()).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('a closing master hands over: calls of the others go on, its own end well', async () => {
    const [a, b, c] = await cluster(['a', 'b', 'c'])
    const loads = [b, c].map(node => load(node, node.id))
    const own = Array.from({ length: 50 }, (_, i) => a.cache<number>('own').set(`${i}`, i))
    await a.close()
    const settled = await Promise.allSettled(own)
    expect(settled.filter(({ status }) => status === 'rejected')).toEqual([])
    expect(b.status().master).toBe('b')
    const values = await Promise.all(loads.map(one => one.stop()))
    expect(await b.cache('load').getMany(['b', 'c'])).toEqual(values)
    expect(await c.cache('own').size()).toBe(50)
  })

  test('of a strategy that knows no handover refuse it, and close at once', async () => {
    const deaf: StrategyFactory = env => {
      const inner = masterSlave()(env)
      const { name, codec, keyed, defaultAck } = inner
      return {
        ...{ name, codec, keyed, defaultAck },
        time: group => inner.time(group),
        status: () => inner.status(),
        step: (input, effects) => {
          if (input.kind !== 'admin') inner.step(input as never, effects)
        },
      }
    }
    const members = [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:0' }]
    const node = await createNode({ cluster: 'test', id: 'a', members, strategy: deaf })
    nodes.push(node)
    await node.ready()
    await expect(node.handover()).rejects.toMatchObject({ code: 'HANDOVER_REFUSED' })
    const began = performance.now()
    await node.close()
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  test('a master told not to, or with nobody to hand over to, closes at once', async () => {
    const [a, b] = await cluster(['a', 'b'])
    const events: unknown[] = []
    a.on('handover', ({ state }) => events.push(state))
    await a.close({ handover: false })
    expect(events).toEqual([])
    await until(() => b.status().self.role === 'master' && b.status().self.state === 'online')
    b.on('handover', ({ state }) => events.push(state))
    const began = performance.now()
    await b.close()
    expect(performance.now() - began).toBeLessThan(1_000)
    expect(events).toEqual(['refused'])
  })
})
