/**
 * The master's books about its slaves, input by input: which acks count, and for what. No cluster:
 * only here the order of two messages can be chosen.
 */
import { describe, expect, it } from 'vitest'
import type { Epoch } from '../src/contracts/types.js'
import { NO_EPOCH } from '../src/core/epochs.js'
import type { MasterSlaveMessage } from '../strategies/master-slave/index.js'
import { Alone, emptyState } from './harness/alone.js'

type Of<T extends MasterSlaveMessage['type']> = Extract<MasterSlaveMessage, { type: T }>

/** Of the process `letter`, which holds nothing, to the master of `epoch`. */
function syncOf(epoch: Epoch, letter: string, more: Partial<Of<'sync'>> = {}): Of<'sync'> {
  const { data, incarnation, voter, history, next } = emptyState(letter)
  const log = { history, starts: [], lastEpoch: NO_EPOCH, next, commit: 1, voter }
  const about = { epoch, distrust: false, feed: 0, data, incarnation }
  return { type: 'sync', ...about, ...log, ...more }
}

describe('an ack', () => {
  // Seed 1784: the slave had acked one copy and was about to drop its data for the next, which the
  // master had sent already; the ack was counted, and the receipt claimed a copy that went away.
  it('of an earlier feeding does not count, one of the present feeding does', () => {
    const node = new Alone({ self: 'a', ids: ['a', 'b'], options: { bootstrapWaitMs: 0 } })
    node.link('b')
    node.tick(500)
    const { epoch } = node.last('heartbeat')
    const sync = syncOf(epoch, 'b')
    node.hear(sync)
    const first = node.last('sync-reply').feed
    node.write()
    node.hear({ ...sync, data: 'copying' })
    const second = node.last('copy-begin').copy
    expect(second).toBeGreaterThan(first)
    const { next } = node.log
    const slice = new Uint8Array(8)
    node.step({ kind: 'snapshot', group: 0, id: second, next, slice, state: 'done' })
    expect(node.last('copy-end').copy).toBe(second)
    const marks = { echo: 0, round: 0, stamp: -1 }
    const ack = { type: 'append-ack', epoch, next, durable: next, ...marks } as const
    node.hear({ ...ack, feed: first })
    expect(node.receipts).toEqual([])
    node.hear({ ...ack, feed: second })
    expect(node.receipts.map(receipt => receipt.copies)).toEqual([2])
  })
})

describe('a sync that the network says twice', () => {
  // Majority, seed 1322 of echoes: it was copied anew, and dropped what it had acked since.
  it('asks for nothing once an ack has named the feed that answered it', () => {
    const node = new Alone({ self: 'a', ids: ['a', 'b'], options: { bootstrapWaitMs: 0 } })
    node.link('b')
    node.tick(500)
    const { epoch } = node.last('heartbeat')
    const sync = syncOf(epoch, 'b')
    node.hear(sync)
    const { feed } = node.last('sync-reply')
    // Nothing is known of the first answer yet: it may have been lost, and this be said for that.
    node.hear(sync)
    expect(node.last('sync-reply').feed).toBe(feed + 1)
    const marks = { echo: 0, round: 0, stamp: -1 }
    node.hear({ type: 'append-ack', epoch, feed: feed + 1, next: 1, durable: 1, ...marks })
    for (const state of ['empty', 'copying'] as const) node.hear({ ...sync, data: state })
    node.hear({ ...sync, distrust: true })
    expect(node.last('sync-reply').feed).toBe(feed + 1)
    // One that names the present feed is no repeat: half a copy says so.
    node.hear({ ...sync, data: 'copying', feed: feed + 1 })
    expect(node.last('copy-begin').copy).toBe(feed + 2)
  })
})

describe('a merge whose slave dies while its outcome waits for another slave', () => {
  it('copies nothing over the log of its next process, which acks what is written', () => {
    const options = { bootstrapWaitMs: 0, slavesToWriteMin: 0 }
    const node = new Alone({ self: 'a', ids: ['a', 'b', 'c'], options })
    for (const id of ['b', 'c']) node.link(id)
    node.tick(500)
    const { epoch } = node.last('heartbeat')
    const ack = (id: string, session = 1) => {
      const { next } = node.log
      const { feed } = node.last('sync-reply')
      const marks = { feed, echo: 0, round: 0, stamp: -1 }
      node.hear({ type: 'append-ack', epoch, next, durable: next, ...marks }, id, session)
    }
    node.hear(emptyState('c', 'ordinal'), 'c')
    node.hear(syncOf(epoch, 'c'), 'c')
    ack('c')
    node.tick(400)
    node.hear(emptyState('b', 'ordinal'))
    const other = { number: 512, incarnation: 'b'.repeat(16) }
    const starts = [{ epoch: other, first: 1 }]
    const log = { history: 'other', starts, lastEpoch: other, next: 9, commit: 9 }
    node.hear(syncOf(epoch, 'b', { data: 'ready', ...log }))
    const { merge } = node.last('merge-ask')
    const bytes = new Uint8Array(3)
    node.hear({ type: 'merge-records', epoch, merge, index: 0, last: true, bytes })
    node.write()
    const none = { records: 1, discarded: 0, conflicts: 0, clears: 0, removalsKnown: true }
    const counts = { ...none, merged: 1 }
    node.step({ kind: 'merged', group: 0, id: merge, counts, commands: [] })
    node.step({ kind: 'link-down', peer: 'b', session: 1, loss: 'reset' })
    node.link('b', 2)
    node.hear(emptyState('d', 'ordinal'), 'b', 2)
    node.hear(syncOf(epoch, 'd'), 'b', 2)
    ack('b', 2)
    expect(node.receipts.at(-1)?.copies).toBeGreaterThan(1)
    for (let i = 0; i < 20; i++) node.tick(100)
    expect(node.sent.map(({ type }) => type)).not.toContain('copy-begin')
  })
})

