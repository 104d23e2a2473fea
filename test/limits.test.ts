/**
 * SECURITY, rows 7, 8, 9, 11 and 12, where a node judges what a client asks: keys, names, values,
 * counts, calls in flight, readers that do not read. Each test names its row.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import { createCache } from '../src/cache/cache.js'
import { Calls } from '../src/client/calls.js'
import { LIMITS } from '../src/config.js'
import { GcacheError } from '../src/errors.js'
import { decodeBatch } from '../src/wire/batch.js'
import { Reader, Writer } from '../src/wire/bytes.js'
import { checkCommand, OP, writePlain, writeScan, writeSet } from '../src/wire/command.js'
import { readPositions, STATUS } from '../src/wire/requests.js'
import { codeOf } from './harness/codes.js'
import { type Ask, frameOf, get, Master, open, PEER, plain, set, WINDOW } from './harness/master.js'

let master: Master
beforeEach(() => {
  master = new Master()
})

/** What the codec says of a command, as a server judges it. */
function verdict(write: (out: Writer) => void): string {
  const out = new Writer()
  write(out)
  const bytes = out.copy()
  return codeOf(() => checkCommand(bytes, 0, bytes.length, LIMITS)) ?? 'fine'
}

/** Calls of a client that never sends any. */
function loneCalls(): Calls {
  return new Calls({
    clock: { now: () => 0, wall: () => 0, after: () => ({ cancel() {} }) },
    random: { next: () => 0.5 },
    timeoutMs: 5_000,
    send: () => 'sent',
    flush: () => undefined,
  })
}

describe('row 7, keys and names', () => {
  test('row 7: a key has 1 to 512 bytes, a cache name 1 to 64, of UTF-8', () => {
    expect([LIMITS.keyBytesMax, LIMITS.cacheNameBytesMax]).toEqual([512, 64])
    const key = (text: string) => verdict(out => writeSet(out, 'c', text, Buffer.from('v'), {}))
    expect([key('k'), key('k'.repeat(512)), key('é'.repeat(256))]).toEqual(Array(3).fill('fine'))
    expect([key(''), key('k'.repeat(513)), key('é'.repeat(257))]).toEqual(Array(3).fill('LIMIT'))
    const name = (text: string) => verdict(out => writePlain(out, OP.get, text, 'k'))
    expect([name('n'), name('n'.repeat(64)), name('é'.repeat(32))]).toEqual(Array(3).fill('fine'))
    expect([name(''), name('n'.repeat(65)), name('é'.repeat(33))]).toEqual(Array(3).fill('LIMIT'))
  })

  test('row 7: beyond it that call alone is LIMIT, on the server and before it is sent', () => {
    const long = 'k'.repeat(513)
    const asks = [open, get(long), set(long, 'v'), get('k', 'n'.repeat(65)), set('k', 'v')]
    const refused = master.ask(asks).filter(({ code }) => code === 'LIMIT')
    expect(refused.map(({ id }) => id).sort()).toEqual([2, 3, 4])
    const port = loneCalls() as never
    expect(codeOf(() => createCache(port, 'n'.repeat(65)))).toBe('LIMIT')
    return expect(createCache(port, 'c').get(long)).rejects.toMatchObject({ code: 'LIMIT' })
  })
})

describe('row 8, values', () => {
  test('row 8: a value has at most 1 MiB, judged on the server and before it is sent', async () => {
    expect(LIMITS.valueBytesMax).toBe(2 ** 20)
    const value = (bytes: number) =>
      verdict(out => writeSet(out, 'c', 'k', Buffer.alloc(bytes), { ttlMs: 1 }))
    expect([value(0), value(2 ** 20), value(2 ** 20 + 1)]).toEqual(['fine', 'fine', 'LIMIT'])
    const large = Buffer.alloc(2 ** 20 + 1)
    await expect(loneCalls().set('c', 'k', large, {})).rejects.toMatchObject({ code: 'LIMIT' })
    const replies = master.ask([open, set('a', large.toString('latin1')), set('b', 'v')])
    expect(replies.find(reply => reply.id === 2)).toMatchObject({ code: 'LIMIT', surely: true })
    expect(replies.find(reply => reply.id === 3)).toMatchObject({ status: STATUS.written })
  })
})

