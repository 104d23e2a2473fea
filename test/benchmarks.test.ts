/** The benchmarks print what DESIGN says they print, and refuse what they cannot measure. */
import { execFile } from 'node:child_process'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { options } from '../benchmarks/arguments.js'
import { coresOf } from '../benchmarks/cores.js'
import { median, percentile, Samples } from '../benchmarks/statistics.js'

const RUN = fileURLToPath(new URL('../dist/benchmarks/run.js', import.meta.url))

interface Ended {
  readonly code: number
  readonly rows: Record<string, unknown>[]
  readonly errors: string
}

function bench(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return new Promise(resolve => {
    execFile(process.execPath, [RUN, ...args], { env }, (error, stdout, errors) => {
      const rows = stdout.split('\n').filter(line => line.startsWith('{'))
      const code = typeof error?.code === 'number' ? error.code : 0
      resolve({ code, rows: rows.map(row => JSON.parse(row)), errors })
    })
  })
}

describe('statistics', () => {
  test('a percentile is a value that was measured', () => {
    const sorted = Array.from({ length: 100 }, (_, i) => i)
    expect([0, 0.5, 0.99, 1].map(share => percentile(sorted, share))).toEqual([0, 50, 99, 99])
    expect(percentile([7], 0.99)).toBe(7)
    expect(percentile([], 0.5)).toBeNaN()
  })

  test('the median lies in the middle, of an even count between two', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([9, 1, 5, 7])).toBe(6)
  })

  test('samples keep the newest of their capacity, sorted', () => {
    const samples = new Samples(3)
    for (const value of [9, 4, 3, 8, 1]) samples.add(value)
    expect([...samples.sorted()]).toEqual([1, 3, 8])
    const few = new Samples(3)
    few.add(2)
    expect([...few.sorted()]).toEqual([2])
  })
})

test.each([
  ['0', [0]],
  ['0-1', [0, 1]],
  ['2,5-7,9', [2, 5, 6, 7, 9]],
])('of the list %s are the cores %j', (list, cores) => {
  expect(coresOf(list)).toEqual(cores)
})

describe('options', () => {
  const defaults = { json: false, kills: 50, only: '' }

  test('are read by their defaults', () => {
    expect(options(['--kills', '5', '--json'], defaults)).toEqual({
      ...{ json: true, kills: 5, only: '' },
    })
  })

  test('unknown ones and numbers that are none are refused by name', () => {
    expect(() => options(['--kill', '5'], defaults)).toThrow('--kill')
    expect(() => options(['--kills', 'many'], defaults)).toThrow('--kills')
    expect(() => options(['--kills', '0'], defaults)).toThrow('--kills')
  })
})

