/**
 * Reads beyond the master's word: tokens, and reads that wait on a node; then through real clients
 * and engines in virtual time.
 */
import { afterEach, describe, expect, it } from 'vitest'
import type { Client } from '../src/client/connect.js'
import { LIMITS } from '../src/config.js'
import type { ReadOptions } from '../src/contracts/cache.js'
import type { Place, Standing } from '../src/contracts/strategy.js'
import type { Position } from '../src/contracts/types.js'
import { Seen } from '../src/core/positions.js'
import { seededRandom } from '../src/core/prng.js'
import { type Read, Reads } from '../src/engine/request-reads.js'
import { ReplyLink } from '../src/engine/request-replies.js'
import { answersOf } from '../src/testing/observed.js'
import { OP } from '../src/wire/command.js'
import { READ } from '../src/wire/requests.js'
import { decodeToken, encodeGroupToken, encodeToken } from '../src/wire/token.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { codeOf, rejectionOf } from './harness/codes.js'
import { EngineCluster } from './harness/engine-cluster.js'

const epochOf = (counter: number) => ({ number: counter * 256, incarnation: 'a'.repeat(16) })
const [first, second, third] = [epochOf(1), epochOf(2), epochOf(3)]

describe('a token', () => {
  const positions = [
    { epoch: second, offset: 300 },
    { epoch: first, offset: 7 },
  ]

  it('comes back as it was, whether of nothing, one position or many', () => {
    for (let n = 0; n <= 2; n++) {
      const token = encodeToken('shop', positions.slice(0, n))
      expect(token).toMatch(/^[\w-]+$/)
      expect(token.length).toBe(8 + 32 * n)
      expect(decodeToken('shop', token)).toEqual(positions.slice(0, n))
    }
  })

  it('cut anywhere, changed, too long or of another cluster is refused as CONFIG', () => {
    const token = encodeToken('shop', positions)
    for (let end = 0; end < token.length; end++)
      expect(codeOf(() => decodeToken('shop', token.slice(0, end)))).toBe('CONFIG')
    const random = seededRandom(3)
    for (let i = 0; i < 200; i++) {
      const at = random.below(token.length)
      const other = token[at] === 'A' ? 'B' : 'A'
      const bad = token.slice(0, at) + other + token.slice(at + 1)
      expect(codeOf(() => decodeToken('shop', bad))).toBe('CONFIG')
    }
    expect(codeOf(() => decodeToken('market', token))).toBe('CONFIG')
    expect(codeOf(() => decodeToken('shop', token.repeat(20)))).toBe('CONFIG')
    expect(codeOf(() => decodeToken('shop', 7 as never))).toBe('CONFIG')
    const more = new Array(LIMITS.positionsMax + 1).fill(positions[0])
    expect(codeOf(() => decodeToken('shop', encodeToken('shop', more)))).toBe('CONFIG')
  })

  it('of several groups says of each what is its own, and one of before speaks of group 0', () => {
    const token = encodeGroupToken('shop', [
      [1, positions],
      [2, []],
      [258, positions.slice(1)],
    ])
    expect(decodeToken('shop', token, 1)).toEqual(positions)
    expect(decodeToken('shop', token, 258)).toEqual(positions.slice(1))
    for (const group of [0, 2, 3]) expect(decodeToken('shop', token, group)).toEqual([])
    expect(decodeToken('shop', encodeToken('shop', positions), 0)).toEqual(positions)
    expect(decodeToken('shop', encodeToken('shop', positions), 1)).toEqual([])
    for (let end = 0; end < token.length; end++)
      expect(codeOf(() => decodeToken('shop', token.slice(0, end), 1))).toBe('CONFIG')
  })

  it('keeps the highest offset of each of the newest epochs, against a naive model', () => {
    const random = seededRandom(5)
    const seen = new Seen()
    const model = new Map<number, number>()
    for (let i = 0; i < 5_000; i++) {
      const counter = 1 + random.below(LIMITS.positionsMax * 1.5)
      const offset = 1 + random.below(50)
      seen.note(epochOf(counter), offset)
      model.set(counter, Math.max(offset, model.get(counter) ?? 0))
      const newest = [...model].sort((a, b) => b[0] - a[0]).slice(0, LIMITS.positionsMax)
      for (const counter of model.keys())
        if (!newest.some(([kept]) => kept === counter)) model.delete(counter)
      expect(seen.positions.map(p => [p.epoch.number / 256, p.offset])).toEqual(newest)
    }
  })

  it('needs one position again once a log was met that holds them all', () => {
    const seen = new Seen()
    seen.note(first, 7)
    seen.note(second, 5)
    const sent = seen.positions
    expect(sent.length).toBe(2)
    seen.note(third, 1)
    seen.replace(sent, second, 9)
    expect(seen.positions).toEqual([
      { epoch: third, offset: 1 },
      { epoch: second, offset: 9 },
    ])
  })
})

