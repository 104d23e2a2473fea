/**
 * A clear as an entry of strategy broadcast. It names no key, so one stamp cannot tell what its
 * origin had met of what it wipes: it says so of each other origin instead.
 *
 *   as every command, key ''  |  u8 n, each: u8 ordinal | f64 upto
 *
 * A clear without the list, as a client and any other strategy writes it, does not say.
 */
import type { Reader, Writer } from './bytes.js'
import { OP, writePlain } from './command.js'

/** All that the origin `ordinal` wrote with stamps up to `upto` was met. */
export interface MetUpTo {
  readonly ordinal: number
  readonly upto: number
}

/** `met` names at most 255 origins, each once. */
export function writeClear(out: Writer, cache: string, met: readonly MetUpTo[]): void {
  writePlain(out, OP.clear, cache, '')
  out.u8(met.length)
  for (const { ordinal, upto } of met) {
    out.u8(ordinal)
    out.f64(upto)
  }
}

/** `reader` stands behind the cache's name. By ordinal, who is missing was never met; undefined: it
 *  does not say. Reads to the end, or throws PROTOCOL_ERROR. */
export function readClear(reader: Reader): ReadonlyMap<number, number> | undefined {
  reader.skip(reader.u16())
  if (reader.left === 0) return undefined
  const met = new Map<number, number>()
  for (let count = reader.u8(); count > 0; count--) met.set(reader.u8(), reader.whole())
  reader.finish()
  return met
}
