/**
 * The lease's own rules under virtual time: clocks that drift, processes that stop, questions that
 * are lost, late or said twice, and a store that forgets. No two hold it at once, whatever happens,
 * and somebody does once all is well.
 */
import { describe, expect, test } from 'vitest'
import { LEASE } from '../src/config.js'
import type { Election, Heirs, Lease } from '../src/contracts/election.js'
import { LeaseKeeper, type LeaseSight, type LeaseStore } from '../src/core/lease.js'
import { seededRandom } from '../src/core/prng.js'
import { SILENCE } from '../src/core/silence.js'
import { Gate, NodeClock } from '../src/testing/gate.js'
import { FAULTLESS, type LeaseFaults, SimulatedLeases } from '../src/testing/leases.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { masterSlave } from '../strategies/master-slave/index.js'
import { natsLease } from '../transports/nats.js'

const SEEDS = 300
const SECONDS = 40
const STEP_MS = 5

/** One process that wants the lease, with a clock of its own. */
class Contender {
  readonly gate = new Gate()
  readonly clock: NodeClock
  readonly election: Election
  readonly granted: Lease[] = []
  lease: Lease | undefined

  constructor(leases: SimulatedLeases, base: VirtualClock, id: string, rate: number) {
    this.clock = new NodeClock(base, this.gate, { rate, offsetMs: 1_000 * rate })
    const of = { self: id, cluster: 'c', incarnation: `${id}`.repeat(16), logger: SILENCE }
    this.election = leases.election()({ ...of, clock: this.clock })
    this.election.start({
      onLease: lease => {
        this.lease = lease
        if (lease !== undefined) this.granted.push(lease)
      },
    })
  }

  get holds(): boolean {
    return this.lease !== undefined && this.clock.now() < this.lease.untilMs
  }

  want(above: number | undefined, heirs?: Heirs): void {
    if (above === undefined) this.lease = undefined
    this.election.want(above, heirs)
  }
}

function world(faults: Partial<LeaseFaults> = {}, rates: readonly number[] = [1, 1]) {
  const base = new VirtualClock()
  const leases = new SimulatedLeases({ ...FAULTLESS, ...faults }, seededRandom(1), () => base)
  const all = rates.map((rate, i) => new Contender(leases, base, 'abc'[i], rate))
  const within = (msMax: number, condition: () => boolean) => {
    const until = base.now() + msMax
    while (!condition() && base.now() < until) base.advance(STEP_MS)
    return condition()
  }
  return { base, leases, all, within }
}

