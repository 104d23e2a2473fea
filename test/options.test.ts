/** What createNode refuses, and that each refusal names the option and a remedy. */
import { describe, expect, test } from 'vitest'
import { hostOf, isLoopback, lacking } from '../src/core/exposure.js'
import { editDistance, nearest } from '../src/core/suggest.js'
import { GcacheError } from '../src/errors.js'
import { createNode } from '../src/node.js'
import { parseNodeOptions } from '../src/options.js'
import { parseBytes, parseCache, parseDuration, parseMember } from '../src/server/parse.js'
import { nodeOptions } from '../src/server/serve-options.js'
import { type MasterSlaveOptions, masterSlave } from '../strategies/master-slave/index.js'
import { settingsOf } from '../strategies/master-slave/options.js'
import { streamLimits } from '../transports/stream/limits.js'
import { tcp } from '../transports/tcp.js'

const A = { id: 'a', ordinal: 0, address: 'tcp://127.0.0.1:7400' }
const B = { id: 'b', ordinal: 1, address: 'tcp://127.0.0.1:7401' }
const GOOD = { cluster: 'shop', id: 'a', members: [A, B] }

function refusal(options: unknown): string {
  try {
    parseNodeOptions(options)
  } catch (error) {
    expect(error).toBeInstanceOf(GcacheError)
    expect((error as GcacheError).code).toBe('CONFIG')
    expect((error as GcacheError).message).not.toContain('\n')
    return (error as GcacheError).message
  }
  throw new Error('accepted')
}

