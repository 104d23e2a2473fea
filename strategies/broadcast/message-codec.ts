/**
 * The bytes of what nodes say to each other, all of a fixed layout, little-endian.
 *
 *   0x60 entries    f64 wall | u8 1 if an ack is wanted | u16 n, each: u32 n, batch
 *   0x61 heartbeat  f64 wall | f64 ahead | f64 time | u8 1 serving, 2 apart | f64 horizon | vector
 *   0x62 ack        epoch | f64 next             0x63 pull   epoch | f64 from
 *   0x64 gone       epoch                        0x65 ask    u32 round | vector | 8 bytes
 *   0x66 nodes      u32 round | vector | u8 1 if they follow, 256 bytes
 *   0x67 leaves     u32 round | vector | u32 differ | 256 bytes for each of its bits
 *   0x68 differ     u32 round | 128 bytes
 *   0x69 records    u32 round | u8 asker | u32 index | u8 last | u32 n, slice
 *   vector          u16 n, each: epoch | f64 next | f64 from | f64 upto | u32 crc
 */
import type { MessageCodec } from '../../src/contracts/strategy.js'
import type { Batch } from '../../src/contracts/types.js'
import type { Known } from '../../src/core/version-vector.js'
import { readEpoch, writeEpoch } from '../../src/wire/batch.js'
import { readBatches, writeBatches } from '../../src/wire/batches.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import type { Message } from './messages.js'

const KIND = {
  entries: 0x60,
  heartbeat: 0x61,
  ack: 0x62,
  pull: 0x63,
  gone: 0x64,
  ask: 0x65,
  nodes: 0x66,
  leaves: 0x67,
  differ: 0x68,
  records: 0x69,
} as const

const NODE_BYTES = 256
const BITMAP_BYTES = 128
const NOTHING = new Uint8Array(0)

export function messageCodec(): MessageCodec<Message> {
  const out = new Writer(16_384)
  const reader = new Reader()
  return {
    encode(message) {
      out.reset()
      out.u8(KIND[message.type])
      write(out, message)
      return out.view()
    },
    decode(frame) {
      const message = read(reader.open(frame), reader.u8())
      reader.finish()
      return message
    },
  }
}

function write(out: Writer, m: Message): void {
  switch (m.type) {
    case 'entries':
      out.f64(m.wall)
      out.u8(m.ack ? 1 : 0)
      return writeBatches(out, m.batches)
    case 'heartbeat':
      out.f64(m.wall)
      out.f64(m.ahead)
      out.f64(m.time)
      out.u8((m.serving ? 1 : 0) | (m.apart ? 2 : 0))
      out.f64(m.horizon)
      return writeVector(out, m.vector)
    case 'ack':
      writeEpoch(out, m.life)
      return out.f64(m.next)
    case 'pull':
      writeEpoch(out, m.life)
      return out.f64(m.from)
    case 'gone':
      return writeEpoch(out, m.life)
    default:
      return writeCompared(out, m)
  }
}

/** Of a round in which two nodes compare their records. */
function writeCompared(
  out: Writer,
  m: Extract<Message, { type: 'ask' | 'nodes' | 'leaves' | 'differ' | 'records' }>,
): void {
  out.u32(m.round)
  switch (m.type) {
    case 'ask':
      writeVector(out, m.vector)
      return out.bytes(m.root)
    case 'nodes':
      writeVector(out, m.vector)
      out.u8(m.nodes.length === 0 ? 0 : 1)
      return out.bytes(m.nodes)
    case 'leaves':
      writeVector(out, m.vector)
      out.u32(m.differ)
      return out.bytes(m.leaves)
    case 'differ':
      return out.bytes(m.leaves)
    case 'records':
      out.u8(m.asker ? 1 : 0)
      out.u32(m.index)
      out.u8(m.last ? 1 : 0)
      out.u32(m.slice.length)
      return out.bytes(m.slice)
  }
}

function read(reader: Reader, kind: number): Message {
  switch (kind) {
    case KIND.entries: {
      const wall = readTime(reader)
      const ack = reader.u8() === 1
      return { type: 'entries', wall, ack, batches: readStamped(reader) }
    }
    case KIND.heartbeat: {
      const [wall, ahead, time] = [readTime(reader), readNumber(reader), readTime(reader)]
      const flags = reader.u8()
      if (flags > 3) reader.fail(`unknown flags ${flags}`)
      const said = { serving: (flags & 1) !== 0, apart: (flags & 2) !== 0 }
      const horizon = reader.whole()
      return { type: 'heartbeat', wall, ahead, time, ...said, horizon, vector: readVector(reader) }
    }
    case KIND.ack:
      return { type: 'ack', life: readEpoch(reader), next: reader.whole() }
    case KIND.pull:
      return { type: 'pull', life: readEpoch(reader), from: reader.whole() }
    case KIND.gone:
      return { type: 'gone', life: readEpoch(reader) }
    default:
      return readCompared(reader, kind)
  }
}

function readCompared(reader: Reader, kind: number): Message {
  if (kind < KIND.ask || kind > KIND.records) reader.fail(`unknown message ${kind}`)
  const round = reader.u32()
  switch (kind) {
    case KIND.ask:
      return { type: 'ask', round, vector: readVector(reader), root: reader.copy(8) }
    case KIND.nodes: {
      const vector = readVector(reader)
      const nodes = reader.u8() === 0 ? NOTHING : reader.copy(NODE_BYTES)
      return { type: 'nodes', round, vector, nodes }
    }
    case KIND.leaves: {
      const vector = readVector(reader)
      const differ = reader.u32()
      const leaves = reader.copy(bitsOf(differ) * NODE_BYTES)
      return { type: 'leaves', round, vector, differ, leaves }
    }
    case KIND.differ:
      return { type: 'differ', round, leaves: reader.copy(BITMAP_BYTES) }
    default: {
      const asker = reader.u8() === 1
      const index = reader.u32()
      const last = reader.u8() === 1
      return { type: 'records', round, asker, index, last, slice: reader.copy(reader.u32()) }
    }
  }
}

function writeVector(out: Writer, vector: readonly Known[]): void {
  out.u16(vector.length)
  for (const { life, next, from, upto, crc } of vector) {
    writeEpoch(out, life)
    out.f64(next)
    out.f64(from)
    out.f64(upto)
    out.u32(crc)
  }
}

function readVector(reader: Reader): Known[] {
  const vector: Known[] = []
  const count = reader.u16()
  if (count > 256) reader.fail(`${count} origins`)
  for (let i = 0; i < count; i++) {
    const life = readEpoch(reader)
    const next = reader.whole()
    if (next === 0) reader.fail('offsets begin at 1')
    const [from, upto] = [reader.whole(), reader.whole()]
    vector.push({ life, next, from, upto, crc: reader.u32() })
  }
  return vector
}

function readStamped(reader: Reader): Batch[] {
  const batches = readBatches(reader)
  // The time of a batch is the stamp of its first entry.
  for (const { time } of batches) if (!Number.isSafeInteger(time)) reader.fail('no stamp')
  return batches
}

function readNumber(reader: Reader): number {
  const value = reader.f64()
  if (!Number.isFinite(value)) reader.fail('no number')
  return value
}

function readTime(reader: Reader): number {
  const time = readNumber(reader)
  if (time < 0) reader.fail('no time')
  return time
}

function bitsOf(mask: number): number {
  let bits = 0
  for (let rest = mask >>> 0; rest !== 0; rest >>>= 1) bits += rest & 1
  return bits
}
