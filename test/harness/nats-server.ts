/** A real nats-server on a free port of loopback, that dies, stops, and comes back at its port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '../../src/server/demo/ports.js'
import { programPath } from '../../src/server/demo/program-path.js'

const START_MS_MAX = 10_000

export interface NatsServerOptions {
  /** Bytes of one message; the program's own default is 1 MiB. */
  maxPayload?: number
  jetStream?: boolean
}

export class NatsServer {
  readonly port: number
  readonly url: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'gcache-nats-'))
  #child: ChildProcess | undefined

  private constructor(port: number) {
    this.port = port
    this.url = `nats://127.0.0.1:${port}`
  }

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const server = await NatsServer.planned()
    await server.run(options)
    return server
  }

  /** One that is not running yet: its port is chosen, and nobody listens there. */
  static async planned(): Promise<NatsServer> {
    const [port] = await freePorts(1)
    return new NatsServer(port)
  }

  async run({ maxPayload, jetStream = false }: NatsServerOptions = {}): Promise<void> {
    const path = programPath('nats-server')
    if (path === undefined) throw new Error('nats-server is missing')
    const config = join(this.#folder, 'server.conf')
    const lines = [`listen: "127.0.0.1:${this.port}"`]
    if (maxPayload !== undefined) lines.push(`max_payload: ${maxPayload}`)
    if (jetStream) lines.push(`jetstream { store_dir: "${join(this.#folder, 'store')}" }`)
    writeFileSync(config, `${lines.join('\n')}\n`)
    this.#child = spawn(path, ['-c', config], { stdio: 'ignore' })
    const until = performance.now() + START_MS_MAX
    while (!(await answers(this.port))) {
      if (performance.now() > until) throw new Error('nats-server did not start')
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }

  /** Ends the process at once, as a crash does; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    await new Promise<void>(resolve => {
      child.once('exit', () => resolve())
      child.kill('SIGKILL')
    })
  }

  /** Stops it, or lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  async close(): Promise<void> {
    this.signal('SIGCONT')
    await this.kill()
    this.end()
  }

  /** As close(), without waiting: for the end of a process. */
  end(): void {
    this.#child?.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('data', () => end(true))
    socket.once('error', () => end(false))
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
  })
}
