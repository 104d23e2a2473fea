/**
 * Frames between a client and a node: a turn's calls in, a batch of answers out.
 *
 *   request  u8 1 | u8 1 if a window follows: 16 bytes id, f64 lowest | u16 count, each:
 *            u32 id | u8 ack | u16 seq - lowest | u32 n, command (wire/command.ts)
 *   reply    u8 2 | f64 epoch number | u16 count, each: u32 id | u8 status | body
 *   event    u8 4 | u32 watch | u16 count, each: u8 kind | u16 n, key | f64 version | u32 n, value
 *
 * Frame 3 is control (wire/control.ts); 0x40 and above belong to the strategy.
 */
import type { Ack } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import type { Reader, Writer } from './bytes.js'

export const FRAME = { request: 1, reply: 2, control: 3, event: 4, strategyFirst: 0x40 } as const

export const STATUS = {
  /** f64 offset | f64 version | u8 copies | u8 durable copies */
  written: 0,
  /** f64 version | f64 expires at, 0 never | u32 n, value */
  value: 1,
  absent: 2,
  /** f64: has answers 0 or 1, size a count */
  number: 3,
  /** f64 cursor | u16 count, each: u16 n, key | f64 version | f64 expires at | u32 n, value */
  page: 4,
  /** u8 n, code | u8 1 if surely not done | u16 n, message */
  error: 5,
} as const

export const EVENT_KINDS = ['set', 'delete', 'touch', 'expire', 'evict', 'clear', 'gap'] as const

const NAMED_ACKS = [undefined, 'none', 'master', 'majority', 'insync', 'all'] as const
const SLAVES_FIRST = 16
const ACKS: (Ack | undefined)[] = [...NAMED_ACKS]
for (let n = 0; n < 240; n++) ACKS[SLAVES_FIRST + n] = `slaves:${n}`
const CODES = new Map<string | undefined, number>()
for (const [code, ack] of ACKS.entries()) if (ack !== undefined || code === 0) CODES.set(ack, code)

/** One byte for an ack level; 0 for the strategy's default. CONFIG for what is none. */
export function ackCode(ack: Ack | undefined): number {
  if (ack === undefined) return 0
  const code = CODES.get(ack)
  if (code === undefined)
    throw new GcacheError(
      'CONFIG',
      `unknown ack ${JSON.stringify(ack)}: none, master, slaves:n, majority, insync or all`,
      { outcome: 'rejected' },
    )
  return code
}

/** Undefined for the default; PROTOCOL_ERROR for a code that means nothing. */
export function ackOf(code: number, reader: Reader): Ack | undefined {
  if (code !== 0 && ACKS[code] === undefined) reader.fail(`unknown ack code ${code}`)
  return ACKS[code]
}

export interface Window {
  readonly id: string
  readonly lowest: number
}

/** Begins a request frame and returns where its count stands, for finishCount(). */
export function beginRequests(out: Writer, window: Window | undefined): number {
  out.u8(FRAME.request)
  out.u8(window === undefined ? 0 : 1)
  if (window !== undefined) {
    out.latin1(window.id)
    out.f64(window.lowest)
  }
  out.u16(0)
  return out.length - 2
}

/** Begins one request; write the command behind it, then endRequest() with what this returned. */
export function beginRequest(out: Writer, id: number, ack: number, seqDelta: number): number {
  out.u32(id)
  out.u8(ack)
  out.u16(seqDelta)
  out.u32(0)
  return out.length
}

export function endRequest(out: Writer, start: number): void {
  out.patchU32(start - 4, out.length - start)
}

/** Begins a reply frame and returns where its count stands. */
export function beginReplies(out: Writer, epochNumber: number): number {
  out.u8(FRAME.reply)
  out.f64(epochNumber)
  out.u16(0)
  return out.length - 2
}

export function writeWritten(
  out: Writer,
  id: number,
  offset: number,
  version: number,
  copies: number,
  durableCopies: number,
): void {
  out.u32(id)
  out.u8(STATUS.written)
  out.f64(offset)
  out.f64(version)
  out.u8(copies)
  out.u8(durableCopies)
}

/** `value` holds one byte a char. */
export function writeValue(
  out: Writer,
  id: number,
  version: number,
  expiresAt: number,
  value: string,
): void {
  out.u32(id)
  out.u8(STATUS.value)
  out.f64(version)
  out.f64(expiresAt)
  out.u32(value.length)
  out.latin1(value)
}

export function writeAbsent(out: Writer, id: number): void {
  out.u32(id)
  out.u8(STATUS.absent)
}

export function writeNumber(out: Writer, id: number, value: number): void {
  out.u32(id)
  out.u8(STATUS.number)
  out.f64(value)
}

export function writeError(
  out: Writer,
  id: number,
  code: string,
  surely: boolean,
  message: string,
): void {
  out.u32(id)
  out.u8(STATUS.error)
  out.text8(code)
  out.u8(surely ? 1 : 0)
  out.text16(message)
}