/** The parking place of reads; store, strategy and clock are played by the test. */
class Desk {
  now = 0
  applied = 1
  freshAt = 0
  standing: Standing = { role: 'slave', epoch: first, master: 'b', serving: false }
  readonly places = new Map<number, Place>()
  readonly asked: [id: number, key: string][] = []
  readonly ended: [call: number, end: string][] = []
  readonly reads: Reads
  /** As onPark() and settle() tell it: settle() is due. */
  #due = false
  /** As took() and gave() tell it. */
  heldBytes = 0
  #calls = 0
  #lastId = -1

  constructor(keyed = false) {
    this.reads = new Reads({
      now: () => this.now,
      standing: () => this.standing,
      applied: () => this.applied,
      freshness: () => this.freshAt,
      place: position => this.places.get(position.epoch.number) ?? 'here',
      takeId: () => --this.#lastId,
      read: (id, key) => void this.asked.push([id, key]),
      onPark: () => {
        this.#due = true
      },
      keyed,
      took: (_link, bytes) => {
        this.heldBytes += bytes
      },
      gave: (_link, bytes) => {
        this.heldBytes -= bytes
      },
      answer: ({ call }) => void this.ended.push([call, 'answered']),
      refuse: ({ call }, code, seenLost) =>
        void this.ended.push([call, seenLost ? `${code} seen` : code]),
    })
  }

