/**
 * The nodes: `gcache serve` as processes that listen on free ports and know each other by proxies.
 * They end with this process, however it ends. A node that ends by itself has broken a law.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Network } from './network.js'

/** The built server, from this file's source and from its compiled twin. */
const CLI = [
  new URL('../../dist/src/server/cli.js', import.meta.url),
  new URL('../../src/server/cli.js', import.meta.url),
]
  .map(url => fileURLToPath(url))
  .find(existsSync)

/** A node that is not ready by then has failed; two cores may be shared with much else. */
const READY_MS_MAX = 60_000

export const CLUSTER = 'nemesis'

interface Life {
  readonly child: ChildProcess
  /** It was told to end, so its end is no news. */
  doomed: boolean
}

export class Cluster {
  /** Nodes that ended though nobody told them to, with their exit codes. */
  readonly crashes: string[] = []
  readonly #network: Network
  readonly #folder: string
  readonly #flags: readonly string[]
  readonly #lives = new Map<string, Life>()
  readonly #starts = new Map<string, number>()
  readonly #onExit = () => this.killAll()

  /** Logs go to `folder`; `flags` to every `gcache serve`. */
  constructor(network: Network, folder: string, flags: readonly string[]) {
    this.#network = network
    this.#folder = folder
    this.#flags = flags
    process.on('exit', this.#onExit)
  }

  get ids(): readonly string[] {
    return this.#network.nodes
  }

  /** What `gcache COMMAND` prints; rejects unless it exits with 0. */
  async command(args: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, [cli(), ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
    let out = ''
    child.stdout?.on('data', chunk => {
      out += chunk
    })
    const code = await new Promise(resolve => child.once('close', resolve))
    if (code !== 0) throw new Error(`gcache ${args.join(' ')} ended with ${code}`)
    return out
  }

  /** Starts `id` with empty memory; resolves when it serves. */
  async serve(id: string): Promise<void> {
    const start = (this.#starts.get(id) ?? 0) + 1
    this.#starts.set(id, start)
    const log = join(this.#folder, `${id}-${start}.log`)
    const err = openSync(log, 'w')
    const args = [cli(), 'serve', ...this.#argumentsOf(id), '--until-stdin-ends']
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', err] })
    closeSync(err)
    child.stdin?.on('error', () => {})
    const life: Life = { child, doomed: false }
    this.#lives.set(id, life)
    child.once('exit', (code, signal) => {
      if (this.#lives.get(id) === life) this.#network.place(id, undefined)
      if (!life.doomed) this.crashes.push(`${id} ended with ${code ?? signal}, see ${log}`)
    })
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${id} is not ready after ${READY_MS_MAX} ms, see ${log}`)),
        READY_MS_MAX,
      )
      const onExit = (code: number | null) => {
        clearTimeout(late)
        reject(new Error(`${id} ended with ${code}: ${lastLine(log)}`))
      }
      child.once('exit', onExit)
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', line => {
        const port = /^\s+address\s+tcp:\/\/\S+:(\d+)/.exec(line)?.[1]
        if (port !== undefined) this.#network.place(id, Number(port))
        if (!line.startsWith('ready')) return
        clearTimeout(late)
        child.off('exit', onExit)
        resolve()
      })
    })
  }

  signal(id: string, signal: NodeJS.Signals): void {
    const life = this.#lives.get(id)
    if (life === undefined) return
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') life.doomed = true
    life.child.kill(signal)
  }

  /** Resolves with the exit code, or the signal that ended it. */
  async ended(id: string): Promise<number | NodeJS.Signals | null> {
    const child = this.#lives.get(id)?.child
    if (child === undefined) return null
    if (child.exitCode !== null || child.signalCode !== null)
      return child.exitCode ?? child.signalCode
    return await new Promise(resolve => child.once('exit', (code, by) => resolve(code ?? by)))
  }

  /** At once, also from an exit handler. A stopped process obeys SIGKILL as well. */
  killAll(): void {
    for (const id of this.#lives.keys()) this.signal(id, 'SIGKILL')
  }

  async stop(): Promise<void> {
    this.killAll()
    await Promise.all(this.ids.map(id => this.ended(id)))
    process.off('exit', this.#onExit)
  }

  #argumentsOf(id: string): string[] {
    const { nodes } = this.#network
    const args = ['--cluster', CLUSTER, '--id', id, '--ordinal', `${nodes.indexOf(id)}`]
    args.push('--listen', 'tcp://127.0.0.1:0', '--advertise', this.#network.address('~0', id))
    for (const [ordinal, other] of nodes.entries())
      if (other !== id)
        args.push('--member', `${other}=${ordinal}@${this.#network.address(id, other)}`)
    return [...args, ...this.#flags]
  }
}

/** Why a node ended, as it said itself. */
function lastLine(log: string): string {
  return readFileSync(log, 'utf8').trimEnd().split('\n').at(-1) ?? ''
}

function cli(): string {
  if (CLI === undefined) throw new Error('dist/ is missing: npm run build')
  return CLI
}
