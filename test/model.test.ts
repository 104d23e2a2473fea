/**
 * The small model, as far as a test run may last: one write, one crash, one step of a clock, 8
 * messages in flight, all orders. `npm run sim:model` goes on from there.
 */
import { describe, expect, it } from 'vitest'
import { check } from './model.js'

const TIME = { timeout: 120_000 }
const SMALL = { writes: 1, crashes: 1, splits: 0, ticks: 1, messages: 8 }
const ENOUGH = { statesMax: 10_000_000, msMax: 100_000 }

describe('every order of events of three nodes', () => {
  it.each([
    ['strict', 100_000],
    ['majority', 100_000],
    ['witness', 50_000],
  ])('profile %s: nothing acknowledged is lost', TIME, (profile, statesMin) => {
    const { broken, story, exhausted, states, depth } = check(profile, { ...SMALL, ...ENOUGH })
    expect({ broken, story }).toEqual({ broken: undefined, story: [] })
    expect(exhausted).toBe(true)
    expect(states).toBeGreaterThan(statesMin)
    expect(depth).toBeGreaterThan(30)
  })

  it('profile ordinal: the loss that W + P <= N allows is found', TIME, () => {
    const { lossFound, violations, story } = check('ordinal', { ...SMALL, ...ENOUGH })
    expect({ lossFound, violations }).toEqual({ lossFound: true, violations: 0 })
    expect(story.some(line => line.includes('takes a write'))).toBe(true)
    expect(story.some(line => line.includes('crashes'))).toBe(true)
  })

  // Both begin where a promise is on its way that its sender may forget.
  const forgotten = { ...SMALL, ticks: 3, messages: 4, ...ENOUGH }

  it('a promise is forgotten: re-admission by R others loses nothing', TIME, () => {
    const { broken, exhausted } = check('promised', forgotten)
    expect({ broken, exhausted }).toEqual({ broken: undefined, exhausted: true })
  })

  it('a promise is forgotten: with R smaller by one the loss is found', TIME, () => {
    expect(check('promised-r1', forgotten)).toMatchObject({ lossFound: true, violations: 0 })
  })

  it('a search that is stopped says so', TIME, () => {
    const few = { ...SMALL, statesMax: 1_000, msMax: 100_000 }
    expect(check('majority', few)).toMatchObject({ exhausted: false, stoppedBy: 'states' })
  })
})
