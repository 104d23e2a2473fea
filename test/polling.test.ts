/** When a process polls instead of sleeping; what that does to transports, their suite shows. */
import { describe, expect, test } from 'vitest'
import type { TransportFactory, TransportHandler } from '../src/contracts/transport.js'
import { type Polling, polled } from '../src/polling.js'

/** Frames that come `pauseMs` after the work on the one before has ended; true if it polls then. */
function pollsAmid(polling: Polling, pauseMs: number, bytes: number, frames = 100): boolean {
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
    now += pauseMs
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

  test('sleeps or polls always if it is told so', () => {
    expect(pollsAmid(0, 0.02, 1_000)).toBe(false)
    expect(pollsAmid(150, 5, 20_000, 1)).toBe(true)
  })
})
