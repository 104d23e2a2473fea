/** Calls with many keys: what becomes of the keys that did not fail, and what is said of all. */
import { describe, expect, it } from 'vitest'
import { createCache } from '../src/cache/cache.js'
import type { CachePort, SetOptions, WriteReceipt } from '../src/contracts/cache.js'
import { type ErrorCode, GcacheError } from '../src/errors.js'
import { VirtualClock } from '../src/testing/virtual-clock.js'
import { World } from './harness/request-world.js'

const CALLS_MAX = 512
const BYTES_MAX = 8 * 2 ** 20
const RECEIPT: WriteReceipt = { version: 1, epoch: 1, offset: 1, copies: 2, durableCopies: 0 }

type Failure = GcacheError & { readonly failed: ReadonlyMap<string, GcacheError> }
type Answer = ErrorCode | 'silence' | 'done' | 'unknown'

/** A port that answers each key as `answerTo` says, 1 ms later; silence ends at the deadline. */
class Port {
  readonly clock = new VirtualClock()
  readonly cache = createCache<number | Uint8Array>(this as unknown as CachePort, 'c')
  readonly asked: string[] = []
  answerTo: (key: string) => Answer
  closed = false
  callsMost = 0
  bytesMost = 0
  #calls = 0
  #bytes = 0

  constructor(answerTo: (key: string) => Answer) {
    this.answerTo = answerTo
  }

  now(): number {
    return this.clock.now()
  }

  getValue(_: string, key: string, timeoutMs: number): Promise<unknown> {
    return this.#ask(key, timeoutMs, key)
  }

  set(_: string, key: string, value: Uint8Array, { timeoutMs }: SetOptions): Promise<unknown> {
    return this.#ask(key, timeoutMs, RECEIPT, 'rejected', value.length)
  }

  delete(_: string, key: string, { timeoutMs }: SetOptions): Promise<unknown> {
    return this.#ask(key, timeoutMs, RECEIPT, 'rejected')
  }

  async run<T>(call: Promise<T>): Promise<T | GcacheError> {
    let end: T | GcacheError | undefined
    call.then(
      value => {
        end = value
      },
      error => {
        end = error
      },
    )
    for (;;) {
      await new Promise(resolve => setImmediate(resolve))
      if (end !== undefined) return end
      if (!this.clock.step()) throw new Error(`not settled at ${this.now()} ms`)
    }
  }

  async failure(call: Promise<unknown>): Promise<Failure> {
    const error = await this.run(call)
    if (!(error instanceof GcacheError) || error.failed === undefined)
      throw new Error(`no failure of keys: ${error}`)
    return error as Failure
  }

