/**
 * Frames between a client and a node: a turn's calls in, a batch of answers out.
 *
 *   request  u8 1 | u8 1 if a window follows: 16 bytes id, f64 lowest | u16 count, each:
 *            u32 id | u8 ack or how to read | u16 seq - lowest | u32 n, command (wire/command.ts)
 *   reply    u8 2 | f64 epoch number | position | u16 count, each: u32 id | u8 status | body
 *   event    u8 4 | u32 watch | u16 count, each: u8 kind | u16 n, key | f64 version | u32 n, value
 *
 *   position f64 epoch number, 8 bytes incarnation, f64 offset + 1
 *
 * How to read: 0 from the master, 1 local, 2 linearizable; + 16: positions that the answer must
 * include. Anything but 0 puts a tail behind the command, inside its n bytes: u32 max stale ms if
 * local; then u8 n, positions (a token), u8 n, positions (what the client has seen itself). A
 * reply's position is what the node had applied when it answered; its epoch is that of the entry.
 *
 * Frame 3 is control (wire/control.ts); 0x40 and above belong to the strategy.
 */

import { LIMITS } from '../config.js'
import type { Ack, Epoch, Offset, Position } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { patchEpoch, readEpoch, writeEpoch } from './batch.js'
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
  /** u8 n, code | u8 1 if surely not done, 2 if besides the client's own position is lost | u16 n,
   *  message */
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
  out.f64(0)
  out.f64(0)
  out.f64(0)
  out.u16(0)
  return out.length - 2
}

/** Ends a reply frame: everything below `next`, whose last entry is of `epoch`, was applied. */
export function patchReplies(
  out: Writer,
  countAt: number,
  count: number,
  epoch: Epoch,
  next: Offset,
): void {
  out.patchU16(countAt, count)
  patchEpoch(out, countAt - 24, epoch)
  out.patchF64(countAt - 8, next)
}

export const READ = { master: 0, local: 1, linearizable: 2 } as const
const READ_POSITIONS = 16

/** How a read is to be answered, as it travels. Positions: at most 8 each. */
export interface HowToRead {
  /** One of READ. */
  readonly mode: number
  /** Only where mode is local, 1..2^32 - 1. */
  readonly maxStaleMs: number
  /** A token: the answer must include all of it. */
  readonly after: readonly Position[]
  /** What the client has seen itself. */
  readonly seen: readonly Position[]
}

/** The byte for beginRequest(); 0 has no tail. */
export function readByte({ mode, after, seen }: HowToRead): number {
  return mode + (after.length + seen.length === 0 ? 0 : READ_POSITIONS)
}

/** Behind the read's command, before endRequest(). */
export function writeReadTail(out: Writer, { mode, maxStaleMs, after, seen }: HowToRead): void {
  if (mode === READ.local) out.u32(maxStaleMs)
  if (after.length + seen.length === 0) return
  writePositions(out, after)
  writePositions(out, seen)
}

const NO_POSITIONS: readonly Position[] = []

/** What writeReadTail() wrote under `byte`, which is not 0. PROTOCOL_ERROR for anything else. */
export function readReadTail(reader: Reader, byte: number): HowToRead {
  const mode = byte & ~READ_POSITIONS
  if (mode > READ.linearizable) reader.fail(`unknown way to read ${byte}`)
  const maxStaleMs = mode === READ.local ? reader.u32() : 0
  if (mode === READ.local && maxStaleMs === 0) reader.fail('a bound of 0 ms')
  if ((byte & READ_POSITIONS) === 0)
    return { mode, maxStaleMs, after: NO_POSITIONS, seen: NO_POSITIONS }
  const after = readPositions(reader)
  return { mode, maxStaleMs, after, seen: readPositions(reader) }
}

/** u8 n, positions. */
export function writePositions(out: Writer, positions: readonly Position[]): void {
  out.u8(positions.length)
  for (const { epoch, offset } of positions) {
    writeEpoch(out, epoch)
    out.f64(offset + 1)
  }
}

export function readPositions(reader: Reader): readonly Position[] {
  const count = reader.u8()
  if (count > LIMITS.positionsMax) reader.fail(`${count} positions exceed ${LIMITS.positionsMax}`)
  const positions: Position[] = []
  while (positions.length < count) {
    const epoch = readEpoch(reader)
    const next = reader.whole()
    if (next < 2) reader.fail('a position of nothing')
    positions.push({ epoch, offset: next - 1 })
  }
  return positions
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
  seenLost = false,
): void {
  out.u32(id)
  out.u8(STATUS.error)
  out.text8(code)
  out.u8(seenLost ? 2 : surely ? 1 : 0)
  out.text16(message)
}
