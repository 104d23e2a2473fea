import { describe, expect, it } from 'vitest'
import { Calls } from '../src/client/calls.js'
import type { Ack } from '../src/contracts/types.js'
import { type SeededRandom, seededRandom } from '../src/core/prng.js'
import type { GcacheError } from '../src/errors.js'
import { World } from './harness/request-world.js'

const text = (value: Uint8Array | undefined) =>
  value === undefined ? undefined : Buffer.from(value).toString()
const bytes = (value: string) => Buffer.from(value)

function served(options: ConstructorParameters<typeof World>[0] = {}): World {
  const world = new World(options)
  world.promote('a')
  world.calls.route('a')
  return world
}

async function failure(promise: Promise<unknown>): Promise<GcacheError> {
  return promise.then(
    value => {
      throw new Error(`resolved with ${JSON.stringify(value)}`)
    },
    error => error as GcacheError,
  )
}

describe('calls', () => {
  it('set, get, touch and delete a record', async () => {
    const world = served()
    const { calls } = world
    const receipt = await world.run(calls.set('c', 'k', bytes('v'), { ttlMs: 1_000 }))
    expect(receipt).toMatchObject({ copies: 2, epoch: 512 })
    expect(receipt.version).toBe(receipt.offset)
    const entry = await world.run(calls.get('c', 'k', 1_000))
    expect(text(entry?.value)).toBe('v')
    expect(entry?.version).toBe(receipt.version)
    expect(entry?.expiresAt).toBeGreaterThan(world.clock.wall())
    expect(await world.run(calls.has('c', 'k', 1_000))).toBe(true)
    expect(await world.run(calls.size('c', 1_000))).toBe(1)
    await world.run(calls.touch('c', 'k', { ttlMs: 5_000 }))
    await world.run(calls.delete('c', 'k', {}))
    expect(await world.run(calls.get('c', 'k', 1_000))).toBeUndefined()
    const missing = await world.run(failure(calls.delete('c', 'k', {})))
    expect(missing).toMatchObject({ code: 'NOT_FOUND', outcome: 'rejected' })
  })

  it('leave as frames of 25, and the rest at the end of the turn', async () => {
    const world = served()
    const gets = Array.from({ length: 60 }, (_, i) => world.calls.get('c', `k${i}`, 1_000))
    expect(world.sentFrames).toBe(2)
    await world.run(Promise.all(gets))
    expect(world.sentFrames).toBe(3)
    expect(world.clientFlushes).toBe(3)
  })

  it('wait for a route, and keep their order when it comes', async () => {
    const world = new World()
    world.promote('a')
    const writes = ['1', '2', '3'].map(value => world.calls.set('c', 'k', bytes(value), {}))
    const read = world.calls.get('c', 'k', 1_000)
    await world.pass(100)
    expect(world.sentFrames).toBe(0)
    world.calls.route('a')
    const versions = (await world.run(Promise.all(writes))).map(receipt => receipt.version)
    expect(versions).toEqual([...versions].sort((a, b) => a - b))
    expect(text((await world.run(read))?.value)).toBe('3')
  })

  it('that nobody answers end with TIMEOUT before their deadline', async () => {
    const world = new World()
    const before = world.clock.now()
    const unsent = await world.run(
      failure(world.calls.set('c', 'k', bytes('v'), { timeoutMs: 200 })),
    )
    expect(unsent).toMatchObject({ code: 'TIMEOUT', outcome: 'rejected' })
    expect(world.clock.now() - before).toBeLessThanOrEqual(200)
    // The node never serves: what was sent may have been executed.
    world.node().requests.onFrame = () => undefined
    world.calls.route('a')
    const sent = world.calls.set('c', 'k', bytes('v'), { timeoutMs: 200 })
    const read = failure(world.calls.get('c', 'k', 30))
    expect(await world.run(failure(sent))).toMatchObject({ code: 'TIMEOUT', outcome: 'unknown' })
    const timedOut = await read
    expect(timedOut.code).toBe('TIMEOUT')
    expect(timedOut.outcome).toBeUndefined()
    expect(world.silences.at(-1)).toBeGreaterThan(100)
    // What opened the window gives up as well.
    await world.pass(5_000)
    expect(world.calls.pending).toBe(0)
  })

  it('whose answers wait behind a blocked event loop are not timed out', async () => {
    // The loop stands still from here: what is due meanwhile runs late, timers first.
    let now = 0
    let sweep: () => void = () => undefined
    const calls = new Calls({
      clock: {
        now: () => now,
        wall: () => 0,
        after: (_delayMs, task) => {
          sweep = task
          return { cancel: () => undefined }
        },
      },
      random: { next: () => 0.5 },
      timeoutMs: 500,
      send: () => 'sent',
      flush: () => undefined,
      defer: task => task(),
    })
    calls.route('a')
    const late = calls.get('c', 'k', 500)
    now = 2_000
    sweep()
    expect(calls.pending).toBe(1)
    // From a log without entries, which ends at 1.
    const applied = [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]
    calls.onReply('a', Uint8Array.of(2, ...new Array(24).fill(0), ...applied, 1, 0, 1, 0, 0, 0, 2))
    expect(await late).toBeUndefined()
    const never = failure(calls.get('c', 'k', 500))
    now = 4_000
    sweep()
    sweep()
    expect((await never).code).toBe('TIMEOUT')
  })

  it('a write sent twice has one effect, and its receipt is that of the first', async () => {
    const world = served({ nodes: ['a', 'b'] })
    await world.run(world.calls.set('c', 'k', bytes('0'), {}))
    const lost = world.node('a').requests
    const write = world.calls.set('c', 'k', bytes('1'), { ifAbsent: false })
    const fresh = world.calls.set('c', 'new', bytes('1'), { ifAbsent: true })
    // Executed by a, whose replies get lost.
    await world.pass(1)
    expect(
      text((await world.run(world.calls.get('c', 'k', 1_000).catch(() => undefined)))?.value),
    ).toBe('1')
    expect(lost.waiting).toBe(0)
    await world.run(Promise.all([write, fresh]))
    const again = world.calls.set('c', 'other', bytes('1'), { ifAbsent: true })
    await world.pass(1.5)
    world.cut('a')
    world.promote('b')
    world.calls.route('b')
    const receipt = await world.run(again)
    const entry = await world.run(world.calls.get('c', 'other', 1_000))
    expect(entry?.version).toBe(receipt.version)
  })

  it('of a deposed master are asked again at the next one', async () => {
    const world = served({ nodes: ['a', 'b'] })
    await world.run(world.calls.set('c', 'k', bytes('0'), {}))
    world.promote('b')
    const write = world.calls.set('c', 'k', bytes('1'), {})
    const read = world.calls.get('c', 'k', 1_000)
    await world.pass(10)
    world.calls.route('b')
    await world.run(write)
    expect(text((await world.run(read))?.value)).toBe('1')
  })

  it('pause on NOT_READY and go on by themselves', async () => {
    const world = served()
    world.node().standing = { ...world.node().standing, serving: false }
    const write = world.calls.set('c', 'k', bytes('1'), {})
    await world.pass(200)
    world.promote('a')
    const started = world.clock.now()
    await world.run(write)
    expect(world.clock.now() - started).toBeLessThan(60)
  })

  it('that every master surely refused end as rejected', async () => {
    const world = served()
    world.node().standing = { ...world.node().standing, role: 'slave' }
    const write = world.calls.set('c', 'k', bytes('1'), { timeoutMs: 300 })
    const error = await world.run(failure(write))
    expect(error).toMatchObject({ code: 'TIMEOUT', outcome: 'rejected' })
    expect(error.message).toContain('NOT_MASTER')
  })

  it('believe only the node that they were sent to last', async () => {
    const world = served({ nodes: ['a', 'b'] })
    await world.run(world.calls.set('c', 'k', bytes('1'), {}))
    const replies: Uint8Array[] = []
    world.node('a').sendToClient = (_peer, frame) => {
      replies.push(Uint8Array.prototype.slice.call(frame))
      return 'sent'
    }
    world.node('b').onFrame = () => undefined
    const read = failure(world.calls.get('c', 'k', 100))
    await world.pass(5)
    world.promote('b')
    world.calls.route('b')
    expect(replies).toHaveLength(1)
    world.calls.onReply('a', replies[0])
    expect((await world.run(read)).code).toBe('TIMEOUT')
  })

  it('under an expired window are sent once more if they surely did nothing', async () => {
    const world = served()
    await world.run(world.calls.set('c', 'k', bytes('0'), {}))
    // All other windows push the client's one out of the table.
    expireWindows(world)
    const receipt = await world.run(world.calls.set('c', 'k', bytes('1'), {}))
    expect(receipt.version).toBeGreaterThan(0)
    expect(text((await world.run(world.calls.get('c', 'k', 1_000)))?.value)).toBe('1')
  })

  it('under an expired window end as unknown if they were sent before', async () => {
    const world = served()
    await world.run(world.calls.set('c', 'k', bytes('0'), {}))
    const write = world.calls.set('c', 'k', bytes('1'), { timeoutMs: 60 * 60_000 })
    await world.pass(0.5)
    world.cut('a')
    expireWindows(world)
    world.calls.route('a')
    const error = await world.run(failure(write))
    expect(error).toMatchObject({ code: 'CLIENT_EXPIRED', outcome: 'unknown' })
  })

  it('that ask for fewer copies than the default open their window by as many', async () => {
    const refused = new Set<Ack>(['insync'])
    const world = served({ refused })
    const set = (value: string, ack?: Ack) =>
      world.calls.set('c', 'k', bytes(value), ack === undefined ? {} : { ack })
    const before = world.store.applied
    const [weak, plain] = await world.run(
      Promise.all([set('1', 'master'), failure(set('2')), set('3', 'master')]),
    )
    expect(weak.version).toBeGreaterThan(0)
    expect(plain).toMatchObject({ code: 'NOT_ENOUGH_COPIES', outcome: 'rejected' })
    // Two that came before their window, the window, and the two again.
    expect(world.store.applied - before).toBe(5)
    expect((await world.run(failure(set('4')))).code).toBe('NOT_ENOUGH_COPIES')
    refused.clear()
    expect((await world.run(set('5'))).version).toBeGreaterThan(0)
    expect(text((await world.run(world.calls.get('c', 'k', 1_000)))?.value)).toBe('5')
  })

  it('beyond 1,024 unanswered writes wait for the window', async () => {
    const world = served({ settleMs: () => 5 })
    const writes = Array.from({ length: 3_000 }, (_, i) =>
      world.calls.set('c', `k${i}`, bytes(`${i}`), {}),
    )
    await world.pass(2)
    expect(world.node().requests.waiting).toBeLessThanOrEqual(1_024)
    const receipts = await world.run(Promise.all(writes))
    expect(new Set(receipts.map(receipt => receipt.offset)).size).toBe(3_000)
  })

  it('end with BUSY when too many or too large ones wait', async () => {
    const world = new World()
    const reads = Array.from({ length: 65_536 }, () => failure(world.calls.get('c', 'k', 100)))
    expect(await failure(world.calls.get('c', 'k', 100))).toMatchObject({ code: 'BUSY' })
    await world.run(Promise.all(reads))
    const value = Buffer.alloc(2 ** 20)
    const writes = Array.from({ length: 33 }, () =>
      world.calls.set('c', 'k', value, { timeoutMs: 50 }),
    )
    expect(await failure(writes[32])).toMatchObject({ code: 'BUSY', outcome: 'rejected' })
    const errors = await world.run(Promise.all(writes.map(failure)))
    expect(errors.slice(0, 32).every(error => error.code === 'TIMEOUT')).toBe(true)
    expect(await failure(world.calls.set('c', 'k', Buffer.alloc(2 ** 20 + 1), {}))).toMatchObject({
      code: 'LIMIT',
      outcome: 'rejected',
    })
  })

  it('stop while the link is congested, and go on when it is writable', async () => {
    const world = served()
    world.answers.set('a', 'congested')
    const first = world.calls.get('c', 'k', 1_000)
    await world.pass(10)
    const second = world.calls.get('c', 'k', 1_000)
    await world.run(first)
    expect(world.sentFrames).toBe(1)
    world.answers.delete('a')
    world.calls.onWritable('a')
    await world.run(second)
    expect(world.sentFrames).toBe(2)
  })

  it('of a dropped frame were surely not sent, and are sent again', async () => {
    const world = served()
    world.answers.set('a', 'dropped')
    const write = world.calls.set('c', 'k', bytes('1'), { timeoutMs: 300 })
    const error = await world.run(failure(write))
    expect(error).toMatchObject({ code: 'TIMEOUT', outcome: 'rejected' })
    const later = world.calls.set('c', 'k', bytes('1'), { timeoutMs: 300 })
    await world.pass(50)
    world.answers.delete('a')
    expect((await world.run(later)).version).toBeGreaterThan(0)
  })

  it('end with CLOSED when the client closes, and afterwards', async () => {
    const world = served()
    const write = failure(world.calls.set('c', 'k', bytes('1'), {}))
    await world.pass(0.5)
    const read = failure(world.calls.get('c', 'k', 1_000))
    world.calls.close()
    expect(await write).toMatchObject({ code: 'CLOSED', outcome: 'unknown' })
    expect((await read).code).toBe('CLOSED')
    const later = failure(world.calls.set('c', 'k', bytes('1'), {}))
    expect(await later).toMatchObject({ code: 'CLOSED', outcome: 'rejected' })
  })
})