  /** After a step, as OpenCalls does it. */
  settle(): void {
    if (!this.#due) return
    this.reads.settle()
    this.#due = this.reads.parks
  }

  serve(): this {
    this.standing = { role: 'master', epoch: first, master: 'a', serving: true }
    return this
  }

  ask(mode: number, seen: Position[] = [], link = LINK, key = 'k', after: Position[] = []): number {
    const call = ++this.#calls
    const how = { mode, maxStaleMs: 500, after, seen }
    const read: Read = { link, call, op: OP.get, cache: 'c', key, cursor: 0, limit: 0, how }
    this.reads.ask(read)
    return call
  }

  /** Time passes, and a step ends. */
  pass(ms: number): void {
    this.now += ms
    this.freshAt += ms
    this.settle()
  }
}

const LINK = new ReplyLink('~c', 1)
const at = (offset: number, epoch = first): Position => ({ epoch, offset })

describe('a read that asks for more', () => {
  it('is answered by a slave as soon as the entry of its token is applied', () => {
    const desk = new Desk()
    desk.ask(READ.local, [at(5)])
    desk.pass(25)
    expect(desk.ended).toEqual([])
    desk.applied = 6
    desk.settle()
    expect(desk.ended).toEqual([[1, 'answered']])
    expect(desk.reads.waiting + desk.reads.waitingBytes).toBe(0)
  })

  it('goes to the master after 50 ms, and at once where the slave knows another past', () => {
    const desk = new Desk()
    desk.ask(READ.local, [at(5)])
    desk.pass(49)
    expect(desk.ended).toEqual([])
    desk.pass(1)
    desk.places.set(first.number, 'lost')
    desk.ask(READ.local, [at(5)])
    expect(desk.ended).toEqual([
      [1, 'NOT_MASTER'],
      [2, 'NOT_MASTER'],
    ])
  })

  it('is TOO_STALE on a slave beyond its bound, while it waits as well', () => {
    const desk = new Desk()
    desk.now = 500
    desk.ask(READ.local)
    desk.ask(READ.local, [at(5)])
    desk.now = 501
    desk.settle()
    desk.ask(READ.local)
    expect(desk.ended).toEqual([
      [1, 'answered'],
      [2, 'TOO_STALE'],
      [3, 'TOO_STALE'],
    ])
  })

  it('is DIVERGED on a master that knows better, and says whose token it was', () => {
    const desk = new Desk().serve()
    desk.applied = 9
    desk.places.set(second.number, 'lost')
    desk.ask(READ.master, [at(5, second)])
    desk.ask(READ.master, [at(5)], LINK, 'k', [at(5, second)])
    desk.ask(READ.master, [at(5)])
    expect(desk.ended).toEqual([
      [1, 'DIVERGED seen'],
      [2, 'DIVERGED'],
      [3, 'answered'],
    ])
  })

  it('waits a second on a master of a lower epoch, which may be deposed', () => {
    const desk = new Desk().serve()
    desk.places.set(second.number, 'ahead')
    desk.ask(READ.master, [at(5, second)])
    desk.pass(900)
    const deposed = desk.ask(READ.master, [at(5, second)])
    desk.pass(100)
    expect(desk.ended).toEqual([[1, 'DIVERGED seen']])
    desk.standing = { role: 'slave', epoch: second, master: 'b', serving: false }
    desk.settle()
    expect(desk.ended.at(-1)).toEqual([deposed, 'NOT_MASTER'])
  })

  it('hears why a master does not serve: of a lost partition nobody should ask again', () => {
    const desk = new Desk()
    const silent = { role: 'master', epoch: second, master: 'a', serving: false } as const
    for (const why of [undefined, 'PARTITION_LOST']) {
      desk.standing = why === undefined ? silent : { ...silent, why }
      const [token, strict] = [desk.ask(READ.master, [at(5)]), desk.ask(READ.linearizable)]
      const code = why ?? 'NOT_READY'
      expect(desk.ended.splice(0)).toEqual([
        [token, code],
        [strict, code],
      ])
    }
  })

  it('for a majority becomes one question a frame, or one a key for a keyed strategy', () => {
    for (const keyed of [false, true]) {
      const desk = new Desk(keyed).serve()
      desk.ask(READ.linearizable, [], LINK, 'x')
      desk.ask(READ.linearizable, [], LINK, 'y')
      expect(desk.asked).toEqual([])
      desk.reads.flush()
      expect(desk.asked.map(([, key]) => key)).toEqual(keyed ? ['x', 'y'] : [''])
      const [[id]] = desk.asked
      expect(desk.reads.isRead(id)).toBe(true)
      desk.applied = 6
      desk.reads.serve(id, 7)
      expect(desk.ended).toEqual([])
      desk.applied = 7
      desk.settle()
      expect(desk.ended.length).toBe(keyed ? 1 : 2)
      desk.reads.reject(desk.asked.at(-1)?.[0] ?? 0, 'NO_MAJORITY')
      expect(desk.ended.length).toBe(2)
    }
  })

  it('is BUSY beyond the bound, and forgotten with its link', () => {
    const desk = new Desk().serve()
    const other = new ReplyLink('~d', 1)
    for (let i = 0; i < LIMITS.parkedReadsMax; i++)
      desk.ask(i % 2 === 0 ? READ.linearizable : READ.master, i % 2 === 0 ? [] : [at(9)], other)
    expect(desk.reads.waiting).toBe(LIMITS.parkedReadsMax)
    expect(desk.reads.waitingBytes).toBeLessThanOrEqual(LIMITS.parkedReadsBytesMax)
    desk.ask(READ.linearizable)
    expect(desk.ended).toEqual([[LIMITS.parkedReadsMax + 1, 'BUSY']])
    desk.reads.flush()
    desk.reads.onLinkDown('~d', 2)
    expect(desk.reads.waiting).toBe(LIMITS.parkedReadsMax)
    desk.reads.onLinkDown('~d', 1)
    expect(desk.reads.waiting + desk.reads.waitingBytes).toBe(0)
    desk.reads.serve(desk.asked[0][0], 1)
    expect(desk.ended.length).toBe(1)
  })
})

describe('clients', () => {
  let cluster: EngineCluster

  afterEach(async () => {
    await cluster.close()
  })

  async function begin(ids: string[]): Promise<Client> {
    cluster = new EngineCluster(ids)
    await cluster.startAll()
    const client = await cluster.connect()
    await cluster.pass(1_000)
    return client
  }

  const read = (client: Client, key: string, options?: ReadOptions) =>
    cluster.run(client.cache<string>('c').get(key, options))

  const failure = async (promise: Promise<unknown>) =>
    (await rejectionOf(cluster.run(promise))) ?? 'none'

  it('read from a slave while there is no master, then are told TOO_STALE', async () => {
    const client = await begin(['a', 'b', 'c'])
    const cache = client.cache<string>('c')
    await cluster.run(cache.set('k', 'v', { ack: 'all' }))
    await cluster.pass(300)
    for (const id of ['a', 'b']) {
      cluster.network.blackout(id)
      cluster.engines.get(id)?.stop()
      cluster.engines.delete(id)
    }
    const local = { read: 'local', maxStaleMs: 2_000, timeoutMs: 600 } as const
    // The first one may have gone to b, which says nothing; from then on c is asked.
    await failure(cache.get('k', local))
    expect(await read(client, 'k', local)).toBe('v')
    expect(await failure(cache.get('k', { timeoutMs: 300 }))).toBe('TIMEOUT')
    await cluster.pass(2_000)
    expect(await failure(cache.get('k', local))).toBe('TOO_STALE')
    expect(await read(client, 'k', { ...local, maxStaleMs: 60_000 })).toBe('v')
  })

  it('read their own writes from a slave that lags: the master answers instead', async () => {
    const client = await begin(['a', 'b'])
    const cache = client.cache<string>('c')
    await cluster.run(cache.set('k', 'old', { ack: 'all' }))
    expect(await read(client, 'k', { read: 'local' })).toBe('old')
    cluster.network.clog('a', 'b', 400)
    await cluster.run(cache.set('k', 'new', { ack: 'master' }))
    const before = cluster.clock.now()
    expect(await read(client, 'k', { read: 'local' })).toBe('new')
    expect(cluster.clock.now() - before).toBeLessThan(200)
  })

  it('get what a slave has, and with a token what that names', async () => {
    const client = await begin(['a', 'b'])
    const other = await cluster.connect()
    await cluster.pass(500)
    const cache = client.cache<string>('c')
    await cluster.run(cache.set('k', 'old', { ack: 'all' }))
    cluster.network.clog('a', 'b', 400)
    await cluster.run(cache.set('k', 'new', { ack: 'master' }))
    expect(await read(other, 'k', { read: 'local' })).toBe('old')
    const after = client.token()
    expect(await read(other, 'k', { read: 'local', after })).toBe('new')
    expect(await read(other, 'k', { read: 'local' })).toBe('new')
    const all = { read: 'local', after } as const
    const many = cluster.run(other.cache('c').getMany(['k', 'none'], all))
    expect(await many).toEqual(['new', undefined])
    expect(await cluster.run(other.cache('c').has('k', all))).toBe(true)
    expect(await cluster.run(other.cache('c').size(all))).toBe(1)
  })

  it('are told DIVERGED once when what they wrote was lost', async () => {
    const client = await begin(['a', 'b', 'c'])
    const other = await cluster.connect()
    const cache = client.cache<string>('c')
    await cluster.run(cache.set('k', 'kept', { ack: 'all' }))
    for (const id of ['b', 'c']) cluster.network.cut('a', id)
    await cluster.run(cache.set('k', 'lost', { ack: 'master' }))
    const token = client.token()
    await cluster.until(() => (cluster.master() ?? 'a') !== 'a' || client.master === 'b')
    await cluster.until(() => client.master === 'b' && other.master === 'b')
    expect(await failure(cache.get('k', { read: 'local' }))).toBe('DIVERGED')
    expect(await read(client, 'k', { read: 'local' })).toBe('kept')
    const given = { after: token }
    expect(await failure(other.cache('c').get('k', given))).toBe('DIVERGED')
    expect(await failure(other.cache('c').get('k', given))).toBe('DIVERGED')
    expect(await read(other, 'k', { read: 'local' })).toBe('kept')
    cluster.network.mendAll()
  })

  it('scan a slave page by page, and begin again at the master when it is gone', async () => {
    const client = await begin(['a', 'b'])
    const cache = client.cache<string>('c')
    const pairs = Array.from({ length: 60 }, (_, i) => [`k${i}`, 'v'] as const)
    await cluster.run(cache.setMany(pairs, { ack: 'all' }))
    const collect = async (onKey?: (n: number) => void) => {
      const keys: string[] = []
      for await (const key of cache.keys({ read: 'local', pageSize: 10 })) {
        keys.push(key)
        onKey?.(keys.length)
      }
      return keys
    }
    expect(new Set(await cluster.run(collect())).size).toBe(60)
    const keys = await cluster.run(
      collect(n => {
        if (n === 15) cluster.crash('b')
      }),
    )
    expect(new Set(keys).size).toBe(60)
  })

  it('read linearizably where the strategy vouches, a turn by one question', async () => {
    const asked: number[] = []
    cluster = new EngineCluster(['a', 'b'], 1, env => {
      const inner = masterSlave()(env)
      const held: number[] = []
      return {
        ...{ name: inner.name, codec: inner.codec, keyed: false, defaultAck: inner.defaultAck },
        time: group => inner.time(group),
        ...answersOf(inner),
        status: () => inner.status(),
        step(input, effects) {
          if (input.kind === 'read') held.push(input.id)
          else inner.step(input, effects)
          if (input.kind !== 'tick') return
          for (const id of held.splice(0)) {
            asked.push(id)
            if (asked.length < 3) effects.serve(id, 0, env.log(0).next)
            else effects.reject(id, 'NO_MAJORITY', true)
          }
        },
      }
    })
    await cluster.startAll()
    const client = await cluster.connect()
    const cache = client.cache<string>('c')
    await cluster.run(cache.set('k', 'v'))
    const strict = { read: 'linearizable' } as const
    expect(await read(client, 'k', strict)).toBe('v')
    const many = cluster.run(cache.getMany(['k', 'none', 'k'], strict))
    expect(await many).toEqual(['v', undefined, 'v'])
    expect(asked.length).toBe(2)
    expect(await failure(cache.has('k', strict))).toBe('NO_MAJORITY')
  })

  it('hear at once what cannot be asked', async () => {
    const client = await begin(['a'])
    const cache = client.cache<string>('c')
    await cluster.run(cache.set('k', 'v'))
    expect(await failure(cache.get('k', { read: 'linearizable' }))).toBe('READ_MODE')
    expect(await failure(cache.get('k', { read: 'near' as never }))).toBe('CONFIG')
    expect(await failure(cache.get('k', { maxStaleMs: 5 }))).toBe('CONFIG')
    expect(await failure(cache.has('k', { read: 'local', maxStaleMs: 0 }))).toBe('LIMIT')
    expect(await failure(cache.getEntry('k', { read: 'local', maxStaleMs: 1.5 }))).toBe('CONFIG')
    expect(await failure(cache.size({ after: 'nonsense' }))).toBe('CONFIG')
    const scan = cache.keys({ read: 'linearizable' as never }).next()
    expect(await failure(scan)).toBe('CONFIG')
    expect(await read(client, 'k', { read: 'local', after: client.token() })).toBe('v')
    const fresh = await cluster.connect()
    expect(await read(client, 'k', { after: fresh.token() })).toBe('v')
  })
})
