/** The compiled command line, as processes: `npm test` builds it first. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { connect } from '../src/index.js'
import { freePorts } from './harness/processes.js'

// A command is a process: a second each where the machine is busy.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const CLI = fileURLToPath(new URL('../dist/src/server/cli.js', import.meta.url))

interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs one command to its end. */
function gcache(args: string[], input: string | Uint8Array = ''): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: 'pipe' })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', chunk => out.push(chunk))
    child.stderr.on('data', chunk => err.push(chunk))
    child.once('error', reject)
    child.once('close', code =>
      resolve({
        code,
        stdout: Buffer.concat(out).toString('latin1'),
        stderr: Buffer.concat(err).toString(),
      }),
    )
    child.stdin.end(input)
  })
}

const running = new Set<ChildProcess>()

/** Starts a server; resolves with it and its `ready` line. */
function serve(args: string[]): Promise<{ child: ChildProcess; ready: string; banner: string[] }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, 'serve', ...args], { stdio: 'pipe' })
    running.add(child)
    child.once('exit', code => {
      running.delete(child)
      reject(new Error(`serve ended with ${code} before it was ready`))
    })
    child.stderr.resume()
    const banner: string[] = []
    createInterface({ input: child.stdout }).on('line', line => {
      if (line.startsWith('ready ')) resolve({ child, ready: line, banner })
      else banner.push(line)
    })
  })
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  return new Promise(resolve => {
    child.once('exit', resolve)
    child.kill(signal)
  })
}

beforeAll(() => {
  if (!existsSync(CLI)) throw new Error(`${CLI} is missing: run npm run build, or npm test`)
})

afterAll(() => {
  for (const child of running) child.kill('SIGKILL')
})

