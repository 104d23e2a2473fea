/**
 * The bytes of what nodes say to each other. The hot three (append, ack, heartbeat) and those that
 * carry blocks of bytes have a fixed layout; the rest is msgpack, each field checked.
 */
import type { MessageCodec } from '../../src/contracts/strategy.js'
import type { Epoch } from '../../src/contracts/types.js'
import { GcacheError } from '../../src/errors.js'
import { readEpoch, writeEpoch } from '../../src/wire/batch.js'
import { readBatches, writeBatches } from '../../src/wire/batches.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import { checkFields, type Fields, packMessage, unpackMessage } from '../../src/wire/control.js'
import { decodeView } from '../../src/wire/view.js'
import { type Charter, FORCED_FROM_MAX, type Message } from './messages.js'

const KIND = {
  append: 0x40,
  ack: 0x41,
  heartbeat: 0x42,
  pull: 0x43,
  slice: 0x44,
  header: 0x45,
  records: 0x46,
  packed: 0x50,
}

const PACKED: Record<string, Fields> = {
  state: {
    role: 'text',
    data: 'text',
    voter: 'flag',
    history: 'text',
    profile: 'text',
    incarnation: 'text',
    master: 'text',
    next: 'whole',
    view: 'whole',
    forcedFrom: 'list?',
  },
  probe: { nonce: 'whole' },
  'probe-reply': { nonce: 'whole', hears: 'flag' },
  prepare: {
    data: 'text',
    incarnation: 'text',
    history: 'text',
    starts: 'list',
    next: 'whole',
    commit: 'whole',
    voter: 'flag',
  },
  promise: {
    data: 'text',
    incarnation: 'text',
    history: 'text',
    starts: 'list',
    next: 'whole',
    commit: 'whole',
    voter: 'flag',
  },
  refuse: { hears: 'flag' },
  pull: { from: 'whole' },
  nominate: {},
  sync: {
    distrust: 'flag',
    feed: 'whole',
    data: 'text',
    incarnation: 'text',
    history: 'text',
    starts: 'list',
    next: 'whole',
    commit: 'whole',
    voter: 'flag',
  },
  'sync-reply': {
    feed: 'whole',
    history: 'text',
    from: 'whole',
    next: 'whole',
    voter: 'flag',
    forcedFrom: 'list?',
  },
  'merge-ask': { merge: 'whole', from: 'whole', index: 'whole' },
  'copy-begin': {
    history: 'text',
    copy: 'whole',
    at: 'whole',
    crc: 'whole',
    time: 'number',
    diverged: 'whole',
    starts: 'list',
    view: 'bytes',
    forcedFrom: 'list?',
  },
  'copy-end': { copy: 'whole', slices: 'whole', next: 'whole' },
  admit: { history: 'text', next: 'whole' },
  forgotten: { next: 'whole' },
  members: { history: 'text', view: 'bytes' },
  fenced: { master: 'text' },
  handover: { next: 'whole' },
}
/** Fields that hold epochs; an epoch travels as [number, incarnation]. */
const EPOCH_FIELDS = ['epoch', 'promised', 'lastEpoch', 'handover'] as const
const OF_TYPE: Record<string, readonly string[]> = {
  state: ['epoch', 'promised', 'lastEpoch'],
  prepare: ['epoch', 'lastEpoch'],
  promise: ['epoch', 'lastEpoch'],
  sync: ['epoch', 'lastEpoch'],
  admit: ['epoch', 'lastEpoch'],
  forgotten: ['epoch', 'lastEpoch'],
  refuse: ['epoch', 'promised'],
  fenced: ['epoch', 'promised'],
}

export function messageCodec(): MessageCodec<Message> {
  const out = new Writer(16_384)
  const reader = new Reader()
  return {
    encode(message) {
      out.reset()
      if (writeHot(out, message) || writeBlocks(out, message)) return out.view()
      return packMessage(KIND.packed, packEpochs(message))
    },
    decode(frame) {
      const kind = reader.open(frame).u8()
      if (kind === KIND.packed) return unpack(frame)
      const message = readFixed(reader, kind)
      reader.finish()
      return message
    },
  }
}

/** Append, ack and heartbeat; false for any other. */
function writeHot(out: Writer, message: Message): boolean {
  switch (message.type) {
    case 'append':
      out.u8(KIND.append)
      writeEpoch(out, message.epoch)
      writeEpoch(out, message.previous)
      out.f64(message.time)
      out.f64(message.commit)
      writeBatches(out, message.batches)
      return true
    case 'append-ack':
      out.u8(KIND.ack)
      writeEpoch(out, message.epoch)
      out.u32(message.feed)
      out.f64(message.next)
      out.f64(message.durable)
      out.f64(message.echo)
      out.f64(message.round)
      out.f64(message.stamp)
      return true
    case 'heartbeat':
      out.u8(KIND.heartbeat)
      writeEpoch(out, message.epoch)
      out.f64(message.next)
      out.f64(message.commit)
      out.f64(message.time)
      out.u32(message.feed)
      out.f64(message.sent)
      out.u32(message.slices)
      out.u8(message.inTouch ? 1 : 0)
      out.f64(message.round)
      out.f64(message.stamp)
      return true
    default:
      return false
  }
}

