/**
 * Bytes, batches and commands: what is written is read back, old bytes always decode, and anything
 * else is a PROTOCOL_ERROR.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../src/config.js'
import type { Proposal } from '../src/contracts/strategy.js'
import type { Batch, ClientRef } from '../src/contracts/types.js'
import {
  continuesChain,
  decodeBatch,
  encodeBatch,
  entryBytesMax,
  visitEntries,
} from '../src/wire/batch.js'
import { Reader, Writer } from '../src/wire/bytes.js'
import { readClear, writeClear } from '../src/wire/clears.js'
import {
  checkCommand,
  FLAG,
  OP,
  readConfigure,
  writeCloseWindow,
  writeConfigure,
  writeDelete,
  writeExpire,
  writeMerged,
  writePlain,
  writeScan,
  writeSet,
  writeTouch,
} from '../src/wire/command.js'
import { checkEntry } from '../src/wire/entry-check.js'
import { codeOf } from './harness/codes.js'
import { expectGolden } from './harness/golden.js'

const EPOCH = { number: 3 * 256 + 1, incarnation: '0123456789abcdef' }

function written(write: (out: Writer) => void): Uint8Array {
  const out = new Writer(1)
  write(out)
  return out.copy()
}

function proposal(client: ClientRef | null, seq: number, bytes: Uint8Array): Proposal {
  return { id: 7, ack: 'master', client, seq, bytes, start: 0, end: bytes.length }
}

interface Seen {
  offset: number
  client: ClientRef | null
  seq: number
  command: string
}

function seenIn(batch: Batch): Seen[] {
  const seen: Seen[] = []
  visitEntries(batch, {
    onEntry(offset, client, seq, source, start, end) {
      const command = Buffer.from(source).subarray(start, end).toString('hex')
      seen.push({ offset, client, seq, command })
    },
  })
  return seen
}

describe('bytes', () => {
  const field = fc.oneof(
    fc.record({ kind: fc.constant('u8' as const), value: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ kind: fc.constant('u16' as const), value: fc.integer({ min: 0, max: 65_535 }) }),
    fc.record({ kind: fc.constant('u32' as const), value: fc.nat(0xffffffff) }),
    fc.record({ kind: fc.constant('f64' as const), value: fc.double({ noNaN: true }) }),
    fc.record({ kind: fc.constant('whole' as const), value: fc.maxSafeNat() }),
    fc.record({
      kind: fc.constant('text8' as const),
      value: fc.string({ unit: 'binary', maxLength: 60 }),
    }),
    fc.record({
      kind: fc.constant('text16' as const),
      value: fc.string({ unit: 'binary', maxLength: 200 }),
    }),
    fc.record({ kind: fc.constant('raw' as const), value: fc.uint8Array({ maxLength: 90 }) }),
  )

  test('what a Writer wrote a Reader reads, and nothing is left', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 30 }), fields => {
        const bytes = written(out => {
          for (const { kind, value } of fields) {
            if (kind === 'raw') out.bytes(value)
            else if (kind === 'text8' || kind === 'text16') out[kind](value)
            else if (kind === 'whole') out.f64(value)
            else out[kind](value)
          }
        })
        // Within a larger buffer, as frames arrive.
        const around = Buffer.concat([Buffer.alloc(3, 0xee), bytes, Buffer.alloc(5, 0xee)])
        const reader = new Reader().open(around, 3, 3 + bytes.length)
        for (const { kind, value } of fields) {
          if (kind === 'raw') expect([...reader.copy(value.length)]).toEqual([...value])
          else expect(reader[kind]()).toBe(value)
        }
        reader.finish()
      }),
    )
  })

  test('latin1 keeps every byte, short and long, and utf8 every text', () => {
    const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))
    for (const text of [all, all.slice(120, 140), '']) {
      const bytes = written(out => out.latin1(text))
      expect(bytes.length).toBe(text.length)
      expect(new Reader(bytes).latin1(text.length)).toBe(text)
    }
    for (const text of [
      '',
      'a',
      'ä',
      'x'.repeat(23),
      `${'x'.repeat(23)}ü`,
      '\u{1f511}'.repeat(50),
    ]) {
      const bytes = written(out => expect(out.utf8(text)).toBe(Buffer.byteLength(text)))
      expect(new Reader(bytes).utf8(bytes.length)).toBe(text)
    }
  })

  test('an overrun, a rest, and a number that is not whole are PROTOCOL_ERROR', () => {
    const reader = () => new Reader(Buffer.alloc(3))
    expect(codeOf(() => reader().u32())).toBe('PROTOCOL_ERROR')
    expect(codeOf(() => reader().latin1(4))).toBe('PROTOCOL_ERROR')
    expect(codeOf(() => reader().view(4))).toBe('PROTOCOL_ERROR')
    expect(codeOf(() => reader().skip(4))).toBe('PROTOCOL_ERROR')
    expect(codeOf(() => reader().finish())).toBe('PROTOCOL_ERROR')
    for (const bad of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY])
      expect(codeOf(() => new Reader(written(out => out.f64(bad))).whole())).toBe('PROTOCOL_ERROR')
  })

  test('a text beyond its length field is LIMIT', () => {
    expect(codeOf(() => written(out => out.text8('ä'.repeat(128))))).toBe('LIMIT')
    expect(codeOf(() => written(out => out.text16('x'.repeat(65_536))))).toBe('LIMIT')
  })

  test('a Reader that is opened on the same bytes again begins where it is told', () => {
    const bytes = Buffer.from([1, 2, 3, 4])
    const reader = new Reader(bytes)
    expect(reader.u16()).toBe(0x0201)
    expect(reader.open(bytes, 3).u8()).toBe(4)
    expect(reader.open(Buffer.from([9]), 0).u8()).toBe(9)
    expect(reader.open(bytes, 1, 3).left).toBe(2)
  })
})

describe('batches', () => {
  const alice: ClientRef = { id: 'alice-0123456789', lowest: 5 }
  const bob: ClientRef = { id: '\x00\xff'.repeat(8), lowest: 2 ** 40 }
  const command = Buffer.from('command')
  const sample = () =>
    encodeBatch(EPOCH, 41, 1_700_000_000_000.5, 0xdeadbeef, [
      proposal(alice, 6, command),
      proposal(null, 0, Buffer.from([24, 0, 0, 0, 0])),
      proposal(bob, 2 ** 40 + 1_023, Buffer.alloc(0)),
      proposal(alice, 5, command),
    ])

  test('come back as they were made, and their golden bytes decode', () => {
    const batch = sample()
    const golden = decodeBatch(expectGolden('batch', batch.bytes))
    for (const decoded of [golden, decodeBatch(Uint8Array.from(batch.bytes))]) {
      expect({ ...decoded, bytes: 0 }).toEqual({ ...batch, bytes: 0 })
      expect(seenIn(decoded)).toEqual([
        { offset: 41, client: alice, seq: 6, command: command.toString('hex') },
        { offset: 42, client: null, seq: 0, command: '1800000000' },
        { offset: 43, client: bob, seq: 2 ** 40 + 1_023, command: '' },
        { offset: 44, client: alice, seq: 5, command: command.toString('hex') },
      ])
    }
  })

  test('entries of one client share one ClientRef', () => {
    const clients: (ClientRef | null)[] = []
    visitEntries(sample(), { onEntry: (_offset, client) => clients.push(client) })
    expect(clients[0]).toBe(clients[3])
  })

  test('the checksum chains: another predecessor, another checksum', () => {
    const batch = sample()
    expect(continuesChain(batch, 0xdeadbeef)).toBe(true)
    expect(continuesChain(batch, 0xdeadbeee)).toBe(false)
    const changed = decodeBatch(Uint8Array.from(batch.bytes))
    changed.bytes[changed.bytes.length - 1] ^= 1
    expect(continuesChain(changed, 0xdeadbeef)).toBe(false)
  })

  test('a batch cut at any byte, or with a byte more, is PROTOCOL_ERROR', () => {
    const { bytes } = sample()
    for (let end = 0; end < bytes.length; end++)
      expect(
        codeOf(() => decodeBatch(bytes.slice(0, end))),
        `cut at ${end}`,
      ).toBe('PROTOCOL_ERROR')
    expect(codeOf(() => decodeBatch(Buffer.concat([bytes, Buffer.alloc(1)])))).toBe(
      'PROTOCOL_ERROR',
    )
  })

  test('changed bytes never pass for the same batch, and never end otherwise', () => {
    const { bytes } = sample()
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(bytes)
        changed[at] ^= flip
        const code = codeOf(() => {
          const batch = decodeBatch(changed)
          expect(continuesChain(batch, 0xdeadbeef)).toBe(false)
          expect(seenIn(batch).length).toBe(batch.next - batch.first)
        })
        expect(['none', 'PROTOCOL_ERROR']).toContain(code ?? 'none')
      }),
      { numRuns: 2_000 },
    )
  })

  test('garbage is PROTOCOL_ERROR', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), garbage => {
        expect(codeOf(() => decodeBatch(garbage))).toBe('PROTOCOL_ERROR')
      }),
    )
  })

  test('any proposals, from any part of a list, come back in order', () => {
    const clients = [alice, bob, { id: 'x'.repeat(16), lowest: 0 }, null]
    const drawn = fc.record({
      client: fc.constantFrom(...clients),
      delta: fc.nat(65_535),
      bytes: fc.uint8Array({ maxLength: 120 }),
      start: fc.nat(20),
    })
    fc.assert(
      fc.property(
        fc.array(drawn, { minLength: 1, maxLength: 40 }),
        fc.nat(39),
        fc.integer({ min: 1, max: 2 ** 50 }),
        (items, skip, first) => {
          const proposals = items.map(({ client, delta, bytes, start }) => ({
            ...proposal(client, client === null ? 0 : client.lowest + delta, bytes),
            start: Math.min(start, bytes.length),
          }))
          const from = Math.min(skip, proposals.length - 1)
          const batch = encodeBatch(EPOCH, first, 1, 0, proposals, from)
          const wanted = proposals.slice(from)
          expect(seenIn(decodeBatch(Uint8Array.from(batch.bytes)))).toEqual(
            wanted.map(({ client, seq, bytes, start }, i) => ({
              offset: first + i,
              client,
              seq,
              command: Buffer.from(bytes.subarray(start)).toString('hex'),
            })),
          )
          const most = wanted.reduce((sum, each) => sum + entryBytesMax(each), 0)
          expect(batch.bytes.length).toBeLessThanOrEqual(40 + most)
        },
      ),
    )
  })

  test('an empty batch, offset 0 and an unknown client are PROTOCOL_ERROR', () => {
    expect(codeOf(() => decodeBatch(encodeBatch(EPOCH, 1, 0, 0, []).bytes))).toBe('PROTOCOL_ERROR')
    const one = [proposal(alice, 5, command)]
    expect(codeOf(() => decodeBatch(encodeBatch(EPOCH, 0, 0, 0, one).bytes))).toBe('PROTOCOL_ERROR')
    const bytes = Uint8Array.from(encodeBatch(EPOCH, 1, 0, 0, one).bytes)
    bytes[36 + 2 + 24 + 2] = 1
    expect(codeOf(() => decodeBatch(bytes))).toBe('PROTOCOL_ERROR')
  })
})

describe('commands', () => {
  const value = Buffer.from([0, 1, 254, 255])
  const options = {
    maxEntries: 10,
    maxBytes: 2 ** 40,
    ttlMs: 60_000,
    idleMs: 5,
    eviction: 'none' as const,
  }
  const origin = { epoch: EPOCH, offset: 2 ** 33, time: 1_700_000_000_000.5 }
  const NO_LIFE = { deadline: 0, idleMs: 0, expiresAt: 0, ...origin }
  /** Every layout once; the second says whether a client may send it. */
  const layouts: Record<string, [Uint8Array, boolean]> = {
    get: [written(out => writePlain(out, OP.get, 'sessions', 'sid')), true],
    has: [written(out => writePlain(out, OP.has, 'sessions', 'sid')), true],
    size: [written(out => writePlain(out, OP.size, 'sessions', '')), true],
    scan: [written(out => writeScan(out, 'sessions', 'pre', 2 ** 33, 256)), true],
    set: [written(out => writeSet(out, 'sessions', 'schlüssel', value, {})), true],
    'set-all': [
      written(out =>
        writeSet(out, 'c', 'k', value, { ifVersion: 9, ifAbsent: true, ttlMs: 1, idleMs: 2 }),
      ),
      true,
    ],
    delete: [written(out => writeDelete(out, 'c', 'k', { ifVersion: 2 ** 52 })), true],
    touch: [written(out => writeTouch(out, 'c', 'k', { ttlMs: 1_800_000 })), true],
    clear: [written(out => writePlain(out, OP.clear, 'c', '')), true],
    'clear-met': [written(out => writeClear(out, 'c', [{ ordinal: 3, upto: 2 ** 50 + 3 }])), false],
    'open-window': [written(out => writePlain(out, OP.openWindow, '', '')), true],
    configure: [written(out => writeConfigure(out, 'c', options)), false],
    expire: [written(out => writeExpire(out, OP.expire, 'c', 'k', 77)), false],
    evict: [written(out => writeExpire(out, OP.evict, 'c', 'k', 78)), false],
    'evict-version': [written(out => writeExpire(out, OP.evict, 'c', 'k', 78, 70)), false],
    'set-merged': [
      written(out => {
        const life = { deadline: 2 ** 41, idleMs: 5, expiresAt: 2 ** 40 }
        writeMerged(out, OP.set, 'c', 'k', { ifAbsent: true }, { ...life, ...origin })
        out.bytes(value)
      }),
      false,
    ],
    'delete-merged': [
      written(out => writeMerged(out, OP.delete, 'c', 'k', { ifVersion: 9 }, NO_LIFE)),
      false,
    ],
    'touch-merged': [
      written(out => writeMerged(out, OP.touch, 'c', 'k', { ifVersion: 9 }, NO_LIFE)),
      false,
    ],
    noop: [written(out => writePlain(out, OP.noop, '', '')), false],
    'close-window': [written(out => writeCloseWindow(out, '0123456789abcdef', 79)), false],
  }
  const check = (bytes: Uint8Array, start = 0, end: number = bytes.length) =>
    checkCommand(bytes, start, end, LIMITS)

  test('have golden bytes', () => {
    for (const [name, [bytes]] of Object.entries(layouts)) expectGolden(`command-${name}`, bytes)
  })

  test('of a clear tell what its origin had met, or nothing at all', () => {
    const met = (bytes: Uint8Array) => {
      const reader = new Reader(bytes)
      reader.skip(2)
      reader.text8()
      return readClear(reader)
    }
    expect([...(met(layouts['clear-met'][0]) ?? [])]).toEqual([[3, 2 ** 50 + 3]])
    expect(met(layouts.clear[0])).toBeUndefined()
    const [whole] = layouts['clear-met']
    const plain = layouts.clear[0].length
    for (let end = plain; end <= whole.length + 1; end++) {
      const code =
        codeOf(() => checkEntry(Buffer.concat([whole, Buffer.alloc(1)]), 0, end)) ?? 'none'
      expect(code, `${end}`).toBe(end === plain || end === whole.length ? 'none' : 'PROTOCOL_ERROR')
    }
  })

  test('pass the check if a client may send them, inside any bytes around them', () => {
    for (const [name, [bytes, open]] of Object.entries(layouts)) {
      const around = Buffer.concat([Buffer.alloc(7, 255), bytes, Buffer.alloc(7, 255)])
      const code = codeOf(() => expect(check(around, 7, 7 + bytes.length)).toBe(bytes[0])) ?? 'none'
      if (open) expect(code, name).toBe('none')
      else expect(['PROTOCOL_ERROR', 'LIMIT'], name).toContain(code)
    }
  })

  test('cut at any byte fail the check, but for a value, which may have any length', () => {
    for (const [name, [bytes, open]] of Object.entries(layouts)) {
      if (!open) continue
      const valueBytes = name.startsWith('set') ? value.length : 0
      for (let end = 0; end < bytes.length - valueBytes; end++)
        expect(
          codeOf(() => check(bytes, 0, end)),
          `${name} cut at ${end}`,
        ).toBe('PROTOCOL_ERROR')
      if (valueBytes === 0)
        expect(codeOf(() => check(Buffer.concat([bytes, Buffer.alloc(1)])))).toBe('PROTOCOL_ERROR')
    }
  })

  test('beyond a limit are LIMIT, and at it they pass', () => {
    const set = (cache: number, key: number, bytes: number) => () =>
      check(
        written(out => writeSet(out, 'c'.repeat(cache), 'k'.repeat(key), Buffer.alloc(bytes), {})),
      )
    const { cacheNameBytesMax, keyBytesMax, valueBytesMax } = LIMITS
    expect(codeOf(set(cacheNameBytesMax, keyBytesMax, valueBytesMax)) ?? 'none').toBe('none')
    expect(codeOf(set(cacheNameBytesMax + 1, 1, 1))).toBe('LIMIT')
    expect(codeOf(set(1, keyBytesMax + 1, 1))).toBe('LIMIT')
    expect(codeOf(set(1, 1, valueBytesMax + 1))).toBe('LIMIT')
    expect(codeOf(set(0, 1, 1))).toBe('LIMIT')
    expect(codeOf(set(1, 0, 1))).toBe('LIMIT')
  })

  test('unknown flags, operations and fields that are not whole are PROTOCOL_ERROR', () => {
    const set = Uint8Array.from(layouts.set[0])
    set[1] = 16
    expect(codeOf(() => check(set))).toBe('PROTOCOL_ERROR')
    for (let op = 0; op < 256; op++) {
      const bytes = Uint8Array.from(layouts.clear[0])
      bytes[0] = op
      if (op === OP.clear || op === OP.size || op === OP.openWindow) continue
      expect(['PROTOCOL_ERROR', 'LIMIT'], `op ${op}`).toContain(codeOf(() => check(bytes)))
    }
    const touch = (ttlMs: number) => written(out => writeTouch(out, 'c', 'k', { ttlMs }))
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 60])
      expect(codeOf(() => check(touch(bad)))).toBe('PROTOCOL_ERROR')
  })

  test('garbage never passes as something else than it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), garbage => {
        const code = codeOf(() => expect(check(garbage)).toBe(garbage[0])) ?? 'none'
        expect(['none', 'PROTOCOL_ERROR', 'LIMIT']).toContain(code)
      }),
      { numRuns: 3_000 },
    )
  })

  test('the fields of a set come back in their order', () => {
    const number = fc.option(fc.maxSafeNat(), { nil: undefined })
    fc.assert(
      fc.property(number, number, number, fc.boolean(), (ifVersion, ttlMs, idleMs, ifAbsent) => {
        const bytes = written(out =>
          writeSet(out, 'c', 'k', value, { ifVersion, ttlMs, idleMs, ifAbsent }),
        )
        const reader = new Reader(bytes)
        expect(reader.u8()).toBe(OP.set)
        const flags = reader.u8()
        expect([reader.text8(), reader.text16()]).toEqual(['c', 'k'])
        expect((flags & FLAG.ifAbsent) !== 0).toBe(ifAbsent)
        expect((flags & FLAG.ifVersion) !== 0 ? reader.whole() : undefined).toBe(ifVersion)
        expect((flags & FLAG.ttl) !== 0 ? reader.whole() : undefined).toBe(ttlMs)
        expect((flags & FLAG.idle) !== 0 ? reader.whole() : undefined).toBe(idleMs)
        expect([...reader.copy(reader.left)]).toEqual([...value])
      }),
    )
  })

  test('a configure command gives its options back', () => {
    const reader = new Reader(layouts.configure[0])
    reader.skip(2)
    expect([reader.text8(), reader.text16()]).toEqual(['c', ''])
    expect(readConfigure(reader)).toEqual(options)
    reader.finish()
  })
})
