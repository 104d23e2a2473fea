/**
 * Control frames: rare messages as msgpack maps, each field checked before anybody believes it.
 * Records, extensions and structured clones are off (SECURITY 3).
 */
import { Packr } from 'msgpackr'
import type { Member } from '../contracts/types.js'
import { GcacheError } from '../errors.js'
import { checkPacked } from './packed.js'

const PACKR = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  moreTypes: false,
  int64AsType: 'number',
})

export type FieldKind = 'text' | 'number' | 'whole' | 'flag' | 'list' | 'map' | 'bytes'
export type Fields = Record<string, FieldKind | `${FieldKind}?`>

/** Packs `message` behind the byte `kind`. */
export function packMessage(kind: number, message: object): Uint8Array {
  const body = PACKR.pack(message)
  const frame = Buffer.allocUnsafe(body.length + 1)
  frame[0] = kind
  body.copy(frame, 1)
  return frame
}

/** Unpacks what stands behind the first byte; PROTOCOL_ERROR for anything but a plain map. */
export function unpackMessage(frame: Uint8Array): Record<string, unknown> {
  let value: unknown
  checkPacked(frame, 1)
  try {
    value = PACKR.unpack(frame.subarray(1))
  } catch (cause) {
    throw new GcacheError('PROTOCOL_ERROR', 'a control frame is no msgpack', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new GcacheError('PROTOCOL_ERROR', 'a control frame is no map')
  return value as Record<string, unknown>
}

/** Throws PROTOCOL_ERROR unless every field of `fields` is there and of its kind; `?`: may be
 *  absent. Fields not named are let through: a later version may send more. */
export function checkFields(message: Record<string, unknown>, fields: Fields): void {
  for (const [name, wanted] of Object.entries(fields)) {
    const value = message[name]
    const optional = wanted.endsWith('?')
    if (value === undefined || value === null) {
      if (optional) continue
      throw new GcacheError('PROTOCOL_ERROR', `field ${name} is missing`)
    }
    if (!isKind(value, (optional ? wanted.slice(0, -1) : wanted) as FieldKind))
      throw new GcacheError('PROTOCOL_ERROR', `field ${name} is not of kind ${wanted}`)
  }
}

function isKind(value: unknown, kind: FieldKind): boolean {
  switch (kind) {
    case 'text':
      return typeof value === 'string'
    case 'number':
      return typeof value === 'number' && Number.isFinite(value)
    case 'whole':
      return Number.isSafeInteger(value) && (value as number) >= 0
    case 'flag':
      return typeof value === 'boolean'
    case 'list':
      return Array.isArray(value)
    case 'bytes':
      return value instanceof Uint8Array
    case 'map':
      return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array)
  }
}

/** A member as clients see it. */
export interface ViewMember {
  id: string
  ordinal: number
  address: string
}

/** Client and node, over FRAME.control. */
export type Control =
  /** Node to client: on link-up and at each change. */
  | {
      type: 'view'
      node: string
      master: string
      epoch: number
      serving: boolean
      members: ViewMember[]
      /** Every node serves reads and writes: a client stays with the one it has. */
      everybody?: boolean
      /** Of one value that `node` takes; absent: LIMITS.valueBytesMax. */
      valueBytesMax?: number
      /** Who serves which group, by its number, '' for nobody, and how many of them hold keys
       *  (core/key-groups.ts); absent: there is only one group. */
      table?: { number: number; masters: string[]; partitions: number }
    }
  | { type: 'status'; id: number }
  | { type: 'status-reply'; id: number; status: Record<string, unknown> }
  | { type: 'watch'; id: number; cache: string; prefix: string }
  | { type: 'unwatch'; id: number }
  /** Client to a slave: the master of this epoch does not answer me. */
  | { type: 'hint'; epoch: number }
  /** Node to client: this node leaves; go elsewhere. */
  | { type: 'farewell' }
  /** Node to client: what its message `what`, of this `id` if it had one, ends with. What 'link',
   *  either way: this link ends, for what came at byte `offset` of it if there is one. */
  | { type: 'refused'; id: number; what: string; code: string; message: string; offset?: number }
  /** To the master: give your place to `to`, '' for whom you choose; take `member` in; let `to`
   *  leave; begin lost `partition` anew. To any node: force a beginning, `empty` even if it holds
   *  no data and others do. Answered within `timeoutMs`, 5,000 if absent. Of an admin, or of a
   *  member for its own process. */
  | {
      type: 'admin'
      id: number
      command: string
      to: string
      member?: Member
      timeoutMs?: number
      empty?: boolean
      partition?: number
    }
  /** `code` '' and what came of it, or a code and why. NOT_MASTER: `to` is, if known. `view` and
   *  `members` answer join and leave, `history` and `forcedFrom` a forced beginning, `born` a
   *  partition's. */
  | {
      type: 'admin-reply'
      id: number
      code: string
      message: string
      from: string
      to: string
      epoch: number
      tookMs: number
      view?: number
      members?: Member[]
      history?: string
      forcedFrom?: string
      born?: number
    }

/** Members that a frame may list: as many as there are ordinals. */
const MEMBERS_MAX = 256
/** As many as a request frame can name. */
const GROUPS_MAX = 65_536
/** Slots of core/partition-map.ts. */
const PARTITIONS_MAX = 16_384
const MEMBER_FIELDS: Fields = {
  id: 'text',
  ordinal: 'whole',
  address: 'text',
  witness: 'flag?',
  learner: 'flag?',
}

const CONTROL_FIELDS: Record<Control['type'], Fields> = {
  view: {
    node: 'text',
    master: 'text',
    epoch: 'whole',
    serving: 'flag',
    members: 'list',
    everybody: 'flag?',
    valueBytesMax: 'whole?',
    table: 'map?',
  },
  status: { id: 'whole' },
  'status-reply': { id: 'whole', status: 'map' },
  watch: { id: 'whole', cache: 'text', prefix: 'text' },
  unwatch: { id: 'whole' },
  hint: { epoch: 'whole' },
  farewell: {},
  refused: { id: 'whole', what: 'text', code: 'text', message: 'text', offset: 'whole?' },
  admin: {
    id: 'whole',
    command: 'text',
    to: 'text',
    member: 'map?',
    timeoutMs: 'number?',
    empty: 'flag?',
    partition: 'whole?',
  },
  'admin-reply': {
    id: 'whole',
    code: 'text',
    message: 'text',
    from: 'text',
    to: 'text',
    epoch: 'whole',
    tookMs: 'number',
    view: 'whole?',
    members: 'list?',
    history: 'text?',
    forcedFrom: 'text?',
    born: 'whole?',
  },
}

export function encodeControl(message: Control): Uint8Array {
  return packMessage(3, message)
}

/** The last words on a link that ends for `cause`. */
export function encodeLinkEnd({ code, message, offset }: GcacheError): Uint8Array {
  const place = offset === undefined ? {} : { offset }
  return encodeControl({ type: 'refused', id: 0, what: 'link', code, message, ...place })
}

/** PROTOCOL_ERROR for an unknown type or a field that is not what it should be. */
export function decodeControl(frame: Uint8Array): Control {
  const message = unpackMessage(frame)
  const type = message.type
  if (typeof type !== 'string' || !Object.hasOwn(CONTROL_FIELDS, type))
    throw new GcacheError('PROTOCOL_ERROR', 'unknown control message')
  checkFields(message, CONTROL_FIELDS[type as Control['type']])
  if (Array.isArray(message.members)) checkMembers(message.members)
  if (type === 'view' && message.table) checkTable(message.table as Record<string, unknown>)
  if (type === 'admin' && message.member !== undefined) checkMembers([message.member])
  return message as unknown as Control
}

function checkTable(table: Record<string, unknown>): void {
  checkFields(table, { number: 'whole', masters: 'list', partitions: 'whole' })
  const masters = table.masters as unknown[]
  const partitions = table.partitions as number
  if (partitions < 1 || partitions > PARTITIONS_MAX || partitions >= masters.length)
    throw new GcacheError('PROTOCOL_ERROR', `${partitions} partitions in ${masters.length} groups`)
  if (masters.length > GROUPS_MAX || !masters.every(master => typeof master === 'string'))
    throw new GcacheError('PROTOCOL_ERROR', `a table of ${masters.length} groups is none`)
}

function checkMembers(members: readonly unknown[]): void {
  if (members.length > MEMBERS_MAX)
    throw new GcacheError('PROTOCOL_ERROR', `${members.length} members, at most ${MEMBERS_MAX}`)
  for (const member of members) {
    if (typeof member !== 'object' || member === null)
      throw new GcacheError('PROTOCOL_ERROR', 'a member is no map')
    checkFields(member as Record<string, unknown>, MEMBER_FIELDS)
  }
}
