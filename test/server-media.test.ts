/** The command line over every medium of processes: the scheme of an address chooses it. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connect } from '../src/index.js'
import { rejectionOf } from './harness/codes.js'
import { MEDIA } from './harness/media.js'
import { gcache, ServedCluster } from './harness/processes.js'
import { projectRoot } from './harness/project-root.js'

// A command is a process: a second each where the machine is busy.
vi.setConfig({ testTimeout: 60_000 })

let cluster: ServedCluster | undefined
afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

describe.each(MEDIA)('over $name', medium => {
  test('serve, status, set, get and connect', async () => {
    cluster = await ServedCluster.start(2, [], medium)
    const at = ['--cluster', 'proof', '--server', cluster.servers.join(',')]
    const status = await gcache('status', ...at, '--json')
    expect([status.code, status.err]).toEqual([0, ''])
    const { members } = JSON.parse(status.out) as { members: { address: string; state: string }[] }
    expect(members.map(({ address }) => address)).toEqual(cluster.servers)
    expect((await gcache('set', ...at, '--cache', 's', 'k', 'v')).code).toBe(0)
    expect(await gcache('get', ...at, '--cache', 's', 'k')).toMatchObject({ code: 0, out: 'v' })
    const client = await connect({ cluster: 'proof', servers: cluster.servers })
    await client.cache('s').set('own', 1)
    expect(await client.cache('s').get('own')).toBe(1)
    await client.close()
  })
})

describe('schemes', () => {
  test('of one cluster are the same: one line says which are not', async () => {
    const flags = ['--id', 'a', '--ordinal', '0', '--listen', 'ws://127.0.0.1:7500']
    const { code, err } = await gcache('serve', ...flags, '--member', 'b=1@tcp://127.0.0.1:7401')
    expect(code).toBe(2)
    const lines = err.trim().split('\n')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/member b: .*tcp:\/\/127\.0\.0\.1:7401.*scheme ws.*ADDRESS_INVALID/)
    const servers = ['ws://127.0.0.1:1', 'tcp://127.0.0.1:1']
    expect(await rejectionOf(connect({ cluster: 'x', servers }))).toBe('ADDRESS_INVALID')
    const asked = await gcache('status', '--server', servers.join(','))
    expect([asked.code, asked.err.trim().split('\n').length]).toEqual([2, 1])
  })

  test('an address that is none of its scheme is refused before anything is dialled', async () => {
    const { code, err } = await gcache('join', 'd=3@ws://h:1#x')
    expect([code, err]).toEqual([2, expect.stringContaining('ws://host:port/path')])
    expect((await gcache('demo', '--transport', 'webscoket')).err).toContain('websocket')
  })

  test('`gcache` alone loads neither ws nor nats', async () => {
    const code = `
      import { createRequire } from 'node:module'
      await import('./dist/src/index.js')
      await import('./dist/src/server/run.js')
      const loaded = Object.keys(createRequire(import.meta.url).cache)
      console.log(loaded.filter(path => /node_modules.(ws|nats)\\b/.test(path)).length)`
    const args = ['--input-type=module', '--eval', code]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: projectRoot() })
    expect(stdout.trim()).toBe('0')
  })
})