describe('npm run bench', () => {
  test('throughput prints a row for each work and number in flight', async () => {
    const few = ['--ms', '50', '--runs', '1', '--in-flight', '1,10', '--json']
    const { code, rows, errors } = await bench(['throughput', '--transport', 'memory', ...few])
    expect({ code, errors }).toEqual({ code: 0, errors: '' })
    const common = { bench: 'throughput', transport: 'memory', strategy: 'master-slave' }
    const names = [...Object.keys(common), 'valueBytes', 'inFlight', 'ack']
    for (const row of rows) {
      expect(Object.keys(row)).toEqual([...names, 'opsPerSec', 'p50Ms', 'p99Ms'])
      expect(row).toMatchObject({ ...common, valueBytes: 100 })
      expect(row.opsPerSec).toBeGreaterThan(0)
    }
    expect(rows.map(({ ack, inFlight }) => `${ack} ${inFlight}`)).toEqual(
      ['read', 'master', 'slaves:1'].flatMap(ack => [`${ack} 1`, `${ack} 10`]),
    )
  }, 60_000)

  test('failover kills the master of real processes, and loses nothing', async () => {
    const { code, rows, errors } = await bench(['failover', '--kills', '2', '--json'])
    expect(code, errors).toBe(0)
    expect(rows).toHaveLength(1)
    expect(Object.keys(rows[0])).toEqual([
      ...['bench', 'transport', 'strategy', 'kills', 'p50Ms', 'p99Ms', 'maxMs'],
      ...['acknowledged', 'failed', 'lost'],
    ])
    expect(rows[0]).toMatchObject({ bench: 'failover', kills: 2, lost: 0 })
    expect(rows[0].acknowledged).toBeGreaterThan(0)
    expect(rows[0].p50Ms).toBeGreaterThan(0)
  }, 120_000)

  test('sockets: 500 that drip leave a good client and the memory of its node alone', async () => {
    const few = ['--kinds', 'dripping', '--sockets', '500', '--runs', '3', '--ms', '200']
    const { code, rows, errors } = await bench(['sockets', ...few, '--settle-ms', '500', '--json'])
    expect(code, errors).toBe(0)
    expect(rows).toHaveLength(1)
    const [row] = rows
    const what = { bench: 'sockets', crowd: 'dripping', sockets: 500, work: 'get', inFlight: 10 }
    expect(row).toMatchObject(what)
    expect(row.linked).toBeGreaterThan(400)
    expect(row.bytes).toBeGreaterThan(100)
    // Generous: a starved machine is not what is measured here.
    expect(row.ratio, JSON.stringify(row)).toBeLessThan(20)
    expect(row.addedMiB, JSON.stringify(row)).toBeLessThan(32)
  }, 120_000)

  test('sockets: a crowd of an unknown kind is refused by name', async () => {
    const { code, errors } = await bench(['sockets', '--kinds', 'rude'])
    expect(code).toBe(1)
    expect(errors).toContain('idle, dripping, strangers')
  }, 30_000)

  test('unread: a stopped slave and watchers that never read cost a node little', async () => {
    const few = ['--seconds', '4', '--rate', '1000', '--watchers', '50', '--json']
    const { code, rows, errors } = await bench(['unread', ...few])
    expect(code, errors).toBe(0)
    expect(rows.map(({ who }) => who)).toEqual(['slave', 'watchers'])
    for (const row of rows) {
      expect(row, JSON.stringify(row)).toMatchObject({ heapMiB: 256, failed: 0 })
      expect(row.perSecond, JSON.stringify(row)).toBeGreaterThan(100)
      // The backlog and 32 MiB.
      expect(row.addedMiB, JSON.stringify(row)).toBeLessThan(96)
    }
  }, 120_000)

  test('unread: a watcher that never reads notices that it was cut off', async () => {
    const built = new URL('../dist/benchmarks/gathered.js', import.meta.url).href
    const { Gathered } = (await import(built)) as typeof import('../benchmarks/gathered.js')
    const sockets: Socket[] = []
    // As a node for as much as a crowd sees of one: it answers, and says more than anybody reads.
    const server = createServer(socket => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.once('data', () => socket.write(Buffer.alloc(2 ** 20)))
      socket.resume()
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const crowd = await Gathered.open({
      kind: 'unread',
      sockets: 5,
      cluster: 'x',
      port,
      cache: 'c',
    })
    try {
      expect((await crowd.state()).cut).toBe(0)
      server.close()
      for (const socket of sockets) socket.destroy()
      await vi.waitUntil(async () => (await crowd.state()).linked === 0, { timeout: 20_000 })
      expect((await crowd.state()).cut).toBeGreaterThanOrEqual(5)
    } finally {
      crowd.close()
    }
  }, 60_000)

  test('unread: nobody of another kind', async () => {
    const { code, errors } = await bench(['unread', '--kinds', 'master'])
    expect(code).toBe(1)
    expect(errors).toContain('slave, watchers')
  }, 30_000)

  test('peers without redis-server names the package that has it', async () => {
    const { code, rows, errors } = await bench(['peers', '--json'], { PATH: '/nowhere' })
    expect({ code, rows }).toEqual({ code: 1, rows: [] })
    expect(errors).toContain('Debian package redis-server')
  }, 30_000)

  test('an unknown benchmark is refused with the names that there are', async () => {
    const { code, errors } = await bench(['thruput'])
    expect(code).toBe(2)
    const names = 'throughput, broadcast, failover, media, nats, partitioned, peers, report'
    expect(errors).toContain(`${names}, slow-slave, sockets, unread`)
  })
})