describe('a lease', () => {
  test('is waited for where nobody is known to hold it, as a store may have forgotten', () => {
    const { base, all, within } = world()
    const [a] = all
    a.want(0)
    expect(within(3_000, () => a.holds)).toBe(true)
    expect(base.now()).toBeGreaterThanOrEqual(2_200)
    expect(base.now()).toBeLessThan(2_300)
  })

  test('that is let go is taken at once, with a higher counter', () => {
    const { base, all, within } = world()
    const [a, b] = all
    a.want(0)
    expect(within(3_000, () => a.holds)).toBe(true)
    b.want(7)
    base.advance(5_000)
    expect(b.granted).toEqual([])
    const letGoAt = base.now()
    a.want(undefined)
    expect(within(1_000, () => b.holds)).toBe(true)
    expect(base.now() - letGoAt).toBeLessThan(LEASE.pollShare * 2_000)
    expect(b.lease?.counter).toBeGreaterThan(a.granted.at(-1)?.counter ?? 0)
    expect(b.lease?.counter).toBeGreaterThan(7)
  })

  test('is prolonged under one counter, which is raised when a higher epoch was met', () => {
    const { base, all, within } = world()
    const [a] = all
    a.want(0)
    within(3_000, () => a.holds)
    base.advance(10_000)
    expect(new Set(a.granted.map(({ counter }) => counter)).size).toBe(1)
    a.want(1_000)
    base.advance(100)
    expect(a.lease?.counter).toBeGreaterThan(1_000)
    expect(a.holds).toBe(true)
  })

  test('ends by the clock of a holder that stood still, before it has heard of anything', () => {
    const { base, all, within } = world()
    const [a, b] = all
    a.want(0)
    within(3_000, () => a.holds)
    b.want(0)
    a.gate.shut = true
    expect(within(5_000, () => b.holds)).toBe(true)
    expect(a.holds).toBe(false)
    a.gate.open()
    expect(a.holds).toBe(false)
    base.advance(5_000)
    expect(a.holds).toBe(false)
    expect(b.holds).toBe(true)
  })

  test('counts from the question: answers that take longer than it lasts grant nothing', () => {
    const { all, within } = world({ latencyMsMax: 100, late: 1 })
    const [a] = all
    a.want(0)
    within(60_000, () => false)
    for (const { askedMs, untilMs } of a.granted) expect(untilMs - askedMs).toBe(1_800)
  })

  test('is not for one that was let go, whose data says that it belongs', () => {
    const { leases, all, within, base } = world({}, [1, 1, 1])
    const [a, b, c] = all
    a.want(0, { history: 'h', ids: ['a', 'b', 'c'] })
    expect(within(3_000, () => a.holds)).toBe(true)
    b.want(0, { history: 'h', ids: ['a', 'b', 'c'] })
    const letGoAt = base.now()
    a.want(0, { history: 'h', ids: ['a', 'c'] })
    expect(within(100, () => leases.sight.record?.heirs?.ids.length === 2)).toBe(true)
    expect(base.now() - letGoAt).toBeLessThan(LEASE.renewShare * 2_000)
    a.want(undefined)
    base.advance(20_000)
    expect(b.granted).toEqual([])
    expect(b.election.why).toBe('no lease: this node was let go; it is for a, c')
    c.want(0, { history: 'h', ids: ['a', 'b', 'c'] })
    expect(within(1_000, () => c.holds)).toBe(true)
    c.want(undefined)
    // It belongs again by the word of the last holder, whose log says so.
    expect(within(3_000, () => b.holds)).toBe(true)
  })

  test('that is let go as the heirs change is for the new ones', () => {
    const { all, within, base } = world()
    const [a, b] = all
    a.want(0, { history: 'h', ids: ['a', 'b'] })
    expect(within(3_000, () => a.holds)).toBe(true)
    b.want(0, { history: 'h', ids: ['a', 'b'] })
    base.advance(1_000)
    a.want(0, { history: 'h', ids: ['a'] })
    a.want(undefined)
    base.advance(20_000)
    expect(b.granted).toEqual([])
  })

  test('is not for one that was let go because one without data has held it meanwhile', () => {
    const { all, within, base } = world({}, [1, 1, 1])
    const [a, b, c] = all
    a.want(0, { history: 'h', ids: ['a', 'c'] })
    expect(within(3_000, () => a.holds)).toBe(true)
    a.want(undefined)
    c.want(0)
    expect(within(3_000, () => c.holds)).toBe(true)
    b.want(0, { history: 'h', ids: ['a', 'b', 'c'] })
    base.advance(5_000)
    c.want(undefined)
    base.advance(20_000)
    expect(b.granted).toEqual([])
    a.want(0, { history: 'h', ids: ['a', 'c'] })
    expect(within(3_000, () => a.holds)).toBe(true)
  })

  test('is for whoever has no data of that history: a cluster may begin anew', () => {
    const { all, within } = world()
    const [a, b] = all
    a.want(0, { history: 'h', ids: ['a'] })
    expect(within(3_000, () => a.holds)).toBe(true)
    a.want(undefined)
    b.want(0, { history: 'another', ids: ['b'] })
    expect(within(3_000, () => b.holds)).toBe(true)
    b.want(undefined)
    a.want(0)
    expect(within(3_000, () => a.holds)).toBe(true)
  })

  test(`is held by one at a time, in ${SEEDS} seeds of faults`, { timeout: 120_000 }, () => {
    let takings = 0
    for (let seed = 1; seed <= SEEDS; seed++) takings += disturb(seed)
    expect(takings).toBeGreaterThan(SEEDS * 3)
  })
})

