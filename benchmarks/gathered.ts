/** A crowd of sockets (crowd.ts), as the benchmark that has started its process sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CrowdOptions, CrowdState } from './crowd.js'

const CROWD = fileURLToPath(new URL('./crowd.js', import.meta.url))
/** A crowd that is not there by then does not come: its node has refused it. */
const GATHER_MS_MAX = 60_000

export class Gathered {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Resolves when all are there: linked, or at the door. */
  static async open(options: CrowdOptions): Promise<Gathered> {
    const gathered = new Gathered(fork(CROWD))
    let state = await gathered.#ask({ open: options })
    const until = performance.now() + GATHER_MS_MAX
    // One place of 10,000 is the good client's.
    const isThere = () =>
      // Of the others some have been cut off by then, and wait to come again.
      options.kind === 'idle'
        ? state.linked >= options.sockets * 0.999
        : state.open + state.cut >= options.sockets * 0.999
    while (!isThere()) {
      if (performance.now() > until) {
        gathered.close()
        throw new Error(`the crowd did not gather: ${JSON.stringify(state)}`)
      }
      await pause(100)
      state = await gathered.state()
    }
    return gathered
  }

  state(): Promise<CrowdState> {
    return this.#ask({})
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }

  #ask(question: object): Promise<CrowdState> {
    return new Promise((resolve, reject) => {
      const lost = (code: number | null) => reject(new Error(`the crowd ended with ${code}`))
      this.#child.once('exit', lost)
      this.#child.once('message', ({ state }: { state: CrowdState }) => {
        this.#child.off('exit', lost)
        resolve(state)
      })
      this.#child.send(question)
    })
  }
}
