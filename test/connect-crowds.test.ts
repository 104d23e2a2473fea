/** Many who connect at once from one address: whoever finds no place among the strangers waits. */
import { connect as dial, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { GcacheError } from '../src/errors.js'
import { type Client, connect, createNode, type Node } from '../src/index.js'
import { tcp } from '../transports/tcp.js'
import { freePorts, ServedCluster } from './harness/processes.js'

const CROWD = 64
const STOPPED_MS = 1_500

const open: { close(): Promise<void> }[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map(each => each.close()))
})

describe('a crowd of clients of one host', () => {
  async function served(): Promise<ServedCluster> {
    const cluster = await ServedCluster.start(1)
    open.push({ close: () => cluster.stop() })
    return cluster
  }

  async function crowd({ servers }: ServedCluster): Promise<(string | undefined)[]> {
    const all = Array.from({ length: CROWD }, () => connect({ cluster: 'proof', servers }))
    const ends = await Promise.allSettled(all)
    const clients = ends.flatMap(end => (end.status === 'fulfilled' ? [end.value] : []))
    open.push(...clients)
    const failures = ends.flatMap(end => (end.status === 'rejected' ? [String(end.reason)] : []))
    expect(failures).toEqual([])
    const read = (client: Client) => client.cache<string>('c').get('k')
    return await Promise.all(clients.map(read))
  }

  test('is let in, and each reads what was set', { timeout: 30_000 }, async () => {
    const cluster = await served()
    const first = await connect({ cluster: 'proof', servers: cluster.servers })
    open.push(first)
    await first.cache<string>('c').set('k', 'v')
    expect(await crowd(cluster)).toEqual(Array.from({ length: CROWD }, () => 'v'))
  })

  test('is let in by a server that was stopped meanwhile', { timeout: 30_000 }, async () => {
    const cluster = await served()
    cluster.signal('a', 'SIGSTOP')
    const resumed = setTimeout(() => cluster.signal('a', 'SIGCONT'), STOPPED_MS)
    open.push({ close: async () => clearTimeout(resumed) })
    expect(await crowd(cluster)).toHaveLength(CROWD)
  })
})

describe('a limit of strangers that stays reached', () => {
  async function fullNode(): Promise<{ node: Node; address: string; silent: Socket }> {
    const [port] = await freePorts(1)
    const address = `tcp://127.0.0.1:${port}`
    const node = await createNode({
      cluster: 'proof',
      id: 'a',
      members: [{ id: 'a', ordinal: 0, address }],
      transport: tcp({ strangersPerHostMax: 1, handshakeMs: 60_000 }),
    })
    open.push(node)
    await node.ready()
    const silent = dial(port, '127.0.0.1')
    open.push({ close: async () => void silent.destroy() })
    await new Promise(resolve => silent.once('connect', resolve))
    return { node, address, silent }
  }

  test('is PREAUTH_LIMIT for a client once its time is up, and retryable', async () => {
    const { address } = await fullNode()
    const began = performance.now()
    const asked = connect({ cluster: 'proof', servers: [address], timeoutMs: 1_000 })
    const error = await asked.then(
      client => open.push(client),
      (caught: unknown) => caught,
    )
    const tookMs = performance.now() - began
    expect(error).toBeInstanceOf(GcacheError)
    expect(error).toMatchObject({ code: 'PREAUTH_LIMIT', retryable: true })
    expect((error as GcacheError).message).toContain('1 handshakes of 127.0.0.1 are unfinished')
    expect(tookMs).toBeGreaterThan(900)
    expect(tookMs).toBeLessThan(3_000)
  })

  test('keeps a client waiting for as long as it stands', async () => {
    const { address, silent } = await fullNode()
    const asked = connect({ cluster: 'proof', servers: [address], timeoutMs: 10_000 })
    setTimeout(() => silent.destroy(), 500)
    open.push(await asked)
  })
})
