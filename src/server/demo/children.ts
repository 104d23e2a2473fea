/**
 * The demo's processes, which surely end with it: each closes when its stdin ends, which the system
 * does for a parent that crashed, and what is left at our own exit is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { GcacheError } from '../../errors.js'

const START_MS_MAX = 15_000
const LAST_WORDS_MAX = 5

/** One process of ours. */
export interface Child {
  readonly name: string
  readonly pid: number
  /** Resolves once the process is gone. */
  readonly exited: Promise<void>
  readonly alive: boolean
  /** What stood behind `ready` on stdout; rejects if it dies or stays silent for 15 s. */
  ready(): Promise<string>
  kill(signal: NodeJS.Signals): void
}

export class Children {
  readonly #children = new Set<ChildProcess>()
  #ended = false
  readonly #killAll = () => {
    for (const child of this.#children) child.kill('SIGKILL')
  }

  constructor() {
    process.on('exit', this.#killAll)
  }

  /** Starts `gcache ARGS --until-stdin-ends`; `secrets` go by environment, not by argv. */
  start(name: string, args: readonly string[], secrets: Record<string, string> = {}): Child {
    if (this.#ended) throw new GcacheError('CLOSED', 'the demo has ended')
    const cli = fileURLToPath(new URL('../cli.js', import.meta.url))
    const child = spawn(process.execPath, [cli, ...args, '--until-stdin-ends'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...secrets },
    })
    this.#children.add(child)
    // A dead process's stdin answers EPIPE: nothing to do about it.
    child.stdin.on('error', () => {})
    const exited = new Promise<void>(resolve => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    void exited.then(() => this.#children.delete(child))
    const ready = readyLine(child, name, exited)
    // Whoever waits hears of it; nobody has to.
    ready.catch(() => {})
    return {
      name,
      pid: child.pid ?? 0,
      exited,
      get alive() {
        return child.exitCode === null && child.signalCode === null
      },
      ready: () => ready,
      kill: signal => void child.kill(signal),
    }
  }

  /** Asks all to close, then kills who has not within `graceMs`. */
  async end(graceMs = 2_000): Promise<void> {
    this.#ended = true
    const left = [...this.#children]
    const gone = left.map(child => new Promise(resolve => child.once('exit', resolve)))
    for (const child of left) child.kill('SIGTERM')
    const late = setTimeout(this.#killAll, graceMs)
    await Promise.all(gone)
    clearTimeout(late)
    process.off('exit', this.#killAll)
  }
}

function readyLine(child: ChildProcess, name: string, exited: Promise<void>): Promise<string> {
  const lastWords: string[] = []
  createInterface({ input: child.stderr! }).on('line', line => {
    lastWords.push(line)
    if (lastWords.length > LAST_WORDS_MAX) lastWords.shift()
  })
  return new Promise((resolve, reject) => {
    const fail = (what: string) =>
      reject(new GcacheError('NOT_READY', `${name} ${what}: ${lastWords.join(' | ') || 'silence'}`))
    const late = setTimeout(() => fail(`was not ready within ${START_MS_MAX} ms`), START_MS_MAX)
    // stdout is read to its end, so that the child never waits for a full pipe.
    createInterface({ input: child.stdout! }).on('line', line => {
      if (!line.startsWith('ready ')) return
      clearTimeout(late)
      resolve(line.slice('ready '.length))
    })
    void exited.then(() => {
      clearTimeout(late)
      fail('ended')
    })
  })
}