describe('options of createNode', () => {
  test('the required three are enough, and the defaults are filled in', () => {
    const full = parseNodeOptions(GOOD)
    expect(full.self).toEqual(A)
    expect(full.listen).toBe(A.address)
    expect(full.autoCaches).toBe(true)
    expect(full.durability).toBe('memory')
    expect(full.strategy).toEqual({ name: 'master-slave' })
  })

  test('a cache keeps what it says and gets the defaults for the rest', () => {
    const { caches } = parseNodeOptions({
      ...GOOD,
      caches: { s: { ttlMs: 5, maxBytes: undefined } },
    })
    expect(caches.s).toEqual({
      ttlMs: 5,
      idleMs: 0,
      maxEntries: 1_000_000,
      maxBytes: 2 ** 30,
      eviction: 'lru',
    })
  })

  test.each([
    [{ ...GOOD, cahces: {} }, 'cahces', 'caches'],
    [{ ...GOOD, Transport: () => {} }, 'Transport', 'transport'],
    [{ ...GOOD, onMerg: () => 'mine' }, 'onMerg', 'onMerge'],
    [{ ...GOOD, caches: { s: { ttl: 5 } } }, 'ttl', 'ttlMs'],
    [{ ...GOOD, caches: { s: { maxEntrys: 5 } } }, 'maxEntrys', 'maxEntries'],
    [{ ...GOOD, members: [{ ...A, adress: 'x' }] }, 'adress', 'address'],
  ])('an unknown option is refused by name with a suggestion, case %#', (options, name, meant) => {
    const text = refusal(options)
    expect(text).toContain(`unknown option ${name}`)
    expect(text).toContain(`did you mean ${meant}?`)
  })

  test('an unknown option is told its place', () => {
    expect(refusal({ ...GOOD, caches: { s: { ttl: 5 } } })).toContain('caches.s')
    expect(refusal({ ...GOOD, members: [A, { ...B, port: 1 }] })).toContain('members[1]')
  })

  test('an unknown option like none is refused with the list', () => {
    expect(refusal({ ...GOOD, quux: 1 })).toContain('known are cluster, id, members')
  })

  test.each([
    ['no object', 5],
    ['no cluster', { id: 'a', members: [A] }],
    ['an id with a dot', { ...GOOD, id: 'a.b' }],
    ['an id of 65 chars', { ...GOOD, id: 'a'.repeat(65) }],
    ['an empty cluster name', { ...GOOD, cluster: '' }],
    ['no members', { ...GOOD, members: [] }],
    ['members without oneself', { ...GOOD, members: [B] }],
    ['one id twice', { ...GOOD, members: [A, { ...B, id: 'a' }] }],
    ['one ordinal twice', { ...GOOD, members: [A, { ...B, ordinal: 0 }] }],
    ['one address twice', { ...GOOD, members: [A, { ...B, address: A.address }] }],
    ['an ordinal of 256', { ...GOOD, members: [{ ...A, ordinal: 256 }] }],
    ['a broken ordinal', { ...GOOD, members: [{ ...A, ordinal: 0.5 }] }],
    ['a member without address', { ...GOOD, members: [{ id: 'a', ordinal: 0 }] }],
    ['another durability', { ...GOOD, durability: 'fsync' }],
    ['a dataDir', { ...GOOD, dataDir: '/var/lib/x' }],
    ['polling for 2 ms', { ...GOOD, pollUs: 2_000 }],
    ['polling by another word', { ...GOOD, pollUs: 'always' }],
    ['tls that is no object', { ...GOOD, tls: 'yes' }],
    ['tls beside a transport of its own', { ...GOOD, tls: {}, transport: tcp() }],
    ['discovery', { ...GOOD, discovery: () => [] }],
    ['a logger without functions', { ...GOOD, logger: {} }],
    ['a transport that is none', { ...GOOD, transport: 5 }],
    ['a strategy that is none', { ...GOOD, strategy: 5 }],
    ['a cache of no entries', { ...GOOD, caches: { s: { maxEntries: 0 } } }],
    ['a negative life', { ...GOOD, caches: { s: { ttlMs: -1 } } }],
    ['an unknown eviction', { ...GOOD, caches: { s: { eviction: 'fifo' } } }],
    ['a cache name of 65 bytes', { ...GOOD, caches: { ['x'.repeat(65)]: {} } }],
  ])('%s is refused in one line', (_, options) => {
    expect(refusal(options).length).toBeGreaterThan(10)
  })

  test.each(['nonsense', 'tcp://127.0.0.1', 'tcp://127.0.0.1:notaport', 'ftp://h:1'])(
    'a peer`s address %s, which tcp cannot dial, is ADDRESS_INVALID with its id',
    address => {
      expect(() => parseNodeOptions({ ...GOOD, members: [A, { ...B, address }] })).toThrow(
        expect.objectContaining({
          code: 'ADDRESS_INVALID',
          message: expect.stringContaining('member b'),
        }),
      )
    },
  )

  test.each([{ tls: 'my own key' }, { discovery: 'my own key' }, { caches: 'my own key' }])(
    '%j: of what may be a secret nothing is said',
    wrong => {
      expect(refusal({ ...GOOD, ...wrong }).includes('my own')).toBe('caches' in wrong)
    },
  )

  test.each(['bussy', 2_000, 0.5, -1])('pollUs %j is told what may stand there', pollUs => {
    expect(refusal({ ...GOOD, pollUs })).toContain("must be a whole number up to 1000, or 'busy'")
  })

  test('an address without a host and a port is its own matter', () => {
    for (const listen of ['memory://a', 'unix:///run/gcache.sock', 'a'])
      expect(lacking(listen, { auth: false, tls: false })).toEqual([])
  })

  test('listening beyond loopback needs insecure: true', () => {
    const open = { ...GOOD, listen: 'tcp://0.0.0.0:7400' }
    const insecure = (options: unknown, ...facts: string[]) => {
      for (const message of facts.map(fact => expect.stringContaining(fact)))
        expect(() => parseNodeOptions(options)).toThrow(
          expect.objectContaining({ code: 'INSECURE', message }),
        )
    }
    insecure(open, 'authentication', 'encryption', 'insecure: true')
    insecure({ ...open, auth: {} }, 'without encryption')
    expect(parseNodeOptions({ ...open, insecure: true })).toMatchObject({
      listen: 'tcp://0.0.0.0:7400',
      lacking: ['authentication', 'encryption'],
    })
    expect(parseNodeOptions({ ...open, insecure: true, auth: {} }).lacking).toEqual(['encryption'])
    expect(parseNodeOptions({ ...GOOD, insecure: true }).lacking).toEqual([])
    insecure({ ...GOOD, members: [{ ...A, address: 'tcp://10.0.0.1:7400' }] }, '10.0.0.1:7400')
  })

  test.each([
    ['tcp://127.0.0.1:1', true],
    ['tcp://127.8.9.1:1', true],
    ['tcp://localhost:1', true],
    ['tcp://[::1]:1', true],
    ['tcp://0.0.0.0:1', false],
    ['tcp://127.0.0.1.example.org:1', false],
    ['tcp://[::]:1', false],
    ['tcp://10.0.0.1:1', false],
    ['ws://10.0.0.1/gcache', false],
    ['quic+tls://10.0.0.1:1', false],
    ['quic://[::1]:1', true],
  ])('%s is loopback: %s', (address, loopback) => {
    expect(isLoopback(hostOf(address)!)).toBe(loopback)
    expect(lacking(address, { auth: false, tls: true })).toHaveLength(loopback ? 0 : 1)
  })
})

