/**
 * A client that proves who it is over real TCP and then says whatever bytes a test wants, to see
 * what a node makes of them: nothing of the client library stands in between.
 */
import { authenticated, clientAuthenticator } from '../../src/auth.js'
import type { ClientAuth } from '../../src/contracts/authentication.js'
import type { Transport } from '../../src/contracts/transport.js'
import { SILENCE } from '../../src/core/silence.js'
import { systemWorld } from '../../src/defaults.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import { type Control, decodeControl, encodeControl } from '../../src/wire/control.js'
import {
  beginRequest,
  beginRequests,
  endRequest,
  FRAME,
  STATUS,
  type Window,
} from '../../src/wire/requests.js'
import { streamTransport } from '../../transports/stream/transport.js'
import { TcpLayer } from '../../transports/tcp.js'

const PATIENCE_MS = 15_000
const NODE = '*node'

export class RawClient {
  readonly id: string
  down: string | undefined
  readonly controls: Control[] = []
  /** Codes by call; 'ok' for whatever is no error. */
  readonly answers = new Map<number, string>()
  /** What the node said to the calls that it refused. */
  readonly messages: string[] = []
  events = 0
  readonly #transport: Transport
  #stream: ReturnType<TcpLayer['dial']> | undefined
  #up = false
  #calls = 0
  #news: () => void = () => {}

  private constructor(id: string, auth: ClientAuth, cluster: string) {
    this.id = id
    const world = { ...systemWorld, logger: SILENCE }
    const factory = authenticated(
      env => {
        const layer = new TcpLayer(env.clock)
        const dial = layer.dial.bind(layer)
        layer.dial = (...to) => (this.#stream = dial(...to))
        return streamTransport(env, layer)
      },
      clientAuthenticator(auth, world),
    )
    this.#transport = factory({ ...world, self: id, cluster })
  }

  /** Rejects with the reason if no link comes up. */
  static async open(
    address: string,
    auth: ClientAuth,
    how: { id?: string; cluster?: string } = {},
  ): Promise<RawClient> {
    const client = new RawClient(how.id ?? '~raw', auth, how.cluster ?? 'test')
    await client.#transport.start({
      onLinkUp: () => client.#changed(() => (client.#up = true)),
      onLinkDown: (_, __, loss, cause) =>
        client.#changed(() => (client.down = cause?.message ?? loss)),
      onFrame: (_, __, frame) => client.#changed(() => client.#heard(Buffer.from(frame))),
      onWritable: () => {},
    })
    client.#transport.connect(NODE, address)
    await client.sees('a link, or none', () => client.#up || client.down !== undefined)
    if (client.down === undefined) return client
    await client.close()
    throw new Error(client.down)
  }

  close(): Promise<void> {
    return this.#transport.stop()
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#stream?.pause()
  }

  say(frame: Uint8Array): void {
    this.#transport.send(NODE, frame)
  }

  tell(message: Control): void {
    this.say(encodeControl(message))
  }

  /** The code that one command ends with. */
  async ask(write: (out: Writer) => void, window?: Window): Promise<string> {
    const out = new Writer()
    const countAt = beginRequests(out, window)
    this.#calls++
    const call = this.#calls
    const start = beginRequest(out, call, 0, 0)
    write(out)
    endRequest(out, start)
    out.patchU16(countAt, 1)
    this.say(out.copy())
    await this.sees(`an answer to ${call}`, () => this.answers.has(call))
    return this.answers.get(call) as string
  }

  /** The first control message of these types that was heard, once it was. */
  async hears<T extends Control['type']>(...types: T[]): Promise<Extract<Control, { type: T }>> {
    const find = () => this.controls.find(({ type }) => types.includes(type as T))
    await this.sees(types.join(' or '), () => find() !== undefined)
    const found = find() as Extract<Control, { type: T }>
    this.controls.splice(this.controls.indexOf(found), 1)
    return found
  }

  async sees(what: string, test: () => boolean): Promise<void> {
    const until = Date.now() + PATIENCE_MS
    while (!test()) {
      const leftMs = until - Date.now()
      if (leftMs <= 0) throw new Error(`${this.id} waited in vain for ${what}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, leftMs)
        this.#news = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  #changed(act: () => unknown): void {
    act()
    this.#news()
  }

  #heard(frame: Buffer): void {
    if (frame[0] === FRAME.control) this.controls.push(decodeControl(frame))
    else if (frame[0] === FRAME.event) this.events++
    else if (frame[0] === FRAME.reply) this.#replied(frame)
  }

  /** Frames hold one answer each: calls are asked one after the other. */
  #replied(frame: Buffer): void {
    const reader = new Reader().open(frame, 33)
    reader.u16()
    const call = reader.u32()
    if (reader.u8() !== STATUS.error) {
      this.answers.set(call, 'ok')
      return
    }
    this.answers.set(call, reader.text8())
    reader.u8()
    this.messages.push(reader.text16())
  }
}
