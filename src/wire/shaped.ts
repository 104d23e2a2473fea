/**
 * The messages of a strategy as bytes, from a table of their fields: one byte for the strategy, one
 * for the kind of message, then each field in the table's order. For authors of strategies: what is
 * decoded has exactly the fields and types of the table, or the link ends.
 */
import type { MessageCodec } from '../contracts/strategy.js'
import type { Batch, Epoch } from '../contracts/types.js'
import { decodeBatch, readEpoch, writeEpoch } from './batch.js'
import { Reader, Writer } from './bytes.js'
import { checkEntry } from './entry-check.js'

/** The first byte of every frame of such a strategy. */
const FIRST_BYTE = 0x40

/** What a field may be. 'whole': 0 to 2^53 - 1; 'text': at most 65,535 bytes as UTF-8. */
interface Kinds {
  flag: boolean
  whole: number
  number: number
  text: string
  epoch: Epoch
  bytes: Uint8Array
  batches: readonly Batch[]
}

type Shape = Readonly<Record<string, keyof Kinds>>

/** Fields by kind of message; at most 256 kinds. The order of both is the order on the wire. */
export type Shapes = Readonly<Record<string, Shape>>

/** The messages of a table: one `type` for each row. */
export type MessageOf<S extends Shapes> = {
  [T in keyof S & string]: { readonly type: T } & {
    readonly [F in keyof S[T]]: Kinds[S[T][F]]
  }
}[keyof S & string]

interface Field<T> {
  write(out: Writer, value: T): void
  read(reader: Reader): T
}

const FIELDS: { [K in keyof Kinds]: Field<Kinds[K]> } = {
  flag: {
    write: (out, value) => out.u8(value ? 1 : 0),
    read: reader => {
      const byte = reader.u8()
      return byte === 1 || (byte === 0 ? false : reader.fail('neither true nor false'))
    },
  },
  whole: { write: (out, value) => out.f64(value), read: reader => reader.whole() },
  number: { write: (out, value) => out.f64(value), read: reader => reader.f64() },
  text: { write: (out, value) => out.text16(value), read: reader => reader.text16() },
  epoch: { write: writeEpoch, read: readEpoch },
  bytes: {
    write: (out, value) => {
      out.u32(value.length)
      out.bytes(value)
    },
    read: reader => reader.keep(reader.u32()),
  },
  batches: {
    write: (out, value) => {
      out.u16(value.length)
      for (const { bytes } of value) FIELDS.bytes.write(out, bytes)
    },
    read: reader => {
      const batches: Batch[] = []
      for (let left = reader.u16(); left > 0; left--)
        batches.push(decodeBatch(FIELDS.bytes.read(reader), checkEntry))
      return batches
    },
  },
}

/**
 * The codec of the messages that `shapes` describes. decode() throws PROTOCOL_ERROR for anything
 * else; entries of 'batches' are judged as the state machine wants them. Bytes are copied out of
 * the frame, which is borrowed.
 *
 *   const codec = messageCodec({ hello: { epoch: 'epoch', next: 'whole' }, bye: {} })
 *   type Message = MessageOf<typeof codec.shapes>
 */
export function messageCodec<const S extends Shapes>(
  shapes: S,
): MessageCodec<MessageOf<S>> & { readonly shapes: S } {
  const types = Object.keys(shapes)
  const rows = types.map(type =>
    Object.entries(shapes[type]).map(
      ([name, kind]) => [name, FIELDS[kind] as Field<unknown>] as const,
    ),
  )
  const out = new Writer()
  return {
    shapes,
    encode(message) {
      const row = types.indexOf(message.type)
      out.reset()
      out.u8(FIRST_BYTE)
      out.u8(row)
      for (const [name, field] of rows[row])
        field.write(out, (message as Record<string, unknown>)[name])
      return out.view()
    },
    decode(frame) {
      const reader = new Reader(frame)
      if (reader.u8() !== FIRST_BYTE) reader.fail('a message of another strategy')
      const row = reader.u8()
      if (row >= rows.length) reader.fail('a message of no known kind')
      const message: Record<string, unknown> = { type: types[row] }
      for (const [name, field] of rows[row]) message[name] = field.read(reader)
      reader.finish()
      return message as MessageOf<S>
    },
  }
}
