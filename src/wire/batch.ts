/**
 * A batch of entries as bytes: made once by the master, then stored and sent as it is.
 *
 *   u32 crc | f64 first | f64 epoch number | 8 bytes incarnation | f64 time
 *   u16 clients, each: 16 bytes id, f64 lowest
 *   u16 entries, each: u16 client (0xffff: none) | u16 seq - lowest | u32 n, command
 *
 * crc is CRC-32 of everything after it, seeded with the previous batch's: equal crc, equal logs.
 */
import { LIMITS } from '../config.js'
import type { Proposal } from '../contracts/strategy.js'
import type { Batch, ClientRef, Epoch, Offset } from '../contracts/types.js'
import { Reader, Writer } from './bytes.js'
import { checksum } from './checksum.js'

/** Bytes before the clients. */
export const BATCH_HEAD_BYTES = 4 + 8 + 8 + 8 + 8
const CLIENT_BYTES = 24
const ENTRY_HEAD_BYTES = 8
const NO_CLIENT = 0xffff
const LOWEST_MAX = Number.MAX_SAFE_INTEGER - LIMITS.windowWritesMax
const WRITER = new Writer(65_536)

/** What an entry adds to a batch at most, in bytes: for whoever must split proposals. */
export function entryBytesMax(proposal: Proposal): number {
  return ENTRY_HEAD_BYTES + CLIENT_BYTES + proposal.end - proposal.start
}

/** Where a batch of `proposals` from `from` on ends: one at least, 65,535 at most, and beyond one
 *  no more than `bytesMax`. */
export function batchEnd(proposals: readonly Proposal[], from: number, bytesMax: number): number {
  let to = from
  let bytes = BATCH_HEAD_BYTES
  while (to < proposals.length && to - from < 65_535) {
    bytes += entryBytesMax(proposals[to])
    if (bytes > bytesMax && to > from) break
    to++
  }
  return to
}

/** Encodes `proposals[from, to)` (at most 65,535) as the batch that follows `previousCrc`. */
export function encodeBatch(
  epoch: Epoch,
  first: Offset,
  time: number,
  previousCrc: number,
  proposals: readonly Proposal[],
  from = 0,
  to: number = proposals.length,
): Batch {
  const out = WRITER
  out.reset()
  out.u32(0)
  out.f64(first)
  out.f64(epoch.number)
  writeIncarnation(out, epoch.incarnation)
  out.f64(time)
  const clients: ClientRef[] = []
  let last: ClientRef | null = null
  for (let i = from; i < to; i++) {
    const client = proposals[i].client
    if (client !== null && client !== last && !clients.includes(client)) clients.push(client)
    last = client
  }
  out.u16(clients.length)
  for (const client of clients) {
    out.latin1(client.id)
    out.f64(client.lowest)
  }
  out.u16(to - from)
  for (let i = from; i < to; i++) {
    const { client, seq, bytes, start, end } = proposals[i]
    out.u16(client === null ? NO_CLIENT : clients.length === 1 ? 0 : clients.indexOf(client))
    out.u16(client === null ? 0 : seq - client.lowest)
    out.u32(end - start)
    out.bytes(bytes, start, end)
  }
  const bytes = out.keep()
  const crc = checksum(bytes.subarray(4), previousCrc)
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, crc, true)
  return { epoch, first, next: first + to - from, time, crc, bytes }
}

/** 16 hex digits as two u32, the higher half first. */
export function writeIncarnation(out: Writer, incarnation: string): void {
  if (incarnation !== lastEpoch.incarnation) remember({ number: 0, incarnation })
  out.u32(lastHigh)
  out.u32(lastLow)
}

/** Overwrites the 16 bytes at `at` with what writeEpoch() of `epoch` would write. */
export function patchEpoch(out: Writer, at: number, epoch: Epoch): void {
  if (epoch.incarnation !== lastEpoch.incarnation) remember(epoch)
  out.patchF64(at, epoch.number)
  out.patchU32(at + 8, lastHigh)
  out.patchU32(at + 12, lastLow)
}

