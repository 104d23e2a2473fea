/**
 * The decoders, each called as its users call it: bytes in, a value or a refusal out, and nothing
 * remembered. What a decoder lets through is used as its users would, since "decoded" promises that
 * nobody behind it has to judge again.
 */
import { createHmac } from 'node:crypto'
import { inspect } from 'node:util'
import { codecOf } from '../../src/cache/codec.js'
import { LIMITS } from '../../src/config.js'
import type { SeededRandom } from '../../src/core/prng.js'
import { HeardNodes } from '../../src/discovery/heard.js'
import {
  type AnnouncementRecord,
  decodeRecord,
  encodeRecord,
  SIGNATURE_BYTES,
} from '../../src/discovery/record.js'
import { GcacheError } from '../../src/errors.js'
import { KeyValueStore } from '../../src/store/key-value.js'
import { VirtualClock } from '../../src/testing/virtual-clock.js'
import { decodeBatch, encodeBatch } from '../../src/wire/batch.js'
import { checksum } from '../../src/wire/checksum.js'
import { checkCommand, FIRST_WRITE_OP } from '../../src/wire/command.js'
import { decodeControl, encodeControl } from '../../src/wire/control.js'
import { checkEntry } from '../../src/wire/entry-check.js'
import { FrameDecoder, framed } from '../../src/wire/frame.js'
import { readPiece } from '../../src/wire/merge-records.js'
import { decodeToken, encodeToken } from '../../src/wire/token.js'
import { decodeView, encodeView } from '../../src/wire/view.js'
import { messageCodec } from '../../strategies/master-slave/message-codec.js'
import { decodeEnvelope, encodeEnvelope } from '../../transports/relay/envelope.js'
import { decodeGreeting, encodeGreeting, refusal } from '../../transports/stream/hello.js'
import { EDGE_COMMANDS, EDGE_VALUES, edgePacked, found, golden } from './corpus.js'
import { promise, type Target } from './target.js'

export function pure(
  name: string,
  weight: number,
  seeds: readonly Uint8Array[],
  take: (input: Buffer) => string,
): Target {
  const all = [...seeds, ...found(name)]
  return { name, weight, pure: true, open: () => ({ seeds: all, take }) }
}

const text = (value: unknown) => JSON.stringify(value)

/** Says it again: what was understood must survive being said, or two versions would differ. */
export function again<T>(
  message: T,
  encode: (message: T) => Uint8Array,
  decode: (b: Buffer) => T,
): string {
  const said = text(message)
  const heard = text(decode(Buffer.from(encode(message))))
  promise(said === heard, `${said} came back as ${heard}`)
  return said
}

const listener = { self: 'a', cluster: 'shop' }

/** Recorded with the length before it, as they travel. */
const greetings = golden('transport-').map(bytes => bytes.subarray(4))
const greeting = pure(
  'greeting',
  8,
  [...greetings, ...greetings, ...greetings, ...greetings, ...edgePacked(1), ...edgePacked(3)],
  input => {
    const heard = decodeGreeting(input)
    if (heard.kind !== 'hello') return again(heard, encodeGreeting, decodeGreeting)
    return refusal(heard, listener, '*') ?? again(heard, encodeGreeting, decodeGreeting)
  },
)

const control = pure('control', 8, [...golden('control-'), ...edgePacked(3)], input =>
  again(decodeControl(input), encodeControl, decodeControl),
)

const KEY = Buffer.from('announcements are signed by this')
const sign = (bytes: Uint8Array) => createHmac('sha256', KEY).update(bytes).digest()

/** Every second one signed anew: behind the signature the table must stand as firm. */
const announcement = pure('announcement', 4, golden('discovery-'), input => {
  const end = input.length - SIGNATURE_BYTES
  if (end > 0 && (input[end] & 1) === 1) sign(input.subarray(0, end)).copy(input, end)
  const heard = new HeardNodes({
    ...{ cluster: 'shop', clock: new VirtualClock(), sign, loopbackOnly: false },
    ownProcess: () => undefined,
  })
  const change = heard.take(input, true)
  const dropped = Object.values(heard.counts).reduce((sum, count) => sum + count, 0)
  promise(dropped === 1, `${dropped} counts for one datagram`)
  promise(heard.known.length === (change === 'new' ? 1 : 0), `${change}, and something is known`)
  const encode = (record: AnnouncementRecord) =>
    encodeRecord(record, record.signed ? sign : undefined)
  return `${change} ${again(decodeRecord(input), encode, decodeRecord)}`
})

const relay = pure('relay', 4, golden('relay-'), input =>
  again(
    decodeEnvelope(input),
    ({ circuit, message }) => encodeEnvelope(circuit, message),
    decodeEnvelope,
  ),
)

const codec = messageCodec()
const message = pure('message', 16, [...golden('master-slave-'), ...edgePacked(0x50)], input =>
  again(codec.decode(input), codec.encode, codec.decode),
)

