/** Strategy partitioned: its options, its bytes, and nodes that were started with other numbers. */
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { GcacheError } from '../src/errors.js'
import { type PartitionedOptions, partitioned } from '../strategies/partitioned/index.js'
import { messageCodec } from '../strategies/partitioned/message-codec.js'
import type { Message } from '../strategies/partitioned/messages.js'
import { decodeRow, encodeRow, newRow, type Row } from '../strategies/partitioned/table.js'
import { Tenant } from '../strategies/partitioned/tenant.js'
import { Warden, type WardenEnv } from '../strategies/partitioned/warden.js'
import { PartitionCluster } from './harness/partition-cluster.js'

const FACT = {
  group: 3,
  born: 1,
  data: 'ready',
  history: '0'.repeat(44),
  above: -1,
  released: 2,
  counter: 3,
  ask: 4,
  heirs: ['a', 'b'],
  members: ['a', 'b', 'c'],
  learners: ['c'],
  settled: true,
} as const
const EPOCH = { number: 513, incarnation: '00000000000000ab' }
const ROW: Row = {
  ...newRow(7, 2, ['a', 'nöde']),
  joining: 'c',
  history: '0'.repeat(44),
  heirs: ['a'],
  holder: 'a',
  life: '00000000000000ab',
  counter: 2 ** 40,
  ask: 9,
  lost: true,
}
const WORDS: Message[] = [
  {
    type: 'hello',
    strategy: 'partitioned',
    partitions: 256,
    backups: 1,
    life: EPOCH.incarnation,
    hosts: [0, 256],
  },
  { type: 'open', number: 4, groups: [1, 2] },
  { type: 'close', number: 5, groups: [] },
  {
    type: 'renew',
    life: EPOCH.incarnation,
    zone: 'z',
    asked: 12.5,
    after: 1,
    upTo: 9,
    facts: [FACT],
  },
  { type: 'lease', asked: 12.5, ttlMs: 1_200, need: 40, heard: 9 },
  {
    type: 'rows',
    from: 1,
    next: 40,
    rows: [{ version: 39, bytes: Uint8Array.from(encodeRow(ROW)) }],
  },
  { type: 'order', group: 5, order: 'handover', peer: 'b' },
  {
    type: 'groups',
    parts: [
      { group: 0, message: { type: 'nominate', epoch: EPOCH } },
      { group: 1_024, message: { type: 'header', epoch: EPOCH, lastEpoch: EPOCH, next: 7 } },
    ],
  },
]

