/** The memory log: boundaries, trimming, truncation. */
import { describe, expect, test } from 'vitest'
import type { Batch } from '../src/contracts/types.js'
import { MemoryLog } from '../src/store/memory-log.js'
import { codeOf } from './harness/codes.js'
import { set } from './store-driver.js'
import { BatchMaker, EPOCH } from './store-model.js'

describe('the memory log', () => {
  const log = (options = {}, batches = 10, entries = 3) => {
    const maker = new BatchMaker()
    const made = new MemoryLog(options)
    const all: Batch[] = []
    for (let i = 0; i < batches; i++) {
      const commands = Array.from({ length: entries }, () => set(`k${i}`))
      all.push(
        maker.make(
          i,
          commands.map(command => ({ client: null, seq: 0, command })),
        ),
      )
      made.append(all[i])
    }
    return { made, all, maker }
  }

  test('reads whole batches from a boundary, at least one', () => {
    const { made, all } = log()
    expect([made.first, made.applied, made.next, made.durable]).toEqual([1, 1, 31, 31])
    expect(made.read(4, 1)).toEqual([all[1]])
    expect(made.read(4, all[1].bytes.length * 2)).toEqual([all[1], all[2]])
    expect(made.read(1, 2 ** 30)).toEqual(all)
    expect(made.read(31, 100)).toEqual([])
    expect([made.read(0, 9), made.read(5, 9), made.read(34, 9)]).toEqual(Array(3).fill(undefined))
    expect(made.last.crc).toBe(all[9].crc)
    expect(made.epochBefore(1)).toBeUndefined()
    expect([made.epochBefore(4), made.epochBefore(31)]).toEqual([EPOCH, EPOCH])
    expect(made.epochBefore(32)).toBeUndefined()
  })

  test('trims whole applied batches from the front and keeps the epoch before them', () => {
    const { made, all } = log({ backlogEntriesMax: 10 })
    expect(made.first).toBe(1)
    made.markApplied(10)
    expect([made.first, made.applied]).toEqual([10, 10])
    made.markApplied(31)
    expect(made.first).toBe(22)
    expect(made.read(19, 9)).toBeUndefined()
    expect(made.read(22, 2 ** 30)).toEqual(all.slice(7))
    expect(made.epochBefore(22)).toEqual(EPOCH)
    expect(made.epochBefore(19)).toBeUndefined()
  })

  test('keeps within its bytes, but never drops the newest batch', () => {
    const maker = new BatchMaker()
    const made = new MemoryLog({ backlogBytesMax: 5_000 })
    for (let i = 0; i < 5_000; i++) {
      const batch = maker.make(i, [{ client: null, seq: 0, command: set('k', 'x'.repeat(i)) }])
      made.append(batch)
      made.markApplied(batch.next)
      expect(made.bytes <= 5_000 || made.next - made.first === 1).toBe(true)
      expect(made.read(made.first, 2 ** 30)?.at(-1)).toBe(batch)
    }
    expect(made.next - made.first).toBe(1)
  })

  test('truncates at a boundary down to applied, and appends again', () => {
    const { made, all, maker } = log()
    made.markApplied(7)
    made.truncate(13)
    expect([made.next, made.last.crc]).toEqual([13, all[3].crc])
    expect(made.read(10, 2 ** 30)).toEqual([all[3]])
    expect(codeOf(() => made.truncate(4))).toBe('INTERNAL')
    expect(codeOf(() => made.append(all[9]))).toBe('INTERNAL')
    maker.next = 13
    maker.crc = made.last.crc
    made.append(maker.make(99, [{ client: null, seq: 0, command: { op: 'noop' } }]))
    expect(made.next).toBe(14)
  })

  test('a reset forgets everything and continues what it was told', () => {
    const { made } = log()
    made.reset(500, EPOCH, 42)
    expect([made.first, made.applied, made.next]).toEqual([500, 500, 500])
    expect(made.last).toEqual({ epoch: EPOCH, crc: 42 })
    expect(made.epochBefore(500)).toEqual(EPOCH)
    expect(made.read(500, 1)).toEqual([])
    expect(codeOf(() => made.markApplied(501))).toBe('INTERNAL')
    expect(codeOf(() => made.markApplied(499))).toBe('INTERNAL')
  })
})
