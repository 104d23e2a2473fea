/** Several groups on one engine: each with a log, a store and a standing of its own. */
import { afterEach, describe, expect, it } from 'vitest'
import { Calls } from '../src/client/calls.js'
import type { Proposal, Standing, StrategyFactory } from '../src/contracts/strategy.js'
import type { GroupId } from '../src/contracts/types.js'
import { groupOfKey } from '../src/core/key-groups.js'
import { LOCAL_PEER } from '../src/engine/rights.js'
import { Writer } from '../src/wire/bytes.js'
import { OP, writeSet } from '../src/wire/command.js'
import { encodeControl } from '../src/wire/control.js'
import { EVENT_KINDS, FRAME } from '../src/wire/requests.js'
import { EngineCluster } from './harness/engine-cluster.js'
import { keyedGroups } from './harness/keyed-groups.js'
import {
  type Ask,
  frameOf,
  get,
  open,
  plain,
  type Reply,
  repliesOf,
  set,
} from './harness/master.js'

/** A cluster does not look into messages. */
const STRATEGY = keyedGroups as unknown as StrategyFactory<never>

const clusters: EngineCluster[] = []

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.close()
})

async function start(...ids: string[]): Promise<EngineCluster> {
  const cluster = new EngineCluster(['a', 'b', 'c'], 1, STRATEGY)
  clusters.push(cluster)
  for (const id of ids) await cluster.start(id)
  await cluster.pass(500)
  return cluster
}

/** A set of `key` in `group` that nobody waits for. */
function setOf(group: GroupId, key: string, value = 'v', cache = 'cache'): Proposal {
  const out = new Writer(256)
  writeSet(out, cache, key, Buffer.from(value), {})
  const bytes = out.copy()
  const nobody = { id: -1, ack: 'all', client: null, seq: 0 } as const
  return { ...nobody, group, key, bytes, start: 0, end: bytes.length }
}

function propose(cluster: EngineCluster, node: string, ...proposals: Proposal[]): void {
  cluster.engines.get(node)?.feed({ kind: 'propose', proposals })
}

function hostOf(cluster: EngineCluster, node: string, group: GroupId) {
  const host = cluster.hosts.get(node)?.get(group)
  if (host === undefined) throw new Error(`${node} has no group ${group}`)
  return host
}