/** Entries of another node: what is let through must be applied without a word, by everybody. */
const batch: Target = {
  name: 'batch',
  weight: 8,
  pure: false,
  open() {
    const store = new KeyValueStore()
    const take = (input: Buffer) => {
      const decoded = decodeBatch(Buffer.from(input), checkEntry)
      const first = store.applied
      const next = first + decoded.next - decoded.first
      const outcomes: string[] = []
      const results = { onResult: (_offset: number, result: string) => outcomes.push(result) }
      store.apply({ ...decoded, first, next }, results)
      promise(outcomes.length === next - first, `${outcomes.length} results for ${next - first}`)
      return outcomes.join()
    }
    return { seeds: [...batches(), ...found('batch')], take, close: () => useStore(store) }
  },
}

/** One of each command, alone and all in one. */
export function batches(): Buffer[] {
  const epoch = { number: 513, incarnation: '00112233445566ff' }
  const client = { id: 'w'.repeat(16), lowest: 1 }
  const proposals = [...golden('command-'), ...EDGE_COMMANDS]
    .filter(bytes => bytes[0] >= FIRST_WRITE_OP)
    .map((bytes, seq) => {
      const who = seq % 2 === 0 ? client : null
      const id = { id: 1, ack: 'none', client: who, seq: who === null ? 0 : 1 + seq } as const
      return { ...id, bytes, start: 0, end: bytes.length }
    })
  const all = [...proposals.map(one => [one]), proposals]
  const encoded = all.map(each => encodeBatch(epoch, 7, 1_700_000_000_000, 99, each))
  return [...golden('batch'), ...encoded.map(({ bytes }) => Buffer.from(bytes))]
}

/** What a client reads of a cache, whoever wrote it. */
const { decode } = codecOf<unknown>('msgpack')
const value = pure('value', 4, [...EDGE_VALUES, ...values()], input => {
  let taken: unknown
  try {
    taken = decode(input)
  } catch (cause) {
    throw new GcacheError('CODEC', cause instanceof RangeError ? TOO_DEEP : String(cause))
  }
  // Whether the stack is deep enough depends on who calls.
  if (isDeep(taken)) throw new GcacheError('CODEC', TOO_DEEP)
  return inspect(taken, { depth: 4, maxArrayLength: 20, maxStringLength: 200 })
})

const TOO_DEEP = 'RangeError, or so deep that it may be one'

/** Far fewer levels than any stack holds. */
function isDeep(value: unknown): boolean {
  let level = [value]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > 500) return true
    level = level
      .filter(each => typeof each === 'object' && each !== null && !ArrayBuffer.isView(each))
      .flatMap(each => within(each as object))
  }
  return false
}

/** An Error's cause is not enumerable, and as deep as its sender likes. */
function within(value: object): unknown[] {
  if (value instanceof Set || value instanceof Map) return [...value]
  return Reflect.ownKeys(value).map(key => Reflect.get(value, key))
}

function values(): Buffer[] {
  const { encode } = codecOf<unknown>('msgpack')
  const plain = { name: 'ann', items: [1, -1, 2.5, 2 ** 40, null, true, [{ a: {} }]] }
  const rich = { at: new Date(5), of: new Set(['a', 1]), big: 2n ** 70n, small: -5n }
  const raw = { bytes: Buffer.from('abc'), floats: new Float64Array([1, Number.NaN]) }
  return [plain, rich, raw, 'x'.repeat(300), undefined].map(each => Buffer.from(encode(each)))
}

const view = pure('view', 3, views(), input => text(decodeView(input)))

const records = pure('records', 6, golden('merge-records'), input => {
  let items = 0
  const head = readPiece(input, {
    onRecord: () => items++,
    onRemoved: () => items++,
  })
  return `${text(head)} and ${items} items`
})

const CLUSTER_CRC = checksum(Buffer.from('shop'), 0)

/** Every second one with a checksum that fits: behind it the decoder must stand as firm. */
const token = pure('token', 3, tokens(), input => {
  if (input.length > 5 && (input[0] & 1) === 1) {
    const end = input.length - 4
    input.writeUInt32LE(checksum(input.subarray(0, end), CLUSTER_CRC), end)
  }
  return text(decodeToken('shop', input.toString('base64url')))
})

function views(): Buffer[] {
  const members = [
    { id: 'b', ordinal: 1, address: 'tcp://127.0.0.1:7401' },
    { id: 'w', ordinal: 255, address: '', witness: true, incarnation: '00112233445566ff' },
  ]
  const past = [{ id: 'a', ordinal: 0 }]
  const all = [
    { number: 0, members: [], past: [] },
    { number: 2 ** 32 - 1, members, past },
  ]
  return all.map(one => Buffer.from(encodeView(one)))
}

function tokens(): Buffer[] {
  const epoch = { number: 513, incarnation: '00112233445566ff' }
  const positions = Array.from({ length: LIMITS.positionsMax }, (_, i) => ({
    epoch,
    offset: i + 1,
  }))
  return [0, 1, positions.length].map(count =>
    Buffer.from(encodeToken('shop', positions.slice(0, count)), 'base64url'),
  )
}