describe('replies', () => {
  it('cut or changed at any byte never leave a call without an end', async () => {
    const world = served()
    await world.run(world.calls.set('c', 'k', bytes('value'), {}))
    const replies: Uint8Array[] = []
    world.node().sendToClient = (_peer, frame) => {
      replies.push(Uint8Array.prototype.slice.call(frame))
      return 'sent'
    }
    const asked = [
      world.calls.get('c', 'k', 300),
      world.calls.scan('c', '', 0, 10, 300),
      world.calls.touch('c', 'k', { timeoutMs: 300 }),
      world.calls.delete('c', 'none', { timeoutMs: 300 }),
    ].map(call => call.catch((error: GcacheError) => error.code))
    await world.pass(5)
    const [frame] = replies
    for (let at = 0; at < frame.length * 2; at++) {
      const broken = at < frame.length ? frame.slice(0, at) : Uint8Array.from(frame)
      if (at >= frame.length) broken[at - frame.length] ^= 0xff
      try {
        world.calls.onReply('a', broken)
      } catch (error) {
        expect((error as GcacheError).code, `byte ${at}`).toBe('PROTOCOL_ERROR')
      }
    }
    await world.run(Promise.all(asked))
  })
})

describe('watches', () => {
  it('tell changes by prefix, and of a gap after another master took over', async () => {
    const world = served({ nodes: ['a', 'b'] })
    const events: string[] = []
    const stop = world.calls.watch('c', 'k', event =>
      events.push(`${event.kind} ${event.key} ${text(event.value) ?? ''}`.trim()),
    )
    await world.run(world.calls.set('c', 'k1', bytes('1'), {}))
    await world.run(world.calls.set('c', 'other', bytes('1'), {}))
    await world.run(world.calls.set('d', 'k1', bytes('1'), {}))
    await world.run(world.calls.delete('c', 'k1', {}))
    expect(events).toEqual(['set k1 1', 'delete k1'])
    world.cut('a')
    world.promote('b')
    world.calls.route('b')
    await world.run(world.calls.set('c', 'k2', bytes('2'), {}))
    await world.run(world.calls.clear('c', {}))
    expect(events.slice(2)).toEqual(['gap', 'set k2 2', 'clear'])
    stop()
    await world.run(world.calls.set('c', 'k3', bytes('3'), {}))
    expect(events).toHaveLength(5)
    expect(world.store.changes).toBeUndefined()
  })
})