describe('an engine with several groups', () => {
  it('keeps a log and a store for each, and applies to each what its own entries say', async () => {
    const cluster = await start('a', 'b', 'c')
    propose(cluster, 'a', setOf(1, 'x'), setOf(1, 'y'))
    propose(cluster, 'b', setOf(2, 'x', 'other'))
    await cluster.pass(500)
    for (const node of ['a', 'b', 'c']) {
      expect(hostOf(cluster, node, 0).log.next).toBe(1)
      expect(hostOf(cluster, node, 1).log.next).toBe(3)
      expect(hostOf(cluster, node, 2).log.next).toBe(2)
      expect(hostOf(cluster, node, 1).store.peek('cache', 'x')?.value).toBe('v')
      expect(hostOf(cluster, node, 2).store.peek('cache', 'x')?.value).toBe('other')
      expect(hostOf(cluster, node, 2).store.peek('cache', 'y')).toBeUndefined()
      for (const group of [1, 2])
        expect(hostOf(cluster, node, group).store.digest()).toBe(
          hostOf(cluster, 'a', group).store.digest(),
        )
    }
  })

  it('copies one group to a node that comes later, and not the other', async () => {
    const cluster = await start('a', 'b')
    for (let i = 0; i < 200; i++) propose(cluster, 'a', setOf(1, `key ${i}`, 'v'.repeat(100)))
    await cluster.start('c')
    await cluster.pass(1_000)
    const { store, log } = hostOf(cluster, 'c', 1)
    expect(store.digest()).toBe(hostOf(cluster, 'a', 1).store.digest())
    expect(store.stats().entries).toBe(200)
    expect([log.first, log.next, store.applied]).toEqual([201, 201, 201])
    expect(hostOf(cluster, 'c', 2).store.applied).toBe(1)
    propose(cluster, 'a', setOf(1, 'after'))
    await cluster.pass(500)
    expect(store.peek('cache', 'after')?.version).toBe(201)
  })

  it('tells the standing of each group, and that of group 0 alone as its own', async () => {
    const cluster = await start()
    const told: [GroupId, Standing][] = []
    const own: Standing[] = []
    const engine = await cluster.start('b')
    engine.events.on('group-standing', (group, standing) => told.push([group, standing]))
    engine.events.on('standing', standing => own.push(standing))
    await cluster.start('a')
    await cluster.pass(500)
    engine.feed({ kind: 'admin', command: 'handover', group: 2, peer: 'a' })
    expect(told.map(([group, { role, master }]) => [group, role, master])).toEqual([
      [2, 'slave', 'a'],
    ])
    expect(own).toEqual([])
    expect(engine.standing).toMatchObject({ role: 'slave', master: 'a' })
  })

  it('frees a group that is dropped, and begins it anew, empty, if it is used again', async () => {
    const cluster = await start('a', 'b', 'c')
    propose(cluster, 'a', setOf(1, 'x'))
    await cluster.pass(500)
    const before = hostOf(cluster, 'c', 1)
    const c = cluster.engines.get('c')
    c?.feed({ kind: 'admin', command: 'leave', group: 1 })
    propose(cluster, 'a', setOf(1, 'y'))
    await cluster.pass(500)
    expect(hostOf(cluster, 'c', 1)).toBe(before)
    expect(before.store.applied).toBe(2)
    expect(hostOf(cluster, 'a', 1).store.applied).toBe(3)
    c?.feed({ kind: 'admin', command: 'join', group: 1 })
    expect(hostOf(cluster, 'c', 1)).not.toBe(before)
    await cluster.pass(500)
    const { store } = hostOf(cluster, 'c', 1)
    expect(store.digest()).toBe(hostOf(cluster, 'a', 1).store.digest())
    expect(store.peek('cache', 'y')?.version).toBe(2)
  })
})

/** Asks `node` in process, of a group or of none, and returns what it answers within 500 ms. */
async function ask(
  cluster: EngineCluster,
  node: string,
  asks: readonly Ask[],
  group?: GroupId,
  table = 1,
): Promise<Reply[]> {
  const { replies, take } = taker()
  const to = group === undefined ? undefined : { group, table }
  cluster.engines.get(node)?.request(frameOf(asks, undefined, 1, to), take)
  await cluster.pass(500)
  return replies.sort((one, other) => one.id - other.id)
}

function taker() {
  const replies: Reply[] = []
  const take = (frame: Uint8Array) => replies.push(...repliesOf(Uint8Array.from(frame)))
  return { replies, take }
}

const codes = (replies: readonly Reply[]) => replies.map(reply => reply.code ?? 'done')
/** Keys of group 1 and of group 2. */
const [ODD, EVEN] = [1, 2].map(group => {
  const key = ['a', 'b'].find(name => groupOfKey(name, 2) === group)
  if (key === undefined) throw new Error(`no key of group ${group}`)
  return key
})

