/** A short run of the fuzzer on all targets; and that it finds, counts and repeats bugs. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { Applier } from '../src/engine/applier.js'
import { GcacheError } from '../src/errors.js'
import { KeyValueStore } from '../src/store/key-value.js'
import { MemoryLog } from '../src/store/memory-log.js'
import { encodeBatch } from '../src/wire/batch.js'
import { messageCodec } from '../strategies/master-slave/message-codec.js'
import { TARGETS } from './fuzz/all.js'
import { found, leaveFound } from './fuzz/corpus.js'
import { mutator } from './fuzz/mutate.js'
import { BLOCK_RUNS, INPUT_MS_MAX, isClean, runBlock } from './fuzz/run.js'
import { promise, type Target } from './fuzz/target.js'
import { fuzzPiece } from './fuzz.js'

const SMOKE_RUNS = 20_000
const names = TARGETS.map(target => target.name)

describe('fuzzing', () => {
  test(`${SMOKE_RUNS} mutants break nothing`, { timeout: 120_000 }, async () => {
    const piece = { first: 1, seeds: SMOKE_RUNS / BLOCK_RUNS }
    const options = { runs: SMOKE_RUNS, firstSeed: 1, targets: TARGETS, leave: false }
    const { tally, broken } = await fuzzPiece(options, piece)
    expect(broken).toEqual([])
    expect(isClean(tally)).toBe(true)
    expect(tally.runs).toBe(SMOKE_RUNS)
    expect(tally.accepted + tally.refused).toBe(SMOKE_RUNS)
  })

  test.each(names)('%s refuses some mutants and takes others, and what runs found before', name => {
    const target = TARGETS.find(each => each.name === name) as Target
    const tally = { accepted: 0, refused: 0 }
    for (let seed = 1; seed <= 4; seed++) {
      const block = runBlock([target], seed, BLOCK_RUNS)
      expect(block.findings).toEqual([])
      tally.accepted += block.tally.accepted
      tally.refused += block.tally.refused
    }
    expect(tally.accepted).toBeGreaterThan(0)
    const trial = target.open(seededRandom(1))
    for (const input of found(name)) {
      expect(trial.seeds).toContainEqual(input)
      try {
        trial.take(Buffer.from(input))
      } catch (error) {
        expect(error).toBeInstanceOf(GcacheError)
      }
    }
    trial.close?.()
  })

  test('the same seed gives the same mutants and outcomes', () => {
    for (const target of TARGETS)
      expect(runBlock([target], 7, 60).hash).toBe(runBlock([target], 7, 60).hash)
    const [one, two] = [1, 2].map(() => mutator(seededRandom(3)))
    const seeds = [Buffer.from('a frame'), Buffer.from([1, 0x80])]
    for (let i = 0; i < 500; i++) expect(one(seeds)).toEqual(two(seeds))
  })
})

describe('the fuzzer', () => {
  const seeds = [Buffer.from('abcdefgh')]
  const over = (take: (input: Buffer) => string, pure = false, close?: () => void): Target => ({
    ...{ name: 'planted', weight: 1, pure },
    open: () => ({ seeds, take, ...(close && { close }) }),
  })
  const refuse = (): never => {
    throw new GcacheError('PROTOCOL_ERROR', 'no')
  }
  const tallyOf = (target: Target) => runBlock([target], 1, 100).tally

  test('takes a refusal for one, and anything else that is thrown for a bug', () => {
    expect(tallyOf(over(refuse))).toMatchObject({ refused: 100, uncaughtExceptions: 0 })
    const target = over(input => (input[0] === 0 ? String(Reflect.ownKeys(null as never)) : ''))
    const block = runBlock([target], 5, 5_000)
    expect(block.tally.uncaughtExceptions).toBe(1)
    expect(block.findings[0].input?.[0]).toBe(0)
    const foreign = { code: 'NO_SUCH_CODE' }
    const coded = () => {
      throw Object.assign(new GcacheError('CONFIG', 'no'), foreign)
    }
    expect(tallyOf(over(coded)).uncaughtExceptions).toBe(1)
  })

  test('counts an input that is slow each time', () => {
    let runs = 0
    const slow = (ms: number) => {
      const since = process.cpuUsage()
      while (process.cpuUsage(since).user < ms * 1_000);
      return ''
    }
    const always = over(input => (input[0] === 0x61 ? '' : slow(INPUT_MS_MAX + 5)))
    expect(runBlock([always], 1, 8).tally.overTimeout).toBeGreaterThan(0)
    const once = over(() => (runs++ === 0 ? slow(INPUT_MS_MAX + 5) : ''))
    expect(runBlock([once], 1, 8).tally.overTimeout).toBe(0)
  })

  test('finds what remembers, what pollutes, and what was harmed', () => {
    let last = 0
    const remembers = over(input => {
      const before = last
      last = input.length
      return String(before)
    }, true)
    expect(tallyOf(remembers).violations).toBe(1)
    const pollutes = over(() => String(Object.assign(Object.prototype, { x: 1 })))
    expect(tallyOf(pollutes).violations).toBe(1)
    delete (Object.prototype as { x?: number }).x
    const harmed = over(
      () => '',
      false,
      () => promise(false, 'a bystander was harmed'),
    )
    expect(tallyOf(harmed).violations).toBe(1)
  })

  test('prints the input and how to repeat it, and leaves the input as a file', async () => {
    const targets = [over(input => promise(input.length > 3, 'short') ?? '')]
    const options = { runs: 5_000, firstSeed: 1, targets, leave: false }
    const { broken } = await fuzzPiece(options, { first: 1, seeds: 20 })
    const seed = /--seed (\d+)/.exec(broken[0])?.[1]
    expect(broken[0]).toContain('planted: short')
    expect(runBlock(targets, Number(seed), BLOCK_RUNS).tally.violations).toBe(1)
    const folder = mkdtempSync(join(tmpdir(), 'gcache-fuzz-'))
    leaveFound('planted', Buffer.from('one'), folder)
    leaveFound('planted', Buffer.from('one'), folder)
    leaveFound('other', Buffer.from('two'), folder)
    expect(found('planted', folder)).toEqual([Buffer.from('one')])
  })
})

describe('what it found', () => {
  const epoch = { number: 513, incarnation: '00112233445566ff' }
  const entry = (bytes: Buffer, first: number, lowest = 1, count = 1) => {
    const client = { id: 'w'.repeat(16), lowest }
    const end = bytes.length
    const proposal = { id: 1, ack: 'none', client, seq: lowest, bytes, start: 0, end } as const
    return encodeBatch(epoch, first, 1_700_000_000_000, 0, Array(count).fill(proposal))
  }
  const noop = Buffer.of(24, 0, 0, 0, 0)

  test.each([
    ['of no known operation', Buffer.of(159, 0, 0, 0, 0), 1],
    ['that is cut short', Buffer.of(16, 1, 1, 99, 1, 0, 107, 0), 1],
    ['of a window at the end of numbers', noop, Number.MAX_SAFE_INTEGER],
  ])('an entry %s ends the link it came by, and not every node that applies it', (_, bytes, n) => {
    const codec = messageCodec()
    const batches = [entry(bytes, 1, n)]
    const append = { type: 'append', epoch, previous: epoch, time: 0, commit: 1, batches } as const
    const frame = Buffer.from(codec.encode(append))
    expect(() => codec.decode(frame)).toThrow(expect.objectContaining({ code: 'PROTOCOL_ERROR' }))
  })

  test('a commit inside a batch is no loop without an end: the batch waits', () => {
    const log = new MemoryLog()
    const store = new KeyValueStore()
    const applier = new Applier(log, store)
    applier.append(entry(noop, 1, 1, 3))
    applier.append(entry(noop, 4))
    applier.commit(3, undefined)
    expect(store.applied).toBe(1)
    applier.commit(5, undefined)
    expect(store.applied).toBe(5)
  })

  test('engines that refuse what the other says at once do not dial in a loop', () => {
    const engines = TARGETS.filter(({ name }) => name === 'engines')
    expect(runBlock(engines, 2969, BLOCK_RUNS).findings).toEqual([])
  })
})
