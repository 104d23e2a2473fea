/**
 * Strangers on a bare stream, in memory, over TCP and WebSockets: they say what they like, when
 * they like. One body of a test runs over all these media.
 */
import { test } from 'vitest'
import { LIMITS, PROTOCOL_VERSION } from '../../src/config.js'
import type { LinkLoss } from '../../src/contracts/transport.js'
import type { Bench, BenchNode } from '../../src/testing/transport-bench.js'
import { framed } from '../../src/wire/frame.js'
import type { MemoryFaults } from '../../transports/memory.js'
import { encodeGreeting, type Hello } from '../../transports/stream/hello.js'
import type { StreamLayer } from '../../transports/stream/layer.js'
import type { StreamOptions } from '../../transports/stream/limits.js'
import { overTcp, overWeb, simulated } from './networks.js'

export interface Ground {
  readonly name: 'memory' | 'tcp' | 'websocket'
  readonly bench: Bench
}

/** Registers `name` once a medium; the bench is closed and must have seen no violation. */
export function overStreams(
  name: string,
  options: StreamOptions | ((medium: Ground['name']) => StreamOptions),
  body: (ground: Ground) => Promise<void>,
  faults: Partial<MemoryFaults> = {},
): void {
  for (const medium of ['memory', 'tcp', 'websocket'] as const)
    test(`${name} (${medium})`, async () => {
      const chosen = typeof options === 'function' ? options(medium) : options
      const bench = {
        memory: () => simulated(1, faults, chosen).bench,
        tcp: () => overTcp(1, chosen),
        websocket: () => overWeb(1, chosen),
      }[medium]()
      try {
        await body({ name: medium, bench })
        if (bench.violations.length > 0) throw new Error(bench.violations.join('\n'))
      } finally {
        await bench.close()
      }
    }, 30_000)
}

export class Stranger {
  loss: LinkLoss | undefined
  open = false
  readonly #bench: Bench
  readonly #target: BenchNode
  readonly #layer: StreamLayer
  readonly #stream: ReturnType<StreamLayer['dial']>
  #heard: Buffer[] = []
  heardBytes = 0

  /** `host`: its address where the medium has no other. */
  constructor(bench: Bench, target: BenchNode, host = 'stranger') {
    this.#bench = bench
    this.#target = target
    const layer = bench.medium.layer?.(host)
    if (layer === undefined) throw new Error('a medium without streams')
    this.#layer = layer
    this.#stream = layer.dial(target.transport.address, {
      onOpen: () => {
        this.open = true
      },
      onData: chunk => {
        this.heardBytes += chunk.length
        if (this.#heard.length < 16) this.#heard.push(Buffer.from(chunk))
      },
      onDrain() {},
      onClose: loss => {
        this.loss = loss
      },
    })
  }

  static async opened(bench: Bench, target: BenchNode, host?: string): Promise<Stranger> {
    const stranger = new Stranger(bench, target, host)
    await bench.sees('the stranger is connected', () => stranger.open)
    return stranger
  }

  get closed(): boolean {
    return this.loss !== undefined
  }

  get unsentBytes(): number {
    return this.#stream.unsentBytes
  }

  get heard(): string {
    return Buffer.concat(this.#heard).toString('latin1')
  }

  write(bytes: Uint8Array): void {
    this.#stream.write(Buffer.from(bytes))
  }

  hello(from: string, fields: Partial<Hello> = {}): void {
    const who = { cluster: 'suite', from, to: this.#target.id, life: 'once', dial: 1 }
    const frameBytesMax = LIMITS.peerFrameBytesMax
    const all = { version: PROTOCOL_VERSION, frameBytesMax, ...who, ...fields }
    this.write(framed(encodeGreeting({ kind: 'hello', ...all })))
  }

  ready(): void {
    this.write(framed(encodeGreeting({ kind: 'ready' })))
  }

  /** Becomes the link `from` of the target. */
  async link(from: string): Promise<void> {
    this.hello(from)
    await this.#bench.sees('the hello is answered', () => this.heardBytes > 0)
    this.ready()
    await this.#bench.sees(`${from} is up`, () => this.#target.isUp(from))
  }

  read(reads: boolean): void {
    if (reads) this.#stream.resume()
    else this.#stream.pause()
  }

  leave(): Promise<void> {
    return this.#layer.stop()
  }
}

/** Four bytes that promise a frame. */
export function headOf(length: number): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(length)
  return head
}
