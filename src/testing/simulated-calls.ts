/**
 * What a simulated client asks and hears: a call from its start to its end, its bytes, its answer.
 */
import { TIMES } from '../config.js'
import type { ReadMode } from '../contracts/cache.js'
import type { Ack, PeerId, Position } from '../contracts/types.js'
import type { Reader, Writer } from '../wire/bytes.js'
import {
  OP,
  type SetFields,
  writeDelete,
  writePlain,
  writeSet,
  writeTouch,
} from '../wire/command.js'
import { type HowToRead, READ, STATUS } from '../wire/requests.js'

export type CallKind = 'open' | 'get' | 'set' | 'delete' | 'touch' | 'clear'

export interface Reply {
  readonly from: PeerId
  readonly epoch: number
  /** What the node had applied. */
  readonly position: Position
  readonly at: number
  readonly kind: 'written' | 'value' | 'absent' | 'error'
  readonly offset: number
  readonly version: number
  readonly copies: number
  readonly expiresAt: number
  readonly code: string
  /** Of an error: surely not done. */
  readonly surely: boolean
  /** Of DIVERGED: what the client had seen is lost. */
  readonly seenLost: boolean
}

export interface CallPlan extends SetFields {
  readonly kind: CallKind
  readonly cache: string
  readonly key: string
  readonly ack?: Ack | undefined
  readonly value?: Uint8Array | undefined
  /** Of a get; 'master' unless told. Local ones always carry what the client has seen. */
  readonly read?: ReadMode | undefined
  readonly maxStaleMs?: number | undefined
  /** A get from the master carries it too. */
  readonly withToken?: boolean | undefined
}

/** One call, from its start to its end. */
export interface Call extends CallPlan {
  readonly client: PeerId
  /** The window it was written under, '' for reads. */
  readonly window: string
  readonly seq: number
  readonly startedAt: number
  attempts: number
  endedAt: number | undefined
  outcome: 'open' | 'ok' | 'rejected' | 'unknown'
  reply: Reply | undefined
  /** Some attempt may have been carried out: only a receipt can settle it surely. */
  doubt: boolean
  /** Of a get: what the answered attempt asked to be included, and whether it was a local one. */
  sent: readonly Position[]
  local: boolean
}

/** One that begins now. Every field is written in its place, so that all calls have one shape. */
export function makeCall(
  plan: CallPlan,
  client: PeerId,
  window: string,
  seq: number,
  startedAt: number,
): Call {
  return {
    kind: plan.kind,
    cache: plan.cache,
    key: plan.key,
    ack: plan.ack,
    value: plan.value,
    read: plan.read,
    maxStaleMs: plan.maxStaleMs,
    withToken: plan.withToken,
    ifVersion: plan.ifVersion,
    ifAbsent: plan.ifAbsent,
    ttlMs: plan.ttlMs,
    idleMs: plan.idleMs,
    client,
    window,
    seq,
    startedAt,
    attempts: 0,
    endedAt: undefined,
    outcome: 'open',
    reply: undefined,
    doubt: false,
    sent: [],
    local: false,
  }
}

/** Only the first attempt: whatever goes wrong sends it to the master. */
export function goesLocal(call: Call): boolean {
  return call.kind === 'get' && call.read === 'local' && call.attempts === 0
}

/** How the next attempt of a get reads; undefined: plainly from the master. */
export function howToRead(call: Call, known: readonly Position[]): HowToRead | undefined {
  const { read = 'master', withToken = false, maxStaleMs = TIMES.maxStaleMs } = call
  const mode = goesLocal(call) ? READ.local : read === 'local' ? READ.master : READ[read]
  const seen = withToken || read === 'local' ? known : []
  if (mode === READ.master && seen.length === 0) return undefined
  return { mode, maxStaleMs, after: [], seen }
}

export function writeCommand(out: Writer, call: Call): void {
  switch (call.kind) {
    case 'set':
      return writeSet(out, call.cache, call.key, call.value ?? new Uint8Array(0), call)
    case 'delete':
      return writeDelete(out, call.cache, call.key, call)
    case 'touch':
      return writeTouch(out, call.cache, call.key, call)
    case 'clear':
      return writePlain(out, OP.clear, call.cache, '')
    case 'open':
      return writePlain(out, OP.openWindow, '', '')
    case 'get':
      return writePlain(out, OP.get, call.cache, call.key)
  }
}

export function readReply(
  reader: Reader,
  from: PeerId,
  epoch: number,
  position: Position,
  at: number,
): Reply {
  let kind: Reply['kind'] = 'absent'
  let offset = 0
  let version = 0
  let copies = 0
  let expiresAt = 0
  let code = ''
  let flag = 0
  const status = reader.u8()
  switch (status) {
    case STATUS.written:
      kind = 'written'
      offset = reader.f64()
      version = reader.f64()
      copies = reader.u8()
      reader.u8()
      break
    case STATUS.value:
      kind = 'value'
      version = reader.f64()
      expiresAt = reader.f64()
      reader.skip(reader.u32())
      break
    case STATUS.absent:
      break
    case STATUS.error:
      kind = 'error'
      code = reader.text8()
      flag = reader.u8()
      reader.text16()
      break
    default:
      reader.fail(`unknown status ${status}`)
  }
  return {
    from,
    epoch,
    position,
    at,
    kind,
    offset,
    version,
    copies,
    expiresAt,
    code,
    surely: flag !== 0,
    seenLost: flag === 2,
  }
}
