/**
 * A strategy of somebody else's, that of strategies/README.md: the suite proves it, and each bug
 * that is planted in it breaks the law that is there for it.
 */
import { describe, expect, test } from 'vitest'
import { strategySuite } from '../src/testing/strategy-suite.js'
import { type Edit, readmeStrategy } from './harness/readme-strategy.js'

const { env } = await readmeStrategy('chain')

const leftOut: string[] = []

strategySuite({
  ...env,
  test: (name, body) => test(name, { timeout: 60_000 }, body),
  skip: name => leftOut.push(name),
  name: 'chain',
  seeds: 4,
})

// It hands no mastership over, and its members never change: so its own `traits` say.
test('two laws are left out, and none but for a trait that is named', () => {
  expect(leftOut).toEqual([
    'chain S6: a planned change of masters loses no acknowledged write ' +
      '(left out: traits.handovers is false)',
    'chain S8: nodes that join and leave do not keep the others from agreeing ' +
      '(left out: traits.members is false)',
  ])
})

/** What the tests of one law say that breaks. */
function breaks(law: string, suite: Awaited<ReturnType<typeof readmeStrategy>>['env']): string[] {
  const said: string[] = []
  strategySuite({
    ...suite,
    name: 'planted',
    test(name, body) {
      if (!name.startsWith(`planted ${law}`) || said.length > 0) return
      try {
        body()
      } catch (error) {
        said.push(String(error).split('\n')[0])
      }
    },
  })
  return said
}

describe('planted bugs', () => {
  test.each<[string, string, Edit]>([
    [
      'a head that answers before the tail has it',
      'S6',
      { find: 'this.settle(message.matched, effects)', put: 'this.settle(this.matched, effects)' },
    ],
    [
      'a node that takes over without all that was acknowledged',
      'S6',
      {
        find: 'if (leads || (!whole && (near.length < this.others.length || end.next > 1)))',
        put: 'if (leads)',
      },
    ],
    [
      'a node that follows a head which is no more',
      'S4',
      { find: 'if (order < 0) return\n      if (order > 0)', put: 'if (order !== 0)' },
    ],
    [
      'a head that answers no and forgets that it did',
      'S7',
      { find: 'of this.waiting.splice(0))', put: 'of this.waiting)' },
    ],
  ])('%s breaks %s', { timeout: 120_000 }, async (what, law, edit) => {
    const planted = await readmeStrategy(what.replaceAll(' ', '-'), edit)
    expect(breaks(law, planted.env)).toHaveLength(1)
  })
})