describe('under seeds of cut links and changing masters', () => {
  /**
   *   client --+-- a --+ one state machine      cut(a), cut(b), promote, route: at random
   *            +-- b --+
   */
  it('every write has at most one effect, every call settles before its deadline', async () => {
    for (let seed = 1; seed <= 40; seed++) await storm(seed)
  })
})

/** What came of the writes of one storm. */
class Outcomes {
  readonly late: string[] = []
  readonly acked = new Map<string, number>()
  readonly rejected: string[] = []
  readonly settled: Promise<void>[] = []

  /** A write that a second effect would meet the first one's record of, and a read. */
  ask(world: World, key: string): void {
    const deadline = world.clock.now() + STORM_TIMEOUT_MS
    const mark = () => {
      if (world.clock.now() > deadline) this.late.push(key)
    }
    const write = world.calls.set('c', key, bytes(key), { ifAbsent: true }).then(
      receipt => {
        this.acked.set(key, receipt.version)
      },
      (error: GcacheError) => {
        expect(error.code, key).not.toBe('ALREADY_EXISTS')
        if (error.outcome === 'rejected') this.rejected.push(key)
      },
    )
    const read = world.calls.get('c', key, STORM_TIMEOUT_MS)
    this.settled.push(write.then(mark), read.then(mark, mark))
  }

