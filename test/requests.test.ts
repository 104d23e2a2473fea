import { beforeEach, describe, expect, it } from 'vitest'
import { Calls } from '../src/client/calls.js'
import { LIMITS } from '../src/config.js'
import type { Outcome } from '../src/contracts/store.js'
import { GcacheError } from '../src/errors.js'
import { OP, writeScan } from '../src/wire/command.js'
import { STATUS } from '../src/wire/requests.js'
import { type Ask, frameOf, get, Master, open, PEER, plain, set, WINDOW } from './harness/master.js'

let master: Master
beforeEach(() => {
  master = new Master()
})

describe('a frame of requests', () => {
  it('is answered by one frame, which waits for the end of the turn', () => {
    const replies = master.ask([open, set('k', 'v'), get('k'), get('none'), plain(OP.size)])
    expect(replies).toMatchObject([
      { id: 1, status: STATUS.written, copies: 3 },
      { id: 2, status: STATUS.written, version: 2 },
      { id: 3, status: STATUS.value, value: 'v', version: 2 },
      { id: 4, status: STATUS.absent },
      { id: 5, status: STATUS.number, number: 1 },
    ])
    expect(master.flushes).toBe(0)
  })

  it('is flushed at once from 25 replies on, also if they came in small frames', () => {
    master.ask(Array.from({ length: 25 }, () => get('none')))
    expect(master.flushes).toBe(1)
    for (let i = 0; i < 24; i++) master.ask([get('none')])
    expect(master.flushes).toBe(1)
    master.ask([get('none')])
    expect(master.flushes).toBe(2)
  })

  it('becomes one propose, unless a read must see a write before it', () => {
    master.ask([open, set('a', '1'), get('b'), set('b', '2'), get('zz')])
    expect(master.proposals.map(batch => batch.length)).toEqual([3])
    const replies = master.ask([get('b'), get('a'), plain(OP.clear), get('b')])
    expect(replies.map(reply => reply.value)).toEqual(['2', '1', undefined, undefined])
    expect(master.proposals.map(batch => batch.length)).toEqual([3, 1])
    master.ask([set('d', '3'), get('d'), set('e', '3'), plain(OP.size)])
    expect(master.proposals.map(batch => batch.length)).toEqual([3, 1, 1, 1])
  })

  it('sees its own writes in any mix of keys', () => {
    const asks: Ask[] = [open]
    for (let i = 0; i < 500; i++) asks.push(i % 2 === 0 ? set(`k${i}`, `${i}`) : get(`k${i - 1}`))
    const values = master.ask(asks).filter(reply => reply.status === STATUS.value)
    expect(values.map(reply => reply.value)).toEqual(
      Array.from({ length: 250 }, (_, i) => `${i * 2}`),
    )
  })

  it('is refused by a node that is not the serving master, surely', () => {
    master.standing = { ...master.standing, serving: false }
    expect(master.ask([get('k'), set('k', 'v')])).toMatchObject([
      { id: 1, code: 'NOT_READY', surely: true },
      { id: 2, code: 'NOT_READY', surely: true },
    ])
    master.standing = { ...master.standing, role: 'slave' }
    expect(master.ask([set('k', 'v')])).toMatchObject([{ code: 'NOT_MASTER', surely: true }])
    expect(master.proposals).toEqual([])
  })

  it('has calls beyond a limit refused one by one', () => {
    const long = 'k'.repeat(LIMITS.keyBytesMax + 1)
    const replies = master.ask([
      open,
      get(long),
      set(long, 'v'),
      get(''),
      set('k', 'v', {}, ''),
      get('k', 'n'.repeat(65)),
      set('k', 'fine'),
    ])
    expect(replies.filter(reply => reply.code === 'LIMIT').map(reply => reply.id)).toEqual([
      2, 3, 4, 5, 6,
    ])
    expect(replies.find(reply => reply.id === 7)?.status).toBe(STATUS.written)
  })

  it('of unknown caches is refused where caches are not made by themselves', () => {
    master = new Master(false)
    const replies = master.ask([open, get('k', 'other'), set('k', 'v', {}, 'other')])
    expect(replies.map(reply => reply.code)).toEqual(['NO_SUCH_CACHE', 'NO_SUCH_CACHE', undefined])
    expect(master.ask([set('k', 'v', {}, 'known')])[0].status).toBe(STATUS.written)
  })

  it('cut at any byte or changed in any byte is a PROTOCOL_ERROR or a sound frame', () => {
    const frame = frameOf([open, set('k', 'v'), get('k'), plain(OP.size), plain(OP.touch, 'k')])
    for (let length = 0; length < frame.length; length++) {
      const cut = frame.slice(0, length)
      expect(() => master.requests.onFrame(PEER, 1, cut), `${length} bytes`).toThrow(GcacheError)
    }
    for (let at = 0; at < frame.length; at++)
      for (const mask of [1, 0x80, 0xff]) {
        const changed = Uint8Array.from(frame)
        changed[at] ^= mask
        try {
          master.requests.onFrame(PEER, 1, changed)
        } catch (error) {
          expect((error as GcacheError).code, `byte ${at}`).toBe('PROTOCOL_ERROR')
        }
      }
    expect(master.requests.waiting).toBe(0)
    master.take()
    expect(master.ask([set('k2', 'v')])[0].status).toBe(STATUS.written)
  })

  it('with more requests than the limit, or operations of servers, is a PROTOCOL_ERROR', () => {
    const many = Array.from({ length: LIMITS.requestsPerFrameMax + 1 }, () => get('k'))
    expect(() => master.ask(many)).toThrow('1025 requests')
    for (const op of [OP.expire, OP.evict, OP.configure, OP.closeWindow, OP.noop, 0, 99])
      expect(() => master.ask([plain(op, 'k')]), `op ${op}`).toThrow(GcacheError)
  })

  it('gets what apply decided as codes', () => {
    master.ask([open, set('k', 'v')])
    const replies = master.ask([
      set('k', 'w', { ifAbsent: true }),
      set('k', 'w', { ifVersion: 1 }),
      plain(OP.delete, 'none'),
    ])
    // The numbers 1 and 2 of the window were used: those repeat their first results.
    expect(replies.at(-1)).toMatchObject({ code: 'NOT_FOUND', surely: true })
    const stranger = frameOf([set('k', 'w')], { id: 'another-window-i', lowest: 1 })
    master.requests.onFrame(PEER, 1, stranger)
    expect(master.take()).toMatchObject([{ code: 'CLIENT_EXPIRED', surely: true }])
  })
})

