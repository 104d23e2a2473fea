/**
 * One call on its way: what it asks, so that it can be asked again elsewhere, and who waits for it.
 * All calls have one shape, because the table of them is the client's hot path.
 */
import type { RawEntry, SetOptions } from '../contracts/cache.js'
import type { PeerId } from '../contracts/types.js'
import type { Writer } from '../wire/bytes.js'
import { OP, writeDelete, writePlain, writeScan, writeSet, writeTouch } from '../wire/command.js'
import type { CallHow } from './read-how.js'
import type { WriteWindow } from './write-window.js'

/** What a reply of kind value becomes: `bytes` is lent. */
export type ReadValue = (bytes: Uint8Array) => unknown

type Settle = (value: unknown) => void

let capturedResolve: Settle = () => {}
let capturedReject: Settle = () => {}
const capture = (resolve: Settle, reject: Settle): void => {
  capturedResolve = resolve
  capturedReject = reject
}

const NO_BYTES = new Uint8Array(0)
const NO_OPTIONS: SetOptions = {}

export class Call {
  id = 0
  readonly op: number
  readonly ack: number
  readonly cache: string
  readonly key: string
  value: Uint8Array = NO_BYTES
  options: SetOptions = NO_OPTIONS
  cursor = 0
  limit = 0
  /** Undefined: a write, or a plain read from the master. */
  how: CallHow | undefined = undefined
  /** Undefined: the reply becomes a RawEntry. */
  decode: ReadValue | undefined = undefined
  /** Monotonic ms at which the sweep may give up. */
  due = 0
  /** Where it is in flight; undefined while it waits. */
  target: PeerId | undefined = undefined
  /** Sends whose fate is unknown: 0 means that it surely was not executed. */
  unsure = 0
  /** Its last answer: the master reaches no majority. */
  without = false
  /** For writes, from the first send on. */
  window: WriteWindow | undefined = undefined
  seq = 0
  settled = false
  readonly resolve: Settle
  readonly reject: Settle
  readonly promise: Promise<unknown>

  constructor(op: number, ack: number, cache: string, key: string) {
    this.op = op
    this.ack = ack
    this.cache = cache
    this.key = key
    this.promise = new Promise(capture)
    this.resolve = capturedResolve
    this.reject = capturedReject
  }
}

/** At most the bytes that writeCall() writes. */
export function callBytesMax(call: Call): number {
  return 128 + (call.cache.length + call.key.length) * 3 + call.value.length
}

/** The call's command, as wire/command.ts lays it out. */
export function writeCall(out: Writer, call: Call): void {
  switch (call.op) {
    case OP.set:
      writeSet(out, call.cache, call.key, call.value, call.options)
      break
    case OP.delete:
      writeDelete(out, call.cache, call.key, call.options)
      break
    case OP.touch:
      writeTouch(out, call.cache, call.key, call.options)
      break
    case OP.scan:
      writeScan(out, call.cache, call.key, call.cursor, call.limit)
      break
    default:
      writePlain(out, call.op, call.cache, call.key)
  }
}

export function rawEntry(value: Uint8Array, version: number, expiresAt: number): RawEntry {
  return { value, version, expiresAt }
}
