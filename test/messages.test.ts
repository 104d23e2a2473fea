/** What nodes say to each other, and clients to nodes: round trips, golden bytes, every cut. */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { encodeBatch } from '../src/wire/batch.js'
import { Reader, Writer } from '../src/wire/bytes.js'
import { OP, writePlain, writeSet } from '../src/wire/command.js'
import { type Control, decodeControl, encodeControl } from '../src/wire/control.js'
import {
  ackCode,
  beginReplies,
  beginRequest,
  beginRequests,
  endRequest,
  groupOfReplies,
  groupOfRequests,
  patchReplies,
  READ,
  readByte,
  readGroupHead,
  writeAbsent,
  writeError,
  writeNumber,
  writeReadTail,
  writeValue,
  writeWritten,
} from '../src/wire/requests.js'
import { encodeView } from '../src/wire/view.js'
import type { MasterSlaveMessage } from '../strategies/master-slave/index.js'
import { messageCodec } from '../strategies/master-slave/message-codec.js'
import { codeOf } from './harness/codes.js'
import { expectGolden } from './harness/golden.js'

const epoch = { number: 513, incarnation: '00112233445566ff' }
const older = { number: 256, incarnation: 'ffeeddccbbaa9988' }
const out = new Writer()
writeSet(out, 'sessions', 'sid', Buffer.from('value'), { ttlMs: 1_000 })
const command = out.copy()
const client = { id: 'c'.repeat(16), lowest: 3 }
const proposal = { id: 1, ack: 'insync', client, seq: 4, bytes: command, start: 0 } as const
const batch = encodeBatch(epoch, 7, 1_700_000_000_000, 99, [{ ...proposal, end: command.length }])
const view = encodeView({
  number: 2,
  members: [
    { id: 'b', ordinal: 1, address: 'tcp://127.0.0.1:7401' },
    { id: 'w', ordinal: 9, address: 'tcp://127.0.0.1:7409', witness: true },
    { id: 'd', ordinal: 3, address: '', learner: true },
    { id: 'e', ordinal: 4, address: '', incarnation: '00112233445566ff' },
  ],
  past: [{ id: 'a', ordinal: 0 }],
})
const starts = [
  { epoch: older, first: 1 },
  { epoch, first: 7 },
]
const facts = {
  data: 'ready',
  incarnation: older.incarnation,
  history: '018bcfe5'.repeat(5),
  starts,
  lastEpoch: epoch,
  next: 8,
  commit: 7,
  voter: true,
}

const handedOver = { type: 'prepare', epoch, ...facts, handover: older } as never

const chartered = {
  ...{ type: 'sync-reply', epoch, feed: 3, history: facts.history, from: 7, next: 8 },
  ...{ voter: true, charter: [['c', older.incarnation]] },
} as never

