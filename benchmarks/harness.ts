/**
 * The processes of a benchmark: `gcache serve` nodes as a user starts them, and load generators
 * that are told by messages what to do. All of them die with the benchmark.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { schemeOfTransport } from '../src/registry.js'
import { freePorts } from '../src/server/demo/ports.js'
import { NatsServer } from '../test/harness/nats-server.js'

const CLI = fileURLToPath(new URL('../src/server/cli.js', import.meta.url))
const LOAD = fileURLToPath(new URL('./load.js', import.meta.url))
const READY_MS_MAX = 20_000

const alive = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

function keep(child: ChildProcess): ChildProcess {
  alive.add(child)
  child.once('exit', () => alive.delete(child))
  return child
}

export interface ClusterOptions {
  readonly nodes: number
  /** URL scheme of the transport. */
  readonly transport: string
  /** `nats://host:port`; by itself one is started. */
  readonly broker?: string
  readonly strategy: string
  readonly profile?: string
  /** Of `gcache serve --log-level`; 'warn' by itself. */
  readonly logLevel?: string
  /** More options of `gcache serve`. */
  readonly flags?: readonly string[]
  /** Options of node itself, such as `--max-old-space-size=256`. */
  readonly nodeFlags?: readonly string[]
}

export interface ServerNode {
  readonly id: string
  readonly address: string
  readonly child: ChildProcess
}

/** A broker for as long as a benchmark runs. */
export async function startBroker(): Promise<NatsServer> {
  const server = await NatsServer.start()
  process.on('exit', () => server.end())
  return server
}

/** Nodes of one cluster, each a process. */
export class Cluster {
  readonly name = `bench-${process.pid}`
  readonly servers: string[] = []
  readonly nodes = new Map<string, ServerNode>()
  readonly #options: ClusterOptions
  /** Its own; one that was given is not ended here. */
  readonly #broker: NatsServer | undefined

  private constructor(options: ClusterOptions, broker: NatsServer | undefined) {
    this.#options = options
    this.#broker = broker
  }

  /** Resolves when every node has said that it is ready. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const scheme = schemeOfTransport(options.transport)
    const own = scheme === 'nats' && options.broker === undefined ? await startBroker() : undefined
    const cluster = new Cluster(options, own)
    const broker = scheme === 'nats' ? (options.broker ?? own?.url) : undefined
    const ports = await freePorts(options.nodes)
    for (const [i, port] of ports.entries())
      cluster.servers.push(
        broker === undefined ? `${scheme}://127.0.0.1:${port}` : `${broker}/${idOf(i)}`,
      )
    await Promise.all(cluster.servers.map((_, i) => cluster.startNode(idOf(i))))
    return cluster
  }

  /** Starts the node `id` (again), and resolves when it is ready. */
  async startNode(id: string): Promise<void> {
    const own = this.servers.findIndex((_, i) => idOf(i) === id)
    const members = this.servers.flatMap((address, i) =>
      i === own ? [] : ['--member', `${idOf(i)}=${i}@${address}`],
    )
    const { nodeFlags = [], flags = [] } = this.#options
    const child = keep(
      spawn(
        process.execPath,
        [
          ...nodeFlags,
          ...[CLI, 'serve', '--cluster', this.name, '--id', id, '--ordinal', `${own}`],
          ...['--listen', this.servers[own], '--strategy', this.#options.strategy, ...members],
          ...profileOf(this.#options),
          ...['--log-level', this.#options.logLevel ?? 'warn'],
          ...flags,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      ),
    )
    this.nodes.set(id, { id, address: this.servers[own], child })
    await lineOf(child, /^ready\b/, `node ${id}`)
  }

  /** Ends the node `id` as a power cut would; resolves when the process is gone. */
  kill(id: string): Promise<void> {
    const child = this.nodes.get(id)?.child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null)
      return Promise.resolve()
    const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill('SIGKILL')
    return gone
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes.keys()].map(id => this.kill(id)))
    // It would keep the process of the benchmark alive when all is measured.
    await this.#broker?.close()
  }
}

/** Only master-slave has profiles. */
const profileOf = ({ strategy, profile = 'ordinal' }: ClusterOptions) =>
  strategy === 'master-slave' ? ['--profile', profile] : []
export const idOf = (index: number) => String.fromCharCode(97 + index)

function lineOf(child: ChildProcess, wanted: RegExp, who: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${who} was not ready within ${READY_MS_MAX} ms`)),
      READY_MS_MAX,
    )
    child.once('exit', code => reject(new Error(`${who} ended with exit code ${code}`)))
    if (child.stdout === null) throw new Error(`${who} has no output to read`)
    // Read to the end: a full pipe would block the node.
    createInterface({ input: child.stdout }).on('line', line => {
      if (!wanted.test(line)) return
      clearTimeout(timer)
      resolve()
    })
  })
}

/** Where a load generator sends its calls. */
export type TargetOptions =
  | {
      kind: 'gcache'
      cluster: string
      servers: readonly string[]
      codec: 'bytes' | 'msgpack'
      /** The authority of the nodes' certificates, PEM; without it links are plain. */
      ca?: string
    }
  | { kind: 'embedded'; nodes: number; strategy: string; codec: 'bytes' | 'msgpack' }
  | { kind: 'redis'; port: number; autoPipelining: boolean }
  | { kind: 'nats'; server: string; subject: string }

/** What one call of a run is; redis has several ways to wait for a slave. */
export type Work = 'get' | 'set' | 'set-slave' | 'set-then-wait' | 'set-shared-wait'

export interface RunOptions {
  readonly work: Work
  readonly inFlight: number
  readonly ms: number
}

export interface RunResult {
  readonly opsPerSec: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface LoadOptions {
  readonly target: TargetOptions
  readonly keys: number
  readonly valueBytes: number
}

/** A load generator: a client in a process of its own. */
export class Load {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Resolves when the client is there and every key has a value. */
  static async open(options: LoadOptions): Promise<Load> {
    const load = new Load(keep(fork(LOAD)))
    await load.#ask({ open: options })
    return load
  }

  /** Keeps `inFlight` calls going for `ms`. */
  async run(run: RunOptions): Promise<RunResult> {
    return (await this.#ask({ run })) as RunResult
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }

  #ask(question: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const lost = (code: number | null) =>
        reject(new Error(`a load generator ended with exit code ${code}`))
      this.#child.once('exit', lost)
      this.#child.once('message', (answer: { error?: string; result?: unknown }) => {
        this.#child.off('exit', lost)
        if (answer.error !== undefined) reject(new Error(answer.error))
        else resolve(answer.result)
      })
      this.#child.send(question)
    })
  }
}

/** Memory of a process that is in use, MiB; 0 where the system does not show it. */
export function residentMiB({ pid }: ChildProcess): number {
  try {
    const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kib ?? 0) / 1_024
  } catch {
    return 0
  }
}
