/**
 * Options are refused by name, with the nearest name that exists: a misspelt `tttlMs` must not
 * become a record that lives for ever.
 */
import { LIMITS } from '../config.js'
import type { ReadHow, ReadOptions, ScanOptions, SetOptions } from '../contracts/cache.js'
import { suggestion } from '../core/suggest.js'
import { GcacheError } from '../errors.js'

type Kind =
  | 'read'
  | 'page-read'
  | 'stale'
  | 'token'
  | 'ms'
  | 'life'
  | 'version'
  | 'flag'
  | 'ack'
  | 'prefix'
  | 'page'
  | 'signal'
  | 'any'

const READ_MODES: readonly string[] = ['master', 'local', 'linearizable']
const LIFE_MS_MAX = 2 ** 45
const TIMEOUT_MS_MAX = 2 ** 31 - 1
export const SCAN_PAGE_DEFAULT = 256
const SCAN_PAGE_MAX = 1_000

const CALL: Record<string, Kind> = { timeoutMs: 'ms' }
const READ: Record<string, Kind> = { ...CALL, read: 'read', maxStaleMs: 'stale', after: 'token' }
const WRITE: Record<string, Kind> = { ...CALL, ack: 'ack' }
export const KNOWN = {
  call: CALL,
  read: READ,
  write: WRITE,
  set: { ...WRITE, ttlMs: 'life', idleMs: 'life', ifVersion: 'version', ifAbsent: 'flag' },
  delete: { ...WRITE, ifVersion: 'version' },
  touch: { ...WRITE, ttlMs: 'life' },
  scan: { ...READ, read: 'page-read', prefix: 'prefix', pageSize: 'page' },
  watch: { prefix: 'prefix', signal: 'signal' },
  cache: { ...CALL, codec: 'any' },
  handover: { ...CALL, to: 'prefix' },
  force: { ...CALL, empty: 'flag' },
  close: { handover: 'flag' },
} as const satisfies Record<string, Record<string, Kind>>

/** Throws CONFIG for what is no object, a name that `known` lacks or a value of the wrong kind,
 *  LIMIT for a number out of its range. */
export function checkOptions(options: object, known: Readonly<Record<string, string>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new GcacheError('CONFIG', `options are an object, not ${kindOf(options)}`)
  for (const name in options) {
    const value = (options as Record<string, unknown>)[name]
    if (value === undefined) continue
    const kind = Object.hasOwn(known, name) ? known[name] : undefined
    if (kind === undefined) throw unknownOption(name, Object.keys(known))
    checkValue(name, value, kind as Kind)
  }
  const { read, maxStaleMs } = options as ReadOptions
  if (maxStaleMs !== undefined && read !== 'local')
    throw new GcacheError('CONFIG', "option maxStaleMs is for read: 'local'")
  const { ifVersion, ifAbsent } = options as SetOptions
  if (ifAbsent && ifVersion !== undefined)
    throw new GcacheError('CONFIG', 'ifVersion and ifAbsent exclude each other')
}

function checkValue(name: string, value: unknown, kind: Kind): void {
  switch (kind) {
    case 'ms':
      number(name, value, 1, TIMEOUT_MS_MAX, false)
      return
    case 'read':
      return oneOf(name, value, READ_MODES)
    case 'page-read':
      return oneOf(name, value, READ_MODES.slice(0, 2))
    case 'stale':
      number(name, value, 1, TIMEOUT_MS_MAX, true)
      return
    case 'token':
      if (typeof value !== 'string') throw wrongKind(name, value, 'what token() returned')
      return
    case 'life':
      number(name, value, 0, LIFE_MS_MAX, true)
      return
    case 'version':
      number(name, value, 0, Number.MAX_SAFE_INTEGER, true)
      return
    case 'page':
      number(name, value, 1, SCAN_PAGE_MAX, true)
      return
    case 'flag':
      if (typeof value !== 'boolean') throw wrongKind(name, value, 'true or false')
      return
    case 'ack':
      if (typeof value !== 'string') throw wrongKind(name, value, 'a string')
      return
    case 'prefix':
      if (typeof value !== 'string') throw wrongKind(name, value, 'a string')
      checkPrefix(value)
      return
    case 'signal':
      if (!isSignal(value)) throw wrongKind(name, value, 'an AbortSignal')
      return
    case 'any':
      return
  }
}

function oneOf(name: string, value: unknown, choices: readonly string[]): void {
  if (choices.includes(value as string)) return
  const given = typeof value === 'string' ? JSON.stringify(value) : kindOf(value)
  throw new GcacheError('CONFIG', `option ${name} is one of ${choices.join(', ')}, not ${given}`)
}

function number(name: string, value: unknown, min: number, max: number, whole: boolean): void {
  if (typeof value !== 'number' || Number.isNaN(value) || (whole && !Number.isInteger(value)))
    throw wrongKind(name, value, whole ? 'a whole number' : 'a number')
  if (value < min || value > max)
    throw new GcacheError('LIMIT', `${name} ${value} is not within ${min}..${max}`)
}

function wrongKind(name: string, value: unknown, wanted: string): GcacheError {
  return new GcacheError('CONFIG', `option ${name} must be ${wanted}, not ${kindOf(value)}`)
}

/** `null`, `a list` or `a` with what typeof says. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`
}

/** LIMIT for a prefix longer than any key: nothing would ever match it. */
function checkPrefix(prefix: string): void {
  const bytes = Buffer.byteLength(prefix)
  if (bytes > LIMITS.keyBytesMax)
    throw new GcacheError('LIMIT', `prefix of ${bytes} bytes exceeds ${LIMITS.keyBytesMax}`)
}

function isSignal(value: unknown): boolean {
  const signal = value as AbortSignal | null
  return typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function'
}

/** CONFIG, naming the nearest of `names` if one is near. */
export function unknownOption(name: string, names: readonly string[]): GcacheError {
  return new GcacheError('CONFIG', `unknown option ${name}: ${suggestion(name, names)}`)
}

/** Undefined for a plain read from the master. */
export function howOf(options: ReadOptions | undefined): ReadHow | undefined {
  if (options === undefined) return undefined
  const { read, maxStaleMs, after } = options
  if (after === undefined && (read === undefined || read === 'master')) return undefined
  return {
    ...(read === undefined ? {} : { read }),
    ...(maxStaleMs === undefined ? {} : { maxStaleMs }),
    ...(after === undefined ? {} : { after }),
  }
}

/** Records that a scan page asks for. */
export function pageSize(options: ScanOptions): number {
  return options.pageSize ?? SCAN_PAGE_DEFAULT
}