const messages: { [T in MasterSlaveMessage['type']]: Extract<MasterSlaveMessage, { type: T }> } = {
  append: {
    type: 'append',
    epoch,
    previous: older,
    time: 1_700_000_000_001,
    commit: 7,
    batches: [batch],
  },
  'append-ack': {
    type: 'append-ack',
    epoch,
    feed: 3,
    next: 8,
    durable: 7,
    echo: 1_700_000_000_001,
    round: 4,
    stamp: 17.25,
  },
  heartbeat: {
    type: 'heartbeat',
    epoch,
    next: 8,
    commit: 7,
    time: 17.5,
    feed: 3,
    sent: 8,
    slices: 0xffff_ffff,
    inTouch: true,
    round: 4,
    stamp: -1,
  },
  state: {
    type: 'state',
    role: 'master',
    data: 'ready',
    voter: true,
    history: facts.history,
    profile: 'majority',
    incarnation: epoch.incarnation,
    promised: epoch,
    epoch,
    master: 'b',
    lastEpoch: older,
    next: 8,
    view: 1,
  },
  probe: { type: 'probe', epoch, nonce: 5 },
  'probe-reply': { type: 'probe-reply', epoch, nonce: 5, hears: true },
  prepare: { type: 'prepare', epoch, ...facts } as never,
  promise: { type: 'promise', epoch, ...facts } as never,
  refuse: { type: 'refuse', epoch, promised: older, hears: false },
  pull: { type: 'pull', epoch, from: 7 },
  'pull-reply': { type: 'pull-reply', epoch, batches: [batch] },
  nominate: { type: 'nominate', epoch },
  sync: { type: 'sync', epoch, distrust: false, feed: 3, ...facts } as never,
  'sync-reply': {
    type: 'sync-reply',
    epoch,
    feed: 3,
    history: facts.history,
    from: 7,
    next: 8,
    voter: true,
  },
  admit: { type: 'admit', epoch, history: facts.history, lastEpoch: older, next: 8 },
  members: { type: 'members', epoch, history: facts.history, view },
  header: { type: 'header', epoch, lastEpoch: older, next: 8 },
  'merge-ask': { type: 'merge-ask', epoch, merge: 4, from: 3, index: 1 },
  'merge-records': {
    type: 'merge-records',
    epoch,
    merge: 4,
    index: 1,
    last: true,
    bytes: Buffer.from('records'),
  },
  'copy-begin': {
    type: 'copy-begin',
    epoch,
    history: facts.history,
    copy: 2,
    at: 7,
    crc: 99,
    time: 1_700_000_000_001,
    diverged: 3,
    starts,
    view,
  },
  'copy-slice': {
    type: 'copy-slice',
    epoch,
    copy: 2,
    index: 0,
    next: 8,
    slice: Buffer.from('slice'),
  },
  'copy-end': { type: 'copy-end', epoch, copy: 2, slices: 1, next: 8 },
  forgotten: { type: 'forgotten', epoch, lastEpoch: older, next: 8 },
  fenced: { type: 'fenced', epoch: older, promised: epoch, master: 'b' },
  handover: { type: 'handover', epoch, next: 8 },
}

describe('messages between nodes', () => {
  const codec = messageCodec()

  it.each(Object.entries(messages))('%s survives, and its golden bytes decode', (type, message) => {
    const bytes = Buffer.from(codec.encode(message))
    expect(bytes[0]).toBeGreaterThanOrEqual(0x40)
    expect(codec.decode(bytes)).toEqual(message)
    expect(codec.decode(expectGolden(`master-slave-${type}`, bytes))).toEqual(message)
  })

  it('a prepare of a handover names the epoch that ends', () => {
    const bytes = Buffer.from(codec.encode(handedOver))
    expect(codec.decode(bytes)).toEqual(handedOver)
    expect(codec.decode(expectGolden('master-slave-prepare-handover', bytes))).toEqual(handedOver)
  })

  it('a sync-reply names those who may vote and were not told', () => {
    const bytes = Buffer.from(codec.encode(chartered))
    expect(codec.decode(bytes)).toEqual(chartered)
    expect(codec.decode(expectGolden('master-slave-sync-reply-charter', bytes))).toEqual(chartered)
    for (const charter of ['c', ['c'], [['c']], [[1, older.incarnation]], [['c', 'x']]]) {
      const wrong = Buffer.from(codec.encode(Object.assign({}, chartered, { charter })))
      expect(codeOf(() => codec.decode(wrong))).toBe('PROTOCOL_ERROR')
    }
  })

  it.each(['state', 'sync-reply', 'copy-begin'] as const)(
    'a %s names the histories that its own was forced from, at most 8',
    type => {
      const forced = { ...messages[type], forcedFrom: ['0f'.repeat(22), 'f0'.repeat(22)] }
      const bytes = Buffer.from(codec.encode(forced))
      expect(codec.decode(bytes)).toEqual(forced)
      expect(codec.decode(expectGolden(`master-slave-${type}-forced`, bytes))).toEqual(forced)
      for (const forcedFrom of [[1], Array(9).fill('0f')]) {
        const bad = Buffer.from(codec.encode({ ...forced, forcedFrom } as never))
        expect(codeOf(() => codec.decode(bad))).toBe('PROTOCOL_ERROR')
      }
    },
  )

  it.each(Object.entries(messages))('%s cut anywhere is a PROTOCOL_ERROR', (_, message) => {
    const bytes = Buffer.from(codec.encode(message))
    for (let end = 0; end < bytes.length; end++)
      expect(codeOf(() => codec.decode(bytes.subarray(0, end)))).toBe('PROTOCOL_ERROR')
  })

  it('with bytes changed never throw anything but PROTOCOL_ERROR', () => {
    const random = seededRandom(11)
    for (const message of Object.values(messages)) {
      const good = Buffer.from(codec.encode(message))
      for (let i = 0; i < 300; i++) {
        const bad = Buffer.from(good)
        for (let n = 1 + random.below(3); n > 0; n--)
          bad[random.below(bad.length)] = random.below(256)
        expect(['none', 'PROTOCOL_ERROR']).toContain(codeOf(() => codec.decode(bad)) ?? 'none')
      }
    }
  })
})