/** A store whose every answer is decided by the test. */
class ScriptedStore implements LeaseStore {
  why: string | undefined
  sight: LeaseSight = { revision: 0, record: undefined }
  asked = 0
  answersAfterMs = 1
  /** It refuses at once, and the way to it is lost with each refusal. */
  refuses = false
  readonly lines: string[] = []
  readonly election: LeaseKeeper
  granted: Lease | undefined
  #events: Parameters<LeaseStore['start']>[0] | undefined
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock, ttlMs: number) {
    this.#clock = clock
    const warn = (fields: object, text: string) => {
      this.lines.push(`${text} ${JSON.stringify(fields)}`)
    }
    const of = { self: 'a', cluster: 'c', incarnation: 'a'.repeat(16), clock }
    this.election = new LeaseKeeper({ ...of, logger: { ...SILENCE, warn } }, this, ttlMs)
    const onLease = (lease: Lease | undefined) => {
      this.granted = lease
    }
    this.election.start({ onLease })
  }

  start(events: Parameters<LeaseStore['start']>[0]): void {
    this.#events = events
  }

  read(end: Parameters<LeaseStore['read']>[0]): void {
    this.#answer(() => end(this.refuses ? 'unknown' : this.sight))
  }

  set(...[revision, record, end]: Parameters<LeaseStore['set']>): void {
    this.#answer(() => {
      if (this.refuses) return end('unknown')
      if (revision !== this.sight.revision) return end('stale')
      this.sight = { revision: revision + 1, record }
      end(revision + 1)
    })
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  #answer(end: () => void): void {
    this.asked++
    this.#clock.after(this.answersAfterMs, () => {
      if (this.refuses) this.#events?.onLost()
      end()
    })
  }
}

describe('a lease whose store', () => {
  const TTL_MS = 2_000
  const scripted = () => {
    const clock = new VirtualClock()
    const store = new ScriptedStore(clock, TTL_MS)
    store.election.want(0)
    return { clock, store }
  }

  test('refuses every question is asked for at a rate, not without end', () => {
    const { clock, store } = scripted()
    store.refuses = true
    clock.advance(10_000)
    expect(store.asked).toBeGreaterThan(20)
    expect(store.asked).toBeLessThanOrEqual(10_000 / (LEASE.retryShare * TTL_MS) + 1)
    store.refuses = false
    clock.advance(1.2 * TTL_MS)
    expect(store.granted?.counter).toBe(1)
  })

  test('answers too late for its ttl is not had, which is said, once in the log', () => {
    const { clock, store } = scripted()
    store.answersAfterMs = 300
    clock.advance(10_000)
    expect(store.granted).toBe(undefined)
    const why = 'nothing is answered within 250 ms, an eighth of ttlMs'
    expect(store.election.why).toBe(`no lease: ${why}`)
    expect(store.lines).toEqual([`no lease can be had {"ttlMs":2000,"reason":"${why}"}`])
    store.answersAfterMs = 200
    clock.advance(2 * TTL_MS)
    expect(store.granted?.counter).toBe(1)
    expect(store.election.why).toBe(undefined)
  })

  test('has forgotten all goes on above every counter that was seen there', () => {
    const { clock, store } = scripted()
    const other = { holder: 'b', life: 'b'.repeat(16), counter: 77, ttlMs: TTL_MS, askedMs: 0 }
    store.sight = { revision: 9, record: other }
    clock.advance(500)
    store.sight = { revision: 0, record: undefined }
    clock.advance(2 * TTL_MS)
    expect(store.granted?.counter).toBe(78)
  })
})

