/**
 * What relays say to each other, between the frames of those who use them:
 *
 *   u8 0xff | u8 kind | text8 dialler | text8 acceptor | u32 number | body
 *
 * dialler, acceptor and number name a circuit. A frame of the user's own that begins with 0xff
 * travels behind 0xff 0x00; all others, the common case, as they are.
 */
import { ID } from '../../src/config.js'
import { GcacheError } from '../../src/errors.js'
import { Reader, Writer } from '../../src/wire/bytes.js'

export const MARK = 0xff
const ESCAPED = 0

/** A way from one node to another through others. */
export interface Circuit {
  readonly dialler: string
  readonly acceptor: string
  readonly number: number
}

export type Message =
  /** `hops`: how many relays may still pass it on. */
  | { readonly kind: 'open'; readonly hops: number }
  | { readonly kind: 'opened' }
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  /** So many bytes of data have arrived and been used. */
  | { readonly kind: 'taken'; readonly count: number }
  | { readonly kind: 'close' }
  | { readonly kind: 'broken'; readonly reason: string }

const KINDS = ['', 'open', 'opened', 'data', 'taken', 'close', 'broken'] as const
const REASON_CHARS_MAX = 80

export function encodeEnvelope(circuit: Circuit, message: Message): Uint8Array {
  const out = new Writer(message.kind === 'data' ? message.bytes.length + 256 : 256)
  out.u8(MARK)
  out.u8(KINDS.indexOf(message.kind))
  out.text8(circuit.dialler)
  out.text8(circuit.acceptor)
  out.u32(circuit.number)
  if (message.kind === 'open') out.u8(message.hops)
  else if (message.kind === 'data') out.bytes(message.bytes)
  else if (message.kind === 'taken') out.u32(message.count)
  else if (message.kind === 'broken') out.text8(message.reason.slice(0, REASON_CHARS_MAX))
  return out.view()
}

/** `bytes` of data are borrowed. PROTOCOL_ERROR for anything that is none. */
export function decodeEnvelope(frame: Uint8Array): { circuit: Circuit; message: Message } {
  const reader = new Reader(frame)
  if (reader.u8() !== MARK) reader.fail('no envelope')
  const kind = KINDS[reader.u8()]
  const circuit = { dialler: idOf(reader), acceptor: idOf(reader), number: reader.u32() }
  const message = messageOf(kind, reader)
  reader.finish()
  return { circuit, message }
}

function idOf(reader: Reader): string {
  const id = reader.text8()
  return ID.test(id) ? id : reader.fail('no id of a node')
}

function reasonOf(reader: Reader): string {
  const reason = reader.text8()
  return reason.length <= REASON_CHARS_MAX ? reason : reader.fail('too long a reason')
}

function messageOf(kind: (typeof KINDS)[number] | undefined, reader: Reader): Message {
  switch (kind) {
    case 'open':
      return { kind, hops: reader.u8() }
    case 'data':
      return { kind, bytes: reader.view(reader.left) }
    case 'taken':
      return { kind, count: reader.u32() }
    case 'broken':
      return { kind, reason: reasonOf(reader) }
    case 'opened':
    case 'close':
      return { kind }
    default:
      return reader.fail('no kind of envelope')
  }
}

export function keyOf({ dialler, acceptor, number }: Circuit): string {
  return `${dialler} ${acceptor} ${number}`
}

/** The user's own frame, as it travels. */
export function escaped(frame: Uint8Array): Uint8Array {
  return frame[0] === MARK ? Buffer.concat([Buffer.from([MARK, ESCAPED]), frame]) : frame
}

/** The user's own frame in `frame`; undefined: it is an envelope. */
export function unescaped(frame: Uint8Array): Uint8Array | undefined {
  if (frame[0] !== MARK) return frame
  if (frame[1] !== ESCAPED) return undefined
  if (frame[2] !== MARK) throw new GcacheError('PROTOCOL_ERROR', 'escaped without need')
  return frame.subarray(2)
}
