/**
 * Recorded histories of registers, in two formats, told apart by their text. A format that another
 * project's recordings come in, so that the checker can be measured by their known verdicts:
 *
 *   INFO  jepsen.util - CLIENT :invoke|:ok|:fail|:info :read|:write|:cas VALUE
 *
 * with white space between the words; one register, nil at first; VALUE is `nil`, a number, or
 * `[EXPECTED NEW]`. Order in the file is time. `:ok` is done. `:fail` is surely not done, and of a
 * cas says that the register was not as expected. `:info` and `:timed-out` leave it unknown, so the
 * operation stays open to the end; what its client does next is a new operation. Other lines of a
 * log are passed over.
 *
 * And our own, one JSON object a line, in any order:
 *
 *   client    text or number, whoever asked; one client may have many calls under way
 *   key       text, '' if left out; every key is a register of its own, absent at first
 *   kind      'read' | 'write' | 'cas' | 'delete'
 *   value     what a write or a cas puts in: any JSON but null
 *   expected  what a cas compares with; null or left out: only if absent
 *   startMs   when the call began, ms on one clock for the whole file
 *   endMs     when its answer came, `startMs <= endMs`; not needed if outcome is 'unknown'. Calls
 *             that only touch overlap, so write fractions of a millisecond if you have them
 *   outcome   'ok': answered. 'fail': surely not done, says nothing else. 'unknown': it may take
 *             effect any time after its start, or never
 *   result    of a read that is ok: what it read, null or left out: absent.
 *             Of a cas that is ok: false if the register was not as expected, true or left out if
 *             it was. Of a delete that is ok: whether there was a value, left out if nobody knows
 *
 * Values are equal if their JSON texts are. Other members are passed over.
 */
import type { Interval } from './linearizability.js'
import { ABSENT, type RegisterOperation } from './register.js'

type Operations = Map<string, Interval<RegisterOperation>[]>

/** 'none': no history at all. 'damaged': a history with a line, counted from 1, that cannot be. */
export type ParsedHistory =
  | { readonly kind: 'history'; readonly keys: ReadonlyMap<string, Interval<RegisterOperation>[]> }
  | { readonly kind: 'none' }
  | { readonly kind: 'damaged'; readonly line: number; readonly reason: string }

const BYTE_ORDER_MARK = '\uFEFF'

/** `isJsonLines`: the text should be our own format, by its name. Then it is 'damaged' rather than
 *  'none', unless every line is an object without one member of a call. */
export function parseHistory(text: string, isJsonLines = false): ParsedHistory {
  if (text.startsWith(BYTE_ORDER_MARK)) {
    const { kind } = parseHistory(text.slice(BYTE_ORDER_MARK.length), isJsonLines)
    if (kind === 'none') return { kind }
    return { kind: 'damaged', line: 1, reason: 'a byte order mark before the first call' }
  }
  const lines = text.split(/\r?\n/)
  if (lines.some(isLikeCall) || isArrayOfCalls(text)) return parseJsonLines(lines)
  const log = parseLog(lines)
  if (log.kind !== 'none' || !isJsonLines || isOtherJsonLines(lines)) return log
  return parseJsonLines(lines)
}

const CALL_MEMBERS = ['client', 'key', 'kind', 'startMs', 'endMs', 'outcome']
/** A call has no fewer; one that is misspelt still tells what the other lines should be. */
const CALL_MEMBERS_MIN = 3

function membersOfCall(value: object): number {
  return CALL_MEMBERS.filter(name => Object.hasOwn(value, name)).length
}

function isLikeCall(line: string): boolean {
  if (!line.trimStart().startsWith('{')) return false
  const value = parseObject(line)
  return value !== undefined && membersOfCall(value) >= CALL_MEMBERS_MIN
}

function isArrayOfCalls(text: string): boolean {
  if (!text.trimStart().startsWith('[')) return false
  const values = parseJson(text)
  return Array.isArray(values) && values.some(value => isLikeCall(JSON.stringify(value) ?? ''))
}

/** What another tool wrote, such as the verdicts on histories. */
function isOtherJsonLines(lines: readonly string[]): boolean {
  const objects = lines.filter(line => line.trim() !== '').map(parseObject)
  if (objects.length === 0) return false
  return objects.every(value => value !== undefined && membersOfCall(value) === 0)
}

const LINE = /^INFO\s+jepsen\.util\s+-\s+(\d+)\s+:(\w+)\s+:(\w+)\s+(.+?)\s*$/
const TIMED_OUT = ':timed-out'

interface Pending {
  readonly operation: RegisterOperation
  readonly start: number
}

