/**
 * What the demo shows: on a terminal a table that is drawn again and again, above the last events;
 * elsewhere one line an event, so that a log tells the same story.
 */
import type { ClusterStatus } from '../../client/status.js'
import { clipped, grouped, type Paint, paintFor } from '../paint.js'
import { statusTable } from '../status-view.js'
import type { Counts } from './shoppers.js'

const EVENTS_SHOWN = 12
const DRAW_EVERY_MS = 250

export interface ScreenState {
  shopUrl: string
  status: ClusterStatus | undefined
  counts: Counts
  /** Whom `k` kills. */
  whom: string
}

export class Screen {
  readonly live: boolean
  readonly #paint: Paint = paintFor(process.stdout)
  readonly #events: string[] = []
  readonly #state: () => ScreenState
  #timer: NodeJS.Timeout | undefined

  constructor(live: boolean, state: () => ScreenState) {
    this.live = live
    this.#state = state
  }

  start(): void {
    if (!this.live) return
    this.#draw()
    this.#timer = setInterval(() => this.#draw(), DRAW_EVERY_MS)
  }

  stop(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#draw()
  }

  /** Something happened: shown with its time of day. */
  tell(text: string): void {
    const line = `${new Date().toTimeString().slice(0, 8)}  ${text}`
    if (!this.live) {
      process.stdout.write(`${line}\n`)
      return
    }
    this.#events.push(line)
    if (this.#events.length > EVENTS_SHOWN) this.#events.shift()
    this.#draw()
  }

  /** The cluster as it is now, for a log. */
  table(): void {
    const { status } = this.#state()
    if (!this.live && status !== undefined)
      process.stdout.write(statusTable(status, this.#paint, false))
  }

  #draw(): void {
    if (this.#timer === undefined && this.#events.length === 0) return
    const { shopUrl, status, counts, whom } = this.#state()
    const paint = this.#paint
    const lines = [
      paint.bold('Gcache demo: a web shop keeps its users logged in while a node dies'),
      `Three nodes hold the sessions; two shop instances take turns behind ${paint.bold(shopUrl)}`,
      'Log in there with a browser, put something in the cart, press k here, reload there.',
      '',
      status === undefined ? 'asking the cluster ...\n' : statusTable(status, paint),
      `8 shoppers: ${grouped(counts.requests)} requests, ${grouped(counts.failed)} failed, ` +
        `${grouped(counts.acknowledgedWrites)} session writes acknowledged, ` +
        `${grouped(counts.sessions)} sessions on the books`,
      '',
      `${paint.bold('k')} kill ${whom} (SIGKILL)   ${paint.bold('r')} restart the dead node   ` +
        `${paint.bold('q')} quit`,
      '',
    ].flatMap(line => line.split('\n'))
    const { columns = 80, rows = 24 } = process.stdout
    const room = Math.max(1, rows - lines.length - 1)
    const shown = [...lines, ...this.#events.slice(-room)].map(line => clipped(line, columns))
    // Home, then each line to its end, then the rest of the screen: no flicker.
    process.stdout.write(`\u001b[H${shown.join('\u001b[K\n')}\u001b[K\n\u001b[J`)
  }
}
