/**
 * A crowd of sockets, a process of its own: they become clients of one node and are idle or send
 * one byte a second, watch a cache and never read, or never get further than the door. Whoever is
 * cut off comes again. Told by messages (gathered.ts), it answers each with one.
 */
import { connect, type Socket } from 'node:net'
import { PROTOCOL_VERSION } from '../src/config.js'
import { encodeControl } from '../src/wire/control.js'
import { framed } from '../src/wire/frame.js'
import { encodeGreeting } from '../transports/stream/hello.js'

/**
 * `idle`: linked, and silent. `dripping`: linked, with a frame under way that never ends.
 * `strangers`: dripping before they ever said hello. `unread`: linked, with a watch on `cache`
 * whose events they never take.
 */
export type CrowdKind = 'idle' | 'dripping' | 'strangers' | 'unread'

export interface CrowdOptions {
  readonly kind: CrowdKind
  readonly sockets: number
  readonly cluster: string
  readonly port: number
  readonly cache?: string
}

export interface CrowdState {
  /** Open now, and linked now. */
  readonly open: number
  readonly linked: number
  /** Ended by the other side so far; of kind `unread` this is known up to 2 s later. */
  readonly cut: number
  readonly bytes: number
}

/** Loopback has many addresses on Linux; elsewhere all come from one. */
const HOSTS = process.platform === 'linux' ? 64 : 1
/** Handshakes that are under way at once, from each address. */
const DOORS = 2
const AGAIN_MS = 1_000
/** Strangers are turned away at once, and an attacker's own machine would be the limit. */
const STRANGER_AGAIN_MS = 10_000
const DRIP_EVERY_MS = 2
/** Who reads nothing does not hear that the other side has ended: only what it writes then fails.
 *  The end of a watch that there is not costs the node nothing and is not answered. */
const PROBE_EVERY_MS = 1_000
const PROBE = framed(encodeControl({ type: 'unwatch', id: 0 }))
/** A frame that takes 17 hours at one byte a second. */
const FRAME_BYTES = 60_000

interface Member {
  readonly at: number
  socket: Socket | undefined
  linked: boolean
}

class Crowd {
  readonly #options: CrowdOptions
  readonly #members: Member[]
  readonly #waiting: Member[]
  #greeting = 0
  #linked = 0
  #open = 0
  #cut = 0
  #bytes = 0
  #dripAt = 0
  readonly #beganAt = performance.now()

  constructor(options: CrowdOptions) {
    this.#options = options
    this.#members = Array.from({ length: options.sockets }, (_, at) => ({
      ...{ at, socket: undefined, linked: false },
    }))
    this.#waiting = [...this.#members].reverse()
    this.#fill()
    const drips = options.kind === 'dripping' || options.kind === 'strangers'
    if (drips) setInterval(() => this.#drip(), DRIP_EVERY_MS)
    if (options.kind === 'unread') setInterval(() => this.#probe(), PROBE_EVERY_MS)
  }

  get state(): CrowdState {
    return { open: this.#open, linked: this.#linked, cut: this.#cut, bytes: this.#bytes }
  }

  #fill(): void {
    const strangers = this.#options.kind === 'strangers'
    while (this.#waiting.length > 0 && (strangers || this.#greeting < HOSTS * DOORS))
      this.#dial(this.#waiting.pop() as Member)
  }

  #dial(member: Member): void {
    const { cluster, port, kind } = this.#options
    const local = HOSTS === 1 ? {} : { localAddress: `127.0.0.${2 + (member.at % HOSTS)}` }
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, ...local })
    member.socket = socket
    const stranger = kind === 'strangers'
    this.#greeting++
    let greets = true
    const greeted = () => {
      if (greets) this.#greeting--
      greets = false
      this.#fill()
    }
    socket.on('connect', () => {
      this.#open++
      if (!stranger) socket.write(hello(cluster, `~crowd${member.at}`))
      socket.once('close', () => this.#open--)
    })
    socket.on('data', () => {
      if (member.linked || stranger) return
      member.linked = true
      this.#linked++
      socket.write(Buffer.concat([framed(encodeGreeting({ kind: 'ready' })), this.#firstWord()]))
      if (kind === 'unread') socket.pause()
      greeted()
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      if (member.linked) this.#linked--
      member.linked = false
      member.socket = undefined
      this.#cut++
      greeted()
      setTimeout(
        () => {
          this.#waiting.unshift(member)
          this.#fill()
        },
        stranger ? STRANGER_AGAIN_MS : AGAIN_MS,
      )
    })
  }

  #probe(): void {
    // A node that reads nothing of us has not ended.
    for (const { socket, linked } of this.#members)
      if (linked && socket?.writableLength === 0) socket.write(PROBE)
  }

  /** What a member says once it is linked. */
  #firstWord(): Uint8Array {
    const { kind, cache = '' } = this.#options
    if (kind === 'unread') return framed(encodeControl({ type: 'watch', id: 1, cache, prefix: '' }))
    if (kind !== 'dripping') return Buffer.alloc(0)
    const head = Buffer.alloc(4)
    head.writeUInt32LE(FRAME_BYTES)
    return head
  }

  /** Everybody has a turn once a second. */
  #drip(): void {
    // By the clock: timers come late, and all at once.
    const due = ((performance.now() - this.#beganAt) / 1_000) * this.#members.length
    const count = Math.min(Math.floor(due) - this.#dripAt, this.#members.length)
    const drips = this.#options.kind === 'dripping'
    for (let i = 0; i < count; i++) {
      const { socket, linked } = this.#members[this.#dripAt++ % this.#members.length]
      if (socket === undefined || (drips && !linked)) continue
      socket.write('\x01')
      this.#bytes++
    }
  }
}

function hello(cluster: string, from: string): Uint8Array {
  const who = { cluster, from, to: '*', life: from, dial: Date.now() }
  const version = PROTOCOL_VERSION
  return framed(encodeGreeting({ kind: 'hello', version, frameBytesMax: 2 ** 22, ...who }))
}

let crowd: Crowd | undefined

process.on('message', (message: { open?: CrowdOptions }) => {
  if (message.open !== undefined) crowd = new Crowd(message.open)
  process.send?.({ state: crowd?.state })
})
process.on('disconnect', () => process.exit(0))