  check(world: World, seed: number): void {
    const wall = world.clock.wall()
    expect(this.late, `seed ${seed}`).toEqual([])
    expect(this.acked.size, `seed ${seed}`).toBeGreaterThan(100)
    for (const [key, version] of this.acked)
      expect(world.store.get('c', key, wall)?.version, key).toBe(version)
    for (const key of this.rejected) expect(world.store.has('c', key, wall), key).toBe(false)
  }
}

const STORM_TIMEOUT_MS = 1_500

async function storm(seed: number): Promise<void> {
  const chance = seededRandom(seed * 7_919)
  const world = served({
    seed,
    nodes: ['a', 'b'],
    timeoutMs: STORM_TIMEOUT_MS,
    delayMs: random => random.below(8),
    settleMs: random => random.below(20),
  })
  const outcomes = new Outcomes()
  for (let step = 0; step < 150; step++) {
    for (let i = chance.below(6); i > 0; i--) outcomes.ask(world, `k${seed}-${step}-${i}`)
    disturb(world, chance)
    await world.pass(chance.below(10))
  }
  world.promote('a')
  world.calls.route('a')
  await world.run(Promise.all(outcomes.settled))
  await world.pass(STORM_TIMEOUT_MS)
  expect(world.calls.pending).toBe(0)
  outcomes.check(world, seed)
}

function disturb(world: World, chance: SeededRandom): void {
  const draw = chance.below(20)
  if (draw === 0) world.cut(chance.pick(['a', 'b']))
  else if (draw === 1) {
    const next = chance.pick(['a', 'b'])
    world.promote(next)
    if (chance.chance(0.7)) world.calls.route(next)
  } else if (draw === 2) world.calls.route(chance.pick(['a', 'b', undefined]))
  else if (draw < 6)
    world.calls.route([...world.nodes.values()].find(node => node.standing.serving)?.id)
}

function expireWindows(world: World): void {
  // A window that was not used for long is closed by an entry of the master.
  const before = world.store.stats().windows
  world.clock.advance(31 * 60_000)
  const commands = world.store.housekeeping(world.clock.wall(), 1_000)
  world.propose(
    world.node(),
    commands.map(command => ({
      id: 0,
      ack: 'none' as const,
      client: null,
      seq: 0,
      bytes: command,
      start: 0,
      end: command.length,
    })),
  )
  expect(world.store.stats().windows).toBeLessThan(before)
}