  #ask<R>(key: string, timeoutMs = 5_000, result: R, outcome?: 'rejected', bytes = 0): Promise<R> {
    this.asked.push(key)
    if (this.closed) return Promise.reject(new GcacheError('CLOSED', 'closed', { outcome }))
    this.callsMost = Math.max(this.callsMost, ++this.#calls)
    this.#bytes += bytes
    this.bytesMost = Math.max(this.bytesMost, this.#bytes)
    const answer = this.answerTo(key)
    return new Promise((resolve, reject) => {
      this.clock.after(answer === 'silence' ? timeoutMs : 1, () => {
        this.#calls--
        this.#bytes -= bytes
        if (this.closed) reject(new GcacheError('CLOSED', 'closed', { outcome }))
        else if (answer === 'done') resolve(result)
        else if (answer === 'unknown')
          reject(new GcacheError('ACK_TIMEOUT', 'no copies', { outcome: 'unknown' }))
        else {
          const code = answer === 'silence' ? 'TIMEOUT' : answer
          reject(new GcacheError(code, 'failed', { outcome }))
        }
      })
    })
  }
}

const keysOf = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`)
const pairsOf = (keys: readonly string[]) => keys.map(key => [key, 1] as const)
const codesOf = (error: Failure) => new Map([...error.failed].map(([key, { code }]) => [key, code]))
const numberOf = (key: string) => Number(key.slice(1))

describe('a call with more keys than are asked for at once', () => {
  const keys = keysOf(1_500)

  it('asks for all, and names exactly those that failed, each with its own code', async () => {
    const answerTo = (key: string): Answer =>
      numberOf(key) % 3 === 0 ? 'PARTITION_LOST' : numberOf(key) % 100 === 1 ? 'FORBIDDEN' : 'done'
    const wanted = keys.map(key => [key, answerTo(key)]).filter(([, answer]) => answer !== 'done')
    for (const kind of ['getMany', 'setMany', 'deleteMany'] as const) {
      const port = new Port(answerTo)
      const { cache } = port
      const call = kind === 'setMany' ? cache.setMany(pairsOf(keys)) : cache[kind](keys)
      const error = await port.failure(call)
      expect([...codesOf(error)]).toEqual(wanted)
      expect(error).toMatchObject({
        ...{ code: 'PARTITION_LOST', retryable: false },
        outcome: kind === 'getMany' ? undefined : 'unknown',
      })
      expect(port.asked).toEqual(keys)
      expect(port.callsMost).toBe(CALLS_MAX)
    }
  })

  it('names them in the order of the keys, whoever failed first', async () => {
    const port = new Port(key =>
      key === 'k3' ? 'silence' : numberOf(key) > 1_497 ? 'FORBIDDEN' : 'done',
    )
    const error = await port.failure(port.cache.getMany(keys))
    expect(error.code).toBe('TIMEOUT')
    expect([...error.failed.keys()]).toEqual(['k3', 'k1498', 'k1499'])
  })

  it('is not held up by keys that nobody answers for, and keeps its deadline', async () => {
    const port = new Port(key => (numberOf(key) % 5 === 0 ? 'silence' : 'done'))
    const error = await port.failure(port.cache.getMany(keys, { timeoutMs: 800 }))
    expect(port.now()).toBeLessThanOrEqual(800)
    expect([...codesOf(error)]).toEqual(
      keys.filter(key => numberOf(key) % 5 === 0).map(key => [key, 'TIMEOUT']),
    )
  })

  it('asks for nothing after its deadline', async () => {
    for (const timeoutMs of [5, 800]) {
      const port = new Port(() => 'silence')
      const error = await port.failure(port.cache.setMany(pairsOf(keys), { timeoutMs }))
      expect(port.now()).toBeLessThanOrEqual(timeoutMs)
      expect(port.asked.length).toBe(CALLS_MAX)
      expect(error).toMatchObject({ code: 'TIMEOUT', outcome: 'rejected' })
      expect([...error.failed.keys()]).toEqual(keys)
      for (const one of error.failed.values())
        expect(one).toMatchObject({ code: 'TIMEOUT', retryable: true, outcome: 'rejected' })
    }
  })

  it('goes on to its deadline where each key takes long, and not beyond', async () => {
    const port = new Port(() => 'done')
    const late = keysOf(400 * CALLS_MAX)
    const error = await port.failure(port.cache.getMany(late, { timeoutMs: 100 }))
    expect(port.now()).toBeLessThanOrEqual(100)
    expect(port.asked).toEqual(late.slice(0, port.asked.length))
    expect([...error.failed.keys()]).toEqual(late.slice(port.asked.length))
    expect(error.code).toBe('TIMEOUT')
  })

  it('ends at once where the port is closed', async () => {
    const port = new Port(() => 'done')
    const call = port.cache.setMany(pairsOf(keys))
    port.clock.after(0.5, () => {
      port.closed = true
    })
    const error = await port.failure(call)
    expect(port.now()).toBe(1)
    expect(port.asked.length).toBeLessThanOrEqual(2 * CALLS_MAX)
    expect(error).toMatchObject({ code: 'CLOSED', outcome: 'rejected' })
    expect([...codesOf(error)]).toEqual(keys.map(key => [key, 'CLOSED']))
  })

  it('has no more bytes of values under way than its bound and one value', async () => {
    const port = new Port(() => 'done')
    const value = new Uint8Array(2 ** 20)
    const receipts = await port.run(
      port.cache.setMany(keysOf(40).map(key => [key, value] as const)),
    )
    expect(receipts).toHaveLength(40)
    expect(port.bytesMost).toBeGreaterThanOrEqual(BYTES_MAX)
    expect(port.bytesMost).toBeLessThan(BYTES_MAX + 2 * value.length)
  })

  it('has results in the order of its keys', async () => {
    const port = new Port(() => 'done')
    expect(await port.run(port.cache.getMany(keys))).toEqual(keys)
    expect(await port.run(port.cache.getMany([]))).toEqual([])
  })
})

describe('the outcome of a write of many keys', () => {
  it('is rejected only where none was done, and none may have been', async () => {
    const cases: [Answer[], 'rejected' | 'unknown'][] = [
      [['ALREADY_EXISTS', 'ALREADY_EXISTS'], 'rejected'],
      [['ALREADY_EXISTS', 'done'], 'unknown'],
      [['done', 'ALREADY_EXISTS', 'done'], 'unknown'],
      [['ALREADY_EXISTS', 'unknown'], 'unknown'],
      [['unknown', 'ALREADY_EXISTS'], 'unknown'],
    ]
    for (const [answers, outcome] of cases) {
      const port = new Port(key => answers[numberOf(key)])
      const keys = keysOf(answers.length)
      const [first] = answers.filter(answer => answer !== 'done')
      const code = first === 'unknown' ? 'ACK_TIMEOUT' : first
      for (const call of [port.cache.setMany(pairsOf(keys)), port.cache.deleteMany(keys)])
        expect(await port.failure(call)).toMatchObject({ code, outcome })
    }
  })

  it('is unknown where ifAbsent met one record of three: the others are there', async () => {
    const world = new World()
    world.promote('a')
    world.calls.route('a')
    const cache = createCache<number>(world.calls, 'c')
    await world.run(cache.set('k', 1))
    const pairs = [['p1', 1] as const, ['k', 2] as const, ['p2', 3] as const]
    const call = world.run(cache.setMany(pairs, { ifAbsent: true }))
    const error = await call.catch(error => error)
    expect(error).toMatchObject({ code: 'ALREADY_EXISTS', outcome: 'unknown' })
    expect([...error.failed.keys()]).toEqual(['k'])
    expect(error.failed.get('k')).toMatchObject({ outcome: 'rejected' })
    expect(await world.run(cache.getMany(['p1', 'k', 'p2']))).toEqual([1, 1, 3])
  })
})
