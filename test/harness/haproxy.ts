/**
 * A real HAProxy on a free port of loopback, in front of WebSocket nodes: path `/<id>` leads to the
 * node of that id. It can be told to end what passes through it, and be stopped and started again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programPath } from '../../src/server/demo/program-path.js'
import { freePorts } from './processes.js'

const START_MS_MAX = 10_000
const TRY_EVERY_MS = 20

export interface ProxyOptions {
  /** Port of each node, by id. */
  readonly nodes: Readonly<Record<string, number>>
  /** A certificate and its key, PEM: TLS ends here. */
  readonly pem?: string
}

export class HaProxy {
  readonly port: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'gcache-haproxy-'))
  #child: ChildProcess | undefined

  private constructor(port: number) {
    this.port = port
  }

  static async start(options: ProxyOptions): Promise<HaProxy> {
    const [port] = await freePorts(1)
    const proxy = new HaProxy(port)
    if (options.pem !== undefined) writeFileSync(proxy.#file('pem'), options.pem)
    writeFileSync(proxy.#file('cfg'), proxy.#configuration(options))
    await proxy.resume()
    return proxy
  }

  /** Starts it, again; resolves once it takes connections. */ // tidy: allow connection - TCP's
  async resume(): Promise<void> {
    const args = ['-db', '-f', this.#file('cfg')]
    const child = spawn(programPath('haproxy') as string, args, { stdio: 'ignore' })
    this.#child = child
    const deadline = performance.now() + START_MS_MAX
    while (!(await this.#answers())) {
      if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`)
      if (performance.now() > deadline) throw new Error('haproxy does not answer')
      await new Promise(resolve => setTimeout(resolve, TRY_EVERY_MS))
    }
  }

  /** Ends every link that passes through it to the node `id`. */
  cut(id: string): Promise<void> {
    return this.#order(`shutdown sessions server ${id}/${id}`)
  }

  /** Ends its process, and what passes through it. */
  async pause(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise(resolve => {
      child.once('exit', resolve)
      child.kill('SIGKILL')
    })
  }

  async stop(): Promise<void> {
    await this.pause()
    rmSync(this.#folder, { recursive: true })
  }

  #file(ending: string): string {
    return join(this.#folder, `proxy.${ending}`)
  }

  #configuration({ nodes, pem }: ProxyOptions): string {
    const ids = Object.keys(nodes)
    const tls = pem === undefined ? '' : ` ssl crt ${this.#file('pem')}`
    return [
      'global',
      '  maxconn 200',
      `  stats socket ${this.#file('sock')} mode 600 level admin`,
      'defaults',
      '  mode http',
      '  timeout connect 2s',
      '  timeout client 30s',
      '  timeout server 30s',
      '  timeout tunnel 1h',
      'frontend all',
      `  bind 127.0.0.1:${this.port}${tls}`,
      ...ids.map(id => `  use_backend ${id} if { path /${id} }`),
      ...ids.flatMap(id => [`backend ${id}`, `  server ${id} 127.0.0.1:${nodes[id]}`]),
      '',
    ].join('\n')
  }

  #answers(): Promise<boolean> {
    return new Promise(resolve => {
      const socket = connect({ port: this.port, host: '127.0.0.1' })
      socket.once('connect', () => socket.destroy())
      socket.once('error', () => resolve(false))
      socket.once('close', failed => resolve(!failed))
    })
  }

  #order(command: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#file('sock'), () => socket.end(`${command}\n`))
      socket.once('error', reject)
      socket.resume().once('close', () => resolve())
    })
  }
}