describe('writes', () => {
  it('that settle before they are applied are answered when they are', () => {
    master.mode = 'append'
    expect(master.ask([open, set('k', 'v')])).toEqual([])
    master.settle(master.proposals[0])
    master.calls.finish()
    expect(master.frames).toEqual([])
    for (const apply of master.held.splice(0)) apply()
    master.calls.finish()
    expect(master.take()).toMatchObject([{ id: 1 }, { id: 2, version: 2 }])
    expect(master.requests.waiting).toBe(0)
  })

  it('settled by a later step are answered by its finish, in one frame', () => {
    master.mode = 'apply'
    master.ask([open, set('a', '1')])
    master.ask([set('b', '2')], 10)
    for (const listed of master.proposals) master.settle(listed)
    master.calls.finish()
    expect(master.frames).toHaveLength(1)
    expect(master.take().map(reply => reply.id)).toEqual([1, 2, 10])
  })

  it('whose results newer ones pushed out are answered BUSY, perhaps done', () => {
    master.mode = 'apply'
    master.ask([open, set('a', '1')])
    for (let offset = 3; offset < 40_000; offset++)
      master.requests.onResult(offset, 'ok' as Outcome, offset)
    master.settle(master.proposals[0])
    master.calls.finish()
    expect(master.take()).toMatchObject([
      { id: 1, code: 'BUSY', surely: false },
      { id: 2, code: 'BUSY', surely: false },
    ])
  })

  it('rejected by the strategy keep its word on whether they are surely not done', () => {
    master.mode = 'append'
    master.ask([open, set('a', '1')])
    const [[one, two]] = master.proposals
    master.requests.reject(one.id, 'ACK_TIMEOUT', false)
    master.requests.reject(two.id, 'NOT_MASTER', true)
    master.requests.reject(two.id, 'NOT_MASTER', true)
    master.calls.finish()
    expect(master.take()).toMatchObject([
      { id: 1, code: 'ACK_TIMEOUT', surely: false },
      { id: 2, code: 'NOT_MASTER', surely: true },
    ])
  })

  it('beyond the limit of unanswered ones are refused', () => {
    master.mode = 'apply'
    const asks = Array.from({ length: 1_000 }, (_, i) => set(`k${i}`, 'v'))
    for (let i = 0; i < 10; i++) expect(master.ask(asks)).toEqual([])
    expect(master.requests.waiting).toBe(LIMITS.unackedWritesMax)
    expect(master.ask([set('k', 'v')])).toMatchObject([{ code: 'BUSY', surely: true }])
    // One that waits long is passed over by the ids of newer ones.
    const [first, ...rest] = master.proposals.flat()
    master.settle(rest)
    for (let i = 0; i < 20; i++) {
      master.ask(asks)
      master.settle(master.proposals.at(-1) ?? [])
    }
    expect(master.requests.waiting).toBe(1)
    master.calls.finish()
    master.take()
    master.requests.reject(first.id, 'ACK_TIMEOUT', false)
    master.calls.finish()
    expect(master.take()).toMatchObject([{ id: 1, code: 'ACK_TIMEOUT' }])
  })

  it('of a link that is down go on, and nobody is answered', () => {
    master.mode = 'apply'
    master.ask([open, set('a', '1')])
    master.calls.onLinkDown(PEER, 1)
    master.settle(master.proposals[0])
    master.calls.finish()
    expect(master.frames).toEqual([])
    expect(master.requests.waiting).toBe(0)
    expect(master.store.has('c', 'a', 1_000)).toBe(true)
  })
})