describe('three servers', () => {
  const ids = ['a', 'b', 'c']
  const nodes = new Map<string, ChildProcess>()
  let addresses: string[] = []
  let on: string[] = []

  beforeAll(async () => {
    addresses = (await freePorts(3)).map(port => `tcp://127.0.0.1:${port}`)
    on = ['--server', addresses.join(','), '--cluster', 'shop']
    const started = await Promise.all(
      ids.map((id, ordinal) => {
        const others = ids.flatMap((other, n) =>
          other === id ? [] : ['--member', `${other}=${n}@${addresses[n]}`],
        )
        return serve([
          ...['--cluster', 'shop', '--id', id, '--ordinal', String(ordinal)],
          ...['--listen', addresses[ordinal], '--cache', 'short:ttl=60s,max-entries=5', ...others],
        ])
      }),
    )
    for (const [i, { child, ready, banner }] of started.entries()) {
      nodes.set(ids[i], child)
      expect(ready.split(' ')[1]).toBe(addresses[i])
      expect(banner.join('\n')).toMatch(/guarantee.*\n.*unsafe/)
    }
  })

  afterAll(async () => {
    await Promise.all([...nodes.values()].map(child => end(child, 'SIGKILL')))
  })

  const data = (command: string, ...args: string[]) =>
    gcache([command, ...on, '--cache', 'c', ...args])

  test('status --json has exactly the promised shape, from any one node', async () => {
    for (const address of addresses) {
      const { code, stdout } = await gcache([
        ...['status', '--json', '--server', address, '--cluster', 'shop'],
      ])
      expect(code).toBe(0)
      const status = JSON.parse(stdout)
      expect(Object.keys(status)).toEqual([
        ...['cluster', 'strategy', 'profile', 'guarantee', 'epoch', 'master', 'members'],
      ])
      expect(status).toMatchObject({
        cluster: 'shop',
        strategy: 'master-slave',
        profile: 'ordinal',
        epoch: expect.any(Number),
        master: 'a',
        guarantee: expect.stringMatching(/./),
      })
      expect(status.members).toEqual(
        ids.map((id, ordinal) => ({
          id,
          ordinal,
          role: id === 'a' ? 'master' : 'slave',
          state: 'online',
          offset: expect.any(Number),
          lag: expect.any(Number),
          address: addresses[ordinal],
        })),
      )
      expect(Object.keys(status.members[0])).toEqual([
        ...['id', 'ordinal', 'role', 'state', 'offset', 'lag', 'address'],
      ])
    }
  })

  test('the table has a line a member, and no colours where piped', async () => {
    const { code, stdout } = await gcache(['status', ...on])
    expect(code).toBe(0)
    expect(stdout).not.toContain('\u001b')
    expect(
      stdout
        .trim()
        .split('\n')
        .slice(3)
        .map(line => line.split(/\s+/)[0]),
    ).toEqual(ids)
  })

  test('set, get, touch and del say what happened with their exit codes', async () => {
    expect(await data('get', 'k')).toEqual({ code: 1, stdout: '', stderr: '' })
    const set = await data('set', 'k', 'hello')
    expect(set.code).toBe(0)
    expect(set.stdout).toMatch(/^\d+\n$/)
    expect(await data('get', 'k')).toEqual({ code: 0, stdout: 'hello', stderr: '' })
    expect((await data('touch', 'k', '--ttl', '60s')).code).toBe(0)
    const line = JSON.parse((await data('get', 'k', '--json')).stdout)
    expect(line).toMatchObject({ key: 'k', value: 'hello', version: Number(set.stdout) })
    expect(line.expiresAt).toBeGreaterThan(Date.now())
    expect((await data('del', 'k')).code).toBe(0)
    expect((await data('del', 'k')).code).toBe(1)
    expect((await data('touch', 'k')).code).toBe(1)
  })

  test('conditions that are not met exit 1 with one line', async () => {
    const version = (await data('set', 'cond', '1')).stdout.trim()
    for (const flags of [['--if-absent'], ['--if-version', '1']]) {
      const refused = await data('set', 'cond', '2', ...flags)
      expect(refused.code).toBe(1)
      expect(refused.stderr).toMatch(/^gcache: [^\n]*\n$/)
    }
    expect((await data('set', 'cond', '3', '--if-version', version)).code).toBe(0)
    expect((await data('get', 'cond')).stdout).toBe('3')
  })

  test('bytes pass through stdin and stdout as they are', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    const args = ['set', ...on, '--cache', 'c', 'raw']
    expect((await gcache([...args, '-'], bytes)).code).toBe(0)
    expect((await gcache(args, bytes)).code).toBe(0)
    const { stdout } = await data('get', 'raw')
    expect(Buffer.from(stdout, 'latin1')).toEqual(Buffer.from(bytes))
  })

  test('get reads from where it is told to', async () => {
    expect((await data('set', 'near', 'by')).code).toBe(0)
    expect((await data('get', 'near', '--read', 'local')).stdout).toBe('by')
    expect((await data('get', 'near', '--read', 'linearizable')).code).toBe(2)
    expect((await data('get', 'near', '--read', 'elsewhere')).code).toBe(2)
  })

  test('a codec turns JSON into what an application reads, and back', async () => {
    expect((await data('set', 'packed', '{"n":1}', '--codec', 'msgpack')).code).toBe(0)
    expect((await data('get', 'packed', '--codec', 'msgpack')).stdout).toBe('{"n":1}\n')
    expect(JSON.parse((await data('get', 'packed', '--json')).stdout).value).toEqual({ n: 1 })
    const refused = await data('set', 'packed', 'no json', '--codec', 'json')
    expect(refused.code).toBe(2)
  })

  test('scan lists keys by prefix, with values where asked', async () => {
    await Promise.all([1, 2, 3].map(n => data('set', `scan-${n}`, `value ${n}`)))
    const keys = await data('scan', 'scan-')
    expect(keys.code).toBe(0)
    expect(keys.stdout.trim().split('\n').sort()).toEqual(['scan-1', 'scan-2', 'scan-3'])
    const lines = (await data('scan', 'scan-', '--values', '--json')).stdout.trim().split('\n')
    expect(lines.map(line => JSON.parse(line)).sort((x, y) => (x.key < y.key ? -1 : 1))).toEqual(
      [1, 2, 3].map(n => ({ key: `scan-${n}`, value: `value ${n}` })),
    )
    expect((await data('scan', 'scan-', '--limit', '2')).stdout.trim().split('\n')).toHaveLength(2)
    expect((await data('scan', 'none-')).code).toBe(1)
  })

  test('watch prints changes as lines of JSON', async () => {
    const args = ['watch', ...on, '--cache', 'w', 'k', '--count', '1']
    const watching = gcache(args)
    let ended = false
    void watching.then(() => {
      ended = true
    })
    // The watch is there at some moment after its process began: writes go on until it saw one.
    for (let n = 0; !ended; n++) await gcache(['set', ...on, '--cache', 'w', `k${n}`, 'v'])
    const { code, stdout } = await watching
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'set',
      value: 'v',
      version: expect.any(Number),
    })
  })

  test('a cache of the configuration keeps its limits', async () => {
    const client = await connect({ cluster: 'shop', servers: addresses })
    for (let n = 0; n < 8; n++) await client.cache('short').set(`k${n}`, 'v')
    await client.close()
    const { stdout } = await gcache(['scan', ...on, '--cache', 'short'])
    expect(stdout.trim().split('\n').length).toBeLessThanOrEqual(5)
    const one = await gcache(['get', ...on, '--cache', 'short', 'k7', '--json'])
    expect(JSON.parse(one.stdout).expiresAt).toBeLessThan(Date.now() + 61_000)
  })

  test('a wrong cluster name is refused with the reason', async () => {
    const { code, stderr } = await gcache(['status', '--server', addresses[0], '--cluster', 'mall'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^gcache: [^\n]*mall[^\n]*shop[^\n]*REFUSED[^\n]*\n$/)
  })

  test('a port in use ends serve with one line and exit 1', async () => {
    // Its log may tell of the history that it began before the bind failed.
    const quiet = ['--log-level', 'silent']
    const { code, stderr } = await gcache([
      'serve',
      '--id',
      'z',
      '--listen',
      addresses[0],
      ...quiet,
    ])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^gcache: [^\n]*ADDRESS_IN_USE[^\n]*\n$/)
  })

  // Last: it takes the cluster apart.
  test('a killed master is replaced, SIGTERM exits 0, and status tells each stage', async () => {
    expect((await data('set', 'kept', 'yes')).code).toBe(0)
    await end(nodes.get('a')!, 'SIGKILL')
    nodes.delete('a')
    expect(await data('get', 'kept')).toMatchObject({ code: 0, stdout: 'yes' })
    const degraded = await gcache(['status', '--json', ...on])
    expect(degraded.code).toBe(1)
    const status = JSON.parse(degraded.stdout)
    expect(status.master).toBe('b')
    expect(status.members[0]).toMatchObject({ id: 'a', state: 'down' })
    for (const id of ['b', 'c']) {
      expect(await end(nodes.get(id)!, 'SIGTERM')).toBe(0)
      nodes.delete(id)
    }
    const none = await gcache(['status', ...on, '--timeout', '1s'])
    expect(none.code).toBe(2)
    expect(none.stderr).toMatch(/^gcache: [^\n]*UNREACHABLE[^\n]*\n$/)
  })
})

