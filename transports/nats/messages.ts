/**
 * What travels in one message of the broker: 24 bytes of head, then bytes of a stream. Integers are
 * little-endian.
 *
 *    0  u8   kind            4  u32  to: the stream it is for, as its receiver counts them
 *    1  u8   flags           8  u32  check: what that stream drew by lot; a wrong one is garbage
 *    2  u16  0              12  u32  seq: data sent before it, modulo 2^32; of an open: LAYOUT
 *   16  f64  limit: bytes of data that the other side may have sent since the beginning; of a
 *                   probe: 1 if its sender hears the name itself by now, else 0
 *
 * An open carries its own stream in `to` and `check`, an accept has the acceptor's behind its head;
 * a reset returns `to` and `check` of what it answers. Where to answer stands in the reply subject.
 * Sealed data (seal.ts) has its seal behind the head. A `many` is data for several streams of its
 * sender: as many heads as its `to` says follow, each as if of a message of its own and with its
 * seal, or 16 bytes of nothing, and then the data, once.
 */

export const HEAD_BYTES = 24
/** Of this table. */
export const LAYOUT = 1

export const KIND = {
  open: 1,
  accept: 2,
  data: 3,
  pulse: 4,
  close: 5,
  reset: 6,
  probe: 7,
  taken: 8,
  many: 9,
} as const
/** Flag: whoever sends this hears what is published for many. */
export const HEARS_MANY = 1
/** Flag: a seal stands behind the head. */
export const SEALED = 2

/** Which stream, in its receiver's count. */
export interface StreamKey {
  readonly id: number
  readonly check: number
}

export interface Head extends StreamKey {
  readonly kind: number
  readonly hearsMany: boolean
  readonly sealed: boolean
  readonly seq: number
  readonly limit: number
}

/** A message with room for `bodyBytes`. */
export function messageOf(
  kind: number,
  key: StreamKey,
  seq: number,
  limit: number,
  bodyBytes = 0,
  flags = 0,
): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + bodyBytes)
  writeHead(bytes, 0, kind, key, seq, limit, flags)
  return bytes
}

export function writeHead(
  bytes: Buffer,
  at: number,
  kind: number,
  { id, check }: StreamKey,
  seq: number,
  limit: number,
  flags: number,
): void {
  bytes.writeUInt32LE(kind | (flags << 8), at)
  bytes.writeUInt32LE(id, at + 4)
  bytes.writeUInt32LE(check, at + 8)
  bytes.writeUInt32LE(seq, at + 12)
  bytes.writeDoubleLE(limit, at + 16)
}

/** The head at `at`; undefined for what is none of ours. */
export function headOf(bytes: Uint8Array, at = 0): Head | undefined {
  if (bytes.length < at + HEAD_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEAD_BYTES)
  const kind = view.getUint8(0)
  const flags = view.getUint8(1)
  const limit = view.getFloat64(16, true)
  const known = kind >= KIND.open && kind <= KIND.many && flags <= (HEARS_MANY | SEALED)
  if (!known || view.getUint16(2, true) !== 0 || !(limit >= 0)) return undefined
  const [id, check] = [view.getUint32(4, true), view.getUint32(8, true)]
  const hearsMany = (flags & HEARS_MANY) !== 0
  const sealed = (flags & SEALED) !== 0
  return { kind, hearsMany, sealed, id, check, seq: view.getUint32(12, true), limit }
}

/** The acceptor's stream, behind the head of an accept. */
export function acceptOf(dialler: StreamKey, own: StreamKey, limit: number, flags: number): Buffer {
  const bytes = messageOf(KIND.accept, dialler, 0, limit, 8, flags)
  bytes.writeUInt32LE(own.id, HEAD_BYTES)
  bytes.writeUInt32LE(own.check, HEAD_BYTES + 4)
  return bytes
}

export function acceptedKey(bytes: Uint8Array): StreamKey | undefined {
  if (bytes.length !== HEAD_BYTES + 8) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + HEAD_BYTES, 8)
  return { id: view.getUint32(0, true), check: view.getUint32(4, true) }
}