describe('options of the plug-ins', () => {
  const CONFIG = { code: 'CONFIG' }

  test.each([
    [() => masterSlave({ akc: 'all' } as never), 'did you mean ack?'],
    [() => masterSlave({ merge: 'discrad' as never }), 'did you mean discard?'],
    [() => tcp({ frameByteMax: 1 } as never), 'did you mean frameBytesMax?'],
    [() => tcp({ a: 1 } as never), 'unknown option a'],
  ])('an unknown one is refused by name with a suggestion, case %#', (make, text) => {
    expect(make).toThrow(expect.objectContaining({ ...CONFIG, message: expect.any(String) }))
    expect(make).toThrow(text)
  })

  test.each([
    () => masterSlave(5 as never),
    () => masterSlave(null as never),
    () => masterSlave('ordinal' as never),
    () => masterSlave([] as never),
    () => masterSlave({ ack: 'foo' as never }),
    () => masterSlave({ ack: '' as never }),
    () => masterSlave({ ack: 'slaves:' as never }),
    () => masterSlave({ ack: 5n as never }),
    () => masterSlave({ profile: 'stirct' as never }),
    () => masterSlave({ heartbeatMs: '100' as never }),
    () => masterSlave({ heartbeatMs: 2 ** 31 }),
    () => masterSlave({ inSyncMin: 1.5 }),
    () => masterSlave({ slavesToWriteMin: -1 }),
    () => tcp(5 as never),
    () => tcp(null as never),
    () => tcp({ frameBytesMax: 'x' as never }),
    () => tcp({ frameBytesMax: 0 }),
    () => tcp({ handshakeMs: Number.NaN }),
    () => tcp({ queueBytesMax: Number.POSITIVE_INFINITY }),
  ])('a value of the wrong kind or range is refused when it is made, case %#', make => {
    expect(make).toThrow(expect.objectContaining(CONFIG))
  })

  test.each<[MasterSlaveOptions, string]>([
    [{ heartbeatMs: 0 }, 'option heartbeatMs must be a whole number within 1..'],
    [{ ackTimeoutMs: 0 }, 'option ackTimeoutMs must be a whole number within 1..'],
    [{ suspectAfterMs: 0 }, '2 x heartbeatMs 100 >= suspectAfterMs 0'],
    [{ suspectAfterMs: 200 }, '2 x heartbeatMs 100 >= suspectAfterMs 200'],
    [{ heartbeatMs: 500 }, '2 x heartbeatMs 500 >= suspectAfterMs 1000'],
    [{ heartbeatMs: 5_000, suspectAfterMs: 100 }, '2 x heartbeatMs 5000 >= suspectAfterMs 100'],
    [{ heartbeatMs: 600, suspectAfterMs: 5_000 }, 'heartbeatMs 600 >= heardWithinMs 600'],
    [{ heardWithinMs: 0 }, 'heartbeatMs 100 >= heardWithinMs 0'],
  ])('times that cannot work together are refused with the sum: %o', (options, text) => {
    expect(() => masterSlave(options)).toThrow(expect.objectContaining(CONFIG))
    expect(() => masterSlave(options)).toThrow(text)
  })

  test('times that just work together are taken', () => {
    expect(settingsOf({ suspectAfterMs: 201 }).suspectAfterMs).toBe(201)
    expect(settingsOf({ heartbeatMs: 499 }).heartbeatMs).toBe(499)
    expect(settingsOf({ heardWithinMs: 101 }).heardWithinMs).toBe(101)
    expect(settingsOf({ ackTimeoutMs: 1 }).ackTimeoutMs).toBe(1)
  })

  test('what is left undefined gets the default, and every ack level is taken', () => {
    expect(settingsOf({ heartbeatMs: undefined, ack: undefined })).toEqual(settingsOf({}))
    for (const ack of ['none', 'master', 'slaves:2', 'majority', 'insync', 'all'] as const)
      expect(settingsOf({ ack }).ack).toBe(ack)
    expect(streamLimits({ handshakeMs: undefined, queueBytesMax: 7 }, 'tcp')).toMatchObject({
      handshakeMs: 2_000,
      queueBytesMax: 7,
    })
  })

  test.each<[MasterSlaveOptions]>([
    [{ profile: 'strict', merge: 'discard' }],
    [{ profile: 'majority', merge: 'discard' }],
    [{ profile: 'majority', merge: 'lww' }],
  ])('merge is refused where nothing is ever merged: %o', options => {
    expect(() => masterSlave(options)).toThrow(expect.objectContaining(CONFIG))
    expect(() => masterSlave(options)).toThrow(
      `option merge is for profile ordinal: under ${options.profile} what the losing side of a ` +
        'network split wrote was never committed, and is dropped',
    )
  })

  test.each<[{ name: string } & Record<string, unknown>, string]>([
    [{ name: 'master-slave', profile: 'strict' }, 'under strict what the losing side'],
    [{ name: 'master-slave', profile: 'majority' }, 'under majority what the losing side'],
    [{ name: 'master-slave', merge: 'discard' }, "merge: 'discard' drops the losing side's writes"],
    [{ name: 'broadcast' }, 'onConflict'],
  ])('onMerge is refused where nobody would ask it: %o', async (strategy, why) => {
    const members = [{ ...A, address: 'tcp://127.0.0.1:0' }]
    const made = createNode({ ...GOOD, members, strategy, onMerge: () => 'mine' })
    await expect(made).rejects.toMatchObject(CONFIG)
    await expect(made).rejects.toThrow('option onMerge is never asked')
    await expect(made).rejects.toThrow(why)
  })

  test('createNode refuses them as well, by name', async () => {
    const strategy = { name: 'master-slave', ack: 'foo' }
    const members = [{ ...A, address: 'tcp://127.0.0.1:0' }]
    await expect(createNode({ ...GOOD, members, strategy })).rejects.toMatchObject(CONFIG)
  })
})