/** Returns how often it was taken. */
function disturb(seed: number): number {
  const random = seededRandom(seed)
  const base = new VirtualClock()
  const faults = {
    ttlMs: random.pick([500, 2_000]),
    latencyMsMax: random.pick([2, 50, 300]),
    loss: random.pick([0, 0.05, 0.3]),
    late: random.pick([0, 0.1, 0.3]),
    cuts: random.pick([0, 0.2]),
    aways: random.pick([0, 0.2]),
    awayMsMax: random.pick([500, 5_000]),
    forgets: random.pick([0, 0.5]),
  }
  const leases = new SimulatedLeases(faults, random.fork(), () => base)
  const rate = () => random.pick([0.9, 1.1, 0.9 + random.next() * 0.2])
  const all = ['a', 'b', 'c'].map(id => new Contender(leases, base, id, rate()))
  const check = () => {
    const holders = all.filter(one => one.holds && !one.gate.shut)
    if (holders.length > 1)
      throw new Error(`seed ${seed} at ${base.now()}: ${holders.length} hold it`)
  }
  while (base.now() < SECONDS * 1_000) {
    const one = random.pick(all)
    const lot = random.next()
    if (lot < 0.01) {
      if (one.gate.shut) one.gate.open()
      else one.gate.shut = true
    } else if (lot < 0.02 && !one.gate.shut)
      one.want(random.chance(0.3) ? undefined : random.below(50))
    base.advance(STEP_MS)
    check()
  }
  leases.calm()
  for (const one of all) {
    one.gate.open()
    one.want(0)
  }
  for (let ms = 0; ms < 4 * faults.ttlMs + 2_000; ms += STEP_MS) {
    base.advance(STEP_MS)
    check()
  }
  expect(all.filter(one => one.holds).length, `seed ${seed}: somebody holds it`).toBe(1)
  return all.reduce((sum, { granted }) => sum + new Set(granted.map(it => it.counter)).size, 0)
}

describe('options', () => {
  const servers = 'nats://127.0.0.1:4222'

  test.each([
    [{}, /which broker\? give servers/],
    [{ servers, ttl: 5 }, /unknown option ttl: did you mean ttlMs/],
    [{ servers, ttlMs: 499 }, /option ttlMs must be a whole number within 500\.\.60000/],
    [{ servers, ttlMs: 60_001 }, /option ttlMs must be/],
    [{ servers, ttlMs: 1_000.5 }, /option ttlMs must be/],
    [{ servers: [''] }, /option servers takes addresses of brokers/],
    [{ servers: 'nats://' }, /option servers: "nats:\/\/" is no address of a broker/],
    [{ servers: 'nats://h:65536' }, /is no address of a broker/],
    [{ servers: 'nats://h:1/path' }, /is no address of a broker/],
    [{ servers: 'nats://me:pw@h:1' }, /no place in an address \(broker h:1\): .* option broker/],
    // tidy: allow bucket - the broker's own word for such a store
    [{ servers, bucket: 'a.b' }, /option bucket must be/],
    [{ servers, copies: 0 }, /option copies must be/],
    [{ servers: 'nats://10.0.0.1:4222' }, /10.0.0.1:4222 without authentication and encryption/],
    [{ servers: 'tls://broker' }, /natsLease: broker broker without authentication is refused/],
    [{ servers: 'b:1', broker: { user: 'u', pass: 'p' } }, /b:1 without encryption is refused/],
    // tidy: allow connection - the library's own word
    [{ connection: {} }, /option connection takes what connect\(\) of nats returns/],
  ])('%j of natsLease is refused', (options, text) => {
    expect(() => natsLease(options as never)).toThrow(text)
  })

  test.each([
    { servers: 'nats://10.0.0.1:4222', insecure: true },
    { servers: 'nats://10.0.0.1:4222', broker: { token: 't', tls: {} } },
    { servers: 'nats://10.0.0.1:4222', broker: { tls: { certFile: 'c.pem', keyFile: 'k.pem' } } },
    { servers: ['tls://10.0.0.1:4222', 'nats://[::1]:4222'], broker: { user: 'u', pass: 'p' } },
  ])('%j of natsLease is taken', options => {
    expect(() => natsLease(options)).not.toThrow()
  })

  test('an election goes with profile ordinal alone, and is a plug-in', () => {
    const election = natsLease({ servers })
    expect(() => masterSlave({ election, profile: 'majority' })).toThrow(/leave one of them out/)
    expect(() => masterSlave({ election, profile: 'strict' })).toThrow(/leave one of them out/)
    expect(() => masterSlave({ election: servers as never })).toThrow(/option election takes/)
    expect(() => masterSlave({ election })).not.toThrow()
  })
})
