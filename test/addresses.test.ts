/** Two spellings of one address, where a cluster must not take them for two. */
import { describe, expect, it } from 'vitest'
import { mayBeSame, placesOf } from '../src/core/addresses.js'
import { parseNodeOptions } from '../src/options.js'
import { codeOf } from './harness/codes.js'

const ONE = [
  ['tcp://localhost:7400', 'tcp://127.0.0.1:7400'],
  ['tcp://localhost:7400', 'tcp://[::1]:7400'],
  ['tcp://LocalHost:7400', 'TCP://localhost:7400'],
  ['tcp://127.1:7400', 'tcp://127.0.0.1:07400'],
  ['tcp://[0:0:0:0:0:0:0:1]:7400', 'tcp://[::1]:7400'],
  ['ws://Shop-A.example:80', 'ws://shop-a.example:80'],
  ['memory://a', 'MEMORY://a'],
  ['nats://cluster/a', 'nats://cluster/a'],
  ['anything', 'anything'],
]
const TWO = [
  ['tcp://localhost:7400', 'tcp://localhost:7401'],
  ['tcp://localhost:7400', 'ws://localhost:7400'],
  ['tcp://127.0.0.1:7400', 'tcp://[::1]:7400'],
  ['tcp://127.0.0.1:7400', 'tcp://127.0.0.2:7400'],
  ['tcp://localhost:7400', 'tcp://localhost.example:7400'],
  ['tcp://shop:7400', 'tcp://shop-a:7400'],
  ['memory://a', 'memory://A'],
  ['tcp://[::zz]:7400', 'tcp://[::1]:7400'],
]

describe('two addresses', () => {
  it.each(ONE)('%s and %s may be one', (left, right) => {
    expect([mayBeSame(left, right), mayBeSame(right, left)]).toEqual([true, true])
  })

  it.each(TWO)('%s and %s are two', (left, right) => {
    expect([mayBeSame(left, right), mayBeSame(right, left)]).toEqual([false, false])
  })

  it('have few places each, whatever is written', () => {
    for (const text of [...ONE, ...TWO]
      .flat()
      .concat('', '://', 'tcp://', 'tcp://:1', 'x'.repeat(9)))
      expect(placesOf(text).length, text).toBeLessThanOrEqual(3)
  })

  it.each(ONE.slice(0, 5))('of a configuration: %s and %s are refused', (left, right) => {
    const members = [left, right].map((address, i) => ({ id: 'ab'[i], ordinal: i, address }))
    const listen = 'tcp://127.0.0.1:0'
    const parse = () => parseNodeOptions({ cluster: 'test', id: 'a', members, listen })
    expect(codeOf(parse)).toBe('CONFIG')
    expect(parse).toThrow(`the address ${left}: give each its own`)
  })
})
