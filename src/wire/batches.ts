/** Several batches in one message: u16 n, each: u32 n, batch. */
import type { Batch } from '../contracts/types.js'
import { decodeBatch } from './batch.js'
import type { Reader, Writer } from './bytes.js'
import { checkEntry } from './entry-check.js'

export function writeBatches(out: Writer, batches: readonly Batch[]): void {
  out.u16(batches.length)
  for (const { bytes } of batches) {
    out.u32(bytes.length)
    out.bytes(bytes)
  }
}

/** Copies of the frame's bytes, each entry checked; PROTOCOL_ERROR for what is none. */
export function readBatches(reader: Reader): Batch[] {
  const batches: Batch[] = []
  for (let i = reader.u16(); i > 0; i--)
    batches.push(decodeBatch(reader.keep(reader.u32()), checkEntry))
  return batches
}
