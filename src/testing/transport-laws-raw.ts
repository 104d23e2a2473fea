/** T9, T11 and T13 against raw bytes, for transports over stream/: strangers that misbehave. */
import assert from 'node:assert/strict'
import { encodeGreeting, type Hello } from '../../transports/stream/hello.js'
import type { StreamLayer } from '../../transports/stream/layer.js'
import { LIMITS, PROTOCOL_VERSION } from '../config.js'
import type { LinkLoss } from '../contracts/transport.js'
import { GcacheError } from '../errors.js'
import { framed } from '../wire/frame.js'
import type { Bench, BenchNode } from './transport-bench.js'
import type { Law } from './transport-suite.js'

export const RAW_LAWS: readonly Law[] = [
  {
    name: 'T9 a listener that accepts and says nothing is given up in bounded time',
    async run(bench) {
      const mute = await muteOf(bench)
      const a = await bench.started('a')
      a.connect('mute', mute.address)
      const { handshakeMs } = bench.medium
      await bench.sees('a is told', () => a.all('down').length === 1, 4 * handshakeMs)
      assert.equal(a.all('down')[0].loss, 'timeout')
      await mute.stop()
    },
  },
  {
    name: 'T9 a dial that a frozen process does not answer gives way to its heir elsewhere',
    async run(bench) {
      const mute = await muteOf(bench)
      const a = await bench.started('a', {
        on: (it, node) => it.kind === 'down' && node.connect('z', mute.address),
      })
      const z = await bench.started('z', {
        on: (it, node) => it.kind === 'down' && node.connect('a', a.transport.address),
      })
      a.connect('z', mute.address)
      await bench.pass(20)
      z.connect('a', a.transport.address)
      const { handshakeMs } = bench.medium
      await bench.sees('they are linked', () => a.isUp('z') && z.isUp('a'), 4 * handshakeMs)
      await mute.stop()
    },
  },
  {
    name: 'T9 a stranger that connects and says nothing is cut off in bounded time',
    async run(bench) {
      const a = await bench.started('a')
      const raw = await Raw.open(bench, a)
      const { handshakeMs } = bench.medium
      await bench.sees('it is cut off', () => raw.loss !== undefined, 4 * handshakeMs)
      assert.deepEqual(a.happenings, [])
      await raw.close()
    },
  },
  {
    name: 'T10 a dial that arrives late does not replace a newer link, a newer one does',
    async run(bench) {
      const a = await bench.started('a')
      const older = await Raw.open(bench, a)
      const newer = await Raw.open(bench, a)
      const newest = await Raw.open(bench, a)
      await newer.link({ dial: 6 })
      older.write(framed(encodeGreeting(older.hello({ dial: 5 }))))
      await bench.sees('the older is turned away', () => older.loss !== undefined)
      assert.ok(older.heard().includes('goes before'))
      assert.deepEqual(a.all('down'), [])
      await newest.link({ dial: 7 }, 2)
      await bench.sees('the newer is cut off', () => newer.loss !== undefined)
      const kinds = a.happenings.map(it => it.kind)
      assert.deepEqual(kinds, ['up', 'down', 'up'])
      for (const raw of [older, newer, newest]) await raw.close()
    },
  },
  {
    name: 'T11 the acceptor itself refuses another version, cluster, peer or a bad id',
    async run(bench) {
      const a = await bench.started('a')
      const wrong: [Partial<Hello>, string][] = [
        [{ version: PROTOCOL_VERSION + 1 }, 'protocol version'],
        [{ cluster: 'other' }, 'cluster'],
        [{ to: 'other' }, 'expected'],
        [{ from: 'a b' }, 'is no id'],
        [{ from: 'a' }, 'itself'],
      ]
      for (const [fields, reason] of wrong) {
        const raw = await Raw.open(bench, a)
        raw.write(framed(encodeGreeting(raw.hello(fields))))
        await bench.sees('it is closed', () => raw.loss !== undefined)
        assert.ok(raw.heard().includes(reason), `${raw.heard()} says ${reason}`)
        assert.ok(String(a.warnings.at(-1)?.reason).includes(reason))
        await raw.close()
      }
      assert.deepEqual(a.happenings, [])
    },
  },
  {
    name: 'T13 before the hello a length over helloBytesMax ends the stream',
    async run(bench) {
      const a = await bench.started('a')
      for (const bytes of [
        lengthOf(LIMITS.helloBytesMax + 1),
        Buffer.alloc(4),
        Buffer.alloc(64, 9),
      ]) {
        const raw = await Raw.open(bench, a)
        raw.write(bytes)
        await bench.sees('it is cut off', () => raw.loss !== undefined)
        await raw.close()
      }
      assert.deepEqual(a.happenings, [])
    },
  },
  {
    name: 'T13 a declared frame length is judged before a byte is buffered; other links live on',
    async run(bench) {
      const [a, b] = await bench.pair()
      const raw = await Raw.open(bench, a)
      await raw.link()
      raw.write(lengthOf(a.transport.traits.frameBytesMax + 1))
      await bench.sees('that link is down', () => a.all('down').length === 1)
      const [{ peer, loss, cause }] = a.all('down')
      assert.equal(peer, 'raw')
      assert.equal(loss, 'protocol')
      assert.ok(cause instanceof GcacheError && cause.code === 'FRAME_TOO_BIG')
      await bench.sees('the stranger is cut off', () => raw.loss !== undefined)
      b.send('a', Buffer.from('x'))
      await bench.sees('the other link lives', () => a.all('frame', 'b').length === 1)
      await raw.close()
    },
  },
  {
    name: 'T13 a frame that the handler finds malformed ends that link alone',
    async run(bench) {
      const a = await bench.started('a', {
        on(it) {
          if (it.kind === 'frame' && it.frame[0] === 0)
            throw new GcacheError('PROTOCOL_ERROR', 'no frame of ours')
        },
      })
      const b = await bench.started('b')
      b.connect('a', a.transport.address)
      await bench.sees('both are up', () => a.isUp('b') && b.isUp('a'))
      const raw = await Raw.open(bench, a)
      // The bad frame comes in one piece with the end of the handshake.
      await raw.link({}, 1, framed(Buffer.alloc(1)), framed(Buffer.from('x')))
      await bench.sees('that link is down', () => a.all('down').length === 1)
      assert.equal(a.all('down')[0].peer, 'raw')
      assert.equal(a.all('down')[0].loss, 'protocol')
      assert.equal(a.all('frame').length, 1, 'nothing after the bad frame')
      b.send('a', Buffer.from('x'))
      await bench.sees('the other link lives', () => a.all('frame', 'b').length === 1)
      await raw.close()
    },
  },
]

