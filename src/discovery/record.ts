/**
 * An announcement as bytes: a fixed head, three short texts, and a signature where there is a
 * secret. Everything is bounded before it is read, and nothing of it is believed before the
 * signature is judged (SECURITY 15).
 *
 *   "gca" | u8 version 1 | u8 flags: 1 signed | u8 presence | f64 time, wall ms | 8 bytes nonce
 *   8 bytes process | f64 since | u16 intervalMs / 10 | u8 ordinal | 8 bytes history
 *   text8 cluster | text8 id | text8 address | 32 bytes HMAC-SHA-256 of all before it, if signed
 */
import { DISCOVERY, ID } from '../config.js'
import type { Announcement, Presence } from '../contracts/discovery.js'
import { GcacheError } from '../errors.js'
import { Reader, Writer } from '../wire/bytes.js'

export const SIGNATURE_BYTES = 32
const VERSION = 1
const SIGNED = 1
const PRESENCES: readonly (Presence | undefined)[] = [undefined, 'forming', 'member', 'leaving']
/** A unit of the interval, so that an hour would fit as well. */
const INTERVAL_UNIT_MS = 10

export interface AnnouncementRecord {
  readonly cluster: string
  readonly said: Announcement
  /** Wall ms of its sender. */
  readonly time: number
  /** 16 hex digits: two records of one ms differ. */
  readonly nonce: string
  readonly intervalMs: number
  readonly signed: boolean
}

/** `sign` makes the last 32 bytes; undefined: unsigned. */
export function encodeRecord(
  record: Omit<AnnouncementRecord, 'signed'>,
  sign?: (bytes: Uint8Array) => Uint8Array,
): Uint8Array {
  const { cluster, said, time, nonce, intervalMs } = record
  const out = new Writer(DISCOVERY.datagramBytesMax)
  out.latin1('gca')
  out.u8(VERSION)
  out.u8(sign === undefined ? 0 : SIGNED)
  out.u8(PRESENCES.indexOf(said.presence))
  out.f64(time)
  out.bytes(Buffer.from(nonce, 'hex'))
  out.bytes(Buffer.from(said.process, 'hex'))
  out.f64(said.since)
  out.u16(Math.round(intervalMs / INTERVAL_UNIT_MS))
  out.u8(said.ordinal)
  out.bytes(Buffer.from(said.history, 'hex'))
  out.text8(cluster)
  out.text8(said.id)
  out.text8(said.address)
  if (sign !== undefined) out.bytes(sign(out.view()))
  return out.copy()
}

const reader = new Reader()

/** FRAME_TOO_BIG, or PROTOCOL_ERROR for what is no announcement. The signature is not judged. */
export function decodeRecord(bytes: Uint8Array): AnnouncementRecord {
  if (bytes.length > DISCOVERY.datagramBytesMax)
    throw new GcacheError(
      'FRAME_TOO_BIG',
      `a datagram of ${bytes.length} bytes, at most ${DISCOVERY.datagramBytesMax}`,
    )
  const from = reader.open(bytes)
  if (from.latin1(3) !== 'gca') from.fail('no announcement')
  if (from.u8() !== VERSION) from.fail('another version')
  const flags = from.u8()
  if (flags > SIGNED) from.fail('unknown flags')
  const presence = PRESENCES[from.u8()]
  if (presence === undefined) from.fail('unknown presence')
  const time = from.whole()
  const nonce = hex8(from)
  const process = hex8(from)
  const since = from.whole()
  const intervalMs = from.u16() * INTERVAL_UNIT_MS
  if (intervalMs < DISCOVERY.intervalMsMin || intervalMs > DISCOVERY.intervalMsMax)
    from.fail('an interval out of range')
  const ordinal = from.u8()
  const history = hex8(from)
  const cluster = from.text8()
  const id = from.text8()
  const address = from.text8()
  if (!ID.test(cluster) || !ID.test(id)) from.fail('a name that is none')
  if (!isPlain(address)) from.fail('no address')
  if (flags === SIGNED) from.skip(SIGNATURE_BYTES)
  from.finish()
  const said = { id, ordinal, address, presence: presence as Presence, process, since, history }
  return { cluster, said, time, nonce, intervalMs, signed: flags === SIGNED }
}

/** What `sign` was given, and what it made of it. */
export function signatureOf(bytes: Uint8Array): { signed: Uint8Array; signature: Uint8Array } {
  const end = bytes.length - SIGNATURE_BYTES
  return { signed: bytes.subarray(0, end), signature: bytes.subarray(end) }
}

/** It may end up in a log: visible ASCII, and not empty. */
function isPlain(address: string): boolean {
  return /^[!-~]+$/.test(address)
}

function hex8(from: Reader): string {
  const at = from.skip(8)
  return from.source.toString('hex', at, at + 8)
}
