/** A small name server over UDP: A, AAAA and SRV records from a table that tests change. */
import { createSocket, type Socket } from 'node:dgram'

export type NameRecord =
  | { readonly type: 'A'; readonly address: string }
  | { readonly type: 'AAAA'; readonly address: string }
  | { readonly type: 'SRV'; readonly target: string; readonly port: number; priority?: number }

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const
const NAME_ERROR = 3
const SERVER_FAILURE = 2

export class NameServer {
  readonly records = new Map<string, readonly NameRecord[]>()
  asked = 0
  /** Answers that it cannot. */
  broken = false
  readonly #socket: Socket = createSocket('udp4')

  static async start(): Promise<NameServer> {
    const server = new NameServer()
    const socket = server.#socket
    socket.on('message', (query, from) => {
      server.asked++
      socket.send(server.#answer(query), from.port, from.address)
    })
    await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
    return server
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }

  async stop(): Promise<void> {
    await new Promise<void>(resolve => this.#socket.close(() => resolve()))
  }

  /** RFC 1035: the question comes back, its answers point to its name. */
  #answer(query: Buffer): Buffer {
    let at = 12
    const labels: string[] = []
    while (query[at] !== 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + query[at]))
      at += query[at] + 1
    }
    const type = query.readUInt16BE(at + 1)
    const question = query.subarray(12, at + 5)
    const known = this.records.get(labels.join('.').toLowerCase())
    const answers = (known ?? []).filter(record => TYPES[record.type] === type).map(bytesOf)
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    const code = this.broken ? SERVER_FAILURE : known === undefined ? NAME_ERROR : 0
    head.writeUInt16BE(0x8580 | code, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(this.broken ? 0 : answers.length, 6)
    return Buffer.concat([head, question, ...(this.broken ? [] : answers)])
  }
}

function bytesOf(record: NameRecord): Buffer {
  const data = dataOf(record)
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(TYPES[record.type], 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function dataOf(record: NameRecord): Buffer {
  if (record.type === 'A') return Buffer.from(record.address.split('.').map(Number))
  if (record.type === 'AAAA') {
    // Only '::n' is needed here.
    const bytes = Buffer.alloc(16)
    bytes[15] = Number(record.address.slice(2))
    return bytes
  }
  const labels = record.target
    .split('.')
    .map(label => [Buffer.of(label.length), Buffer.from(label)])
  const head = Buffer.alloc(6)
  head.writeUInt16BE(record.priority ?? 0, 0)
  head.writeUInt16BE(record.port, 4)
  return Buffer.concat([head, ...labels.flat(), Buffer.of(0)])
}
