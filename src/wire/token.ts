/**
 * Tokens: positions as text that an application may carry from one client to another, in a cookie
 * for example. No secret is inside, and none is needed: who forges one gets older or refused reads,
 * never another's data. The checksum covers the cluster's name, so that a token cut short or of
 * another cluster is told from one that was lost. (Where tokens must not be forged at all, an HMAC
 * with the peer key belongs in the place of the checksum: SECURITY.)
 *
 *   base64url of: u8 1 | u8 n, positions (wire/requests.ts) | u32 crc
 */

import { LIMITS } from '../config.js'
import type { Position } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { Reader, Writer } from './bytes.js'
import { checksum } from './checksum.js'
import { readPositions, writePositions } from './requests.js'

const VERSION = 1
const CRC_BYTES = 4
const TEXT_MAX = Math.ceil(((2 + LIMITS.positionsMax * 24 + CRC_BYTES) * 4) / 3)

/** 8 characters, and 32 for each of at most 8 positions; one is the rule. */
export function encodeToken(cluster: string, positions: readonly Position[]): string {
  const out = new Writer(64)
  out.u8(VERSION)
  writePositions(out, positions)
  out.u32(checksum(out.view(), checksum(Buffer.from(cluster), 0)))
  return Buffer.from(out.view()).toString('base64url')
}

/** CONFIG for anything that encodeToken() has not made for this cluster. */
export function decodeToken(cluster: string, token: string): readonly Position[] {
  if (typeof token !== 'string' || token.length > TEXT_MAX || !/^[\w-]{8,}$/.test(token))
    throw refusal('is none that token() returned')
  const bytes = Buffer.from(token, 'base64url')
  const end = bytes.length - CRC_BYTES
  const crc = checksum(bytes.subarray(0, end), checksum(Buffer.from(cluster), 0))
  if (bytes.readUInt32LE(end) !== crc)
    throw refusal(`is damaged, or of another cluster than ${cluster}`)
  const reader = new Reader().open(bytes, 0, end)
  if (reader.u8() !== VERSION) throw refusal('is of a later version')
  try {
    const positions = readPositions(reader)
    reader.finish()
    return positions
  } catch (cause) {
    throw refusal('is none that token() returned', cause)
  }
}

function refusal(what: string, cause?: unknown): GcacheError {
  return new GcacheError('CONFIG', `option after: the token ${what}`, { cause })
}