describe('suggestions', () => {
  test('the distance counts inserts, drops, changes and swaps', () => {
    expect(editDistance('ttl', 'ttlMs')).toBe(2)
    expect(editDistance('cahces', 'caches')).toBe(1)
    expect(editDistance('', 'abc')).toBe(3)
    expect(editDistance('members', 'members')).toBe(0)
  })

  test('a name that is far from all is not suggested', () => {
    expect(nearest('quux', ['cluster', 'id', 'members'])).toBeUndefined()
    expect(nearest('clustre', ['cluster', 'id', 'members'])).toBe('cluster')
  })
})

describe('the command line`s small languages', () => {
  test('durations, sizes, members and caches are read', () => {
    expect(parseDuration('30m', 'x')).toBe(1_800_000)
    expect(parseDuration('500ms', 'x')).toBe(500)
    expect(parseDuration('1.5s', 'x')).toBe(1_500)
    expect(parseBytes('64m', 'x')).toBe(64 * 2 ** 20)
    expect(parseMember('b=1@tcp://h:1')).toEqual({ id: 'b', ordinal: 1, address: 'tcp://h:1' })
    expect(parseMember('b=1@h:1')).toEqual({ id: 'b', ordinal: 1, address: 'tcp://h:1' })
    expect(parseCache('s:ttl=30m,max-entries=7,max-bytes=1k,eviction=none,idle=1s')).toEqual([
      's',
      { ttlMs: 1_800_000, maxEntries: 7, maxBytes: 1_024, eviction: 'none', idleMs: 1_000 },
    ])
    expect(parseCache('s')).toEqual(['s', {}])
  })

  test.each([
    () => parseDuration('30 minutes', 'x'),
    () => parseDuration('-1s', 'x'),
    () => parseBytes('lots', 'x'),
    () => parseMember('b@tcp://h:1'),
    () => parseCache(':ttl=1s'),
    () => parseCache('s:tll=1s'),
    () => parseCache('s:eviction=fifo'),
  ])('what is none of them is CONFIG, case %#', parse => {
    expect(parse).toThrow(expect.objectContaining({ code: 'CONFIG' }))
  })
})