describe('options', () => {
  test.each([
    [{ partitions: 0 }, 'option partitions must be a whole number within 1..1024'],
    [{ partitions: 2.5 }, 'option partitions must be a whole number within 1..1024'],
    [{ backups: 8 }, 'option backups must be a whole number within 0..7'],
    [{ inSyncMin: 3 }, 'inSyncMin 3 exceeds what there is: 2 copies'],
    [{ inSyncMin: 2, backups: 0 }, 'inSyncMin 2 exceeds what there is: 1 copy'],
    [{ ack: 'most' }, 'option ack must be'],
    [{ ack: 'slaves:2' }, 'ack slaves:2 needs 3 logs and there are 2 copies: backups is 1'],
    [{ ack: 'slaves:4', backups: 3 }, 'ack slaves:4 needs 5 logs and there are 4 copies'],
    [{ ack: 'slaves:1', backups: 0 }, 'ack slaves:1 needs 2 logs and there'],
    [{ heartbeatMs: -1 }, 'option heartbeatMs must be a whole number'],
    [{ partition: 256 }, 'unknown option partition: did you mean partitions'],
    [{ zone: 'z'.repeat(65) }, 'option zone must be a text of at most 64 characters'],
    [[], 'takes an object of options'],
  ])('%j is refused by name', (options, text) => {
    let error: unknown
    try {
      partitioned(options as PartitionedOptions)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(GcacheError)
    expect(error).toMatchObject({ code: 'CONFIG' })
    // The strategy that was named, not the one of each partition's group.
    expect((error as Error).message).toContain(`partitioned: ${text}`)
  })
})

describe('ack levels', () => {
  test.each([
    { ack: 'slaves:1' },
    { ack: 'slaves:7', backups: 7 },
    { ack: 'all' },
    { ack: 'majority' },
    { ack: 'insync', backups: 0 },
    { ack: 'slaves:0', backups: 0 },
  ] as PartitionedOptions[])('%j, for which there are copies, is taken', options => {
    expect(partitioned(options)).toBeTypeOf('function')
  })
})

describe('bytes', () => {
  test('a row is the same after its way', () => {
    expect(decodeRow(encodeRow(ROW))).toEqual(ROW)
    expect(decodeRow(encodeRow(newRow(0, 1, [])))).toEqual(newRow(0, 1, []))
  })

  test.each(WORDS.map(word => [word.type, word] as const))('%s survives its way', (_, word) => {
    const codec = messageCodec()
    const frame = Uint8Array.from(codec.encode(word))
    expect(frame[0]).toBeGreaterThanOrEqual(0x60)
    expect(codec.decode(frame)).toEqual(word)
  })

  test('cut at every byte, or with one changed, a frame is a word or a PROTOCOL_ERROR', () => {
    const codec = messageCodec()
    const random = seededRandom(5)
    let refused = 0
    for (const word of WORDS) {
      const frame = Uint8Array.from(codec.encode(word))
      const tries = Array.from({ length: frame.length }, (_, end) => frame.slice(0, end))
      for (let i = 0; i < 300; i++) {
        const changed = frame.slice()
        changed[random.below(frame.length)] = random.below(256)
        tries.push(changed)
      }
      for (const bytes of tries) {
        try {
          codec.decode(bytes)
        } catch (error) {
          refused++
          expect(error).toBeInstanceOf(GcacheError)
          expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' })
        }
      }
    }
    expect(refused).toBeGreaterThan(500)
  })
})

describe('what a node says of itself', () => {
  test('is said again to a granter that has forgotten it', () => {
    const tenant = new Tenant(EPOCH.incarnation, '')
    const ends = { asked: 0, ttlMs: 1_200, need: 1 }
    tenant.note(FACT)
    expect(tenant.renewal('a 256', 0)).toMatchObject({ after: 0, upTo: 1, facts: [FACT] })
    tenant.onLease({ type: 'lease', ...ends, heard: 1 }, 'a 256', 1)
    expect(tenant.renewal('a 256', 1_000)).toMatchObject({ after: 1, upTo: 1, facts: [] })
    // It heard no majority for a while, and begins anew under the same epoch.
    tenant.onLease({ type: 'lease', ...ends, heard: 0 }, 'a 256', 1)
    expect(tenant.renewal('a 256', 2_000)).toMatchObject({ after: 0, upTo: 1, facts: [FACT] })
  })
})

describe('what was said of a node', () => {
  test('is not unsaid by a frame that comes once more, later', () => {
    const env = { table: { rows: [] }, isDead: () => false }
    const warden = new Warden(env as unknown as WardenEnv)
    const renew = { type: 'renew', life: EPOCH.incarnation, zone: '', asked: 0 } as const
    const first = { ...renew, after: 0, upTo: 1, facts: [{ ...FACT, counter: 0 }] }
    warden.onRenew('b', first)
    warden.onRenew('b', { ...renew, after: 1, upTo: 2, facts: [FACT] })
    warden.onRenew('b', first)
    const node = warden.nodes.get('b')
    expect(node?.heard).toBe(2)
    // It would never be said again.
    expect(node?.facts.get(FACT.group)).toEqual(FACT)
  })
})

describe('a node that was started otherwise', () => {
  test.each([
    ['partitions', { partitions: 16 }, 'a has partitions 8 and c has partitions 16'],
    ['backups', { backups: 2 }, 'a has backups 1 and c has backups 2'],
  ] as const)('with other %s is refused with both values', async (_, other, text) => {
    const cluster = new PartitionCluster(['a', 'b', 'c'])
    cluster.optionsOf = node => (node === 'c' ? { ...cluster.options, ...other } : cluster.options)
    for (const id of ['a', 'b', 'c']) await cluster.start(id)
    await cluster.pass(2_000)
    const said = cluster.reports.filter(({ event }) => event === 'strategy-mismatch')
    expect(
      said.some(({ node, fields }) => node === 'a' && `${fields.message}`.includes(text)),
    ).toBe(true)
    expect(cluster.statusOf('a').guarantee).toContain(text)
    const { members } = cluster.statusOf('a')
    expect(members.find(({ id }) => id === 'c')?.state).toBe('other-strategy')
    // Without it no majority of empty nodes begins: nothing is founded that it would be let into.
    expect(cluster.groups().every(group => !cluster.serves('c', group))).toBe(true)
    await cluster.close()
  })
})
