/**
 * Tokens: positions as text that an application may carry from one client to another, in a cookie
 * for example. No secret is inside, and none is needed: who forges one gets older or refused reads,
 * never another's data. The checksum covers the cluster's name, so that a token cut short or of
 * another cluster is told from one that was lost. (Where tokens must not be forged at all, an HMAC
 * with the peer key belongs in the place of the checksum: SECURITY.)
 *
 *   base64url of: u8 1 | u8 n, positions (wire/requests.ts) | u32 crc
 *   of several groups: u8 2 | u16 n, each: u16 group | u8 n, positions; then | u32 crc
 */

import type { GroupId, Position } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { Reader, Writer } from './bytes.js'
import { checksum } from './checksum.js'
import { readPositions, writePositions } from './requests.js'

const VERSION = 1
const GROUPS_VERSION = 2
const CRC_BYTES = 4
/** One position of each of 16,384 partitions is 0.6 million characters. */
const TEXT_MAX = 2 ** 20

/** 8 characters, and 32 for each of at most 8 positions; one is the rule. */
export function encodeToken(cluster: string, positions: readonly Position[]): string {
  const out = new Writer(64)
  out.u8(VERSION)
  writePositions(out, positions)
  return finish(out, cluster)
}

/** What was seen of each group. 10 characters, and 36 for each group with one position. */
export function encodeGroupToken(
  cluster: string,
  seen: Iterable<readonly [GroupId, readonly Position[]]>,
): string {
  const out = new Writer(64)
  out.u8(GROUPS_VERSION)
  out.u16(0)
  let count = 0
  for (const [group, positions] of seen) {
    if (positions.length === 0) continue
    out.u16(group)
    writePositions(out, positions)
    count++
  }
  out.patchU16(1, count)
  return finish(out, cluster)
}

function finish(out: Writer, cluster: string): string {
  out.u32(checksum(out.view(), checksum(Buffer.from(cluster), 0)))
  return Buffer.from(out.view()).toString('base64url')
}

/** What `token` says of `group`; one of version 1 speaks of group 0. CONFIG for anything that was
 *  not made here for this cluster. */
export function decodeToken(cluster: string, token: string, group = 0): readonly Position[] {
  if (typeof token !== 'string' || token.length > TEXT_MAX || !/^[\w-]{8,}$/.test(token))
    throw refusal('is none that token() returned')
  const bytes = Buffer.from(token, 'base64url')
  const end = bytes.length - CRC_BYTES
  const crc = checksum(bytes.subarray(0, end), checksum(Buffer.from(cluster), 0))
  if (bytes.readUInt32LE(end) !== crc)
    throw refusal(`is damaged, or of another cluster than ${cluster}`)
  const reader = new Reader().open(bytes, 0, end)
  const version = reader.u8()
  if (version < VERSION || version > GROUPS_VERSION) throw refusal('is of a later version')
  try {
    if (version === GROUPS_VERSION) return readGroups(reader, group)
    const positions = readPositions(reader)
    reader.finish()
    return group === 0 ? positions : []
  } catch (cause) {
    throw refusal('is none that token() returned', cause)
  }
}

function readGroups(reader: Reader, wanted: GroupId): readonly Position[] {
  let found: readonly Position[] = []
  for (let n = reader.u16(); n > 0; n--) {
    const group = reader.u16()
    const positions = readPositions(reader)
    if (group === wanted) found = positions
  }
  reader.finish()
  return found
}

function refusal(what: string, cause?: unknown): GcacheError {
  return new GcacheError('CONFIG', `option after: the token ${what}`, { cause })
}
