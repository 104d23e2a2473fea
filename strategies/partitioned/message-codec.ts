/**
 * The bytes of it. A frame of groups is 0x60, then for each word u16 group, u32 n, the frame that
 * strategy master-slave makes of it; everything else is msgpack behind 0x61, each field checked.
 * Frames below 0x60 are those of a node whose strategy is master-slave: they name it, and no more.
 */
import type { MessageCodec } from '../../src/contracts/strategy.js'
import { GcacheError } from '../../src/errors.js'
import { Reader, Writer } from '../../src/wire/bytes.js'
import { checkFields, type Fields, packMessage, unpackMessage } from '../../src/wire/control.js'
import { messageCodec as groupCodec } from '../master-slave/message-codec.js'
import type { Message, Part } from './messages.js'
import { decodeRow } from './table.js'

const KIND = { groups: 0x60, packed: 0x61 }
/** Words of one frame; a step of 1,024 groups has a few for each. */
const PARTS_MAX = 16_384

const PACKED: Record<string, Fields> = {
  hello: {
    strategy: 'text',
    partitions: 'whole',
    backups: 'whole',
    life: 'text',
    hosts: 'list',
  },
  open: { number: 'whole', groups: 'list' },
  close: { number: 'whole', groups: 'list' },
  renew: {
    life: 'text',
    zone: 'text',
    asked: 'number',
    after: 'whole',
    upTo: 'whole',
    facts: 'list',
  },
  lease: { asked: 'number', ttlMs: 'whole', need: 'whole', heard: 'whole' },
  rows: { from: 'whole', next: 'whole', rows: 'list' },
  order: { group: 'whole', order: 'text', peer: 'text' },
}
const FACT: Fields = {
  group: 'whole',
  born: 'whole',
  data: 'text',
  history: 'text',
  above: 'number',
  released: 'whole',
  counter: 'whole',
  ask: 'whole',
  heirs: 'list',
  members: 'list',
  learners: 'list',
  settled: 'flag',
}

export function messageCodec(): MessageCodec<Message> {
  const out = new Writer(65_536)
  const inner = groupCodec()
  const reader = new Reader()
  return {
    encode(message) {
      if (message.type !== 'groups') return packMessage(KIND.packed, message)
      out.reset()
      out.u8(KIND.groups)
      for (const part of message.parts) {
        const frame = inner.encode(part.message)
        out.u16(part.group)
        out.u32(frame.length)
        out.bytes(frame)
      }
      return out.view()
    },
    decode(frame) {
      const kind = reader.open(frame).u8()
      if (kind === KIND.packed) return unpack(frame)
      if (kind < KIND.groups) return strange(inner, frame)
      if (kind !== KIND.groups) reader.fail(`unknown message ${kind}`)
      const parts: Part[] = []
      while (reader.left > 0) {
        if (parts.length >= PARTS_MAX) reader.fail(`more than ${PARTS_MAX} words`)
        const group = reader.u16()
        const bytes = reader.view(reader.u32())
        parts.push({ group, message: inner.decode(bytes) })
      }
      return { type: 'groups', parts }
    },
  }
}

/** A node of another strategy: what it is, as a first statement that is refused by name. */
function strange(inner: ReturnType<typeof groupCodec>, frame: Uint8Array): Message {
  inner.decode(frame)
  const nothing = { partitions: 0, backups: 0, life: '', hosts: [] }
  return { type: 'hello', strategy: 'master-slave', ...nothing }
}

function unpack(frame: Uint8Array): Message {
  const message = unpackMessage(frame)
  const { type } = message
  if (typeof type !== 'string' || !Object.hasOwn(PACKED, type)) throw broken('no word of it')
  checkFields(message, PACKED[type])
  if (type === 'hello') checkList(message.hosts, isGroup)
  else if (type === 'open' || type === 'close') checkList(message.groups, isGroup)
  else if (type === 'renew') {
    checkList(message.facts, isMap)
    for (const fact of message.facts as Record<string, unknown>[]) {
      checkFields(fact, FACT)
      for (const ids of [fact.heirs, fact.members, fact.learners]) checkList(ids, isText)
    }
  } else if (type === 'rows') {
    checkList(message.rows, isMap)
    for (const row of message.rows as Record<string, unknown>[]) {
      checkFields(row, { version: 'whole', bytes: 'bytes' })
      // A slice of the frame otherwise, which is only borrowed.
      row.bytes = (row.bytes as Uint8Array).slice()
      decodeRow(row.bytes as Uint8Array)
    }
  } else if (type === 'order' && !ORDERS.includes(message.order)) throw broken('no order')
  return message as unknown as Message
}

const ORDERS: readonly unknown[] = ['join', 'leave', 'handover']

function checkList(list: unknown, is: (item: unknown) => boolean): void {
  if (!Array.isArray(list) || !list.every(is)) throw broken('a list holds what it may not')
}

function isGroup(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 65_536
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= 255
}

function isMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function broken(what: string): GcacheError {
  return new GcacheError('PROTOCOL_ERROR', `between nodes of strategy partitioned: ${what}`)
}
