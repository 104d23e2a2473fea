/**
 * Frames between a client and a node: a turn's calls in, a batch of answers out.
 *
 *   request  u8 1 | u8 flags | if 2, a group: u16, f64 table | if 1, a window: 16 bytes id, f64
 *            lowest | u16 count, each: u32 id | u8 ack or how to read | u16 seq - lowest | u32 n,
 *            command (wire/command.ts)
 *   reply    u8 2 | f64 epoch number | position | u16 count, each: u32 id | u8 status | body
 *   reply of a group other than 0: u8 5 | u16 group | the rest of a reply
 *   event    u8 4 | u32 watch | u16 count, each: u8 kind | u16 n, key | f64 version | u32 n, value
 *
 *   position f64 epoch number, 8 bytes incarnation, f64 offset + 1
 *
 * All calls of a frame are for one group, 0 where none is named; `table` is the number of the table
 * (GroupTable) by which the client chose the node, 0 for none.
 *
 * How to read: 0 from the master, 1 local, 2 linearizable; + 16: positions that the answer must
 * include. Anything but 0 puts a tail behind the command, inside its n bytes: u32 max stale ms if
 * local; then u8 n, positions (a token), u8 n, positions (what the client has seen itself). A
 * reply's position is what the node had applied when it answered; its epoch is that of the entry.
 *
 * Frame 3 is control (wire/control.ts); 0x40 and above belong to the strategy.
 */

import { LIMITS } from '../config.js'
import type { Ack, Epoch, GroupId, Offset, Position } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { patchEpoch, readEpoch, writeEpoch } from './batch.js'
import type { Reader, Writer } from './bytes.js'

export const FRAME = {
  request: 1,
  reply: 2,
  control: 3,
  event: 4,
  groupReply: 5,
  strategyFirst: 0x40,
} as const

/** What the head of a request frame holds. */
const HEAD_WINDOW = 1
const HEAD_GROUP = 2

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

export function isAck(value: unknown): value is Ack {
  return typeof value === 'string' && CODES.has(value)
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

/** Which group a request frame is for, and by which table the client says so. */
export interface GroupHead {
  readonly group: GroupId
  readonly table: number
}

/** Begins a request frame and returns where its count stands, for finishCount(). `to` undefined:
 *  group 0. */
export function beginRequests(out: Writer, window: Window | undefined, to?: GroupHead): number {
  out.u8(FRAME.request)
  out.u8((window === undefined ? 0 : HEAD_WINDOW) + (to === undefined ? 0 : HEAD_GROUP))
  if (to !== undefined) {
    out.u16(to.group)
    out.f64(to.table)
  }
  if (window !== undefined) {
    out.latin1(window.id)
    out.f64(window.lowest)
  }
  out.u16(0)
  return out.length - 2
}

/** The group that a request frame names, without a look at anything else. */
export function groupOfRequests(frame: Uint8Array): GroupId {
  return (frame[1] & HEAD_GROUP) === 0 ? 0 : frame[2] | (frame[3] << 8)
}

/** The reader stands behind the kind of a request frame, and then behind its group. True if a
 *  window follows. */
export function readGroupHead(reader: Reader, head: { group: GroupId; table: number }): boolean {
  const flags = reader.u8()
  if (flags > HEAD_WINDOW + HEAD_GROUP) reader.fail(`unknown flags ${flags}`)
  const named = (flags & HEAD_GROUP) !== 0
  head.group = named ? reader.u16() : 0
  head.table = named ? reader.whole() : 0
  return (flags & HEAD_WINDOW) !== 0
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
export function beginReplies(out: Writer, epochNumber: number, group: GroupId = 0): number {
  out.u8(group === 0 ? FRAME.reply : FRAME.groupReply)
  if (group !== 0) out.u16(group)
  out.f64(epochNumber)
  out.f64(0)
  out.f64(0)
  out.f64(0)
  out.u16(0)
  return out.length - 2
}

/** The group that a reply frame names; undefined if it is none. */
export function groupOfReplies(frame: Uint8Array): GroupId | undefined {
  if (frame[0] === FRAME.reply) return 0
  return frame[0] === FRAME.groupReply ? frame[1] | (frame[2] << 8) : undefined
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
