/**
 * A TCP proxy on loopback for one direction of dialling: whoever dials `address` talks to `target`.
 * Bytes each way pass, stall (they come later, as if sent again) or vanish. As on a real network a
 * stream with a hole never goes on: sockets that lost bytes are reset when the fault ends.
 *
 *   dialler --forth--> proxy --forth--> target
 *   dialler <--back--- proxy <--back--- target
 */
import { connect, createServer, type Server, type Socket } from 'node:net'

export type Passage = 'pass' | 'stall' | 'vanish'

/** A lane stops reading beyond it: what a slow reader owes is its sender's matter. */
const LANE_BYTES_MAX = 2 ** 20

export class LinkProxy {
  /** What is dialled: `tcp://127.0.0.1:port`, the same for the proxy's whole life. */
  address = ''
  /** Port on loopback; undefined: nobody listens there, so dials are reset. */
  target: number | undefined
  /** Resets every dial, as a firewall that answers does. */
  refuses = false
  /** Added each way, ms. */
  latencyMs = 0
  /** Of all that vanished so far. */
  lostBytes = 0
  readonly #server: Server
  readonly #wires = new Set<Wire>()
  #forth: Passage = 'pass'
  #back: Passage = 'pass'

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
    // tidy: allow connection - node:net calls it so
    this.#server.on('connection', socket => this.#accept(socket))
  }

  /** Listens on a free port. */
  static async open(): Promise<LinkProxy> {
    const proxy = new LinkProxy()
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve)
    })
    const { port } = proxy.#server.address() as { port: number }
    proxy.address = `tcp://127.0.0.1:${port}`
    return proxy
  }

  /** What happens to bytes of dialler to target (`forth`) and of target to dialler (`back`). */
  set(passages: { forth?: Passage; back?: Passage }): void {
    this.#forth = passages.forth ?? this.#forth
    this.#back = passages.back ?? this.#back
    for (const wire of this.#wires) wire.set(this.#forth, this.#back)
  }

  /** Both ways pass again; what lost bytes meanwhile is reset. */
  resume(): void {
    this.refuses = false
    this.set({ forth: 'pass', back: 'pass' })
  }

  /** Ends every open pair of sockets with a reset. */
  reset(): void {
    for (const wire of this.#wires) wire.reset()
  }

  async close(): Promise<void> {
    this.reset()
    await new Promise<void>(resolve => this.#server.close(() => resolve()))
  }

  #accept(socket: Socket): void {
    if (this.refuses || this.target === undefined) {
      socket.on('error', () => {})
      socket.resetAndDestroy()
      return
    }
    const wire = new Wire(socket, this)
    this.#wires.add(wire)
    wire.onOver = () => this.#wires.delete(wire)
    wire.set(this.#forth, this.#back)
  }
}

/** One dialled socket and its way to the target. */
class Wire {
  onOver = (): void => {}
  readonly #proxy: LinkProxy
  readonly #dialler: Socket
  #target: Socket | undefined
  #lanes: Lane[] = []
  /** The dial itself was lost. */
  #lost = false

  constructor(dialler: Socket, proxy: LinkProxy) {
    this.#dialler = dialler
    this.#proxy = proxy
    this.#watch(dialler)
  }

  set(forth: Passage, back: Passage): void {
    if (this.#target === undefined) {
      if (forth === 'vanish' || back === 'vanish') this.#lost = true
      else if (this.#lost) this.reset()
      else if (forth === 'pass' && back === 'pass') this.#open()
      return
    }
    const [there, home] = this.#lanes
    there.set(forth)
    home.set(back)
    const holed = this.#lanes.some(lane => lane.holed && lane.passage === 'pass')
    if (holed) this.reset()
  }

  reset(): void {
    for (const socket of [this.#dialler, this.#target]) socket?.resetAndDestroy()
    for (const lane of this.#lanes) lane.stop()
    this.onOver()
  }

  #open(): void {
    const { target: port } = this.#proxy
    if (port === undefined) {
      this.reset()
      return
    }
    const target = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    this.#target = target
    this.#watch(target)
    this.#lanes = [
      new Lane(this.#dialler, target, this.#proxy),
      new Lane(target, this.#dialler, this.#proxy),
    ]
    this.#dialler.resume()
  }

  #watch(socket: Socket): void {
    socket.on('error', () => {})
    socket.on('close', () => {
      const ended = [this.#dialler, this.#target].every(
        each => each === undefined || each.destroyed,
      )
      if (ended) this.onOver()
    })
  }
}

/** Bytes of one socket to another, in order. */
class Lane {
  passage: Passage = 'pass'
  /** Bytes, or the end, are missing: this stream can never go on. */
  holed = false
  readonly #source: Socket
  readonly #sink: Socket
  readonly #proxy: LinkProxy
  #queue: { readonly dueMs: number; readonly chunk: Buffer | undefined }[] = []
  #queuedBytes = 0
  #timer: NodeJS.Timeout | undefined
  #ended = false

  constructor(source: Socket, sink: Socket, proxy: LinkProxy) {
    this.#source = source
    this.#sink = sink
    this.#proxy = proxy
    source.on('data', chunk => this.#carry(chunk))
    source.on('end', () => this.#carry(undefined))
    source.on('close', () => this.#onSourceClosed())
    sink.on('drain', () => this.#read())
  }

  set(passage: Passage): void {
    this.passage = passage
    if (passage === 'stall') this.#source.pause()
    else this.#read()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#queue = []
  }

  #read(): void {
    const full = this.#queuedBytes > LANE_BYTES_MAX || this.#sink.writableNeedDrain
    if (this.passage !== 'stall' && !full) this.#source.resume()
  }

  /** Undefined: the end. */
  #carry(chunk: Buffer | undefined): void {
    if (this.passage === 'vanish') {
      this.holed = true
      this.#proxy.lostBytes += chunk?.length ?? 0
      return
    }
    if (chunk === undefined) this.#ended = true
    const { latencyMs } = this.#proxy
    if (latencyMs === 0 && this.#queue.length === 0) {
      this.#write(chunk)
      return
    }
    this.#queue.push({ dueMs: performance.now() + latencyMs, chunk })
    this.#queuedBytes += chunk?.length ?? 0
    if (this.#queuedBytes > LANE_BYTES_MAX) this.#source.pause()
    this.#timer ??= setTimeout(() => this.#deliver(), latencyMs)
  }

  #deliver(): void {
    this.#timer = undefined
    const now = performance.now()
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (next.dueMs > now) {
        this.#timer = setTimeout(() => this.#deliver(), next.dueMs - now)
        break
      }
      this.#queue.shift()
      this.#queuedBytes -= next.chunk?.length ?? 0
      this.#write(next.chunk)
    }
    this.#read()
  }

  #write(chunk: Buffer | undefined): void {
    if (this.#sink.destroyed) return
    if (chunk === undefined) this.#sink.end()
    else if (!this.#sink.write(chunk)) this.#source.pause()
  }

  /** Without an end before it this was a reset: the other side learns of it if the way is open. */
  #onSourceClosed(): void {
    if (this.#ended) return
    if (this.passage === 'pass') this.#sink.resetAndDestroy()
    else this.holed = true
  }
}