describe('a link whose first statement was lost', () => {
  it('is ended after 500 ms of other words, for a new one at once', () => {
    const node = new Alone({ self: 'a', ids: ['a', 'b', 'c'], options: {} })
    const probe = { type: 'probe', epoch: NO_EPOCH, nonce: 7 } as const
    for (const id of ['b', 'c']) node.link(id)
    node.hear(emptyState('c', 'ordinal'), 'c')
    for (let ms = 0; ms < 490; ms += 70) {
      for (const id of ['b', 'c']) node.hear(probe, id)
      node.tick(70)
    }
    expect(node.disconnected).toEqual([])
    node.tick(20)
    for (const id of ['b', 'c']) node.hear(probe, id)
    // A reason would say that it is not wanted, and let it wait.
    expect(node.disconnected).toEqual(['b: undefined'])
  })
})

describe('a master that was stopped', () => {
  /** Node a of `ids`, profile majority, in doubt; `voters` follow it, and e has no memory. */
  function doubting(ids: string[], voters: string[]) {
    const node = new Alone({ self: 'a', ids, options: { profile: 'majority' } })
    for (const id of ids.slice(1)) {
      node.link(id)
      node.hear(emptyState(id), id)
    }
    node.tick(500)
    node.tick(100)
    const { epoch, time } = node.last('heartbeat')
    const ack = (id: string, echo: number, session = 1) => {
      const { next } = node.log
      const marks = { feed: feeds.get(id) ?? 0, echo, round: 0, stamp: -1 }
      node.hear({ type: 'append-ack', epoch, next, durable: next, ...marks }, id, session)
    }
    const feeds = new Map<string, number>()
    for (const id of voters) {
      node.hear(syncOf(epoch, id), id)
      const { feed, history, voter } = node.last('sync-reply')
      expect(voter).toBe(true)
      feeds.set(id, feed)
      node.hear({ ...emptyState(id), data: 'ready', voter, history }, id)
      ack(id, time)
    }
    node.step({ kind: 'link-down', peer: 'e', session: 1, loss: 'reset' })
    node.link('e', 2)
    node.hear(emptyState('f'), 'e', 2)
    node.hear(syncOf(epoch, 'f'), 'e', 2)
    feeds.set('e', node.last('sync-reply').feed)
    expect(node.serves).toBe(true)
    node.tick(5_000)
    // Said before it was stopped, read now: they are heard, and prove nothing.
    for (const id of voters) ack(id, time)
    expect(node.serves).toBe(false)
    return { node, ack, now: node.last('heartbeat').time }
  }

  it('serves again once a voter answers, whatever one without memory answers', () => {
    const { node, ack, now } = doubting(['a', 'b', 'e'], ['b'])
    ack('e', now, 2)
    expect(node.serves).toBe(false)
    ack('b', now)
    expect(node.serves).toBe(true)
  })

  it('of five needs two of them: one voter need not know who leads by now', () => {
    const { node, ack, now } = doubting(['a', 'b', 'c', 'd', 'e'], ['b', 'c', 'd'])
    ack('b', now)
    ack('b', now)
    expect(node.serves).toBe(false)
    ack('d', now)
    expect(node.serves).toBe(true)
  })
})

describe('a slave whose word that it is ready was lost', () => {
  // Seed 95 of partitioned: each handover was refused, for as long as that link lasted.
  it('is handed over to, once its acks say that it has all', () => {
    const node = new Alone({ self: 'a', ids: ['a', 'b'], options: { bootstrapWaitMs: 0 } })
    node.link('b')
    node.tick(500)
    node.hear(emptyState('b', 'ordinal'))
    const { epoch } = node.last('heartbeat')
    node.hear(syncOf(epoch, 'b'))
    const { feed } = node.last('sync-reply')
    const ack = () => {
      const { next } = node.log
      const echo = node.last('heartbeat').time
      const marks = { echo, round: 0, stamp: -1 }
      node.hear({ type: 'append-ack', epoch, feed, next, durable: next, ...marks })
    }
    ack()
    node.step({ kind: 'admin', command: 'handover', group: 0, peer: 'b' })
    ack()
    expect(node.last('handover')).toMatchObject({ epoch, next: node.log.next })
  })
})