/** A stream of frames, whole and in pieces: however it is cut, the same frames come out. */
const stream: Target = {
  name: 'stream',
  weight: 6,
  pure: true,
  open(random) {
    const frames = [...golden('transport-', 'request-', 'control-'), Buffer.alloc(700, 7)]
    const seeds = [Buffer.concat(frames.map(framed)), ...frames.map(framed), ...found('stream')]
    return { seeds, take: input => cutAnyhow(input, random) }
  },
}

const STREAM_BYTES_MAX = 4_096

function cutAnyhow(input: Buffer, random: SeededRandom): string {
  const whole = pushed(input, () => input.length)
  const most = random.pick([1, 3, 16, 300])
  const pieces = pushed(input, () => 1 + random.below(most))
  promise(whole === pieces, `in pieces ${pieces}, at once ${whole}`)
  return whole
}

function pushed(input: Buffer, next: () => number): string {
  let said = ''
  const decoder = new FrameDecoder(STREAM_BYTES_MAX, {
    onFrame: frame => {
      said += `${frame.length}:${checksum(frame, 0)} `
    },
  })
  try {
    for (let at = 0; at < input.length; ) {
      const end = at + next()
      decoder.push(input.subarray(at, end))
      promise(decoder.heldBytes <= STREAM_BYTES_MAX + 4, `${decoder.heldBytes} bytes are held`)
      at = end
    }
  } catch (error) {
    return `${said}${(error as { code?: string }).code ?? String(error)}`
  }
  return said
}

/** A client's command: what is let into a log must be applied without a word, by everybody. */
const command: Target = {
  name: 'command',
  weight: 8,
  pure: false,
  open() {
    const store = new KeyValueStore()
    const epoch = { number: 513, incarnation: '00112233445566ff' }
    let crc = 0
    const seeds = [...golden('command-'), ...EDGE_COMMANDS, ...found('command')]
    const take = (bytes: Buffer) => {
      const op = checkCommand(bytes, 0, bytes.length, LIMITS)
      if (op < FIRST_WRITE_OP) return `read ${op}`
      const end = bytes.length
      const proposal = { id: 1, ack: 'none', client: null, seq: 0, bytes, start: 0, end } as const
      const entry = encodeBatch(epoch, store.applied, 1_700_000_000_000, crc, [proposal])
      crc = entry.crc
      let outcome = ''
      store.apply(entry, { onResult: (_offset, result) => (outcome = result) })
      return `${op} ${outcome}`
    }
    return { seeds, take, close: () => useStore(store) }
  },
}

/** Slices of a copy into a state of their own: good ones leave a state that works. */
const slice: Target = {
  name: 'slice',
  weight: 8,
  pure: false,
  open(random) {
    const seeds = [...slices(), ...found('slice')]
    let store = new KeyValueStore()
    let first = true
    const take = (input: Buffer) => {
      try {
        store.install(40, input, first)
        first = random.chance(0.3)
        if (first) useStore(store)
        return `${store.stats().entries}`
      } catch (error) {
        store = new KeyValueStore()
        first = true
        throw error
      }
    }
    return { seeds, take }
  },
}

/** All that is ever asked of a state. */
function useStore(store: KeyValueStore): void {
  const time = 1_700_000_000_000
  store.digest()
  for (const name of store.caches().keys()) {
    store.size(name, time)
    for (const key of store.scan(name, '', 0, 50, time).keys) store.get(name, key, time)
  }
  store.housekeeping(time, 100)
  store.openSnapshot(1)
  for (let i = 0; i < 100; i++) if (store.readSnapshot(1, 65_536).state !== 'more') break
  store.closeSnapshot(1)
}

/** Of a state with two caches, lives, a window and its results. */
function slices(): Buffer[] {
  const store = new KeyValueStore()
  const epoch = { number: 513, incarnation: '00112233445566ff' }
  const client = { id: 'w'.repeat(16), lowest: 1 }
  const names = ['open-window', 'configure', 'set', 'set-all', 'touch', 'delete']
  let crc = 0
  for (const [seq, name] of names.entries()) {
    const [bytes] = golden(`command-${name}.hex`)
    const who = name === 'configure' ? null : client
    const proposal = { id: 1, ack: 'none', client: who, seq, bytes, start: 0, end: bytes.length }
    const entry = encodeBatch(epoch, store.applied, 1_700_000_000_000, crc, [proposal as never])
    crc = entry.crc
    store.apply(entry)
  }
  for (const bytes of EDGE_COMMANDS.slice(1, 4)) {
    const proposal = {
      id: 1,
      ack: 'none',
      client: null,
      seq: 0,
      bytes,
      start: 0,
      end: bytes.length,
    }
    const entry = encodeBatch(epoch, store.applied, 1_700_000_000_000, crc, [proposal as never])
    crc = entry.crc
    store.apply(entry)
  }
  store.openSnapshot(1)
  const read: Buffer[] = []
  for (;;) {
    const { slice: bytes, state } = store.readSnapshot(1, 200)
    read.push(Buffer.from(bytes))
    if (state !== 'more') return read
  }
}

export const DECODERS: readonly Target[] = [
  ...[stream, greeting, control, announcement, relay, message, batch, value],
  ...[view, records, token, command, slice],
]