describe('row 9, counts', () => {
  test('row 9: a batch has at most 1,024 operations', () => {
    expect(LIMITS.requestsPerFrameMax).toBe(1_024)
    const many = (count: number) => Array.from({ length: count }, () => get('k'))
    expect(master.ask(many(1_024))).toHaveLength(1_024)
    expect(codeOf(() => master.ask(many(1_025)))).toBe('PROTOCOL_ERROR')
  })

  test('row 9: a count alone buys no memory and no work, in any codec', () => {
    const request = frameOf([get('k')])
    new DataView(request.buffer, request.byteOffset).setUint16(26, 1_024, true)
    const batch = Buffer.alloc(60, 0xff)
    batch.writeDoubleLE(1, 4)
    batch.writeDoubleLE(256, 12)
    batch.writeDoubleLE(1_000, 28)
    const positions = Buffer.from([255, 1, 2, 3])
    const before = process.memoryUsage()
    for (let i = 0; i < 1_000; i++) {
      expect(codeOf(() => master.requests.onFrame(PEER, 1, request))).toBe('PROTOCOL_ERROR')
      expect(codeOf(() => decodeBatch(batch))).toBe('PROTOCOL_ERROR')
      expect(codeOf(() => readPositions(new Reader(positions)))).toBe('PROTOCOL_ERROR')
    }
    const after = process.memoryUsage()
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(4 * 2 ** 20)
    expect(master.requests.waiting).toBe(0)
  })

  test('row 9: 1,024 calls without an answer, and the client is not read from', () => {
    expect(LIMITS.callsPerLinkMax).toBe(1_024)
    master.mode = 'apply'
    const asks = (count: number) => Array.from({ length: count }, (_, i) => set(`k${i}`, 'v'))
    master.ask([open, ...asks(1_022)])
    expect(master.holds).toEqual([])
    master.ask(asks(1))
    expect(master.holds).toEqual([true])
    master.ask(asks(100))
    expect(master.holds, 'what was read already is served').toEqual([true])
    const ids = master.proposals.flat()
    master.settle(ids.splice(0, 600))
    expect(master.holds).toEqual([true])
    master.settle(ids.splice(0, 12))
    expect(master.holds, 'it is read from again at half').toEqual([true, false])
    master.settle(ids)
    master.calls.finish()
    expect(master.requests.waiting).toBe(0)
  })

  test('row 9: 4 MiB of calls without an answer do the same, and a refusal gives back', () => {
    expect(LIMITS.callBytesPerLinkMax).toBe(4 * 2 ** 20)
    master.mode = 'append'
    const large = 'v'.repeat(1_000_000)
    for (let i = 0; i < 4; i++) master.ask([set(`k${i}`, large)])
    expect(master.holds).toEqual([])
    master.ask([set('k4', large)])
    expect(master.holds).toEqual([true])
    const ids = master.proposals.flat()
    for (const { id } of ids.slice(0, 3)) master.requests.reject(id, 'ACK_TIMEOUT', false)
    expect(master.holds).toEqual([true, false])
  })

  test('row 9: reads that wait count as well, and a link that ends leaves nothing', () => {
    const linearizable: Ask = out => writePlain(out, OP.get, 'c', 'k')
    const frame = frameOf(Array.from({ length: 1_024 }, () => linearizable))
    // The way to read is the byte behind a call's id.
    const call = 2 + 16 + 8 + 2
    const each = (frame.length - call) / 1_024
    for (let i = 0; i < 1_024; i++) frame[call + i * each + 4] = 2
    master.requests.onFrame(PEER, 1, frame)
    expect(master.requests.waitingReads).toBe(1_024)
    expect(master.holds).toEqual([true])
    master.calls.onLinkDown(PEER, 1)
    expect(master.requests.waitingReads).toBe(0)
    expect(master.holds, 'nobody is there to go on').toEqual([true])
  })

  test('row 9: a frame that breaks off half-way gives back what it took', () => {
    const whole = frameOf([open, ...Array.from({ length: 600 }, (_, i) => set(`k${i}`, 'v'))])
    for (let i = 0; i < 5; i++)
      expect(codeOf(() => master.requests.onFrame(PEER, 1, whole.slice(0, -1))) ?? 'fine').not.toBe(
        'fine',
      )
    expect(master.requests.waiting).toBe(0)
    master.ask([set('k', 'v')])
    expect(master.holds).toEqual([])
  })

  test('row 9: a scan page has at most 1,000 records, whatever was asked for', () => {
    expect(LIMITS.scanPageMax).toBe(1_000)
    master.ask([open])
    for (let from = 0; from < 1_200; from += 600) {
      const sets = Array.from({ length: 600 }, (_, i) => set(`k${from + i}`, 'v'))
      master.requests.onFrame(PEER, 1, frameOf(sets, { ...WINDOW, lowest: 2 + from }))
    }
    master.take()
    const [page] = master.ask([out => writeScan(out, 'c', 'k', 0, 65_535)])
    expect(page.keys).toHaveLength(1_000)
    const [rest] = master.ask([out => writeScan(out, 'c', 'k', page.cursor ?? 0, 65_535)])
    expect(rest.keys).toHaveLength(200)
    expect(rest.cursor).toBe(0)
  })

  test('row 9: a prefix is text: no pattern in it has a meaning', () => {
    const keys = [
      'abc',
      'a.c',
      'a*',
      '*',
      '.*',
      '^a',
      '[a-z]',
      '(a+)+$',
      'a?',
      '\\d',
      `${'a'.repeat(40)}!`,
    ]
    master.ask([open, ...keys.map(key => set(key, 'v'))])
    for (const prefix of ['a.', '*', '.*', '^', '[a-z]', '(a+)+$', '\\', 'a', '']) {
      const [page] = master.ask([out => writeScan(out, 'c', prefix, 0, 1_000)])
      expect(page.keys?.sort(), prefix).toEqual(keys.filter(key => key.startsWith(prefix)).sort())
    }
    expect(master.ask([plain(OP.size)])[0].number).toBe(keys.length)
  })
})