describe('one server', () => {
  test('it takes its options from a file, flags before it, and SIGINT exits 0', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gcache-'))
    const file = join(folder, 'node.json')
    writeFileSync(
      file,
      JSON.stringify({
        cluster: 'file',
        id: 'solo',
        members: [{ id: 'solo', ordinal: 3, address: 'tcp://127.0.0.1:0' }],
        strategy: { name: 'master-slave', profile: 'ordinal' },
        caches: { known: {} },
      }),
    )
    try {
      const { child, ready } = await serve(['--config', file, '--no-auto-caches'])
      const address = ready.split(' ')[1]
      expect(ready).toContain('id=solo role=master')
      const on = ['--server', address, '--cluster', 'file']
      expect((await gcache(['set', ...on, '--cache', 'known', 'k', 'v'])).code).toBe(0)
      const refused = await gcache(['set', ...on, '--cache', 'other', 'k', 'v'])
      expect(refused.code).toBe(2)
      expect(refused.stderr).toContain('NO_SUCH_CACHE')
      const healthy = await gcache(['status', ...on])
      expect(healthy.code).toBe(0)
      expect(await end(child, 'SIGINT')).toBe(0)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('a member alone of two is no master: status exits 2 and shows it', async () => {
    const [mine, other] = await freePorts(2)
    const address = `tcp://127.0.0.1:${mine}`
    const child = spawn(
      process.execPath,
      [
        ...[CLI, 'serve', '--id', 'a', '--ordinal', '0', '--listen', address],
        ...['--member', `b=1@tcp://127.0.0.1:${other}`],
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    running.add(child)
    // Its banner says that it listens; it begins without b only after its bootstrap wait.
    await new Promise(resolve => child.stdout.once('data', resolve))
    const { code, stdout } = await gcache(['status', '--json', '--server', address])
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ master: null })
    expect(await end(child, 'SIGTERM')).toBe(0)
    running.delete(child)
  })
})

describe('usage errors', () => {
  test.each([
    [['serve', '--lisen', 'x'], /--listen/],
    [['serv'], /serve/],
    [['serve'], /--id/],
    [['serve', '--id', 'a.b'], /id/],
    [['serve', '--id', 'a', '--member', 'b=1@tcp://127.0.0.1:1'], /lack this node itself/],
    [['serve', '--id', 'a', '--witness', 'a@127.0.0.1:7409'], /has the id of this node/],
    [['serve', '--id', 'a', '--ordinal', '1', '--member', 'b=1@tcp://h:1'], /ordinal 1/],
    [['serve', '--id', 'a', '--listen', 'tcp://0.0.0.0:1'], /authentication/],
    [['serve', '--id', 'a', '--listen', 'smoke://127.0.0.1:1'], /smoke/],
    [['serve', '--id', 'a', '--strategy', 'master-slaves'], /did you mean master-slave/],
    [['serve', '--id', 'a', '--profile', 'mayority'], /did you mean majority/],
    [
      [
        'serve',
        '--id',
        'a',
        '--ordinal',
        '0',
        '--profile',
        'majority',
        '--member',
        'b=1@tcp://127.0.0.1:7401',
      ],
      /2 voters needs floor\(2\/2\) \+ 1 = 2/,
    ],
    [
      ['serve', '--id', 'a', '--ordinal', '0', '--witness', 'w@tcp://127.0.0.1:7409'],
      /profile majority only/,
    ],
    [['witness'], /give --id/],
    [['witness', '--id', 'w', '--data-dir', '/dev/null/x'], /cannot be used/],
    [['serve', '--id', 'a', '--merge', 'lwww'], /did you mean lww/],
    [['serve', '--id', 'a', '--durability', 'fsync'], /not in this version/],
    [['serve', '--id', 'a', '--data-dir', 'x'], /data-dir/],
    [['serve', '--id', 'a', '--cache', 's:tll=1s'], /did you mean ttl/],
    [['serve', '--id', 'a', '--config', '/nowhere.json'], /nowhere/],
    [['get', '--cache', 'c'], /key/],
    [['get', 'k'], /--cache/],
    [['set', '--cache', 'c', 'k', 'v', '--ttl', 'soon'], /soon/],
    [['set', '--cache', 'c', 'k', 'v', '--ack', 'most'], /most/],
    [['get', '--server', 'nonsense://x', '--cache', 'c', 'k'], /nonsense/],
  ])('%j exits 2 and says why', async (args, reason) => {
    const { code, stderr } = await gcache(args)
    expect(code).toBe(2)
    expect(stderr).toMatch(reason)
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  test('--help and --version exit 0', async () => {
    expect(await gcache(['--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/serve/),
    })
    expect((await gcache(['serve', '--help'])).stdout).toContain('max-entries')
    expect((await gcache(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