/** A listener that accepts and says nothing, as one whose process is frozen. */
async function muteOf({ medium }: Bench): Promise<{ address: string; stop(): Promise<void> }> {
  const layer = medium.layer?.('mute')
  assert.ok(layer, 'a medium of streams has a layer')
  const address = await layer.listen(medium.listen('mute'), () => {})
  return { address, stop: () => layer.stop() }
}

/** Four bytes that promise a frame. */
function lengthOf(length: number): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(length)
  return head
}

/** A stranger on a bare stream. */
class Raw {
  loss: LinkLoss | undefined
  readonly #bench: Bench
  readonly #target: BenchNode
  readonly #chunks: Buffer[] = []
  #stream: ReturnType<StreamLayer['dial']> | undefined
  #stop: () => Promise<void> = async () => {}

  private constructor(bench: Bench, target: BenchNode) {
    this.#bench = bench
    this.#target = target
  }

  static async open(bench: Bench, target: BenchNode): Promise<Raw> {
    const raw = new Raw(bench, target)
    const layer = bench.medium.layer?.('raw')
    assert.ok(layer, 'a medium of streams has a layer')
    let open = false
    raw.#stop = () => layer.stop()
    raw.#stream = layer.dial(target.transport.address, {
      onOpen() {
        open = true
      },
      onData: chunk => raw.#chunks.push(Buffer.from(chunk)),
      onDrain() {},
      onClose(loss) {
        raw.loss = loss
      },
    })
    await bench.sees('the stranger is connected', () => open)
    return raw
  }

  hello(fields: Partial<Hello> = {}): Hello {
    const frameBytesMax = LIMITS.peerFrameBytesMax
    const who = { cluster: 'suite', from: 'raw', to: this.#target.id, life: 'once', dial: 1 }
    return { kind: 'hello', version: PROTOCOL_VERSION, frameBytesMax, ...who, ...fields }
  }

  write(bytes: Uint8Array): void {
    this.#stream?.write(Buffer.from(bytes))
  }

  heard(): string {
    return Buffer.concat(this.#chunks).toString('latin1')
  }

  /** Says hello and ready, and `more` in the same piece; the target is then up for the nth time. */
  async link(fields: Partial<Hello> = {}, ups = 1, ...more: Uint8Array[]): Promise<void> {
    this.write(framed(encodeGreeting(this.hello(fields))))
    await this.#bench.sees('the hello is answered', () => this.#chunks.length > 0)
    this.write(Buffer.concat([framed(encodeGreeting({ kind: 'ready' })), ...more]))
    await this.#bench.sees('up', () => this.#target.all('up', 'raw').length === ups)
  }

  async close(): Promise<void> {
    await this.#stop()
  }
}
