/**
 * redis-server processes to compare with: one alone, or a master with one slave of its own, on free
 * ports, in memory only. Nothing is installed by itself: a missing binary is named.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePorts } from '../src/server/demo/ports.js'

export interface RedisServers {
  readonly port: number
  readonly pids: readonly (number | undefined)[]
  stop(): void
}

const HINT = 'redis-server was not found: install the Debian package redis-server (apt install)'
const READY_MS_MAX = 15_000

/** Starts a master and `slaves` slaves; resolves when every slave is in step with the master. */
export async function startRedis(slaves: number): Promise<RedisServers> {
  const children: ChildProcess[] = []
  // A slave's first copy goes through a file, though nothing is kept.
  const folder = mkdtempSync(join(tmpdir(), 'gcache-redis-'))
  const stop = () => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const [port, ...slavePorts] = await freePorts(1 + slaves)
    children.push(await start(port, folder, []))
    for (const slavePort of slavePorts)
      children.push(await start(slavePort, folder, ['--replicaof', `127.0.0.1 ${port}`]))
    await inStep(port, slaves)
    return { port, pids: children.map(({ pid }) => pid), stop }
  } catch (error) {
    stop()
    throw error
  }
}

async function start(port: number, folder: string, more: readonly string[]): Promise<ChildProcess> {
  const memoryOnly = ['--save', '', '--appendonly', 'no', '--bind', '127.0.0.1']
  const child = spawn('redis-server', ['--port', `${port}`, ...memoryOnly, ...more], {
    stdio: 'ignore',
    cwd: folder,
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', error =>
      reject((error as NodeJS.ErrnoException).code === 'ENOENT' ? new Error(HINT) : error),
    )
  })
  return child
}

/** WAIT answers how many slaves have the last write: the proof that they follow. */
async function inStep(port: number, slaves: number): Promise<void> {
  const redis = new Redis(port, { retryStrategy: () => 50, maxRetriesPerRequest: null })
  redis.on('error', () => {}) // refused until the server listens
  const deadline = performance.now() + READY_MS_MAX
  try {
    for (;;) {
      await redis.set('ready', '1')
      if ((await redis.wait(slaves, 200)) >= slaves) return
      if (performance.now() > deadline)
        throw new Error(`redis-server on port ${port} has no ${slaves} slaves in step`)
    }
  } finally {
    redis.disconnect()
  }
}