/** f64 number and 8 bytes. */
export function writeEpoch(out: Writer, epoch: Epoch): void {
  out.f64(epoch.number)
  writeIncarnation(out, epoch.incarnation)
}

/** Epochs repeat in nearly every frame, so the last one is kept together with its parsed halves. */
let lastEpoch: Epoch = { number: 0, incarnation: '0'.repeat(16) }
let lastHigh = 0
let lastLow = 0

function remember(epoch: Epoch): void {
  lastEpoch = epoch
  lastHigh = Number.parseInt(epoch.incarnation.slice(0, 8), 16)
  lastLow = Number.parseInt(epoch.incarnation.slice(8), 16)
}

/** f64 number and 8 bytes; equal epochs that follow each other share one object. */
export function readEpoch(reader: Reader): Epoch {
  const number = reader.whole()
  const high = reader.u32()
  const low = reader.u32()
  if (lastEpoch.number !== number || lastHigh !== high || lastLow !== low) {
    const digits = (half: number) => half.toString(16).padStart(8, '0')
    remember({ number, incarnation: digits(high) + digits(low) })
  }
  return lastEpoch
}

/** Throws for a command `source[start, end)` that may not be in a log. */
export type JudgeEntry = (source: Uint8Array, start: number, end: number) => void

/**
 * Reads a batch from `bytes`, which become its own: the caller passes a copy. All of it is walked
 * but its commands, which `judge` sees one by one (entry-check.ts); the crc is compared by whoever
 * knows the previous one.
 */
export function decodeBatch(bytes: Uint8Array, judge?: JudgeEntry): Batch {
  const reader = new Reader(bytes)
  const crc = reader.u32()
  const first = reader.whole()
  const epoch = readEpoch(reader)
  const time = reader.f64()
  if (!(time >= 0)) reader.fail('no time')
  const clients = reader.u16()
  for (let i = 0; i < clients; i++) {
    reader.skip(16)
    // Beyond, numbers are no longer one apart and a loop over them would not end.
    if (reader.whole() > LOWEST_MAX) reader.fail('a window at the end of numbers')
  }
  const count = reader.u16()
  if (count === 0 || first === 0) reader.fail('empty batch')
  if (!Number.isSafeInteger(first + count)) reader.fail('no such offset')
  for (let i = 0; i < count; i++) {
    const client = reader.u16()
    if (client !== NO_CLIENT && client >= clients) reader.fail('unknown client')
    reader.skip(2)
    const start = reader.skip(reader.u32())
    judge?.(bytes, start, reader.at)
  }
  reader.finish()
  return { epoch, first, next: first + count, time, crc, bytes }
}

/** True if `batch` continues a log whose last crc is `previousCrc`. */
export function continuesChain(batch: Batch, previousCrc: number): boolean {
  return checksum(batch.bytes.subarray(4), previousCrc) === batch.crc
}

/** Told of every entry: its command is `source[start, end)`. */
export interface EntryVisitor {
  onEntry(
    offset: Offset,
    client: ClientRef | null,
    seq: number,
    source: Uint8Array,
    start: number,
    end: number,
  ): void
}

const VISIT = new Reader()

/** Calls `visitor` for every entry in order. `batch` was made or decoded here, so it is sound. */
export function visitEntries(batch: Batch, visitor: EntryVisitor): void {
  const reader = VISIT.open(batch.bytes, BATCH_HEAD_BYTES)
  const clients: ClientRef[] = []
  for (let i = reader.u16(); i > 0; i--)
    clients.push({ id: reader.latin1(16), lowest: reader.f64() })
  const count = reader.u16()
  let at = reader.at
  for (let i = 0; i < count; i++) {
    reader.open(batch.bytes, at)
    const ref = reader.u16()
    const delta = reader.u16()
    const length = reader.u32()
    const start = reader.at
    at = start + length
    const client = ref === NO_CLIENT ? null : clients[ref]
    const seq = client === null ? 0 : client.lowest + delta
    visitor.onEntry(batch.first + i, client, seq, batch.bytes, start, at)
  }
}
