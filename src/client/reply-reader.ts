/**
 * Reply frames to settled promises, in one pass and without a closure. Values are lent to the
 * call's codec; whoever wants raw bytes gets a copy of its own.
 */
import type { RawPage } from '../contracts/cache.js'
import type { Epoch, Offset, PeerId } from '../contracts/types.js'
import { type ErrorCode, errorCode, GcacheError } from '../errors.js'
import { readEpoch } from '../wire/batch.js'
import { Reader } from '../wire/bytes.js'
import { OP } from '../wire/command.js'
import { FRAME, STATUS } from '../wire/requests.js'
import { type Call, rawEntry } from './call.js'

/** What the reader needs of the pending calls. */
export interface ReplyTable {
  inFlight(id: number, target: PeerId): Call | undefined
  remove(call: Call): void
  onError(call: Call, code: ErrorCode, surely: boolean, message: string): void
  /** The node that answers `call` had applied everything up to `offset` of `epoch`: all that the
   *  call asked for, or all that is left of it. */
  onSeen(call: Call, epoch: Epoch, offset: Offset): void
}

export class ReplyReader {
  readonly #reader = new Reader()

  /** Throws PROTOCOL_ERROR for what is no reply frame. Replies to calls that `table` does not know
   *  are passed over. */
  read(table: ReplyTable, target: PeerId, frame: Uint8Array): void {
    const reader = this.#reader.open(frame)
    const kind = reader.u8()
    if (kind === FRAME.groupReply) reader.u16()
    else if (kind !== FRAME.reply) reader.fail('no reply frame')
    const epoch = reader.f64()
    const appliedEpoch = readEpoch(reader)
    const applied = reader.whole()
    // It would be said again with each read, and every honest node refuses a position of nothing.
    if (applied === 0) reader.fail('a log that ends before its first entry')
    const count = reader.u16()
    let seen = false
    for (let i = 0; i < count; i++) {
      const id = reader.u32()
      const status = reader.u8()
      const call = table.inFlight(id, target)
      if (call !== undefined && status !== STATUS.error && (!seen || call.how !== undefined)) {
        seen = true
        table.onSeen(call, appliedEpoch, applied - 1)
      }
      const lost = this.#settle(table, call, status, epoch, target)
      if (lost && call !== undefined) table.onSeen(call, appliedEpoch, applied - 1)
    }
    reader.finish()
  }

  /** True if it says that what this client had seen is lost. */
  #settle(
    table: ReplyTable,
    call: Call | undefined,
    status: number,
    epoch: number,
    target: PeerId,
  ): boolean {
    const reader = this.#reader
    switch (status) {
      case STATUS.value: {
        const version = reader.f64()
        const expiresAt = reader.f64()
        const bytes = reader.view(reader.u32())
        if (call === undefined) return false
        // Only now: a call that is removed must be settled, and reading may throw.
        table.remove(call)
        settleValue(call, version, expiresAt, bytes)
        return false
      }
      case STATUS.written: {
        const offset = reader.f64()
        const version = reader.f64()
        const copies = reader.u8()
        const durableCopies = reader.u8()
        if (call === undefined) return false
        table.remove(call)
        call.resolve({ version, epoch, offset, copies, durableCopies })
        return false
      }
      case STATUS.absent:
        if (call === undefined) return false
        table.remove(call)
        call.resolve(undefined)
        return false
      case STATUS.number: {
        const number = reader.f64()
        if (call === undefined) return false
        table.remove(call)
        call.resolve(call.op === OP.has ? number !== 0 : number)
        return false
      }
      case STATUS.page: {
        const page = this.#page(epoch, target)
        if (call === undefined) return false
        table.remove(call)
        call.resolve(page)
        return false
      }
      case STATUS.error: {
        const code = errorCode(reader.text8())
        const flag = reader.u8()
        const message = reader.text16()
        if (call !== undefined) table.onError(call, code, flag !== 0, message)
        return flag === 2
      }
      default:
        return reader.fail(`unknown status ${status}`)
    }
  }

  #page(epoch: number, source: PeerId): RawPage {
    const reader = this.#reader
    const cursor = reader.f64()
    const count = reader.u16()
    const keys: string[] = []
    const values: Uint8Array[] = []
    for (let i = 0; i < count; i++) {
      keys.push(reader.text16())
      reader.skip(16)
      values.push(own(reader.view(reader.u32())))
    }
    return { keys, values, cursor, epoch, source }
  }
}

function settleValue(call: Call, version: number, expiresAt: number, bytes: Uint8Array): void {
  const decode = call.decode
  if (decode === undefined) {
    call.resolve(rawEntry(own(bytes), version, expiresAt))
    return
  }
  try {
    call.resolve(decode(bytes))
  } catch (cause) {
    call.reject(cause instanceof GcacheError ? cause : codecError(cause))
  }
}

function own(lent: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(lent.length)
  bytes.set(lent)
  return bytes
}

function codecError(cause: unknown): GcacheError {
  return new GcacheError('CODEC', 'the value cannot be decoded by this codec', { cause })
}
