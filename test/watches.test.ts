import { describe, expect, it } from 'vitest'
import type { SendResult } from '../src/contracts/transport.js'
import { Watches } from '../src/engine/watches.js'
import { KeyValueStore } from '../src/store/key-value.js'
import { Reader } from '../src/wire/bytes.js'
import { EVENT_KINDS, FRAME } from '../src/wire/requests.js'
import { codeOf } from './harness/codes.js'

const PEER = '~client'

describe('watches of clients', () => {
  interface Told {
    peer: string
    watch: number
    events: string[]
  }

  function setUp() {
    const store = new KeyValueStore()
    const told: Told[] = []
    let answer: SendResult = 'sent'
    const watches = new Watches({
      store,
      send: (peer, frame) => {
        if (answer === 'dropped') return answer
        const reader = new Reader(frame)
        expect(reader.u8()).toBe(FRAME.event)
        const watch = reader.u32()
        const events: string[] = []
        for (let i = reader.u16(); i > 0; i--) {
          const kind = EVENT_KINDS[reader.u8()]
          const key = reader.text16()
          reader.f64()
          const value = reader.latin1(reader.u32())
          events.push([kind, key, value].filter(part => part !== '').join(' '))
        }
        told.push({ peer, watch, events })
        return answer
      },
    })
    const watch = (id: number, prefix = '', peer = PEER, session = 1) =>
      watches.onControl(peer, session, { type: 'watch', id, cache: 'c', prefix })
    const answers = (result: SendResult) => {
      answer = result
    }
    return { store, told, watches, watch, answers }
  }

  it('collect the events of a step in one frame a watch, by prefix', () => {
    const { watches, watch, told, store } = setUp()
    expect(store.changes).toBeUndefined()
    watch(1)
    watch(2, 'a')
    watch(3, 'a', '~other')
    expect(store.changes).toBe(watches)
    watches.onChange('c', 'set', 'a1', 'v', 1)
    watches.onChange('c', 'delete', 'b', undefined, 2)
    watches.onChange('d', 'set', 'a1', 'v', 3)
    watches.onChange('c', 'clear', '', undefined, 4)
    expect(told).toEqual([])
    watches.finish()
    expect(told).toEqual([
      { peer: PEER, watch: 1, events: ['set a1 v', 'delete b', 'clear'] },
      { peer: PEER, watch: 2, events: ['set a1 v', 'clear'] },
      { peer: '~other', watch: 3, events: ['set a1 v', 'clear'] },
    ])
    watches.onControl(PEER, 1, { type: 'unwatch', id: 1 })
    watches.onLinkDown('~other', 1)
    watches.onLinkDown(PEER, 0)
    watches.onChange('c', 'expire', 'a1', undefined, 5)
    watches.finish()
    expect(told.slice(3)).toEqual([{ peer: PEER, watch: 2, events: ['expire a1'] }])
    watches.onLinkDown(PEER, 1)
    expect(store.changes).toBeUndefined()
  })

  it('of a link that does not read get one gap instead of what was lost', () => {
    const { watches, watch, told, answers } = setUp()
    watch(1)
    answers('congested')
    const value = 'v'.repeat(100_000)
    for (let i = 0; i < 50; i++) {
      watches.onChange('c', 'set', `k${i}`, value, i + 1)
      watches.finish()
    }
    const before = told.length
    expect(before).toBeLessThan(10)
    answers('sent')
    watches.onWritable(PEER, 1)
    watches.onChange('c', 'set', 'k', 'v', 99)
    watches.finish()
    expect(told.slice(before).map(one => one.events)).toEqual([['gap'], ['set k v']])
  })

  it('never hold more than a bounded number of changes or watches', () => {
    const { watches, watch, told } = setUp()
    watch(1)
    for (let i = 0; i < 5_000; i++) watches.onChange('c', 'set', `k${i}`, 'v', i + 1)
    expect(told).toHaveLength(1)
    watches.finish()
    expect(told.flatMap(one => one.events)).toHaveLength(5_000)
    for (let id = 2; id <= 1_024; id++) watch(id)
    expect(codeOf(() => watch(2_000))).toBe('PROTOCOL_ERROR')
  })

  it('are all told of a gap when the state was replaced', () => {
    const { watches, watch, told } = setUp()
    watch(1)
    watch(2, 'a', '~other')
    watches.gap()
    expect(told.map(one => one.events)).toEqual([['gap'], ['gap']])
  })
})