describe('replies', () => {
  const big = 'x'.repeat(400_000)

  it('larger than a frame leave as several', () => {
    master.ask([open, set('a', big), set('b', big), set('c', big)])
    master.requests.onFrame(PEER, 1, frameOf([get('a'), get('b'), get('c')]))
    expect(master.frames).toHaveLength(2)
    for (const frame of master.frames)
      expect(frame.length).toBeLessThanOrEqual(LIMITS.clientFrameBytesMax)
    expect(master.take().map(reply => reply.id)).toEqual([1, 2, 3])
  })

  it('to a link that does not read are BUSY, then small, until it is writable', () => {
    master.ask([open, set('a', big)])
    master.answer = 'congested'
    const replies = master.ask(Array.from({ length: 20 }, () => get('a')))
    const values = replies.filter(reply => reply.status === STATUS.value)
    expect(values.length).toBeLessThan(10)
    expect(replies.filter(reply => reply.code === 'BUSY')).toHaveLength(20 - values.length)
    master.calls.replies.onWritable(PEER, 1)
    expect(master.ask([get('a')])[0].status).toBe(STATUS.value)
  })

  it('that the link drops end its session', () => {
    master.answer = 'dropped'
    master.ask([get('a')])
    expect(master.disconnects).toEqual([PEER])
  })

  it('with a page of a scan stay within a frame, and pages meet every key once', () => {
    const half = 'y'.repeat(200_000)
    master.ask([open])
    for (let i = 0; i < 12; i++)
      master.requests.onFrame(PEER, 1, frameOf([set(`k${i}`, half)], { ...WINDOW, lowest: i + 2 }))
    master.take()
    const keys: string[] = []
    let cursor = 0
    do {
      const from = cursor
      const [page] = master.ask([out => writeScan(out, 'c', 'k', from, 1_000)])
      keys.push(...(page.keys ?? []))
      cursor = page.cursor ?? 0
    } while (cursor !== 0)
    expect(keys.sort()).toEqual(Array.from({ length: 12 }, (_, i) => `k${i}`).sort())
  })
})

it('a client and a node agree on every frame, under random loads', async () => {
  const clock = { now: () => 0, wall: () => 0, after: () => ({ cancel() {} }) }
  const node = new Master()
  const calls = new Calls({
    clock,
    random: { next: Math.random },
    timeoutMs: 5_000,
    send: (_target, frame) => {
      node.requests.onFrame(PEER, 1, frame)
      for (const reply of node.frames.splice(0)) calls.onReply('a', reply)
      return 'sent'
    },
    flush: () => undefined,
  })
  calls.route('a')
  const model = new Map<string, string>()
  const checks: Promise<void>[] = []
  for (let i = 0; i < 3_000; i++) {
    const key = `k${(i * 7_919) % 97}`
    const value = `${'é'.repeat(i % 40)}${i}`
    if (i % 3 === 0) {
      model.set(key, value)
      checks.push(calls.set('c', key, Buffer.from(value), {}).then(() => undefined))
    } else {
      const wanted = model.get(key)
      checks.push(
        calls.get('c', key, 5_000).then(entry => {
          const found = entry === undefined ? undefined : Buffer.from(entry.value).toString()
          expect(found).toBe(wanted)
        }),
      )
    }
  }
  await Promise.all(checks)
  expect(calls.pending).toBe(0)
})
