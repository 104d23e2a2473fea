/** Log lines whose place cannot be written: what waits, what is lost, and that the log says so. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LogLines, WAITING_BYTES_MAX } from '../src/server/log-lines.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A disk with `room` bytes. */
class Disk {
  room = Number.POSITIVE_INFINITY
  text = ''
  tries = 0

  readonly lines = new LogLines(
    bytes => {
      this.tries++
      if (this.room === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      const taken = Math.min(bytes.length, this.room)
      this.text += Buffer.from(bytes.subarray(0, taken)).toString()
      this.room -= taken
      return taken
    },
    count => `lost ${count}\n`,
  )
}

test('a line is written at once', () => {
  const disk = new Disk()
  disk.lines.write('one\n')
  expect(disk.text).toBe('one\n')
})

test('lines that find no room wait, in order and untorn, for the next line', () => {
  const disk = new Disk()
  disk.room = 2
  disk.lines.write('first\n')
  disk.lines.write('second\n')
  expect(disk.text).toBe('fi')
  disk.room = 1_000
  disk.lines.write('third\n')
  expect(disk.text).toBe('first\nsecond\nthird\n')
})

test('the last line before a silence is tried again once a second, no more often', () => {
  const disk = new Disk()
  disk.room = 0
  disk.lines.write('last\n')
  disk.tries = 0
  vi.advanceTimersByTime(10_500)
  expect(disk.tries).toBe(10)
  disk.room = 1_000
  vi.advanceTimersByTime(1_000)
  expect(disk.text).toBe('last\n')
  disk.tries = 0
  vi.advanceTimersByTime(10_000)
  expect(disk.tries, 'nothing waits any more').toBe(0)
})

test('beyond the bound they are lost and counted, and the log says so in their place', () => {
  const disk = new Disk()
  disk.room = 0
  const half = `${'x'.repeat(WAITING_BYTES_MAX / 2 - 1)}\n`
  for (let i = 0; i < 5; i++) disk.lines.write(half)
  disk.room = Number.POSITIVE_INFINITY
  disk.lines.write('again\n')
  expect(disk.text.split('\n').slice(2)).toEqual(['lost 3', 'again', ''])
  disk.lines.write('more\n')
  expect(disk.text.endsWith('again\nmore\n')).toBe(true)
})
