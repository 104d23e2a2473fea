/** Real `gcache serve` processes on loopback, for tests that kill and stop them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../src/server/demo/ports.js'
import { MEDIA, type ProcessMedium } from './media.js'

export { freePorts }

export const CLI = fileURLToPath(new URL('../../dist/src/server/cli.js', import.meta.url))
/** A server that is not ready by then has failed. */
const READY_MS_MAX = 20_000

/** Of all nodes, or of each. */
type ServeFlags = readonly string[] | ((id: string) => readonly string[])

export class ServedCluster {
  readonly #children = new Map<string, ChildProcess>()
  readonly #ports: readonly number[]
  readonly ids: readonly string[]

  readonly #flags: ServeFlags
  readonly #medium: ProcessMedium

  private constructor(
    ids: readonly string[],
    ports: readonly number[],
    flags: ServeFlags,
    medium: ProcessMedium,
  ) {
    this.ids = ids
    this.#ports = ports
    this.#flags = flags
    this.#medium = medium
  }

  /** Starts `count` nodes named a, b, c ... with `flags`; resolves when all are ready. */
  static async start(
    count: number,
    flags: ServeFlags = [],
    medium: ProcessMedium = MEDIA[0],
  ): Promise<ServedCluster> {
    if (!existsSync(CLI)) throw new Error('dist/ is missing: npm test builds it, or npm run build')
    const ids = Array.from({ length: count }, (_, i) => String.fromCharCode(97 + i))
    const cluster = new ServedCluster(ids, await freePorts(count), flags, medium)
    await Promise.all(ids.map(id => cluster.serve(id)))
    return cluster
  }

  get servers(): string[] {
    return this.ids.map(id => this.address(id))
  }

  address(id: string): string {
    return this.#medium.address(this.#ports[this.ids.indexOf(id)])
  }

  /** Starts one node, with empty memory; resolves when it prints that it is ready. */
  async serve(id: string): Promise<void> {
    const ordinal = this.ids.indexOf(id)
    const args = [CLI, 'serve', '--cluster', 'proof', '--id', id, '--ordinal', String(ordinal)]
    const flags = typeof this.#flags === 'function' ? this.#flags(id) : this.#flags
    args.push('--listen', this.address(id), ...flags)
    for (const [i, other] of this.ids.entries())
      if (other !== id) args.push('--member', `${other}=${i}@${this.address(other)}`)
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#children.set(id, child)
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${id} is not ready`)), READY_MS_MAX)
      child.once('exit', code => reject(new Error(`${id} ended with ${code}`)))
      createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on(
        'line',
        line => {
          if (!line.startsWith('ready')) return
          clearTimeout(late)
          resolve()
        },
      )
    })
  }

  signal(id: string, signal: NodeJS.Signals): void {
    this.#children.get(id)?.kill(signal)
  }

  /** Resolves with the exit code, or the signal that ended it. */
  async ended(id: string): Promise<number | NodeJS.Signals | null> {
    const child = this.#children.get(id)
    if (child === undefined) return null
    if (child.exitCode !== null || child.signalCode !== null)
      return child.exitCode ?? child.signalCode
    return await new Promise(resolve => child.once('exit', (code, by) => resolve(code ?? by)))
  }

  async stop(): Promise<void> {
    for (const id of this.#children.keys()) this.signal(id, 'SIGKILL')
    await Promise.all(this.ids.map(id => this.ended(id)))
  }
}

export interface CommandEnd {
  code: number | null
  out: string
  err: string
}

/** Runs one command to its end. */
export function gcache(...args: string[]): Promise<CommandEnd> {
  return gcacheWith(args)
}

/** Runs one command to its end, with `input` on stdin, `env` beside the environment, and its stdout
 *  read, or at the file `stdout`. */
export function gcacheWith(
  args: readonly string[],
  input: string | Uint8Array = '',
  env: Record<string, string> = {},
  stdout: 'pipe' | number = 'pipe',
): Promise<CommandEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { ...process.env, ...env },
      stdio: ['pipe', stdout, 'pipe'],
    })
    let [out, err] = ['', '']
    child.stdout?.on('data', chunk => (out += chunk))
    child.stderr?.on('data', chunk => (err += chunk))
    child.once('error', reject)
    child.once('close', code => resolve({ code, out, err }))
    child.stdin?.end(input)
  })
}
