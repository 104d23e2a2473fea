/**
 * How values become bytes. Only the edge knows: servers keep what they are given (SECURITY 3), so
 * reader and writer of a cache must choose the same codec.
 */
import { Packr, Unpackr } from 'msgpackr'
import type { CodecChoice, ValueCodec } from '../contracts/cache.js'
import { GcacheError } from '../errors.js'

/** A codec as the cache uses it: `decode` gets bytes that are lent for the call. */
export interface LentCodec<V> {
  encode(value: V): Uint8Array
  decode(lent: Uint8Array): V
}

/** Deeper values are refused: decoding is recursive. */
const DEPTH_MAX = 100

/** CONFIG for what is no codec. */
export function codecOf<V>(choice: CodecChoice<V> | undefined): LentCodec<V> {
  const named = NAMED.get((choice ?? 'msgpack') as string)
  if (named !== undefined) return named() as LentCodec<V>
  const custom = choice as ValueCodec<V> | null
  if (typeof custom?.encode === 'function' && typeof custom.decode === 'function')
    return {
      encode: value => {
        const encoded = custom.encode(value)
        if (encoded instanceof Uint8Array) return encoded
        throw new GcacheError('CODEC', 'encode() returned no Uint8Array')
      },
      decode: lent => custom.decode(own(lent)),
    }
  throw new GcacheError(
    'CONFIG',
    `unknown codec ${typeof choice === 'string' ? choice : `of type ${typeof choice}`}: ` +
      'msgpack, json, bytes or { encode, decode }',
  )
}

/** The codec's own copy of lent bytes. */
function own(lent: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafe(lent.length)
  copy.set(lent)
  return copy
}

/**
 * Plain data, Date, Set, bigint, typed arrays and Buffers come back as they were; toJSON() counts.
 * No records and no structured clones: those would compile readers from what they read.
 */
function msgpack(): LentCodec<unknown> {
  const packr = new Packr(PLAIN)
  // msgpackr reads records even where it writes none, unless it has no place to keep their shapes.
  const shapes: object[] = []
  const unpackr = new Unpackr({ ...PLAIN, structures: shapes })
  Object.preventExtensions(shapes)
  return {
    encode(value) {
      // It would come back as undefined, which is no value.
      if (typeof value === 'function') throw new GcacheError('CODEC', 'a function is no value')
      if (typeof value === 'object' && value !== null) refuseMaps(value, 0)
      return packr.pack(value)
    },
    decode: lent => unpackr.unpack(lent),
  }
}

const PLAIN = {
  useRecords: false,
  moreTypes: true,
  structuredClone: false,
  mapsAsObjects: true,
  copyBuffers: true,
}

/** A Map would come back as a plain object, silently: better refused. */
function refuseMaps(value: object, depth: number): void {
  if (depth > DEPTH_MAX) throw new GcacheError('CODEC', `a value deeper than ${DEPTH_MAX}`)
  if (value instanceof Map)
    throw new GcacheError('CODEC', 'a Map would come back as an object: use Object.fromEntries')
  if (ArrayBuffer.isView(value)) return
  if (Array.isArray(value)) {
    for (const item of value)
      if (typeof item === 'object' && item !== null) refuseMaps(item, depth + 1)
    return
  }
  for (const name in value) {
    const item = (value as Record<string, unknown>)[name]
    if (typeof item === 'object' && item !== null) refuseMaps(item, depth + 1)
  }
}

const json: LentCodec<unknown> = {
  encode(value) {
    const text = JSON.stringify(value)
    if (text === undefined) throw new GcacheError('CODEC', `a ${typeof value} has no JSON`)
    return Buffer.from(text)
  },
  decode: lent => JSON.parse(asBuffer(lent).toString('utf8')),
}

const bytes: LentCodec<unknown> = {
  encode(value) {
    if (value instanceof Uint8Array) return value
    throw new GcacheError('CODEC', `codec bytes takes a Uint8Array, not a ${typeof value}`)
  },
  decode: own,
}

function asBuffer(view: Uint8Array): Buffer {
  return Buffer.isBuffer(view) ? view : Buffer.from(view.buffer, view.byteOffset, view.byteLength)
}

const NAMED = new Map<string, () => LentCodec<unknown>>([
  ['msgpack', msgpack],
  ['json', () => json],
  ['bytes', () => bytes],
])
