/** What others say of who belongs, before the own log says it. */
import { describe, expect, it } from 'vitest'
import { NO_EPOCH } from '../src/core/epochs.js'
import { encodeView } from '../src/wire/view.js'
import { Alone, emptyState } from './harness/alone.js'

describe('a master that is told of members that its log does not know', () => {
  function told(epochsAhead: number): string[] {
    const node = new Alone({ self: 'a', ids: ['a', 'b'], options: { bootstrapWaitMs: 0 } })
    node.link('b')
    node.tick(500)
    node.hear(emptyState('b', 'ordinal'))
    const { epoch } = node.last('heartbeat')
    const { history } = node.last('state')
    const members = ['a', 'b', 'x'].map((id, ordinal) => {
      return { id, ordinal, address: `memory://${id}` }
    })
    const view = encodeView({ number: 7, members, past: [] })
    const later = { ...epoch, number: epoch.number + epochsAhead * 256 }
    const teller = epochsAhead < 0 ? NO_EPOCH : later
    node.hear({ type: 'members', epoch: teller, history, view })
    node.tick(100)
    return node.linked
  }

  // Ordinal, seed 6357: one of a deposed master's view stood in the status for ever, as a learner.
  it('passes over those of a side that it deposes', () => {
    expect(told(-1)).not.toContain('x')
  })

  it('links with those of a side that deposes it', () => {
    expect(told(1)).toEqual(['a', 'b', 'x'])
  })
})