describe('calls that name a group', () => {
  it('are answered by its master, with versions and copies of its own log', async () => {
    const cluster = await start('a', 'b', 'c')
    const odd = await ask(cluster, 'a', [open, set(ODD, 'odd'), set(ODD, 'odd 2')], 1)
    expect(odd).toMatchObject([
      { group: 1, copies: 3 },
      { group: 1, copies: 3, version: 2 },
      { group: 1, copies: 3, version: 3 },
    ])
    const even = await ask(cluster, 'b', [open, set(EVEN, 'even')], 2)
    expect(even).toMatchObject([
      { group: 2, copies: 3 },
      { group: 2, version: 2, copies: 3 },
    ])
    expect(await ask(cluster, 'a', [get(ODD), plain(OP.size)], 1)).toMatchObject([
      { group: 1, value: 'odd 2', version: 3 },
      { group: 1, number: 1 },
    ])
    expect(hostOf(cluster, 'c', 1).store.peek('c', ODD)?.value).toBe('odd 2')
    expect(hostOf(cluster, 'c', 2).store.peek('c', EVEN)?.value).toBe('even')
  })

  it('wait for the copies of their own group alone', async () => {
    const cluster = await start('a', 'b', 'c')
    cluster.engines.get('c')?.feed({ kind: 'admin', command: 'leave', group: 1 })
    await cluster.pass(100)
    const { replies, take } = taker()
    const frame = frameOf([open, set(ODD, 'v')], undefined, 1, { group: 1, table: 1 })
    cluster.engines.get('a')?.request(frame, take)
    expect(replies).toEqual([])
    await cluster.pass(100)
    expect(replies).toMatchObject([
      { id: 1, group: 1, copies: 2 },
      { id: 2, group: 1, copies: 2 },
    ])
  })

  it('are refused where the group is not led: by a copy, and by who has none', async () => {
    const cluster = await start('a', 'b', 'c')
    cluster.engines.get('c')?.feed({ kind: 'admin', command: 'leave', group: 1 })
    const asks = [set(ODD, 'v'), get(ODD), plain(OP.size)]
    for (const node of ['b', 'c']) {
      const replies = await ask(cluster, node, asks, 1)
      expect(codes(replies)).toEqual(['NOT_MASTER', 'NOT_MASTER', 'NOT_MASTER'])
      expect(replies.map(({ group, surely }) => [group, surely])).toEqual(asks.map(() => [1, true]))
      // By an older table: the newer one tells where to go.
      expect(codes(await ask(cluster, node, asks, 1, 0))).toEqual(asks.map(() => 'WRONG_EPOCH'))
    }
    expect(hostOf(cluster, 'c', 1).log.next).toBe(1)
  })

  it('are refused one by one where the key is of another group, or none is named', async () => {
    const cluster = await start('a', 'b', 'c')
    const asks = [open, set(ODD, 'v'), set(EVEN, 'v'), get(EVEN), get(ODD)]
    const wrong = 'WRONG_EPOCH'
    expect(codes(await ask(cluster, 'a', asks, 1))).toEqual(['done', 'done', wrong, wrong, 'done'])
    expect(codes(await ask(cluster, 'a', [set(ODD, 'v'), get(ODD)]))).toEqual([wrong, wrong])
    expect(hostOf(cluster, 'a', 0).log.next).toBe(1)
  })

  it('end the link of who names a group that there is not', async () => {
    const cluster = await start('a')
    await expect(ask(cluster, 'a', [get(ODD)], 3)).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' })
  })

  it('end when their group moves away, while those of other groups go on', async () => {
    const cluster = await start('a', 'b', 'c')
    const [a, b] = [cluster.engines.get('a'), cluster.engines.get('b')]
    const { replies, take } = taker()
    a?.request(frameOf([open, set(ODD, 'v')], undefined, 1, { group: 1, table: 1 }), take)
    const other = taker()
    b?.request(frameOf([open, set(EVEN, 'v')], undefined, 1, { group: 2, table: 1 }), other.take)
    a?.feed({ kind: 'admin', command: 'handover', group: 1, peer: 'b' })
    expect(codes(replies)).toEqual(['NOT_MASTER', 'NOT_MASTER'])
    expect(replies.map(({ group, surely }) => [group, surely])).toEqual([
      [1, false],
      [1, false],
    ])
    a?.feed({ kind: 'admin', command: 'leave', group: 1 })
    await cluster.pass(100)
    expect(codes(other.replies)).toEqual(['done', 'done'])
    expect(codes(await ask(cluster, 'a', [get(ODD)], 1, 1))).toEqual(['WRONG_EPOCH'])
    expect(codes(await ask(cluster, 'b', [open, set(ODD, 'w')], 1, 2))).toEqual(['done', 'done'])
  })

  it('that still wait end with NOT_MASTER when the strategy only drops their group', async () => {
    const cluster = await start('a', 'b', 'c')
    const a = cluster.engines.get('a')
    const { replies, take } = taker()
    a?.request(frameOf([open, set(ODD, 'v')], undefined, 1, { group: 1, table: 1 }), take)
    a?.feed({ kind: 'admin', command: 'demote', group: 1 })
    await cluster.pass(100)
    expect(codes(replies)).toEqual(['NOT_MASTER', 'NOT_MASTER'])
  })
})