/** Those that carry blocks of bytes, and a witness's header; false for any other. */
function writeBlocks(out: Writer, message: Message): boolean {
  switch (message.type) {
    case 'pull-reply':
      out.u8(KIND.pull)
      writeEpoch(out, message.epoch)
      writeBatches(out, message.batches)
      return true
    case 'copy-slice':
      out.u8(KIND.slice)
      writeEpoch(out, message.epoch)
      out.f64(message.copy)
      out.u32(message.index)
      out.f64(message.next)
      out.u32(message.slice.length)
      out.bytes(message.slice)
      return true
    case 'header':
      out.u8(KIND.header)
      writeEpoch(out, message.epoch)
      writeEpoch(out, message.lastEpoch)
      out.f64(message.next)
      return true
    case 'merge-records':
      out.u8(KIND.records)
      writeEpoch(out, message.epoch)
      out.f64(message.merge)
      out.u32(message.index)
      out.u8(message.last ? 1 : 0)
      out.u32(message.bytes.length)
      out.bytes(message.bytes)
      return true
    default:
      return false
  }
}

function readFixed(reader: Reader, kind: number): Message {
  const epoch = kind <= KIND.records ? readEpoch(reader) : reader.fail(`unknown message ${kind}`)
  switch (kind) {
    case KIND.append: {
      const previous = readEpoch(reader)
      const time = reader.f64()
      const commit = reader.whole()
      return { type: 'append', epoch, previous, time, commit, batches: readBatches(reader) }
    }
    case KIND.ack:
      return {
        type: 'append-ack',
        epoch,
        feed: reader.u32(),
        next: reader.whole(),
        durable: reader.whole(),
        echo: reader.f64(),
        round: reader.whole(),
        stamp: reader.f64(),
      }
    case KIND.heartbeat:
      return {
        type: 'heartbeat',
        epoch,
        next: reader.whole(),
        commit: reader.whole(),
        time: reader.f64(),
        feed: reader.u32(),
        sent: reader.whole(),
        slices: reader.u32(),
        inTouch: reader.u8() !== 0,
        round: reader.whole(),
        stamp: reader.f64(),
      }
    case KIND.header:
      return { type: 'header', epoch, lastEpoch: readEpoch(reader), next: reader.whole() }
    case KIND.pull:
      return { type: 'pull-reply', epoch, batches: readBatches(reader) }
    case KIND.records: {
      const merge = reader.whole()
      const index = reader.u32()
      const last = reader.u8() === 1
      const bytes = reader.copy(reader.u32())
      return { type: 'merge-records', epoch, merge, index, last, bytes }
    }
    default: {
      const copy = reader.whole()
      const index = reader.u32()
      const next = reader.whole()
      return { type: 'copy-slice', epoch, copy, index, next, slice: reader.copy(reader.u32()) }
    }
  }
}

function packEpochs(message: Message): Record<string, unknown> {
  const packed: Record<string, unknown> = { ...message }
  for (const name of EPOCH_FIELDS) {
    const epoch = packed[name] as Epoch | undefined
    if (epoch !== undefined) packed[name] = [epoch.number, epoch.incarnation]
  }
  if ('starts' in message)
    packed.starts = message.starts.map(s => [s.epoch.number, s.epoch.incarnation, s.first])
  return packed
}

function unpack(frame: Uint8Array): Message {
  const message = unpackMessage(frame)
  const type = message.type
  if (typeof type !== 'string' || !Object.hasOwn(PACKED, type))
    throw new GcacheError('PROTOCOL_ERROR', 'unknown message between nodes')
  checkFields(message, PACKED[type])
  for (const name of OF_TYPE[type] ?? ['epoch']) message[name] = toEpoch(message[name])
  if (message.handover !== undefined) message.handover = toEpoch(message.handover)
  if (message.charter !== undefined) message.charter = toCharter(message.charter)
  if (Array.isArray(message.starts))
    message.starts = message.starts.map(start => ({
      epoch: toEpoch(start),
      first: whole((start as unknown[])[2]),
    }))
  if (message.view instanceof Uint8Array) {
    // A slice of the frame otherwise, which is only borrowed.
    message.view = message.view.slice()
    decodeView(message.view as Uint8Array)
  }
  if (Array.isArray(message.forcedFrom)) checkHistories(message.forcedFrom)
  return message as unknown as Message
}

function checkHistories(histories: readonly unknown[]): void {
  if (histories.length > FORCED_FROM_MAX || histories.some(one => typeof one !== 'string'))
    throw new GcacheError('PROTOCOL_ERROR', 'forcedFrom is no list of histories')
}

function toEpoch(value: unknown): Epoch {
  if (!Array.isArray(value) || !/^[0-9a-f]{16}$/.test(String(value[1])))
    throw new GcacheError('PROTOCOL_ERROR', 'an epoch is not one')
  return { number: whole(value[0]), incarnation: value[1] }
}

function toCharter(value: unknown): Charter {
  const pairs = Array.isArray(value) ? value : [undefined]
  for (const pair of pairs) {
    const [id, incarnation] = Array.isArray(pair) ? pair : []
    if (typeof id !== 'string' || !/^[0-9a-f]{16}$/.test(String(incarnation)))
      throw new GcacheError('PROTOCOL_ERROR', 'a charter names no process')
  }
  return pairs as [string, string][]
}

function whole(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw new GcacheError('PROTOCOL_ERROR', 'an offset is no whole number')
  return value as number
}