function parseLog(lines: readonly string[]): ParsedHistory {
  const pending = new Map<string, Pending>()
  const intervals: Interval<RegisterOperation>[] = []
  let isHistory = false
  for (const [at, line] of lines.entries()) {
    const match = LINE.exec(line)
    if (match === null) continue
    const [, client, step, kind, value] = match
    const damaged = (reason: string) => ({ kind: 'damaged', line: at + 1, reason }) as const
    isHistory = true
    const before = pending.get(client)
    if (step === 'invoke') {
      if (before !== undefined) return damaged(`client ${client} has not ended what it began`)
      const operation = invoked(kind, value)
      if (operation === undefined) return damaged(`no operation: ${kind} ${value}`)
      pending.set(client, { operation, start: at })
      continue
    }
    if (before?.operation.kind !== kind)
      return damaged(`client ${client} ends a ${kind} that it has not begun`)
    pending.delete(client)
    const interval = ended(before, step, value, at)
    if (interval === undefined) return damaged(`no end of a ${kind}: ${step} ${value}`)
    if (interval !== 'dropped') intervals.push(interval)
  }
  for (const { operation, start } of pending.values())
    if (operation.kind !== 'read') intervals.push({ operation, start, end: undefined })
  return isHistory ? { kind: 'history', keys: new Map([['', intervals]]) } : { kind: 'none' }
}

function invoked(kind: string, value: string): RegisterOperation | undefined {
  if (kind === 'read') return { kind, result: ABSENT }
  if (kind === 'write' && /^\S+$/.test(value)) return { kind, value: stored(value) }
  const pair = /^\[(\S+)\s+(\S+)\]$/.exec(value)
  if (kind !== 'cas' || pair === null) return undefined
  return { kind, expected: stored(pair[1]), value: stored(pair[2]), done: undefined }
}

function stored(text: string): string {
  return text === 'nil' ? ABSENT : text
}

/** Undefined: no such end. */
function ended(
  { operation, start }: Pending,
  step: string,
  value: string,
  end: number,
): Interval<RegisterOperation> | 'dropped' | undefined {
  const { kind } = operation
  if (step === 'info' || (step === 'fail' && value === TIMED_OUT))
    return kind === 'read' ? 'dropped' : { operation, start, end: undefined }
  if (step !== 'ok' && step !== 'fail') return undefined
  if (kind === 'cas') return { operation: { ...operation, done: step === 'ok' }, start, end }
  if (step === 'fail') return 'dropped'
  if (kind !== 'read') return { operation, start, end }
  if (!/^\S+$/.test(value)) return undefined
  return { operation: { kind, result: stored(value) }, start, end }
}

function parseJsonLines(lines: readonly string[]): ParsedHistory {
  const keys: Operations = new Map()
  let isEmpty = true
  for (const [at, line] of lines.entries()) {
    if (line.trim() === '') continue
    const call = readCall(line)
    if (typeof call === 'string') return { kind: 'damaged', line: at + 1, reason: call }
    isEmpty = false
    if (call.interval === undefined) continue
    const intervals = keys.get(call.key) ?? []
    keys.set(call.key, intervals)
    intervals.push(call.interval)
  }
  return isEmpty ? { kind: 'damaged', line: 1, reason: 'no call' } : { kind: 'history', keys }
}

interface RecordedCall {
  readonly key: string
  /** Undefined: surely not done, or a read of which nothing is known. */
  readonly interval: Interval<RegisterOperation> | undefined
}

/** The call, or what is wrong with it. */
function readCall(line: string): RecordedCall | string {
  const call = parseObject(line)
  if (call === undefined) return 'no JSON object'
  const { key = '', startMs, endMs, outcome } = call
  if (typeof key !== 'string') return 'key is no text'
  if (typeof startMs !== 'number' || !Number.isFinite(startMs)) return 'startMs is no number'
  if (outcome !== 'ok' && outcome !== 'fail' && outcome !== 'unknown') return 'no such outcome'
  const operation = operationOf(call)
  if (typeof operation === 'string') return operation
  if (outcome === 'fail') return { key, interval: undefined }
  if (outcome === 'unknown') {
    const interval = { operation, start: startMs, end: undefined }
    return { key, interval: operation.kind === 'read' ? undefined : interval }
  }
  if (typeof endMs !== 'number' || !(endMs >= startMs)) return 'endMs is no number from startMs on'
  return { key, interval: { operation, start: startMs, end: endMs } }
}

function operationOf(call: Readonly<Record<string, unknown>>): RegisterOperation | string {
  const { kind, result, outcome } = call
  const value = textOf(call.value)
  const verdict = outcome === 'ok' && result !== null ? result : undefined
  if (kind === 'read') return { kind, result: textOf(result) }
  if (kind !== 'write' && kind !== 'cas' && kind !== 'delete') return 'no such kind'
  if (kind !== 'delete' && value === ABSENT) return `a ${kind} without a value`
  if (kind === 'write') return { kind, value }
  if (verdict !== undefined && typeof verdict !== 'boolean')
    return `the result of a ${kind} is true or false`
  if (kind === 'delete') return { kind, found: verdict }
  const done = outcome === 'ok' ? verdict !== false : undefined
  return { kind, expected: textOf(call.expected), value, done }
}

function textOf(value: unknown): string {
  return value === null || value === undefined ? ABSENT : JSON.stringify(value)
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  const value = parseJson(line)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return value as Readonly<Record<string, unknown>>
}

/** Undefined: no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
