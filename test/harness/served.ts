/** One `gcache serve` process and what it prints, for tests that wait for a line. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { CLI } from './processes.js'

/** A server, and what it logs. */
export class Served {
  readonly #child: ChildProcess
  readonly #log: string[] = []
  readonly #waiting = new Set<() => void>()
  readonly ended: Promise<number | null>

  /** `command`: `serve`, or `witness`, which is served the same way. */
  constructor(args: readonly string[], stdio: StdioOptions = 'pipe', command = 'serve') {
    this.#child = spawn(process.execPath, [CLI, command, ...args], { stdio })
    this.ended = new Promise(resolve => this.#child.once('exit', resolve))
    for (const stream of [this.#child.stdout, this.#child.stderr])
      if (stream !== null)
        createInterface({ input: stream }).on('line', line => {
          this.#log.push(line)
          for (const look of [...this.#waiting]) look()
        })
  }

  /** Closes our end of its stdout: what it prints from now on meets EPIPE. */
  leaveStdout(): void {
    this.#child.stdout?.destroy()
  }

  /** Resolves once a line that holds `text` was printed, `times` times. */
  says(text: string, times = 1): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new Error(`never said ${text}, but\n${this.#log.join('\n')}`))
      }, 20_000)
      const look = () => {
        if (this.#log.filter(line => line.includes(text)).length < times) return
        clearTimeout(late)
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get log(): string {
    return this.#log.join('\n')
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }
}
