/** A loop over watch() ends when its client or its node does: once with CLOSED, then it is done. */
import { afterEach, expect, test } from 'vitest'
import { type Client, connect, createNode, type Node } from '../src/index.js'
import { partitioned } from '../strategies/partitioned/index.js'
import { freePorts } from './harness/processes.js'

const open: (Client | Node)[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map(each => each.close()))
})

async function started(whole: boolean): Promise<{ node: Node; client: Client }> {
  const [port] = await freePorts(1)
  const address = `tcp://127.0.0.1:${port}`
  const members = [{ id: 'a', ordinal: 0, address }]
  const strategy = whole ? {} : { strategy: partitioned({ partitions: 8 }) }
  const node = await createNode({ cluster: 'proof', id: 'a', members, ...strategy })
  open.push(node)
  await node.ready()
  const client = await connect({ cluster: 'proof', servers: [address] })
  open.push(client)
  return { node, client }
}

test.each([
  ['a client', 'client', true],
  ['a node', 'node', true],
  ['a client of partitions', 'client', false],
  ['a node with partitions', 'node', false],
] as const)('the watches of %s end with it', { timeout: 10_000 }, async (_, which, whole) => {
  const source = (await started(whole))[which]
  const watch = source.cache<string>('c').watch()
  const idle = source.cache<string>('c').watch()
  const waiting = watch.next().catch(error => error)
  await source.close()
  expect(await waiting).toMatchObject({ code: 'CLOSED' })
  expect(await watch.next()).toEqual({ done: true, value: undefined })
  await expect(idle.next(), 'nobody waited').rejects.toMatchObject({ code: 'CLOSED' })
  expect(await idle.next()).toEqual({ done: true, value: undefined })
})
