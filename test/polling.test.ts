/** When a process polls instead of sleeping; what that does to transports, their suite shows. */
import { describe, expect, test } from 'vitest'
import type { TransportFactory, TransportHandler } from '../src/contracts/transport.js'
import { type Polling, polled } from '../src/polling.js'

/** Frames that come `pauseMs` after the work on the one before has ended, and the last of each
 *  `together` at once after it; true if it polls then. */
function pollsAmid(
  polling: Polling,
  pauseMs: number,
  bytes: number,
  frames = 100,
  together = Number.POSITIVE_INFINITY,
): boolean {
  let now = 0
  let handler: TransportHandler | undefined
  const bare = {
    start: (given: TransportHandler) => {
      handler = given
    },
    stop: () => undefined,
  }
  const transport = polled(
    (() => bare) as never as TransportFactory,
    polling,
    () => now,
  )({} as never)
  transport.start({ onFrame: () => {} } as never)
  for (let i = 0; i < frames; i++) {
    now += i % together === together - 1 ? 0.005 : pauseMs
    handler?.onFrame('b', 1, Buffer.alloc(bytes) as never)
  }
  const polls = process.getActiveResourcesInfo().includes('Immediate')
  void transport.stop()
  expect(process.getActiveResourcesInfo()).not.toContain('Immediate')
  return polls
}

describe('a node that polls while it is busy', () => {
  test('does so while small frames follow each other within 60 us', () => {
    expect(pollsAmid('busy', 0.02, 1_000)).toBe(true)
    expect(pollsAmid('busy', 0.1, 1_000)).toBe(false)
  })

  test('does not for large frames, which would be read in pieces', () => {
    expect(pollsAmid('busy', 0.02, 20_000)).toBe(false)
  })

  test('does not for the first frames of a burst', () => {
    expect(pollsAmid('busy', 0.02, 1_000, 20)).toBe(false)
  })

  test('does so for a lone caller that makes one small call after the other', () => {
    expect(pollsAmid('busy', 0.2, 200, 1_000)).toBe(true)
    expect(pollsAmid('busy', 0.3, 200, 1_000)).toBe(false)
    expect(pollsAmid('busy', 0.2, 2_000, 1_000)).toBe(false)
  })

  test('does not for callers that come by chance, nor before it knows that one is alone', () => {
    expect(pollsAmid('busy', 0.2, 200, 1_000, 12)).toBe(false)
    expect(pollsAmid('busy', 0.2, 200, 300)).toBe(false)
  })

  test('sleeps or polls always if it is told so', () => {
    expect(pollsAmid(0, 0.02, 1_000)).toBe(false)
    expect(pollsAmid(150, 5, 20_000, 1)).toBe(true)
  })
})