const members = [{ id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:7400' }]
const controls: Control[] = [
  { type: 'view', node: 'a', master: 'a', epoch: 513, serving: true, members },
  { type: 'status', id: 1 },
  { type: 'status-reply', id: 1, status: { epoch: 513 } },
  { type: 'watch', id: 2, cache: 'sessions', prefix: 's' },
  { type: 'unwatch', id: 2 },
  { type: 'hint', epoch: 513 },
  { type: 'farewell' },
  { type: 'refused', id: 2, what: 'watch', code: 'FORBIDDEN', message: 'user ann may not watch' },
  { type: 'admin', id: 3, command: 'handover', to: 'b' },
  {
    type: 'admin-reply',
    id: 3,
    ...{ code: '', message: '', from: 'a', to: 'b', epoch: 513, tookMs: 4.5 },
  },
]

const reply = { type: 'admin-reply', id: 4, code: '', message: '', from: '', to: '' } as const
const joins = { ...members[0], witness: true }
/** Commands that came later, with fields that the older ones lack. */
const admins: Record<string, Control> = {
  'view-table': {
    ...{ type: 'view', node: 'a', master: 'a', epoch: 513, serving: true, members },
    table: { number: 7, masters: ['a', 'b', ''], partitions: 2 },
  },
  'admin-join': { type: 'admin', id: 4, command: 'join', to: '', member: joins, timeoutMs: 4_500 },
  'admin-leave': { type: 'admin', id: 4, command: 'leave', to: 'a', timeoutMs: 4_500 },
  'admin-reply-members': { ...reply, epoch: 0, tookMs: 0, view: 7, members: [members[0], joins] },
  'admin-reply-force': {
    ...{ ...reply, epoch: 769, tookMs: 0 },
    ...{ history: '0f'.repeat(22), forcedFrom: 'f0'.repeat(22) },
  },
}

describe('control frames', () => {
  it.each([...controls.map(c => [c.type, c] as const), ...Object.entries(admins)])(
    '%s survives, golden bytes too',
    (type, c) => {
      const bytes = encodeControl(c)
      expect(decodeControl(bytes)).toEqual(c)
      expect(decodeControl(expectGolden(`control-${type}`, bytes))).toEqual(c)
      for (let end = 1; end < bytes.length; end++)
        expect(codeOf(() => decodeControl(bytes.subarray(0, end)))).toBe('PROTOCOL_ERROR')
    },
  )

  it('with members that are none, or too many, are a PROTOCOL_ERROR', () => {
    const wrong: unknown[] = [null, 7, {}, { ...members[0], id: 7 }, { ...members[0], ordinal: -1 }]
    for (const member of wrong) {
      const join = encodeControl({ ...admins['admin-join'], member } as never)
      expect(codeOf(() => decodeControl(join))).toBe('PROTOCOL_ERROR')
      const view = encodeControl({ ...controls[0], members: [member] } as never)
      expect(codeOf(() => decodeControl(view))).toBe('PROTOCOL_ERROR')
    }
    const many = (count: number) =>
      encodeControl({
        ...admins['admin-reply-members'],
        members: Array(count).fill(joins),
      } as never)
    expect(codeOf(() => decodeControl(many(256))) ?? 'none').toBe('none')
    expect(codeOf(() => decodeControl(many(257)))).toBe('PROTOCOL_ERROR')
  })

  it('names a master, or nobody, for each of at most 65,536 groups', () => {
    const tables = [
      { number: -1, masters: ['', ''], partitions: 1 },
      { number: 1, masters: ['', 7], partitions: 1 },
      { number: 1, masters: {}, partitions: 1 },
      { number: 1, masters: Array(65_537).fill(''), partitions: 1 },
      // Partitions are groups, and as many as there are slots at most.
      { number: 1, masters: ['', ''] },
      { number: 1, masters: ['', ''], partitions: 0 },
      { number: 1, masters: ['', ''], partitions: 2 },
      { number: 1, masters: Array(65_536).fill(''), partitions: 16_385 },
    ]
    for (const table of tables)
      expect(
        codeOf(() => decodeControl(encodeControl({ ...admins['view-table'], table } as never))),
      ).toBe('PROTOCOL_ERROR')
  })
})

describe('frames of calls', () => {
  it('have golden bytes: a request with a window, a read without, a reply of each status', () => {
    const frame = new Writer()
    const at = beginRequests(frame, { id: 'w'.repeat(16), lowest: 4 })
    const first = beginRequest(frame, 70_000, ackCode('slaves:1'), 2)
    writeSet(frame, 'sessions', 'sid', Buffer.from('value'), { ifVersion: 9 })
    endRequest(frame, first)
    frame.patchU16(at, 1)
    expectGolden('request-write', frame.copy())

    frame.reset()
    const reads = beginRequests(frame, undefined)
    const read = beginRequest(frame, 1, 0, 0)
    writePlain(frame, OP.get, 'sessions', 'sid')
    endRequest(frame, read)
    frame.patchU16(reads, 1)
    expectGolden('request-read', frame.copy())

    frame.reset()
    const special = beginRequests(frame, undefined)
    const after = [{ epoch: older, offset: 6 }]
    const seen = [{ epoch, offset: 7 }]
    const hows = [
      { mode: READ.local, maxStaleMs: 5_000, after: [], seen },
      { mode: READ.linearizable, maxStaleMs: 0, after: [], seen: [] },
      { mode: READ.master, maxStaleMs: 0, after, seen },
    ]
    for (const [i, how] of hows.entries()) {
      const start = beginRequest(frame, i + 1, readByte(how), 0)
      writePlain(frame, OP.get, 'sessions', 'sid')
      writeReadTail(frame, how)
      endRequest(frame, start)
    }
    frame.patchU16(special, hows.length)
    expectGolden('request-read-how', frame.copy())

    frame.reset()
    const count = beginReplies(frame, 513)
    writeWritten(frame, 1, 7, 7, 2, 0)
    writeValue(frame, 2, 7, 1_700_000_000_000, 'value')
    writeAbsent(frame, 3)
    writeNumber(frame, 4, 12)
    writeError(frame, 5, 'NOT_MASTER', true, 'node b is master')
    writeError(frame, 6, 'DIVERGED', true, 'lost', true)
    patchReplies(frame, count, 6, older, 8)
    expectGolden('reply', frame.copy())
  })

  it('have golden bytes that name a group, and heads without one are of group 0', () => {
    const frame = new Writer()
    const at = beginRequests(frame, { id: 'w'.repeat(16), lowest: 4 }, { group: 258, table: 7 })
    const start = beginRequest(frame, 1, 0, 0)
    writePlain(frame, OP.get, 'sessions', 'sid')
    endRequest(frame, start)
    frame.patchU16(at, 1)
    const request = frame.copy()
    expectGolden('request-group', request)
    expect(groupOfRequests(request)).toBe(258)
    const head = { group: 0, table: 0 }
    expect(readGroupHead(new Reader().open(request, 1), head)).toBe(true)
    expect(head).toEqual({ group: 258, table: 7 })

    frame.reset()
    beginRequests(frame, undefined)
    expect(groupOfRequests(frame.copy())).toBe(0)
    expect(readGroupHead(new Reader().open(frame.copy(), 1), head)).toBe(false)
    expect(head).toEqual({ group: 0, table: 0 })
    expect(codeOf(() => readGroupHead(new Reader(Buffer.from([4])), head))).toBe('PROTOCOL_ERROR')

    frame.reset()
    const count = beginReplies(frame, 513, 258)
    writeAbsent(frame, 3)
    patchReplies(frame, count, 1, older, 8)
    expectGolden('reply-group', frame.copy())
    expect(groupOfReplies(frame.copy())).toBe(258)
    frame.reset()
    beginReplies(frame, 513)
    expect(groupOfReplies(frame.copy())).toBe(0)
    expect(groupOfReplies(encodeControl({ type: 'farewell' }))).toBeUndefined()
  })
})
