/** A short run of the fuzzer on all targets; and that it finds, counts and repeats bugs. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '../src/core/prng.js'
import { GcacheError } from '../src/errors.js'
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
      const until = performance.now() + ms
      while (performance.now() < until);
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