describe('row 11, malformed requests', () => {
  test('row 11: a frame cut anywhere is a PROTOCOL_ERROR that says at which byte', () => {
    const frame = frameOf([open, set('k', 'v'), get('k')])
    for (let length = 1; length < frame.length; length++) {
      let error: unknown
      try {
        master.requests.onFrame(PEER, 1, frame.slice(0, length))
      } catch (caught) {
        error = caught
      }
      expect(error, `${length} bytes`).toBeInstanceOf(GcacheError)
      const { code, offset } = error as GcacheError
      expect(code).toBe('PROTOCOL_ERROR')
      expect(offset).toBeGreaterThanOrEqual(0)
      expect(offset).toBeLessThanOrEqual(length)
    }
    const [, written] = master.ask([open, set('k', 'v')])
    expect(written.status, 'others go on').toBe(STATUS.written)
  })
})

describe('row 12, readers that do not read', () => {
  test('row 12: a client whose queue of 8 MiB is full is cut off as SLOW_CONSUMER', () => {
    expect(LIMITS.clientQueueBytesMax).toBe(8 * 2 ** 20)
    master.answer = 'dropped'
    master.ask([get('a')])
    expect(master.disconnects).toEqual([PEER])
    expect(master.causes[0]).toMatchObject({ code: 'SLOW_CONSUMER', retryable: true })
  })

  test('row 12: before that its reads are BUSY, so that few ever come so far', () => {
    master.ask([open, set('a', 'x'.repeat(400_000))])
    master.answer = 'congested'
    const replies = master.ask(Array.from({ length: 20 }, () => get('a')))
    expect(replies.filter(reply => reply.code === 'BUSY').length).toBeGreaterThan(10)
  })
})
