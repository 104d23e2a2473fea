/** What callers owe (core/debts.ts): counted, bounded, forgiven. */
import { expect, test } from 'vitest'
import { Debts } from '../src/core/debts.js'

const LIMITS = { faultsMax: 3, forgivenPerMinute: 2, keysMax: 2 }

test('a debt grows by one a fault up to its bound, and time forgives it steadily', () => {
  const debts = new Debts(LIMITS)
  expect([0, 0, 0, 0, 0].map(ms => debts.add('a', ms))).toEqual([0, 1, 2, 3, 3])
  expect(debts.of('a', 30_000)).toBe(2)
  expect(debts.of('a', 45_000)).toBe(1.5)
  expect(debts.add('a', 60_000)).toBe(1)
  expect(debts.of('a', 60_000)).toBe(2)
  expect(debts.of('a', 600_000)).toBe(0)
})

test('the key that was touched longest ago is forgotten first', () => {
  const debts = new Debts(LIMITS)
  for (const key of ['a', 'b', 'a', 'c']) debts.add(key, 0)
  expect(['a', 'b', 'c'].map(key => debts.of(key, 0))).toEqual([2, 0, 1])
  expect(debts.size).toBe(2)
  debts.forget('a')
  expect(debts.of('a', 0)).toBe(0)
})
