/** The chain checksum of logs: CRC-32 by zlib, as a loop in JavaScript costs ten times as much. */
import { crc32 } from 'node:zlib'

/** CRC-32 of `bytes`, continuing `seed` (0 to begin). */
export function checksum(bytes: Uint8Array, seed: number): number {
  return crc32(bytes, seed)
}