describe('watches on a node with several groups', () => {
  it('hear what it serves, and of a gap when a group comes or goes', async () => {
    const cluster = await start('a', 'b', 'c')
    const a = cluster.engines.get('a')
    const events: string[] = []
    const watching = (frame: Uint8Array) => {
      if (frame[0] === FRAME.event) events.push(EVENT_KINDS[frame[7]])
    }
    a?.request(frameOf([get(ODD)], undefined, 1, { group: 1, table: 1 }), watching)
    a?.onFrame(LOCAL_PEER, 1, encodeControl({ type: 'watch', id: 1, cache: 'c', prefix: '' }))
    await cluster.pass(100)
    propose(cluster, 'b', setOf(2, EVEN, 'v', 'c'))
    propose(cluster, 'a', setOf(1, ODD, 'v', 'c'))
    await cluster.pass(200)
    expect(events).toEqual(['set'])
    cluster.engines.get('b')?.feed({ kind: 'admin', command: 'handover', group: 2, peer: 'a' })
    await cluster.pass(200)
    expect(events).toEqual(['set', 'gap'])
    propose(cluster, 'a', setOf(2, EVEN, 'v', 'c'))
    await cluster.pass(200)
    expect(events).toEqual(['set', 'gap', 'set'])
    a?.feed({ kind: 'admin', command: 'handover', group: 1, peer: 'c' })
    await cluster.pass(200)
    expect(events).toEqual(['set', 'gap', 'set', 'gap'])
  })
})

describe('the calls of a client for one group', () => {
  it('go to its master, and after it moved to the next one, with one effect each', async () => {
    const cluster = await start('a', 'b', 'c')
    let table = 1
    const { clock } = cluster
    const calls: Calls = new Calls({
      ...{ clock, random: cluster.random.fork(), timeoutMs: 5_000 },
      to: () => ({ group: 1, table }),
      send: (target, frame) => {
        const own = Uint8Array.from(frame)
        const answer = (reply: Uint8Array) => {
          const kept = Uint8Array.from(reply)
          clock.after(0, () => calls.onReply(target, kept))
        }
        clock.after(0, () => cluster.engines.get(target)?.request(own, answer))
        return 'sent'
      },
      flush: () => {},
      defer: task => clock.after(0, task),
    })
    calls.route('a')
    const first = await cluster.run(calls.set('c', ODD, Buffer.from('1'), { timeoutMs: 5_000 }))
    expect(first).toMatchObject({ copies: 3 })
    cluster.engines.get('a')?.feed({ kind: 'admin', command: 'handover', group: 1, peer: 'b' })
    const second = calls.set('c', ODD, Buffer.from('2'), { timeoutMs: 5_000 })
    await cluster.pass(200)
    expect(calls.pending).toBeGreaterThan(0)
    table = 2
    calls.route('b')
    expect((await cluster.run(second)).version).toBe(first.version + 1)
    const entry = await cluster.run(calls.get('c', ODD, 5_000))
    expect(Buffer.from(entry?.value ?? []).toString()).toBe('2')
    calls.close()
  })
})
