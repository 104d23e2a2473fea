/**
 * Judges the entries of a batch that came from another process: apply() trusts what is in a log,
 * and must never fail, since it would fail alike on every node. One walk over each command, without
 * a string and, but for a clear of strategy broadcast, without an object.
 */
import { Reader } from './bytes.js'
import { readClear } from './clears.js'
import { FLAG, OP, readConfigure } from './command.js'

const READER = new Reader()
const FLAGS_MAX = 31
const WINDOW_ID_BYTES = 16
const INCARNATION_BYTES = 8

/** For decodeBatch(): PROTOCOL_ERROR unless `source[start, end)` is what a master writes. */
export function checkEntry(source: Uint8Array, start: number, end: number): void {
  const reader = READER.open(source, start, end)
  const op = reader.u8()
  const flags = reader.u8()
  const nameBytes = reader.u8()
  reader.skip(nameBytes)
  switch (op) {
    case OP.set:
    case OP.delete:
    case OP.touch:
      if (nameBytes === 0) reader.fail('an entry of no cache')
      return checkRecord(reader, op, flags)
    case OP.expire:
    case OP.evict:
      skipKey(reader)
      reader.skip(flags & FLAG.ifVersion ? 16 : 8)
      return
    case OP.configure:
      skipKey(reader)
      readConfigure(reader)
      return
    case OP.closeWindow:
      skipKey(reader)
      reader.skip(WINDOW_ID_BYTES + 8)
      return
    case OP.clear:
      readClear(reader)
      return
    case OP.openWindow:
    case OP.noop:
    case OP.view:
      return
    default:
      reader.fail(`unknown operation ${op} in a log`)
  }
}

function checkRecord(reader: Reader, op: number, flags: number): void {
  if (flags > FLAGS_MAX) reader.fail(`unknown flags ${flags}`)
  if (skipKey(reader) === 0) reader.fail('an entry of no key')
  if (flags & FLAG.ifVersion) reader.whole()
  if (flags & FLAG.ttl) reader.whole()
  if (flags & FLAG.idle) reader.whole()
  if (flags & FLAG.merged) checkMerged(reader)
  if (op !== OP.set) reader.finish()
}

/** A life, and the write that it repeats (command.ts, readMerged). */
function checkMerged(reader: Reader): void {
  for (let i = 0; i < 3; i++) checkTime(reader)
  reader.whole()
  reader.skip(INCARNATION_BYTES)
  reader.whole()
  checkTime(reader)
}

function checkTime(reader: Reader): void {
  const time = reader.f64()
  if (!(time >= 0 && time < Number.POSITIVE_INFINITY)) reader.fail('no time')
}

/** Returns its bytes. */
function skipKey(reader: Reader): number {
  const keyBytes = reader.u16()
  reader.skip(keyBytes)
  return keyBytes
}