describe('options of gcache serve', () => {
  const flags = { autoCaches: true, logLevel: 'info' as const }
  const noFile = () => {
    throw new Error('no file was named')
  }

  test('flags alone make the member list, this node included', () => {
    const options = nodeOptions(
      { ...flags, id: 'a', ordinal: '0', listen: '127.0.0.1:7400', member: ['b=1@tcp://h:1'] },
      noFile,
    )
    expect(options.cluster).toBe('gcache')
    expect(options.members).toEqual([A, { id: 'b', ordinal: 1, address: 'tcp://h:1' }])
    expect(parseNodeOptions(options).self).toEqual(A)
  })

  test.each([
    ['busy', 'busy'],
    ['0', 0],
    ['1000', 1_000],
  ])('--poll-us %s', (pollUs, polled) => {
    const options = nodeOptions({ ...flags, id: 'a', ordinal: '0', pollUs }, noFile)
    expect(parseNodeOptions(options).pollUs).toBe(polled)
  })

  test.each(['buzy', '1001', '1e2', ''])('--poll-us %s is told what may stand there', pollUs => {
    expect(() =>
      parseNodeOptions(nodeOptions({ ...flags, id: 'a', ordinal: '0', pollUs }, noFile)),
    ).toThrow(expect.objectContaining({ message: expect.stringContaining("or 'busy'") }))
  })

  test('what becomes of a losing side goes to the strategy, of the flags or of the file', () => {
    const one = { ...flags, id: 'a', ordinal: '0', merge: 'discard' }
    expect(nodeOptions(one, noFile).strategy).toEqual({ name: 'master-slave', merge: 'discard' })
    const file = { strategy: { name: 'master-slave', profile: 'ordinal' } }
    expect(nodeOptions({ ...one, config: 'f' }, () => file).strategy).toEqual({
      ...file.strategy,
      merge: 'discard',
    })
  })

  test('a member list without oneself is refused with the remedy', () => {
    expect(() => nodeOptions({ ...flags, id: 'a', member: ['b=1@tcp://h:1'] }, noFile)).toThrow(
      expect.objectContaining({
        code: 'CONFIG',
        message: expect.stringContaining('add --ordinal'),
      }),
    )
  })

  test.each([
    [{ ordinal: '0' }, '--ordinal'],
    [{ advertise: 'tcp://h:1' }, '--advertise'],
  ])('a --member that contradicts this node`s own flags is refused, case %#', (more, name) => {
    const member = ['a=1@tcp://h:2', 'b=2@tcp://h:3']
    expect(() => nodeOptions({ ...flags, id: 'a', member, ...more }, noFile)).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining(name) }),
    )
    expect(nodeOptions({ ...flags, id: 'a', ordinal: '1', member }, noFile).members).toHaveLength(2)
  })

  test.each(['dataDir', 'http'])('%s is said to be of a later version', name => {
    expect(() => nodeOptions({ ...flags, id: 'a', [name]: true }, noFile)).toThrow(
      'is not in this version',
    )
  })

  test('a flag wins over the file, and the file`s unknown keys reach createNode', () => {
    const file = { ...GOOD, caches: { s: { ttlMs: 1, maxEntries: 2 } }, strategey: 'x' }
    const options = nodeOptions(
      { ...flags, config: 'f', cluster: 'mall', cache: ['s:ttl=1s'], profile: 'ordinal' },
      () => file,
    )
    expect(options.cluster).toBe('mall')
    expect(options.caches).toEqual({ s: { ttlMs: 1_000, maxEntries: 2 } })
    expect(options.strategy).toEqual({ name: 'master-slave', profile: 'ordinal' })
    expect(refusal(options)).toContain('did you mean strategy?')
  })
})
